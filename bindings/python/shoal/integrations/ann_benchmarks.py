"""ann-benchmarks: `Shoal` is the class that a config.yml names.

    float:
      any:
      - name: shoal
        module: shoal.integrations.ann_benchmarks
        constructor: Shoal
        base_args: ["@metric"]
        run_groups:
          R32: {args: [{max_degree: 32, build_list_size: 100}], query_args: [[10, 20, 40, 80, 160, 320]]}
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .._index import Index

try:
    from ann_benchmarks.algorithms.base.module import BaseANN
except ImportError:  # The class is the same without: the runner asks for methods alone.
    BaseANN = object

__all__ = ["Shoal"]

_METRICS = {"angular": "cosine", "euclidean": "l2"}


class Shoal(BaseANN):  # type: ignore[misc]
    """One index, built by all CPUs; single queries on one thread."""

    def __init__(self, metric: str, parameters: dict[str, Any] | None = None) -> None:
        if metric not in _METRICS:
            raise NotImplementedError(f"metric: expected {' or '.join(_METRICS)}, found {metric}")
        self._metric, self._parameters, self._list_size = _METRICS[metric], dict(parameters or {}), 64
        self._index: Index | None = None
        self._results: Any = None
        self.name = f"shoal({self._parameters})"

    def fit(self, X: Any) -> None:  # noqa: N803
        """Indexes the rows of X under their numbers."""
        rows = np.ascontiguousarray(X, np.float32)
        if self._metric == "cosine":
            rows = rows[np.arange(len(rows))]
            rows[~rows.any(axis=1)] = np.finfo(np.float32).eps  # No direction: as good as any.
        self._index = Index(rows.shape[1], metric=self._metric, **self._parameters)  # type: ignore[arg-type]
        self._index.add(np.arange(len(rows)), rows)

    def set_query_arguments(self, list_size: int) -> None:
        """How many candidates a query keeps."""
        self._list_size = list_size
        self.name = f"shoal({self._parameters}, list_size={list_size})"

    def query(self, v: Any, n: int) -> Any:
        """The numbers of the n nearest rows."""
        assert self._index is not None
        return self._index.search(v, n, list_size=self._list_size).ids

    def batch_query(self, X: Any, n: int) -> None:  # noqa: N803
        """The same of many queries, on all CPUs."""
        assert self._index is not None
        self._results = self._index.search(np.ascontiguousarray(X, np.float32), n, list_size=self._list_size)

    def get_batch_results(self) -> Any:
        """Of batch_query."""
        return [hits.ids for hits in self._results.queries()]

    def get_additional(self) -> dict[str, Any]:
        """Distances computed so far."""
        assert self._index is not None
        return {"dist_comps": self._index.stats().work.distances}

    def get_memory_usage(self) -> float:
        """KiB of this process."""
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024

    def done(self) -> None:
        """Frees the index."""
        if self._index is not None:
            self._index.close()

    def __str__(self) -> str:
        return self.name
