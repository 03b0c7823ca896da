"""Keys of your own, strings or bytes, in place of numbers. Files and records are those of shoal/key_map.h."""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, Union

import numpy as np
import numpy.typing as npt

from ._arrays import AnyArray, Ids, VectorsLike
from ._database import Database, StoredIndex, Transaction
from ._errors import CorruptFileError, DuplicateIdError, IdNotFoundError
from ._filters import Filter, Predicate
from ._index import Index, Path
from ._labels import Labels, ManyLabels
from ._results import Hits

Key = Union[str, bytes]
KeyFilter = Union[Filter, Sequence[Key], "set[Key]", None]

_MAGIC = b"SHOALKEY"
_LENGTHS = struct.Struct("<QQ")
_CHECKSUM = struct.Struct("<I")
_MAX_RECORD_KEY = 500


class KeyMap:
    """A map of strings and bytes to ids, and back. Ids count up from 0, and are never used again.

    Any thread may call any method at any time.

    >>> keys = KeyMap()
    >>> keys.assign(["red", b"\\x01", "red"])
    array([0, 1, 0], dtype=uint64)
    >>> keys.key(1), keys.find("blue"), "red" in keys
    (b'\\x01', None, True)
    """

    def __init__(self) -> None:
        self._ids: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        self._next = 0
        self._lock = threading.Lock()

    def assign(self, keys: Iterable[Key]) -> Ids:
        """(n,) uint64: the ids of n keys; those that have none get one. TypeError: neither string nor bytes."""
        keys = [_checked(key) for key in keys]
        with self._lock:
            for key in keys:
                if key not in self._ids:
                    self._ids[key] = self._next
                    self._keys[self._next] = key
                    self._next += 1
            return np.fromiter((self._ids[key] for key in keys), np.uint64, len(keys))

    def find(self, key: Key) -> int | None:
        """The id of a key; None: it has none."""
        return self._ids.get(_checked(key))

    def key(self, id: int) -> Key | None:  # noqa: A002
        """The key of an id; None: it has none."""
        return self._keys.get(id)

    def remove(self, keys: Iterable[Key]) -> None:
        """Forgets keys; those that have no id are left out."""
        with self._lock:
            for key in keys:
                one = self._ids.pop(_checked(key), None)
                if one is not None:
                    del self._keys[one]

    def __contains__(self, key: Key) -> bool:
        return key in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Key]:
        with self._lock:
            return iter(list(self._ids))

    def items(self) -> list[tuple[Key, int]]:
        """All keys with their ids."""
        with self._lock:
            return list(self._ids.items())

    @property
    def next_id(self) -> int:
        """What the next new key gets."""
        return self._next

    def to_bytes(self) -> bytes:
        """What `from_bytes` makes the same map of."""
        with self._lock:
            encoded = [(one, _encoded(key)) for key, one in self._ids.items()]
            head = _LENGTHS.pack(len(encoded), self._next)
        ids = np.fromiter((one for one, _ in encoded), "<u8", len(encoded))
        sizes = np.fromiter((len(key) for _, key in encoded), "<u8", len(encoded))
        return b"".join([head, ids.tobytes(), sizes.tobytes(), *(key for _, key in encoded)])

    @classmethod
    def from_bytes(cls, data: bytes) -> KeyMap:
        """The map of what `to_bytes` gave. CorruptFileError."""
        self = cls()
        try:
            n, following = _LENGTHS.unpack_from(data)
            ids = np.frombuffer(data, "<u8", n, _LENGTHS.size).tolist()
            sizes = np.frombuffer(data, "<u8", n, _LENGTHS.size + 8 * n).tolist()
            at = _LENGTHS.size + 16 * n
            if at + sum(sizes) != len(data):
                raise ValueError(f"expected {at + sum(sizes)} bytes, found {len(data)}")
            for one, size in zip(ids, sizes):
                self._put(_decoded(data[at:at + size]), one)
                at += size
        except (ValueError, struct.error) as error:
            raise CorruptFileError(f"key map: {error}") from error
        self._next = max(self._next, following)
        return self

    def _put(self, key: Key, one: int) -> None:
        if key in self._ids or one in self._keys:
            raise ValueError(f"{key!r} or id {one} is there twice")
        self._ids[key] = one
        self._keys[one] = key
        self._next = max(self._next, one + 1)


