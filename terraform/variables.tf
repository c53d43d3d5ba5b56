# ── What it is called and where it is ────────────────────────────────────────────────────────────────────────────

variable "name" {
  description = "What everything made here is named after. Two deployments in one account need two names."
  type        = string
  default     = "streamgauge"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 24 small letters, digits and hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "region" {
  description = "AWS region, such as eu-west-1. It needs three availability zones if a cluster is made."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of an AWS region, such as eu-west-1."
  }
}

variable "tags" {
  description = "Tags for everything, beside Project = name."
  type        = map(string)
  default     = {}
}

# ── What runs ────────────────────────────────────────────────────────────────────────────────────────────────────

variable "release_archive" {
  description = "The release archive for the hosts' architecture, as packaging/release makes it. Its checksum lies beside it, with .sha256 added to the name."
  type        = string

  validation {
    condition     = fileexists(var.release_archive) && fileexists("${var.release_archive}.sha256")
    error_message = "release_archive must be a file, with its .sha256 beside it: packaging/release makes both."
  }

  validation {
    condition = !fileexists("${var.release_archive}.sha256") || try(
      startswith(file("${var.release_archive}.sha256"), filesha256(var.release_archive)), false
    )
    error_message = "release_archive does not have the checksum that its .sha256 says: build or fetch it again."
  }

  validation {
    condition     = strcontains(basename(var.release_archive), var.architecture == "arm64" ? "aarch64" : "x86_64")
    error_message = "release_archive is not for this architecture: arm64 takes the archive with aarch64 in its name, x86_64 that with x86_64."
  }
}

variable "architecture" {
  description = "Processors of the hosts: x86_64, or arm64 (Graviton)."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "instance_type" {
  description = "EC2 instance type of the hosts. Null is t3.small, or t4g.small on arm64."
  type        = string
  default     = null

  validation {
    condition     = var.instance_type == null || can(regex("^([a-z]+[0-9]+g[a-z]*|a1)\\.", var.instance_type)) == (var.architecture == "arm64")
    error_message = "instance_type is not for this architecture: arm64 takes Graviton, such as t4g.small, x86_64 the others, such as t3.small."
  }
}

variable "consumer_count" {
  description = "Hosts that run `streamgauge run`. They share the topic's partitions; more than partitions would idle."
  type        = number
  default     = 1

  validation {
    condition     = var.consumer_count >= 1 && var.consumer_count <= var.partitions && floor(var.consumer_count) == var.consumer_count
    error_message = "consumer_count must be a whole number from 1 to the number of partitions."
  }
}

variable "recording" {
  description = <<-EOT
    A CSV to upload and play into the topic, once, by a host of its own. Null if the readings come from elsewhere.
    path is a local file; the others are flags of `streamgauge play`, each at its default if left out.
  EOT
  type = object({
    path         = string
    time_column  = optional(string)
    value_column = optional(string)
    key_column   = optional(string)
    from         = optional(string)
    until        = optional(string)
    step         = optional(string)
    accelerator  = optional(number)
    tick         = optional(string)
  })
  default = null

  validation {
    condition     = var.recording == null || try(fileexists(var.recording.path), false)
    error_message = "recording.path is no file."
  }
}

variable "collect_cloudwatch" {
  description = <<-EOT
    A host of its own that runs `streamgauge collect cloudwatch`: CloudWatch's metrics of this region into the topic, those of
    all EC2 instances unless settings["collect.cloudwatch"] says otherwise. AWS is paid for each metric asked for.
  EOT
  type        = bool
  default     = false
}

variable "settings" {
  description = <<-EOT
    Settings of the program, by section, in the place of its defaults: { window = { length = "15m" }, detect = { unit = "kW" } }.
    All of them: src/config/default.toml. A section below another is written with a dot: "detect.rules", "kafka.properties".
    No secrets: they would lie in the state and on the hosts. existing_cluster.secret_arn is for those.
  EOT
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.settings)) && alltrue([for section in values(var.settings) : can(keys(section))])
    error_message = "settings must be sections of settings: { window = { length = \"15m\" } }."
  }

  validation {
    condition = alltrue(flatten([
      for section in try(values(var.settings), []) : [for value in try(values(section), []) : value != null && !can(keys(value))]
    ]))
    error_message = "settings must have texts, numbers, booleans or lists in a section; a section below another is written with a dot: \"detect.rules\"."
  }

  validation {
    condition = length(setintersection(
      ["sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password"], try(keys(var.settings["kafka.properties"]), [])
    )) == 0
    error_message = "settings must not hold secrets, which would lie in the state and on the hosts: existing_cluster.secret_arn names a secret to fetch."
  }

  validation {
    condition = alltrue([
      for section, values in try(var.settings, {}) : length(setintersection(
        concat(["token", "password", "secret", "routing_key", "topic"], contains(["slack", "teams"], try(values.kind, "")) ? ["url"] : []),
        try(keys(values), []),
      )) == 0 if startswith(section, "alert.receiver.")
    ])
    error_message = "settings must not hold secrets of receivers, as the url of Slack and Teams is one: receiver_secrets names secrets to fetch."
  }

  validation {
    condition = alltrue([
      for section, values in try(var.settings, {}) :
      can(regex("^alert\\.receiver\\.[a-z0-9_-]{1,40}$", section)) &&
      contains(["alertmanager", "pagerduty", "slack", "teams", "email", "webhook", "sns", "ntfy"], try(values.kind, section == "alert.receiver.sns" && var.alerts != null ? "sns" : ""))
      if startswith(section, "alert.receiver.")
    ])
    error_message = "settings of a receiver must be in \"alert.receiver.NAME\", the name up to 40 small letters, digits, underscores and hyphens, and have its kind: alertmanager, pagerduty, slack, teams, email, webhook, sns or ntfy."
  }

  validation {
    condition = alltrue([
      for section, names in {
        kafka  = ["auth", "aws_region", "brokers", "group", "partitions", "topic", "transactional_id", "dead_letter_topic", "late_topic"]
        table  = ["name", "uri"]
        detect = ["anomaly_topic", "group", "state_uri"]
        alert  = ["group", "state_topic", "feedback_topic", "receiver"]
        http   = ["listen"]
        log    = ["format", "status_interval"]
      } : length(setintersection(names, try(keys(var.settings[section]), []))) == 0
    ])
    error_message = "settings must not have what permissions, catalog or alarms depend on: brokers, topics, groups, partitions, the table's place and name, kafka.auth, kafka.transactional_id, detect.state_uri, http.listen, log.format, log.status_interval. There are variables for what may be chosen; a receiver of alerts is a section, \"alert.receiver.ops\"."
  }
}

