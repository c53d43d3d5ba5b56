#!/usr/bin/env bash
# Checks terraform/ and packaging/ without an AWS account.
#
#   tests/terraform/check.sh                   everything
#   tests/terraform/check.sh --update-golden   writes terraform/tests/golden anew; look at what git says of it
#
# Needs terraform, and its aws provider from wherever `terraform init` finds it (TF_CLI_CONFIG_FILE may name a mirror; where
# init alone finds none, a filesystem mirror on this machine is looked for); systemd-analyze, binutils, curl, jq; python3, for checkov,
# moto and shellcheck, which are installed into a folder of their own unless they are on PATH. STREAMGAUGE names a binary to check
# the rendered settings with. What is missing is said; with CI=true it is a failure. It takes four minutes; every wait has an end.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

repository=$PWD
[[ -z ${STREAMGAUGE-} ]] || STREAMGAUGE=$(realpath "$STREAMGAUGE")
export STREAMGAUGE
executable=${TERRAFORM:-terraform}
cache="${XDG_CACHE_HOME:-$HOME/.cache}/streamgauge"
work=$(mktemp -d)
moto_pid=
end() {
  [[ -z $moto_pid ]] || { kill "$moto_pid" && wait "$moto_pid"; } 2>/dev/null
  rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM

# A copy, so that nothing of Terraform's is left here, and no lock file decides about the provider.
mkdir "$work/repository"
cp -r terraform sql packaging "$work/repository"
rm -rf "$work/repository/terraform/"{.terraform,.terraform.lock.hcl,terraform.tfstate*,terraform.tfvars}
module=$work/repository/terraform
export TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1

# As terraform, but not for ever.
terraform() { timeout --kill-after 30 300 "$executable" "$@"; }

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
  terraform init -input=false -no-color >/dev/null &&
    terraform apply -auto-approve -input=false -no-color -state="$state" >/dev/null &&
    terraform output -state="$state" -json files >"$work/golden.json" &&
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
  echo "installing checkov, moto and shellcheck into $tools"
  python3 -m venv "$tools" &&
    timeout 600 "$tools/bin/pip" install --quiet --requirement tests/terraform/requirements.txt &&
    echo "$stamp" >"$tools/stamp"
}

have() { local tool; for tool; do command -v "$tool" >/dev/null || return 1; done; }

if ! have checkov moto_server shellcheck || ! python3 -c 'import boto3' 2>/dev/null; then
  install_python_tools || echo "checkov, moto and shellcheck could not be installed" >&2
fi

# ── Terraform ────────────────────────────────────────────────────────────────────────────────────────────────────

in_module() { (cd "$module" && "$@"); }
init() { in_module terraform init -backend=false -input=false -no-color; }

# Folders in the form of a filesystem mirror, MIRROR/HOST/hashicorp/aws, in the places where such lie, with a package in them.
mirrors() {
  local place provider
  for place in /opt /usr/local /usr/share "$HOME"; do
    timeout 30 find "$place" -maxdepth 8 -type d -path '*/*/hashicorp/aws' 2>/dev/null
  done | while read -r provider; do
    [[ -z $(find -L "$provider" -maxdepth 3 -name 'terraform-provider-aws*' -print -quit) ]] || echo "${provider%/*/*/*}"
  done | awk '!seen[$0]++'
}

find_provider() {
  local mirror
  init >"$work/init.log" 2>&1 && return
  while read -r mirror; do
    printf 'disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$mirror" >"$work/terraform.rc"
    if TF_CLI_CONFIG_FILE=$work/terraform.rc init >"$work/mirror.log" 2>&1; then
      echo "terraform init alone finds no aws provider; taking it from the filesystem mirror $mirror"
      export TF_CLI_CONFIG_FILE=$work/terraform.rc
      return
    fi
  done < <(mirrors)
  cat "$work/init.log"
  return 1
}

if ! type -P "$executable" >/dev/null; then
  lacking terraform "there is no $executable"
else
  step format in_module terraform fmt -check -recursive -diff
  if ! find_provider; then
    lacking terraform "neither init nor a filesystem mirror has an aws provider"
  else
    in_module terraform version -no-color
    step validate in_module terraform validate -no-color
    step test in_module terraform test -no-color
    provider=yes
  fi
