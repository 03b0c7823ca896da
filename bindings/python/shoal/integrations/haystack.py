"""A Haystack document store, and the component that searches it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.utils.filters import document_matches_filter

from .._index import Index
from .._keys import KeyedIndex

__all__ = ["ShoalDocumentStore", "ShoalEmbeddingRetriever"]


class ShoalDocumentStore:
    """Documents in memory, with or without an embedding, found by their ids, by filters, or by embeddings."""

    def __init__(self, dim: int = 768, metric: str = "cosine") -> None:
        self._dim, self._metric = dim, metric
        self._index = KeyedIndex(Index(dim, metric=metric))  # type: ignore[arg-type]
        self._documents: dict[str, Document] = {}
        self._lock = threading.RLock()

    def to_dict(self) -> dict[str, Any]:
        """What the store is, without its documents."""
        return default_to_dict(self, dim=self._dim, metric=self._metric)  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ShoalDocumentStore:
        """A store of what `to_dict` gave."""
        return default_from_dict(cls, data)  # type: ignore[no-any-return]

    def count_documents(self) -> int:
        """How many there are."""
        return len(self._documents)

    def _matching(self, filters: dict[str, Any] | None) -> list[Document]:
        if filters and "operator" not in filters and "conditions" not in filters:
            raise FilterError("filters: expected operator and conditions")
        with self._lock:
            return [d for d in self._documents.values() if not filters or document_matches_filter(filters, d)]

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Those that match."""
        return deepcopy(self._matching(filters))

    def write_documents(self, documents: Iterable[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Writes documents; how many. NONE is FAIL: an id that is there is a DuplicateDocumentError."""
        many = list(documents)
        if not all(isinstance(one, Document) for one in many):
            raise ValueError("documents: Documents expected")
        with self._lock:
            there = {one.id for one in many if one.id in self._documents}
            if there and policy not in (DuplicatePolicy.SKIP, DuplicatePolicy.OVERWRITE):
                raise DuplicateDocumentError(f"id {sorted(there)[0]}: already there")
            if policy == DuplicatePolicy.SKIP:
                many = [one for one in many if one.id not in there]
            found = {one.id: one for one in many if one.embedding is not None}
            if found:
                self._index.upsert(list(found), np.array([one.embedding for one in found.values()], np.float32))
            self._index.discard([one.id for one in many if one.embedding is None])
            self._documents.update((one.id, deepcopy(one)) for one in many)
            return len(many)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Removes documents; ids that are not there are left out."""
        with self._lock:
            self._index.discard(document_ids)
            for one in document_ids:
                self._documents.pop(one, None)

    def embedding_retrieval(self, query_embedding: list[float], top_k: int = 10,
                            filters: dict[str, Any] | None = None) -> list[Document]:
        """The nearest documents that match, with scores: 1 - distance under cosine, else the negated distance."""
        only = [one.id for one in self._matching(filters)] if filters else None
        keys, distances = self._index.search(np.asarray(query_embedding, np.float32), top_k, filter=only)
        found = []
        for key, distance in zip(keys, distances.tolist()):
            document = self._documents.get(str(key))
            if document is not None:
                found.append(replace(deepcopy(document), score=1 - distance if self._metric == "cosine" else -distance))
        return found


@component
class ShoalEmbeddingRetriever:
    """Searches a ShoalDocumentStore."""

    def __init__(self, document_store: ShoalDocumentStore, filters: dict[str, Any] | None = None,
                 top_k: int = 10) -> None:
        self.document_store, self.filters, self.top_k = document_store, filters, top_k

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    def run(self, query_embedding: list[float], filters: dict[str, Any] | None = None,
            top_k: int | None = None) -> dict[str, list[Document]]:
        """The nearest documents."""
        return {"documents": self.document_store.embedding_retrieval(query_embedding, top_k or self.top_k,
                                                                     filters or self.filters)}
