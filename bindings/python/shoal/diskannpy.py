"""diskannpy's interface over shoal: ``import shoal.diskannpy as diskannpy`` is the whole change.

What is kept: names, defaults, checks of arguments, DiskANN's files on disk (each reads the other's), `max_vectors` as
a promise, id 0 refused, `mips` as the inner product itself, largest first.

What differs: cosine distances are 1 - cos; where fewer than k points are there, the rest of an answer is id 2^32 - 1 at
distance infinity; points are found while others are inserted; the GIL is free. Deleted points cost searches little
until `consolidate_delete`. A search with a label is exact: it compares all vectors that have the label. Disk indices
are not there: `build_disk_index` checks its arguments and raises NotImplementedError.

>>> import numpy as np
>>> import shoal.diskannpy as diskannpy
>>> index = diskannpy.DynamicMemoryIndex("l2", np.float32, dimensions=2, max_vectors=10, complexity=64, graph_degree=32)
>>> index.batch_insert(np.float32([[0, 0], [3, 4]]), np.uint32([7, 8]))
>>> ids, distances = index.search(np.float32([0, 1]), k_neighbors=2, complexity=10)
>>> ids, distances
(array([7, 8], dtype=uint32), array([ 1., 18.], dtype=float32))
"""

from __future__ import annotations

import json
import os
import pathlib
import warnings
from typing import Any, Literal, NamedTuple, Union

import numpy as np
import numpy.typing as npt

from . import _files, _index
from ._errors import BatchError, DuplicateIdError, IdNotFoundError

DistanceMetric = Literal["l2", "mips", "cosine"]
VectorDType = Union[type[np.float32], type[np.int8], type[np.uint8]]
VectorIdentifier = np.uint32
VectorIdentifierBatch = npt.NDArray[np.uint32]
VectorLike = npt.NDArray[Any]
VectorLikeBatch = npt.NDArray[Any]

_METRICS = {"l2": "l2", "mips": "inner_product", "cosine": "cosine"}
_METRIC_NAMES = ["l2", "mips", "cosine"]  # Their numbers in _metadata.bin.
_DTYPES: list[VectorDType] = [np.float32, np.int8, np.uint8]  # Likewise.
_NO_ID = 2**32 - 1


class defaults:  # noqa: N801
    """DiskANN's defaults."""

    ALPHA = 1.2000000476837158
    NUM_THREADS = 0
    MAX_OCCLUSION_SIZE = 750
    FILTER_COMPLEXITY = 0
    NUM_FROZEN_POINTS_STATIC = 0
    NUM_FROZEN_POINTS_DYNAMIC = 1
    SATURATE_GRAPH = False
    GRAPH_DEGREE = 64
    COMPLEXITY = 100
    PQ_DISK_BYTES = 0
    USE_PQ_BUILD = False
    NUM_PQ_BYTES = 0
    USE_OPQ = False


class QueryResponse(NamedTuple):
    """An answer: identifiers (k,) uint32 and distances (k,) float32."""

    identifiers: VectorIdentifierBatch
    distances: npt.NDArray[np.float32]


class QueryResponseBatch(NamedTuple):
    """Answers: identifiers (n, k) uint32 and distances (n, k) float32."""

    identifiers: VectorIdentifierBatch
    distances: npt.NDArray[np.float32]


class Metadata(NamedTuple):
    """Shape of a file of vectors."""

    num_vectors: int
    dimensions: int


# Checks of arguments: ValueError unless they are as DiskANN wants them


def _whole(name: str, value: Any, low: int, high: int = 2**32 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"{name}: expected a whole number from {low} to {high}, found {value!r}")
    return int(value)


def _metric(metric: Any) -> str:
    name: str = metric.lower() if isinstance(metric, str) else ""
    if name not in _METRICS:
        raise ValueError(f"distance_metric: expected l2, mips or cosine, found {metric!r}")
    return name


