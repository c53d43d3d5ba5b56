#!/usr/bin/env bash
# Checks terraform/ and packaging/ without an AWS account.
#
#   tests/terraform/check.sh                   everything
#   tests/terraform/check.sh --update-golden   writes terraform/tests/golden anew; look at what git says of it
#
# Needs terraform, and its aws provider from wherever `terraform init` finds it (TF_CLI_CONFIG_FILE may name a mirror);
# systemd-analyze; python3, for checkov, moto and shellcheck, which are installed into a folder of their own unless they are
# on PATH. STREAMGAUGE names a binary to check the rendered settings with. What is missing is said; with CI=true it is a failure.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

repository=$PWD
terraform=${TERRAFORM:-terraform}
cache="${XDG_CACHE_HOME:-$HOME/.cache}/streamgauge"
work=$(mktemp -d)
moto_pid=
trap '[[ -n $moto_pid ]] && kill "$moto_pid"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# A copy, so that nothing of Terraform's is left here, and no lock file decides about the provider.
mkdir "$work/repository"
cp -r terraform sql packaging "$work/repository"
rm -rf "$work/repository/terraform/"{.terraform,.terraform.lock.hcl,terraform.tfstate*,terraform.tfvars}
module=$work/repository/terraform
export TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1

failed=() missing=() passed=()
step() { # NAME COMMAND...
  local name=$1 started=$SECONDS
  shift
  echo "── $name"
  if "$@"; then
    passed+=("$name ($((SECONDS - started)) s)")
  else
    failed+=("$name")
    return 1
  fi
}
lacking() { # NAME WHY
  echo "── $1: NOT RUN, $2"
  missing+=("$1: $2")
}

# ── Golden files ─────────────────────────────────────────────────────────────────────────────────────────────────

render_golden() {
  local state=$work/golden.tfstate
  cd "$module/tests/fixture" || return 1
  "$terraform" init -input=false -no-color >/dev/null &&
    "$terraform" apply -auto-approve -input=false -no-color -state="$state" >/dev/null &&
    "$terraform" output -state="$state" -json files >"$work/golden.json" &&
    python3 - "$work/golden.json" "$repository/terraform/tests/golden" <<'PYTHON'
import json, pathlib, shutil, sys

source, folder = sys.argv[1], pathlib.Path(sys.argv[2])
shutil.rmtree(folder, ignore_errors=True)
for path, text in json.load(open(source)).items():
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)
PYTHON
}

if [[ ${1-} == --update-golden ]]; then
  (render_golden) && git status --short terraform/tests/golden
  exit
fi

# ── Tools ────────────────────────────────────────────────────────────────────────────────────────────────────────

install_python_tools() {
  local tools=$cache/terraform-tools stamp
  stamp=$(sha256sum tests/terraform/requirements.txt)
  export PATH=$tools/bin:$PATH
  [[ $(cat "$tools/stamp" 2>/dev/null) == "$stamp" ]] && return
  rm -rf "$tools"
  python3 -m venv "$tools" && "$tools/bin/pip" install --quiet --requirement tests/terraform/requirements.txt &&
    echo "$stamp" >"$tools/stamp"
}

for tool in checkov moto_server shellcheck; do
  if ! command -v "$tool" >/dev/null; then
    install_python_tools || echo "checkov, moto and shellcheck could not be installed" >&2
    break
  fi
done

# ── Terraform ────────────────────────────────────────────────────────────────────────────────────────────────────

in_module() { (cd "$module" && "$@"); }

if ! command -v "$terraform" >/dev/null; then
  lacking terraform "there is no $terraform"
else
  step format in_module "$terraform" fmt -check -recursive -diff
  if ! in_module "$terraform" init -backend=false -input=false -no-color >"$work/init.log" 2>&1; then
    cat "$work/init.log"
    lacking terraform "init finds no aws provider"
  else
    in_module "$terraform" version -no-color | tail -n +2
    step validate in_module "$terraform" validate -no-color
    step test in_module "$terraform" test -no-color
    provider=yes
  fi
