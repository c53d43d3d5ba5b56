# What the hosts fetch when they install themselves. Keys contain what they hold (a version, or part of a checksum), so
# a host never fetches another thing than its user-data names; the checksum there is checked on top.

resource "aws_s3_object" "release" {
  bucket      = aws_s3_bucket.lake.id
  key         = "${local.asset_prefix}/${basename(var.release_archive)}"
  source      = var.release_archive
  source_hash = filesha256(var.release_archive)

  depends_on = [aws_s3_bucket_policy.lake, aws_s3_bucket_server_side_encryption_configuration.lake, aws_s3_bucket_versioning.lake]
}

resource "aws_s3_object" "recording" {
  count = var.recording == null ? 0 : 1

  bucket      = aws_s3_bucket.lake.id
  key         = local.recording.key
  source      = var.recording.path
  source_hash = local.recording.sha256

  depends_on = [aws_s3_bucket_policy.lake, aws_s3_bucket_server_side_encryption_configuration.lake, aws_s3_bucket_versioning.lake]
}

locals {
  # One object for each file of each host. Which files there are is known before what is in them.
  host_files = merge([
    for host in keys(local.hosts) : { for path in module.host[host].paths : "${host}:${path}" => { host = host, path = path } }
  ]...)
}

resource "aws_s3_object" "file" {
  for_each = local.host_files

  bucket  = aws_s3_bucket.lake.id
  key     = module.host[each.value.host].files[each.value.path].key
  content = module.host[each.value.host].files[each.value.path].content

  depends_on = [aws_s3_bucket_policy.lake, aws_s3_bucket_server_side_encryption_configuration.lake, aws_s3_bucket_versioning.lake]
}
