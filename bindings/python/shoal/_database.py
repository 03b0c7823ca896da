"""Indexes that survive the process."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Literal

from . import _shoal
from ._arrays import IdsLike, VectorsLike, as_ids, as_matrix, as_vectors, check_order, many_ids
from ._errors import IdNotFoundError
from ._index import Path, Repair, outcome
from ._names import Code, DTypeLike, Metric, code_name, dtype_name, metric_name
from ._progress import Progress, progress_function
from ._results import DatabaseStats, IndexStats, stats_of
from ._searching import Searching

Sync = Literal["full", "interval", "none"]
_SYNC = {"full": 0, "interval": 1, "none": 2}


class Database:
    """Indexes in one file, LMDB's, that survive the process. One process at a time writes; any number read.

    A point is on disk, and found, when the call that wrote it returns: in the index, and in every `DatabaseSnapshot`
    that is opened afterwards, by any process.

    Parameters
    ----------
    path : str or PathLike
        The file; it must be on a local disk.
    create : bool
        Whether the file is made where it is not there.
    sync : {'full', 'interval', 'none'}
        What a change survives that a call has acknowledged. full: a killed process, and a loss of power. interval: the
        same, but for the last `interval_ms`, whose changes are committed together. none: a killed process.
    interval_ms : int
        For sync='interval'.
    max_bytes : int
        What the file may grow to. Address space, not memory.
    max_readers : int
        Snapshots open at the same time, of all processes.

    Raises
    ------
    FileNotFoundError, OSError, CorruptFileError, UnsupportedError
    ValueError
        Another process has it open for writing.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with shoal.Database(folder.name + "/points.db") as db:
    ...     colors = db.create_index("colors", 3)
    ...     with db.begin() as change:                  # all of it, or nothing
    ...         change.add(colors, [1, 2], [[255, 0, 0], [0, 0, 255]])
    ...         change.upsert(colors, 3, [255, 165, 0])
    ...     colors.delete(2)                            # a transaction of its own
    2
    1
    >>> with shoal.DatabaseSnapshot(folder.name + "/points.db", "colors") as snapshot:
    ...     snapshot.search([255, 127, 80], k=1).ids
    array([3], dtype=uint64)
    """

    def __init__(self, path: Path, *, create: bool = True, sync: Sync = "full", interval_ms: int = 100,
                 max_bytes: int = 1 << 40, max_readers: int = 1024) -> None:
        if sync not in _SYNC:
            raise ValueError(f"sync: expected full, interval or none, found {sync}")
        self._path = os.fsdecode(path)
        self._native = _shoal.Database.open(self._path, {
            "create": create, "sync": _SYNC[sync], "interval_ms": interval_ms, "max_bytes": max_bytes,
            "max_readers": max_readers})
        self._parts: weakref.WeakSet[Any] = weakref.WeakSet()

    def create_index(self, name: str, dim: int, *, metric: Metric = "l2", dtype: DTypeLike = "float32",
                     code: Code = "auto", max_degree: int = 32, build_list_size: int = 100, alpha: float = 1.2,
                     memory_limit: int = 0, repair: Literal["immediate", "background"] = "immediate",
                     repair_threads: int = 1, repair_share: int = 100) -> StoredIndex:
        """A new index, committed. Arguments are those of `Index`.

        Raises
        ------
        DuplicateIdError
            There is one of this name.
        """
        options = {"dim": dim, "metric": metric_name(metric), "dtype": dtype_name(dtype),
                   "code": code_name("code", code), "rerank_code": "full", "max_degree": max_degree,
                   "build_list_size": build_list_size, "alpha": alpha}
        runtime = (memory_limit, repair, repair_threads, repair_share)
        return self._stored(name, self._native.create_index(name, options, runtime))

    def open_index(self, name: str, *, memory_limit: int = 0, repair: Repair = "immediate", repair_threads: int = 1,
                   repair_share: int = 100, threads: int = 0, progress: Progress = None) -> StoredIndex:
        """Loads an index: its vectors and its graph are in memory from then on. IdNotFoundError: there is none."""
        runtime = (memory_limit, repair, repair_threads, repair_share)
        with progress_function(progress, "open") as function:
            return self._stored(name, self._native.open_index(name, runtime, threads, function))

    def __getitem__(self, name: str) -> StoredIndex:
        return self.open_index(name)

    def _stored(self, name: str, native: _shoal.StoredIndex) -> StoredIndex:
        index = StoredIndex._of(self, name, native)
        self._parts.add(index)
        return index

    def names(self) -> list[str]:
        """The names of its indexes."""
        return self._native.index_names()

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def begin(self) -> Transaction:
        """A transaction: ``with db.begin() as change: ...`` commits at the end, or aborts after an exception."""
        transaction = Transaction(self)
        self._parts.add(transaction)
        return transaction

    def records(self, table: str) -> dict[bytes, bytes]:
        """All records of a table (`Transaction.put`), as the last commit left them."""
        return self._native.records(table)

    def snapshot(self, index: str) -> DatabaseSnapshot:
        """The last commit of an index, searched in the file."""
        return DatabaseSnapshot(self._path, index)

    def flush(self) -> None:
        """sync='interval': commits what is gathered. All: what was acknowledged survives a loss of power."""
        self._native.flush()

    def compact(self, *, progress: Progress = None) -> None:
        """Writes changed lists back, and makes the space of deleted points free again. It happens by itself, too."""
        with progress_function(progress, "compact") as function:
            self._native.run_pass(function)

    def backup(self, path: Path, *, compact: bool = True, progress: Progress = None) -> None:
        """Writes a copy of the last commit, which may be opened. Others go on writing. `compact`: no free pages.

        Progress is in bytes. A call that is stopped leaves no file.
        """
        with progress_function(progress, "backup") as function:
            self._native.backup(os.fsdecode(path), compact, function)

    def stats(self) -> DatabaseStats:
        """Bytes by purpose, commits, snapshots."""
        return DatabaseStats(**self._native.stats())

    def close(self) -> None:
        """Aborts open transactions, commits what is gathered, closes the indexes and the file."""
        parts = list(self._parts)
        for kind in (Transaction, StoredIndex):
            for part in parts:
                if isinstance(part, kind):
                    part.close()
        self._native.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._native.closed

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("Database: one process at a time writes; pickle its path, or a DatabaseSnapshot")

    def __repr__(self) -> str:
        return f"<shoal.Database {self._path!r}{', closed' if self.closed else ''}>"


class StoredIndex(Searching[_shoal.StoredIndex]):
    """An index of an open `Database`. Each call that writes is a transaction of its own: all of it, or nothing.

    Searches find what is committed. `Database.create_index` and `Database.open_index` make it.
    """

    _database: Database
    _name: str

    @classmethod
    def _of(cls, database: Database, name: str, native: _shoal.StoredIndex) -> StoredIndex:
        self = cls.__new__(cls)
        self._database, self._name = database, name
        Searching.__init__(self, native)
        return self

    @property
    def name(self) -> str:
        """Under which the database has it."""
        return self._name

    def add(self, ids: IdsLike, vectors: VectorsLike, *, threads: int = 0, progress: Progress = None) -> int:
        """Adds one point, or many. On disk, and found, when it returns. After an error nothing is changed.

        Arguments, result and errors are those of `Index.add`; besides ConflictError: an open transaction has the id.
        """
        return self._write("add", ids, vectors, threads, progress, self._native.insert)

    def upsert(self, ids: IdsLike, vectors: VectorsLike, *, threads: int = 0, progress: Progress = None) -> int:
        """Adds points, or gives them other vectors; else as `add`."""
        return self._write("upsert", ids, vectors, threads, progress, self._native.upsert)

    def _write(self, verb: str, ids: Any, vectors: Any, threads: int, progress: Progress,
               one: Callable[[int, Any], None]) -> int:
        if type(ids) is int:
            rows = as_vectors(vectors, self._dtype, "vector")
            if rows.ndim == 1:
                one(as_ids(ids), rows)  # type: ignore[arg-type]
                return 1
        with self._database.begin() as change:
            write: Callable[..., int] = getattr(change, verb)
            return write(self, ids, vectors, threads=threads, progress=progress)

    def __setitem__(self, ids: IdsLike, vectors: VectorsLike) -> None:
        self.upsert(ids, vectors)

    def delete(self, ids: IdsLike) -> None:
        """Removes points: all of them, or none. IdNotFoundError: one is not there."""
        which = as_ids(ids)
        if isinstance(which, int):
            self._native.delete(which)
            return
        with self._database.begin() as change:
            change.delete(self, which)

    def __delitem__(self, ids: IdsLike) -> None:
        self.delete(ids)

    def discard(self, ids: IdsLike) -> int:
        """Removes those of the points that are there. Returns how many."""
        with self._database.begin() as change:
            return change.discard(self, ids)

    def stats(self) -> IndexStats:
        """Counts: points, edges, memory by purpose, work done."""
        return stats_of(self._native.stats())

    def snapshot(self) -> DatabaseSnapshot:
        """The last commit, searched in the file."""
        return self._database.snapshot(self._name)

    def __enter__(self) -> StoredIndex:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("StoredIndex: one process at a time writes; pickle a DatabaseSnapshot")


class Transaction:
    """Changes that commit together, of any indexes of one database. `Database.begin` makes it.

    Nothing of it is found by searches before the commit. An id that it has written is its own until it ends: another
    transaction, or call, gets a ConflictError. Dropped without a commit, it is aborted.
    """

    def __init__(self, database: Database) -> None:
        self._native = database._native.begin()

    def add(self, index: StoredIndex, ids: IdsLike, vectors: VectorsLike, *, threads: int = 0,
            progress: Progress = None) -> int:
        """Adds one point, or many on several threads. Returns how many. BatchError: some rows failed.

        After an error the transaction may go on without the rows that failed.
        """
        return self._write("add", index, ids, vectors, threads, progress, self._native.insert,
                           self._native.insert_many)

    def upsert(self, index: StoredIndex, ids: IdsLike, vectors: VectorsLike, *, threads: int = 0,
               progress: Progress = None) -> int:
        """Adds points, or gives them other vectors. Of an id that is there twice the last row stays."""
        return self._write("upsert", index, ids, vectors, threads, progress, self._native.upsert,
                           self._native.upsert_many)

    def _write(self, verb: str, index: StoredIndex, ids: Any, vectors: Any, threads: int, progress: Progress,
               one: Callable[..., None], many: Callable[..., Any]) -> int:
        try:
            which = as_ids(ids)
        except (TypeError, ValueError):
            check_order(ids, vectors)
            raise
        if isinstance(which, int):
            row = as_vectors(vectors, index.dtype, "vector")
            if row.ndim != 1:
                raise ValueError(f"vector: one expected for one id, found {row.shape[0]} rows")
            one(index._native, which, row)
            return 1
        rows = as_matrix(vectors, index.dtype)
        with progress_function(progress, verb) as function:
            done = outcome(verb, many(index._native, which, rows, threads, function), "raise", len(which))
        assert isinstance(done, int)
        return done

    def delete(self, index: StoredIndex, ids: IdsLike) -> None:
        """Removes points. IdNotFoundError names the first that is not there; those before it are removed."""
        for one in many_ids(ids).tolist():
            self._native.delete(index._native, one)

    def discard(self, index: StoredIndex, ids: IdsLike) -> int:
        """Removes those of the points that are there. Returns how many."""
        done = 0
        for one in many_ids(ids).tolist():
            try:
                self._native.delete(index._native, one)
                done += 1
            except IdNotFoundError:
                pass
        return done

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """A record of your own, which commits with the points.

        Parameters
        ----------
        table : str
            Any name that does not begin with "shoal".
        key, value : bytes
            1 to 511 bytes; any number of bytes.
        """
        self._native.put(table, key, value)

    def remove(self, table: str, key: bytes) -> None:
        """Removes a record. It need not be there."""
        self._native.remove(table, key)

    def commit(self) -> None:
        """On disk, and found, when it returns. OSError: nothing is changed. It ends the transaction."""
        try:
            self._native.commit()
        finally:
            self._native.close()

    def abort(self) -> None:
        """Nothing is changed. It ends the transaction."""
        self._native.close()

    close = abort

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._native.closed

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self.closed:
            return
        if kind is None:
            self.commit()
        else:
            self.abort()


class DatabaseSnapshot(Searching[_shoal.DatabaseSnapshot]):
    """An index of a database as the last commit left it, searched in the file; by any process.

    It opens in milliseconds, loads nothing, and sees no later commit. While it is open the file keeps what it reads:
    open a new one now and then. It may be pickled; the copy is the last commit of that moment.

    Raises
    ------
    FileNotFoundError, CorruptFileError, UnsupportedError
    IdNotFoundError
        The database has no index of this name.
    OSError
        Too many readers.
    """

    def __init__(self, path: Path, index: str) -> None:
        self._path, self._name = os.fsdecode(path), index
        super().__init__(_shoal.DatabaseSnapshot.open(self._path, index))

    def dump(self, vectors: Path, ids: Path, *, progress: Progress = None) -> None:
        """Writes all vectors to a .bin file, and their ids, 8 bytes each in the same order, to another."""
        with progress_function(progress, "dump") as function:
            self._native.dump(os.fsdecode(vectors), os.fsdecode(ids), function)

    def verify(self, *, progress: Progress = None) -> None:
        """Reads everything and checks it. CorruptFileError."""
        with progress_function(progress, "verify") as function:
            self._native.verify(function)

    def __enter__(self) -> DatabaseSnapshot:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return DatabaseSnapshot, (self._path, self._name)
