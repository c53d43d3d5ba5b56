# What the mocked provider answers where a random string would not do. Account, region and ids are made up.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_availability_zones" {
  defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] }
}

mock_data "aws_ssm_parameter" {
  defaults = { insecure_value = "ami-0123456789abcdef0" }
}

# A mock does not render documents: the tests look at their statements.
mock_data "aws_iam_policy_document" {
  defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
}

mock_resource "aws_msk_cluster" {
  defaults = {
    arn                        = "arn:aws:kafka:eu-west-1:123456789012:cluster/streamgauge/11111111-2222-3333-4444-555555555555-6"
    bootstrap_brokers_sasl_iam = "b-1.streamgauge.abcdef.c6.kafka.eu-west-1.amazonaws.com:9098,b-2.streamgauge.abcdef.c6.kafka.eu-west-1.amazonaws.com:9098"
  }
}

mock_resource "aws_msk_configuration" {
  defaults = { arn = "arn:aws:kafka:eu-west-1:123456789012:configuration/streamgauge/1" }
}

mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/streamgauge/hosts" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/streamgauge" }
}

mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::streamgauge-123456789012-eu-west-1" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:streamgauge-alarms" }
}

mock_resource "aws_vpc" {
  defaults = { id = "vpc-0123456789abcdef0" }
}

mock_resource "aws_vpc_endpoint" {
  defaults = { prefix_list_id = "pl-01234567" }
}

mock_resource "aws_instance" {
  defaults = { id = "i-0123456789abcdef0" }
}
