#!/usr/bin/env bash
# run_tests.sh test JOBS     what `make test` runs: the release build's tests that are neither long nor
#                            checks
# run_tests.sh check JOBS    what `make check` runs: the release build's checks; directed races and
#                            short stress under ThreadSanitizer, some of the latter under
#                            AddressSanitizer
# run_tests.sh sanitize JOBS what `make sanitize` runs: the tests labelled concurrency, but the long
#                            ones, under both sanitizers
# run_tests.sh stress JOBS   what `make stress` runs: the long tests, libFuzzer, then everything under
#                            both sanitizers
# Labels: tests/CMakeLists.txt. All of it runs even if a part fails; the closing lines say what passed,
# the exit status if all did.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=$1 jobs=$2
summary=() failed=0

# ctest_in NAME DIRECTORY ARGUMENT...: runs tests and keeps ctest's closing line.
ctest_in() {
  local name=$1 directory=$2 log status=0
  shift 2
  log=$(mktemp)
  ctest --test-dir "$directory" --output-on-failure --no-tests=error -j "$jobs" "$@" </dev/null |
    tee "$log" || status=$?
  summary+=("$name: $(grep 'tests passed' "$log" || echo 'no test ran')")
  rm -f "$log"
  [ "$status" -eq 0 ] || failed=1
}

# build PRESET TARGETS
build() {
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" -j "$jobs" --target $2
}

# sanitized PRESET TARGETS EXCLUDED ARGUMENT...: builds a sanitizer's preset and runs its tests, but
# those with a label that EXCLUDED matches. (One -LE: of two, ctest leaves out what both match.)
sanitized() {
  local preset=$1 target=$2 excluded=$3
  shift 3
  build "$preset" "$target"
  ctest_in "tests under $preset" "build-$preset" -LE "$excluded" "$@"
}

case $mode in
  test)
    build release quick_tests
    # Of a program that is not built ctest knows no label, only that it is not.
    ctest_in 'tests' build -LE 'check|stress' -E '_NOT_BUILT$'
    ;;
  check)
    build release all
    ctest_in 'checks' build -L check -LE stress
    sanitized tsan race_tests 'house|stress' -L concurrency -R '(Race|^Stress\.)'
    # Of everything at once: the whole index, indices of every shape, vector sets in a server.
    sanitized asan 'history_stress shape_stress shoal_vset' 'house|stress' \
      -R '^Stress\.(history|shape)_|^Server\.Races'
    ;;
  sanitize)
    sanitized asan concurrency_tests 'house|stress' -L concurrency
    sanitized tsan concurrency_tests 'house|stress' -L concurrency
    ;;
  stress)
    build release all
    ctest_in 'long tests' build -L stress
    build fuzz database_fuzz
    ctest_in 'fuzzing' build-fuzz -L fuzz
    # The house's own tests say the same in every build.
    sanitized asan all house
    sanitized tsan all house
    ;;
  *)
    echo "usage: run_tests.sh test|check|sanitize|stress JOBS" >&2
    exit 2
    ;;
esac
printf '%s\n' "" "${summary[@]}"
exit "$failed"