fi

# ── checkov ──────────────────────────────────────────────────────────────────────────────────────────────────────

scan() {
  LOG_LEVEL=ERROR checkov --directory "$module" --framework terraform --skip-path tests --skip-download \
    --download-external-modules false --quiet --compact || return 1
  # checkov knows such a file by its other name only.
  cp packaging/Containerfile "$work/Dockerfile"
  LOG_LEVEL=ERROR checkov --file "$work/Dockerfile" --framework dockerfile --skip-download --quiet --compact
}

if command -v checkov >/dev/null; then
  step checkov scan
else
  lacking checkov "it is not installed"
fi

# ── An apply, a plan that finds nothing more to do, and a destroy, against moto ──────────────────────────────────

await_moto() {
  local attempt
  for attempt in {1..60}; do
    # Fails at once if the port is closed, and if the server has ended.
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    kill -0 "$moto_pid" || return 1
    sleep 0.5
  done
  echo "moto did not answer within $attempt attempts" >&2
  return 1
}

apply_to_moto() {
  local copy=$work/moto/terraform port=5791
  mkdir -p "$work/moto"
  cp -r "$work/repository/." "$work/moto"
  rm "$copy/athena.tf"
  cp tests/terraform/moto_override.tf "$copy"
  moto_server -H 127.0.0.1 -p $port >"$work/moto.log" 2>&1 &
  moto_pid=$!
  await_moto $port || return 1
  (
    cd "$copy" || exit 1
    unset AWS_PROFILE AWS_SESSION_TOKEN
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing
    export AWS_EC2_METADATA_DISABLED=true
    cat >moto.auto.tfvars <<'VARIABLES'
region          = "eu-west-1"
release_archive = "tests/release/streamgauge-0.0.0-x86_64-unknown-linux-gnu.tar.gz"
recording       = { path = "tests/release/README.md" }
alarm_emails    = ["you@example.org"]
create_cluster  = false
force_destroy   = true
bastion         = { allowed_cidr_blocks = ["203.0.113.7/32"], public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM6BSIHoaSNSFUrUd3XRs0pZu98EP+0rZkpUN+042HKt you" }
existing_cluster = {
  brokers     = "kafka.example.org:9096"
  auth        = "scram"
  secret_arn  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_readings-AbCdEf"
  cidr_blocks = ["10.1.0.0/16"]
}
VARIABLES
    timeout 300 "$terraform" apply -auto-approve -input=false -no-color >"$work/apply.log" 2>&1 || { grep -A 8 '^Error' "$work/apply.log"; exit 1; }
    grep 'Apply complete' "$work/apply.log"
    "$terraform" show -json >"$work/applied.json"
    python3 "$repository/tests/terraform/fetched.py" "$work/applied.json" "$work/fetched" || exit 1
    timeout 300 "$terraform" plan -input=false -no-color -out="$work/plan" >"$work/plan.log" 2>&1 || { cat "$work/plan.log"; exit 1; }
    "$terraform" show -json "$work/plan" >"$work/plan.json"
    python3 "$repository/tests/terraform/settled.py" "$work/plan.json" || exit 1
    timeout 300 "$terraform" destroy -auto-approve -input=false -no-color >"$work/destroy.log" 2>&1 || { grep -A 8 '^Error' "$work/destroy.log"; exit 1; }
    grep 'Destroy complete' "$work/destroy.log"
    [[ -z $("$terraform" state list) ]]
  )
}

if [[ ${provider-} != yes ]]; then
  lacking apply "there is no aws provider"
elif ! command -v moto_server >/dev/null; then
  lacking apply "moto is not installed"
else
  step apply apply_to_moto
fi

# ── Rendered settings ────────────────────────────────────────────────────────────────────────────────────────────

check_settings() {
  local file
  while read -r file; do
    echo "$file"
    "$STREAMGAUGE" --config "$file" config check --offline || return 1
  done < <(find terraform/tests/golden "$work/fetched" -name streamgauge.toml 2>/dev/null)
}

if [[ -n ${STREAMGAUGE-} ]]; then
  step settings check_settings
else
  lacking settings "STREAMGAUGE names no binary"
fi

# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────

# A root folder with the units of the release and what AWS lays over them, and something to execute in each place.
verify_units() {
  local root host unit
  for host in terraform/tests/golden/*/; do
    root=$work/root-$(basename "$host")
    mkdir -p "$root/usr/lib/systemd" "$root/usr/local/bin" "$root/usr/local/libexec/streamgauge" "$root/run/streamgauge-credentials"
    cp -r /usr/lib/systemd/system "$root/usr/lib/systemd"
    ln -s usr/lib "$root/lib"
    cp -r "$host/." "$root"
    cp packaging/systemd/*.service "$root/etc/systemd/system"
    cp packaging/systemd/back-off "$root/usr/local/libexec/streamgauge"
    cp /bin/true "$root/usr/local/bin/streamgauge"
    chmod -R +x "$root/usr/local"
    for unit in "$root"/etc/systemd/system/*.service; do
      unit=$(basename "$unit")
      systemd-analyze verify --root="$root" --man=no --recursive-errors=no "$unit" 2>&1 | grep -F "${unit%.service}" && return 1
      systemd-analyze security --offline=true --root="$root" --threshold=30 --no-pager "$unit" | grep Overall || return 1
      [[ ${PIPESTATUS[0]} == 0 ]] || return 1
    done
  done
}

if command -v systemd-analyze >/dev/null; then
  step systemd verify_units
else
  lacking systemd "there is no systemd-analyze"
fi

# ── The release archive, and installing from it ──────────────────────────────────────────────────────────────────

# The archive is of a program that does nothing; what is tested is packing and installing.
pack_and_install() {
  local architecture archive
  architecture=$(uname -m)
  (
    cd "$work/repository" || exit 1
    mkdir -p src/config
    cp "$repository"/{Cargo.toml,LICENSE,CHANGELOG.md} .
    cp "$repository/src/config/default.toml" src/config
    packaging/release "$architecture" --binary /bin/true && cp dist/*.tar.gz "$work/once" &&
      packaging/release "$architecture" --binary /bin/true >/dev/null && cmp dist/*.tar.gz "$work/once" &&
      cd dist && sha256sum --check --quiet -- *.sha256
  ) || return 1
  archive=("$work/repository/dist/"*.tar.gz)
  unshare --mount --map-root-user tests/terraform/install.sh "${archive[0]}"
}

if ! unshare --mount --map-root-user true 2>/dev/null; then
  lacking install "this machine allows no mount namespace"
elif ! command -v objdump >/dev/null; then
  lacking install "there are no binutils"
else
  step install pack_and_install
fi

# ── Scripts ──────────────────────────────────────────────────────────────────────────────────────────────────────

lint_scripts() {
  {
    printf '%s\0' packaging/release packaging/systemd/back-off tests/terraform/check.sh tests/terraform/install.sh
    find terraform/tests/golden -type f \( -name '*.sh' -o -path '*/libexec/*' \) -print0
  } | xargs -0 -r -n 200 shellcheck
}

if command -v shellcheck >/dev/null; then
  step scripts lint_scripts
else
  lacking scripts "shellcheck is not installed"
fi

# ── What came of it ──────────────────────────────────────────────────────────────────────────────────────────────

echo "── summary"
printf '  passed   %s\n' "${passed[@]}"
[[ ${#missing[@]} == 0 ]] || printf '  NOT RUN  %s\n' "${missing[@]}"
[[ ${#failed[@]} == 0 ]] || printf '  FAILED   %s\n' "${failed[@]}"
[[ ${#failed[@]} == 0 && (${#missing[@]} == 0 || ${CI-} != true) ]]
