# Numbers come from the log that the hosts ship anyway: the program writes JSON lines, and metric filters take numbers out
# of three of them. That is one agent with one file to watch, and nothing to scrape; what a line says of the past is in
# the log group, too. The lag of an MSK cluster is MSK's own, so that it is told also of a program that says nothing.

resource "aws_cloudwatch_log_group" "hosts" {
  name              = "/${var.name}/hosts"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.watching.arn
}

resource "aws_cloudwatch_log_group" "brokers" {
  count = var.create_cluster ? 1 : 0

  name              = "/${var.name}/brokers"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.watching.arn
}

resource "aws_cloudwatch_log_group" "flow" {
  count = local.make_network ? 1 : 0

  name              = "/${var.name}/rejected-traffic"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.watching.arn
}

# ── Numbers out of the log ───────────────────────────────────────────────────────────────────────────────────────

locals {
  metric_namespace = "streamgauge/${var.name}"

  # Name of the metric => lines it is taken from, the field, and whether it counts something.
  log_metrics = merge({
    Commits         = { pattern = "{ $.event = \"committed\" }", value = "1", counts = true }
    Consumed        = { pattern = "{ $.event = \"committed\" }", value = "$.consumed", counts = true }
    Late            = { pattern = "{ $.event = \"committed\" }", value = "$.late", counts = true }
    DeadLetters     = { pattern = "{ $.event = \"committed\" }", value = "$.dead_lettered", counts = true }
    TableBehind     = { pattern = "{ $.event = \"status\" && $.sink = \"table\" }", value = "$.behind", counts = false }
    AnomaliesBehind = { pattern = "{ $.event = \"status\" && $.sink = \"anomalies\" }", value = "$.behind", counts = false }
    SeriesRefused   = { pattern = "{ $.kind = \"too_many_series\" }", value = "1", counts = true }
    Errors          = { pattern = "{ $.level = \"ERROR\" }", value = "1", counts = true }
    }, local.tells ? {
    AlertsFailing = { pattern = "{ $.event = \"alert_failing\" }", value = "1", counts = true }
    AlertsGivenUp = { pattern = "{ $.event = \"alert_given_up\" }", value = "1", counts = true }
    AlertsBehind  = { pattern = "{ $.event = \"status\" && $.sink = \"alerts\" }", value = "$.behind", counts = false }
  } : {})

  # The lag of each sink in records, as MSK measures it, or the program where it is no MSK of this account and region.
  cluster_name = try(split("/", local.cluster_arn)[1], null)
  is_msk       = var.create_cluster || try(startswith(var.existing_cluster.cluster_arn, "arn:${local.partition}:kafka:${var.region}:${local.account}:"), false)
  lag = {
    for sink, read in local.read_by : sink => local.is_msk ? {
      namespace  = "AWS/Kafka"
      metric     = "SumOffsetLag"
      dimensions = { "Cluster Name" = local.cluster_name, "Consumer Group" = local.groups[sink], Topic = read.topic }
      } : {
      namespace  = local.metric_namespace
      metric     = read.metric
      dimensions = null
    }
  }

  # What each sink reads, and how many records of it may wait. Anomalies are few, and somebody waits to hear of each.
  read_by = merge(
    {
      table     = { topic = local.topics.readings, records = "readings", alarm_at = var.alarm_lag_records, metric = "TableBehind" }
      anomalies = { topic = local.topics.readings, records = "readings", alarm_at = var.alarm_lag_records, metric = "AnomaliesBehind" }
    },
    local.tells ? {
      alerts = { topic = local.topics.anomalies, records = "anomalies", alarm_at = min(100, var.alarm_lag_records), metric = "AlertsBehind" }
    } : {},
  )
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.log_metrics

  name           = each.key
  log_group_name = aws_cloudwatch_log_group.hosts.name
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.metric_namespace
    name      = each.key
    value     = each.value.value
    # A zero for every line that is none of these, so that an idle host's numbers are told from a silent one's.
    default_value = each.value.counts ? "0" : null
  }
}

# ── Where alarms go ──────────────────────────────────────────────────────────────────────────────────────────────

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = aws_kms_key.watching.arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "AlarmsOfThisDeployment"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:cloudwatch:${var.region}:${local.account}:alarm:${var.name}-*"]
    }
  }
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.alarm_emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

# ── Where anomalies are told to, if that is asked for ────────────────────────────────────────────────────────────

locals {
  alert_topic_arn = try(coalesce(var.alerts.topic_arn, one(aws_sns_topic.alerts[*].arn)), null)
}

resource "aws_sns_topic" "alerts" {
  count = var.alerts != null && try(var.alerts.topic_arn, null) == null ? 1 : 0

  name              = "${var.name}-alerts"
  kms_master_key_id = aws_kms_key.watching.arn
}

