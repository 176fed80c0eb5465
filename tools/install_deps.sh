#!/usr/bin/env bash
# Installs the Debian packages that Dovetail needs and that are missing; does nothing when all are
# there. Exit codes: 0 all there, 1 apt failed, 2 not possible here (what to do is printed).
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: tools/install_deps.sh [--tests] [--print] [--quiet]
  --tests   also what the tests, checks and benchmarks need
  --print   only list what is missing, install nothing
  --quiet   say nothing when nothing is missing
Needs Debian 12 or newer (or a relative with apt) and root or sudo, but only if something is missing.
TEXT
}

# What it takes to build and run Dovetail. ccache stands here because adding it later would compile
# everything once more.
product_packages=(
  g++ cmake ninja-build ccache pkg-config ca-certificates
  libtorch-dev libopenblas-dev                           # running models on the host
  libfmt-dev libtomlplusplus-dev nlohmann-json3-dev libcli11-dev
  libpcre2-dev libicu-dev libsentencepiece-dev           # tokenizers
  libpagmo-dev                                           # search of spaces too large to enumerate
  libsqlite3-dev zlib1g-dev libssl-dev                   # studies, wheels, report pages, digests
  node-d3                                                # charts of the report page, bundled into it
  bubblewrap libseccomp-dev libpython3-dev               # the sandbox of generated code
  libyaml-cpp-dev                                        # lm-eval's descriptions of tasks
  python3-jinja2                                         # chat templates
  libcpp-httplib-dev                                     # serving models
  python3 python3-pip                                    # fetching models from package registries
)
test_packages=(
  libgtest-dev libgmock-dev libbenchmark-dev coinor-libcbc-dev
  clang-format-19 clang-tidy-19 python3-venv git
  clang-19 libclang-rt-19-dev                            # fuzzing, and a second compiler (--clang)
  chromium chromium-driver python3-selenium poppler-utils  # the report page in a real browser and on paper
  zsh fish mandoc                                        # completion and the man page
  verilator yosys                                        # the units of rtl/ against src/arith; their areas
)

wanted=("${product_packages[@]}")
print_only=false
quiet=false
for argument in "$@"; do
  case "$argument" in
    --tests) wanted+=("${test_packages[@]}") ;;
    --print) print_only=true ;;
    --quiet) quiet=true ;;
    --help | -h) usage; exit 0 ;;
    *) echo "install_deps: unknown option '$argument'" >&2; usage >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "install_deps: this system has no apt. Install the equivalents of these Debian packages," >&2
  echo "then pass --no-install: ${wanted[*]}" >&2
  exit 2
fi

missing=()
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
for package in "${wanted[@]}"; do
  grep -qxF "$package installed" <<<"$installed" || missing+=("$package")
done

if [[ ${#missing[@]} -eq 0 ]]; then
  $quiet || echo "install_deps: all ${#wanted[@]} packages are installed"
  exit 0
fi
if $print_only; then
  echo "${missing[*]}"
  exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  # Without a terminal sudo must not ask; with one it may.
  if command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
    as_root=(sudo)
  else
    echo "install_deps: ${#missing[@]} packages are missing and this user may not install. As root, run:" >&2
    echo "  apt-get update && apt-get install --yes --no-install-recommends ${missing[*]}" >&2
    exit 2
  fi
fi

apt_log=$(mktemp)
trap 'rm -f "$apt_log"' EXIT
run_apt() {
  # A lock held by another apt is waited for; everything apt says is kept for the case of failure.
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >>"$apt_log" 2>&1; then
    tail -n 20 "$apt_log" >&2
    echo "install_deps: 'apt-get $1' failed; wanted: ${missing[*]}" >&2
    exit 1
  fi
}
echo "install_deps: installing ${#missing[@]} packages: ${missing[*]}"
run_apt update
run_apt install --yes --no-install-recommends "${missing[@]}"
echo "install_deps: done"
