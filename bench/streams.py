#!/usr/bin/env python3
"""Points that come and go, shoal beside its peers in one run; tables to stdout, a results file to --out.

  bench/streams.py window --window 200000 --engines shoal-f32,shoal-f32:41,hnswlib-f32,diskann-f32
  bench/streams.py consolidate --share 0.1

window: the rows pass through an index one by one; an update is an insert and the delete of the oldest.
The clock runs from the full window until all work that the updates cause has ended. DiskANN's
test_streaming_scenario inserts and consolidates in intervals of a quarter window: its rate is that of the
intervals after the first full window. In the end all have the same points. `shoal-f32:41` has R = 41:
DiskANN's lists hold 1.3 R edges between prunes.

consolidate: a share of the points is deleted and repaired at once by test_insert_deletes_consolidate, ours
and DiskANN's; the seconds are those that each prints.

SHOAL_DISKANN names the folder of DiskANN's programs; without it DiskANN takes no part. SIFT is handed to
these programs as floats.
"""
import argparse
import array
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

import curves
import machine
import report
import results
from engines import ENGINES, Worker

K = 10
HERE = pathlib.Path(__file__).resolve().parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", choices=("window", "consolidate"))
    parser.add_argument("--shared", type=pathlib.Path,
                        default=os.environ.get("SHOAL_DATA", HERE.parent.parent / "shared" / "data"))
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build", help="with bench/ and apps/")
    parser.add_argument("--engines", default="shoal-f32,shoal-f32:41,shoal-u8,hnswlib-f32,diskann-f32")
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--window", type=int, default=200000)
    parser.add_argument("--share", type=float, default=0.1, help="of the rows that are deleted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--degree", type=int, default=32)
    parser.add_argument("--list", type=int, default=100, help="of the inserts")
    parser.add_argument("--search-lists", default="100,120", help="of the searches, each")
    parser.add_argument("--out", help="a results file")
    args = parser.parse_args()
    args.rows_file, args.queries_file = (args.shared / f"sift-{name}.u8bin" for name in ("1m", "query-1k"))
    args.diskann = os.environ.get("SHOAL_DISKANN") and pathlib.Path(os.environ["SHOAL_DISKANN"])
    return args


def write_rows(source, target, code, begin=0, end=None):
    """Rows [begin, end) of a .u8bin as elements of `code`, f or B."""
    with open(source, "rb") as file, open(target, "wb") as out:
        have, dim = struct.unpack("<ii", file.read(8))
        end = have if end is None else min(end, have)
        file.seek(8 + begin * dim)
        out.write(struct.pack("<ii", end - begin, dim))
        for first in range(begin, end, 10000):
            array.array(code, list(file.read(min(10000, end - first) * dim))).tofile(out)


def run(program, **flags):
    """Runs a program with --flag value pairs; a flag of one letter gets one dash. Its output."""
    command = [program]
    for flag, value in flags.items():
        short = len(flag) == 1 and program.name != "compute_groundtruth"  # Whose K has two.
        command += [("-" if short else "--") + flag, value]
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout


def truth_of(args, **flags):
    run(args.build / "apps" / "utils" / "compute_groundtruth", dist_fn="l2", K=K, **flags)


def search(args, programs, index, queries, size):
    """recall@10 and the mean microseconds of a search of a float index with tags, one thread."""
    truth = f"{index}.truth"
    truth_of(args, data_type="float", base_file=f"{index}.data", query_file=queries, gt_file=truth,
             tags_file=f"{index}.tags")
    output = run(programs / "search_memory_index", data_type="float", dist_fn="l2", index_path_prefix=index,
                 result_path=f"{index}.result", query_file=queries, gt_file=truth, K=K, L=size, T=1,
                 dynamic="true", tags=1)
    cells = next(line.split() for line in output.splitlines() if re.match(rf"\s*{size}\s+[\d.]+\s", line))
    return {"list": size, "recall": float(cells[-1]) / 100, "search_us": float(cells[2])}


def float_files(args, folder):
    data, queries = folder / "rows.fbin", folder / "queries.fbin"
    write_rows(args.rows_file, data, "f", 0, args.rows)
    write_rows(args.queries_file, queries, "f")
    return data, queries


def lists(args):
    return map(int, args.search_lists.split(","))


def slide(args, engine, degree, folder):
    """(seconds, searches) of an engine with a worker."""
    worker = Worker(engine, args.build / "bench", sys.executable)
    worker.ask("load", base=args.rows_file, queries=args.queries_file, type=engine.kind, rows=args.rows)
    took = worker.ask("slide", window=args.window, threads=args.threads, degree=degree, list=args.list)
    first = args.rows - args.window
    window, truth, ids = (folder / name for name in ("window.u8bin", "truth", "ids"))
    write_rows(args.rows_file, window, "B", first, args.rows)
    truth_of(args, data_type="uint8", base_file=window, query_file=args.queries_file, gt_file=truth)
    searches = []
    for size in lists(args):
        worker.ask("answer", list=size, k=K, ids=ids)
        recall = curves.Truth(truth).recall([i - first for i in curves.read_ids(ids)], K)
        timed = worker.ask("search", list=size, k=K, threads=1, seconds=1)
        searches.append({"list": size, "recall": round(recall, 4), "search_us": round(1e6 / timed["qps"], 1)})
    worker.close()
    return took["seconds"], searches


