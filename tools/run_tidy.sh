#!/usr/bin/env bash
# clang-tidy with .clang-tidy's checks: run_tidy.sh BUILD_DIR JOBS [FILE...]
# Without files: every .cc of src, which brings the headers of src and include along.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 jobs=$2
shift 2
if [ $# -eq 0 ]; then
  mapfile -t sources < <(find src -name '*.cc' | sort)
  set -- "${sources[@]}"
fi
printf '%s\0' "$@" |
  xargs -0 -n 1 -P "$jobs" clang-tidy-16 -p "$build" --quiet 2> >(grep -v 'warnings\? generated' >&2)
