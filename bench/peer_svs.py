#!/usr/bin/env python3
"""Scalable Vector Search (Vamana, also over LVQ codes; "4x8": 4 bits, 8 of the residual) behind the
worker's protocol (worker/worker.py). Needs the PyPI package scalable-vs. It does not say which
instruction set it uses, nor count distances."""
import os
import shutil
import tempfile

import svs
from worker import worker

ALPHA = 1.2  # What its documentation advises for L2.


class Svs(worker.Engine):
    index = None

    def describe(self):
        return {"version": svs.library_version()}

    def build(self, rows, kind, threads, degree, size):
        parameters = svs.VamanaBuildParameters(alpha=ALPHA, graph_max_degree=degree, window_size=size)
        with tempfile.TemporaryDirectory() as folder:
            data = self.encoded(rows, f"{folder}/rows.fvecs") if self.code else rows
            self.index = svs.Vamana.build(parameters, data, svs.DistanceType.L2, num_threads=threads)
        return {"graph_max_degree": degree, "window_size": size, "alpha": ALPHA, "lvq": self.code}

    def encoded(self, rows, path):
        """A loader that encodes the rows. SVS encodes files, not arrays."""
        svs.write_vecs(rows, path)
        loader = svs.VectorDataLoader(path, svs.DataType.float32, dims=rows.shape[1])
        bits, residual = (int(n) for n in self.code.split("x"))
        return svs.LVQLoader(loader, bits, residual)

    def save(self, path):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        self.index.save(f"{path}/config", f"{path}/graph", f"{path}/data")

    def open(self, path, dim, kind):
        types = {"f32": svs.DataType.float32, "u8": svs.DataType.uint8}
        if self.code:
            data = svs.LVQLoader(f"{path}/data")
        else:
            data = svs.VectorDataLoader(f"{path}/data", types[kind], dims=dim)
        self.index = svs.Vamana(
            f"{path}/config", svs.GraphLoader(f"{path}/graph"), data, svs.DistanceType.L2,
            query_type=types[kind],
        )

    def set_list_size(self, size):
        self.index.search_window_size = size

    def search(self, queries, k, threads):
        if self.index.num_threads != threads:
            self.index.num_threads = threads
        return self.index.search(queries, k)[0]


if __name__ == "__main__":
    worker.serve(Svs())
