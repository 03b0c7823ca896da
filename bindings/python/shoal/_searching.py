"""What indexes, views and snapshots have in common: searches, look-ups, closing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, Union, overload

import numpy as np
import numpy.typing as npt

from . import _shoal
from ._arrays import AnyArray, Ids, IdsLike, VectorsLike, array_dtype, as_ids, as_vectors, check_integers
from ._errors import IdNotFoundError
from ._filters import FilterLike, native_filter
from ._progress import Progress, progress_function
from ._results import BatchHits, Calibration, Hits, IndexOptions, RangeHits

_new_tuple = tuple.__new__
_RAISE: Any = object()

Native = TypeVar("Native", bound=Union[_shoal.Index, _shoal.View, _shoal.StoredIndex, _shoal.DatabaseSnapshot])
Measured = TypeVar("Measured", bound=Union[_shoal.Index, _shoal.View])


def columns_of(options: IndexOptions) -> int:
    """How long the array of a vector is."""
    return -(-options.dim // 8) if options.dtype == "bit" else options.dim


class Searching(Generic[Native]):
    """Base class of Index, View, StoredIndex and DatabaseSnapshot."""

    _native: Native
    _dtype: np.dtype[Any]

    def __init__(self, native: Native) -> None:
        self._native = native
        self._options = IndexOptions(**native.options())
        self._dtype = array_dtype(self._options.dtype, self._options.dim)

    # Searching

    def search(self, query: VectorsLike, k: int = 10, *, list_size: int = 64, rerank: int = 0,
               filter: FilterLike = None, max_per_label: int = 0, target_recall: float = 0,  # noqa: A002
               threads: int = 0, progress: Progress = None) -> Any:
        """The k nearest points found, nearest first, each id once. From any thread, beside writers.

        Parameters
        ----------
        query : (dim,) or (n, dim) array-like
            One query, or n. An array of the index's dtype, in C order, is not copied.
        k : int
            Hits wanted, at least 1. Fewer are no error.
        list_size : int
            Candidates that a search keeps (elsewhere: ef, efSearch, L). Larger: better recall, slower.
        rerank : int
            Where the index has a rerank code: how many of the nearest candidates are scored by it; 0: a few times k.
        filter : Filter, array-like of int, or function, optional
            Which points may be hits: a `Filter`; ids; or a function that gets an array of ids and returns as many
            bools. There are k hits wherever it accepts k points.
        max_per_label : int
            At most so many hits of each label, nearest first (one chunk of each document, say); 0: any number.
        target_recall : float
            The recall@k wanted, above 0, at most 1. The index measures what reaches it, in the background; until then,
            and where it is 0, `list_size` and `rerank` hold. `calibrate` measures now.
        threads : int
            Of a search of many queries; 0: one for each CPU.
        progress : bool or function, optional
            Of a search of many queries. True shows a bar; a function gets (done, total), and stops the search by
            returning False.

        Returns
        -------
        Hits or BatchHits
            Both unpack as ``ids, distances``. One query: arrays (m,), m <= k. Many: arrays (n, k), and `counts`.

        Raises
        ------
        ValueError
            Another dimension than the index's, k = 0, NaN or infinity in a query.
        MemoryError
            The hits of many queries would take more than half of the machine's memory.
        UnsupportedError
            A filter by labels, in a database's snapshot.

        Examples
        --------
        >>> index = shoal.Index(2)
        >>> index.add([1, 2, 3], [[0, 0], [3, 4], [9, 9]])
        3
        >>> ids, distances = index.search([0, 1], k=2)
        >>> ids, distances
        (array([1, 2], dtype=uint64), array([ 1., 18.], dtype=float32))
        >>> hits = index.search([[0, 1], [9, 9]], k=2)
        >>> hits.ids
        array([[1, 2],
               [3, 2]], dtype=uint64)
        """
        queries = as_vectors(query, self._dtype, "query")
        try:
            if queries.ndim == 1:
                return _new_tuple(Hits, self._native.search(queries, k, list_size, rerank, target_recall, max_per_label,
                                                            None if filter is None else native_filter(filter)))
            with progress_function(progress, "search") as function:
                return BatchHits(*self._native.search_many(queries, k, list_size, rerank, target_recall, max_per_label,
                                                           native_filter(filter), threads, function))
        except TypeError:
            check_integers(k=k, list_size=list_size, rerank=rerank, max_per_label=max_per_label, threads=threads)
            raise

    def range_search(self, query: VectorsLike, radius: float, *, list_size: int = 64,
                     filter: FilterLike = None, threads: int = 0, progress: Progress = None) -> Any:  # noqa: A002
        """Every point found within a radius, nearest first.

        Parameters
        ----------
        query : (dim,) or (n, dim) array-like
            One query, or n.
        radius : float
            In the metric's distance (for l2 the squared one). Hits have distance <= radius.
        list_size : int
            Candidates of the search that finds the first points.
        filter : Filter, array-like of int, or function, optional
            Which points may be hits, as in `search`.
        threads, progress
            As in `search`.

        Returns
        -------
        Hits or RangeHits
            Many: `limits` (n + 1,), `ids`, `distances`; those of query i are [limits[i]:limits[i + 1]].

        Examples
        --------
        >>> index = shoal.Index(1)
        >>> index.add([1, 2, 3], [[0], [1], [5]])
        3
        >>> index.range_search([0], radius=1).ids
        array([1, 2], dtype=uint64)
        """
        queries = as_vectors(query, self._dtype, "query")
        if queries.ndim == 1:
            return _new_tuple(Hits, self._native.range_search(queries, radius, list_size, native_filter(filter)))
        with progress_function(progress, "search") as function:
            limits, ids, distances = self._native.range_search_many(queries, radius, list_size, native_filter(filter),
                                                                    threads, function)
        return RangeHits(limits.view(np.int64), ids, distances)

    # Looking up

    @overload
    def get(self, ids: int, default: Any = ...) -> Any: ...

    @overload
    def get(self, ids: IdsLike, default: Any = ...) -> AnyArray: ...

    def get(self, ids: Any, default: Any = _RAISE) -> Any:
        """Copies of vectors.

        Parameters
        ----------
        ids : int or (n,) array-like of int
            One id, or n.
        default : optional
            What stands for an id that is not there. With many ids: a number, or a vector.

        Returns
        -------
        (dim,) or (n, dim) array of the index's dtype

        Raises
        ------
        IdNotFoundError
            An id is not there, and there is no default. It is a KeyError.
        """
        which = as_ids(ids)
        if isinstance(which, int):
            try:
                return self._native.get(which)
            except IdNotFoundError:
                if default is _RAISE:
                    raise
                return default
        vectors, missing = self._get_many(which)
        if missing:
            if default is _RAISE:
                raise IdNotFoundError(f"id {which[missing[0]]}: not there; {len(missing)} of {len(which)} are not")
            vectors[missing] = default
        return vectors

    def _get_many(self, ids: Ids) -> tuple[AnyArray, list[int]]:
        missing = []
        rows = []
        for row, one in enumerate(ids.tolist()):
            try:
                rows.append(self._native.get(one))
            except IdNotFoundError:
                missing.append(row)
                rows.append(np.zeros(columns_of(self._options), self._dtype))
        return np.stack(rows) if rows else np.empty((0, columns_of(self._options)), self._dtype), missing

    def __getitem__(self, ids: IdsLike) -> AnyArray:
        return self.get(ids)

    def contains(self, ids: IdsLike) -> npt.NDArray[np.bool_]:
        """(n,) bool: which of n ids are there. One id: ``id in index``."""
        which = as_ids(ids)
        if isinstance(which, int):
            raise TypeError("ids: a sequence expected; one id: `id in index`")
        return self._contains_many(which)

    def _contains_many(self, ids: Ids) -> npt.NDArray[np.bool_]:
        return np.fromiter((self._native.contains(one) for one in ids.tolist()), np.bool_, len(ids))

    def __contains__(self, one: int) -> bool:
        which = as_ids(one)
        if not isinstance(which, int):
            raise TypeError("one id expected; many: index.contains(ids)")
        return self._native.contains(which)

    def __len__(self) -> int:
        return self._native.size()

    def ids(self) -> Ids:
        """(len,) uint64: all ids, in no order."""
        return self._native.ids()

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids().tolist())

    # What it is

    @property
    def options(self) -> IndexOptions:
        """What the index is: dim, dtype, metric, ..."""
        return self._options

    @property
    def dim(self) -> int:
        """Elements of a vector."""
        return self._options.dim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the arrays that hold vectors. Vectors of bits: uint8, eight elements a byte."""
        return self._dtype

    @property
    def metric(self) -> str:
        """'l2', 'inner_product', 'cosine', 'manhattan' or 'hamming'."""
        return self._options.metric

    # Closing

    def close(self) -> None:
        """Frees the memory now, or when the calls that run in other threads have ended. Later calls: ValueError."""
        self._native.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._native.closed

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __copy__(self) -> Any:
        raise TypeError(f"{type(self).__name__}: no copies; save and load")

    def __deepcopy__(self, memo: Any) -> Any:
        return self.__copy__()

    def __repr__(self) -> str:
        name, options = f"shoal.{type(self).__name__}", self._options
        if self.closed:
            return f"<{name}, closed>"
        return f"<{name} {len(self):,} x {options.dim} {options.dtype} {options.metric}>"


