output "athena_query" {
  description = "Asks Athena for the newest averages, and shows them: run it as it is."
  value       = <<-EOT
    id=$(aws athena start-query-execution --region ${var.region} --work-group ${aws_athena_workgroup.this.name} \
      --query-execution-context Database=${aws_glue_catalog_database.this.name} --query QueryExecutionId --output text \
      --query-string 'SELECT * FROM "${var.table_name}" ORDER BY start DESC LIMIT 24') && sleep 5 &&
    aws athena get-query-results --region ${var.region} --query-execution-id "$id" --output text
  EOT
}

output "athena_console" {
  description = "Athena's query editor. Choose the workgroup of this name there; its saved queries are those of sql/."
  value       = "https://${var.region}.console.aws.amazon.com/athena/home?region=${var.region}#/query-editor"
}

output "athena_workgroup" {
  description = "Workgroup to query in: it has the result location and the limit."
  value       = aws_athena_workgroup.this.name
}

output "database" {
  description = "Glue database of the table."
  value       = aws_glue_catalog_database.this.name
}

output "table_location" {
  description = "Where the Delta table lies, for Spark, DuckDB, pandas and `streamgauge query`."
  value       = local.table_location
}

output "bucket" {
  description = "The bucket of everything."
  value       = aws_s3_bucket.lake.id
}

output "brokers" {
  description = "Addresses that the program finds the cluster through."
  value       = local.brokers
}

output "sessions" {
  description = "How to get a shell on each host: needs the Session Manager plugin of the AWS CLI."
  value       = { for host, instance in aws_instance.host : host => "aws ssm start-session --region ${var.region} --target ${instance.id}" }
}

output "logs" {
  description = "Follows the logs of all hosts."
  value       = "aws logs tail ${aws_cloudwatch_log_group.hosts.name} --region ${var.region} --follow"
}

output "dashboard" {
  description = "The dashboard."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards:name=${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "alarm_topic_arn" {
  description = "SNS topic of the alarms, to subscribe more than e-mail to."
  value       = aws_sns_topic.alarms.arn
}

output "alert_topic_arn" {
  description = "SNS topic that anomalies are told to, to subscribe to. Null without alerts."
  value       = local.alert_topic_arn
}

output "host_security_group_id" {
  description = "Security group of the hosts, for brokers elsewhere to let in."
  value       = aws_security_group.hosts.id
}

output "vpc_id" {
  description = "The VPC of the hosts."
  value       = local.vpc_id
}

output "private_route_table_id" {
  description = "Route table of the private subnets, for a peering to brokers elsewhere. Null with existing_network."
  value       = one(aws_route_table.private[*].id)
}

output "bastion" {
  description = "How to get to a host by SSH through the bastion. Null without one."
  value = var.bastion == null ? null : {
    for host, instance in aws_instance.host :
    host => "ssh -J ec2-user@${aws_instance.bastion["bastion"].public_ip} ec2-user@${instance.private_ip}"
  }
}
