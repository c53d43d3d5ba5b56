# What is applied to moto: hosts in a network made here, beside a Kafka that is there already.

region             = "eu-west-1"
collect_cloudwatch = true
recording          = { path = "tests/release/README.md" }
alarm_emails       = ["you@example.org"]
alerts             = { emails = ["you@example.org"] }
receiver_networks  = [{ cidr_block = "0.0.0.0/0", port = 443 }]
settings           = { "alert.receiver.ops" = { kind = "slack" }, "alert.receiver.on-call" = { kind = "pagerduty" } }
receiver_secrets = {
  ops     = { url = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf" }
  on-call = { routing_key = "arn:aws:ssm:eu-west-1:123456789012:parameter/streamgauge/pagerduty" }
}
create_cluster     = false
force_destroy      = true
bastion            = { allowed_cidr_blocks = ["203.0.113.7/32"], public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM6BSIHoaSNSFUrUd3XRs0pZu98EP+0rZkpUN+042HKt you" }
existing_cluster = {
  brokers     = "kafka.example.org:9096"
  auth        = "scram"
  secret_arn  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_readings-AbCdEf"
  cidr_blocks = ["10.1.0.0/16"]
}