def valid_dtype(dtype: Any) -> VectorDType:
    """float32, int8 or uint8 as NumPy's class. ValueError."""
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise ValueError(f"vector_dtype: {error}") from error
    for one in _DTYPES:
        if found == np.dtype(one):
            return one
    raise ValueError(f"vector_dtype: expected float32, int8 or uint8, found {found}")


def _alpha(alpha: Any) -> float:
    if not 1 <= alpha <= 2:
        raise ValueError(f"alpha: expected 1 to 2, found {alpha}")
    return float(alpha)


def _prefix(directory: str, prefix: str) -> str:
    if not os.path.isdir(directory):
        raise ValueError(f"index_directory: no such directory: {directory}")
    if not prefix:
        raise ValueError("index_prefix: expected a name, found nothing")
    return os.path.join(directory, prefix)


def _cast(array: Any, dtype: VectorDType, dimensions: int, ndim: int, name: str) -> npt.NDArray[Any]:
    """TypeError unless the cast is safe; ValueError for another shape."""
    found = np.asarray(array)
    if found.ndim != ndim or found.shape[-1] != dimensions:
        raise ValueError(f"{name}: expected {ndim} dimensions, the last of {dimensions}, found shape {found.shape}")
    if not np.can_cast(found.dtype, dtype, "safe"):
        raise TypeError(f"{name}: {found.dtype} cannot be cast to {np.dtype(dtype)} without loss")
    return np.ascontiguousarray(found, dtype)


def _identifiers(ids: Any) -> VectorIdentifierBatch:
    found = np.asarray(ids)
    if found.ndim != 1:
        raise ValueError(f"vector_ids: expected 1 dimension, found {found.ndim}")
    if not np.can_cast(found.dtype, np.uint32, "safe"):
        raise TypeError(f"vector_ids: {found.dtype} cannot be cast to uint32 without loss")
    if found.size and (found == 0).any():
        raise ValueError("vector_ids: 0 is reserved")
    return found.astype(np.uint32)


def _answer_size(k: Any, complexity: Any) -> tuple[int, int]:
    k, complexity = _whole("k_neighbors", k, 1), _whole("complexity", complexity, 1)
    if k > complexity:
        warnings.warn(f"k_neighbors={k} is more than complexity={complexity}, which is raised to it", UserWarning,
                      stacklevel=3)
    return k, max(k, complexity)


# Files


def vectors_to_file(vector_file: Union[str, "os.PathLike[str]"], vectors: VectorLikeBatch) -> None:
    """Writes rows with their shape (two uint32) before them."""
    _files.write_bin(vector_file, vectors, valid_dtype(vectors.dtype))


def vectors_metadata_from_file(vector_file: Union[str, "os.PathLike[str]"]) -> Metadata:
    """The shape of a file of vectors."""
    rows, dimensions = np.fromfile(vector_file, np.uint32, 2)
    return Metadata(int(rows), int(dimensions))


def vectors_from_file(vector_file: Union[str, "os.PathLike[str]"], dtype: VectorDType, use_memmap: bool = False,
                      mode: Literal["r", "r+"] = "r") -> npt.NDArray[Any]:
    """Rows of a file of vectors, (n, dim), in memory or mapped."""
    kind, shape = valid_dtype(dtype), tuple(vectors_metadata_from_file(vector_file))
    if use_memmap:
        return np.memmap(vector_file, kind, mode, offset=8, shape=shape)
    return _files.read_bin(vector_file, kind)


def tags_to_file(tag_file: Union[str, "os.PathLike[str]"], tags: VectorIdentifierBatch) -> None:
    """Writes ids (n,) uint32 as a matrix of one column."""
    ids = _identifiers(tags)
    with open(tag_file, "wb") as file:
        np.array([len(ids), 1], np.uint32).tofile(file)
        ids.tofile(file)


