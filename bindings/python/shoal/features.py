"""Where the vectors of an index live: in memory, in a file, or in a store of your own.

>>> import numpy as np, pathlib, shoal, tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> vectors = np.random.default_rng(1).random((1000, 32), np.float32)
>>> store = shoal.features.Mmap(pathlib.Path(folder.name, "rows"))
>>> with shoal.Index(32, code="sq8", features=store) as index:
...     index.add(range(1000), vectors)
...     index.search(vectors[7], k=1).ids
1000
array([7], dtype=uint64)

A store of your own is a class with `put` and `fetch` (`FeatureStore`).
"""

from __future__ import annotations

import atexit
import os
import weakref
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Union, runtime_checkable

import numpy as np
import numpy.typing as npt

from ._arrays import AnyArray, many_ids

__all__ = ["Dataset", "Disk", "FeatureStore", "Mmap", "Ram"]

Path = Union[str, "os.PathLike[str]"]


@runtime_checkable
class FeatureStore(Protocol):
    """A store of your own. Any thread may call any method at any time; rows are kept by slot, or by slot and id.

    Slots are small integers that are used again. While an id gets another vector it has two rows, under two slots: a
    store that is keyed by the id alone loses one of the two. Two more methods are called where they are there:
    ``free(slot, id)``, which says that the row may go, and ``sync()``.

    What a method raises is an OSError of the call that met it.
    """

    def put(self, slot: int, id: int, row: AnyArray) -> None:  # noqa: A002
        """Keeps a row, (dim,) of the index's dtype. It is a copy, and yours."""

    def fetch(self, slots: npt.NDArray[np.uint32], ids: npt.NDArray[np.uint64]) -> Any:
        """The rows of n keys in their order: an array (n, dim), or n rows of which those that are lost are None."""


@dataclass(frozen=True)
class Ram:
    """Vectors in memory, beside the code."""


@dataclass(frozen=True)
class Mmap:
    """Vectors in a file that grows, mapped into memory; the system's page cache holds what is used."""

    path: Path


@dataclass(frozen=True)
class Disk:
    """Vectors in a file that is read by calls, all that a search needs at the same time."""

    path: Path
    engine: Literal["best", "pread"] = "best"
    """best: io_uring where there is one."""
    direct: bool = False
    """Whether reads go past the system's page cache."""
    cache_bytes: int = 0
    """Pages that the store keeps itself."""
    queue_depth: int = 64


@dataclass(frozen=True)
class Dataset:
    """Vectors of a .bin or .npy that is there already, mapped and never written. `add` takes the file's own vectors."""

    path: Path
    ids: Any = None
    """(n,) the id of each row; None: the row's number."""


class _Adaptor:
    """A store of Python, for the extension: rows come as an array, and as flags that say which are there."""

    def __init__(self, store: FeatureStore, columns: int, dtype: np.dtype[Any]) -> None:
        self._store, self._columns, self._dtype = store, columns, dtype
        self.put = store.put
        self.free = getattr(store, "free", _nothing)
        self.sync = getattr(store, "sync", _nothing)

    def fetch(self, slots: npt.NDArray[np.uint32], ids: npt.NDArray[np.uint64]) -> tuple[AnyArray, npt.NDArray[np.bool_]]:
        rows = self._store.fetch(slots, ids)
        if len(rows) != len(slots):
            raise ValueError(f"expected {len(slots)} rows, found {len(rows)}")
        shape = len(slots), self._columns
        if isinstance(rows, np.ndarray) and rows.dtype != object:
            if rows.shape != shape or rows.dtype != self._dtype:
                raise ValueError(f"expected {shape} {self._dtype}, found {rows.shape} {rows.dtype}")
            return np.ascontiguousarray(rows), np.ones(len(slots), np.bool_)
        there = np.fromiter((row is not None for row in rows), np.bool_, len(slots))
        array = np.zeros(shape, self._dtype)
        for i in np.flatnonzero(there):
            array[i] = rows[i]
        return array, there


def _nothing(*_: Any) -> None:
    pass


_with_stores_of_python: weakref.WeakSet[Any] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Before the interpreter ends: an index's threads may ask its store."""
    for index in list(_with_stores_of_python):
        index.close()


def native_features(store: Any, columns: int, dtype: np.dtype[Any]) -> tuple[Any, ...] | None:
    """What the extension takes."""
    if store is None:
        return None
    if isinstance(store, Ram):
        return ("ram",)
    if isinstance(store, Mmap):
        return "mmap", os.fsdecode(store.path)
    if isinstance(store, Disk):
        if store.engine not in ("best", "pread"):
            raise ValueError(f"engine: expected best or pread, found {store.engine}")
        return "disk", os.fsdecode(store.path), store.engine, store.direct, store.cache_bytes, store.queue_depth
    if isinstance(store, Dataset):
        return "dataset", os.fsdecode(store.path), None if store.ids is None else many_ids(store.ids)
    if not isinstance(store, FeatureStore):
        raise TypeError(f"features: an object with put and fetch expected, found {type(store).__name__}")
    return "python", _Adaptor(store, columns, dtype)


def close_at_exit(index: Any) -> None:
    """Of an index whose store is Python's."""
    _with_stores_of_python.add(index)