def slide_diskann(args, degree, folder):
    """The same by DiskANN's program; and how many updates its seconds are of."""
    data, queries = float_files(args, folder)
    interval = args.window // 4
    active = args.window - interval  # It ends with one interval more than its active window.
    command = [args.diskann / "test_streaming_scenario", "--data_type", "float", "--dist_fn", "l2",
               "--data_path", data, "--index_path_prefix", folder / "x", "-R", degree, "-L", args.list,
               "--insert_threads", args.threads, "--consolidate_threads", args.threads,
               "--max_points_to_insert", args.rows, "--active_window", active,
               "--consolidate_interval", interval, "--start_point_norm", 508]
    filled = ended = None
    inserted = 0
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            if line.startswith("Insertion time"):
                inserted += 1
                if inserted == 3:  # Deletes begin two intervals after the window is full.
                    filled = time.monotonic()
            if "rate" in line.lower() or line.startswith("Insertion time"):
                ended = time.monotonic()
    index = folder / f"x.after-streaming-act{active}-cons{interval}-max{args.rows}"
    searches = [search(args, args.diskann, index, queries, size) for size in lists(args)]
    return ended - filled, searches, args.rows - active - 2 * interval


def windows(args):
    """A row for each engine and list size."""
    rows = []
    for name in args.engines.split(","):
        engine, _, degree = name.partition(":")
        degree = int(degree or args.degree)
        updates = args.rows - args.window
        with tempfile.TemporaryDirectory(prefix="shoal-window-") as folder:
            if engine == "diskann-f32":
                if args.diskann is None:
                    print(f"{name}: left out: SHOAL_DISKANN names no folder", file=sys.stderr)
                    continue
                seconds, searches, updates = slide_diskann(args, degree, pathlib.Path(folder))
            else:
                seconds, searches = slide(args, ENGINES[engine], degree, pathlib.Path(folder))
        for found in searches:
            rows.append({"engine": name, "degree": degree, "update_rate": round(updates / seconds, 1), **found})
            print(rows[-1], file=sys.stderr, flush=True)
    peers = [row["update_rate"] for row in rows if not row["engine"].startswith("shoal")]
    for row in rows if peers else []:
        row["by_the_fastest_peer"] = round(row["update_rate"] / max(peers), 2)
    return rows


def consolidations(args):
    rows, deleted = [], int(args.rows * args.share)
    for name, programs in (("shoal-f32", args.build / "apps"), ("diskann-f32", args.diskann)):
        if programs is None:
            continue
        with tempfile.TemporaryDirectory(prefix="shoal-consolidate-") as folder:
            folder = pathlib.Path(folder)
            data, queries = float_files(args, folder)
            output = run(programs / "test_insert_deletes_consolidate", data_type="float", dist_fn="l2",
                         data_path=data, index_path_prefix=folder / "x", R=args.degree, L=args.list,
                         T=args.threads, points_to_skip=0, max_points_to_insert=args.rows,
                         beginning_index_size=0, points_per_checkpoint=args.rows, checkpoints_per_snapshot=0,
                         points_to_delete_from_beginning=deleted, start_point_norm=508)
            seconds = float(re.search(r"Starting consolidate_deletes\.\.\.\s*done in ([\d.e+]+)", output)[1])
            inserting = float(re.search(r"Insertion time ([\d.e+]+)", output)[1])
            index = folder / f"x.after-delete-del{deleted}-{args.rows}"
            found = search(args, programs, index, queries, next(lists(args)))
        rows.append({"engine": name, "insert_us": round(inserting / args.rows * 1e6, 1),
                     "consolidate_seconds": seconds, "delete_rate": round(deleted / seconds, 1), **found})
    return rows


def main():
    args = parse_arguments()
    facts, start = machine.facts(args.build / "bench"), time.monotonic()
    rows = windows(args) if args.work == "window" else consolidations(args)
    wanted = ("engines", "rows", "window", "share", "threads", "degree", "list")
    done = {"type": f"streams-{args.work}", "name": f"{args.work} of sift-1m",
            "input": {key: getattr(args, key) for key in wanted}, "results": {args.work: rows}}
    document = results.document(facts, results.command_of("bench/streams.py", sys.argv[1:]), done,
                                time.monotonic() - start)
    if args.out:
        results.write(args.out, document)
    document["file"] = os.path.basename(args.out or "not kept")
    print(report.page("Streams", [document], ((), ()), None))


if __name__ == "__main__":
    main()
