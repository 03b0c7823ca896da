#!/usr/bin/env python3
"""Indices that cross over: DiskANN's index files, written and searched by either side.

  tests/cross_load.py --diskann APPS_DIRECTORY [--programs build/apps]

Both sides' test_insert_deletes_consolidate and test_streaming_scenario write a dynamic index of the
same rows, and both sides' build_memory_index static ones of several types and metrics; both sides'
search_memory_index searches each of them (dynamic ones with --dynamic true --tags 1). Prints
recall@10 of all combinations and exits with 1 if, for files of one writer, it differs between the
two searchers by more than --tolerance percentage points at any L.
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

SIDES = ("shoal", "DiskANN")
STREAMS = ("inserts-deletes", "streaming")  # Of floats under l2, dynamic.
STATIC = {f"static-{kind}-{metric}": (kind, metric)
          for kind, metrics in (("float", ("l2", "mips", "cosine")), ("int8", ("l2", "cosine")),
                                ("uint8", ("l2", "cosine")))
          for metric in metrics}
SCENARIOS = (*STREAMS, *STATIC)
CODES = {"float": "f", "int8": "b", "uint8": "B"}


class Failed(Exception):
    """One line for a person."""


def parse_arguments():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    shared = pathlib.Path(os.environ.get("SHOAL_DATA", here.parent.parent / "shared" / "data"))
    parser.add_argument("--diskann", type=pathlib.Path, required=True,
                        help="folder of DiskANN's search_memory_index and so on")
    parser.add_argument("--programs", type=pathlib.Path, default=here.parent / "build" / "apps",
                        help="folder of shoal's")
    parser.add_argument("--base", type=pathlib.Path, default=shared / "sift-1m.u8bin",
                        help="rows, .bin of uint8; they are handed on as floats")
    parser.add_argument("--queries", type=pathlib.Path, default=shared / "sift-query-1k.u8bin")
    parser.add_argument("--rows", type=int, default=20000, help="the first so many")
    parser.add_argument("--degree", type=int, default=32)
    parser.add_argument("--list", type=int, default=100, help="of inserts")
    parser.add_argument("--search-lists", type=int, nargs="+", default=[10, 20, 40, 100])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=0.5, help="percentage points")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=SCENARIOS, metavar="NAME",
                        help=f"of {', '.join(SCENARIOS)}")
    return parser.parse_args()


def write_rows(kind, source, target, rows=None):
    """The first rows of a .bin of uint8 as a .bin of `kind`; int8 is 128 less."""
    with open(source, "rb") as file:
        have, dim = struct.unpack("<ii", file.read(8))
        if rows is not None and have < rows:
            raise Failed(f"{source}: rows: expected at least {rows}, found {have}")
        rows = rows or have
        values = file.read(rows * dim)
    if kind == "int8":
        values = (value - 128 for value in values)
    with open(target, "wb") as file:
        file.write(struct.pack("<ii", rows, dim))
        array.array(CODES[kind], list(values)).tofile(file)


def run(program, **flags):
    """stdout of a program that must succeed."""
    words = [str(program)]
    for name, value in flags.items():
        dashes = "" if name[0] == "-" else "-" if len(name) == 1 else "--"
        words.append(dashes + name)
        words += map(str, value if isinstance(value, (list, tuple)) else [value])
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except OSError as error:
        raise Failed(f"{program}: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout
    said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
    raise Failed(f"{program}: exit status: expected 0, found {done.returncode}: {said}")


def write_static(args, programs, scenario, folder, prefix):
    """Runs build_memory_index; the path of the index that it has written, and its row numbers."""
    kind, metric = STATIC[scenario]
    run(programs / "build_memory_index", data_type=kind, dist_fn=metric,
        data_path=folder / f"base.{kind}", index_path_prefix=prefix, R=args.degree, L=args.list,
        alpha=1.2, T=args.threads)
    return prefix, list(range(args.rows))


def write_stream(args, programs, scenario, folder, prefix):
    """Runs a streaming program; the path of the index that it has written, and the tags in it."""
    common = {"data_type": "float", "dist_fn": "l2", "data_path": folder / "base.float",
              "index_path_prefix": prefix, "R": args.degree, "L": args.list, "alpha": 1.2,
              "max_points_to_insert": args.rows, "start_point_norm": 508}
    quarter = args.rows // 4
    if scenario == "inserts-deletes":
        run(programs / "test_insert_deletes_consolidate", **common, T=args.threads,
            points_to_skip=0, beginning_index_size=0, points_per_checkpoint=args.rows // 8,
            checkpoints_per_snapshot=0, points_to_delete_from_beginning=quarter,
            start_deletes_after=2 * quarter, do_concurrent="true")
        index = pathlib.Path(f"{prefix}.after-concurrent-delete-del{quarter}-{args.rows}")
    else:
        run(programs / "test_streaming_scenario", **common, insert_threads=args.threads,
            consolidate_threads=args.threads, active_window=quarter,
            consolidate_interval=quarter // 2)
        index = pathlib.Path(f"{prefix}.after-streaming-act{quarter}-cons{quarter // 2}"
                             f"-max{args.rows}")
    tags = array.array("I", pathlib.Path(f"{index}.tags").read_bytes()[8:])
    return index, sorted(tag for tag in tags if tag != 0)


def search(args, programs, scenario, index, folder):
    """recall@10 in percent by L."""
    kind, metric = STATIC.get(scenario, ("float", "l2"))
    dynamic = {"dynamic": "true", "tags": 1} if scenario in STREAMS else {}
    out = run(programs / "search_memory_index", data_type=kind, dist_fn=metric,
              index_path_prefix=index, result_path=folder / "result",
              query_file=folder / f"queries.{kind}", gt_file=folder / "truth", K=10,
              L=args.search_lists, T=args.threads, **dynamic)
    found = {int(line.split()[0]): float(line.split()[-1])
             for line in out.splitlines() if re.match(r"\s*\d+\s+[\d.]+\s+[\d.]+\s", line)}
    missing = [size for size in args.search_lists if size not in found]
    if missing:
        raise Failed(f"{programs / 'search_memory_index'}: expected a line for L = {missing[0]}, "
                     f"found {sorted(found)}")
    return found


def cross(args, scenario, folder):
    """Writes, searches and prints one scenario; what differs by too much, as lines."""
    programs = {"shoal": args.programs, "DiskANN": args.diskann}
    kind, metric = STATIC.get(scenario, ("float", "l2"))
    write = write_stream if scenario in STREAMS else write_static
    points, differences = None, []
    for writer in SIDES:
        index, tags = write(args, programs[writer], scenario, folder,
                            folder / f"{scenario}-{writer}")
        if points is None:
            points = tags
        elif tags != points:
            raise Failed(f"{index}.tags: expected the {len(points)} tags that {SIDES[0]} wrote, "
                         f"found {len(tags)} others")
        # A stream's of what its files hold; static ones hold all rows.
        tags_file = {"tags_file": f"{index}.tags"} if scenario in STREAMS else {}
        run(args.programs / "utils" / "compute_groundtruth", data_type=kind, dist_fn=metric,
            base_file=f"{index}.data" if scenario in STREAMS else folder / f"base.{kind}",
            query_file=folder / f"queries.{kind}", gt_file=folder / "truth", **tags_file,
            **{"--K": 100})
        recalls = {side: search(args, programs[side], scenario, index, folder) for side in SIDES}
        for side in SIDES:
            cells = " | ".join(f"{recalls[side][size]:.2f}" for size in args.search_lists)
            print(f"| {scenario}, {len(tags)} points | {writer} | {side} | {cells} |", flush=True)
        crossed = next(side for side in SIDES if side != writer)
        for size in args.search_lists:
            by = recalls[crossed][size] - recalls[writer][size]
            if abs(by) > args.tolerance:
                differences.append(
                    f"{scenario}: L = {size}: files of {writer}: recall@10 by {crossed}: expected "
                    f"{recalls[writer][size]:.2f} +- {args.tolerance}, found "
                    f"{recalls[crossed][size]:.2f}")
    return differences


def main():
    args = parse_arguments()
    differences = []
    try:
        with tempfile.TemporaryDirectory(prefix="shoal-cross-load-") as folder:
            folder = pathlib.Path(folder)
            for kind in CODES:
                write_rows(kind, args.base, folder / f"base.{kind}", args.rows)
                write_rows(kind, args.queries, folder / f"queries.{kind}")
            print("| index | written by | searched by | "
                  + " | ".join(f"L = {size}" for size in args.search_lists) + " |")
            print("|---|---|---|" + "---|" * len(args.search_lists))
            for scenario in args.scenarios:
                differences += cross(args, scenario, folder)
    except (Failed, OSError) as error:
        sys.exit(f"cross_load: {error}")
    if differences:
        sys.exit("\n".join(f"cross_load: {line}" for line in differences))


if __name__ == "__main__":
    main()