class Measuring(Searching[Measured]):
    """Base class of Index and View: what reaches a recall is measured; searches in pages."""

    _native: Measured

    def search_pages(self, query: VectorsLike, k: int = 10, *, list_size: int = 64, rerank: int = 0,
                     filter: FilterLike = None, max_per_label: int = 0) -> Iterator[Hits]:  # noqa: A002
        """The nearest points, k at a time, without starting over: until all were handed out.

        No id comes twice. Nothing is held between two pages: writers go on, and a point that is deleted meanwhile
        does not come. Each page is sorted; it has what a search with this list size finds of what is left.

        Parameters
        ----------
        query : (dim,) array-like
        k : int
            Hits of a page, at least 1.
        list_size, rerank, filter, max_per_label
            As in `search`.

        Examples
        --------
        >>> index = shoal.Index(1)
        >>> index.add([1, 2, 3], [[1], [2], [3]])
        3
        >>> [page.ids.tolist() for page in index.search_pages([0], k=2)]
        [[1, 2], [3]]
        """
        queries = as_vectors(query, self._dtype, "query")
        if queries.ndim != 1:
            raise ValueError(f"query: expected one vector, found {queries.shape[0]} rows")
        check_integers(k=k, list_size=list_size, rerank=rerank, max_per_label=max_per_label)
        pages = self._native.search_pages(queries, k, list_size, rerank, max_per_label, native_filter(filter))

        def hits() -> Iterator[Hits]:
            while len((page := Hits(*pages.next(k))).ids):
                yield page

        return hits()

    def calibrate(self, k: int = 10, target_recall: float = 0.95, *, threads: int = 0,
                  progress: Progress = None) -> Calibration:
        """Measures now what reaches a recall@k; searches with this k and target_recall use it.

        100 to 500 queries, of searches with a target where there are enough, else of the index's own points, are
        compared with all points. Searches and writers go on.

        Examples
        --------
        >>> index = shoal.Index(16)
        >>> index.add(range(500), np.random.default_rng(1).random((500, 16)))
        500
        >>> index.calibrate(k=5, target_recall=0.9).recall >= 0.9
        True
        >>> hits = index.search(np.zeros(16), k=5, target_recall=0.9)
        """
        with progress_function(progress, "calibrate") as function:
            return Calibration(**self._native.calibrate(k, target_recall, threads, function))

    def calibration(self, k: int = 10, target_recall: float = 0.95) -> Calibration | None:
        """What searches with this k and target_recall use. None: nothing was measured yet."""
        found = self._native.calibration(k, target_recall)
        return None if found is None else Calibration(**found)
