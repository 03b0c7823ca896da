"""big-ann-benchmarks, NeurIPS 2023's streaming track: `Shoal` is the class that a config.yaml names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._index import Index

try:
    from neurips23.streaming.base import BaseStreamingANN
except ImportError:
    BaseStreamingANN = object

__all__ = ["Shoal"]

_METRICS = {"euclidean": "l2", "ip": "inner_product"}


class Shoal(BaseStreamingANN):  # type: ignore[misc]
    """Points come and go; there is nothing to consolidate."""

    def __init__(self, metric: str, index_params: dict[str, Any] | None = None) -> None:
        if metric not in _METRICS:
            raise NotImplementedError(f"metric: expected {' or '.join(_METRICS)}, found {metric}")
        self._metric, self._parameters, self._list_size = _METRICS[metric], dict(index_params or {}), 64
        self.name = "shoal"

    def setup(self, dtype: str, max_pts: int, ndim: int) -> None:
        """An empty index; it grows by itself."""
        self._index = Index(ndim, metric=self._metric, dtype=dtype, **self._parameters)  # type: ignore[arg-type]

    def insert(self, X: Any, ids: Any) -> None:  # noqa: N803
        """Adds rows; ids from 0."""
        self._index.add(ids, X)

    def replace(self, X: Any, tags: Any) -> None:  # noqa: N803
        """Gives ids other vectors."""
        self._index.upsert(tags, X)

    def delete(self, ids: Any) -> None:
        """Removes ids."""
        self._index.discard(ids)

    def set_query_arguments(self, query_args: dict[str, Any]) -> None:
        """list_size: how many candidates a query keeps."""
        self._list_size = int(query_args.get("list_size", query_args.get("Ls", 64)))

    def query(self, X: Any, k: int) -> None:  # noqa: N803
        """For get_results."""
        hits = self._index.search(X, k, list_size=self._list_size)
        self.res = hits.ids.astype(np.int64)

    def get_results(self) -> Any:
        """(queries, k) ids; -1 where there are fewer."""
        return self.res

    def range_query(self, X: Any, radius: float) -> None:  # noqa: N803
        """For get_range_results."""
        self._range = self._index.range_search(X, radius, list_size=self._list_size)

    def get_range_results(self) -> Any:
        """(limits, distances, ids), as faiss has them."""
        return self._range.limits, self._range.distances, self._range.ids.astype(np.int64)

    def get_additional(self) -> dict[str, Any]:
        """Distances computed so far."""
        return {"dist_comps": self._index.stats().work.distances}

    def __str__(self) -> str:
        return f"shoal({self._parameters}, list_size={self._list_size})"
