#!/bin/bash
# Runs the benchmark jobs one after another; tables and samples go to out/bench. About an hour with
# all peers on two cores, on a machine that does nothing else meanwhile.
#
#   SHOAL_DATA           folder of sift-1m.u8bin (default: ../shared/data); without it: no SIFT jobs
#   SHOAL_FAISS_PYTHON   a Python that has faiss-cpu (default: python3)
#   SHOAL_BENCH_CACHE    folder that keeps generated data and the peers' indices (default: out/bench)
#   SHOAL_BENCH_ROUNDS   rounds of every timed comparison (default: 5)
# Arguments go to bench/compare.py: --fresh-builds, for builds that are timed in this very run.
# hnswlib takes part when the build was configured with -DSHOAL_HNSWLIB_INCLUDE_DIR=....
set -euo pipefail
cd "$(dirname "$0")/.."
out=out/bench
cache=${SHOAL_BENCH_CACHE:-$out}
rounds=${SHOAL_BENCH_ROUNDS:-5}
data=${SHOAL_DATA:-../shared/data}
python=${SHOAL_FAISS_PYTHON:-python3}
mkdir -p "$out" "$cache"

run() {  # run NAME COMMAND...: its output to the terminal and to out/bench/NAME.md
  echo "== $1"
  "${@:2}" | tee "$out/$1.md"
}
flags=("$@")
compare() {  # compare DATA
  run "compare-$1" python3 bench/compare.py --data "$1" --shared "$data" --data-dir "$cache" \
    --python "$python" --cache "$cache/indices" --rounds "$rounds" --out "$out/compare-$1.json" \
    ${flags[@]+"${flags[@]}"}
}

run kernels build/bench/distance_bench --benchmark_filter='gather/.*/(float32|uint8)/l2/128'
run exact build/bench/exact_rate
run products build/bench/products

if [[ ! -e $cache/mixture.gt100 || ! -e $cache/near-duplicates.gt100 ]]; then
  echo "== generated data"
  build/bench/make_data --out "$cache"
  build/bench/make_data --out "$cache" --set near-duplicates --rows 200000 --dim 128
fi
compare mixture
compare near-duplicates

if [[ ! -e $data/sift-1m.u8bin ]]; then
  echo "no SIFT jobs: $data/sift-1m.u8bin: not there (SHOAL_DATA)"
  exit 0
fi
compare sift-1m
for engine in shoal-f32 shoal-u8; do
  run "scaling-$engine" python3 bench/scaling.py --engine $engine --shared "$data" \
    --rounds "$rounds" --out "$out/scaling-$engine.json"
done
sift=(--data "$data/sift-1m.u8bin" --queries "$data/sift-query-1k.u8bin")
run consolidate build/bench/beside "${sift[@]}" --work consolidate
if [[ -e build/bench/beside_diskann ]]; then  # -DSHOAL_DISKANN_DIR=...
  run consolidate-diskann build/bench/beside_diskann "${sift[@]}"
fi

# The same code with line tables, for the names of inlined functions.
cmake --preset release -B build-profile -DCMAKE_CXX_FLAGS=-g -DSHOAL_BUILD_TESTS=OFF >/dev/null
cmake --build build-profile --target hop_profile
for type in f32 u8; do
  run "hop-$type" build-profile/bench/hop_profile --type $type --base "$data/sift-1m.u8bin" \
    --queries "$data/sift-query-1k.u8bin" --truth "$data/sift-1m.gt100"
done
