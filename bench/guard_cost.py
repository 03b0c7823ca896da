#!/usr/bin/env python3
"""What safety costs a search: epoch guard, tag check and id translation, against none of them.

  cmake --build build --target peer_shoal_bare
  bench/guard_cost.py --type u8 [--rows 0 --list 64 --rounds 20]

peer_shoal_bare is peer_shoal from a copy of the sources in which nobody is pinned, every slot is
taken for live and a slot's number for its id (bench/keep_all.patch). Each builds its index on one
thread, which gives the same graph to the edge: both must compute the same number of distances. Then
they search in turn, the same queries; the figure is the median of the rounds' ratios of time, with
the interval in which it lies at 95 % by resampling them. Where the system puts the pages of a
process is worth 1.5 % either way, as long as it lives: so the rounds are shared among --builds
pairs of processes.
"""
import argparse
import os
import random
import statistics
import sys
import tempfile

import machine
from engines import ENGINES, Engine, Worker


def parse_arguments():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--type", default="u8", choices=("f32", "u8"))
    parser.add_argument("--rows", type=int, default=0, help="of sift-1m; 0: all")
    parser.add_argument("--shared", default=os.environ.get("SHOAL_DATA", f"{here}/../../shared/data"))
    parser.add_argument("--programs", default=f"{here}/../build/bench")
    parser.add_argument("--list", type=int, default=64, help="L of the searches")
    parser.add_argument("--build-list", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=20, help="of all pairs together")
    parser.add_argument("--builds", type=int, default=4, help="pairs of processes, one after another")
    parser.add_argument("--seconds", type=float, default=1.0, help="of one timed search run")
    return parser.parse_args()


def interval(ratios):
    """Where the median of `ratios` lies at 95 %, by resampling with a fixed seed."""
    draw = random.Random(1)
    medians = sorted(
        statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(2000)
    )
    return medians[50], medians[-51]


class Pair:
    """Two processes with the same graph, one safe, one bare."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.safe = ENGINES[f"shoal-{arguments.type}"]
        self.bare = Engine(f"{self.safe.name}-bare", "peer_shoal_bare", arguments.type)
        self.workers = [Worker(e, arguments.programs, sys.executable) for e in (self.safe, self.bare)]
        data = arguments.shared
        base, queries = f"{data}/sift-1m.u8bin", f"{data}/sift-query-1k.u8bin"
        self.together("load", base=base, queries=queries, type=arguments.type, rows=arguments.rows)
        self.together("build", threads=1, degree=32, list=arguments.build_list)
        self.together("drop")
        with tempfile.TemporaryDirectory() as folder:
            counts = [
                worker.ask("answer", list=arguments.list, k=10, ids=os.path.join(folder, "ids"))
                for worker in self.workers
            ]
        self.distances = counts[0]["distances"]
        if self.distances != counts[1]["distances"]:
            sys.exit(f"the graphs differ: {self.distances} and {counts[1]['distances']} distances")

    def together(self, verb, **parameters):
        for worker in self.workers:
            worker.send(verb, **parameters)
        return [worker.receive() for worker in self.workers]

    def round(self, number):
        """Searches per second of both, and the CPU seconds that this took."""
        speeds, used = {}, 0.0
        for worker in self.workers if number % 2 == 0 else reversed(self.workers):
            answer = worker.ask(
                "search", list=self.arguments.list, k=10, threads=1, seconds=self.arguments.seconds
            )
            speeds[worker.engine.name] = answer["qps"]
            used += answer["request_cpu_seconds"]
        return speeds[self.safe.name], speeds[self.bare.name], used

    def close(self):
        for worker in self.workers:
            worker.close()


def main():
    arguments = parse_arguments()
    if not 1 <= arguments.builds <= arguments.rounds:
        sys.exit("--builds: expected at least 1, and at most --rounds")
    ratios, speeds, medians, others = [], [], [], []
    for build in range(arguments.builds):
        pair = Pair(arguments)
        mine, meter, used = [], machine.OthersMeter(), 0.0
        for turn in range(build, arguments.rounds, arguments.builds):
            safe, bare, cpu = pair.round(turn // arguments.builds)
            mine.append(bare / safe)
            speeds.append(safe)
            used += cpu
        others.append(meter.cores(used))
        ratios += mine
        medians.append(f"{100 * (statistics.median(mine) - 1):+.1f}")
        pair.close()
    low, high = interval(ratios)
    facts = machine.facts()
    print(f"sift-1m as {arguments.type}, {arguments.rows or 'all'} rows, L = {arguments.list}, one thread, "
          f"{arguments.rounds} rounds, {facts['date']}, {facts['cpu']}:\n")
    print("| searches/s | distances a query | guard, tags and ids cost | 95 % interval | of each pair | "
          "others' cores |")
    print("|---|---|---|---|---|---|")
    print(f"| {statistics.median(speeds):,.0f} | {pair.distances:,.0f} | "
          f"**{100 * (statistics.median(ratios) - 1):+.1f} %** | {100 * (low - 1):+.1f} to "
          f"{100 * (high - 1):+.1f} % | {', '.join(medians)} % | {max(others):.2f} |")


if __name__ == "__main__":
    main()
