#!/usr/bin/env bash
# Runs clang-tidy 19 with the list of .clang-tidy over sources under src/.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
Usage: tools/run_tidy.sh [--all | --since REV] [--build FOLDER] [--seconds N] [FILE ...]
  (nothing)      sources that differ from the last commit
  --since REV    sources that differ from REV, with the sources of changed headers
  --all          every source of the folders that do not need libtorch
  --build FOLDER folder with compile_commands.json [build]
  --seconds N    start no file after N seconds; what was left out is printed [no limit]
Files that need libtorch take a minute each; they are only checked when named as FILE.
TEXT
}

mode=since
revision=HEAD
build=build
seconds=0
files=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    --all) mode=all ;;
    --since) mode=since; revision=${2:?--since needs a revision}; shift ;;
    --build) build=${2:?--build needs a folder}; shift ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --help | -h) usage; exit 0 ;;
    -*) echo "run_tidy: unknown option '$1'" >&2; usage >&2; exit 2 ;;
    *) mode=named; files+=("$1") ;;
  esac
  shift
done

tidy=$(command -v clang-tidy-19 || true)
if [[ -z $tidy ]]; then
  echo "run_tidy: clang-tidy-19 is missing: tools/install_deps.sh --tests" >&2
  exit 2
fi
if [[ ! -f $build/compile_commands.json ]]; then
  echo "run_tidy: $build/compile_commands.json is missing: cmake --preset release" >&2
  exit 2
fi

needs_torch() {
  [[ $1 == *_torch.* || $1 == *_torch_test.* ]] || grep -qE '#include (<(torch|ATen|c10)/|"host/)' "$1"
}
case $mode in
  all) mapfile -t candidates < <(git ls-files 'src/*.cc') ;;
  since) mapfile -t candidates < <(git diff --name-only --diff-filter=d "$revision" -- 'src/*.cc' 'src/*.h') ;;
  named) candidates=() ;;
esac
for file in "${candidates[@]}"; do
  source=${file%.h}
  [[ $source == "$file" ]] || source=$source.cc
  if [[ -f $source ]] && ! needs_torch "$source"; then files+=("$source"); fi
done
mapfile -t files < <(printf '%s\n' "${files[@]}" | sort -u | sed '/^$/d')

status=0
num_checked=0
jobs_limit=$(nproc)
declare -A running=()
reap() {  # waits for one file and prints what it said if it failed
  local pid code=0
  wait -n -p pid || code=$?
  if [[ $code -ne 0 ]]; then
    status=1
    # The count of suppressed warnings is no finding.
    grep -vE '^[0-9]+ warnings? |^Suppressed |^Use -header-filter' "$logs/${running[$pid]//\//_}" || true
  fi
  unset "running[$pid]"
}
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
for file in "${files[@]}"; do
  if [[ $seconds -gt 0 && $SECONDS -ge $seconds ]]; then
    echo "run_tidy: stopped after $seconds s; not checked: ${files[*]:num_checked}"
    break
  fi
  if [[ ${#running[@]} -ge $jobs_limit ]]; then reap; fi
  "$tidy" -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option "$file" >"$logs/${file//\//_}" 2>&1 &
  running[$!]=$file
  num_checked=$((num_checked + 1))
done
while [[ ${#running[@]} -gt 0 ]]; do reap; done
if [[ $status -eq 0 ]]; then
  echo "run_tidy: ok, $num_checked of ${#files[@]} files"
else
  echo "run_tidy: findings above, $num_checked of ${#files[@]} files checked" >&2
fi
exit $status
