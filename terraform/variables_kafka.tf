variable "topic" {
  description = "Topic of the readings. Late readings and dead letters go to topics of this name with .late and .dlq."
  type        = string
  default     = "usage"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,200}$", var.topic))
    error_message = "topic must have letters, digits, dots, hyphens and underscores."
  }
}

variable "anomaly_topic" {
  description = "Topic of the anomalies."
  type        = string
  default     = "anomaly"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,249}$", var.anomaly_topic))
    error_message = "anomaly_topic must have letters, digits, dots, hyphens and underscores."
  }
}

variable "group" {
  description = "Consumer group of the table. That of the anomalies has -detect added."
  type        = string
  default     = "streamgauge"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,200}$", var.group))
    error_message = "group must have letters, digits, dots, hyphens and underscores; CloudWatch has no lag of a group with a colon."
  }
}

variable "partitions" {
  description = "Partitions of topics that the program makes. One keeps readings without a key in one series; with keys, take as many as hosts may ever share the work."
  type        = number
  default     = 1

  validation {
    condition     = var.partitions >= 1 && floor(var.partitions) == var.partitions
    error_message = "partitions must be a whole number from 1 on."
  }
}

variable "create_cluster" {
  description = "Whether to make an MSK cluster. If not, existing_cluster says which Kafka to use."
  type        = bool
  default     = true
}

variable "existing_cluster" {
  description = <<-EOT
    The Kafka to use with create_cluster = false: MSK or any other.
    brokers            HOST:PORT,HOST:PORT
    auth               "iam" (MSK), "scram" (SCRAM-SHA-512 over TLS) or "tls" (TLS; with secret_arn also a client certificate)
    cluster_arn        of an MSK cluster: needed for iam; else for the lag as MSK measures it, null if it is no MSK
    secret_arn         secret in Secrets Manager: {"username", "password"} for scram, {"certificate", "private_key"} in PEM for tls
    secret_kms_key_arn the customer-managed key of that secret, if it has one (MSK's SCRAM secrets always have)
    ca_certificate_pem certificates to trust instead of the public authorities
    security_group_id  security group of the brokers; or
    cidr_blocks        networks that the brokers are in
  EOT
  type = object({
    brokers            = string
    auth               = string
    cluster_arn        = optional(string)
    secret_arn         = optional(string)
    secret_kms_key_arn = optional(string)
    ca_certificate_pem = optional(string)
    security_group_id  = optional(string)
    cidr_blocks        = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.create_cluster == (var.existing_cluster == null)
    error_message = "existing_cluster goes with create_cluster = false, and only with it."
  }

  validation {
    condition     = var.existing_cluster == null || can(regex("^[A-Za-z0-9.-]+:[0-9]{1,5}(,[A-Za-z0-9.-]+:[0-9]{1,5})*$", var.existing_cluster.brokers))
    error_message = "existing_cluster.brokers must be HOST:PORT, separated by commas without spaces."
  }

  validation {
    condition     = var.existing_cluster == null || contains(["iam", "scram", "tls"], try(var.existing_cluster.auth, ""))
    error_message = "existing_cluster.auth must be iam, scram or tls."
  }

  validation {
    condition     = try(var.existing_cluster.auth, "") != "iam" || try(var.existing_cluster.cluster_arn, null) != null
    error_message = "existing_cluster.cluster_arn is needed with auth = iam: permissions are given on the cluster."
  }

  validation {
    condition     = try(var.existing_cluster.cluster_arn, null) == null || can(regex("^arn:[a-z-]+:kafka:[a-z0-9-]+:[0-9]{12}:cluster/[^/]+/[^/]+$", var.existing_cluster.cluster_arn))
    error_message = "existing_cluster.cluster_arn must be the ARN of an MSK cluster: arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID."
  }

  validation {
    condition     = try(var.existing_cluster.auth, "") != "scram" || try(var.existing_cluster.secret_arn, null) != null
    error_message = "existing_cluster.secret_arn is needed with auth = scram."
  }

  validation {
    condition     = try(var.existing_cluster.auth, "") != "iam" || try(var.existing_cluster.secret_arn, null) == null
    error_message = "existing_cluster.secret_arn does not go with auth = iam: the hosts' role is all it takes."
  }

  validation {
    condition = var.existing_cluster == null || (
      try(var.existing_cluster.security_group_id, null) != null || length(try(var.existing_cluster.cidr_blocks, [])) > 0
    )
    error_message = "existing_cluster needs security_group_id or cidr_blocks, so that the hosts may reach the brokers and nothing else."
  }

  validation {
    condition     = alltrue([for block in try(var.existing_cluster.cidr_blocks, []) : can(cidrnetmask(block)) && !endswith(block, "/0")])
    error_message = "existing_cluster.cidr_blocks must be IPv4 networks such as 10.0.0.0/16, and not all of the internet."
  }
}

variable "kafka_version" {
  description = <<-EOT
    Kafka version of the MSK cluster. Null is 3.9.x.kraft, or 3.9.x on kafka.t3.small, which MSK offers with ZooKeeper only.
    From 3.8 on, IAM clients can complete transactions, which late readings, dead letters and anomalies are written in.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.kafka_version == null || can(regex("^(3\\.([89]|[1-9][0-9])|[4-9]\\.[0-9]+)\\.(x|[0-9]+)(\\.kraft)?$", var.kafka_version))
    error_message = "kafka_version must be 3.8.x or later: before, MSK does not complete the transactions of clients with IAM."
  }

  validation {
    condition     = var.kafka_version == null || var.broker_instance_type != "kafka.t3.small" || !endswith(coalesce(var.kafka_version, "-"), ".kraft")
    error_message = "kafka_version must not end in .kraft on kafka.t3.small: MSK makes such brokers with ZooKeeper only."
  }
}

variable "broker_instance_type" {
  description = "Size of a broker. kafka.t3.small is for trying out and small loads; kafka.m7g.large is the smallest that AWS recommends for production."
  type        = string
  default     = "kafka.t3.small"

  validation {
    condition     = can(regex("^kafka\\.[a-z0-9]+\\.[a-z0-9]+$", var.broker_instance_type))
    error_message = "broker_instance_type must be a size of MSK Standard brokers, such as kafka.t3.small or kafka.m7g.large."
  }
}

variable "broker_volume_gb" {
  description = "Disk of each of the three brokers, in GiB. It can grow later, not shrink."
  type        = number
  default     = 100

  validation {
    condition     = var.broker_volume_gb >= 1 && var.broker_volume_gb <= 16384
    error_message = "broker_volume_gb must be from 1 to 16384."
  }
}

variable "topic_retention_hours" {
  description = "How long the cluster keeps records. It must be longer than the longest outage of the consumers: what it passes is missing from the table."
  type        = number
  default     = 168

  validation {
    condition     = var.topic_retention_hours >= 1
    error_message = "topic_retention_hours must be at least 1."
  }
}