def tags_from_file(tag_file: Union[str, "os.PathLike[str]"]) -> VectorIdentifierBatch:
    """Ids (n,) uint32."""
    rows, columns = np.fromfile(tag_file, np.uint32, 2)
    if columns != 1:
        raise ValueError(f"{tag_file}: expected 1 column, found {columns}")
    return np.fromfile(tag_file, np.uint32, int(rows), offset=8)


def _write_metadata(prefix: str, dtype: VectorDType, metric: str, rows: int, dimensions: int) -> None:
    np.array([_DTYPES.index(dtype), _METRIC_NAMES.index(metric), rows, dimensions],
             np.uint64).tofile(prefix + "_metadata.bin")


def _read_metadata(prefix: str, dtype: Any, metric: Any, dimensions: Any) -> tuple[VectorDType, str, int]:
    """Of the file, or, where there is none, as the caller says. ValueError."""
    if os.path.exists(prefix + "_metadata.bin"):
        kind, measure, _, dim = np.fromfile(prefix + "_metadata.bin", np.uint64, 4).tolist()
        if kind >= len(_DTYPES) or measure >= len(_METRIC_NAMES):
            raise ValueError(f"{prefix}_metadata.bin: no such dtype or metric: {kind}, {measure}")
        return _DTYPES[kind], _METRIC_NAMES[measure], dim
    if dtype is None or metric is None or dimensions is None:
        raise ValueError(f"{prefix}_metadata.bin: not there; vector_dtype, distance_metric and dimensions expected")
    return valid_dtype(dtype), _metric(metric), _whole("dimensions", dimensions, 1)


# Building


def _build_data(data: Any, vector_dtype: Any) -> npt.NDArray[Any]:
    if isinstance(data, (str, os.PathLike)):
        if vector_dtype is None:
            raise ValueError("vector_dtype: expected with a file of vectors")
        dtype = valid_dtype(vector_dtype)
        if not os.path.isfile(data):
            raise ValueError(f"data: no such file: {os.fspath(data)}")
        return vectors_from_file(data, dtype)
    array = np.asarray(data)
    valid_dtype(array.dtype)
    if array.ndim != 2:
        raise ValueError(f"data: expected 2 dimensions, found {array.ndim}")
    return np.ascontiguousarray(array)


def build_memory_index(data: Any, distance_metric: DistanceMetric, index_directory: str, complexity: int,
                       graph_degree: int, num_threads: int, alpha: float = defaults.ALPHA,
                       use_pq_build: bool = defaults.USE_PQ_BUILD, num_pq_bytes: int = defaults.NUM_PQ_BYTES,
                       use_opq: bool = defaults.USE_OPQ, vector_dtype: VectorDType | None = None,
                       tags: Any = "", filter_labels: list[list[str]] | None = None, universal_label: str = "",
                       filter_complexity: int = defaults.FILTER_COMPLEXITY, index_prefix: str = "ann") -> None:
    """Builds an index and writes DiskANN's files. Codes (`use_pq_build`) are not used: full vectors are."""
    metric, alpha = _metric(distance_metric), _alpha(alpha)
    _whole("num_pq_bytes", num_pq_bytes, 0), _whole("filter_complexity", filter_complexity, 0)
    complexity, graph_degree = _whole("complexity", complexity, 1), _whole("graph_degree", graph_degree, 1)
    num_threads = _whole("num_threads", num_threads, 0)
    rows = _build_data(data, vector_dtype)
    prefix = _prefix(index_directory, index_prefix)
    vectors = prefix + "_vectors.bin"
    is_path = isinstance(data, (str, os.PathLike))
    if not is_path and os.path.exists(vectors):
        raise ValueError(f"{vectors}: is there already")
    ids = None
    if not isinstance(tags, str) or tags:
        ids = tags_from_file(tags) if isinstance(tags, (str, os.PathLike)) else _identifiers(tags)
        if len(ids) != len(rows):
            raise ValueError(f"tags: expected {len(rows)}, one for each vector, found {len(ids)}")
    if filter_labels is not None and len(filter_labels) != len(rows):
        raise ValueError(f"filter_labels: expected {len(rows)}, one list for each vector, found {len(filter_labels)}")
    dtype = valid_dtype(rows.dtype)
    index = _new_index(rows.shape[1], metric, dtype, graph_degree, complexity, alpha)
    index.add(np.arange(len(rows), dtype=np.uint64), rows, threads=num_threads)
    index.save_diskann(prefix)
    if ids is not None:
        tags_to_file(prefix + ".tags", ids)
    if not is_path:
        vectors_to_file(vectors, rows)
    _write_metadata(prefix, dtype, metric, *rows.shape)
    if filter_labels is not None:
        _write_labels(prefix, filter_labels, universal_label)


