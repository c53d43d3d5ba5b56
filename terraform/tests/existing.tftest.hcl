# A Kafka that is there already.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  region          = "eu-west-1"
  release_archive = "tests/release/streamgauge-0.0.0-x86_64-unknown-linux-gnu.tar.gz"
  create_cluster  = false
}

run "iam_in_an_existing_network" {
  variables {
    existing_cluster = {
      brokers           = "b-1.example.org:9098,b-2.example.org:9098"
      auth              = "iam"
      cluster_arn       = "arn:aws:kafka:eu-west-1:123456789012:cluster/readings/22222222-2222-3333-4444-555555555555-6"
      security_group_id = "sg-0123456789abcdef0"
    }
    existing_network = { vpc_id = "vpc-11111111111111111", subnet_id = "subnet-11111111111111111" }
  }

  assert {
    condition     = length(aws_msk_cluster.this) == 0 && length(aws_msk_configuration.this) == 0 && length(aws_security_group.brokers) == 0 && length(aws_cloudwatch_log_group.brokers) == 0
    error_message = "No cluster is made."
  }

  assert {
    condition     = length(aws_vpc.this) == 0 && length(aws_subnet.hosts) == 0 && length(aws_vpc_endpoint.interface) == 0 && length(aws_flow_log.rejected) == 0
    error_message = "No network is made."
  }

  assert {
    condition     = aws_instance.host["consumer-1"].subnet_id == "subnet-11111111111111111" && aws_security_group.hosts.vpc_id == "vpc-11111111111111111"
    error_message = "The hosts are where they were asked to be."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.hosts_to_brokers["9098"].referenced_security_group_id == "sg-0123456789abcdef0"
    error_message = "They may reach the brokers."
  }

  assert {
    condition = alltrue([
      for resource in flatten([for statement in data.aws_iam_policy_document.kafka["run"].statement : statement.resources]) :
      strcontains(resource, "/readings/22222222-2222-3333-4444-555555555555-6")
    ])
    error_message = "Permissions are on the cluster that was given."
  }

  assert {
    condition     = alltrue([for query in aws_cloudwatch_metric_alarm.lag["table"].metric_query : query.id != "lag" ? true : query.metric[0].dimensions["Cluster Name"] == "readings"])
    error_message = "The lag is that cluster's."
  }
}

run "iam_in_another_region" {
  variables {
    existing_cluster = {
      brokers     = "b-1.example.org:9098"
      auth        = "iam"
      cluster_arn = "arn:aws:kafka:eu-central-1:123456789012:cluster/readings/22222222-2222-3333-4444-555555555555-6"
      cidr_blocks = ["10.1.0.0/16"]
    }
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "aws_region = \"eu-central-1\"")
    error_message = "Tokens are signed for the region of the cluster."
  }

  assert {
    condition     = alltrue([for query in aws_cloudwatch_metric_alarm.lag["table"].metric_query : query.id != "lag" ? true : query.metric[0].metric_name == "TableBehind"])
    error_message = "Metrics of a cluster elsewhere are not here: the lag is the program's own."
  }
}

run "scram" {
  variables {
    existing_cluster = {
      brokers            = "kafka.example.org:9096"
      auth               = "scram"
      secret_arn         = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_readings-AbCdEf"
      secret_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/22222222-2222-3333-4444-555555555555"
      cidr_blocks        = ["10.1.0.0/16", "10.2.0.0/16"]
    }
  }

  assert {
    condition     = length(data.aws_iam_policy_document.kafka) == 0 && length(aws_iam_role_policy.kafka) == 0
    error_message = "Kafka decides by password: the role says nothing about it."
  }

  assert {
    condition     = toset(keys(aws_iam_role_policy.secret)) == toset(["run"]) && contains(keys(aws_vpc_endpoint.interface), "secretsmanager")
    error_message = "The host may fetch the secret, and can."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.hosts_to_broker_networks : rule.cidr_ipv4]) == toset(["10.1.0.0/16", "10.2.0.0/16"]) && length(aws_vpc_security_group_egress_rule.hosts_to_brokers) == 0
    error_message = "The hosts may reach the brokers' networks, on their port."
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "SCRAM-SHA-512") && !strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "msk-iam")
    error_message = "The program logs in by SCRAM."
  }

  assert {
    condition     = alltrue([for query in aws_cloudwatch_metric_alarm.lag["table"].metric_query : query.id != "lag" ? true : query.metric[0].metric_name == "TableBehind"])
    error_message = "Without MSK, the lag is the program's own."
  }

  assert {
    condition     = length(aws_subnet.brokers) == 0 && length(aws_subnet.hosts) == 1
    error_message = "The network made here has no room for brokers."
  }
}

run "tls" {
  variables {
    existing_cluster = {
      brokers            = "kafka.example.org:9093,kafka.example.org:9094"
      auth               = "tls"
      ca_certificate_pem = "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"
      cidr_blocks        = ["10.1.0.0/16"]
    }
  }

  assert {
    condition     = length(aws_iam_role_policy.secret) == 0 && length(aws_vpc_security_group_egress_rule.hosts_to_broker_networks) == 2
    error_message = "No secret, and a rule for each port."
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "\"ssl.ca.location\" = \"/etc/streamgauge/ca.pem\"") && contains(keys(aws_s3_object.file), "consumer-1:/etc/streamgauge/ca.pem")
    error_message = "The program trusts the authority that was given."
  }
}