variable "alerts" {
  description = <<-EOT
    Who is told of anomalies, over SNS: {} makes a topic, whose subscriptions take it further: to the addresses in emails, to Slack
    or Teams by Amazon Q Developer, to PagerDuty, to a Lambda.
    topic_arn     an SNS topic of the region that is there, instead; one under a customer-managed key has to let the hosts' role use it
    emails        addresses that subscribe to the topic that is made; each gets a mail to confirm
    route         the receiver's route and times: { min_severity = "critical", quiet = "22:00-07:00" } (docs/alerts.md)
    Other receivers go into settings, "alert.receiver.ops" = { kind = "slack" }, and their secrets into receiver_secrets.
  EOT
  type = object({
    topic_arn = optional(string)
    emails    = optional(set(string), [])
    route     = optional(map(string), {})
  })
  default = null

  validation {
    condition     = try(var.alerts.topic_arn, null) == null || can(regex("^arn:[a-z-]+:sns:${var.region}:[0-9]{12}:[A-Za-z0-9_-]+([.]fifo)?$", var.alerts.topic_arn))
    error_message = "alerts.topic_arn must be the ARN of an SNS topic in the region of the hosts."
  }

  validation {
    condition     = try(var.alerts.topic_arn, null) == null || length(try(var.alerts.emails, [])) == 0
    error_message = "alerts.emails is for the topic that is made here; subscribe to alerts.topic_arn where that is made."
  }

  validation {
    condition     = length(setsubtract(keys(try(var.alerts.route, {})), ["min_severity", "hours", "quiet", "time_zone", "min_duration", "repeat", "max_age", "group_wait"])) == 0
    error_message = "alerts.route has min_severity, hours, quiet, time_zone, min_duration, repeat, max_age and group_wait; for patterns of series, and several receivers, use settings."
  }
}

