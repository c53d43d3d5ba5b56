# The whole deployment: cluster made here, one consumer, a recording that is played.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  region          = "eu-west-1"
  release_archive = "tests/release/streamgauge-0.0.0-x86_64-unknown-linux-gnu.tar.gz"
  recording       = { path = "tests/release/README.md", accelerator = 12, tick = "1s" }
  alarm_emails    = ["you@example.org"]
}

run "network" {
  assert {
    condition     = length(aws_internet_gateway.this) == 0 && length(aws_instance.bastion) == 0 && length(aws_subnet.bastion) == 0
    error_message = "Without a bastion nothing leads to the internet."
  }

  assert {
    condition     = length(aws_route_table.private[0].route) == 0
    error_message = "The private subnets have the local route only."
  }

  assert {
    condition     = length(distinct(aws_subnet.brokers[*].availability_zone)) == 3
    error_message = "The brokers lie in three zones."
  }

  assert {
    condition     = alltrue([for subnet in concat(aws_subnet.brokers, aws_subnet.hosts) : !subnet.map_public_ip_on_launch])
    error_message = "No subnet gives public addresses."
  }

  assert {
    condition = alltrue([
      for rule in concat(
        values(aws_vpc_security_group_egress_rule.hosts_to_brokers), aws_vpc_security_group_ingress_rule.brokers_from_hosts,
        aws_vpc_security_group_egress_rule.hosts_to_s3, aws_vpc_security_group_egress_rule.hosts_to_endpoints,
        aws_vpc_security_group_ingress_rule.endpoints_from_hosts,
      ) : rule.cidr_ipv4 == null && rule.cidr_ipv6 == null && rule.from_port == rule.to_port && rule.ip_protocol == "tcp"
    ])
    error_message = "Every rule is for one port, to or from a security group or S3."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.hosts_from_bastion) == 0 && length(aws_vpc_security_group_egress_rule.hosts_to_aws) == 0
    error_message = "No port of the hosts is open, and none leads anywhere at large."
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["ssm", "ssmmessages", "logs"])
    error_message = "The hosts need these services, and no secrets."
  }
}

run "cluster" {
  assert {
    condition = (
      aws_msk_cluster.this[0].number_of_broker_nodes == 3 &&
      aws_msk_cluster.this[0].broker_node_group_info[0].instance_type == "kafka.t3.small" &&
      aws_msk_cluster.this[0].broker_node_group_info[0].storage_info[0].ebs_storage_info[0].volume_size == 100
    )
    error_message = "Three small brokers with 100 GB, unless asked otherwise."
  }

  assert {
    condition     = aws_msk_cluster.this[0].kafka_version == "3.9.x"
    error_message = "Small brokers come with ZooKeeper only."
  }

  assert {
    condition = (
      aws_msk_cluster.this[0].client_authentication[0].sasl[0].iam &&
      !aws_msk_cluster.this[0].client_authentication[0].sasl[0].scram &&
      !aws_msk_cluster.this[0].client_authentication[0].unauthenticated &&
      length(aws_msk_cluster.this[0].client_authentication[0].tls) == 0
    )
    error_message = "IAM is the only way in."
  }

  assert {
    condition = (
      aws_msk_cluster.this[0].encryption_info[0].encryption_in_transit[0].client_broker == "TLS" &&
      aws_msk_cluster.this[0].encryption_info[0].encryption_in_transit[0].in_cluster
    )
    error_message = "Nothing travels in the clear."
  }

  assert {
    condition     = aws_msk_cluster.this[0].broker_node_group_info[0].connectivity_info[0].public_access[0].type == "DISABLED"
    error_message = "The brokers have no public addresses."
  }

  assert {
    condition     = strcontains(aws_msk_configuration.this[0].server_properties, "auto.create.topics.enable=false") && strcontains(aws_msk_configuration.this[0].server_properties, "min.insync.replicas=2")
    error_message = "Topics are made on purpose, and a record is safe with one broker gone."
  }
}

