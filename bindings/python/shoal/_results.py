"""What searches return, and statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.uint64]
Distances = npt.NDArray[np.float32]
Counts = npt.NDArray[np.uint32]


class Hits(NamedTuple):
    """The points found for one query, nearest first: a tuple (ids, distances)."""

    ids: Ids
    """(n,) uint64. n is less than k where the index has no more."""
    distances: Distances
    """(n,) float32, ascending, in the metric of the index (for l2 the squared distance)."""

    @property
    def similarities(self) -> Distances:
        """(n,) the negated distances: under inner_product the inner products."""
        return -self.distances


class BatchHits(tuple[Ids, Distances]):
    """The points found for n queries: a tuple (ids, distances) that also has `counts`."""

    counts: Counts
    """(n,) uint32: how many hits each query has."""

    def __new__(cls, ids: Ids, distances: Distances, counts: Counts) -> BatchHits:
        self = super().__new__(cls, (ids, distances))
        self.counts = counts
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.ids, self.distances, self.counts

    @property
    def ids(self) -> Ids:
        """(n, k) uint64. Behind the first `counts[i]` of row i: 2^64 - 1, which may be an id, too."""
        return self[0]

    @property
    def distances(self) -> Distances:
        """(n, k) float32. Behind the first `counts[i]` of row i: infinity, which no hit has."""
        return self[1]

    @property
    def similarities(self) -> Distances:
        """(n, k) the negated distances."""
        return -self[1]

    def query(self, i: int) -> Hits:
        """The hits of query i, without padding."""
        n = self.counts[i]
        return Hits(self[0][i, :n], self[1][i, :n])

    def queries(self) -> Iterator[Hits]:
        """The hits of each query, without padding."""
        return (self.query(i) for i in range(len(self.counts)))

    def __repr__(self) -> str:
        return f"BatchHits(ids={self.ids!r}, distances={self.distances!r}, counts={self.counts!r})"


class RangeHits(NamedTuple):
    """The points within a radius of n queries. Those of query i are [limits[i]:limits[i + 1]]."""

    limits: npt.NDArray[np.int64]
    """(n + 1,) int64."""
    ids: Ids
    """(limits[n],) uint64, nearest first for each query."""
    distances: Distances
    """(limits[n],) float32."""


@dataclass(frozen=True)
class Report:
    """What came of a call on many rows, of which some may have failed."""

    done: int
    """Rows that are done."""
    rows: list[int]
    """Rows that failed, ascending."""
    errors: list[Exception]
    """Why, one for each of `rows`."""


@dataclass(frozen=True)
class IndexOptions:
    """What an index is; fixed when it is created."""

    dim: int
    dtype: str
    metric: str
    code: str
    """What of a vector is kept for searches to traverse."""
    rerank_code: str
    """What is kept beside it for the final order of hits."""
    max_degree: int
    build_list_size: int
    alpha: float


@dataclass(frozen=True)
class WorkCounters:
    """Exact counts of the work of all operations that ended."""

    distances: int
    hops: int
    rows_fetched: int
    reranked: int
    lists_read: int
    lists_written: int
    prunes: int
    filter_checks: int
    """Points that filters judged."""
    filter_scans: int
    """Searches with a filter that scored all accepted points,"""
    filter_traversals: int
    """that scored refused points and passed through them,"""
    filter_two_hops: int
    """that passed through them without scoring them,"""
    filter_fallbacks: int
    """and traversals that scanned in the end."""


@dataclass(frozen=True)
class MemoryBreakdown:
    """Bytes by purpose, resident or committed."""

    vectors: int
    neighbors: int
    reverse_lists: int
    slots: int
    id_map: int
    labels: int
    scratch: int

    @property
    def total(self) -> int:
        """All of them."""
        return (self.vectors + self.neighbors + self.reverse_lists + self.slots + self.id_map + self.labels
                + self.scratch)


@dataclass(frozen=True)
class IndexStats:
    """Counts of an index, read one after another."""

    points: int
    """Live points."""
    slots_used: int
    """High-water mark of slots, free ones included."""
    edges: int
    """Directed edges."""
    average_degree: float
    pending_repairs: int
    """Deleted points that wait for their repair."""
    retired_slots: int
    """Slots that wait for readers to leave."""
    work: WorkCounters
    memory: MemoryBreakdown


@dataclass(frozen=True)
class Calibration:
    """What searches with a k and a target_recall use, and what it gave when it was measured."""

    k: int
    target: float
    list_size: int
    rerank: int
    """0: hits are not reranked."""
    stop_margin: float
    """A search ends when its next candidate is farther than 1 + this times the k-th hit."""
    recall: float
    """On the sample. Less than `target`: nothing that was tried reached it."""
    distances: float
    """A query."""
    queries: int
    """Of the sample."""
    from_searches: bool
    """They were those of searches; else points of the index."""
    points: int
    """Live points at that time."""


@dataclass(frozen=True)
class DatabaseStats:
    """Counts of a database."""

    file_bytes: int
    row_bytes: int
    """Of the table of rows,"""
    graph_bytes: int
    """of lists, ids and states,"""
    log_bytes: int
    """and of changes since the last pass."""
    max_bytes: int
    """What the file may grow to."""
    commits: int
    """So far."""
    snapshots: int
    """Open ones, of all processes."""
    oldest_lag: int
    """Commits since the oldest of them: it keeps their space from reuse."""
    queued_changes: int
    """sync='interval': not committed yet."""
    pending_changes: int
    """Of open indexes: what the next passes write back."""
    passes: int
    """Since the database was opened."""
    written_bytes: int
    """Blocks and records, by this process. (LMDB writes whole pages, and those above.)"""


@dataclass(frozen=True)
class SnapshotInfo:
    """What the header of a snapshot file says."""

    options: IndexOptions
    format_version: int
    points: int
    edges: int
    bytes: int


def stats_of(values: Mapping[str, Any]) -> IndexStats:
    """Of the extension's dictionary."""
    return IndexStats(**{**values, "work": WorkCounters(**values["work"]),
                         "memory": MemoryBreakdown(**values["memory"])})


def info_of(values: Mapping[str, Any]) -> SnapshotInfo:
    """Of the extension's dictionary."""
    own = {name: values[name] for name in ("format_version", "points", "edges", "bytes")}
    return SnapshotInfo(IndexOptions(**{n: v for n, v in values.items() if n not in own}), **own)
