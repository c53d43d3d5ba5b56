# One rule per line of thought. DNS, time and instance metadata are link-local and pass without one.

resource "aws_security_group" "hosts" {
  name_prefix            = "${var.name}-hosts-"
  description            = "Hosts that run streamgauge"
  vpc_id                 = local.vpc_id
  revoke_rules_on_delete = true

  tags = { Name = "${var.name}-hosts" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "brokers" {
  count = var.create_cluster ? 1 : 0

  name_prefix            = "${var.name}-brokers-"
  description            = "Kafka brokers"
  vpc_id                 = local.vpc_id
  revoke_rules_on_delete = true

  tags = { Name = "${var.name}-brokers" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "endpoints" {
  count = local.make_network ? 1 : 0

  name_prefix            = "${var.name}-endpoints-"
  description            = "Interface endpoints of AWS services"
  vpc_id                 = local.vpc_id
  revoke_rules_on_delete = true

  tags = { Name = "${var.name}-endpoints" }

  lifecycle {
    create_before_destroy = true
  }
}

# ── Hosts to brokers ─────────────────────────────────────────────────────────────────────────────────────────────

locals {
  broker_group = var.create_cluster ? aws_security_group.brokers[0].id : try(var.existing_cluster.security_group_id, null)

  # With a security group the networks are not needed; a port and a target make a rule.
  to_broker_group = var.create_cluster || try(var.existing_cluster.security_group_id, null) != null
  to_broker_cidrs = local.to_broker_group ? {} : {
    for pair in setproduct(local.broker_ports, var.existing_cluster.cidr_blocks) :
    "${pair[0]} ${pair[1]}" => { port = pair[0], cidr = pair[1] }
  }
}

resource "aws_vpc_security_group_egress_rule" "hosts_to_brokers" {
  for_each = local.to_broker_group ? toset([for port in local.broker_ports : tostring(port)]) : []

  security_group_id            = aws_security_group.hosts.id
  description                  = "Kafka brokers"
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
  referenced_security_group_id = local.broker_group

  tags = { Name = "hosts-to-brokers-${each.key}" }
}

resource "aws_vpc_security_group_egress_rule" "hosts_to_broker_networks" {
  for_each = local.to_broker_cidrs

  security_group_id = aws_security_group.hosts.id
  description       = "Kafka brokers"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.cidr

  tags = { Name = "hosts-to-brokers-${each.value.port}" }
}

resource "aws_vpc_security_group_ingress_rule" "brokers_from_hosts" {
  count = var.create_cluster ? 1 : 0

  security_group_id            = aws_security_group.brokers[0].id
  description                  = "Kafka with IAM, from the hosts"
  ip_protocol                  = "tcp"
  from_port                    = 9098
  to_port                      = 9098
  referenced_security_group_id = aws_security_group.hosts.id

  tags = { Name = "brokers-from-hosts-9098" }
}

# ── Hosts to AWS ─────────────────────────────────────────────────────────────────────────────────────────────────

resource "aws_vpc_security_group_egress_rule" "hosts_to_s3" {
  count = local.make_network ? 1 : 0

  security_group_id = aws_security_group.hosts.id
  description       = "S3 over the gateway endpoint"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = aws_vpc_endpoint.s3[0].prefix_list_id

  tags = { Name = "hosts-to-s3" }
}

resource "aws_vpc_security_group_egress_rule" "hosts_to_endpoints" {
  count = local.make_network ? 1 : 0

  security_group_id            = aws_security_group.hosts.id
  description                  = "Systems Manager, CloudWatch Logs, Secrets Manager"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.endpoints[0].id

  tags = { Name = "hosts-to-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_from_hosts" {
  count = local.make_network ? 1 : 0

  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "AWS services, from the hosts"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.hosts.id

  tags = { Name = "endpoints-from-hosts" }
}

# In somebody else's network the endpoints, or the NAT, are theirs: their addresses are not known here.
resource "aws_vpc_security_group_egress_rule" "hosts_to_aws" {
  count = local.make_network ? 0 : 1

  security_group_id = aws_security_group.hosts.id
  description       = "AWS services, over the network's own endpoints or NAT"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"

  tags = { Name = "hosts-to-aws" }
}

# ── Hosts to receivers of alerts ─────────────────────────────────────────────────────────────────────────────────

resource "aws_vpc_security_group_egress_rule" "hosts_to_receivers" {
  for_each = { for network in var.receiver_networks : "${network.port} ${network.cidr_block}" => network }

  security_group_id = aws_security_group.hosts.id
  description       = "Receivers of alerts"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.cidr_block

  tags = { Name = "hosts-to-receivers-${each.value.port}" }
}
