# Who is told of anomalies, and what the hosts may do for it. That there is nothing of it by default: default.tftest.hcl.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  region          = "eu-west-1"
  release_archive = "tests/release/streamgauge-0.0.0-x86_64-unknown-linux-gnu.tar.gz"
}

run "a_topic_of_their_own" {
  variables {
    alerts = { emails = ["ops@example.com"], route = { min_severity = "critical" } }
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "[alert.receiver.sns]\nkind = \"sns\"\nmin_severity = \"critical\"\ntopic_arn = \"${aws_sns_topic.alerts[0].arn}\"")
    error_message = "The program tells the topic, on the route that was asked for."
  }

  assert {
    condition     = aws_sns_topic.alerts[0].name == "streamgauge-alerts" && aws_sns_topic.alerts[0].kms_master_key_id == aws_kms_key.watching.arn && output.alert_topic_arn == aws_sns_topic.alerts[0].arn
    error_message = "There is a topic, encrypted."
  }

  assert {
    condition     = keys(aws_sns_topic_subscription.alert_email) == ["ops@example.com"] && length(aws_sns_topic_subscription.email) == 0
    error_message = "Alerts go to those who are named for alerts."
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["ssm", "ssmmessages", "logs", "sns"])
    error_message = "There is a way to SNS."
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.alerts["alerts"].statement : statement.sid => { actions = statement.actions, resources = statement.resources } } == {
      Tell            = { actions = toset(["sns:Publish"]), resources = toset([aws_sns_topic.alerts[0].arn]) }
      TellUnderTheKey = { actions = toset(["kms:Decrypt", "kms:GenerateDataKey"]), resources = toset([aws_kms_key.watching.arn]) }
    }
    error_message = "The hosts may publish to this topic, under its key, and no more."
  }

  assert {
    condition     = keys(aws_iam_role_policy.alerts) == ["run"] && length(aws_iam_role_policy.receiver_secrets) == 0
    error_message = "Only hosts that run may, and there is no secret to fetch."
  }

  assert {
    condition = toset(flatten([for statement in data.aws_iam_policy_document.kafka["run"].statement : [for resource in statement.resources : "${statement.sid} ${split("-6/", resource)[1]}"] if statement.sid != "Cluster"])) == toset([
      "Topics usage", "Topics usage.late", "Topics usage.dlq", "Topics anomaly", "Topics anomaly.alerts", "Topics anomaly.feedback", "Topics anomaly.applied",
      "ReadData usage", "ReadData anomaly", "ReadData anomaly.alerts", "ReadData anomaly.feedback", "ReadData anomaly.applied",
      "WriteData usage.late", "WriteData usage.dlq", "WriteData anomaly", "WriteData anomaly.alerts", "WriteData anomaly.feedback", "WriteData anomaly.applied",
      "Groups streamgauge", "Groups streamgauge-detect", "Groups streamgauge-alert",
      "Transactions streamgauge-consumer-1-table", "Transactions streamgauge-consumer-1-anomalies", "Transactions streamgauge-consumer-1-alerts",
    ])
    error_message = "A consumer reaches what it needs for alerts on Kafka, and no more."
  }

  assert {
    condition = alltrue([
      for query in aws_cloudwatch_metric_alarm.lag["alerts"].metric_query : query.id != "lag" ? true : (
        query.metric[0].dimensions["Consumer Group"] == "streamgauge-alert" && query.metric[0].dimensions["Topic"] == "anomaly"
      )
    ])
    error_message = "The lag of the alerts is watched, in the topic of the anomalies."
  }

  assert {
    condition = alltrue([
      for alarm, event in { alerts_failing = "alert_failing", alerts_given_up = "alert_given_up" } :
      aws_cloudwatch_log_metric_filter.this[{ alerts_failing = "AlertsFailing", alerts_given_up = "AlertsGivenUp" }[alarm]].pattern == "{ $.event = \"${event}\" }"
    ])
    error_message = "What the log says of receivers becomes numbers."
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.alerts_failing[0].metric_name == "AlertsFailing" && aws_cloudwatch_metric_alarm.alerts_failing[0].period == 900 &&
      aws_cloudwatch_metric_alarm.alerts_given_up[0].metric_name == "AlertsGivenUp"
    )
    error_message = "A receiver that fails is an alarm until it takes messages again: longer than the ten minutes between two lines of the log."
  }

  assert {
    condition = alltrue([
      for alarm in concat(aws_cloudwatch_metric_alarm.alerts_failing, aws_cloudwatch_metric_alarm.alerts_given_up, values(aws_cloudwatch_metric_alarm.lag)) :
      alarm.alarm_actions == toset([aws_sns_topic.alarms.arn])
    ])
    error_message = "Alarms go to the topic of the alarms: that of the alerts may be what fails."
  }

  assert {
    condition     = strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "AlertsGivenUp") && strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "streamgauge-alert")
    error_message = "The dashboard shows it."
  }
}

