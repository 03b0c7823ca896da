"""A scikit-learn transformer: the graph of nearest neighbours, for DBSCAN, TSNE, Isomap, UMAP and others."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._index import Index

__all__ = ["ShoalTransformer"]

_METRICS = {"euclidean": "l2", "sqeuclidean": "l2", "l2": "l2", "cosine": "cosine", "manhattan": "manhattan",
            "l1": "manhattan"}


class ShoalTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """KNeighborsTransformer's convention over shoal.

    mode='distance': n_neighbors + 1 entries a row, since a training point is its own neighbour with an explicit 0;
    mode='connectivity': n_neighbors ones. Rows are sorted by distance. 'euclidean' is not squared, 'sqeuclidean' is.
    """

    def __init__(self, *, mode: str = "distance", n_neighbors: int = 5, metric: str = "euclidean",
                 list_size: int = 64, max_degree: int = 32, build_list_size: int = 100,
                 n_jobs: int | None = None) -> None:
        self.mode = mode
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.list_size = list_size
        self.max_degree = max_degree
        self.build_list_size = build_list_size
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> ShoalTransformer:  # noqa: N803
        """Indexes the rows of X."""
        rows = validate_data(self, X, dtype=np.float32)
        if self.mode not in ("distance", "connectivity"):
            raise ValueError(f"mode: expected distance or connectivity, found {self.mode}")
        if self.metric not in _METRICS:
            raise ValueError(f"metric: expected one of {', '.join(_METRICS)}, found {self.metric}")
        self.n_samples_fit_ = len(rows)
        self._n_features_out = len(rows)
        self._index = Index(rows.shape[1], metric=_METRICS[self.metric],  # type: ignore[arg-type]
                            max_degree=self.max_degree, build_list_size=self.build_list_size)
        self._index.add(np.arange(len(rows)), rows, threads=max(self.n_jobs or 0, 0))
        return self

    def transform(self, X: Any) -> csr_matrix:  # noqa: N803
        """(n, n_samples_fit_) sparse: the neighbours of each row of X."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float32, reset=False)
        k = self.n_neighbors + (self.mode == "distance")
        k = min(k, self.n_samples_fit_)
        hits = self._index.search(rows, k, list_size=max(self.list_size, 2 * k), threads=max(self.n_jobs or 0, 0))
        found = hits.counts.astype(np.int64)
        there = np.arange(k) < found[:, None]
        values = np.ones(int(found.sum())) if self.mode == "connectivity" else hits.distances[there].astype(np.float64)
        if self.metric == "euclidean":
            values = np.sqrt(values)
        limits = np.concatenate([[0], np.cumsum(found)])
        return csr_matrix((values, hits.ids[there].astype(np.int64), limits), (len(rows), self.n_samples_fit_))