run "lake" {
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.lake.block_public_acls, aws_s3_bucket_public_access_block.lake.block_public_policy,
      aws_s3_bucket_public_access_block.lake.ignore_public_acls, aws_s3_bucket_public_access_block.lake.restrict_public_buckets,
    ])
    error_message = "The bucket is private."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "The bucket is encrypted."
  }

  assert {
    condition     = aws_s3_bucket_versioning.lake.versioning_configuration[0].status == "Enabled" && anytrue([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : try(rule.noncurrent_version_expiration[0].noncurrent_days == 7, false)])
    error_message = "Old versions are kept for a week and do not pile up."
  }

  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.lake_bucket.statement :
      statement.effect == "Deny" && contains(statement.actions, "s3:*") && anytrue([for condition in statement.condition : condition.variable == "aws:SecureTransport"])
    ])
    error_message = "The bucket refuses requests without TLS."
  }

  assert {
    condition     = !aws_s3_bucket.lake.force_destroy
    error_message = "Data is kept unless asked otherwise."
  }

  assert {
    condition     = aws_athena_workgroup.this.configuration[0].enforce_workgroup_configuration && aws_athena_workgroup.this.configuration[0].bytes_scanned_cutoff_per_query == 10737418240 && aws_athena_workgroup.this.configuration[0].engine_version[0].selected_engine_version == "Athena engine version 3"
    error_message = "The workgroup has a limit that holds, and the engine that reads Delta."
  }

  assert {
    condition     = setunion(keys(aws_athena_named_query.this), ["athena_create_database", "athena_create_table"]) == toset([for file in fileset("../sql", "*.sql") : trimsuffix(file, ".sql")]) && length(aws_athena_named_query.this) >= 6
    error_message = "Every query of sql/ is a saved one."
  }

  assert {
    condition     = alltrue([for query in aws_athena_named_query.this : strcontains(query.query, "FROM \"usage\"") && !strcontains(query.query, "FROM usage")])
    error_message = "Saved queries name the table as it is deployed."
  }
}

run "one_table_location" {
  assert {
    condition     = output.table_location == "s3://streamgauge-123456789012-eu-west-1/tables/usage"
    error_message = "The table lies under tables/ of the bucket."
  }

  assert {
    condition     = aws_glue_catalog_table.this.storage_descriptor[0].location == output.table_location && aws_glue_catalog_table.this.storage_descriptor[0].ser_de_info[0].parameters["path"] == output.table_location
    error_message = "The catalog points at it."
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "uri = \"${output.table_location}\"")
    error_message = "The program writes it."
  }

  assert {
    condition     = strcontains(aws_instance.host["consumer-1"].user_data, aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].key) && strcontains(aws_instance.host["consumer-1"].user_data, sha256(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content))
    error_message = "The host fetches those settings, and checks them."
  }

  assert {
    condition = contains(
      flatten([for statement in data.aws_iam_policy_document.lake["run"].statement : statement.resources if statement.sid == "Write"]),
      "arn:aws:s3:::${trimprefix(output.table_location, "s3://")}/*",
    )
    error_message = "The role may write it."
  }

  assert {
    condition     = endswith(trimspace(aws_athena_named_query.catalog_columns["catalog-columns-2-create"].query), "CREATE EXTERNAL TABLE `usage`\nLOCATION '${output.table_location}'\nTBLPROPERTIES ('table_type' = 'DELTA');")
    error_message = "The query that fills the catalog points at it."
  }
}