run "a_topic_that_is_there" {
  variables {
    alerts   = { topic_arn = "arn:aws:sns:eu-west-1:123456789012:ours" }
    settings = { "alert.receiver.theirs" = { kind = "sns", topic_arn = "arn:aws:sns:eu-west-1:210987654321:theirs.fifo" } }
  }

  assert {
    condition     = length(aws_sns_topic.alerts) == 0 && output.alert_topic_arn == "arn:aws:sns:eu-west-1:123456789012:ours"
    error_message = "No topic is made."
  }

  assert {
    condition     = one(data.aws_iam_policy_document.alerts["alerts"].statement).resources == toset(["arn:aws:sns:eu-west-1:123456789012:ours", "arn:aws:sns:eu-west-1:210987654321:theirs.fifo"])
    error_message = "The hosts may publish to both, also to that in the settings, and under no key."
  }
}

run "slack_and_pagerduty" {
  variables {
    create_cluster = false
    existing_cluster = {
      brokers     = "b-1.example.org:9098"
      auth        = "iam"
      cluster_arn = "arn:aws:kafka:eu-west-1:123456789012:cluster/readings/22222222-2222-3333-4444-555555555555-6"
      cidr_blocks = ["10.1.0.0/16"]
    }
    existing_network = { vpc_id = "vpc-11111111111111111", subnet_id = "subnet-11111111111111111" }

    collect_cloudwatch = true

    settings = {
      "alert.receiver.ops"     = { kind = "slack" }
      "alert.receiver.on-call" = { kind = "pagerduty", url = "https://events.eu.pagerduty.com/v2/enqueue", min_severity = "critical" }
    }
    receiver_secrets = {
      ops     = { url = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf" }
      on-call = { routing_key = "arn:aws:ssm:eu-west-1:123456789012:parameter/streamgauge/pagerduty" }
    }
    receiver_secrets_kms_key_arns = ["arn:aws:kms:eu-west-1:123456789012:key/44444444-2222-3333-4444-555555555555"]
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "[alert.receiver.ops]\nkind = \"slack\"\nurl_file = \"/run/streamgauge-receivers/ops.url\"") && strcontains(aws_s3_object.file["consumer-1:/usr/local/libexec/streamgauge/fetch-receiver-secrets"].content, "\nfetch ops.url arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf\n")
    error_message = "The secret is fetched into the file that the settings name."
  }

  assert {
    condition     = strcontains(aws_s3_object.file["consumer-1:/etc/streamgauge/streamgauge.toml"].content, "[alert.receiver.on-call]\nkind = \"pagerduty\"\nmin_severity = \"critical\"\nrouting_key_file = \"/run/streamgauge-receivers/on-call.routing_key\"\nurl = \"https://events.eu.pagerduty.com/v2/enqueue\"")
    error_message = "What is no secret stays in the settings."
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.receiver_secrets["secrets"].statement : statement.sid => { actions = statement.actions, resources = statement.resources } } == {
      ReceiverSecrets    = { actions = toset(["secretsmanager:GetSecretValue"]), resources = toset(["arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf"]) }
      ReceiverParameters = { actions = toset(["ssm:GetParameter"]), resources = toset(["arn:aws:ssm:eu-west-1:123456789012:parameter/streamgauge/pagerduty"]) }
      ReceiverSecretKeys = { actions = toset(["kms:Decrypt"]), resources = var.receiver_secrets_kms_key_arns }
    }
    error_message = "The hosts may fetch exactly these."
  }

  assert {
    condition     = toset(one([for statement in data.aws_iam_policy_document.receiver_secrets["secrets"].statement : one(statement.condition).values if statement.sid == "ReceiverSecretKeys"])) == toset(["secretsmanager.eu-west-1.amazonaws.com", "ssm.eu-west-1.amazonaws.com"])
    error_message = "The key is for these two services."
  }

  assert {
    condition     = keys(aws_iam_role_policy.receiver_secrets) == ["run"] && !contains(keys(aws_s3_object.file), "collector:/usr/local/libexec/streamgauge/fetch-receiver-secrets") && !strcontains(aws_s3_object.file["collector:/etc/streamgauge/streamgauge.toml"].content, "alert")
    error_message = "The collector has nothing of it."
  }

  assert {
    condition     = length(aws_sns_topic.alerts) == 0 && length(aws_iam_role_policy.alerts) == 0 && length(aws_cloudwatch_metric_alarm.alerts_failing) == 1
    error_message = "No topic and no right to one, but the alarm."
  }
}

