# What a host may do: what its command needs, on exactly this bucket's prefixes, this cluster, these topics and groups.
# A "*" stands alone in one statement, where AWS knows no resource; elsewhere it only ends a prefix.

locals {
  commands = toset(values(local.hosts))

  # What each command does with S3: which prefixes it lists, and what it does under each.
  lake_access = {
    run = {
      list  = [local.table_prefix, local.state_prefix]
      read  = [local.asset_prefix, local.table_prefix, local.state_prefix]
      write = [local.table_prefix, local.state_prefix]
    }
    play = {
      list  = [local.claim_prefix]
      read  = [local.asset_prefix, local.claim_prefix]
      write = [local.claim_prefix]
    }
    collect = {
      list  = []
      read  = [local.asset_prefix]
      write = []
    }
  }

  # Actions on topics, by command. DescribeTopic goes with all of them, and CreateTopic: the program makes missing topics.
  topic_access = {
    run = {
      "kafka-cluster:ReadData" = concat(
        # The live page shows anomalies, and what people say of them; detectors learn from that, each answer at its place.
        [local.topics.readings, local.topics.anomalies, local.topics.feedback, local.topics.answers],
        local.tells ? [local.topics.alert_state] : [],
      )
      "kafka-cluster:WriteData" = concat(
        # Who opens the live page, or has a shell on a host, says there what an anomaly was, and silences series.
        [local.topics.late, local.topics.dead_letters, local.topics.anomalies, local.topics.feedback, local.topics.answers],
        local.tells ? [local.topics.alert_state] : [],
      )
    }
    play = {
      "kafka-cluster:WriteData" = [local.topics.readings]
    }
    collect = {
      "kafka-cluster:ReadData"  = [local.topics.watermarks]
      "kafka-cluster:WriteData" = [local.topics.readings, local.topics.watermarks]
    }
  }

  # A transaction for each sink of a host that runs. Each is named after the host. The collector's is named after what it
  # collects, in whichever namespace.
  transactions = {
    run = flatten([
      for host, command in local.hosts : [for sink in keys(local.groups) : "${var.name}-${host}-${sink}"]
      if command == "run"
    ])
    play    = []
    collect = ["streamgauge-collect-${local.topics.readings}-${var.region}-*"]
  }

  bucket_arn = "arn:${local.partition}:s3:::${local.bucket}"
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "host" {
  for_each = local.commands

  name               = "${var.name}-${each.key}-${var.region}"
  description        = "Hosts that do `streamgauge ${each.key}`"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_instance_profile" "host" {
  for_each = local.commands

  name = "${var.name}-${each.key}-${var.region}"
  role = aws_iam_role.host[each.key].name
}

# ── The bucket ───────────────────────────────────────────────────────────────────────────────────────────────────

data "aws_iam_policy_document" "lake" {
  for_each = local.commands

  dynamic "statement" {
    for_each = length(local.lake_access[each.key].list) == 0 ? [] : [local.lake_access[each.key].list]

    content {
      sid       = "List"
      actions   = ["s3:ListBucket"]
      resources = [local.bucket_arn]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = flatten([for prefix in statement.value : [prefix, "${prefix}/*"]])
      }
    }
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = [for prefix in local.lake_access[each.key].read : "${local.bucket_arn}/${prefix}/*"]
  }

  dynamic "statement" {
    for_each = length(local.lake_access[each.key].write) == 0 ? [] : [local.lake_access[each.key].write]

    content {
      sid       = "Write"
      actions   = each.key == "run" ? ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"] : ["s3:PutObject"]
      resources = [for prefix in statement.value : "${local.bucket_arn}/${prefix}/*"]
    }
  }

  dynamic "statement" {
    for_each = var.lake_kms_key_arn == null ? [] : [var.lake_kms_key_arn]

    content {
      sid       = "LakeKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role_policy" "lake" {
  for_each = local.commands

  name   = "lake"
  role   = aws_iam_role.host[each.key].id
  policy = data.aws_iam_policy_document.lake[each.key].json
}

# ── Kafka, where IAM decides about it ────────────────────────────────────────────────────────────────────────────

data "aws_iam_policy_document" "kafka" {
  for_each = local.auth == "iam" ? local.commands : toset([])

  statement {
    sid       = "Cluster"
    actions   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster", "kafka-cluster:WriteDataIdempotently"]
    resources = [local.cluster_arn]
  }

  statement {
    sid     = "Topics"
    actions = ["kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration"]
    resources = [
      for topic in distinct(flatten(values(local.topic_access[each.key]))) :
      "${replace(local.cluster_arn, ":cluster/", ":topic/")}/${topic}"
    ]
  }

  dynamic "statement" {
    for_each = local.topic_access[each.key]

    content {
      sid       = trimprefix(statement.key, "kafka-cluster:")
      actions   = [statement.key]
      resources = [for topic in statement.value : "${replace(local.cluster_arn, ":cluster/", ":topic/")}/${topic}"]
    }
  }

  dynamic "statement" {
    for_each = each.key == "run" ? [local.groups] : []

    content {
      sid       = "Groups"
      actions   = ["kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"]
      resources = [for group in values(statement.value) : "${replace(local.cluster_arn, ":cluster/", ":group/")}/${group}"]
    }
  }

  dynamic "statement" {
    for_each = length(local.transactions[each.key]) == 0 ? [] : [local.transactions[each.key]]

    content {
      sid       = "Transactions"
      actions   = ["kafka-cluster:DescribeTransactionalId", "kafka-cluster:AlterTransactionalId"]
      resources = [for id in statement.value : "${replace(local.cluster_arn, ":cluster/", ":transactional-id/")}/${id}"]
    }
  }
}

resource "aws_iam_role_policy" "kafka" {
  for_each = local.auth == "iam" ? local.commands : toset([])

  name   = "kafka"
  role   = aws_iam_role.host[each.key].id
  policy = data.aws_iam_policy_document.kafka[each.key].json
}

# ── CloudWatch, for the collector ────────────────────────────────────────────────────────────────────────────────

# AWS defines no resource for these two, so it must be "*". They read metrics, and change nothing.
data "aws_iam_policy_document" "cloudwatch" {
  #checkov:skip=CKV_AWS_356:AWS has no resource for reading metrics.
  statement {
    sid       = "Metrics"
    actions   = ["cloudwatch:GetMetricData", "cloudwatch:ListMetrics"]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "cloudwatch" {
  for_each = setintersection(local.commands, ["collect"])

  name   = "cloudwatch"
  role   = aws_iam_role.host[each.key].id
  policy = data.aws_iam_policy_document.cloudwatch.json
}

# ── The credentials of an existing Kafka ─────────────────────────────────────────────────────────────────────────

data "aws_iam_policy_document" "secret" {
  for_each = try(var.existing_cluster.secret_arn, null) == null ? toset([]) : toset(["secret"])

  statement {
    sid       = "Secret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.existing_cluster.secret_arn]
  }

  dynamic "statement" {
    for_each = var.existing_cluster.secret_kms_key_arn == null ? [] : [var.existing_cluster.secret_kms_key_arn]

    content {
      sid       = "SecretKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${var.region}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role_policy" "secret" {
  for_each = try(var.existing_cluster.secret_arn, null) == null ? toset([]) : local.commands

  name   = "secret"
  role   = aws_iam_role.host[each.key].id
  policy = data.aws_iam_policy_document.secret["secret"].json
}

# ── Receivers of alerts: SNS topics, and secrets ─────────────────────────────────────────────────────────────────

data "aws_iam_policy_document" "alerts" {
  for_each = length(local.sns_topics) == 0 ? toset([]) : toset(["alerts"])

  statement {
    sid       = "Tell"
    actions   = ["sns:Publish"]
    resources = local.sns_topics
  }

  # That of a topic which is there already decides by itself who may use it.
  dynamic "statement" {
    for_each = aws_sns_topic.alerts

    content {
      sid       = "TellUnderTheKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [aws_kms_key.watching.arn]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["sns.${var.region}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role_policy" "alerts" {
  for_each = length(local.sns_topics) == 0 ? toset([]) : setintersection(local.commands, ["run"])

  name   = "alerts"
  role   = aws_iam_role.host[each.key].id
  policy = data.aws_iam_policy_document.alerts["alerts"].json
}

locals {
  receiver_secret_arns = toset(flatten([for secrets in values(var.receiver_secrets) : values(secrets)]))

  # By the service that has them.
  receiver_secrets = {
    for service in ["secretsmanager", "ssm"] : service => [for arn in local.receiver_secret_arns : arn if split(":", arn)[2] == service]
  }
}

data "aws_iam_policy_document" "receiver_secrets" {
  for_each = length(var.receiver_secrets) == 0 ? toset([]) : toset(["secrets"])

  dynamic "statement" {
    for_each = { for service, arns in local.receiver_secrets : service => arns if length(arns) != 0 }

    content {
      sid       = statement.key == "ssm" ? "ReceiverParameters" : "ReceiverSecrets"
      actions   = [statement.key == "ssm" ? "ssm:GetParameter" : "secretsmanager:GetSecretValue"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(var.receiver_secrets_kms_key_arns) == 0 ? [] : [var.receiver_secrets_kms_key_arns]

    content {
      sid       = "ReceiverSecretKeys"
      actions   = ["kms:Decrypt"]
      resources = statement.value

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [for service, arns in local.receiver_secrets : "${service}.${var.region}.amazonaws.com" if length(arns) != 0]
      }
    }
  }
}

resource "aws_iam_role_policy" "receiver_secrets" {
  for_each = length(var.receiver_secrets) == 0 ? toset([]) : setintersection(local.commands, ["run"])

  name   = "receiver-secrets"
  role   = aws_iam_role.host[each.key].id
  policy = data.aws_iam_policy_document.receiver_secrets["secrets"].json
}

# ── Logs, and a way in ───────────────────────────────────────────────────────────────────────────────────────────

data "aws_iam_policy_document" "operation" {
  #checkov:skip=CKV_AWS_356:Session Manager's channels have no resource to name; the statement says so and is bound to instances of this account.
  #checkov:skip=CKV_AWS_111:As above: opening a channel of one's own is what counts as writing there.
  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.hosts.arn}:*"]
  }

  statement {
    sid       = "SessionManagerAgent"
    actions   = ["ssm:UpdateInstanceInformation"]
    resources = ["arn:${local.partition}:ec2:${var.region}:${local.account}:instance/*"]
  }

  # AWS defines no resource for these four, so it must be "*". The condition leaves the credentials of no use outside
  # an instance of this account and region.
  statement {
    sid       = "SessionManagerChannels"
    resources = ["*"]

    actions = [
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]

    condition {
      test     = "ArnLike"
      variable = "ec2:SourceInstanceARN"
      values   = ["arn:${local.partition}:ec2:${var.region}:${local.account}:instance/*"]
    }
  }
}

resource "aws_iam_role_policy" "operation" {
  for_each = local.commands

  name   = "operation"
  role   = aws_iam_role.host[each.key].id
  policy = data.aws_iam_policy_document.operation.json
}

# ── Flow logs ────────────────────────────────────────────────────────────────────────────────────────────────────

data "aws_iam_policy_document" "flow_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "flow" {
  count = local.make_network ? 1 : 0

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.flow[0].arn}:*"]
  }
}

resource "aws_iam_role" "flow" {
  count = local.make_network ? 1 : 0

  name               = "${var.name}-flow-${var.region}"
  description        = "Flow logs of the VPC ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.flow_trust.json
}

resource "aws_iam_role_policy" "flow" {
  count = local.make_network ? 1 : 0

  name   = "logs"
  role   = aws_iam_role.flow[0].id
  policy = data.aws_iam_policy_document.flow[0].json
}
