"""VectorDBBench: `Shoal` is the client class, over a database file; `ShoalConfig` and `ShoalCaseConfig` configure it.

One process at a time inserts, any number search the file. Searches see what was committed up to half a second before.
"""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._database import Database, DatabaseSnapshot
from .._errors import Error
from .._filters import Filter

try:
    from pydantic import BaseModel
    from vectordb_bench.backend.clients.api import DBCaseConfig, DBConfig, VectorDB
    from vectordb_bench.backend.filter import FilterOp

    _CaseConfig: Any = type("_CaseConfig", (BaseModel, DBCaseConfig), {})
    _FILTERS = [FilterOp.NonFilter, FilterOp.NumGE]
except ImportError:  # The classes are the same without: the runner asks for methods alone.

    class _Fields:
        def __init__(self, **fields: Any) -> None:
            self.__dict__.update(fields)

    DBConfig = _CaseConfig = _Fields
    VectorDB = object
    _FILTERS = ["NonFilter", "NumGE"]

__all__ = ["Shoal", "ShoalCaseConfig", "ShoalConfig"]

_METRICS = {"L2": "l2", "IP": "inner_product", "DP": "inner_product", "COSINE": "cosine"}
_FRESH = 0.5  # Seconds that a search's snapshot is used.


class ShoalConfig(DBConfig):  # type: ignore[misc, valid-type]
    """Where the file is."""

    path: str = "shoal-bench.db"

    def to_dict(self) -> dict[str, Any]:
        """What `Shoal` gets."""
        return {"path": self.path}


class ShoalCaseConfig(_CaseConfig):  # type: ignore[misc]
    """How the index is made and searched. metric_type: L2, IP or COSINE, which the runner sets."""

    metric_type: Any = None
    max_degree: int = 32
    build_list_size: int = 100
    list_size: int = 64

    def index_param(self) -> dict[str, Any]:
        """Arguments of `Database.create_index`."""
        name = str(getattr(self.metric_type, "value", self.metric_type) or "L2").upper()
        if name not in _METRICS:
            raise NotImplementedError(f"metric_type: expected {', '.join(_METRICS)}, found {name}")
        return {"metric": _METRICS[name], "max_degree": self.max_degree, "build_list_size": self.build_list_size}

    def search_param(self) -> dict[str, Any]:
        """Arguments of `search`."""
        return {"list_size": self.list_size}


class Shoal(VectorDB):  # type: ignore[misc, valid-type]
    """An index of a database. The object is pickled into other processes: it opens the file in `init`."""

    name = "Shoal"
    thread_safe = True
    supported_filter_types = _FILTERS

    def __init__(self, dim: int, db_config: dict[str, Any], db_case_config: ShoalCaseConfig | None,
                 collection_name: str = "shoal", drop_old: bool = False, **_: Any) -> None:
        self._path, self._collection = pathlib.Path(db_config["path"]), collection_name
        self._case = db_case_config or ShoalCaseConfig()
        self._filter: Filter | None = None
        self._close()
        if drop_old:
            for file in (self._path, pathlib.Path(f"{self._path}-lock"), pathlib.Path(f"{self._path}-writer")):
                file.unlink(missing_ok=True)
        with Database(self._path, sync="none") as database:
            if collection_name not in database:
                database.create_index(collection_name, dim, **self._case.index_param())

    def _close(self) -> None:
        self._database: Database | None = None
        self._snapshot: DatabaseSnapshot | None = None
        self._opened = 0.0

    @contextmanager
    def init(self) -> Iterator[None]:
        """Within it the file is open, for writing from the first insert on."""
        try:
            yield
        finally:
            for opened in (self._snapshot, self._database):
                if opened is not None:
                    opened.close()
            self._close()

    def insert_embeddings(self, embeddings: list[list[float]], metadata: list[int], labels_data: Any = None,
                          tenant_labels_data: Any = None, **_: Any) -> tuple[int, Exception | None]:
        """Commits vectors under the numbers of `metadata`. How many, and what went wrong."""
        try:
            if self._database is None:
                self._database = Database(self._path, create=False, sync="none")
            index = self._database[self._collection]
            return index.upsert(np.asarray(metadata, np.int64), np.asarray(embeddings, np.float32)), None
        except (Error, ValueError, OSError, MemoryError) as error:
            return 0, error

    def optimize(self, data_size: int | None = None) -> None:
        """Nothing is left to build. Writes changed lists back, so that searches find them in one place."""
        if self._database is not None:
            self._database.compact()

    def prepare_filter(self, filters: Any) -> None:
        """All numbers, or those from `filters.int_value` on."""
        kind = str(getattr(filters.type, "value", filters.type))
        if kind not in ("NonFilter", "NumGE"):
            raise NotImplementedError(f"filter: expected NonFilter or NumGE, found {kind}")
        if kind == "NonFilter":
            self._filter = None
        else:
            least = int(filters.int_value)
            self._filter = Filter.where(lambda ids: ids >= least)

    def search_embedding(self, query: list[float], k: int = 100, **_: Any) -> list[int]:
        """The numbers of the k nearest vectors."""
        now = time.monotonic()
        if self._snapshot is None or now - self._opened > _FRESH:
            self._snapshot, self._opened = DatabaseSnapshot(self._path, self._collection), now
        hits = self._snapshot.search(np.asarray(query, np.float32), k, filter=self._filter, **self._case.search_param())
        return [int(one) for one in hits.ids]

    def need_normalize_cosine(self) -> bool:
        """Vectors are taken as they are."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """What another process gets: nothing that is open, and no filter (the runner prepares it again)."""
        return {**self.__dict__, "_database": None, "_snapshot": None, "_opened": 0.0, "_filter": None}

    def __str__(self) -> str:
        return f"Shoal({os.fspath(self._path)})"
