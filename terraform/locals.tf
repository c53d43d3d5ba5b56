data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition

  # The one place of the table: settings, role, catalog and outputs all take it from here.
  bucket         = coalesce(var.bucket_name, "${var.name}-${local.account}-${var.region}")
  table_prefix   = "tables/${var.table_name}"
  table_location = "s3://${local.bucket}/${local.table_prefix}"
  state_prefix   = "state/${var.table_name}"
  asset_prefix   = "assets"
  claim_prefix   = "claims"
  result_prefix  = "athena-results"

  # What each host is called, and which command it runs.
  hosts = merge(
    { for number in range(1, var.consumer_count + 1) : "consumer-${number}" => "run" },
    var.recording == null ? {} : { producer = "play" },
    var.collect_cloudwatch ? { collector = "collect" } : {},
  )

  auth        = var.create_cluster ? "iam" : var.existing_cluster.auth
  brokers     = var.create_cluster ? aws_msk_cluster.this[0].bootstrap_brokers_sasl_iam : var.existing_cluster.brokers
  cluster_arn = var.create_cluster ? aws_msk_cluster.this[0].arn : var.existing_cluster.cluster_arn

  # A cluster that is there already may lie elsewhere, where the network leads there.
  cluster_region = var.create_cluster ? var.region : try(split(":", local.cluster_arn)[3], null)

  broker_ports = var.create_cluster ? [9098] : distinct([
    for broker in split(",", var.existing_cluster.brokers) : tonumber(split(":", broker)[1])
  ])

  # Whether somebody is told of anomalies: the topic that the deployment has for it, or receivers of the user's; and the topics of
  # those that are told by SNS.
  receivers = { for section, values in var.settings : section => values if startswith(section, "alert.receiver.") }
  tells     = var.alerts != null || length(local.receivers) != 0
  sns_topics = concat(
    var.alerts == null ? [] : [local.alert_topic_arn],
    [for receiver in local.receivers : receiver.topic_arn if try(receiver.kind, "") == "sns" && can(receiver.topic_arn)],
  )

  groups = merge(
    { table = var.group, anomalies = "${var.group}-detect" },
    local.tells ? { alerts = "${var.group}-alert" } : {},
  )
  topics = {
    readings     = var.topic
    late         = "${var.topic}.late"
    dead_letters = "${var.topic}.dlq"
    anomalies    = var.anomaly_topic
    watermarks   = "${var.topic}.collector"
    alert_state  = "${var.anomaly_topic}.alerts"
    feedback     = "${var.anomaly_topic}.feedback"
    answers      = "${var.anomaly_topic}.applied"
  }
}
