"""A vector index whose points come and go, from any number of threads.

>>> import numpy as np, shoal
>>> vectors = np.random.default_rng(1).random((1000, 32), np.float32)
>>> index = shoal.Index(32)
>>> index.add(range(1000), vectors)
1000
>>> ids, distances = index.search(vectors[7], k=3)
>>> int(ids[0]), float(distances[0])
(7, 0.0)
>>> index.delete(7)
>>> 7 in index.search(vectors[7], k=3).ids
False
"""

from . import features
from ._database import Database, DatabaseSnapshot, StoredIndex, Transaction
from ._errors import (BatchError, CancelledError, ConflictError, CorruptFileError, DuplicateIdError, Error,
                      IdNotFoundError, UnsupportedError)
from ._files import exact_search, inspect, read_bin, read_vecs, recall, verify, write_bin, write_vecs
from ._filters import Filter
from ._index import Index
from ._keys import KeyedIndex, KeyHits, KeyMap
from ._results import (BatchHits, Calibration, DatabaseStats, Hits, IndexOptions, IndexStats, MemoryBreakdown,
                       RangeHits, Report, SnapshotInfo, WorkCounters)
from ._shoal import active_isa
from ._shoal import version as _version
from ._view import View

__version__ = _version()

__all__ = [
    "BatchError", "BatchHits", "Calibration", "CancelledError", "ConflictError", "CorruptFileError", "Database",
    "DatabaseSnapshot", "DatabaseStats", "DuplicateIdError", "Error", "Filter", "Hits", "IdNotFoundError", "Index",
    "IndexOptions", "IndexStats", "KeyHits", "KeyMap", "KeyedIndex", "MemoryBreakdown", "RangeHits", "Report", "SnapshotInfo", "StoredIndex",
    "Transaction", "UnsupportedError", "View", "WorkCounters", "active_isa", "exact_search", "features", "inspect",
    "read_bin", "read_vecs", "recall", "verify", "write_bin", "write_vecs",
]
