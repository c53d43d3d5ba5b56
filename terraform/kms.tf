# The key for alarms, alerts and logs: what does not outlive the deployment. CloudWatch cannot publish to a topic under the
# account's own SNS key, so there has to be one. The data is not under it: see var.lake_kms_key_arn.

resource "aws_kms_key" "watching" {
  description             = "${var.name}: logs and alarms"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy                  = data.aws_iam_policy_document.watching_key.json
}

resource "aws_kms_alias" "watching" {
  name          = "alias/${var.name}-watching"
  target_key_id = aws_kms_key.watching.key_id
}

data "aws_iam_policy_document" "watching_key" {
  #checkov:skip=CKV_AWS_109:In a key's policy "*" is that key; the account's root delegates to IAM policies, as in AWS' default key policy.
  #checkov:skip=CKV_AWS_111:As above.
  #checkov:skip=CKV_AWS_356:As above.
  statement {
    sid       = "AccountByIamPolicies"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }

  statement {
    sid       = "LogGroupsOfThisDeployment"
    resources = ["*"]

    actions = [
      "kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo",
      "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey",
    ]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${local.partition}:logs:${var.region}:${local.account}:log-group:/${var.name}/*"]
    }
  }

  statement {
    sid       = "AlarmsOfThisDeployment"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:cloudwatch:${var.region}:${local.account}:alarm:${var.name}-*"]
    }
  }
}