run "permissions" {
  assert {
    condition = alltrue([
      for statement in concat(
        flatten([for document in data.aws_iam_policy_document.lake : document.statement]),
        flatten([for document in data.aws_iam_policy_document.kafka : document.statement]),
        data.aws_iam_policy_document.operation.statement,
      ) : alltrue([for action in statement.actions : !strcontains(action, "*")])
    ])
    error_message = "No action of a role has a *."
  }

  # The one exception: AWS knows no resource for Session Manager's channels.
  assert {
    condition = alltrue([
      for statement in concat(
        flatten([for document in data.aws_iam_policy_document.lake : document.statement]),
        flatten([for document in data.aws_iam_policy_document.kafka : document.statement]),
        data.aws_iam_policy_document.operation.statement,
        ) : statement.sid == "SessionManagerChannels" ? (
        statement.resources == toset(["*"]) && alltrue([for action in statement.actions : startswith(action, "ssmmessages:")]) && length(statement.condition) == 1
      ) : alltrue([for resource in statement.resources : resource != "*" && !strcontains(trimsuffix(trimsuffix(resource, "/*"), ":*"), "*")])
    ])
    error_message = "No resource of a role is *, or has one but to end a prefix."
  }

  assert {
    condition = toset(flatten([for statement in data.aws_iam_policy_document.kafka["run"].statement : statement.resources])) == toset([
      "arn:aws:kafka:eu-west-1:123456789012:cluster/streamgauge/11111111-2222-3333-4444-555555555555-6",
      "arn:aws:kafka:eu-west-1:123456789012:topic/streamgauge/11111111-2222-3333-4444-555555555555-6/usage",
      "arn:aws:kafka:eu-west-1:123456789012:topic/streamgauge/11111111-2222-3333-4444-555555555555-6/usage.late",
      "arn:aws:kafka:eu-west-1:123456789012:topic/streamgauge/11111111-2222-3333-4444-555555555555-6/usage.dlq",
      "arn:aws:kafka:eu-west-1:123456789012:topic/streamgauge/11111111-2222-3333-4444-555555555555-6/anomaly",
      "arn:aws:kafka:eu-west-1:123456789012:topic/streamgauge/11111111-2222-3333-4444-555555555555-6/anomaly.feedback",
      "arn:aws:kafka:eu-west-1:123456789012:topic/streamgauge/11111111-2222-3333-4444-555555555555-6/anomaly.applied",
      "arn:aws:kafka:eu-west-1:123456789012:group/streamgauge/11111111-2222-3333-4444-555555555555-6/streamgauge",
      "arn:aws:kafka:eu-west-1:123456789012:group/streamgauge/11111111-2222-3333-4444-555555555555-6/streamgauge-detect",
      "arn:aws:kafka:eu-west-1:123456789012:transactional-id/streamgauge/11111111-2222-3333-4444-555555555555-6/streamgauge-consumer-1-table",
      "arn:aws:kafka:eu-west-1:123456789012:transactional-id/streamgauge/11111111-2222-3333-4444-555555555555-6/streamgauge-consumer-1-anomalies",
    ])
    error_message = "A consumer reaches exactly its topics, groups and transactions."
  }

  assert {
    condition = toset(flatten([for statement in data.aws_iam_policy_document.kafka["play"].statement : statement.resources])) == toset([
      "arn:aws:kafka:eu-west-1:123456789012:cluster/streamgauge/11111111-2222-3333-4444-555555555555-6",
      "arn:aws:kafka:eu-west-1:123456789012:topic/streamgauge/11111111-2222-3333-4444-555555555555-6/usage",
    ])
    error_message = "The producer writes to the topic of the readings, and to no other."
  }

  assert {
    condition = !anytrue([
      for resource in flatten([for statement in data.aws_iam_policy_document.lake["play"].statement : statement.resources]) : strcontains(resource, "/tables/") || strcontains(resource, "/state/")
    ])
    error_message = "The producer has no rights on the table."
  }

  assert {
    condition     = !strcontains(aws_s3_object.file["producer:/etc/streamgauge/streamgauge.toml"].content, "[table]")
    error_message = "The producer is told nothing of the table."
  }
}

