#!/usr/bin/env bash
# Prints how many compilers may run at once: one a core, but only as many as memory holds, because
# one that reads libtorch's headers takes up to 2 GiB.
set -euo pipefail
memory_gib=$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo)
by_memory=$((memory_gib / 2))
jobs_count=$(nproc)
if [[ $by_memory -lt $jobs_count ]]; then jobs_count=$by_memory; fi
if [[ $jobs_count -lt 1 ]]; then jobs_count=1; fi
echo "$jobs_count"
