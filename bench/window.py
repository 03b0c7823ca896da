#!/usr/bin/env python3
"""A window that slides over a file: updates per second and recall, shoal beside its peers in one run.

  bench/window.py [--window 200000 --threads 2 --degree 32 --list 100] [--diskann APPS_DIRECTORY]

One update is an insert and the delete of the oldest point. The clock runs until all work that the
updates cause has ended. hnswlib takes part where window_hnswlib was built, DiskANN's C++ where
--diskann names the folder of its programs: its test_streaming_scenario inserts and consolidates in
intervals, so its rate is that of the intervals after the first full window. It ends with one interval
more than its active window, so that is one interval less than ours: in the end both have the same points.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import diskann_programs
import machine


def parse_arguments():
    parser = diskann_programs.parser(__doc__)
    parser.add_argument("--programs", type=pathlib.Path, default=diskann_programs.OURS.parent / "bench")
    parser.add_argument("--window", type=int, default=200000)
    parser.add_argument("--list", type=int, default=100, help="of the inserts")
    parser.add_argument("--search-lists", default="100,120", help="of the searches, each")
    parser.add_argument("--engines", default="shoal-f32,shoal-u8,hnswlib-f32,diskann-f32",
                        help="each perhaps with a degree of its own: shoal-f32:41 (DiskANN's lists\n"
                             "hold 1.3 R edges between prunes), and shoal's with points that come\n"
                             "and go so many at a time: shoal-f32:36@50000")
    return parser.parse_args()


def window_program(args, name, kind, degree, batch):
    program = args.programs / f"window_{name}"
    if not program.exists():
        return None
    command = [program, "--data", args.shared / "sift-1m.u8bin", "--queries",
               args.shared / "sift-query-1k.u8bin", "--type", kind, "--window", args.window,
               "--rows", args.rows, "--threads", args.threads, "--degree", degree, "--list",
               args.list, "--search-lists", args.search_lists]
    if batch:
        command += ["--batch", batch]
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def diskann(args, degree):
    """DiskANN's own program; recall by its own search."""
    if not args.diskann:
        return None
    with tempfile.TemporaryDirectory(prefix="shoal-window-") as folder:
        folder = pathlib.Path(folder)
        data, queries = folder / "rows.fbin", folder / "queries.fbin"
        diskann_programs.to_float(args.shared / "sift-1m.u8bin", data, args.rows)
        diskann_programs.to_float(args.shared / "sift-query-1k.u8bin", queries, None)
        interval = args.window // 4
        active = args.window - interval
        command = [args.diskann / "test_streaming_scenario", "--data_type", "float", "--dist_fn",
                   "l2", "--data_path", data, "--index_path_prefix", folder / "x", "-R",
                   degree, "-L", args.list, "--insert_threads", args.threads,
                   "--consolidate_threads", args.threads, "--max_points_to_insert", args.rows,
                   "--active_window", active, "--consolidate_interval", interval,
                   "--start_point_norm", 508]
        filled = ended = None
        inserted = 0
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as run:
            for line in run.stdout:
                if line.startswith("Insertion time"):
                    inserted += 1
                    # Deletes begin two intervals after the window is full.
                    if inserted == 3:
                        filled = time.monotonic()
                if "rate" in line.lower() or line.startswith("Insertion time"):
                    ended = time.monotonic()
        updates = args.rows - active - 2 * interval
        name = f"x.after-streaming-act{active}-cons{interval}-max{args.rows}"
        searches = [dict(zip(("list", "recall", "search_us"), (size, *diskann_programs.search(
            args.diskann, folder / name, queries, size, args.apps))))
            for size in map(int, args.search_lists.split(","))]
        return {"seconds": ended - filled, "updates_per_second": updates / (ended - filled),
                "searches": searches}


def main():
    args = parse_arguments()
    results = {}
    for engine in args.engines.split(","):
        parts = re.fullmatch(r"(shoal|hnswlib|diskann)-(f32|u8)(?::(\d+))?(?:@(\d+))?", engine)
        if not parts or (parts[4] and parts[1] != "shoal"):
            sys.exit(f"--engines: {engine}: expected shoal-f32:41, shoal-f32@50000, hnswlib-u8 "
                     "and the like")
        name, kind, degree = parts[1], parts[2], parts[3] or args.degree
        result = (diskann(args, degree) if name == "diskann" else
                  window_program(args, name, kind, degree, parts[4]))
        if result is None:
            print(f"{engine}: not here", file=sys.stderr)
            continue
        results[engine] = result
        print(f"{engine}: {json.dumps(result)}", file=sys.stderr, flush=True)
    best = max((r["updates_per_second"] for e, r in results.items()
                if not e.startswith("shoal") and "-f32" in e), default=None)
    print(f"Window of {args.window} over {args.rows} rows, R = {args.degree}, L = {args.list}, "
          f"{args.threads} threads, {machine.facts()['cpu']}, {machine.facts()['date']}\n")
    sizes = args.search_lists.split(",")
    print("| engine | updates/s | of the better f32 peer |" +
          "".join(f" recall@10, L = {size} | search us |" for size in sizes))
    print("|---|---|---|" + "---|---|" * len(sizes))
    for engine, r in results.items():
        ratio = f"{r['updates_per_second'] / best:.2f}" if best else ""
        print(f"| {engine} | {r['updates_per_second']:,.0f} | {ratio} |" +
              "".join(f" {s['recall']:.4f} | {s['search_us']:.0f} |" for s in r["searches"]))


if __name__ == "__main__":
    main()
