#!/bin/bash
# Installs streamgauge on consumer-scram, from the assets in the bucket. cloud-init runs it at the first start. It may be run
# again at any time (sudo bash /var/lib/cloud/instance/user-data.txt): it fetches what is missing or differs, restarts
# what that concerns, and does nothing if all is as it should be.
set -euo pipefail
umask 022

readonly region=eu-west-1
readonly bucket=streamgauge-123456789012-eu-west-1
readonly service=streamgauge-run.service
readonly assets=/var/cache/streamgauge

retried() { # COMMAND...: until it succeeds, ten times at most
  local attempt
  for attempt in {1..10}; do
    "$@" </dev/null && return
    echo "attempt $attempt failed: $*" >&2
    sleep $((attempt * 3))
  done
  return 1
}

is_intact() { # SHA256 FILE
  sha256sum --check --status <<<"$1  $2" 2>/dev/null
}

fetch() { # SHA256 KEY FILE: the object, once it has the checksum
  is_intact "$1" "$3" && return
  retried aws --region "$region" s3 cp --only-show-errors "s3://$bucket/$2" "$3.part"
  if ! is_intact "$1" "$3.part"; then
    echo "s3://$bucket/$2 does not have the checksum $1: nothing is installed from it" >&2
    exit 1
  fi
  mv "$3.part" "$3"
}

put() { # MODE SOURCE DESTINATION: installs if it differs, in one step, and remembers that something changed
  cmp --silent "$2" "$3" && return
  install -D --mode "$1" "$2" "$3.new"
  mv "$3.new" "$3"
  changed=yes
  echo "installed $3"
}

changed=no
# systemd opens the log before it would make a folder for it.
install --directory --mode 0755 "$assets" /var/log/streamgauge

# First the agent, so that the log group tells of all that follows.
retried dnf install --quiet --assumeyes amazon-cloudwatch-agent jq logrotate

while read -r sha256 mode key destination; do
  fetch "$sha256" "$key" "$assets/$(basename "$key")"
  put "$mode" "$assets/$(basename "$key")" "$destination"
done <<'FILES'
be7881c77ec3748e5d20f2aa1c8f39fe606f2a2bd4de4fba798dd99e1b1cf0d7 0644 assets/consumer-scram/be7881c77ec3748e-streamgauge /etc/logrotate.d/streamgauge
ca936bdf412b838f292bc95ec08776d6860ea3176e160ba4634ce2d6aadb6756 0644 assets/consumer-scram/ca936bdf412b838f-cloudwatch-agent.json /etc/streamgauge/cloudwatch-agent.json
0f35b49e81c3151632b8132ad6b1251b40229fae0c304fc98b933796d1c769e7 0644 assets/consumer-scram/0f35b49e81c31516-streamgauge.toml /etc/streamgauge/streamgauge.toml
29def52f56addfb8a5a0c6697979df9d0b89658140998d10b1f5a1d17986da4b 0644 assets/consumer-scram/29def52f56addfb8-streamgauge-credentials.service /etc/systemd/system/streamgauge-credentials.service
ddd0a2a0044f33eae6f7c2380f15042636cc54b8625a614e1369b8d9554afb90 0644 assets/consumer-scram/ddd0a2a0044f33ea-streamgauge-receivers.service /etc/systemd/system/streamgauge-receivers.service
be8614489b4363630a101aa7a97aae2f7cf8caf4984ea7ca289a3d1dc7cb25e4 0644 assets/consumer-scram/be8614489b436363-streamgauge-receivers.timer /etc/systemd/system/streamgauge-receivers.timer
b0b8f2cf5319f323406094fa3bd08256edb6cce22a7e4913ecefb8874f31dd7a 0644 assets/consumer-scram/b0b8f2cf5319f323-aws.conf /etc/systemd/system/streamgauge-run.service.d/aws.conf
c1b0bc1dccfd5e8465fb61b06452f7e320ee9e08ddf932f8cac8bb240c399ce3 0755 assets/consumer-scram/c1b0bc1dccfd5e84-fetch-credentials /usr/local/libexec/streamgauge/fetch-credentials
8ec05679ef60de198e68badee5a0784b89e96832daaaef770a44b5cbdae18719 0755 assets/consumer-scram/8ec05679ef60de19-fetch-receiver-secrets /usr/local/libexec/streamgauge/fetch-receiver-secrets
FILES

if [[ $changed == yes ]] || ! systemctl is-active --quiet amazon-cloudwatch-agent; then
  /opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl \
    -a fetch-config -m ec2 -s -c file:/etc/streamgauge/cloudwatch-agent.json
fi

fetch c8d18c54d108f4f0237eb4e1c4473cfd3dbd267afe97c2d967003bda0f546e08 assets/streamgauge-0.1.0-x86_64-unknown-linux-gnu.tar.gz "$assets/streamgauge-0.1.0-x86_64-unknown-linux-gnu.tar.gz"
unpacked=$(mktemp --directory)
trap 'rm -rf "$unpacked"' EXIT
tar --extract --gzip --strip-components 1 --no-same-owner --directory "$unpacked" --file "$assets/streamgauge-0.1.0-x86_64-unknown-linux-gnu.tar.gz"
put 0755 "$unpacked/streamgauge" /usr/local/bin/streamgauge
put 0755 "$unpacked/systemd/back-off" /usr/local/libexec/streamgauge/back-off
put 0644 "$unpacked/systemd/streamgauge.sysusers" /usr/lib/sysusers.d/streamgauge.conf
put 0644 "$unpacked/systemd/$service" "/etc/systemd/system/$service"
systemd-sysusers

systemctl daemon-reload
systemctl enable "$service"
if [[ $changed == yes ]] || ! systemctl is-active --quiet "$service"; then
  # Not waited for: it may take until the brokers answer, and says so in the log.
  systemctl restart --no-block "$service"
fi
echo "streamgauge is installed"
