#!/usr/bin/env python3
"""Deletes a tenth of an index and consolidates: shoal beside DiskANN's C++ in one run.

  bench/consolidate.py --diskann APPS_DIRECTORY [--rows 1000000 --share 0.1 --threads 2]

Both are called by the same command line, test_insert_deletes_consolidate's; the seconds are those
that each prints for its consolidation. Then recall@10 of what is left, each by its own program.
What others wait meanwhile is bench/beside's: DiskANN's program searches nothing then.
"""
import pathlib
import re
import sys
import tempfile

import diskann_programs
import machine


def parse_arguments():
    parser = diskann_programs.parser(__doc__)
    parser.add_argument("--share", type=float, default=0.1, help="of the rows that are deleted")
    parser.add_argument("--list", type=int, default=64, help="of inserts, and of the searches")
    return parser.parse_args()


def consolidate(programs, args, folder):
    data, queries = folder / "rows.fbin", folder / "queries.fbin"
    deleted = int(args.rows * args.share)
    output = diskann_programs.run(
        programs / "test_insert_deletes_consolidate", data_type="float", dist_fn="l2",
        data_path=data, index_path_prefix=folder / "x", R=args.degree, L=args.list, T=args.threads,
        points_to_skip=0, max_points_to_insert=args.rows, beginning_index_size=0,
        points_per_checkpoint=args.rows, checkpoints_per_snapshot=0,
        points_to_delete_from_beginning=deleted, start_point_norm=508)
    inserting = float(re.search(r"Insertion time ([\d.e+]+)", output)[1])
    seconds = float(re.search(r"Starting consolidate_deletes\.\.\.\s*done in ([\d.e+]+)", output)[1])
    recall, search_us = diskann_programs.search(
        programs, folder / f"x.after-delete-del{deleted}-{args.rows}", queries, args.list, args.apps)
    return {"insert": inserting / args.rows * 1e6, "seconds": seconds, "rate": deleted / seconds,
            "recall": recall, "search_us": search_us}


def main():
    args = parse_arguments()
    results = {}
    with tempfile.TemporaryDirectory(prefix="shoal-consolidate-") as folder:
        folder = pathlib.Path(folder)
        diskann_programs.to_float(args.shared / "sift-1m.u8bin", folder / "rows.fbin", args.rows)
        diskann_programs.to_float(args.shared / "sift-query-1k.u8bin", folder / "queries.fbin", None)
        for name, programs in (("shoal", args.apps), ("DiskANN", args.diskann)):
            if programs is None:
                print(f"{name}: not here (--diskann)", file=sys.stderr)
                continue
            results[name] = consolidate(programs, args, folder)
            print(f"{name}: {results[name]}", file=sys.stderr, flush=True)
    print(f"{args.share:.0%} of {args.rows} float rows deleted and consolidated, R = {args.degree}, "
          f"L = {args.list}, {args.threads} threads, {machine.facts()['cpu']}, "
          f"{machine.facts()['date']}\n")
    print("| engine | an insert, us | consolidation, s | deletes/s | shoal's by these | recall@10 after | "
          "search us |")
    print("|---|---|---|---|---|---|---|")
    for name, r in results.items():
        print(f"| {name} | {r['insert']:.0f} | {r['seconds']:.1f} | {r['rate']:,.0f} | "
              f"{results['shoal']['rate'] / r['rate']:.2f} | {r['recall']:.4f} | "
              f"{r['search_us']:.0f} |")


if __name__ == "__main__":
    main()
