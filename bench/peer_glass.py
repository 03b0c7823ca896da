#!/usr/bin/env python3
"""glass (HNSW over its scalar codes, reranked by float32) behind the worker's protocol
(worker/worker.py). Needs the Python module of zilliztech/pyglass, built for this machine."""
import importlib.metadata
import os
import shutil

import glass
import numpy as np
from worker import worker

BUILD_CODE = "SQ8U"  # What its documentation advises to build with, whatever searches traverse.


class Glass(worker.Engine):
    graph = None  # Until a searcher takes it, which is after it was saved.
    searcher = None
    rows = None

    def describe(self):
        return {"version": importlib.metadata.version("glass")}

    def takes(self, kind):
        return np.float32

    def build(self, rows, kind, threads, degree, size):
        glass.set_num_threads(threads)
        index = glass.Index(index_type="HNSW", metric="L2", quant=BUILD_CODE, R=degree, L=size)
        self.graph = index.build(rows)
        self.rows = rows
        return {"index": "HNSW", "quant": BUILD_CODE, "R": degree, "L": size, "quantizer": self.code}

    def save(self, path):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        self.graph.save(f"{path}/graph")
        np.save(f"{path}/rows.npy", self.rows)

    def open(self, path, dim, kind):
        self.graph = glass.Graph(f"{path}/graph")
        self.rows = np.load(f"{path}/rows.npy")
        self.start()

    def start(self):
        """Encodes the rows, and tunes the prefetches as its documentation advises."""
        self.searcher = glass.Searcher(self.graph, self.rows, "L2", self.code, "FP32")
        self.graph = self.rows = None
        self.searcher.optimize(1)

    def set_list_size(self, size):
        if self.searcher is None:
            self.start()
        self.searcher.set_ef(size)

    def search(self, queries, k, threads):
        return self.searcher.batch_search(queries, k, threads)[0]

    def answer(self, queries, k):
        found = self.search(queries, k, 1)
        return found, self.searcher.get_last_search_dist_cmps()


if __name__ == "__main__":
    worker.serve(Glass())