variable "receiver_secrets" {
  description = <<-EOT
    Secrets of the receivers in settings, by receiver, by setting: { ops = { url = "arn:aws:secretsmanager:…:secret:slack-AbCdEf" } }.
    Each is the ARN of a secret in Secrets Manager or of a parameter in Systems Manager, in the hosts' region: plain text, or JSON that
    has the setting by its name. They are fetched before each start and every five minutes, into memory.
  EOT
  type        = map(map(string))
  default     = {}

  validation {
    condition = alltrue(flatten([
      for receiver, secrets in var.receiver_secrets : [
        for name, arn in secrets : contains(["url", "token", "password", "secret", "routing_key", "topic"], name) &&
        can(regex("^arn:[a-z-]+:(secretsmanager:${var.region}:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}|ssm:${var.region}:[0-9]{12}:parameter/[A-Za-z0-9/_.-]+)$", arn))
      ]
    ]))
    error_message = "receiver_secrets must be full ARNs of secrets (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX) or parameters (arn:aws:ssm:REGION:ACCOUNT:parameter/NAME) in the region of the hosts, by url, token, password, secret, routing_key or topic."
  }

  validation {
    condition     = alltrue([for receiver in keys(var.receiver_secrets) : can(regex("^[a-z0-9_-]{1,40}$", receiver)) && contains(try(keys(var.settings), []), "alert.receiver.${receiver}")])
    error_message = "receiver_secrets must be of receivers in settings: \"alert.receiver.ops\" = { kind = \"slack\" }."
  }
}

variable "receiver_secrets_kms_key_arns" {
  description = "The customer-managed keys of receiver_secrets, if they have any."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.receiver_secrets_kms_key_arns : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", arn))])
    error_message = "receiver_secrets_kms_key_arns must be ARNs of KMS keys (not of aliases)."
  }

  validation {
    condition     = length(var.receiver_secrets_kms_key_arns) == 0 || length(var.receiver_secrets) != 0
    error_message = "receiver_secrets_kms_key_arns goes with receiver_secrets."
  }
}

variable "receiver_networks" {
  description = <<-EOT
    Networks and ports that receivers of alerts are at, for the hosts to be let out to: [{ cidr_block = "10.0.0.9/32", port = 9093 }].
    From an existing_network they may go to port 443 anyway. From the network made here they reach only SNS; a way to anything else,
    a peering or a NAT gateway in the output private_route_table_id, is yours to make.
  EOT
  type        = set(object({ cidr_block = string, port = number }))
  default     = []

  validation {
    condition = alltrue([
      for network in var.receiver_networks : can(cidrnetmask(network.cidr_block)) && network.port >= 1 && network.port <= 65535 && floor(network.port) == network.port
    ])
    error_message = "receiver_networks must be IPv4 networks and ports: [{ cidr_block = \"10.0.0.9/32\", port = 9093 }]."
  }

  validation {
    condition     = var.existing_network == null || !contains(var.receiver_networks, { cidr_block = "0.0.0.0/0", port = 443 })
    error_message = "receiver_networks must leave out port 443 of everywhere: from an existing_network the hosts may go there anyway."
  }

  # Of an address that is a secret the port is not known: that of HTTPS is what they have.
  validation {
    condition = alltrue([
      for section, values in try(var.settings, {}) : contains(
        concat(var.existing_network == null ? [] : [443], var.receiver_networks[*].port),
        try(
          tonumber(regex("^(?:https?://)?[^/]*:([0-9]{1,5})(?:/|$)", try(values.url, values.server))[0]),
          startswith(try(values.url, ""), "http://") ? 80 : 443,
        ),
        ) || (
        try(values.kind, "sns") == "sns" && try(split(":", values.topic_arn)[3], var.region) == var.region
      ) if startswith(section, "alert.receiver.")
    ])
    error_message = "receiver_networks must have the port of each receiver that the hosts could not reach otherwise: from the network made here all but SNS topics of the region, from an existing_network those at other ports than 443. SNS goes on to people by e-mail, Slack and others: alerts = {}."
  }
}

variable "table_name" {
  description = "Name of the table in Glue and in SQL."
  type        = string
  default     = "usage"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,63}$", var.table_name))
    error_message = "table_name must have small letters, digits and underscores, and begin with a letter."
  }
}