class KeyHits(NamedTuple):
    """The points found for one query, nearest first: a tuple (keys, distances)."""

    keys: list[Key]
    distances: npt.NDArray[np.float32]


class KeyedIndex:
    """An index whose points have keys, strings or bytes, in place of numbers. The keys are kept with the index.

    Parameters
    ----------
    index : Index or StoredIndex
        Where the vectors are. It belongs to the keyed index: do not write to it. Over an index of a `Database`, keys are
        records of the database, and commit with their points.

    Notes
    -----
    Any thread may call any method at any time. Writers take turns; searches wait for nothing.

    Examples
    --------
    >>> colors = shoal.KeyedIndex(shoal.Index(3))
    >>> colors.upsert(["red", "orange", "blue"], [[255, 0, 0], [255, 165, 0], [0, 0, 255]])
    >>> colors.search([255, 127, 80], k=2).keys
    ['orange', 'red']
    >>> colors.delete("orange")
    >>> "orange" in colors, len(colors)
    (False, 2)
    """

    def __init__(self, index: Index | StoredIndex) -> None:
        if not isinstance(index, (Index, StoredIndex)):
            raise TypeError(f"index: a shoal.Index, or one of a database, expected, found {type(index).__name__}")
        self._index = index
        self._lock = threading.Lock()
        self._keys = KeyMap()
        if isinstance(index, StoredIndex):
            self._table = f"keys.{index.name}"
            self._keys = _read(index._database, self._table)
        if len(self._keys) != len(index):
            raise ValueError(f"index: expected {len(self._keys)} points, one for each key, found {len(index)}")

    # Writing

    def add(self, keys: Key | Sequence[Key], vectors: VectorsLike, *,
            labels: Labels | ManyLabels | None = None) -> None:
        """Adds one point, or many. DuplicateIdError: a key is there already; then nothing is added."""
        many, rows, labels = _rows(keys, vectors, labels)
        with self._lock:
            there = [key for key in many if key in self._keys]
            if there or len(set(many)) != len(many):
                raise DuplicateIdError(f"key {there[0]!r}: already there" if there else "a key is there twice")
            self._write(many, rows, labels)

    def upsert(self, keys: Key | Sequence[Key], vectors: VectorsLike, *,
               labels: Labels | ManyLabels | None = None) -> None:
        """Adds points, or gives them other vectors. Of a key that is there twice the last row counts."""
        many, rows, own = _rows(keys, vectors, labels)
        with self._lock:
            last = {key: row for row, key in enumerate(many)}
            if len(last) < len(many):
                rows = np.asarray(rows)[list(last.values())]
                own = None if own is None else [own[row] for row in last.values()]
            self._write(list(last), rows, own)

    def _write(self, keys: list[Key], rows: Any, labels: Any) -> None:
        new = [key for key in keys if key not in self._keys]
        ids = self._keys.assign(keys)
        try:
            if isinstance(self._index, StoredIndex):
                if labels is not None:
                    raise TypeError("labels: an index of a database has none")
                with self._index._database.begin() as change:
                    change.upsert(self._index, ids, rows)
                    self._record(change, new)
            else:
                self._index.upsert(ids, rows, labels=labels)
        except BaseException:
            there = self._index.contains(self._keys.assign(new))
            lost = [key for key, is_there in zip(new, there) if not is_there]
            self._keys.remove(lost)
            raise

    def _record(self, change: Transaction, new: list[Key]) -> None:
        for key in new:
            change.put(self._table, *_record_of(key, self._keys.find(key)))
        change.put(self._table, b"n", struct.pack("<Q", self._keys.next_id))

    def __setitem__(self, keys: Key | Sequence[Key], vectors: VectorsLike) -> None:
        self.upsert(keys, vectors)

    def delete(self, keys: Key | Sequence[Key]) -> None:
        """Removes points: all of them, or none. IdNotFoundError: a key is not there."""
        many = _many(keys)
        with self._lock:
            for key in many:
                if key not in self._keys:
                    raise IdNotFoundError(f"key {key!r}: not there")
            self._remove(list(dict.fromkeys(many)))

    def __delitem__(self, keys: Key | Sequence[Key]) -> None:
        self.delete(keys)

    def discard(self, keys: Key | Sequence[Key]) -> int:
        """Removes those of the points that are there. Returns how many."""
        with self._lock:
            there = list({key for key in _many(keys) if key in self._keys})
            self._remove(there)
            return len(there)

    def _remove(self, keys: list[Key]) -> None:
        ids = [self._keys.find(key) for key in keys]
        if isinstance(self._index, StoredIndex):
            with self._index._database.begin() as change:
                change.discard(self._index, ids)
                for key in keys:
                    change.remove(self._table, _record_of(key, 0)[0])
        else:
            self._index.discard(ids)
        self._keys.remove(keys)

    # Searching

    def search(self, query: VectorsLike, k: int = 10, *, list_size: int = 64, filter: KeyFilter = None,  # noqa: A002
               target_recall: float = 0) -> Any:
        """The k nearest points: `KeyHits` of one query, a list of them of many.

        filter: keys that may be hits, or a `Filter` (labels, say). Else as `Index.search`.
        """
        only = filter if filter is None or isinstance(filter, Filter) else self._filter(filter)
        hits = self._index.search(query, k, list_size=list_size, filter=only, target_recall=target_recall)
        if isinstance(hits, Hits):
            return self._hits(hits.ids, hits.distances)
        return [self._hits(one.ids, one.distances) for one in hits.queries()]

    def _filter(self, keys: Iterable[Key]) -> Filter:
        ids = (self._keys.find(key) for key in keys)
        return Filter.ids([one for one in ids if one is not None])

    def _hits(self, ids: Ids, distances: npt.NDArray[np.float32]) -> KeyHits:
        keys = [self._keys.key(one) for one in ids.tolist()]
        gone = [at for at, key in enumerate(keys) if key is None]  # Deleted meanwhile.
        if gone:
            distances = np.delete(distances, gone)
        return KeyHits([key for key in keys if key is not None], distances)

    def where(self, function: Any) -> Filter:
        """A filter by a function that gets a list of keys and returns as many bools."""
        answers: Predicate = lambda ids: function([self._keys.key(one) for one in ids.tolist()])  # noqa: E731
        return Filter.where(answers)

    # Looking up

    def get(self, keys: Key | Sequence[Key]) -> AnyArray:
        """The vector of a key, or of many. IdNotFoundError."""
        one = isinstance(keys, (str, bytes))
        many = _many(keys)
        for key in many:
            if key not in self._keys:
                raise IdNotFoundError(f"key {key!r}: not there")
        vectors: AnyArray = self._index.get([self._keys.find(key) for key in many])
        return vectors[0] if one else vectors

    def __getitem__(self, keys: Key | Sequence[Key]) -> AnyArray:
        return self.get(keys)

    def __contains__(self, key: Key) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    @property
    def index(self) -> Index | StoredIndex:
        """Where the vectors are."""
        return self._index

    @property
    def keys(self) -> KeyMap:
        """Which id each key has."""
        return self._keys

    # Files

    def save(self, path: Path) -> None:
        """Writes points and keys to one file, which is there whole or not at all. An index of a database needs none."""
        target = pathlib.Path(path)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name, delete=False) as file:
            try:
                self._save_to(file)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                os.unlink(file.name)
                raise
        os.replace(file.name, target)

    def _save_to(self, file: Any) -> None:
        if isinstance(self._index, StoredIndex):
            raise TypeError("save: a database has the keys already")
        with self._lock:
            before = file.tell()
            self._index.save_to(file)
            after = file.tell()
            keys = self._keys.to_bytes()
        file.write(keys + _CHECKSUM.pack(zlib.crc32(keys)) + _LENGTHS.pack(after - before, len(keys)) + _MAGIC)

    @classmethod
    def load(cls, path: Path, **runtime: Any) -> KeyedIndex:
        """What `save` wrote. Further arguments: those of `Index.load`. CorruptFileError."""
        with open(path, "rb") as file:
            return cls._load_from(file, os.fsdecode(path), **runtime)

    @classmethod
    def _load_from(cls, file: BinaryIO, name: str, **runtime: Any) -> KeyedIndex:
        end = file.seek(0, os.SEEK_END)
        tail = _LENGTHS.size + len(_MAGIC)
        file.seek(max(0, end - tail))
        trailer = file.read()
        if len(trailer) != tail or not trailer.endswith(_MAGIC):
            raise CorruptFileError(f"{name}: expected a keyed index, found another file")
        snapshot, keys = _LENGTHS.unpack_from(trailer)
        expected = snapshot + keys + _CHECKSUM.size + tail
        if expected != end:
            raise CorruptFileError(f"{name}: expected {expected} bytes, found {end}")
        file.seek(snapshot)
        data, checksum = file.read(keys), file.read(_CHECKSUM.size)
        if _CHECKSUM.pack(zlib.crc32(data)) != checksum:
            raise CorruptFileError(f"{name}: key map: its checksum is another")
        file.seek(0)
        self = cls.__new__(cls)
        self._index, self._lock = Index.load_from(_Front(file, snapshot), **runtime), threading.Lock()  # type: ignore[arg-type]
        self._keys = KeyMap.from_bytes(data)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        file = io.BytesIO()
        self._save_to(file)
        return _keyed_of_bytes, (file.getvalue(),)

    def __repr__(self) -> str:
        return f"<shoal.KeyedIndex of {self._index!r}>"