run "hosts" {
  assert {
    condition     = toset(keys(aws_instance.host)) == toset(["consumer-1", "producer"])
    error_message = "One consumer and one producer."
  }

  assert {
    condition     = alltrue([for host in aws_instance.host : host.metadata_options[0].http_tokens == "required" && host.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "Instance metadata is for IMDSv2 only, and not for containers."
  }

  assert {
    condition     = alltrue([for host in aws_instance.host : host.root_block_device[0].encrypted && !host.associate_public_ip_address]) && length(aws_key_pair.this) == 0
    error_message = "Disks are encrypted; there is no public address and no key pair."
  }

  assert {
    condition     = aws_instance.host["consumer-1"].instance_type == "t3.small" && strcontains(data.aws_ssm_parameter.ami.name, "al2023-ami-kernel-default-x86_64")
    error_message = "Amazon Linux 2023 on x86 by default."
  }

  assert {
    condition     = alltrue([for host in aws_instance.host : strcontains(host.user_data, filesha256(var.release_archive))])
    error_message = "Each host checks the release's checksum."
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "transactional_id = \"streamgauge-consumer-1\"") && strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "auth = \"msk-iam\"")
    error_message = "The consumer logs in by IAM, under a name of its own."
  }

  assert {
    condition = strcontains(aws_s3_object.file["producer:/usr/local/libexec/streamgauge/claim-recording"].content, "key=claims/${substr(sha256(jsonencode([
      filesha256(var.recording.path), ["--accelerator", "12", "--tick", "1s"], "usage", aws_msk_cluster.this[0].arn,
    ])), 0, 16)}")
    error_message = "A recording is played once with these flags, into this topic, on this cluster."
  }

  assert {
    condition     = toset(keys(output.sessions)) == toset(["consumer-1", "producer"]) && startswith(output.sessions["consumer-1"], "aws ssm start-session")
    error_message = "The output says how to get to each."
  }
}

run "watching" {
  assert {
    condition     = alltrue([for group in concat([aws_cloudwatch_log_group.hosts], aws_cloudwatch_log_group.brokers, aws_cloudwatch_log_group.flow) : group.retention_in_days == 365 && group.kms_key_id != null])
    error_message = "Logs are encrypted, and end."
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == aws_kms_key.watching.arn && aws_sns_topic_subscription.email["you@example.org"].protocol == "email"
    error_message = "Alarms are encrypted, and reach somebody."
  }

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.dead_host)) == toset(["consumer-1", "producer"]) && toset(keys(aws_cloudwatch_metric_alarm.lag)) == toset(["table", "anomalies"])
    error_message = "Every host and both lags are watched."
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.no_commits.treat_missing_data == "breaching" &&
      alltrue([for alarm in aws_cloudwatch_metric_alarm.dead_host : alarm.treat_missing_data == "breaching"])
    )
    error_message = "Silence of a host is an alarm."
  }

  assert {
    condition = alltrue([
      for alarm in concat(
        [aws_cloudwatch_metric_alarm.no_commits, aws_cloudwatch_metric_alarm.dead_letters], aws_cloudwatch_metric_alarm.broker_disk,
        values(aws_cloudwatch_metric_alarm.lag), values(aws_cloudwatch_metric_alarm.dead_host),
      ) : alarm.alarm_actions == toset([aws_sns_topic.alarms.arn])
    ])
    error_message = "Every alarm goes to the topic."
  }

  assert {
    condition     = aws_kms_key.watching.enable_key_rotation
    error_message = "The key is rotated."
  }

  assert {
    condition = alltrue([
      for query in aws_cloudwatch_metric_alarm.lag["anomalies"].metric_query : query.id != "lag" ? true : (
        query.metric[0].namespace == "AWS/Kafka" && query.metric[0].dimensions["Consumer Group"] == "streamgauge-detect"
      )
    ])
    error_message = "On MSK, the lag is MSK's."
  }

  assert {
    condition     = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.region == "eu-west-1"])
    error_message = "The dashboard is about this region."
  }
}

run "nobody_told" {
  assert {
    condition     = length(aws_sns_topic.alerts) == 0 && length(aws_iam_role_policy.alerts) == 0 && length(aws_iam_role_policy.receiver_secrets) == 0 && length(aws_vpc_security_group_egress_rule.hosts_to_receivers) == 0
    error_message = "Without receivers there is no topic for them, and no right."
  }

  assert {
    condition = (
      length(aws_cloudwatch_metric_alarm.alerts_failing) == 0 && length(aws_cloudwatch_metric_alarm.alerts_given_up) == 0 &&
      alltrue([for filter in keys(aws_cloudwatch_log_metric_filter.this) : !startswith(filter, "Alerts")]) && !strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "Alerts")
    )
    error_message = "Nor is anything watched of them."
  }
}
