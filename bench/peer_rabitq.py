#!/usr/bin/env python3
"""RaBitQ's library behind the worker's protocol (worker/worker.py): SymphonyQG, or HNSW over codes of
so many bits. Needs the PyPI package rabitqlib."""
import importlib.metadata

import numpy as np
import rabitqlib
from worker import worker


class Rabitq(worker.Engine):
    index = None
    size = 64

    def describe(self):
        return {"version": importlib.metadata.version("rabitqlib")}

    def takes(self, kind):
        return np.float32

    def build(self, rows, kind, threads, degree, size):
        if self.code == "symqg":
            self.index = rabitqlib.SymqgIndex(rows.shape[1], degree, "l2")
            self.index.build(rows, size, threads)
            return {"index": "SymqgIndex", "max_degree": degree, "ef_construction": size}
        bits = int(self.code)
        # One cluster: its centre is the mean.
        self.index = rabitqlib.HnswIndex(rows.shape[1], len(rows), degree // 2, size, bits, "l2")
        centre = rows.mean(axis=0, keepdims=True)
        self.index.build(rows, centre, np.zeros(len(rows), np.uint32), threads)
        return {"index": "HnswIndex", "M": degree // 2, "ef_construction": size, "nbits": bits}

    def save(self, path):
        self.index.save(path)

    def open(self, path, dim, kind):
        kind_of = rabitqlib.SymqgIndex if self.code == "symqg" else rabitqlib.HnswIndex
        self.index = kind_of.load(path)

    def set_list_size(self, size):
        self.size = size

    def search(self, queries, k, threads):
        return self.index.search(queries, k, self.size, threads)[0]


if __name__ == "__main__":
    worker.serve(Rabitq())
