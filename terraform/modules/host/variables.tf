variable "name" {
  description = "Name of the host: consumer-1, producer, collector."
  type        = string
}

variable "command" {
  description = "What it does: run, play or collect."
  type        = string

  validation {
    condition     = contains(["run", "play", "collect"], var.command)
    error_message = "command must be run, play or collect."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "bucket" {
  description = "Bucket to fetch everything from."
  type        = string
}

variable "asset_prefix" {
  description = "Prefix of the assets in the bucket."
  type        = string
}

variable "log_group" {
  description = "CloudWatch log group for the host's logs."
  type        = string
}

variable "archive" {
  description = "The release archive: key in the bucket, and checksum."
  type        = object({ key = string, sha256 = string })
}

variable "settings" {
  description = "The program's settings: sections of names and values."
  type        = any
}

variable "recording" {
  description = "The CSV to play: key, checksum, key of the claim that it is played, flags of `streamgauge play`. Null for the others."
  type        = object({ key = string, sha256 = string, claim = string, flags = list(string) })
  default     = null
}

variable "credentials" {
  description = "Secret to log in to Kafka with, and how: scram or tls. Null for none."
  type        = object({ auth = string, secret_arn = string })
  default     = null
}

variable "receiver_secrets" {
  description = "Secrets of receivers of alerts: the ARN of each, of a secret or of a parameter, by the file that it is fetched into: RECEIVER.SETTING."
  type        = map(string)
  default     = {}
}

variable "ca_certificate_pem" {
  description = "Certificates to trust instead of the public authorities. Null for those."
  type        = string
  default     = null
}
