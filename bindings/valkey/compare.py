#!/usr/bin/env python3
"""This module in Redis 7.0 beside Redis 8's own vector sets: the same vectors, one server after the other.

  compare.py --module libshoal_vset.so --build DIR [--vectors 20000] [--dim 128] [--fvecs FILE] [--recall 0.95]

A line for each server and quantisation: VADD a second (until all are linked), bytes of used_memory an element, the
smallest EF of a list whose top-10 recall against TRUTH is reached, and VSIM a second with 1 and with 8 connections at
that EF. Then the ratios, ours to theirs. Servers listen on loopback and end with the program. 77: a server cannot be had.
"""

import argparse
import pathlib
import random
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "tests"))
import servers  # noqa: E402
from base import info, wait_until  # noqa: E402
from client import Server, blob  # noqa: E402

EFS = (10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000)
BATCH = 200
QUERIES = 200


def generated(count, dim):
    """Vectors near 64 centres, as FP32 blobs."""
    rng = random.Random(1)
    centres = [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(64)]
    return [blob([x + 0.7 * rng.gauss(0, 1) for x in centres[i % 64]]) for i in range(count)]


def read_fvecs(path, count):
    data = pathlib.Path(path).read_bytes()
    dim, = struct.unpack_from("<i", data)
    step = 4 + 4 * dim
    return [data[at + 4:at + step] for at in range(0, min(len(data), count * step), step)]


def add_all(client, vectors, quantization):
    """VADD a second, all of them linked."""
    begin = time.monotonic()
    for first in range(0, len(vectors), BATCH):
        replies = client.pipeline(("VADD", "k", "FP32", v, f"e{first + i}", quantization) for i, v in enumerate(vectors[first:first + BATCH]))
        assert all(reply == 1 for reply in replies), replies[:3]
    if b"shoal_vectorsets" in client("INFO", "everything"):
        wait_until(lambda: info(client, "shoal_vectorsets", "shoal_queued_links") == "0" and
                   info(client, "shoal_vectorsets", "shoal_running_tasks") == "0", 3600, "all elements linked")
    return len(vectors) / (time.monotonic() - begin)


def choose_ef(client, queries, wanted):
    """(EF, recall): the first that reaches it, or the last."""
    exact = [set(names) for names in client.pipeline(("VSIM", "k", "FP32", q, "COUNT", 10, "TRUTH") for q in queries)]
    for ef in EFS:
        found = client.pipeline(("VSIM", "k", "FP32", q, "COUNT", 10, "EF", ef) for q in queries)
        recall = sum(len(a & set(b)) for a, b in zip(exact, found)) / (10 * len(queries))
        if recall >= wanted:
            break
    return ef, recall


def searches_a_second(server, queries, ef, connections, seconds=5):
    done = [0] * connections
    end = time.monotonic() + seconds

    def run(number):
        with server.client() as client:
            commands = [("VSIM", "k", "FP32", q, "COUNT", 10, "EF", ef) for q in queries[number::connections]]
            while time.monotonic() < end:
                client.pipeline(commands[:20])
                done[number] += len(commands[:20])

    begin = time.monotonic()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - begin)


def measure(name, command, module, folder, vectors, quantization, wanted):
    with Server(command, module, tempfile.mkdtemp(prefix="compare-", dir=folder)) as server:
        client = server.client(timeout=3600)
        empty = int(info(client, "memory", "used_memory"))
        points, queries = vectors[QUERIES:], vectors[:QUERIES]
        adds = add_all(client, points, quantization)
        bytes_each = (int(info(client, "memory", "used_memory")) - empty) / len(points)
        ef, recall = choose_ef(client, queries, wanted)
        rates = [searches_a_second(server, queries, ef, connections) for connections in (1, 8)]
    print(f"{name:8} {quantization:8} VADD/s {adds:8.0f}  bytes {bytes_each:7.0f}  EF {ef:4} recall {recall:.3f}  "
          f"VSIM/s {rates[0]:8.0f} (1) {rates[1]:8.0f} (8)", flush=True)
    return [adds, bytes_each, *rates]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--vectors", type=int, default=20000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--fvecs", help="vectors of this file in place of generated ones")
    parser.add_argument("--recall", type=float, default=0.95)
    args = parser.parse_args()
    folder = args.build.resolve() / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        commands = {name: servers.command_of(name, folder) for name in ("redis7", "redis8")}
    except servers.Unavailable as error:
        print(f"compare.py: {error}")
        return 77
    count = args.vectors + QUERIES
    vectors = read_fvecs(args.fvecs, count) if args.fvecs else generated(count, args.dim)
    for quantization in ("Q8", "NOQUANT"):
        ours = measure("shoal", commands["redis7"], args.module.resolve(), folder, vectors, quantization, args.recall)
        theirs = measure("redis 8", commands["redis8"], None, folder, vectors, quantization, args.recall)
        ratio = [a / b for a, b in zip(ours, theirs)]
        print(f"{'ratio':8} {quantization:8} VADD {ratio[0]:.2f}  bytes {ratio[1]:.2f}  VSIM {ratio[2]:.2f} (1) {ratio[3]:.2f} (8)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
