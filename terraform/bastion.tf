# The way in by SSH, for those who cannot use Session Manager. Made only if var.bastion is set, and with it the only
# route to the internet in this network.

locals {
  bastion = var.bastion == null ? toset([]) : toset(["bastion"])
}

resource "aws_internet_gateway" "this" {
  for_each = local.bastion

  vpc_id = aws_vpc.this[0].id

  tags = { Name = var.name }
}

resource "aws_subnet" "bastion" {
  for_each = local.bastion

  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = local.zones[0]
  cidr_block              = cidrsubnet(var.vpc_cidr, 4, 15)
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-bastion" }
}

resource "aws_route_table" "bastion" {
  for_each = local.bastion

  vpc_id = aws_vpc.this[0].id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this["bastion"].id
  }

  tags = { Name = "${var.name}-bastion" }
}

resource "aws_route_table_association" "bastion" {
  for_each = local.bastion

  subnet_id      = aws_subnet.bastion["bastion"].id
  route_table_id = aws_route_table.bastion["bastion"].id
}

resource "aws_security_group" "bastion" {
  #checkov:skip=CKV2_AWS_5:The bastion below has it; checkov does not follow for_each.
  for_each = local.bastion

  name_prefix            = "${var.name}-bastion-"
  description            = "Bastion"
  vpc_id                 = local.vpc_id
  revoke_rules_on_delete = true

  tags = { Name = "${var.name}-bastion" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "bastion_from_people" {
  for_each = var.bastion == null ? toset([]) : toset(var.bastion.allowed_cidr_blocks)

  security_group_id = aws_security_group.bastion["bastion"].id
  description       = "SSH from ${each.key}"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = each.key

  tags = { Name = "bastion-from-people" }
}

resource "aws_vpc_security_group_egress_rule" "bastion_to_hosts" {
  for_each = local.bastion

  security_group_id            = aws_security_group.bastion["bastion"].id
  description                  = "SSH to the hosts"
  ip_protocol                  = "tcp"
  from_port                    = 22
  to_port                      = 22
  referenced_security_group_id = aws_security_group.hosts.id

  tags = { Name = "bastion-to-hosts" }
}

resource "aws_vpc_security_group_ingress_rule" "hosts_from_bastion" {
  #checkov:skip=CKV_AWS_24:From the bastion's security group only; checkov takes a rule without addresses for one with all.
  for_each = local.bastion

  security_group_id            = aws_security_group.hosts.id
  description                  = "SSH from the bastion"
  ip_protocol                  = "tcp"
  from_port                    = 22
  to_port                      = 22
  referenced_security_group_id = aws_security_group.bastion["bastion"].id

  tags = { Name = "hosts-from-bastion" }
}

resource "aws_key_pair" "this" {
  for_each = local.bastion

  key_name_prefix = "${var.name}-"
  public_key      = var.bastion.public_key
}

resource "aws_instance" "bastion" {
  #checkov:skip=CKV_AWS_88:A bastion is what has the public address, so that nothing else needs one.
  #checkov:skip=CKV2_AWS_41:It passes SSH on and calls no AWS service, so it gets no role.
  #checkov:skip=CKV_AWS_126:It does no work that detailed monitoring would tell anything about.
  for_each = local.bastion

  ami                         = data.aws_ssm_parameter.ami.insecure_value
  instance_type               = var.architecture == "arm64" ? "t4g.nano" : "t3.nano"
  subnet_id                   = aws_subnet.bastion["bastion"].id
  vpc_security_group_ids      = [aws_security_group.bastion["bastion"].id]
  key_name                    = aws_key_pair.this["bastion"].key_name
  associate_public_ip_address = true
  ebs_optimized               = true

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
    volume_size = 8
  }

  tags        = { Name = "${var.name}-bastion" }
  volume_tags = { Name = "${var.name}-bastion" }

  # A newer image is for the next bastion, not a reason to replace this one.
  lifecycle {
    ignore_changes = [ami]
  }
}
