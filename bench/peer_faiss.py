#!/usr/bin/env python3
"""faiss behind the worker's protocol (worker/worker.py). Needs the PyPI package faiss-cpu."""
import faiss
import numpy as np
from worker import worker


class Faiss(worker.Engine):
    index = None
    accepted = {}  # The parameters of a search that say what it accepts.
    size = 64

    def describe(self):
        return {"version": faiss.__version__, "isa": faiss.SIMDConfig.get_level_name()}

    def takes(self, kind):
        return np.float32  # For 8-bit rows too: it converts them itself.

    def build(self, rows, kind, threads, degree, size):
        dim, links = rows.shape[1], degree // 2
        if self.code == "Flat":  # Brute force, not a graph.
            self.index = faiss.IndexFlatL2(dim)
            self.index.add(rows)
            return {"index": "IndexFlatL2"}
        if self.code:
            self.index = faiss.index_factory(dim, f"HNSW{links}_{self.code},RFlat")
            self.graph().efConstruction = size
            faiss.omp_set_num_threads(threads)
            self.index.train(rows[:100000])
            self.index.add(rows)
            return {"index": f"HNSW{links}_{self.code},RFlat", "efConstruction": size}
        if kind == "u8":
            self.index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit_direct, links)
            self.index.train(rows[:1000])
        else:
            self.index = faiss.IndexHNSWFlat(dim, links)
        self.graph().efConstruction = size
        faiss.omp_set_num_threads(threads)
        self.index.add(rows)
        return {"index": type(self.index).__name__, "M": links, "efConstruction": size}

    def graph(self):
        """A refining index has the graph's in it."""
        base = faiss.downcast_index(self.index.base_index) if self.code else self.index
        return base.hnsw

    def save(self, path):
        faiss.write_index(self.index, path)

    def open(self, path, dim, kind):
        self.index = faiss.read_index(path)

    def accept(self, bits):
        sel = faiss.IDSelectorBitmap(bits)
        if self.code == "Flat":
            params = faiss.SearchParameters(sel=sel)
        else:
            params = faiss.SearchParametersHNSW(efSearch=self.size, sel=sel)
            if self.code:
                params = faiss.IndexRefineSearchParameters(k_factor=self.index.k_factor, base_index_params=params)
        self.accepted = {"params": params}

    def set_list_size(self, size):
        self.size = size
        if self.code == "Flat":
            return
        self.graph().efSearch = size
        if self.code:  # All of the list may be reranked, up to what a search of k = 10 needs.
            self.index.k_factor = min(size, 40) / 10

    def search(self, queries, k, threads):
        faiss.omp_set_num_threads(threads)
        return self.index.search(queries, k, **self.accepted)[1]

    def answer(self, queries, k):
        stats = faiss.cvar.hnsw_stats
        stats.reset()
        found = self.search(queries, k, 1)
        return found, None if self.code == "Flat" else stats.ndis / len(queries)


if __name__ == "__main__":
    worker.serve(Faiss())
