"""The worker's protocol (worker.h) for peers in Python: a peer is a class of a few functions.

  class Peer(worker.Engine): ...
  worker.serve(Peer())

Timed searches are one call for many queries, so that what Python costs per call does not count
against the peer; latencies are of single calls, with that cost in them.
"""
import ctypes
import json
import os
import resource
import sys
import time

import numpy as np

NO_ID = 0xFFFFFFFF
STORED = {"fbin": np.float32, "f16bin": np.float16, "u8bin": np.uint8, "i8bin": np.int8}


class Engine:
    """What a peer has to do. Functions that fail raise."""

    code = ""  # How the rows are compressed, in the peer's words; "": not at all.

    def describe(self):
        """version and, where the peer tells, isa."""
        raise NotImplementedError

    def takes(self, kind):
        """The numpy type of the rows that it wants for f32 or u8."""
        return {"f32": np.float32, "u8": np.uint8}[kind]

    def build(self, rows, kind, threads, degree, size):
        """Indexes the rows; returns its settings in its own words. `size`: ef_construction, L."""
        raise NotImplementedError

    def save(self, path):
        raise NotImplementedError

    def open(self, path, dim, kind):
        raise NotImplementedError

    def set_list_size(self, size):
        raise NotImplementedError

    def accept(self, bits):
        """Searches accept rows with a bit, the first in the lowest. Called before each with a filter."""
        raise NotImplementedError("no filters")

    def search(self, queries, k, threads):
        """The k nearest of each query, in whatever form: timed runs do not look at it."""
        raise NotImplementedError

    def answer(self, queries, k):
        """Row numbers, queries x k, NO_ID or negative where there are fewer; and distances per query,
        None where the peer does not count. As `search` with one thread finds them."""
        return self.search(queries, k, 1), None

    def measured(self, action):
        return measured(action)

    def timed(self, queries, k, threads, seconds):
        """Whole passes over the queries for about so many seconds."""
        start = time.perf_counter()
        self.search(queries, k, threads)
        once = time.perf_counter() - start
        many = np.tile(queries, (max(1, round(seconds / once)), 1))
        cpu, start = cpu_seconds(), time.perf_counter()
        self.search(many, k, threads)
        took, cpu = time.perf_counter() - start, cpu_seconds() - cpu
        reply = {"qps": len(many) / took, "seconds": took, "searches": len(many), "cpu_seconds": cpu}
        if threads == 1:
            reply.update(self.latencies(queries, k))
        return reply

    def latencies(self, queries, k):
        taken = []
        for i in range(len(queries)):
            start = time.perf_counter()
            self.search(queries[i : i + 1], k, 1)
            taken.append(1e6 * (time.perf_counter() - start))
        p50, p99, p999 = np.percentile(taken, [50, 99, 99.9])
        return {"p50_us": p50, "p99_us": p99, "p999_us": p999}


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
    """Of this process, and of those it has waited for."""
    total = 0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def measured(action):
    """Runs it; what it took in time and memory."""
    before, cpu, start = resident_bytes(), cpu_seconds(), time.perf_counter()
    action()
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds() - cpu,
        "rss_before": before,
        "rss_after": resident_bytes(),
    }


def read_rows(path, wanted, most):
    """The first `most` rows (0: all) of a .fbin, .f16bin, .u8bin or .i8bin as `wanted`, without loss."""
    stored = STORED[path.rsplit(".", 1)[1]]
    if wanted != stored and wanted != np.float32:
        raise ValueError(f"{path}: is not of the type asked for")
    count, dim = (int(n) for n in np.fromfile(path, dtype=np.int32, count=2))
    count = min(count, most) if most else count
    data = np.fromfile(path, dtype=stored, count=count * dim, offset=8)
    return data.reshape(count, dim).astype(wanted)


class Server:
    """A function for each verb of worker.h."""

    def __init__(self, engine):
        self._engine = engine
        self._rows = self._queries = None
        self._count = 0
        self._kind = "f32"

    def load(self, base, queries, type, rows, code=""):
        self._kind = type
        self._engine.code = code
        wanted = self._engine.takes(type)
        if type == "u8" and not base.endswith(".u8bin"):
            raise ValueError(f"{base}: is not of the type asked for")
        self._rows = read_rows(base, wanted, int(rows))
        self._queries = read_rows(queries, wanted, 0)
        self._count = len(self._rows)
        shape = {"rows": self._count, "dim": self._rows.shape[1]}
        return {**shape, **self._engine.describe()}

    def build(self, threads, degree, list):
        settings = {}

        def action():
            settings.update(
                self._engine.build(self._rows, self._kind, int(threads), int(degree), int(list))
            )

        reply = self._engine.measured(action)
        return {**reply, **{f"set_{key}": value for key, value in settings.items()}}

    def save(self, path):
        return measured(lambda: self._engine.save(path))

    def open(self, path):
        dim = self._queries.shape[1]
        return self._engine.measured(lambda: self._engine.open(path, dim, self._kind))

    def drop(self):
        self._rows = None
        return {}

    def answer(self, list, k, ids, accepted=None):
        self._engine.set_list_size(int(list))
        if accepted:
            found, distances, cpu = self._filtered(int(k), accepted)
        else:
            (found, distances), cpu = self._engine.answer(self._queries, int(k)), None
        found = np.asarray(found, dtype=np.int64)
        found[(found < 0) | (found > NO_ID)] = NO_ID
        found.astype(np.uint32).tofile(ids)
        return {"distances": distances, "cpu_us": cpu}

    def _filtered(self, k, accepted):
        """Query by query: ids found, mean distances or None, mean microseconds of CPU time of a search."""
        bits = np.fromfile(accepted, np.uint8).reshape(-1, (self._count + 7) // 8)
        found, distances, cpu = [], [], 0
        for query, row in zip(np.split(self._queries, len(self._queries)), bits):
            self._engine.accept(row)
            start = time.thread_time()
            self._engine.search(query, k, 1)
            cpu += time.thread_time() - start
            answered = self._engine.answer(query, k)
            found.append(np.asarray(answered[0]).reshape(-1))
            distances.append(answered[1])
        mean = None if None in distances else sum(distances) / len(distances)
        return np.stack(found), mean, 1e6 * cpu / len(found)

    def search(self, list, k, threads, seconds):
        self._engine.set_list_size(int(list))
        return self._engine.timed(self._queries, int(k), int(threads), float(seconds))

    def memory(self):
        return {"rss": resident_bytes(), "huge": mapped_bytes("AnonHugePages:")}


def serve(engine):
    """Answers requests until quit or end of input, and ends the process."""
    server = Server(engine)
    verbs = ("load", "build", "save", "open", "drop", "answer", "search", "memory")
    # What a peer prints goes to stderr: stdout is the protocol's.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        verb, *arguments = line.rstrip("\n").split("\t")
        if verb == "quit":
            break
        try:
            if verb not in verbs:
                raise ValueError(f"no such verb: {verb}")
            cpu = cpu_seconds()
            answer = getattr(server, verb)(**dict(a.split("=", 1) for a in arguments))
            answer["request_cpu_seconds"] = cpu_seconds() - cpu
        except Exception as error:  # the orchestrator decides what to do about it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)
    out.flush()
    os._exit(0)  # no destructor matters at exit; freeing gigabytes takes time
