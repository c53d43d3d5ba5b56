# Nothing in this network has a way to the internet, or from it, unless a bastion is asked for. The hosts reach S3 over a
# gateway endpoint (which is also where Amazon Linux has its packages) and a few AWS services over interface endpoints.

data "aws_availability_zones" "available" {
  count = local.make_network ? 1 : 0

  state            = "available"
  exclude_zone_ids = ["use1-az3"] # has neither MSK nor the hosts' instance types

  # Local zones have no MSK.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  make_network = var.existing_network == null

  vpc_id      = local.make_network ? aws_vpc.this[0].id : var.existing_network.vpc_id
  host_subnet = local.make_network ? aws_subnet.hosts[0].id : var.existing_network.subnet_id

  # Sixteen equal parts: three for the brokers, one for the hosts, the last for the bastion.
  zone_names   = local.make_network ? data.aws_availability_zones.available[0].names : []
  zones        = slice(local.zone_names, 0, min(3, length(local.zone_names)))
  broker_zones = var.create_cluster ? local.zones : []

  endpoint_services = !local.make_network ? [] : concat(
    ["ssm", "ssmmessages", "logs"],
    try(var.existing_cluster.secret_arn, null) == null && length(local.receiver_secrets.secretsmanager) == 0 ? [] : ["secretsmanager"],
    var.collect_cloudwatch ? ["monitoring"] : [],
    length(local.sns_topics) == 0 ? [] : ["sns"],
  )
}

resource "aws_vpc" "this" {
  count = local.make_network ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# Without rules, so that whatever is put into it by mistake reaches nothing.
resource "aws_default_security_group" "this" {
  count = local.make_network ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-default-closed" }
}

resource "aws_subnet" "brokers" {
  count = length(local.broker_zones)

  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = local.broker_zones[count.index]
  cidr_block              = cidrsubnet(var.vpc_cidr, 4, count.index)
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-brokers-${count.index + 1}" }
}

resource "aws_subnet" "hosts" {
  count = local.make_network ? 1 : 0

  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = local.zones[0]
  cidr_block              = cidrsubnet(var.vpc_cidr, 4, 8)
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-hosts" }
}

# Only the local route and, through the gateway endpoint, S3.
resource "aws_route_table" "private" {
  count = local.make_network ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-private" }
}

resource "aws_route_table_association" "brokers" {
  count = length(local.broker_zones)

  subnet_id      = aws_subnet.brokers[count.index].id
  route_table_id = aws_route_table.private[0].id
}

resource "aws_route_table_association" "hosts" {
  count = local.make_network ? 1 : 0

  subnet_id      = aws_subnet.hosts[0].id
  route_table_id = aws_route_table.private[0].id
}

# ── Endpoints ────────────────────────────────────────────────────────────────────────────────────────────────────

resource "aws_vpc_endpoint" "s3" {
  count = local.make_network ? 1 : 0

  vpc_id            = aws_vpc.this[0].id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private[0].id]
  policy            = data.aws_iam_policy_document.s3_endpoint.json

  tags = { Name = "${var.name}-s3" }
}

# What may be reached in S3 at all, whoever asks: this bucket, and the packages of Amazon Linux.
data "aws_iam_policy_document" "s3_endpoint" {
  #checkov:skip=CKV_AWS_283:An endpoint's policy limits and grants nothing: what a host may do is its role's to say. It is bound to this account, and to one public bucket.
  statement {
    sid       = "Lake"
    actions   = ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["arn:${local.partition}:s3:::${local.bucket}", "arn:${local.partition}:s3:::${local.bucket}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [local.account]
    }
  }

  # Requests for packages are not signed, so there is no principal to ask for.
  statement {
    sid       = "AmazonLinuxPackages"
    actions   = ["s3:GetObject"]
    resources = ["arn:${local.partition}:s3:::al2023-repos-${var.region}-de612dc2/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = toset(local.endpoint_services)

  vpc_id              = aws_vpc.this[0].id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = [aws_subnet.hosts[0].id]
  security_group_ids  = [aws_security_group.endpoints[0].id]
  private_dns_enabled = true

  tags = { Name = "${var.name}-${each.key}" }
}

# ── What was refused ─────────────────────────────────────────────────────────────────────────────────────────────

resource "aws_flow_log" "rejected" {
  count = local.make_network ? 1 : 0

  vpc_id          = aws_vpc.this[0].id
  traffic_type    = "REJECT"
  log_destination = aws_cloudwatch_log_group.flow[0].arn
  iam_role_arn    = aws_iam_role.flow[0].arn

  tags = { Name = "${var.name}-rejected" }
}
