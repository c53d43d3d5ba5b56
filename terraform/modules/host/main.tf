# What lies on a host, as text: settings, what systemd is told beyond the units of the release, what the CloudWatch agent
# ships, and the script that installs it all. Needs no provider, so that it can be rendered and looked at anywhere.

locals {
  service = "streamgauge-${var.command}.service"

  contents = merge(
    {
      "/etc/streamgauge/streamgauge.toml" = templatefile("${path.module}/templates/streamgauge.toml.tftpl", {
        sections = var.settings
      })
      "/etc/systemd/system/${local.service}.d/aws.conf" = templatefile("${path.module}/templates/${var.command}.conf.tftpl", {
        region      = var.region
        credentials = var.credentials
        secrets     = var.receiver_secrets
        # As systemd reads a command line: quoted, with its two special characters doubled.
        flags = [for flag in try(var.recording.flags, []) : replace(replace(jsonencode(flag), "%", "%%"), "$", "$$")]
      })
      "/etc/logrotate.d/streamgauge" = file("${path.module}/templates/logrotate")
      "/etc/streamgauge/cloudwatch-agent.json" = templatefile("${path.module}/templates/cloudwatch-agent.json.tftpl", {
        log_group = var.log_group
        host      = var.name
      })
    },
    var.ca_certificate_pem == null ? {} : {
      "/etc/streamgauge/ca.pem" = var.ca_certificate_pem
    },
    var.recording == null ? {} : {
      "/usr/local/libexec/streamgauge/claim-recording" = templatefile("${path.module}/templates/claim-recording.tftpl", {
        region = var.region
        bucket = var.bucket
        key    = var.recording.claim
      })
    },
    length(var.receiver_secrets) == 0 ? {} : {
      "/etc/systemd/system/streamgauge-receivers.service" = file("${path.module}/templates/streamgauge-receivers.service")
      "/etc/systemd/system/streamgauge-receivers.timer"   = file("${path.module}/templates/streamgauge-receivers.timer")
      "/usr/local/libexec/streamgauge/fetch-receiver-secrets" = templatefile("${path.module}/templates/fetch-receiver-secrets.tftpl", {
        region  = var.region
        secrets = var.receiver_secrets
      })
    },
    var.credentials == null ? {} : {
      "/etc/systemd/system/streamgauge-credentials.service" = file("${path.module}/templates/streamgauge-credentials.service")
      "/usr/local/libexec/streamgauge/fetch-credentials" = templatefile("${path.module}/templates/fetch-credentials-${var.credentials.auth}.tftpl", {
        region     = var.region
        secret_arn = var.credentials.secret_arn
      })
    },
  )

  files = {
    for path, content in local.contents : path => {
      content = content
      sha256  = sha256(content)
      key     = "${var.asset_prefix}/${var.name}/${substr(sha256(content), 0, 16)}-${basename(path)}"
      mode    = startswith(path, "/usr/local/libexec/") ? "0755" : "0644"
    }
  }
}
