#!/usr/bin/env bash
# Runs the user-data of a golden host on this machine, in a mount namespace of its own where everything it writes to is in
# memory: once, once more (which must do nothing), and with an asset that was tampered with (which must be refused).
#
#   unshare --mount --map-root-user tests/terraform/install.sh ARCHIVE
#
# The bucket is a folder; dnf, systemctl and the CloudWatch agent only write down what they were asked for.
set -euo pipefail
cd "$(dirname "$0")/../.."

archive=$(realpath "$1")
golden=$PWD/terraform/tests/golden/consumer-scram
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "install: $*" >&2; exit 1; }

# ── The bucket, and programs that the host has ───────────────────────────────────────────────────────────────────

mkdir -p "$work/bucket/assets" "$work/bin"
cp "$archive" "$work/bucket/assets/streamgauge-0.1.0-x86_64-unknown-linux-gnu.tar.gz"
# The golden host expects an archive that there is only a checksum of.
sed "s/$(printf 'the archive' | sha256sum | cut -d' ' -f1)/$(sha256sum <"$archive" | cut -d' ' -f1)/" \
  "$golden/user-data.sh" >"$work/user-data.sh"
while read -r _ _ key destination; do
  install -D "$golden$destination" "$work/bucket/$key"
done < <(grep -E '^[0-9a-f]{64} 0[0-7]{3} ' "$work/user-data.sh")

cat >"$work/bin/aws" <<'STUB'
#!/bin/sh
# aws --region R s3 cp --only-show-errors s3://BUCKET/KEY FILE
cp "$BUCKET_FOLDER/${6#s3://*/}" "$7"
STUB
cat >"$work/bin/systemctl" <<'STUB'
#!/bin/sh
[ "$1" != is-active ] || exec test -e "$CALLS.active"
echo "systemctl $*" >>"$CALLS"
STUB
for program in dnf systemd-sysusers amazon-cloudwatch-agent-ctl; do
  printf '#!/bin/sh\necho "%s $%s" >>"$%s"\n' "$program" '*' CALLS >"$work/bin/$program"
done
chmod +x "$work/bin"/*
export BUCKET_FOLDER=$work/bucket CALLS=$work/calls PATH=$work/bin:/usr/bin:/bin

# ── A machine without streamgauge ────────────────────────────────────────────────────────────────────────────────

for folder in /etc /usr/local /var/cache /var/log /opt /usr/lib/sysusers.d; do
  mount -t tmpfs tmpfs "$folder"
done
mkdir -p /opt/aws/amazon-cloudwatch-agent/bin
cp "$work/bin/amazon-cloudwatch-agent-ctl" /opt/aws/amazon-cloudwatch-agent/bin

# ── Once ─────────────────────────────────────────────────────────────────────────────────────────────────────────

bash "$work/user-data.sh" >"$work/first.log" 2>&1 || { cat "$work/first.log"; fail "the first run failed"; }
grep -qx 'streamgauge is installed' "$work/first.log" || fail "the first run does not say that it is done"
for file in /usr/local/bin/streamgauge /usr/local/libexec/streamgauge/{back-off,fetch-credentials}; do
  [[ -x $file ]] || fail "$file is not there to be executed"
done
cmp "$golden/etc/streamgauge/streamgauge.toml" /etc/streamgauge/streamgauge.toml || fail "the settings are others"
for file in streamgauge-run.service streamgauge-run.service.d/aws.conf streamgauge-credentials.service; do
  [[ $(stat --format %a "/etc/systemd/system/$file") == 644 ]] || fail "$file is not as it should be"
done
grep -qx 'systemctl enable streamgauge-run.service' "$CALLS" || fail "the service is not enabled"
grep -qx 'systemctl restart --no-block streamgauge-run.service' "$CALLS" || fail "the service is not started"

# ── Once more ────────────────────────────────────────────────────────────────────────────────────────────────────

rm "$CALLS"
touch "$CALLS.active"
bash "$work/user-data.sh" >"$work/second.log" 2>&1 || { cat "$work/second.log"; fail "the second run failed"; }
if grep -E '^installed ' "$work/second.log" || grep -E 'restart|agent-ctl' "$CALLS"; then
  fail "the second run changed something"
fi

# ── Tampered with ────────────────────────────────────────────────────────────────────────────────────────────────

rm -rf /var/cache/streamgauge
echo '# more' >>"$(find "$work/bucket" -name '*-streamgauge.toml')"
if bash "$work/user-data.sh" >"$work/third.log" 2>&1; then
  fail "an asset with another checksum was installed"
fi
grep -q 'does not have the checksum' "$work/third.log" || fail "the log does not say what is wrong"
cmp "$golden/etc/streamgauge/streamgauge.toml" /etc/streamgauge/streamgauge.toml || fail "the settings were overwritten"
echo "installed, left alone, refused: as it should be"