run "an_alertmanager_beside_the_brokers" {
  variables {
    create_cluster    = false
    existing_cluster  = { brokers = "kafka.example.org:9093", auth = "tls", cidr_blocks = ["10.1.0.0/16"] }
    settings          = { "alert.receiver.prometheus" = { kind = "alertmanager", url = "http://10.1.0.9:9093" } }
    receiver_networks = [{ cidr_block = "10.1.0.9/32", port = 9093 }]
  }

  assert {
    condition     = { for rule in aws_vpc_security_group_egress_rule.hosts_to_receivers : rule.cidr_ipv4 => rule.from_port if rule.from_port == rule.to_port && rule.ip_protocol == "tcp" } == { "10.1.0.9/32" = 9093 }
    error_message = "The hosts are let out to it, and to it alone."
  }

  assert {
    condition     = alltrue([for query in aws_cloudwatch_metric_alarm.lag["alerts"].metric_query : query.id != "lag" ? true : query.metric[0].metric_name == "AlertsBehind"])
    error_message = "Without MSK, the lag is the program's own."
  }
}

run "a_secret_among_the_settings" {
  command = plan
  variables {
    settings = { "alert.receiver.ops" = { kind = "slack", url = "https://hooks.slack.com/services/T/B/x" } }
  }
  expect_failures = [var.settings]
}

run "receivers_as_a_list" {
  command = plan

  variables {
    settings = { alert = { receiver = [{ name = "ops", kind = "slack", url = "https://hooks.slack.com/services/T/B/x" }] } }
  }

  expect_failures = [var.settings]
}

run "a_kind_that_there_is_not" {
  command = plan
  variables {
    settings          = { "alert.receiver.ops" = { kind = "irc" } }
    receiver_networks = [{ cidr_block = "0.0.0.0/0", port = 443 }]
  }
  expect_failures = [var.settings]
}

run "a_setting_of_alerts_that_permissions_depend_on" {
  command = plan
  variables {
    settings = { alert = { group = "mine" } }
  }
  expect_failures = [var.settings]
}

run "a_secret_of_no_receiver" {
  command = plan
  variables {
    receiver_secrets = { ops = { url = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf" } }
  }
  expect_failures = [var.receiver_secrets]
}

run "a_secret_of_another_region" {
  command = plan
  variables {
    settings          = { "alert.receiver.ops" = { kind = "slack" } }
    receiver_networks = [{ cidr_block = "0.0.0.0/0", port = 443 }]
    receiver_secrets  = { ops = { url = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:slack-AbCdEf" } }
  }
  expect_failures = [var.receiver_secrets]
}

run "a_secret_that_is_not_named_in_full" {
  command = plan
  variables {
    settings          = { "alert.receiver.ops" = { kind = "slack" } }
    receiver_networks = [{ cidr_block = "0.0.0.0/0", port = 443 }]
    receiver_secrets  = { ops = { url = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack" } }
  }
  expect_failures = [var.receiver_secrets]
}

run "a_key_of_no_secret" {
  command = plan
  variables {
    receiver_secrets_kms_key_arns = ["arn:aws:kms:eu-west-1:123456789012:key/44444444-2222-3333-4444-555555555555"]
  }
  expect_failures = [var.receiver_secrets_kms_key_arns]
}

run "a_receiver_that_the_network_does_not_lead_to" {
  command = plan
  variables {
    settings         = { "alert.receiver.ops" = { kind = "slack" } }
    receiver_secrets = { ops = { url = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf" } }
  }
  expect_failures = [var.receiver_networks]
}

run "a_mail_server_behind_a_closed_port" {
  command = plan
  variables {
    create_cluster   = false
    existing_cluster = { brokers = "kafka.example.org:9093", auth = "tls", cidr_blocks = ["10.1.0.0/16"] }
    existing_network = { vpc_id = "vpc-11111111111111111", subnet_id = "subnet-11111111111111111" }
    settings         = { "alert.receiver.mail" = { kind = "email", server = "smtp.example.com:587", from = "meters@example.com", to = ["ops@example.com"] } }
  }
  expect_failures = [var.receiver_networks]
}

run "a_topic_of_another_region" {
  command = plan
  variables {
    alerts = { topic_arn = "arn:aws:sns:eu-central-1:123456789012:ours" }
  }
  expect_failures = [var.alerts]
}

run "addresses_for_a_topic_that_is_there" {
  command = plan
  variables {
    alerts = { topic_arn = "arn:aws:sns:eu-west-1:123456789012:ours", emails = ["ops@example.com"] }
  }
  expect_failures = [var.alerts]
}
