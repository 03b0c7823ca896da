"""hnswlib's interface over shoal: ``import shoal.hnswlib as hnswlib`` is the whole change.

What is kept: names, defaults, shapes, errors, distances (ip: 1 - dot; cosine: of normalised vectors), `max_elements`
as a promise, labels that are marked deleted and come back, `ef` that is not saved.

What differs: any thread may call anything at any time; an index that was not initialised raises RuntimeError; a
deleted label's vector is kept beside the index until it is replaced, and costs searches nothing; files are shoal's, and
hnswlib cannot read them. There is one layer: `M` gives points 2 M edges, as hnswlib's lowest layer has.

>>> import numpy as np
>>> import shoal.hnswlib as hnswlib
>>> p = hnswlib.Index(space="l2", dim=2)
>>> p.init_index(max_elements=10)
>>> p.add_items([[0, 0], [1, 1], [5, 5]])
>>> labels, distances = p.knn_query([[4, 4]], k=2)
>>> labels, distances
(array([[2, 1]], dtype=uint64), array([[ 2., 18.]], dtype=float32))
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import struct
import tempfile
import threading
from collections.abc import Callable
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from . import _filters, _index
from ._errors import CorruptFileError
from ._files import exact_search

Labels = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
Path = Union[str, "os.PathLike[str]"]
Filter = Callable[[int], bool]

_SPACES = {"l2": "l2", "ip": "inner_product", "cosine": "inner_product"}  # Under cosine vectors are normalised.
_SHORT = "Cannot return the results in a contiguous 2D array. Probably ef or M is too small"
# What stands behind the snapshot: the deleted labels and their vectors, a JSON text, its size and this.
_MAGIC = b"shoal-hnswlib-01"


def _rows(data: npt.ArrayLike, dim: int) -> Floats:
    rows = np.ascontiguousarray(data, np.float32)
    if rows.ndim == 1:
        rows = rows.reshape(1, -1)
    if rows.ndim != 2:
        raise RuntimeError(f"Input vector data wrong shape. Number of dimensions {rows.ndim}. "
                           "Data must be a 1D or 2D array.")
    if rows.shape[1] != dim:
        raise RuntimeError("Wrong dimensionality of the vectors")
    return rows


def _labels(ids: npt.ArrayLike, rows: int) -> Labels:
    array = np.asarray(ids)
    if array.ndim > 1 or array.size != rows:
        raise RuntimeError(f"The input label shape {array.shape} does not match the input data vector shape ({rows},)")
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels: integers expected, found {array.dtype}")
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        raise OverflowError("can't convert negative int to unsigned")
    return np.ascontiguousarray(array.ravel(), np.uint64)


def _normalized(rows: Floats) -> Floats:
    norms = np.sqrt((rows.astype(np.float64) ** 2).sum(1, keepdims=True))
    return np.asarray(rows / (norms + 1e-30), np.float32)


def _check_space(space: str) -> str:
    if space not in _SPACES:
        raise RuntimeError("Space name must be one of l2, ip, or cosine.")
    return space


class Index:
    """hnswlib.Index."""

    def __init__(self, space: str | None = None, dim: int | None = None, params: dict[str, Any] | None = None,
                 index: Index | None = None) -> None:
        if params is not None:
            self.__setstate__(params)
            return
        if index is not None:
            self.__setstate__(index.__getstate__())
            return
        if space is None or dim is None:
            raise TypeError("Index(space, dim), Index(params=...) or Index(index=...) expected")
        self._setup(_check_space(space), dim)

    def _setup(self, space: str, dim: int) -> None:
        self._space, self._dim = space, dim
        self._index: _index.Index | None = None
        self._deleted: dict[int, Floats] = {}
        self._lock = threading.Lock()  # Of _deleted, and of how many labels there are.
        self._next_label = 0
        self._max_elements = 0
        self._replace = False
        self._m, self._ef_construction, self._seed = 16, 200, 100
        self.num_threads = 0
        self._ef = 10

    # Properties

    @property
    def space(self) -> str:
        """'l2', 'ip' or 'cosine'."""
        return self._space

    @property
    def dim(self) -> int:
        """Elements of a vector."""
        return self._dim

    @property
    def M(self) -> int:  # noqa: N802
        """Half of the edges that a point may have."""
        return self._m

    @property
    def ef_construction(self) -> int:
        """Candidates of an insert's search."""
        return self._ef_construction

    @property
    def max_elements(self) -> int:
        """Labels that there may be."""
        return self._max_elements

    @property
    def element_count(self) -> int:
        """Labels that there are, deleted ones included."""
        return self.get_current_count()

    @property
    def ef(self) -> int:
        """Candidates of a query's search."""
        return self._ef

    @ef.setter
    def ef(self, ef: int) -> None:
        self._ef = int(ef)

    # Setting up

    def init_index(self, max_elements: int, M: int = 16, ef_construction: int = 200,  # noqa: N803
                   random_seed: int = 100, allow_replace_deleted: bool = False) -> None:
        """Makes an empty index. RuntimeError: there is one."""
        if self._index is not None:
            raise RuntimeError("The index is already initiated.")
        self._m, self._ef_construction, self._seed = int(M), max(int(ef_construction), int(M)), random_seed
        self._max_elements, self._replace = int(max_elements), allow_replace_deleted
        self._index = _index.Index(self._dim, metric=_SPACES[self._space],  # type: ignore[arg-type]
                                   max_degree=min(max(2 * self._m, 4), 512),
                                   build_list_size=min(max(self._ef_construction, 1), 10_000))

    def _made(self) -> _index.Index:
        if self._index is None:
            raise RuntimeError("The index is not initiated: call init_index or load_index first.")
        return self._index

    def set_ef(self, ef: int) -> None:
        """Candidates of a query's search."""
        self._ef = int(ef)

    def set_num_threads(self, num_threads: int) -> None:
        """Default number of threads; 0 or less: one for each CPU."""
        self.num_threads = int(num_threads)

    def _threads(self, num_threads: int) -> int:
        return max(int(self.num_threads if num_threads <= 0 else num_threads), 0)

    def resize_index(self, new_size: int) -> None:
        """Changes max_elements. RuntimeError: there are more labels."""
        with self._lock:
            if new_size < self._count():
                raise RuntimeError("Cannot resize, max element is less than the current number of elements")
            self._max_elements = int(new_size)

    # Points

    def _prepared(self, data: npt.ArrayLike) -> Floats:
        rows = _rows(data, self._dim)
        return _normalized(rows) if self._space == "cosine" else rows

    def add_items(self, data: npt.ArrayLike, ids: npt.ArrayLike | None = None, num_threads: int = -1,
                  replace_deleted: bool = False) -> None:
        """Adds vectors; a label that is there gets the new one, a deleted label comes back with it."""
        index = self._made()
        if replace_deleted and not self._replace:
            raise RuntimeError("Replacement of deleted elements is disabled in constructor")
        rows = self._prepared(data)
        with self._lock:
            if ids is None:
                labels = np.arange(self._next_label, self._next_label + len(rows), dtype=np.uint64)
            else:
                labels = _labels(ids, len(rows))
            self._make_room(index, labels, replace_deleted)
            # With the lock: of two calls with one label the second one's vector stays, whole batches at a time.
            index.upsert(labels, rows, threads=self._threads(num_threads))
            for label in self._deleted.keys() & set(labels.tolist()):
                del self._deleted[label]
            self._next_label += len(rows)

    def _make_room(self, index: _index.Index, labels: Labels, replace_deleted: bool) -> None:
        """Forgets deleted labels for new ones, if it may. RuntimeError: no room."""
        new = {one for one in labels[~index.contains(labels)].tolist() if one not in self._deleted}
        beyond = self._count() + len(new) - self._max_elements
        replaceable = len(self._deleted) if replace_deleted else 0
        if beyond > replaceable:
            raise RuntimeError("The number of elements exceeds the specified limit")
        given = set(labels.tolist())
        free = [one for one in self._deleted if one not in given][:len(new)] if replace_deleted else []
        for label in free:
            del self._deleted[label]

    def mark_deleted(self, label: int) -> None:
        """Queries find the label no more. RuntimeError: it is not there, or deleted already."""
        index, one = self._made(), int(label)
        with self._lock:
            if one in self._deleted:
                raise RuntimeError("The requested to delete element is already deleted")
            try:
                vector = index[one]
                index.delete(one)
            except KeyError:
                raise RuntimeError("Label not found") from None
            self._deleted[one] = vector

    def unmark_deleted(self, label: int) -> None:
        """Queries find the label again. RuntimeError: it is not there, or not deleted."""
        index, one = self._made(), int(label)
        with self._lock:
            if one not in self._deleted:
                raise RuntimeError("The requested to undelete element is not deleted" if one in index
                                   else "Label not found")
            index.upsert(one, self._deleted.pop(one))

    def get_items(self, ids: npt.ArrayLike | None = None, return_type: str = "numpy") -> Any:
        """(n, dim) vectors; under cosine normalised ones. RuntimeError: a label is not there, or deleted."""
        if return_type not in ("numpy", "list"):
            raise ValueError('return_type should be "numpy" or "list"')
        if ids is None:
            ids = np.empty(0, np.uint64)
        array = np.asarray(ids)
        if array.ndim == 0:
            raise ValueError("get_items accepts a list of indices and returns a list of vectors")
        try:
            vectors = self._made().get(_labels(array.ravel(), array.size) if array.size else np.empty(0, np.uint64))
        except KeyError:
            raise RuntimeError("Label not found") from None
        return vectors.tolist() if return_type == "list" else vectors

    def get_ids_list(self) -> list[int]:
        """All labels, deleted ones included."""
        with self._lock:
            return [*self._made(), *self._deleted]

    def _count(self) -> int:
        return (0 if self._index is None else len(self._index)) + len(self._deleted)

    def get_current_count(self) -> int:
        """How many labels there are, deleted ones included."""
        with self._lock:
            return self._count()

    def get_max_elements(self) -> int:
        """How many there may be."""
        return self._max_elements

    # Queries

    def knn_query(self, data: npt.ArrayLike, k: int = 1, num_threads: int = -1,
                  filter: Filter | None = None) -> tuple[Labels, Floats]:  # noqa: A002
        """Labels (n, k) and distances (n, k). RuntimeError: fewer than k were found for a query."""
        index, rows = self._made(), self._prepared(data)
        threads, list_size = self._threads(num_threads), max(self._ef, k)
        hits = index.search(rows, k, list_size=list_size, threads=threads, filter=filter and _asked_once(filter))
        if (hits.counts < k).any():
            raise RuntimeError(_SHORT)
        labels, distances = hits
        return labels, distances if self._space == "l2" else distances + np.float32(1)

    # Files

    def save_index(self, path_to_index: Path) -> None:
        """Writes labels, vectors and the graph to one file; replaces an older one."""
        path = pathlib.Path(path_to_index)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.name) as folder, self._lock:
            written = pathlib.Path(folder, "index")
            self._made().save(written)
            with written.open("ab") as file:
                file.write(self._trailer())
            os.replace(written, path)

    def _trailer(self) -> bytes:
        labels = np.fromiter(self._deleted, np.uint64, len(self._deleted))
        vectors = np.array(list(self._deleted.values()), np.float32).reshape(-1, self._dim)
        text = json.dumps({"deleted": len(labels), "max_elements": self._max_elements, "M": self._m,
                           "ef_construction": self._ef_construction,
                           "seed": self._seed, "dim": self._dim, "replace": self._replace}).encode()
        return labels.tobytes() + vectors.tobytes() + text + struct.pack("<Q", len(text)) + _MAGIC

    def load_index(self, path_to_index: Path, max_elements: int = 0, allow_replace_deleted: bool = False) -> None:
        """Reads what save_index, or shoal.Index.save, wrote; replaces what is in memory. RuntimeError."""
        path = pathlib.Path(path_to_index)
        try:
            with tempfile.TemporaryDirectory() as folder:
                copy = pathlib.Path(folder, "index")
                meta = self._read_trailer(path, copy)
                index = _index.Index.load(copy if meta else path)
        except OSError as error:
            raise RuntimeError(f"Cannot open file: {error}") from error
        if index.dim != self._dim:
            raise RuntimeError(f"Index seems to be corrupted or unsupported: {index.dim} dimensions, not {self._dim}")
        if _SPACES[self._space] != index.metric:
            index = _with_metric(index, _SPACES[self._space])
        meta = meta or {"max_elements": len(index), "M": index.options.max_degree // 2,
                        "ef_construction": index.options.build_list_size, "seed": 100}
        with self._lock:
            self._index, self._deleted = index, meta.pop("vectors", {})
            self._m, self._ef_construction, self._seed = meta["M"], meta["ef_construction"], meta["seed"]
            self._next_label, self._replace = self._count(), allow_replace_deleted
            self._max_elements = max(max_elements or meta["max_elements"], self._count())

    def _read_trailer(self, path: pathlib.Path, copy: pathlib.Path) -> dict[str, Any] | None:
        """What save_index wrote behind the snapshot, of which it makes a copy. None: it is a plain snapshot."""
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            tail = struct.calcsize("<Q") + len(_MAGIC)
            if end < tail:
                return None
            file.seek(end - tail)
            size, magic = struct.unpack(f"<Q{len(_MAGIC)}s", file.read(tail))
            if magic != _MAGIC:
                return None
            try:
                file.seek(end - tail - size)
                meta: dict[str, Any] = json.loads(file.read(size))
                n, dim = meta["deleted"], meta["dim"]
                start = file.seek(end - tail - size - n * (8 + 4 * dim))
                labels = np.frombuffer(file.read(8 * n), np.uint64)
                vectors = np.frombuffer(file.read(4 * n * dim), np.float32).reshape(n, dim)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise CorruptFileError(f"{path}: what stands behind the snapshot is damaged: {error}") from error
            meta["vectors"] = dict(zip(labels.tolist(), vectors))
            file.seek(0)
            with copy.open("wb") as out:
                shutil.copyfileobj(file, out, 1 << 20)
                out.truncate(start)
            return meta

    def index_file_size(self) -> int:
        """Bytes that save_index would write."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "index")
            self.save_index(path)
            return path.stat().st_size

    # Pickle

    def __getstate__(self) -> dict[str, Any]:
        state = {"space": self._space, "dim": self._dim, "ef": self._ef, "num_threads": self.num_threads}
        if self._index is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "index")
                self.save_index(path)
                state["data"] = path.read_bytes()
            state["replace"], state["max_elements"] = self._replace, self._max_elements
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._setup(_check_space(state["space"]), state["dim"])
        if "data" in state:
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "index")
                path.write_bytes(state["data"])
                self.load_index(path, state["max_elements"], state["replace"])
        self._ef, self.num_threads = state["ef"], state["num_threads"]

    def __repr__(self) -> str:
        return f"<shoal.hnswlib.Index(space={self._space!r}, dim={self._dim})>"


def _with_metric(index: _index.Index, metric: str) -> _index.Index:
    """The same points under another metric."""
    options = index.options
    made = _index.Index(options.dim, metric=metric, max_degree=options.max_degree,  # type: ignore[arg-type]
                        build_list_size=options.build_list_size)
    ids = index.ids()
    made.add(ids, index[ids])
    return made


def _asked_once(accepts: Filter) -> _filters.Filter:
    """A function on labels as a filter, which asks about each label once."""
    known: dict[int, bool] = {}
    lock = threading.Lock()

    def answers(labels: Labels) -> list[bool]:
        with lock:
            for label in labels.tolist():
                if label not in known:
                    known[label] = bool(accepts(label))
            return [known[label] for label in labels.tolist()]

    return _filters.Filter.where(answers)


class BFIndex:
    """hnswlib.BFIndex: exact, by brute force."""

    def __init__(self, space: str, dim: int) -> None:
        self._space, self._dim = _check_space(space), dim
        self._rows: Floats = np.empty((0, dim), np.float32)
        self._row_of: dict[int, int] = {}
        self._max_elements: int | None = None
        self._lock = threading.Lock()
        self.num_threads = 0

    @property
    def space(self) -> str:
        """'l2', 'ip' or 'cosine'."""
        return self._space

    @property
    def dim(self) -> int:
        """Elements of a vector."""
        return self._dim

    def init_index(self, max_elements: int) -> None:
        """Makes an empty index. RuntimeError: there is one."""
        if self._max_elements is not None:
            raise RuntimeError("The index is already initiated.")
        self._max_elements = int(max_elements)

    def set_num_threads(self, num_threads: int) -> None:
        """Default number of threads; 0 or less: one for each CPU."""
        self.num_threads = int(num_threads)

    def add_items(self, data: npt.ArrayLike, ids: npt.ArrayLike | None = None) -> None:
        """Adds vectors; a label that is there gets the new one."""
        rows = _rows(data, self._dim)
        if self._space == "cosine":
            rows = _normalized(rows)
        with self._lock:
            first = len(self._row_of)
            labels = _labels(np.arange(first, first + len(rows)) if ids is None else ids, len(rows)).tolist()
            new = {label for label in labels if label not in self._row_of}
            if self._max_elements is None:
                raise RuntimeError("The index is not initiated: call init_index first.")
            if first + len(new) > self._max_elements:
                raise RuntimeError("The number of elements exceeds the specified limit")
            merged = {label: self._rows[at] for label, at in self._row_of.items()}
            merged.update(zip(labels, rows))
            self._replace(merged)

    def _replace(self, vectors: dict[int, Floats]) -> None:
        self._rows = np.array(list(vectors.values()), np.float32).reshape(-1, self._dim)
        self._row_of = {label: at for at, label in enumerate(vectors)}

    def delete_vector(self, label: int) -> None:
        """Removes a label; one that is not there is left out."""
        with self._lock:
            self._replace({one: self._rows[at] for one, at in self._row_of.items() if one != int(label)})

    def knn_query(self, data: npt.ArrayLike, k: int = 1, num_threads: int = -1,
                  filter: Filter | None = None) -> tuple[Labels, Floats]:  # noqa: A002
        """Labels (n, k) and distances (n, k). RuntimeError: fewer than k were found."""
        queries = _rows(data, self._dim)
        if self._space == "cosine":
            queries = _normalized(queries)
        with self._lock:
            chosen = [(one, at) for one, at in self._row_of.items() if filter is None or filter(one)]
            if len(chosen) < k:
                raise RuntimeError(_SHORT)
            labels = np.array([one for one, _ in chosen], np.uint64)
            base = self._rows[[at for _, at in chosen]]
        threads = max(self.num_threads if num_threads <= 0 else num_threads, 0)
        rows, distances = exact_search(base, queries, k, metric=_SPACES[self._space],  # type: ignore[arg-type]
                                       threads=threads)
        return labels[rows], distances if self._space == "l2" else distances + np.float32(1)

    def save_index(self, path_to_index: Path) -> None:
        """Writes labels and vectors to one file (NumPy's .npz)."""
        with self._lock, pathlib.Path(path_to_index).open("wb") as file:
            np.savez(file, labels=np.array(list(self._row_of), np.uint64), rows=self._rows)

    def load_index(self, path_to_index: Path, max_elements: int = 0) -> None:
        """Reads what save_index wrote."""
        try:
            with np.load(pathlib.Path(path_to_index), allow_pickle=False) as file:
                rows, labels = np.ascontiguousarray(file["rows"], np.float32), file["labels"].tolist()
        except (OSError, ValueError, KeyError) as error:
            raise RuntimeError(f"Cannot open file: {error}") from error
        if rows.ndim != 2 or rows.shape != (len(labels), self._dim):
            raise RuntimeError("Index seems to be corrupted or unsupported")
        with self._lock:
            self._rows, self._row_of = rows, {label: at for at, label in enumerate(labels)}
            self._max_elements = max(max_elements, len(labels))

    def get_max_elements(self) -> int:
        """How many labels there may be."""
        return self._max_elements or 0

    def get_current_count(self) -> int:
        """How many there are."""
        return len(self._row_of)

    def __repr__(self) -> str:
        return f"<shoal.hnswlib.BFIndex(space={self._space!r}, dim={self._dim})>"