def _new_index(dim: int, metric: str, dtype: VectorDType, graph_degree: int, complexity: int,
               alpha: float) -> _index.Index:
    return _index.Index(dim, metric=_METRICS[metric], dtype=dtype, alpha=alpha,  # type: ignore[arg-type]
                        max_degree=min(max(graph_degree, 4), 512), build_list_size=min(complexity, 10_000),
                        repair="manual")


def _write_labels(prefix: str, labels: list[list[str]], universal: str) -> None:
    names = sorted({name for row in labels for name in row if name != universal})
    number = {name: i + 1 for i, name in enumerate(names)}
    counts = {name: sum(name in row for row in labels) for name in names}
    pathlib.Path(prefix + "_pylabels.txt").write_text(
        "".join(",".join(row if row else ["default"]) + "\n" for row in labels))
    pathlib.Path(prefix + "_labels_map.txt").write_text(
        "".join(f"{name}\t{i}\n" for name, i in number.items()) + (f"{universal}\t0\n" if universal else ""))
    pathlib.Path(prefix + "_label_metadata.json").write_text(
        json.dumps({"universal_label": universal, "label_counts": counts}))


def build_disk_index(data: Any, distance_metric: DistanceMetric, index_directory: str, complexity: int,
                     graph_degree: int, search_memory_maximum: float, build_memory_maximum: float, num_threads: int,
                     pq_disk_bytes: int = defaults.PQ_DISK_BYTES, vector_dtype: VectorDType | None = None,
                     index_prefix: str = "ann") -> None:
    """Checks its arguments; NotImplementedError: there are no disk indices."""
    _metric(distance_metric)
    _whole("complexity", complexity, 1), _whole("graph_degree", graph_degree, 1)
    _whole("num_threads", num_threads, 0), _whole("pq_disk_bytes", pq_disk_bytes, 0)
    for name, value in (("search_memory_maximum", search_memory_maximum),
                        ("build_memory_maximum", build_memory_maximum)):
        if not value > 0:
            raise ValueError(f"{name}: expected more than 0, found {value}")
    _build_data(data, vector_dtype)
    _prefix(index_directory, index_prefix)
    raise NotImplementedError("shoal has no disk indices; see shoal.View for a file that is searched in place")


