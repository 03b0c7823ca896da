#!/usr/bin/env python3
"""What the package promises in figures, measured: `make python-figures`, on a machine with nothing else to do.

usage: figures.py PROGRAM, the command `shoal` of the same build

    call overhead       one search from Python, over the same search as one of a batch     <= 1.5 us
    batch search        queries a second, over those of `shoal bench`, taking turns         >= .97
    ticks               of a thread that sleeps a millisecond, during a call, over idle     >= .80
    leak                memory after 10^6 calls more, over that before                      <= 1 MiB

The exit status is 1 where one is not kept.
"""
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

import shoal


def best(function, repeat):
    """Least seconds of `repeat` calls."""
    least = float("inf")
    for _ in range(repeat):
        begin = time.perf_counter()
        function()
        least = min(least, time.perf_counter() - begin)
    return least


def call_overhead():
    """Microseconds, on an index of so few points that searches are short."""
    rng = np.random.default_rng(1)
    index = shoal.Index(32)
    index.add(np.arange(10), rng.random((10, 32), np.float32))
    query = rng.random(32, np.float32)
    queries = np.tile(query, (1000, 1))

    def single():
        search = index.search
        for _ in range(1000):
            search(query, 10)

    one, many = [], []
    for _ in range(20):  # Taking turns: what else the machine does meets both.
        one.append(best(single, 5))
        many.append(best(lambda: index.search(queries, 10, threads=1), 5))
    return (min(one) - min(many)) * 1e3


def batch_share(program):
    """Queries a second over those of the C++ program, on the same file with the same queries on one thread."""
    rng = np.random.default_rng(2)
    points, k, list_size = 20_000, 10, 64
    rows = rng.standard_normal((points, 64), np.float32)
    index = shoal.Index(64)
    index.add(np.arange(points), rows)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "index")
        index.save(path)
        passes = 6  # Of each turn; the first warms up.
        command = [program, "bench", path, "--list-sizes", *[str(list_size)] * passes, "-k", str(k), "--threads", "1"]
        with shoal.View(path) as view:
            ids = np.fromiter(view, np.uint64)
            queries = view.get(ids[np.arange(1000) * points // 1000])
            theirs, ours = [], []
            for _ in range(5):
                lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
                theirs += [float(re.split(r" +", line.strip())[1]) for line in lines]
                ours.append(1000 / best(lambda: view.search(queries, k, list_size=list_size, threads=1), passes))
    return max(ours) / max(theirs)


def ticks():
    """Of a thread that sleeps a millisecond in a loop: its rate during inserts on one thread, over that of rest."""
    count, stop = [0], threading.Event()

    def tick():
        while not stop.is_set():
            count[0] += 1
            time.sleep(0.001)

    rng = np.random.default_rng(3)
    rows = rng.standard_normal((8000, 64), np.float32)
    thread = threading.Thread(target=tick)
    thread.start()

    def rate(function):
        before, begin = count[0], time.monotonic()
        function()
        return (count[0] - before) / (time.monotonic() - begin)

    shares = []
    for _ in range(3):
        idle = rate(lambda: time.sleep(1))
        shares.append(rate(lambda: shoal.Index(64).add(np.arange(len(rows)), rows, threads=1)) / idle)
    stop.set()
    thread.join()
    return statistics.median(shares)


def leak():
    """MiB that 10^6 calls leave: searches, upserts, deletes, errors, batches, filters."""
    rng = np.random.default_rng(4)
    index = shoal.Index(8)
    rows = rng.random((64, 8), np.float32)
    index.add(np.arange(64), rows)

    def calls(n):
        for i in range(n // 10):
            one = i % 64
            index.search(rows[one], 3)
            index.search(rows[:2], 3)
            index.search(rows[one], 3, filter=[1, 2, one])
            index.range_search(rows[one], 0.1)
            index.upsert(one, rows[one])
            index.delete(one)
            index.add(one, rows[one])
            index.get([one])
            assert one in index
            try:
                index.add(one, rows[one])
            except shoal.DuplicateIdError:
                pass

    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096 / 2**20

    calls(100_000)
    before = resident()
    calls(1_000_000)
    return resident() - before


def main(program):
    figures = [("call overhead, us", call_overhead(), 1.5, "<="), ("batch search over C++", batch_share(program), 0.97, ">="),
               ("ticks over idle", ticks(), 0.8, ">="), ("leak, MiB", leak(), 1, "<=")]
    kept = True
    for name, figure, bound, which in figures:
        good = figure <= bound if which == "<=" else figure >= bound
        kept = kept and good
        print(f"{name:<24} {figure:8.3f}  {which} {bound:g}  {'' if good else 'NOT KEPT'}".rstrip())
    return 0 if kept else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
