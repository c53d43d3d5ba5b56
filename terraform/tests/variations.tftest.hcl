# What else may be asked for, and what is refused.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  region          = "eu-west-1"
  release_archive = "tests/release/streamgauge-0.0.0-x86_64-unknown-linux-gnu.tar.gz"
}

run "graviton_in_production" {
  variables {
    release_archive      = "tests/release/streamgauge-0.0.0-aarch64-unknown-linux-gnu.tar.gz"
    architecture         = "arm64"
    broker_instance_type = "kafka.m7g.large"
    partitions           = 6
    consumer_count       = 3
    lake_kms_key_arn     = "arn:aws:kms:eu-west-1:123456789012:key/33333333-2222-3333-4444-555555555555"
    settings             = { window = { length = "15m" }, "detect.rules" = { "boiler-*" = "above 90 for 10m" } }
  }

  assert {
    condition     = toset(keys(aws_instance.host)) == toset(["consumer-1", "consumer-2", "consumer-3"]) && aws_instance.host["consumer-2"].instance_type == "t4g.small"
    error_message = "Three consumers on Graviton."
  }

  assert {
    condition     = strcontains(data.aws_ssm_parameter.ami.name, "arm64") && aws_msk_cluster.this[0].kafka_version == "3.9.x.kraft"
    error_message = "The image is for Graviton; larger brokers do without ZooKeeper."
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-2:/etc/streamgauge/streamgauge.toml"].content, "[window]\nlength = \"15m\"") && strcontains(aws_s3_object.file["consumer-2:/etc/streamgauge/streamgauge.toml"].content, "[detect.rules]\n\"boiler-*\" = \"above 90 for 10m\"")
    error_message = "Settings of one's own reach the program."
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-2:/etc/streamgauge/streamgauge.toml"].content, "partitions = 6")
    error_message = "Numbers are numbers."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.lake_kms_key_arn && contains(flatten([for statement in data.aws_iam_policy_document.lake["run"].statement : statement.resources]), var.lake_kms_key_arn)
    error_message = "The bucket is under the key that was given, and the hosts may use it."
  }
}

run "collector" {
  variables {
    collect_cloudwatch = true
    settings           = { "collect.cloudwatch" = { metrics = ["CPUUtilization", "NetworkIn"] } }
  }

  assert {
    condition     = toset(keys(aws_instance.host)) == toset(["consumer-1", "collector"]) && contains(keys(aws_vpc_endpoint.interface), "monitoring")
    error_message = "The collector has a host of its own, and a way to CloudWatch."
  }

  assert {
    condition     = strcontains(aws_s3_object.file["collector:/etc/streamgauge/streamgauge.toml"].content, "[collect.cloudwatch]\nmetrics = [\"CPUUtilization\",\"NetworkIn\"]\nregion = \"eu-west-1\"")
    error_message = "The collector is told what to collect, and where."
  }

  assert {
    condition     = !strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "cloudwatch") && !strcontains(aws_s3_object.file["collector:/etc/streamgauge/streamgauge.toml"].content, "[table]")
    error_message = "Neither is told what the other does."
  }

  assert {
    condition     = keys(aws_iam_role_policy.cloudwatch) == ["collect"] && toset(one(data.aws_iam_policy_document.cloudwatch.statement).actions) == toset(["cloudwatch:GetMetricData", "cloudwatch:ListMetrics"])
    error_message = "Only the collector reads metrics, and it does nothing else with them."
  }

  assert {
    condition     = toset([for statement in data.aws_iam_policy_document.lake["collect"].statement : statement.sid]) == toset(["Read"])
    error_message = "The collector fetches its assets, and has no more of the bucket."
  }
}

run "bastion" {
  variables {
    bastion = { allowed_cidr_blocks = ["203.0.113.7/32"], public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM6BSIHoaSNSFUrUd3XRs0pZu98EP+0rZkpUN+042HKt you" }
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.bastion_from_people : rule.cidr_ipv4] == ["203.0.113.7/32"] && length(aws_vpc_security_group_ingress_rule.hosts_from_bastion) == 1
    error_message = "SSH is open to those named, and to the hosts only from the bastion."
  }

  assert {
    condition     = aws_instance.bastion["bastion"].metadata_options[0].http_tokens == "required" && aws_instance.bastion["bastion"].root_block_device[0].encrypted && !aws_instance.host["consumer-1"].associate_public_ip_address
    error_message = "The bastion is no softer than the hosts, and those have still no public address."
  }
}

run "bastion_open_to_the_world" {
  command = plan
  variables {
    bastion = { allowed_cidr_blocks = ["0.0.0.0/0"], public_key = "ssh-ed25519 AAAA you" }
  }
  expect_failures = [var.bastion]
}

run "kafka_too_old_for_transactions_with_iam" {
  command = plan
  variables {
    kafka_version = "3.7.x"
  }
  expect_failures = [var.kafka_version]
}

run "kraft_on_small_brokers" {
  command = plan
  variables {
    kafka_version = "3.9.x.kraft"
  }
  expect_failures = [var.kafka_version]
}

run "no_kafka_at_all" {
  command = plan
  variables {
    create_cluster = false
  }
  expect_failures = [var.existing_cluster]
}

run "scram_without_a_secret" {
  command = plan
  variables {
    create_cluster   = false
    existing_cluster = { brokers = "kafka.example.org:9096", auth = "scram", cidr_blocks = ["10.1.0.0/16"] }
  }
  expect_failures = [var.existing_cluster]
}

run "brokers_in_all_of_the_internet" {
  command = plan
  variables {
    create_cluster   = false
    existing_cluster = { brokers = "kafka.example.org:9094", auth = "tls", cidr_blocks = ["0.0.0.0/0"] }
  }
  expect_failures = [var.existing_cluster]
}

run "a_release_for_other_processors" {
  command = plan
  variables {
    architecture = "arm64"
  }
  expect_failures = [var.release_archive]
}

run "more_consumers_than_partitions" {
  command = plan
  variables {
    consumer_count = 2
  }
  expect_failures = [var.consumer_count]
}

run "a_setting_that_permissions_depend_on" {
  command = plan
  variables {
    settings = { table = { uri = "s3://elsewhere/usage" } }
  }
  expect_failures = [var.settings]
}

run "a_setting_without_a_section" {
  command = plan
  variables {
    settings = { window = "15m" }
  }
  expect_failures = [var.settings]
}

run "a_setting_that_is_no_single_value" {
  command = plan
  variables {
    settings = { detect = { rules = { "*" = "silent for 15m" } } }
  }
  expect_failures = [var.settings]
}

run "a_secret_among_the_settings" {
  command = plan
  variables {
    settings = { "kafka.properties" = { "sasl.password" = "hush" } }
  }
  expect_failures = [var.settings]
}

run "an_instance_type_for_other_processors" {
  command = plan
  variables {
    instance_type = "t4g.small"
  }
  expect_failures = [var.instance_type]
}
