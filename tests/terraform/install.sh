#!/usr/bin/env bash
# Runs a host's user-data on this machine, in a mount namespace of its own where everything it writes to is in memory:
# once, and once more (which must do nothing). Then the program, if STREAMGAUGE names it, checks the settings that were installed.
#
#   unshare --mount --map-root-user tests/terraform/install.sh USER_DATA BUCKETS [tampered]
#
# BUCKETS is the URL that buckets lie under: http://127.0.0.1:5000 of moto, or file:///folder. With "tampered", an asset there
# is changed in the end, and must be refused. dnf, systemctl, chown and the CloudWatch agent only write down what they were asked for.
set -euo pipefail
cd "$(dirname "$0")/../.."

user_data=$1 buckets=$2 tampered=${3-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "install: $*" >&2; exit 1; }

service=$(sed -n 's/^readonly service=//p' "$user_data")
bucket=$(sed -n 's/^readonly bucket=//p' "$user_data")
manifest=$work/manifest
grep -E '^[0-9a-f]{64} 0[0-7]{3} ' "$user_data" >"$manifest" || fail "$user_data names no files"
# Opened now: what is mounted below may hide the folder that it lies in.
[[ ! -x ${STREAMGAUGE-} ]] || exec 9<"$STREAMGAUGE"

# ── Programs that the host has ───────────────────────────────────────────────────────────────────────────────────

