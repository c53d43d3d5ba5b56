# Three brokers, one in each zone. Clients come in by TLS with IAM and in no other way.

locals {
  kafka_version = coalesce(var.kafka_version, var.broker_instance_type == "kafka.t3.small" ? "3.9.x" : "3.9.x.kraft")
}

resource "aws_msk_configuration" "this" {
  count = var.create_cluster ? 1 : 0

  # Another version is another configuration, which must exist before the cluster lets go of this one.
  name           = "${var.name}-${replace(local.kafka_version, ".", "-")}"
  kafka_versions = [local.kafka_version]

  # Topics are made by the program. A record that two replicas have is safe with one broker gone. A device that could set any
  # timestamp could claim any time: Kafka 4 has a bound of an hour by itself, which is all of the default window.watermark, and
  # earlier ones have none.
  server_properties = <<-EOT
    auto.create.topics.enable=false
    default.replication.factor=3
    min.insync.replicas=2
    num.partitions=${var.partitions}
    unclean.leader.election.enable=false
    log.message.timestamp.after.max.ms=300000
    log.retention.hours=${var.topic_retention_hours}
    offsets.topic.replication.factor=3
    transaction.state.log.replication.factor=3
    transaction.state.log.min.isr=2
  EOT

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_msk_cluster" "this" {
  count = var.create_cluster ? 1 : 0

  cluster_name           = var.name
  kafka_version          = local.kafka_version
  number_of_broker_nodes = 3

  broker_node_group_info {
    instance_type   = var.broker_instance_type
    client_subnets  = aws_subnet.brokers[*].id
    security_groups = [aws_security_group.brokers[0].id]

    storage_info {
      ebs_storage_info {
        volume_size = var.broker_volume_gb
      }
    }

    connectivity_info {
      public_access {
        type = "DISABLED"
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this[0].arn
    revision = aws_msk_configuration.this[0].latest_revision
  }

  client_authentication {
    unauthenticated = false

    sasl {
      iam   = true
      scram = false
    }
  }

  # At rest under the key that AWS keeps for MSK in this account.
  encryption_info {
    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.brokers[0].name
      }
    }
  }

  tags = { Name = var.name }

  lifecycle {
    precondition {
      condition     = length(local.broker_zones) == 3
      error_message = "The region ${var.region} has no three availability zones for the three brokers: choose another, or an existing cluster."
    }
  }
}
