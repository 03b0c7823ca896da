#!/usr/bin/env python3
"""vsag (its graph "hgraph" over codes, reranked by float32) behind the worker's protocol
(worker/worker.py). Needs the PyPI package pyvsag. A call searches for one query, and its options are JSON."""
import concurrent.futures
import importlib.metadata
import json

import numpy as np
import pyvsag
from worker import worker


class Vsag(worker.Engine):
    index = None
    settings = {}
    options = ""

    def describe(self):
        return {"version": importlib.metadata.version("pyvsag")}

    def takes(self, kind):
        return np.float32

    def new(self, dim, **settings):
        self.settings = settings
        options = {"dtype": "float32", "metric_type": "l2", "dim": dim, "index_param": settings}
        self.index = pyvsag.Index("hgraph", json.dumps(options))

    def build(self, rows, kind, threads, degree, size):
        self.new(
            rows.shape[1], max_degree=degree, ef_construction=size, build_thread_count=threads,
            base_quantization_type=self.code, use_reorder=True, precise_quantization_type="fp32",
        )
        ids = np.arange(len(rows), dtype=np.int64)
        self.index.build(vectors=rows.ravel(), ids=ids, num_elements=len(rows), dim=rows.shape[1])
        return {"index": "hgraph", **self.settings}

    def save(self, path):
        self.index.save(path)
        with open(path + "-settings", "w", encoding="utf-8") as file:
            json.dump(self.settings, file)

    def open(self, path, dim, kind):
        """Its files are opened with the options that they were built with."""
        with open(path + "-settings", encoding="utf-8") as file:
            self.new(dim, **json.load(file))
        self.index.load(path)

    def set_list_size(self, size):
        self.options = json.dumps({"hgraph": {"ef_search": size}})

    def search(self, queries, k, threads):
        def one(query):
            return self.index.knn_search(vector=query, k=k, parameters=self.options)[0]

        if threads == 1:
            return np.stack([one(query) for query in queries])
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return np.stack(list(pool.map(one, queries, chunksize=64)))


if __name__ == "__main__":
    pyvsag.set_logger_off()  # It writes to stdout, where answers go.
    worker.serve(Vsag())
