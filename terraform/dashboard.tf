resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [
      for index, widget in concat(
        [
          {
            type = "metric"
            properties = {
              title   = "Readings consumed, late and dead-lettered, each 5 minutes"
              metrics = [for metric in ["Consumed", "Late", "DeadLetters"] : [local.metric_namespace, metric]]
              stat    = "Sum"
              period  = 300
              region  = var.region
            }
          },
          {
            type = "metric"
            properties = {
              title   = "Commits and errors, each 5 minutes"
              metrics = [for metric in ["Commits", "Errors"] : [local.metric_namespace, metric]]
              stat    = "Sum"
              period  = 300
              region  = var.region
            }
          },
          {
            type = "metric"
            properties = {
              title = local.tells ? "Readings and anomalies that wait" : "Readings that wait"
              metrics = [
                for sink, lag in local.lag : concat(
                  [lag.namespace, lag.metric],
                  flatten([for name, value in coalesce(lag.dimensions, {}) : [name, value]]),
                  [{ label = sink }],
                )
              ]
              stat   = "Maximum"
              period = 60
              region = var.region
            }
          },
          {
            type = "metric"
            properties = {
              title   = "Processors of the hosts, %"
              metrics = [for host in keys(local.hosts) : ["AWS/EC2", "CPUUtilization", "InstanceId", aws_instance.host[host].id, { label = host }]]
              stat    = "Maximum"
              period  = 60
              region  = var.region
            }
          },
        ],
        local.tells ? [
          {
            type = "metric"
            properties = {
              title   = "Receivers that take nothing, and messages given up, each 15 minutes"
              metrics = [for metric in ["AlertsFailing", "AlertsGivenUp"] : [local.metric_namespace, metric]]
              stat    = "Sum"
              period  = 900
              region  = var.region
            }
          },
        ] : [],
        var.create_cluster ? [
          {
            type = "metric"
            properties = {
              title   = "Disks of the brokers, % used"
              metrics = [for broker in ["1", "2", "3"] : ["AWS/Kafka", "KafkaDataLogsDiskUsed", "Cluster Name", var.name, "Broker ID", broker, { label = "broker ${broker}" }]]
              stat    = "Maximum"
              period  = 300
              region  = var.region
            }
          },
        ] : [],
        [
          {
            type = "log"
            properties = {
              title  = "Warnings and errors"
              query  = "SOURCE '${aws_cloudwatch_log_group.hosts.name}' | fields @timestamp, @logStream, level, message | filter level in ['WARN', 'ERROR'] | sort @timestamp desc | limit 50"
              view   = "table"
              region = var.region
            }
          },
        ],
      ) : merge(widget, { x = index % 2 * 12, y = floor(index / 2) * 6, width = 12, height = 6 })
    ]
  })
}