fi

# ── checkov ──────────────────────────────────────────────────────────────────────────────────────────────────────

scan() {
  LOG_LEVEL=ERROR timeout 300 checkov --directory "$module" --framework terraform --skip-path tests --skip-download \
    --download-external-modules false --quiet --compact || return 1
  # checkov knows such a file by its other name only.
  cp packaging/Containerfile "$work/Dockerfile"
  LOG_LEVEL=ERROR timeout 300 checkov --file "$work/Dockerfile" --framework dockerfile --skip-download --quiet --compact
}

if have checkov; then
  step checkov scan
else
  lacking checkov "it is not installed"
fi

# ── The release archive ──────────────────────────────────────────────────────────────────────────────────────────

# The archive is of a program that does nothing; what is tested is packing, here, and installing, below.
architecture=$(uname -m)
pack() (
  cd "$work/repository" || exit 1
  mkdir -p src/config
  cp "$repository"/{Cargo.toml,LICENSE,CHANGELOG.md} .
  cp "$repository/src/config/default.toml" src/config
  packaging/release "$architecture" --binary /bin/true && cp dist/*.tar.gz "$work/once" &&
    packaging/release "$architecture" --binary /bin/true >/dev/null && cmp dist/*.tar.gz "$work/once" &&
    cd dist && sha256sum --check --quiet -- *.sha256
)

if ! have objdump; then
  lacking release "there are no binutils"
elif step release pack; then
  archive=("$work/repository/dist/"*.tar.gz)
fi

# ── The hosts of the golden files, installed from a folder in place of the bucket ────────────────────────────────

isolated() { timeout --kill-after 10 120 unshare --mount --map-root-user tests/terraform/install.sh "$@"; }

install_golden() {
  local host name bucket place
  for host in terraform/tests/golden/*/; do
    name=$(basename "$host")
    place=$work/installed/$name
    bucket=$place/$(sed -n 's/^readonly bucket=//p' "$host/user-data.sh")
    mkdir -p "$bucket/assets"
    # The golden hosts expect an archive and a recording that there are only checksums of.
    sed "s/$(printf 'the archive' | sha256sum | cut -d' ' -f1)/$(sha256sum <"${archive[0]}" | cut -d' ' -f1)/" \
      "$host/user-data.sh" >"$place/user-data.sh"
    cp "${archive[0]}" "$bucket/assets/streamgauge-0.1.0-x86_64-unknown-linux-gnu.tar.gz"
    printf 'the recording' >"$bucket/assets/recording-0123456789abcdef.csv"
    while read -r _ _ key path; do
      install -D "$host/$path" "$bucket/$key"
    done < <(grep -E '^[0-9a-f]{64} 0[0-7]{3} ' "$place/user-data.sh")
    printf '%s: ' "$name"
    isolated "$place/user-data.sh" "file://$place" tampered || return 1
  done
}

if ! unshare --mount --map-root-user true 2>/dev/null; then
  lacking install "this machine allows no mount namespace"
elif ! have curl jq; then
  lacking install "there is no curl, or no jq"
elif [[ -n ${archive-} ]]; then
  installable=yes
  step install install_golden
fi
[[ -x ${STREAMGAUGE-} ]] || lacking settings "STREAMGAUGE names no program: ${STREAMGAUGE:-it is empty}"

# ── An apply, hosts installed from what it made, a plan that finds nothing more to do, and a destroy, against moto ─

start_moto() {
  local attempt
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  moto_server -H 127.0.0.1 -p "$port" >"$work/moto.log" 2>&1 &
  moto_pid=$!
  for attempt in {1..60}; do
    # Fails at once if the port is closed, and if the server has ended.
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
    kill -0 "$moto_pid" || return 1
    sleep 0.5
  done
  echo "moto did not answer within $attempt attempts" >&2
  return 1
}

