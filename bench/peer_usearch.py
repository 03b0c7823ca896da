#!/usr/bin/env python3
"""usearch behind the worker's protocol (worker/worker.py). Needs the PyPI package usearch."""
import numpy as np
import usearch
from usearch.index import Index
from worker import worker


class Usearch(worker.Engine):
    """The type is named in every call: bytes of numpy would be taken for packed bits."""

    index = None
    kind = "f32"

    def describe(self):
        isa = Index(ndim=8, metric="l2sq").hardware_acceleration
        return {"version": usearch.__version__, "isa": isa}

    def new(self, dim, kind, **options):
        self.kind = kind
        self.index = Index(ndim=dim, metric="l2sq", dtype=self.code or kind, **options)

    def build(self, rows, kind, threads, degree, size):
        # Its connectivity is HNSW's M: the lowest layer has twice as many links.
        self.new(rows.shape[1], kind, connectivity=degree // 2, expansion_add=size)
        keys = np.arange(len(rows), dtype=np.uint64)
        self.index.add(keys, rows, threads=threads, dtype=self.kind)
        return {"dtype": self.code or kind, "connectivity": degree // 2, "expansion_add": size}

    def save(self, path):
        self.index.save(path)

    def open(self, path, dim, kind):
        self.new(dim, kind)
        self.index.load(path)

    def set_list_size(self, size):
        self.index.expansion_search = size

    def search(self, queries, k, threads):
        return self.index.search(queries, k, threads=threads, dtype=self.kind)

    def answer(self, queries, k):
        matches = self.search(queries, k, 1)
        found = np.asarray(matches.keys).astype(np.int64)
        found[np.arange(k)[None, :] >= np.asarray(matches.counts)[:, None]] = worker.NO_ID
        return found, matches.computed_distances / len(queries)


if __name__ == "__main__":
    worker.serve(Usearch())
