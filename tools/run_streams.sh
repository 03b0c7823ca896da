#!/bin/bash
# Runs the jobs of points that come and go, one after another; results files and their tables go to
# out/streams. About two hours with all peers on two cores, on a machine that does nothing else meanwhile.
#
#   SHOAL_DATA      folder of sift-1m.u8bin (default: ../shared/data)
#   SHOAL_DISKANN   folder of DiskANN's C++ programs; without it DiskANN takes no part
# hnswlib takes part when the build was configured with -DSHOAL_HNSWLIB_INCLUDE_DIR=....
set -euo pipefail
cd "$(dirname "$0")/.."
out=out/streams
data=${SHOAL_DATA:-../shared/data}
mkdir -p "$out"
if [[ ! -e $data/sift-1m.u8bin ]]; then
  echo "no streams: $data/sift-1m.u8bin: not there (SHOAL_DATA)" >&2
  exit 1
fi
engines=shoal-f32,shoal-f32:41,shoal-u8
[[ ! -e build/bench/peer_hnswlib ]] || engines+=,hnswlib-f32
streams() {  # streams NAME ARGUMENTS...
  echo "== $1"
  python3 bench/streams.py "${@:2}" --shared "$data" --out "$out/$1.json" | tee "$out/$1.md"
}
run_jobs() {  # run_jobs NAME: those of bench/job_files/NAME.json
  echo "== $1"
  build/bench/shoal-bench run --input-file "bench/job_files/$1.json" --search-directory "$data" \
    --output-file "$out/$1.json"
  python3 bench/report.py "$out/$1.json" | tee "$out/$1.md"
}

streams window-200000 window --rows 1000000 --window 200000 --engines "$engines,diskann-f32"
streams window-20000 window --rows 220000 --window 20000 --engines "$engines,diskann-f32"
streams consolidate consolidate --list 64 --search-lists 64
for threads in 2 64 2 64; do
  streams "threads-$threads" window --rows 150000 --window 50000 --engines shoal-u8 --threads $threads
done
run_jobs churn
run_jobs beside
