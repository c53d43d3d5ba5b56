# The hosts: consumers, a producer if there is a recording to play, and a collector if one is asked for. Nothing on a host has to be kept: a change of
# its release or configuration replaces it, and the new one goes on from the table.

data "aws_ssm_parameter" "ami" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${var.architecture}"
}

locals {
  instance_type = coalesce(var.instance_type, var.architecture == "arm64" ? "t4g.small" : "t3.small")

  # Authorities to trust: the public ones of Amazon Linux, or those given.
  ca_file = try(var.existing_cluster.ca_certificate_pem, null) == null ? "/etc/pki/tls/certs/ca-bundle.crt" : "/etc/streamgauge/ca.pem"

  kafka_properties = {
    iam   = {}
    scram = { "security.protocol" = "SASL_SSL", "sasl.mechanisms" = "SCRAM-SHA-512" }
    tls   = { "security.protocol" = "SSL" }
  }

  # What the deployment decides, by section, before var.settings.
  decided = merge({
    kafka = merge(
      {
        brokers    = local.brokers
        topic      = local.topics.readings
        group      = local.groups.table
        partitions = var.partitions
      },
      local.auth == "iam" ? { auth = "msk-iam", aws_region = local.cluster_region } : {},
    )
    # Brokers of kafka.t3.small take four new connections a second from IAM clients.
    "kafka.properties" = merge(
      { "ssl.ca.location" = local.ca_file, "reconnect.backoff.ms" = "1000" },
      local.kafka_properties[local.auth],
    )
    table  = { uri = local.table_location, name = var.table_name }
    detect = { anomaly_topic = local.topics.anomalies, state_uri = "s3://${local.bucket}/${local.state_prefix}" }
    http   = { listen = "127.0.0.1:9464" }
    log    = { format = "json" }
    },
    var.collect_cloudwatch ? { "collect.cloudwatch" = { region = var.region } } : {},
    {
      for receiver, secrets in var.receiver_secrets : "alert.receiver.${receiver}" => {
        for name in keys(secrets) : "${name}_file" => "/run/streamgauge-receivers/${receiver}.${name}"
      }
    },
    var.alerts == null ? {} : { "alert.receiver.sns" = merge({ kind = "sns", topic_arn = local.alert_topic_arn }, var.alerts.route) },
  )

  # What a host that does not run `streamgauge run` is told; those that do are told all but the collector's.
  told = {
    play    = ["kafka", "kafka.properties", "log"]
    collect = ["kafka", "kafka.properties", "log", "http", "commit", "collect.cloudwatch"]
  }

  settings = {
    for section in setunion(keys(local.decided), keys(var.settings)) :
    section => merge(try(local.decided[section], {}), try(var.settings[section], {}))
  }

  recording = var.recording == null ? null : {
    key    = "${local.asset_prefix}/recording-${substr(filesha256(var.recording.path), 0, 16)}.csv"
    sha256 = filesha256(var.recording.path)
    flags = flatten([
      for flag, value in {
        "--time-column"  = var.recording.time_column
        "--value-column" = var.recording.value_column
        "--key-column"   = var.recording.key_column
        "--from"         = var.recording.from
        "--until"        = var.recording.until
        "--step"         = var.recording.step
        "--accelerator"  = var.recording.accelerator
        "--tick"         = var.recording.tick
      } : [flag, tostring(value)] if value != null
    ])
  }
}

# What lies on each host, as text.
module "host" {
  source   = "./modules/host"
  for_each = local.hosts

  name         = each.key
  command      = each.value
  region       = var.region
  bucket       = local.bucket
  asset_prefix = local.asset_prefix
  log_group    = aws_cloudwatch_log_group.hosts.name

  archive = {
    key    = "${local.asset_prefix}/${basename(var.release_archive)}"
    sha256 = filesha256(var.release_archive)
  }

  # Producer and collector are told nothing of the table, which they have no rights on.
  settings = {
    for section, values in merge(local.settings, {
      kafka = merge(local.settings.kafka, each.value == "run" ? { transactional_id = "${var.name}-${each.key}" } : {})
    }) : section => values if each.value == "run" ? section != "collect.cloudwatch" : contains(local.told[each.value], section)
  }

  # The same recording with other flags, into another topic or on another cluster, is another thing to play.
  recording = each.value == "play" ? merge(local.recording, {
    claim = "${local.claim_prefix}/${substr(sha256(jsonencode([
      local.recording.sha256, local.recording.flags, var.topic, coalesce(local.cluster_arn, local.brokers),
    ])), 0, 16)}"
  }) : null
  credentials        = try(var.existing_cluster.secret_arn, null) == null ? null : { auth = local.auth, secret_arn = var.existing_cluster.secret_arn }
  receiver_secrets   = each.value == "run" ? merge([for receiver, secrets in var.receiver_secrets : { for name, arn in secrets : "${receiver}.${name}" => arn }]...) : {}
  ca_certificate_pem = try(var.existing_cluster.ca_certificate_pem, null)
}

resource "aws_instance" "host" {
  for_each = local.hosts

  ami                         = data.aws_ssm_parameter.ami.insecure_value
  instance_type               = local.instance_type
  subnet_id                   = local.host_subnet
  vpc_security_group_ids      = [aws_security_group.hosts.id]
  iam_instance_profile        = aws_iam_instance_profile.host[each.value].name
  key_name                    = var.bastion == null ? null : aws_key_pair.this["bastion"].key_name
  associate_public_ip_address = false
  ebs_optimized               = true
  monitoring                  = true

  user_data                   = module.host[each.key].user_data
  user_data_replace_on_change = true

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  maintenance_options {
    auto_recovery = "default"
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
    volume_size = 10
  }

  tags        = { Name = "${var.name}-${each.key}" }
  volume_tags = { Name = "${var.name}-${each.key}" }

  # A host installs itself at its first start, so everything that needs has to be there before.
  depends_on = [
    aws_iam_role_policy.alerts,
    aws_iam_role_policy.cloudwatch,
    aws_iam_role_policy.kafka,
    aws_iam_role_policy.lake,
    aws_iam_role_policy.operation,
    aws_iam_role_policy.receiver_secrets,
    aws_iam_role_policy.secret,
    aws_route_table_association.hosts,
    aws_s3_object.file,
    aws_s3_object.recording,
    aws_s3_object.release,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_egress_rule.hosts_to_aws,
    aws_vpc_security_group_egress_rule.hosts_to_broker_networks,
    aws_vpc_security_group_egress_rule.hosts_to_brokers,
    aws_vpc_security_group_egress_rule.hosts_to_endpoints,
    aws_vpc_security_group_egress_rule.hosts_to_receivers,
    aws_vpc_security_group_egress_rule.hosts_to_s3,
    aws_vpc_security_group_ingress_rule.brokers_from_hosts,
    aws_vpc_security_group_ingress_rule.endpoints_from_hosts,
  ]

  # A newer image is for the next host; to take it, replace: terraform apply -replace='aws_instance.host["consumer-1"]'.
  lifecycle {
    ignore_changes = [ami]
  }
}
