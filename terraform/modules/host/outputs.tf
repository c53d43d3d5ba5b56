output "paths" {
  description = "Which files there are. Known at plan, whatever they hold."
  value       = keys(local.contents)
}

output "files" {
  description = "The files by path on the host: content, sha256, key in the bucket, mode."
  value       = local.files
}

output "user_data" {
  description = "The script that installs all of it at the first start."
  value = templatefile("${path.module}/templates/user-data.sh.tftpl", {
    name      = var.name
    service   = local.service
    region    = var.region
    bucket    = var.bucket
    archive   = var.archive
    recording = var.recording
    files     = local.files
  })
}