mkdir "$work/bin"
# As a secret may be: with all that is special in an environment file.
# shellcheck disable=SC2016
export password='a "b" $c\d `e`'
cat >"$work/bin/aws" <<'STUB'
#!/bin/sh
# aws --region R s3 cp --only-show-errors s3://BUCKET/KEY FILE
# aws --region R secretsmanager get-secret-value …, or ssm get-parameter …: a secret for Kafka, that of a receiver as text, and as an object
# moto refuses what is not signed, and takes any signature.
case $3 in
  s3)
    exec curl --silent --show-error --fail --max-time 60 --aws-sigv4 "aws:amz:$2:s3" --user testing:testing \
      --output "$7" "$BUCKETS/${6#s3://}"
    ;;
  secretsmanager | ssm)
    case $* in
      *" ${LOST:-none} "*) exit 254 ;;
      *:parameter/*) jq -n '["url", "token", "password", "secret", "routing_key", "topic"] | map({(.): env.password}) | add | tojson' ;;
      *'--output json'*) jq -n 'env.password' ;;
      *) jq -n '{username: "gauge", password: env.password, certificate: "none", private_key: "none"}' ;;
    esac
    ;;
  *) exit 1 ;;
esac
STUB
cat >"$work/bin/systemctl" <<'STUB'
#!/bin/sh
[ "$1" != is-active ] || exec test -e "$CALLS.active"
echo "systemctl $*" >>"$CALLS"
STUB
for program in dnf systemd-sysusers chown amazon-cloudwatch-agent-ctl; do
  printf '#!/bin/sh\necho "%s $%s" >>"$%s"\n' "$program" '*' CALLS >"$work/bin/$program"
done
# There is no user of the program's name here.
cat >"$work/bin/install" <<'STUB'
#!/bin/sh
for word; do
  shift
  case $word in
    --owner | --group | streamgauge) ;;
    *) set -- "$@" "$word" ;;
  esac
done
exec /usr/bin/install "$@"
STUB
chmod +x "$work/bin"/*
export BUCKETS=$buckets CALLS=$work/calls PATH=$work/bin:/usr/bin:/bin

# ── A machine without streamgauge ────────────────────────────────────────────────────────────────────────────────

for folder in /etc /usr/local /var/cache /var/log /var/lib /opt /usr/lib/sysusers.d; do
  mount -t tmpfs tmpfs "$folder"
done
mkdir -p /opt/aws/amazon-cloudwatch-agent/bin
cp "$work/bin/amazon-cloudwatch-agent-ctl" /opt/aws/amazon-cloudwatch-agent/bin

# ── Once ─────────────────────────────────────────────────────────────────────────────────────────────────────────

bash "$user_data" >"$work/first.log" 2>&1 || { cat "$work/first.log"; fail "the first run failed"; }
grep -qx 'streamgauge is installed' "$work/first.log" || fail "the first run does not say that it is done"
for file in /usr/local/bin/streamgauge /usr/local/libexec/streamgauge/back-off; do
  [[ -x $file ]] || fail "$file is not there to be executed"
done
[[ -e /etc/systemd/system/$service ]] || fail "the unit $service is not there"
while read -r sha256 mode _ path; do
  sha256sum --check --status <<<"$sha256  $path" || fail "$path is not what the user-data names"
  [[ 0$(stat --format %a "$path") == "$mode" ]] || fail "$path has not the mode $mode"
done <"$manifest"
grep -qx "systemctl enable $service" "$CALLS" || fail "the service is not enabled"
grep -qx "systemctl restart --no-block $service" "$CALLS" || fail "the service is not started"

# ── Once more ────────────────────────────────────────────────────────────────────────────────────────────────────

rm "$CALLS"
touch "$CALLS.active"
bash "$user_data" >"$work/second.log" 2>&1 || { cat "$work/second.log"; fail "the second run failed"; }
if grep -E '^installed ' "$work/second.log" || grep -E 'restart|agent-ctl' "$CALLS"; then
  fail "the second run changed something"
fi

# ── The settings, as the unit's ExecStartPre checks them, but for the broker and the table ───────────────────────

if [[ -x /usr/local/libexec/streamgauge/fetch-credentials ]]; then
  mkdir "$work/credentials"
  RUNTIME_DIRECTORY=$work/credentials /usr/local/libexec/streamgauge/fetch-credentials || fail "the credentials are not fetched"
  # What is escaped in double quotes for systemd is so for the shell.
  set -a
  # shellcheck source=/dev/null
  . "$work/credentials/environment"
  set +a
  [[ ${STREAMGAUGE__KAFKA__PROPERTIES__SASL_PASSWORD-$password} == "$password" ]] || fail "the password is not what the secret holds"
fi
fetcher=/usr/local/libexec/streamgauge/fetch-receiver-secrets
if [[ -x $fetcher ]]; then
  mkdir "$work/receivers"
  export RUNTIME_DIRECTORY=$work/receivers
  mapfile -t secrets < <(sed -n 's|^[a-z_]*_file = "/run/streamgauge-receivers/\(.*\)"$|\1|p' /etc/streamgauge/streamgauge.toml)
  [[ ${#secrets[@]} -gt 0 ]] || fail "the settings name no secrets of receivers"
  all_there() {
    local secret
    for secret in "${secrets[@]}"; do
      [[ $(cat "$RUNTIME_DIRECTORY/$secret") == "$password" && $(stat --format %a "$RUNTIME_DIRECTORY/$secret") == 600 ]] ||
        fail "$secret of the receivers is not where the settings look for it"
    done
  }
  "$fetcher" || fail "the receivers' secrets are not fetched"
  all_there
  read -r _ lost arn < <(grep -E '^fetch .* arn:' "$fetcher")
  find "$RUNTIME_DIRECTORY" -type f ! -name "$lost" -delete
  ! LOST=$arn "$fetcher" 2>"$work/lost.log" || fail "nobody notices that $lost is not fetched"
  grep -qF "cannot fetch $lost from $arn" "$work/lost.log" || fail "the log does not say that $lost is not fetched"
  all_there
fi
if [[ -x /proc/self/fd/9 ]]; then
  read -ra arguments < <(sed -n 's|^ExecStartPre=/usr/local/bin/streamgauge ||p' "/etc/systemd/system/$service")
  timeout 60 /proc/self/fd/9 "${arguments[@]}" --offline >"$work/check.log" 2>&1 ||
    { cat "$work/check.log"; fail "the settings are refused"; }
  grep -q '^settings: ok' "$work/check.log" || { cat "$work/check.log"; fail "the settings are not said to be right"; }
fi

# ── Tampered with ────────────────────────────────────────────────────────────────────────────────────────────────

if [[ $tampered == tampered ]]; then
  read -r sha256 _ key path <"$manifest"
  rm -rf /var/cache/streamgauge
  echo '# more' >>"${buckets#file://}/$bucket/$key"
  if bash "$user_data" >"$work/third.log" 2>&1; then
    fail "an asset with another checksum was installed"
  fi
  grep -q 'does not have the checksum' "$work/third.log" || fail "the log does not say what is wrong"
  sha256sum --check --status <<<"$sha256  $path" || fail "$path was overwritten"
fi
echo "$(wc -l <"$manifest") files and the release installed, left alone${tampered:+, refused when tampered with}$(sed 's/^/; /;q' "$work/check.log" 2>/dev/null)"
