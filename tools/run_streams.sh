#!/bin/bash
# Runs the jobs of points that come and go, one after another; their tables go to out/streams. About
# two hours with all peers on two cores, on a machine that does nothing else meanwhile.
#
#   SHOAL_DATA           folder of sift-1m.u8bin (default: ../shared/data)
#   SHOAL_DISKANN_APPS   folder of DiskANN's C++ programs; without it DiskANN takes no part
#   SHOAL_TURNOVERS      of the random scenario (default: 100); the others go through 3/10
#   SHOAL_SAVE           file that bench/mixed saves to (default: out/streams/mixed.shoal)
# Churn goes on where it was interrupted. hnswlib takes part when the build was configured with
# -DSHOAL_HNSWLIB_INCLUDE_DIR=..., DiskANN in `consolidate` with -DSHOAL_DISKANN_DIR=....
set -euo pipefail
cd "$(dirname "$0")/.."
out=out/streams
data=${SHOAL_DATA:-../shared/data}
turnovers=${SHOAL_TURNOVERS:-100}
mkdir -p "$out"
if [[ ! -e $data/sift-1m.u8bin ]]; then
  echo "no streams: $data/sift-1m.u8bin: not there (SHOAL_DATA)" >&2
  exit 1
fi

run() {  # run NAME COMMAND...: its output to the terminal and to out/streams/NAME.md
  echo "== $1"
  "${@:2}" | tee ${append:+-a} "$out/$1.md"
}
sift=(--data "$data/sift-1m.u8bin" --queries "$data/sift-query-1k.u8bin")
diskann=()
[[ -z ${SHOAL_DISKANN_APPS:-} ]] || diskann=(--diskann "$SHOAL_DISKANN_APPS")

for rows in 1000000 220000; do
  run "window-$rows" python3 bench/window.py --shared "$data" --rows $rows \
    --window $((rows == 220000 ? 20000 : 200000)) ${diskann[@]+"${diskann[@]}"} \
    --engines shoal-f32,shoal-f32:41,shoal-u8,hnswlib-f32,diskann-f32
done
for scenario in random slide region shrink hub refill; do
  [[ $scenario == random ]] && turns=$turnovers || turns=$((turnovers * 3 / 10))
  append=yes run "churn-$scenario" build/bench/churn --data "$data/sift-1m.u8bin" --scenario $scenario \
    --live 50000 --turnovers "$turns" --every 10 --threads 1 --state "$out/churn-$scenario.state"
done
run mixed-f32 build/bench/mixed "${sift[@]}" --type f32 --live 200000 --seconds 5 --rounds 3
run mixed-u8 build/bench/mixed "${sift[@]}" --type u8 --live 200000 --seconds 5 --rounds 3
run mixed-save build/bench/mixed "${sift[@]}" --type f32 --live 1000000 --seconds 6 --rounds 3 \
  --save "${SHOAL_SAVE:-$out/mixed.shoal}"
run consolidate build/bench/beside "${sift[@]}" --work consolidate
if [[ -e build/bench/beside_diskann ]]; then  # -DSHOAL_DISKANN_DIR=...
  run consolidate-diskann build/bench/beside_diskann "${sift[@]}"
fi
run consolidate-programs python3 bench/consolidate.py --shared "$data" ${diskann[@]+"${diskann[@]}"}
for threads in 2 64 2 64; do
  append=yes run "threads-$threads" build/bench/window_shoal "${sift[@]}" --type u8 --window 50000 \
    --rows 150000 --threads $threads
done
cmake --build build --target peer_shoal_bare
for type in f32 u8; do
  run "guard-$type" python3 bench/guard_cost.py --type $type --shared "$data"
done
