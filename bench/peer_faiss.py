#!/usr/bin/env python3
"""faiss behind the worker's protocol (bench/worker/worker.h). Needs the PyPI package faiss-cpu.

Timed searches are one call for many queries, so that Python's cost per call does not count against
faiss; latencies are of single calls, with that cost in them.
"""
import ctypes
import json
import os
import resource
import sys
import time

import faiss
import numpy as np

NO_ID = 0xFFFFFFFF


def read_rows(path, kind, max_rows):
    """The first max_rows (0: all) rows of a .fbin or .u8bin; faiss takes float32 for every type."""
    stored = {"fbin": np.float32, "u8bin": np.uint8, "i8bin": np.int8}[path.rsplit(".", 1)[1]]
    rows, dim = np.fromfile(path, dtype=np.int32, count=2)
    rows = min(rows, max_rows) if max_rows else rows
    data = np.fromfile(path, dtype=stored, count=int(rows) * int(dim), offset=8)
    if kind == "u8" and stored != np.uint8:
        raise ValueError(f"{path}: is not of the type asked for")
    return data.reshape(rows, dim).astype(np.float32)


def mapped_bytes(field):
    with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def resident_bytes():
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return mapped_bytes("Rss:")


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Worker:
    def __init__(self):
        self.rows = self.queries = self.index = None
        self.kind = "f32"

    def load(self, base, queries, type, rows):
        self.kind = type
        self.rows = read_rows(base, type, int(rows))
        self.queries = read_rows(queries, type, 0)
        return {
            "rows": len(self.rows),
            "dim": self.rows.shape[1],
            "isa": faiss.SIMDConfig.get_level_name(),
            "version": faiss.__version__,
        }

    def measured(self, action):
        before, cpu, start = resident_bytes(), cpu_seconds(), time.perf_counter()
        action()
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "cpu_seconds": cpu_seconds() - cpu,
            "rss_before": before,
            "rss_after": resident_bytes(),
        }

    def build(self, threads, degree, list):
        def action():
            dim, links = self.rows.shape[1], int(degree) // 2
            if self.kind == "u8":
                kind = faiss.ScalarQuantizer.QT_8bit_direct
                self.index = faiss.IndexHNSWSQ(dim, kind, links)
                self.index.train(self.rows[:1000])
            else:
                self.index = faiss.IndexHNSWFlat(dim, links)
            self.index.hnsw.efConstruction = int(list)
            faiss.omp_set_num_threads(int(threads))
            self.index.add(self.rows)

        return self.measured(action)

    def save(self, path):
        return self.measured(lambda: faiss.write_index(self.index, path))

    def open(self, path):
        def action():
            self.index = faiss.read_index(path)

        return self.measured(action)

    def drop(self):
        self.rows = None
        return {}

    def answer(self, list, k, ids):
        self.index.hnsw.efSearch = int(list)
        faiss.omp_set_num_threads(1)
        stats = faiss.cvar.hnsw_stats
        stats.reset()
        _, found = self.index.search(self.queries, int(k))
        found[found < 0] = NO_ID
        found.astype(np.uint32).tofile(ids)
        return {"distances": stats.ndis / len(self.queries)}

    def search(self, list, k, threads, seconds):
        self.index.hnsw.efSearch = int(list)
        faiss.omp_set_num_threads(int(threads))
        k, seconds = int(k), float(seconds)
        start = time.perf_counter()
        self.index.search(self.queries, k)
        once = time.perf_counter() - start
        passes = max(1, round(seconds / once))
        many = np.tile(self.queries, (passes, 1))
        cpu, start = cpu_seconds(), time.perf_counter()
        self.index.search(many, k)
        took, cpu = time.perf_counter() - start, cpu_seconds() - cpu
        reply = {"qps": len(many) / took, "seconds": took, "searches": len(many), "cpu_seconds": cpu}
        if int(threads) == 1:
            reply.update(self.latencies(k))
        return reply

    def latencies(self, k):
        taken = []
        for i in range(len(self.queries)):
            start = time.perf_counter()
            self.index.search(self.queries[i : i + 1], k)
            taken.append(1e6 * (time.perf_counter() - start))
        p50, p99, p999 = np.percentile(taken, [50, 99, 99.9])
        return {"p50_us": p50, "p99_us": p99, "p999_us": p999}

    def memory(self):
        return {"rss": resident_bytes(), "huge": mapped_bytes("AnonHugePages:")}


def main():
    worker = Worker()
    for line in sys.stdin:
        verb, *arguments = line.rstrip("\n").split("\t")
        if verb == "quit":
            break
        try:
            if verb.startswith("_") or verb in ("measured", "latencies"):
                raise ValueError(f"no such verb: {verb}")
            cpu = cpu_seconds()
            answer = getattr(worker, verb)(**dict(a.split("=", 1) for a in arguments))
            answer["request_cpu_seconds"] = cpu_seconds() - cpu
        except Exception as error:  # the orchestrator decides what to do about it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    os._exit(0)  # faiss has nothing to say at exit; freeing gigabytes takes time


if __name__ == "__main__":
    main()
