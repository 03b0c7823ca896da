#!/usr/bin/env python3
"""DiskANN's C++ programs behind the worker's protocol (worker/worker.py).

SHOAL_DISKANN names the folder of build_memory_index and search_memory_index. Every search starts the
program anew, which loads the index first: that time is not counted, as the program's own table has
only that of the searches. Memory is the size of its files: rows and graph.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import numpy as np
from worker import worker

ALPHA = 1.2  # The program's default.
TYPES = {np.dtype(np.float32): "float", np.dtype(np.uint8): "uint8"}


def write_bin(path, rows):
    with open(path, "wb") as file:
        np.array(rows.shape, dtype=np.int32).tofile(file)
        rows.tofile(file)


class Diskann(worker.Engine):
    def __init__(self):
        self.programs = pathlib.Path(os.environ.get("SHOAL_DISKANN", ""))
        self.folder = tempfile.TemporaryDirectory(prefix="shoal-diskann-")
        self.prefix = pathlib.Path(self.folder.name) / "index"
        self.type = "float"
        self.size = 10
        self.indexing_seconds = None

    def describe(self):
        return {"version": "C++ programs"}

    def run(self, program, *arguments):
        command = [self.programs / program, "--data_type", self.type, "--dist_fn", "l2",
                   "--index_path_prefix", self.prefix, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{program} returned {done.returncode}: {done.stdout[-300:]}")
        return done.stdout

    def build(self, rows, kind, threads, degree, size):
        self.type = TYPES[rows.dtype]
        data = pathlib.Path(self.folder.name) / "rows.bin"
        write_bin(data, rows)
        said = self.run("build_memory_index", "--data_path", data, "-R", degree, "-L", size,
                        "--alpha", ALPHA, "-T", threads)
        data.unlink()
        self.indexing_seconds = float(re.search(r"Indexing time: ([\d.e+-]+)", said)[1])
        return {"R": degree, "L": size, "alpha": ALPHA}

    def files(self):
        return [self.prefix, self.prefix.with_name(self.prefix.name + ".data")]

    def measured(self, action):
        reply = worker.measured(action)
        if self.indexing_seconds is not None:  # Without reading rows and writing the index.
            reply["seconds"] = self.indexing_seconds
        size = sum(path.stat().st_size for path in self.files())
        return {**reply, "rss_before": 0, "rss_after": size}

    def save(self, path):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        for file in self.files():
            shutil.copyfile(file, os.path.join(path, file.name))

    def open(self, path, dim, kind):
        self.type = {"f32": "float", "u8": "uint8"}[kind]
        self.prefix = pathlib.Path(path) / "index"

    def set_list_size(self, size):
        self.size = size

    def table(self, queries, k, threads):
        """The table's row, by column, and the ids found."""
        with tempfile.TemporaryDirectory() as folder:
            write_bin(f"{folder}/queries.bin", queries)
            said = self.run("search_memory_index", "--query_file", f"{folder}/queries.bin",
                            "--result_path", f"{folder}/found", "-K", k, "-L", self.size, "-T", threads)
            found = np.fromfile(f"{folder}/found_{self.size}_idx_uint32.bin", dtype=np.uint32, offset=8)
        lines = said.splitlines()
        rule = next(i for i, line in enumerate(lines) if line and set(line) == {"="})
        names = re.split(r"\s{2,}", lines[rule - 1].strip())
        return dict(zip(names, map(float, lines[rule + 1].split()))), found.reshape(-1, k)

    def search(self, queries, k, threads):
        return self.table(queries, k, threads)[1]

    def answer(self, queries, k):
        row, found = self.table(queries, k, 1)
        return found, row["Avg dist cmps"]

    def timed(self, queries, k, threads, seconds):
        once = len(queries) / self.table(queries, k, threads)[0]["QPS"]
        many = np.tile(queries, (max(1, round(seconds / once)), 1))
        speed = self.table(many, k, threads)[0]["QPS"]
        took = len(many) / speed
        return {"qps": speed, "seconds": took, "searches": len(many), "cpu_seconds": took * threads}


if __name__ == "__main__":
    worker.serve(Diskann())
