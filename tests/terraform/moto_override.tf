# Laid over a copy of the module when it is applied to moto, for what moto cannot do.

# What moto cannot do fails at once, not after 25 attempts.
provider "aws" {
  max_retries = 2
}

# moto has no detailed monitoring.
resource "aws_instance" "host" {
  monitoring = null
}

# moto denies by a bucket policy without regard to the policy's conditions, so "deny without TLS" would deny everything.
resource "aws_s3_bucket_policy" "lake" {
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${local.account}:root" }
      Action    = "s3:ListBucket"
      Resource  = aws_s3_bucket.lake.arn
    }]
  })
}

# moto makes Athena's workgroups and queries, and cannot delete them: athena.tf is left out.
output "athena_query" {
  value = null
}

output "athena_workgroup" {
  value = null
}
