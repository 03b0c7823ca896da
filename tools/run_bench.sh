#!/bin/bash
# Runs the benchmark jobs one after another; results files and their tables go to out/bench. About an hour
# with all peers on two cores, on a machine that does nothing else meanwhile.
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
data=${SHOAL_DATA:-../shared/data}
mkdir -p "$out" "$cache"
flags=("$@")
compare() {  # compare DATA: a results file and its tables
  echo "== compare-$1"
  python3 bench/compare.py --data "$1" --shared "$data" --data-dir "$cache" \
    --python "${SHOAL_FAISS_PYTHON:-python3}" --cache "$cache/indices" --rounds "${SHOAL_BENCH_ROUNDS:-5}" \
    --out "$out/compare-$1.json" ${flags[@]+"${flags[@]}"} | tee "$out/compare-$1.md"
}

build/bench/shoal-bench run --input-file bench/job_files/kernels.json --output-file "$out/kernels.json"
python3 bench/report.py "$out/kernels.json" | tee "$out/kernels.md"
make_set() {  # make_set NAME OPTIONS...: unless it is there
  [[ -e $cache/$1.gt100 ]] || build/bench/shoal-bench generate-data --out "$cache" --set "$@"
}
make_set mixture
make_set near-duplicates --rows 200000 --dim 128
compare mixture
compare near-duplicates
if [[ ! -e $data/sift-1m.u8bin ]]; then
  echo "no SIFT jobs: $data/sift-1m.u8bin: not there (SHOAL_DATA)"
  exit 0
fi
compare sift-1m