class StaticDiskIndex:
    """NotImplementedError: there are no disk indices."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("shoal has no disk indices; see shoal.View for a file that is searched in place")


# Searching


def _response(ids: npt.NDArray[np.uint64], distances: npt.NDArray[np.float32], k: int,
              metric: str) -> tuple[VectorIdentifierBatch, npt.NDArray[np.float32]]:
    """uint32 ids, padded to k columns; under mips the inner products."""
    missing = k - ids.shape[-1]
    narrow = ids.astype(np.uint32)  # Padding 2^64 - 1 gives 2^32 - 1.
    if metric == "mips":
        distances = np.where(np.isinf(distances), distances, -distances)
    if missing > 0:
        widths = [(0, 0)] * (ids.ndim - 1) + [(0, missing)]
        narrow = np.pad(narrow, widths, constant_values=_NO_ID)
        distances = np.pad(distances, widths, constant_values=np.float32(np.inf))
    return narrow, distances


class _MemoryIndex:
    _index: _index.Index
    _metric: str
    _vector_dtype: VectorDType
    _dimensions: int
    _threads: int

    def _search(self, query: Any, k: Any, complexity: Any) -> QueryResponse:
        vector = _cast(query, self._vector_dtype, self._dimensions, 1, "query")
        k, complexity = _answer_size(k, complexity)
        hits = self._index.search(vector, k, list_size=complexity)
        return QueryResponse(*_response(hits.ids, hits.distances, k, self._metric))

    def batch_search(self, queries: VectorLikeBatch, k_neighbors: int, complexity: int,
                     num_threads: int = defaults.NUM_THREADS) -> QueryResponseBatch:
        """Identifiers (n, k) and distances (n, k) of n queries, on several threads."""
        rows = _cast(queries, self._vector_dtype, self._dimensions, 2, "queries")
        k, list_size = _answer_size(k_neighbors, complexity)
        threads = _whole("num_threads", num_threads, 0)
        hits = self._index.search(rows, k, list_size=list_size, threads=threads)
        return QueryResponseBatch(*_response(hits.ids, hits.distances, k, self._metric))


class StaticMemoryIndex(_MemoryIndex):
    """An index that `build_memory_index` or DiskANN wrote, for searches. Identifiers are row numbers."""

    def __init__(self, index_directory: str, num_threads: int, initial_search_complexity: int,
                 index_prefix: str = "ann", distance_metric: DistanceMetric | None = None,
                 vector_dtype: VectorDType | None = None, dimensions: int | None = None,
                 enable_filters: bool = False) -> None:
        prefix = _prefix(index_directory, index_prefix)
        self._threads = _whole("num_threads", num_threads, 0)
        _whole("initial_search_complexity", initial_search_complexity, 1)
        self._vector_dtype, self._metric, self._dimensions = _read_metadata(prefix, vector_dtype, distance_metric,
                                                                            dimensions)
        self._index = _index.Index.load_diskann(
            prefix, metric=_METRICS[self._metric], dtype=self._vector_dtype,  # type: ignore[arg-type]
            threads=self._threads)
        self._rows_of: dict[str, npt.NDArray[np.uint64]] = {}
        self._vectors_of: dict[str, npt.NDArray[Any]] = {}
        if enable_filters:
            self._read_labels(prefix)

    def _read_labels(self, prefix: str) -> None:
        try:
            lines = pathlib.Path(prefix + "_pylabels.txt").read_text().splitlines()
            universal = json.loads(pathlib.Path(prefix + "_label_metadata.json").read_text())["universal_label"]
        except OSError as error:
            raise ValueError(f"enable_filters: {error}") from error
        rows_of: dict[str, list[int]] = {}
        everywhere = []
        for row, line in enumerate(lines):
            names = line.split(",")
            if universal and universal in names:
                everywhere.append(row)
            for name in names:
                rows_of.setdefault(name, []).append(row)
        self._rows_of = {name: np.union1d(np.array(rows, np.uint64), np.array(everywhere, np.uint64))
                         for name, rows in rows_of.items()}

    def search(self, query: VectorLike, k_neighbors: int, complexity: int, filter_label: str = "") -> QueryResponse:
        """Identifiers (k,) and distances (k,). With a label there are at most as many as have it."""
        if filter_label == "":
            return self._search(query, k_neighbors, complexity)
        vector = _cast(query, self._vector_dtype, self._dimensions, 1, "query")
        k, _ = _answer_size(k_neighbors, max(complexity, k_neighbors))
        _whole("complexity", complexity, 1)
        if filter_label not in self._rows_of:
            raise ValueError(f"filter_label: no vector has the label {filter_label!r}")
        rows = self._rows_of[filter_label]
        if filter_label not in self._vectors_of:
            self._vectors_of[filter_label] = self._index.get(rows)
        nearest, distances = _files.exact_search(
            self._vectors_of[filter_label], vector[None], min(k, len(rows)),
            metric=_METRICS[self._metric], dtype=self._vector_dtype, threads=1)  # type: ignore[arg-type]
        return QueryResponse(*_response(rows[nearest[0]], distances[0], 0, self._metric))


class DynamicMemoryIndex(_MemoryIndex):
    """An index whose points come and go. `max_vectors` is a promise: beyond it an insert is a RuntimeError."""

    def __init__(self, distance_metric: DistanceMetric, vector_dtype: VectorDType, dimensions: int, max_vectors: int,
                 complexity: int, graph_degree: int, saturate_graph: bool = defaults.SATURATE_GRAPH,
                 max_occlusion_size: int = defaults.MAX_OCCLUSION_SIZE, alpha: float = defaults.ALPHA,
                 num_threads: int = defaults.NUM_THREADS, filter_complexity: int = defaults.FILTER_COMPLEXITY,
                 num_frozen_points: int = defaults.NUM_FROZEN_POINTS_DYNAMIC, initial_search_complexity: int = 0,
                 search_threads: int = 0, concurrent_consolidation: bool = True) -> None:
        self._metric, self._vector_dtype = _metric(distance_metric), valid_dtype(vector_dtype)
        self._dimensions = _whole("dimensions", dimensions, 1)
        self._max_vectors = _whole("max_vectors", max_vectors, 1)
        complexity, graph_degree = _whole("complexity", complexity, 1), _whole("graph_degree", graph_degree, 1)
        self._threads = _whole("num_threads", num_threads, 0)
        for name, value in (("max_occlusion_size", max_occlusion_size), ("filter_complexity", filter_complexity),
                            ("num_frozen_points", num_frozen_points), ("search_threads", search_threads),
                            ("initial_search_complexity", initial_search_complexity)):
            _whole(name, value, 0)
        self._index = _new_index(self._dimensions, self._metric, self._vector_dtype, graph_degree, complexity,
                                 _alpha(alpha))
        self._num_vectors = 0  # Deleted points that wait for their consolidation included.
        self._removed_num_vectors = 0

    @classmethod
    def from_file(cls, index_directory: str, max_vectors: int, complexity: int, graph_degree: int,
                  saturate_graph: bool = defaults.SATURATE_GRAPH,
                  max_occlusion_size: int = defaults.MAX_OCCLUSION_SIZE, alpha: float = defaults.ALPHA,
                  num_threads: int = defaults.NUM_THREADS, filter_complexity: int = defaults.FILTER_COMPLEXITY,
                  num_frozen_points: int = defaults.NUM_FROZEN_POINTS_DYNAMIC, initial_search_complexity: int = 0,
                  search_threads: int = 0, concurrent_consolidation: bool = True, index_prefix: str = "ann",
                  distance_metric: DistanceMetric | None = None, vector_dtype: VectorDType | None = None,
                  dimensions: int | None = None) -> DynamicMemoryIndex:
        """An index of DiskANN's files, which have tags."""
        prefix = _prefix(index_directory, index_prefix)
        if not os.path.exists(prefix + ".tags"):
            raise ValueError(f"{prefix}.tags: not there; a dynamic index needs ids")
        dtype, metric, dim = _read_metadata(prefix, vector_dtype, distance_metric, dimensions)
        self = cls(metric, dtype, dim, max_vectors, complexity, graph_degree,  # type: ignore[arg-type]
                   saturate_graph, max_occlusion_size, alpha, num_threads, filter_complexity, num_frozen_points,
                   initial_search_complexity, search_threads, concurrent_consolidation)
        options = self._index.options
        self._index = _index.Index.load_diskann(
            prefix, metric=_METRICS[metric], dtype=dtype, tags=True, alpha=alpha,  # type: ignore[arg-type]
            max_degree=options.max_degree, build_list_size=options.build_list_size, repair="manual",
            threads=num_threads)
        self._num_vectors = len(self._index)
        if self._num_vectors > max_vectors:
            raise ValueError(f"max_vectors: expected at least {self._num_vectors}, found {max_vectors}")
        return self

    def search(self, query: VectorLike, k_neighbors: int, complexity: int) -> QueryResponse:
        """Identifiers (k,) and distances (k,)."""
        return self._search(query, k_neighbors, complexity)

    def _make_room(self, more: int) -> None:
        """Consolidates if there is no room. RuntimeError: there is none after that."""
        if self._num_vectors + more <= self._max_vectors:
            return
        if self._removed_num_vectors:
            warnings.warn(f"max_vectors={self._max_vectors} is reached; {self._removed_num_vectors} deleted points "
                          "are consolidated", UserWarning, stacklevel=3)
            self.consolidate_delete()
        if self._num_vectors + more > self._max_vectors:
            raise RuntimeError(f"max_vectors: {self._num_vectors} and {more} more are above {self._max_vectors}")

    def insert(self, vector: VectorLike, vector_id: int) -> None:
        """Adds a point. RuntimeError: max_vectors is reached; the id is there."""
        row = _cast(vector, self._vector_dtype, self._dimensions, 1, "vector")
        one = _whole("vector_id", vector_id, 1, _NO_ID - 1)
        self._make_room(1)
        try:
            self._index.add(one, row)
        except DuplicateIdError as error:
            raise RuntimeError(str(error)) from error
        self._num_vectors += 1

    def batch_insert(self, vectors: VectorLikeBatch, vector_ids: VectorIdentifierBatch,
                     num_threads: int = defaults.NUM_THREADS) -> None:
        """Adds points on several threads. RuntimeError: max_vectors is reached; an id is there."""
        rows = _cast(vectors, self._vector_dtype, self._dimensions, 2, "vectors")
        ids = _identifiers(vector_ids)
        if len(ids) != len(rows):
            raise ValueError(f"vector_ids: expected {len(rows)}, one for each vector, found {len(ids)}")
        threads = _whole("num_threads", num_threads, 0)
        self._make_room(len(rows))
        try:
            self._num_vectors += self._index.add(ids, rows, threads=threads)
        except BatchError as error:
            self._num_vectors += error.done
            raise RuntimeError(str(error)) from error

    def mark_deleted(self, vector_id: int) -> None:
        """Searches find the point no more. RuntimeError: it is not there."""
        one = _whole("vector_id", vector_id, 1)
        try:
            self._index.delete(one)
        except IdNotFoundError as error:
            raise RuntimeError(str(error)) from error
        self._removed_num_vectors += 1

    def consolidate_delete(self) -> None:
        """Repairs the graph around deleted points; their places are free."""
        self._index.consolidate(threads=self._threads)
        self._num_vectors -= self._removed_num_vectors
        self._removed_num_vectors = 0

    def save(self, save_path: str, index_prefix: str = "ann") -> None:
        """Writes DiskANN's files with tags. RuntimeError: there are no points."""
        prefix = _prefix(save_path, index_prefix)
        if self._removed_num_vectors:
            warnings.warn(f"{self._removed_num_vectors} deleted points are consolidated before the index is saved",
                          UserWarning, stacklevel=2)
            self.consolidate_delete()
        if len(self._index) == 0:
            raise RuntimeError("save: the index has no points, which DiskANN's files cannot say")
        self._index.save_diskann(prefix, dynamic=True)
        _write_metadata(prefix, self._vector_dtype, self._metric, len(self._index), self._dimensions)


__all__ = [
    "DistanceMetric", "DynamicMemoryIndex", "Metadata", "QueryResponse", "QueryResponseBatch", "StaticDiskIndex",
    "StaticMemoryIndex", "VectorDType", "VectorIdentifier", "VectorIdentifierBatch", "VectorLike", "VectorLikeBatch",
    "build_disk_index", "build_memory_index", "defaults", "tags_from_file", "tags_to_file", "valid_dtype",
    "vectors_from_file", "vectors_metadata_from_file", "vectors_to_file",
]
