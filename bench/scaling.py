#!/usr/bin/env python3
"""What a second thread is worth: one process with two threads against two processes with one each.

  bench/scaling.py --engine shoal-f32 [--data sift-1m --rows 200000 --rounds 5]

Both runs load both cores and the same memory bus, so the ratio is what the threads of one process
lose to each other: locks, shared cache lines, reference counts. 1 is ideal. The two runs take turns.
"""
import argparse
import json
import os
import statistics
import sys

import compare
import machine
from engines import ENGINES, Worker


def parse_arguments():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engine", default="shoal-f32", choices=ENGINES)
    parser.add_argument("--data", default="sift-1m", help="sift-1m or mixture")
    parser.add_argument("--rows", type=int, default=200000, help="of the index; 0: all")
    parser.add_argument("--shared", default=os.environ.get("SHOAL_DATA", f"{here}/../../shared/data"))
    parser.add_argument("--data-dir", default="bench-data", help="where make_data wrote mixture.*")
    parser.add_argument("--programs", default=f"{here}/../build/bench")
    parser.add_argument("--python", default=sys.executable, help="for peer_faiss.py")
    parser.add_argument("--build-list", type=int, default=100)
    parser.add_argument("--list", type=int, default=64, help="L of the searches")
    parser.add_argument("--rounds", type=int, default=5, help="of searches; builds: half as many")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one timed search run")
    parser.add_argument("--out", help="every sample, as JSON")
    return parser.parse_args()


def together(workers, verb, **arguments):
    """The answers of several workers to a request that they work on at the same time."""
    for worker in workers:
        worker.send(verb, **arguments)
    return [worker.receive() for worker in workers]


def sample(shared, alone, verb, rate, **arguments):
    """One turn of each side. `rate`: from an answer to operations per second."""
    others = machine.OthersMeter()
    threads = together(shared, verb, threads=2, **arguments)
    processes = together(alone, verb, threads=1, **arguments)
    return {
        "threads": sum(map(rate, threads)),
        "processes": sum(map(rate, processes)),
        "others": others.cores(sum(a["request_cpu_seconds"] for a in threads + processes)),
    }


def row(name, samples):
    ratios = [s["threads"] / s["processes"] for s in samples]
    threads, processes = (
        statistics.median(s[side] for s in samples) for side in ("threads", "processes")
    )
    return (
        f"| {name} | {threads:,.0f} | {processes:,.0f} | **{statistics.median(ratios):.3f}** "
        f"({min(ratios):.3f}-{max(ratios):.3f}) | {max(s['others'] for s in samples):.2f} |"
    )


def main():
    args = parse_arguments()
    engine = ENGINES[args.engine]
    base, queries, _, rows = compare.data_sets(args.shared, args.data_dir)[args.data]
    rows = args.rows or rows
    workers = [Worker(engine, args.programs, args.python) for _ in range(3)]
    shared, alone = workers[:1], workers[1:]
    loaded = together(workers, "load", base=base, queries=queries, type=engine.kind, rows=rows)
    count = loaded[0]["rows"]
    inserts = [
        sample(shared, alone, "build", lambda a: count / a["seconds"], degree=32, list=args.build_list)
        for _ in range(max(1, args.rounds // 2))
    ]
    searches = [
        sample(shared, alone, "search", lambda a: a["qps"], list=args.list, k=10, seconds=args.seconds)
        for _ in range(args.rounds)
    ]
    for worker in workers:
        worker.close()
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            results = {"machine": machine.facts(args.programs), "arguments": vars(args)}
            json.dump({**results, "inserts": inserts, "searches": searches}, file, indent=1)
    print(f"{args.engine}, {count:,} rows of {args.data}, {machine.facts()['date']}:\n")
    print("| operation | 1 process x 2 threads, /s | 2 processes x 1 thread, /s | ratio | others' cores |")
    print("|---|---|---|---|---|")
    print(row(f"insert (L={args.build_list})", inserts))
    print(row(f"search (L={args.list})", searches))


if __name__ == "__main__":
    main()