resource "aws_sns_topic_subscription" "alert_email" {
  for_each = length(aws_sns_topic.alerts) == 0 ? toset([]) : var.alerts.emails

  topic_arn = aws_sns_topic.alerts[0].arn
  protocol  = "email"
  endpoint  = each.key
}

# ── Alarms. What to do about each: docs/aws.md ───────────────────────────────────────────────────────────────────

# Readings wait, and nothing is committed. Silence is an alarm, too: an idle host says every minute that it is idle.
resource "aws_cloudwatch_metric_alarm" "no_commits" {
  alarm_name          = "${var.name}-no-commits"
  alarm_description   = "Readings wait, and the table has had no commit for 15 minutes."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 3
  datapoints_to_alarm = 3
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "stuck"
    label       = "Waiting without a commit"
    expression  = "IF(commits < 1 AND behind > 0, 1, 0)"
    return_data = true
  }

  metric_query {
    id = "commits"

    metric {
      namespace   = local.metric_namespace
      metric_name = "Commits"
      period      = 300
      stat        = "Sum"
    }
  }

  metric_query {
    id = "behind"

    metric {
      namespace   = local.metric_namespace
      metric_name = "TableBehind"
      period      = 300
      stat        = "Maximum"
    }
  }

  # Making a cluster takes half an hour in which nobody could say anything.
  depends_on = [aws_instance.host]
}

# Large and still growing: a consumer that catches up after a pause is no reason to wake anybody.
resource "aws_cloudwatch_metric_alarm" "lag" {
  for_each = local.lag

  alarm_name          = "${var.name}-lag-${each.key}"
  alarm_description   = "More than ${local.read_by[each.key].alarm_at} ${local.read_by[each.key].records} wait for the ${each.key}, and it is getting more."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 3
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "growing"
    label       = "Large and growing"
    expression  = "IF(lag > ${local.read_by[each.key].alarm_at} AND DIFF(lag) > 0, 1, 0)"
    return_data = true
  }

  metric_query {
    id = "lag"

    metric {
      namespace   = each.value.namespace
      metric_name = each.value.metric
      dimensions  = each.value.dimensions
      period      = 300
      stat        = "Maximum"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "Records that are no readings went to ${local.topics.dead_letters}."
  namespace           = local.metric_namespace
  metric_name         = "DeadLetters"
  statistic           = "Sum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

# Somebody makes up keys, or there are more meters than the settings allow for.
resource "aws_cloudwatch_metric_alarm" "too_many_series" {
  alarm_name          = "${var.name}-too-many-series"
  alarm_description   = "More series than detect.max_series, whose readings are not judged, or than window.max_series, whose readings are dead letters."
  namespace           = local.metric_namespace
  metric_name         = "SeriesRefused"
  statistic           = "Sum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

# Somebody is not told yet: a receiver takes nothing. The log says so every ten minutes, so that fifteen are the shortest time in which
# silence means that it takes messages again.
resource "aws_cloudwatch_metric_alarm" "alerts_failing" {
  count = local.tells ? 1 : 0

  alarm_name          = "${var.name}-alerts-failing"
  alarm_description   = "A receiver of alerts has taken no message for 5 minutes or more; they wait."
  namespace           = local.metric_namespace
  metric_name         = "AlertsFailing"
  statistic           = "Sum"
  period              = 900
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# Somebody was not told, and will not be.
resource "aws_cloudwatch_metric_alarm" "alerts_given_up" {
  count = local.tells ? 1 : 0

  alarm_name          = "${var.name}-alerts-given-up"
  alarm_description   = "A message to a receiver of alerts was refused, or waited for too long, and is not sent any more."
  namespace           = local.metric_namespace
  metric_name         = "AlertsGivenUp"
  statistic           = "Sum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

# EC2 recovers a host from a fault of its hardware by itself (hosts.tf); this says that it had to, or could not.
resource "aws_cloudwatch_metric_alarm" "dead_host" {
  for_each = local.hosts

  alarm_name          = "${var.name}-dead-host-${each.key}"
  alarm_description   = "The host ${each.key} fails EC2's checks, or is gone."
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { InstanceId = aws_instance.host[each.key].id }
  statistic           = "Maximum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 2
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# A broker with a full disk takes nothing more.
resource "aws_cloudwatch_metric_alarm" "broker_disk" {
  count = var.create_cluster ? 1 : 0

  alarm_name          = "${var.name}-broker-disk"
  alarm_description   = "A broker's disk is more than 80 % full."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 80
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "fullest"
    label       = "Fullest disk"
    expression  = "MAX([broker1, broker2, broker3])"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = ["1", "2", "3"]

    content {
      id = "broker${metric_query.value}"

      metric {
        namespace   = "AWS/Kafka"
        metric_name = "KafkaDataLogsDiskUsed"
        dimensions  = { "Cluster Name" = var.name, "Broker ID" = metric_query.value }
        period      = 300
        stat        = "Maximum"
      }
    }
  }
}