# terraform COMMAND -auto-approve, with what counts of what it says.
changed_by() { # COMMAND
  terraform "$1" -auto-approve -input=false -no-color >"$work/$1.log" 2>&1 || { grep -A 8 '^Error' "$work/$1.log"; return 1; }
  grep -i "$1 complete" "$work/$1.log"
}

apply_to_moto() (
  copy=$work/moto/terraform
  mkdir -p "$work/moto"
  cp -r "$work/repository/." "$work/moto"
  rm "$copy/athena.tf"
  cp tests/terraform/moto_override.tf "$copy"
  cp tests/terraform/moto.tfvars "$copy/moto.auto.tfvars"
  unset AWS_PROFILE AWS_SESSION_TOKEN
  export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing
  export AWS_EC2_METADATA_DISABLED=true
  export TF_VAR_release_archive=${archive[0]} TF_VAR_architecture=${architecture/aarch64/arm64}
  cd "$copy" && changed_by apply && terraform show -json >"$work/applied.json" || exit 1
  python3 "$repository/tests/terraform/user_data.py" "$work/applied.json" "$work/user-data" || exit 1
  for user_data in "$work/user-data"/*; do
    printf '%s: ' "$(basename "$user_data")"
    (cd "$repository" && isolated "$user_data" "$AWS_ENDPOINT_URL") || exit 1
  done
  terraform plan -input=false -no-color -out="$work/plan" >"$work/plan.log" 2>&1 || { cat "$work/plan.log"; exit 1; }
  terraform show -json "$work/plan" >"$work/plan.json"
  python3 "$repository/tests/terraform/settled.py" "$work/plan.json" || exit 1
  changed_by destroy && [[ -z $(terraform state list) ]]
)

if [[ ${provider-} != yes ]]; then
  lacking apply "there is no aws provider"
elif ! have moto_server; then
  lacking apply "moto is not installed"
elif [[ ${installable-} != yes ]]; then
  lacking apply "no host can be installed from what it makes"
elif ! step moto start_moto; then
  cat "$work/moto.log"
else
  step apply apply_to_moto
fi

# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────

# A root folder with the units of the release and what AWS lays over them, and something to execute in each place.
verify_units() {
  local root host unit complaints
  for host in terraform/tests/golden/*/; do
    root=$work/root-$(basename "$host")
    mkdir -p "$root/usr/lib/systemd" "$root/usr/local/bin" "$root/usr/local/libexec/streamgauge" "$root/run/streamgauge-credentials"
    cp -r /usr/lib/systemd/system "$root/usr/lib/systemd"
    mkdir "$root/usr/bin"
    ln -s usr/lib usr/bin "$root"
    cp /bin/sh "$root/usr/bin"
    cp -r "$host/." "$root"
    cp packaging/systemd/*.service "$root/etc/systemd/system"
    cp packaging/systemd/back-off "$root/usr/local/libexec/streamgauge"
    cp /bin/true "$root/usr/local/bin/streamgauge"
    chmod -R +x "$root/usr/local"
    for unit in "$root"/etc/systemd/system/*.{service,timer}; do
      [[ -e $unit ]] || continue # no timer
      unit=$(basename "$unit")
      # It complains of units of this machine, too.
      complaints=$(systemd-analyze verify --root="$root" --man=no --recursive-errors=no "$unit" 2>&1 | grep -F "${unit%.*}")
      [[ -z $complaints ]] || { echo "$complaints"; return 1; }
      [[ $unit == *.service ]] || continue
      # Fails above the threshold, 3.0.
      systemd-analyze security --offline=true --root="$root" --threshold=30 --no-pager "$unit" | grep Overall || return 1
    done
  done
}

if have systemd-analyze; then
  step systemd verify_units
else
  lacking systemd "there is no systemd-analyze"
fi

# ── Scripts ──────────────────────────────────────────────────────────────────────────────────────────────────────

lint_scripts() {
  {
    printf '%s\0' packaging/release packaging/systemd/back-off .ci/run tests/terraform/check.sh tests/terraform/install.sh
    find terraform/tests/golden -type f \( -name '*.sh' -o -path '*/libexec/*' \) -print0
  } | xargs -0 -r -n 200 shellcheck
}

if have shellcheck; then
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