# ── Network ──────────────────────────────────────────────────────────────────────────────────────────────────────

variable "vpc_cidr" {
  description = "Addresses of the VPC, from /16 to /20. Unused with existing_network."
  type        = string
  default     = "10.64.0.0/20"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "vpc_cidr must be an IPv4 network from /16 to /20."
  }
}

variable "existing_network" {
  description = <<-EOT
    VPC and subnet to put the hosts in, with create_cluster = false: where the brokers can be reached from. From the subnet
    the hosts must reach S3, Systems Manager, CloudWatch Logs, with a secret Secrets Manager, and with alerts SNS: over endpoints or
    a NAT. Names are asked of Amazon's DNS server of the VPC: the hosts' security group lets nothing out to another one.
  EOT
  type = object({
    vpc_id    = string
    subnet_id = string
  })
  default = null

  validation {
    condition     = var.existing_network == null || !var.create_cluster
    error_message = "existing_network goes with create_cluster = false."
  }

  validation {
    condition = var.existing_network == null || (
      can(regex("^vpc-[0-9a-f]+$", var.existing_network.vpc_id)) && can(regex("^subnet-[0-9a-f]+$", var.existing_network.subnet_id))
    )
    error_message = "existing_network must be the ids of a VPC and of a subnet in it: vpc-… and subnet-…."
  }
}

variable "bastion" {
  description = <<-EOT
    A host to come in through by SSH. Null, the default, makes none: Session Manager needs no open port and no key.
    allowed_cidr_blocks  networks that may connect
    public_key           OpenSSH public key for bastion and hosts
  EOT
  type = object({
    allowed_cidr_blocks = list(string)
    public_key          = string
  })
  default = null

  validation {
    condition     = var.bastion == null || var.existing_network == null
    error_message = "bastion goes with the VPC made here, not with existing_network."
  }

  validation {
    condition = var.bastion == null || (
      length(try(var.bastion.allowed_cidr_blocks, [])) > 0 &&
      alltrue([for block in try(var.bastion.allowed_cidr_blocks, []) : can(cidrnetmask(block)) && try(tonumber(split("/", block)[1]) >= 16, false)])
    )
    error_message = "bastion.allowed_cidr_blocks must name IPv4 networks of at most a /16: SSH is not opened to the world."
  }

  validation {
    condition     = var.bastion == null || can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp[0-9]+) ", var.bastion.public_key))
    error_message = "bastion.public_key must be an OpenSSH public key: the text of a .pub file."
  }
}

# ── Lake ─────────────────────────────────────────────────────────────────────────────────────────────────────────

variable "bucket_name" {
  description = "Name of the bucket to make. Null is NAME-ACCOUNT-REGION."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must have 3 to 63 small letters, digits and hyphens."
  }
}

variable "lake_kms_key_arn" {
  description = "Customer-managed KMS key for the bucket. Null encrypts with S3's own keys, which outlive this deployment as the data does."
  type        = string
  default     = null

  validation {
    condition     = var.lake_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.lake_kms_key_arn))
    error_message = "lake_kms_key_arn must be the ARN of a KMS key (not of an alias)."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` deletes the data, too. If not, it refuses to delete a bucket with anything in it."
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "How long S3 keeps what was deleted or overwritten, in days: the time to undo a mistake in."
  type        = number
  default     = 7

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "noncurrent_days must be at least 1."
  }
}

variable "athena_scan_limit_gb" {
  description = "Athena ends a query that scans more than this, in GiB. A GiB costs about half a US cent."
  type        = number
  default     = 10

  validation {
    condition     = var.athena_scan_limit_gb >= 1
    error_message = "athena_scan_limit_gb must be at least 1."
  }
}

# ── Watching ─────────────────────────────────────────────────────────────────────────────────────────────────────

variable "alarm_emails" {
  description = "E-mail addresses that alarms are sent to. Each gets a message to confirm first."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "alarm_emails must be e-mail addresses."
  }
}

variable "alarm_lag_records" {
  description = "Lag from which on a growing lag is an alarm, in records."
  type        = number
  default     = 10000

  validation {
    condition     = var.alarm_lag_records >= 0
    error_message = "alarm_lag_records must not be negative."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the logs, in days."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the numbers of days that CloudWatch Logs knows: 30, 90, 180, 365, 731 …"
  }
}