class _Front:
    """The first bytes of a file."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def read(self, n: int) -> bytes:
        piece = self._file.read(min(n, self._left))
        self._left -= len(piece)
        return piece


def _keyed_of_bytes(data: bytes) -> KeyedIndex:
    return KeyedIndex._load_from(io.BytesIO(data), "pickle")


def _checked(key: Key) -> Key:
    if not isinstance(key, (str, bytes)):
        raise TypeError(f"key: a string or bytes expected, found {type(key).__name__}")
    return key


def _many(keys: Key | Sequence[Key]) -> list[Key]:
    return [_checked(key) for key in ([keys] if isinstance(keys, (str, bytes)) else keys)]


def _rows(keys: Key | Sequence[Key], vectors: VectorsLike, labels: Any) -> tuple[list[Key], Any, Any]:
    """The same of many, where it is one."""
    if isinstance(keys, (str, bytes)):
        return [keys], np.asarray(vectors)[None], None if labels is None else [labels]
    return _many(keys), vectors, labels


def _encoded(key: Key) -> bytes:
    return b"s" + key.encode("utf-8", "surrogatepass") if isinstance(key, str) else b"b" + key


def _decoded(data: bytes) -> Key:
    if data[:1] == b"s":
        return data[1:].decode("utf-8", "surrogatepass")
    if data[:1] == b"b":
        return data[1:]
    raise ValueError(f"a key of neither string nor bytes: {data[:20]!r}")


def _record_of(key: Key, one: int | None) -> tuple[bytes, bytes]:
    """A key's record: under the key itself or, where it is long, its hash."""
    data = _encoded(key)
    short = data if len(data) <= _MAX_RECORD_KEY else b"#" + hashlib.sha256(data).digest()
    return short, struct.pack("<Q", one or 0) + data


def _read(database: Database, table: str) -> KeyMap:
    keys = KeyMap()
    following = 0
    for key, value in database.records(table).items():
        try:
            one, = struct.unpack_from("<Q", value)
            if key == b"n":
                following = one
            else:
                keys._put(_decoded(value[8:]), one)
        except (ValueError, struct.error) as error:
            raise CorruptFileError(f"table {table}: record {key!r}: {error}") from error
    keys._next = max(keys._next, following)
    return keys
