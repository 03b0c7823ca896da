"""Snapshots without an index, vectors in files, exact search."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from . import _shoal
from ._arrays import AnyArray, VectorsLike, array_dtype, as_matrix
from ._index import Path
from ._names import DTypeLike, Metric, dtype_name, metric_name
from ._progress import Progress, progress_function
from ._results import SnapshotInfo, info_of


def inspect(path: Path) -> SnapshotInfo:
    """What the header of a snapshot says: dim, dtype, metric, points, bytes. Nothing is loaded."""
    return info_of(_shoal.inspect(os.fsdecode(path)))


def verify(path: Path, *, threads: int = 0, progress: Progress = None) -> SnapshotInfo:
    """Compares every checksum of a snapshot, in little memory. CorruptFileError names the first damaged block."""
    with progress_function(progress, "verify") as function:
        return info_of(_shoal.verify(os.fsdecode(path), threads, function))


def exact_search(base: VectorsLike, queries: VectorsLike, k: int = 10, *, metric: Metric = "l2",
                 dtype: DTypeLike = "float32", threads: int = 0,
                 progress: Progress = None) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
    """The k true neighbours of each query by brute force.

    Parameters
    ----------
    base : (n, dim) array-like
    queries : (m, dim) array-like

    Returns
    -------
    rows : (m, k) uint32
        Row numbers of `base`, nearest first, ties by row number. Fewer than k: 2^32 - 1.
    distances : (m, k) float32

    Examples
    --------
    >>> shoal.exact_search([[0], [1], [5]], [[4]], k=2)[0]
    array([[2, 1]], dtype=uint32)
    """
    kind = array_dtype(dtype_name(dtype))
    with progress_function(progress, "exact search") as function:
        return _shoal.exact_search(as_matrix(base, kind, "base"), as_matrix(queries, kind, "queries"), k,
                                   metric_name(metric), threads, function)


def recall(found: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The share of the true neighbours in `truth` (m, k) that are in `found` (m, any): recall@k. Ties do not count.

    >>> shoal.recall([[1, 2], [3, 4]], [[2, 1], [4, 5]])
    0.75
    """
    answers, true = np.asarray(found), np.asarray(truth)
    if answers.ndim != 2 or true.ndim != 2 or len(answers) != len(true) or true.size == 0:
        raise ValueError(f"recall: two matrices with as many rows expected, found {answers.shape} and {true.shape}")
    hits = sum(len(np.intersect1d(a, t)) for a, t in zip(answers, true))
    return hits / true.size


def read_bin(path: Path, dtype: DTypeLike = "float32") -> AnyArray:
    """(n, dim): DiskANN's .bin (fbin, u8bin, i8bin). The file does not have its dtype."""
    return _shoal.read_bin(os.fsdecode(path), dtype_name(dtype))


def write_bin(path: Path, vectors: VectorsLike, dtype: DTypeLike = "float32") -> None:
    """Writes DiskANN's .bin."""
    _shoal.write_bin(os.fsdecode(path), as_matrix(vectors, array_dtype(dtype_name(dtype))))


def read_vecs(path: Path, dtype: DTypeLike = "float32") -> AnyArray:
    """(n, dim): fvecs (float32) or bvecs (uint8)."""
    return _shoal.read_vecs(os.fsdecode(path), dtype_name(dtype))


def write_vecs(path: Path, vectors: VectorsLike, dtype: DTypeLike = "float32") -> None:
    """Writes fvecs (float32) or bvecs (uint8)."""
    _shoal.write_vecs(os.fsdecode(path), as_matrix(vectors, array_dtype(dtype_name(dtype))))
