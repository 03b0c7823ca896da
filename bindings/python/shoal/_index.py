"""The index in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Literal, Union, overload

import numpy as np
import numpy.typing as npt

from . import _shoal
from ._arrays import (AnyArray, Ids, IdsLike, VectorsLike, array_dtype, as_ids, as_matrix, as_vectors,
                      check_order, many_ids, one_id)
from ._errors import BatchError, CancelledError, IdNotFoundError
from ._labels import LabelArray, Labels, ManyLabels, as_label_rows, as_labels
from ._names import Code, DTypeLike, Metric, code_name, dtype_name, metric_name
from ._progress import Progress, progress_function
from ._results import IndexStats, Report, stats_of
from ._searching import Measuring, Searching, columns_of
from .features import Dataset, Disk, FeatureStore, Mmap, Ram, close_at_exit, native_features

Repair = Literal["immediate", "background", "manual"]
Path = Union[str, "os.PathLike[str]"]
Features = Union[Ram, Mmap, Disk, Dataset, FeatureStore, None]
_Runtime = tuple[int, str, int, int]


class Index(Measuring[_shoal.Index]):
    """An index in memory whose points come and go, from any number of threads, while others search it.

    Parameters
    ----------
    dim : int
        Elements of every vector, 1 to 32768.
    metric : {'l2', 'inner_product', 'cosine', 'manhattan', 'hamming'}
        Distance, smaller is nearer. l2: the squared Euclidean distance; inner_product: the negated inner product;
        cosine: 1 - cos; manhattan: the sum of differences; hamming: how many bits differ.
    dtype : {'float32', 'float16', 'int8', 'uint8', 'bit'}
        Of the vectors. bit goes with hamming: arrays of bool (..., dim), or of uint8 as
        ``np.packbits(..., bitorder="little")`` makes them.
    code : {'auto', 'full', 'float16', 'bfloat16', 'sq8', 'rq4', 'rq3', 'rq2', 'rq1', 'sign'}
        What of a vector is kept for searches to traverse. Less is smaller, faster, and less exact. auto is rq4 for
        float vectors of 96 and more dimensions (it finds no less than full), else full.
    rerank_code : {'full', 'float16', 'bfloat16', 'sq8'}, or `code`
        What is kept beside it for the final order of hits. Hits have its distances.
    max_degree : int
        Most edges of a point (R; 2 M of hnswlib), 4 to 512.
    build_list_size : int
        Candidates of an insert's search (ef_construction). Larger: better graph, slower inserts.
    alpha : float
        How much longer a detour may be before an edge is dropped, 1 to 2.
    memory_limit : int
        Bytes that the index may take; 0: no limit. Beyond it an insert is a MemoryError.
    repair : {'immediate', 'background', 'manual'}
        Which thread repairs the graph around a deleted point: the one that deletes it; threads of the index; the one that
        calls `consolidate`.
    repair_threads, repair_share : int
        For 'background': how many threads, and percent of the time that each may work.
    features : shoal.features.Ram, Mmap, Disk, Dataset, or a FeatureStore, optional
        Where the vectors live. Graph and code stay in memory; searches fetch the vectors of their nearest candidates.

    Notes
    -----
    Every method may be called from any thread at any time, together with any other. Those that work release the
    GIL. After a fork the child cannot use an index of its parent.

    Examples
    --------
    >>> index = shoal.Index(3, metric="cosine")
    >>> index.add([10, 11], [[1, 0, 0], [0, 1, 0]])
    2
    >>> index.upsert(12, [0, 0, 1])
    1
    >>> index.delete(10)
    >>> len(index), 10 in index, 12 in index
    (2, False, True)
    >>> index.search([0, 0.1, 1], k=1).ids
    array([12], dtype=uint64)
    """

    def __init__(self, dim: int, *, metric: Metric = "l2", dtype: DTypeLike = "float32",
                 code: Code = "auto", rerank_code: Code = "full", max_degree: int = 32,
                 build_list_size: int = 100, alpha: float = 1.2, memory_limit: int = 0,
                 repair: Repair = "immediate", repair_threads: int = 1, repair_share: int = 100,
                 features: Features = None) -> None:
        self._runtime: _Runtime = (memory_limit, repair, repair_threads, repair_share)
        options = {"dim": dim, "metric": metric_name(metric), "dtype": dtype_name(dtype),
                   "code": code_name("code", code), "rerank_code": code_name("rerank_code", rerank_code),
                   "max_degree": max_degree, "build_list_size": build_list_size, "alpha": alpha}
        kind = array_dtype(str(options["dtype"]))
        columns = -(-dim // 8) if options["dtype"] == "bit" else dim
        store = native_features(features, columns, kind)
        super().__init__(_shoal.Index.create(options, self._runtime, store))
        if isinstance(features, FeatureStore):
            close_at_exit(self)

    @classmethod
    def _of(cls, native: _shoal.Index, runtime: _Runtime) -> Index:
        self = cls.__new__(cls)
        self._runtime = runtime
        Searching.__init__(self, native)
        return self

    # Writing

    @overload
    def add(self, ids: IdsLike, vectors: VectorsLike, *, labels: Labels | ManyLabels | None = None,
            threads: int = 0, progress: Progress = None,
            errors: Literal["raise"] = "raise") -> int: ...

    @overload
    def add(self, ids: IdsLike, vectors: VectorsLike, *, labels: Labels | ManyLabels | None = None,
            threads: int = 0, progress: Progress = None,
            errors: Literal["report"]) -> Report: ...

    def add(self, ids: Any, vectors: Any, *, labels: Any = None, threads: int = 0, progress: Progress = None,
            errors: str = "raise") -> int | Report:
        """Adds one point, or many on several threads. When it returns, every search can find them.

        Parameters
        ----------
        ids : int or (n,) array-like of int
            Your own numbers, 0 to 2^64 - 1.
        vectors : (dim,) or (n, dim) array-like
            An array of the index's dtype, in C order, is read where it is. Others are converted if that changes no
            value: floats into an int8 index must be whole numbers.
        labels : sequence of int; or n of them, optional
            Numbers from 0 to 2^32 - 1, which `Filter.label` asks for. Of many points: the labels of each, or an array
            with one label for each. `upsert` without labels leaves them as they are.
        threads : int
            0: one for each CPU. With 1 the graph depends on nothing but the data and the options.
        progress : bool or function, optional
            True shows a bar; a function gets (done, total), and stops the call by returning False.
        errors : {'raise', 'report'}
            Rows that fail do not stop the others. Then: a BatchError, or a Report.

        Returns
        -------
        int or Report
            How many points were added.

        Raises
        ------
        DuplicateIdError
            The id is there already. It is a KeyError; `upsert` replaces a vector.
        ValueError
            Another dimension than the index's; NaN or infinity; under cosine a vector of zeros.
        BatchError
            Rows of many failed. The others were added.
        MemoryError
            The memory limit is reached.
        """
        return self._write(ids, vectors, labels, threads, progress, errors, "add", self._native.insert,
                           self._native.insert_many)

    @overload
    def upsert(self, ids: IdsLike, vectors: VectorsLike, *, labels: Labels | ManyLabels | None = None,
               threads: int = 0, progress: Progress = None,
               errors: Literal["raise"] = "raise") -> int: ...

    @overload
    def upsert(self, ids: IdsLike, vectors: VectorsLike, *, labels: Labels | ManyLabels | None = None,
               threads: int = 0, progress: Progress = None,
               errors: Literal["report"]) -> Report: ...

    def upsert(self, ids: Any, vectors: Any, *, labels: Any = None, threads: int = 0, progress: Progress = None,
               errors: str = "raise") -> int | Report:
        """Adds points, or gives them other vectors. Searches find an id all the time, with the old vector or the new.

        Arguments, result and errors are those of `add`, except DuplicateIdError.
        """
        return self._write(ids, vectors, labels, threads, progress, errors, "upsert", self._native.upsert,
                           self._native.upsert_many)

    def _write(self, ids: Any, vectors: Any, labels: Any, threads: int, progress: Progress, errors: str,
               verb: str, one: Callable[[int, AnyArray, LabelArray | None], None],
               many: Callable[..., Any]) -> int | Report:
        if errors not in ("raise", "report"):
            raise ValueError(f"errors: expected 'raise' or 'report', found {errors!r}")
        try:
            which = as_ids(ids)
        except (TypeError, ValueError):
            check_order(ids, vectors)
            raise
        if isinstance(which, int):
            rows = as_vectors(vectors, self._dtype, "vector")
            if rows.ndim != 1:
                raise ValueError(f"vector: one expected for one id, found {rows.shape[0]} rows")
            one(which, rows, None if labels is None else as_labels(labels))
            return 1
        if not len(which) and np.size(vectors) == 0:
            vectors = np.empty((0, columns_of(self._options)), self._dtype)  # An empty list has no columns.
        rows = as_matrix(vectors, self._dtype)
        own = None if labels is None else as_label_rows(labels, len(rows))
        with progress_function(progress, verb) as function:
            return outcome(verb, many(which, rows, own, threads, function), errors, len(which))

    def __setitem__(self, ids: IdsLike, vectors: VectorsLike) -> None:
        self.upsert(ids, vectors)

    def delete(self, ids: IdsLike, *, threads: int = 0, progress: Progress = None) -> None:
        """Removes points: no search that starts later finds them, and the ids are free.

        Raises
        ------
        IdNotFoundError
            The id is not there. It is a KeyError.
        BatchError
            Of many ids some are not there. The others were removed.
        """
        which = as_ids(ids)
        if isinstance(which, int):
            self._native.delete(which)
            return
        with progress_function(progress, "delete") as function:
            outcome("delete", self._native.delete_many(which, threads, function), "raise", len(which))

    def __delitem__(self, ids: IdsLike) -> None:
        self.delete(ids)

    def discard(self, ids: IdsLike, *, threads: int = 0, progress: Progress = None) -> int:
        """Removes those of the points that are there. Returns how many.

        >>> index = shoal.Index(1)
        >>> index.add([1, 2], [[1], [2]])
        2
        >>> index.discard([2, 3])
        1
        """
        which = many_ids(ids)
        with progress_function(progress, "delete") as function:
            done, rows, errors, cancelled = self._native.delete_many(which, threads, function)
        others = [(r, e) for r, e in zip(rows, errors) if not isinstance(e, IdNotFoundError)]
        left = [r for r, _ in others], [e for _, e in others]
        outcome("delete", (done, *left, cancelled), "raise", len(which))
        return done

    def clear(self, *, threads: int = 0, progress: Progress = None) -> None:
        """Removes all points that are there when it is called."""
        with progress_function(progress, "clear") as function:
            self._native.clear(threads, function)

    # Labels

    def set_labels(self, id: int, labels: Labels) -> None:  # noqa: A002
        """Gives a point these labels and no others. A search meanwhile finds it with the old ones or with the new."""
        self._native.set_labels(one_id(id), as_labels(labels))

    def labels(self, id: int) -> LabelArray:  # noqa: A002
        """(n,) uint32: the labels of a point, ascending.

        >>> index = shoal.Index(1)
        >>> index.add(7, [1], labels=[30, 20])
        1
        >>> index.labels(7)
        array([20, 30], dtype=uint32)
        """
        return self._native.labels(one_id(id))

    # Looking up

    def _get_many(self, ids: Ids) -> tuple[AnyArray, list[int]]:
        return self._native.get_many(ids, 0)

    def _contains_many(self, ids: Ids) -> npt.NDArray[np.bool_]:
        return self._native.contains_many(ids)

    # Upkeep

    def consolidate(self, *, threads: int = 0, progress: Progress = None) -> None:
        """Repairs the graph around all points deleted before the call. Searches and writers go on."""
        with progress_function(progress, "consolidate") as function:
            self._native.consolidate(threads, function)

    def compact(self, *, threads: int = 0, progress: Progress = None) -> int:
        """Consolidates, moves points together, and gives memory back to the system. Returns the bytes."""
        with progress_function(progress, "compact") as function:
            return self._native.compact(threads, function)

    def refine(self, *, threads: int = 0, progress: Progress = None) -> None:
        """Renews the edges of every point. Takes the time of the inserts; pays for data that is searched often."""
        with progress_function(progress, "refine") as function:
            self._native.refine(threads, function)

    @staticmethod
    def estimate_bytes(points: int, dim: int, *, metric: Metric = "l2", dtype: DTypeLike = "float32",
                       code: Code = "auto", rerank_code: Code = "full", max_degree: int = 32) -> int:
        """About how many bytes of memory so many points take, before there is an index; within a quarter."""
        options = {"dim": dim, "metric": metric_name(metric), "dtype": dtype_name(dtype),
                   "code": code_name("code", code), "rerank_code": code_name("rerank_code", rerank_code),
                   "max_degree": max_degree, "build_list_size": 100, "alpha": 1.2}
        return _shoal.estimate_bytes(options, points)

    @staticmethod
    def fit_to_memory(points: int, dim: int, memory_budget: int, *, metric: Metric = "l2",
                      dtype: DTypeLike = "float32", max_degree: int = 32) -> tuple[str, int]:
        """The largest code with which so many points, whose vectors are in a feature store, fit into so many bytes.

        Returns the code's name and about how many bytes they take. Give the budget to Index as `memory_limit`, too.
        ValueError: not even the graph alone fits.

        >>> shoal.Index.fit_to_memory(1_000_000, 768, 512 << 20)[0]
        'rq2'
        """
        options = {"dim": dim, "metric": metric_name(metric), "dtype": dtype_name(dtype), "code": "auto",
                   "rerank_code": "full", "max_degree": max_degree, "build_list_size": 100, "alpha": 1.2}
        return _shoal.fit_to_memory(options, points, memory_budget)

    def stats(self) -> IndexStats:
        """Counts: points, edges, memory by purpose, work done."""
        return stats_of(self._native.stats())

    def check_structure(self) -> None:
        """Checks the graph of an index at rest; CorruptFileError names the first violation. For tests."""
        self._native.check_structure()

    # Files

    def save(self, path: Path, *, vectors: bool = True, features: Features = None, list_codes: bool = False,
             order: Literal["slots", "neighbors"] = "slots", progress: Progress = None) -> None:
        """Writes the points of one instant to a file, with checksums. Searches and writers go on.

        The file is there whole or not at all; an older one is replaced in one step.

        Parameters
        ----------
        vectors : bool
            False: they stay where they are, in the store of this index, which the file goes with.
        features : shoal.features.Ram, Mmap, Disk, or a FeatureStore, optional
            An empty store that the vectors are put to instead. The file goes with that one.
        list_codes : bool
            Whether the file has the codes of its points beside each neighbour list: searches of a `View` are faster,
            and the file is larger.
        order : {"slots", "neighbors"}
            neighbors: near points stand together, so that a view reads fewer pages.

        Raises
        ------
        FileNotFoundError, OSError
            The folder is not there; the system refuses.
        """
        if order not in ("slots", "neighbors"):
            raise ValueError(f"order: expected slots or neighbors, found {order}")
        to = features_for(features, self._native.options())
        with progress_function(progress, "save") as function:
            self._native.save(os.fsdecode(path), vectors, to, list_codes, order == "neighbors", function)

    @classmethod
    def load(cls, path: Path, *, memory_limit: int = 0, repair: Repair = "immediate", repair_threads: int = 1,
             repair_share: int = 100, features: Features = None, trust_features: bool = False, threads: int = 0,
             progress: Progress = None) -> Index:
        """Makes the index of a file that `save` wrote. Everything is checked; no code is run.

        Parameters
        ----------
        features : optional
            Of a file without vectors: the store that has them.
        trust_features : bool
            Whether to open without a look at the store. Else every vector is compared with its code.

        Raises
        ------
        FileNotFoundError, OSError
        CorruptFileError
            Names the file, the place, what was expected and what was found. It is an OSError.
        UnsupportedError
            The file has another version of the format.
        """
        runtime = (memory_limit, repair, repair_threads, repair_share)
        name = os.fsdecode(path)
        with progress_function(progress, "load") as function:
            if features is None:
                return cls._of(_shoal.Index.load(name, runtime, threads, function), runtime)
            store = features_for(features, _shoal.inspect(name))
            self = cls._of(_shoal.Index.load_with_features(name, store, runtime, trust_features, threads, function),
                           runtime)
        if isinstance(features, FeatureStore):
            close_at_exit(self)
        return self

    def save_diskann(self, prefix: Path, *, dynamic: bool = False) -> None:
        """Writes DiskANN's in-memory files: `prefix`, `prefix.data` and, if dynamic, `prefix.tags` with the ids.

        Without tags row i is the i-th smallest id. UnsupportedError: float16; id 0 or an id above 2^32 - 1 in tags.
        """
        self._native.save_diskann(os.fsdecode(prefix), dynamic)

    @classmethod
    def load_diskann(cls, prefix: Path, *, metric: Metric = "l2", dtype: DTypeLike = "float32", tags: bool = False,
                     max_degree: int = 0, build_list_size: int = 100, alpha: float = 1.2,
                     memory_limit: int = 0, repair: Repair = "immediate", repair_threads: int = 1,
                     repair_share: int = 100, threads: int = 0) -> Index:
        """Makes an index of DiskANN's files. Metric and dtype are not in them. `tags`: ids come from `prefix.tags`."""
        runtime = (memory_limit, repair, repair_threads, repair_share)
        options = {"dim": 0, "metric": metric_name(metric), "dtype": dtype_name(dtype),
                   "code": "auto", "rerank_code": "full", "max_degree": max_degree, "build_list_size": build_list_size, "alpha": alpha}
        native = _shoal.Index.load_diskann(os.fsdecode(prefix), options, runtime, tags, threads)
        return cls._of(native, runtime)

    def __enter__(self) -> Index:
        return self

    def to_bytes(self) -> bytes:
        """What `save` writes."""
        pieces: list[bytes] = []
        self._native.save_to(pieces.append)
        return b"".join(pieces)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, *, memory_limit: int = 0, repair: Repair = "immediate",
                   repair_threads: int = 1, repair_share: int = 100, threads: int = 0) -> Index:
        """The index of what `to_bytes` gave, or `save` wrote. Everything is checked; no code is run.

        >>> index = shoal.Index(1)
        >>> index.add(7, [1])
        1
        >>> sorted(shoal.Index.from_bytes(index.to_bytes()))
        [7]
        """
        runtime = (memory_limit, repair, repair_threads, repair_share)
        return cls._of(_shoal.Index.load_from(io.BytesIO(data).read, runtime, threads), runtime)

    def save_to(self, file: BinaryIO) -> None:
        """Writes what `save` writes to an open file, a socket's, or anything else with a method `write`."""
        self._native.save_to(file.write)

    @classmethod
    def load_from(cls, file: BinaryIO, *, memory_limit: int = 0, repair: Repair = "immediate", repair_threads: int = 1,
                  repair_share: int = 100, threads: int = 0) -> Index:
        """The index of what an open file, or anything else with a method `read`, has up to its end."""
        runtime = (memory_limit, repair, repair_threads, repair_share)
        return cls._of(_shoal.Index.load_from(file.read, runtime, threads), runtime)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_bytes, (type(self), self.to_bytes(), self._runtime)


def features_for(features: Features, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What the extension takes, for vectors of these options."""
    dim, dtype = options["dim"], str(options["dtype"])
    return native_features(features, -(-dim // 8) if dtype == "bit" else dim, array_dtype(dtype))


def _of_bytes(cls: type[Index], data: bytes, runtime: _Runtime) -> Index:
    """What pickle calls: the index of a snapshot's bytes."""
    return cls._of(_shoal.Index.load_from(io.BytesIO(data).read, runtime, 0), runtime)


def outcome(verb: str, report: tuple[int, list[int], list[Exception], bool], errors: str,
             total: int) -> int | Report:
    """What a call on many rows returns or raises."""
    done, rows, exceptions, cancelled = report
    if cancelled:
        raise CancelledError(f"{verb}: cancelled after {done + len(rows)} of {total}")
    if errors == "report":
        return Report(done, rows, exceptions)
    if rows:
        raise BatchError(rows, exceptions, done)
    return done
