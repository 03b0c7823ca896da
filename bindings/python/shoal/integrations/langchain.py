"""A LangChain vector store. Ids are strings; adding one that is there replaces its document."""

from __future__ import annotations

import json
import pathlib
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from .._index import Index, Path
from .._keys import KeyedIndex

__all__ = ["ShoalVectorStore"]


class ShoalVectorStore(VectorStore):
    """Documents in memory, found by their embeddings. Distances are 1 - cos.

    Parameters
    ----------
    embedding : Embeddings
    index : KeyedIndex, optional
        An index of your own, empty; by default one is made with the first document, with metric cosine.
    """

    def __init__(self, embedding: Embeddings, index: KeyedIndex | None = None) -> None:
        self._embedding, self._index = embedding, index
        self._documents: dict[str, tuple[str, dict[str, Any]]] = {}

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors of texts."""
        return self._embedding

    def add_texts(self, texts: Iterable[str], metadatas: list[dict[Any, Any]] | None = None, *,
                  ids: Sequence[str | None] | None = None, **_: Any) -> list[str]:
        """Adds texts, or replaces those of ids that are there. Returns the ids."""
        many = list(texts)
        keys = [key or str(uuid.uuid4()) for key in ids or [None] * len(many)]
        if not many:
            return keys
        vectors = np.asarray(self._embedding.embed_documents(many), np.float32)
        if self._index is None:
            self._index = KeyedIndex(Index(vectors.shape[1], metric="cosine"))
        for key, text, metadata in zip(keys, many, metadatas or [{}] * len(many)):
            self._documents[key] = text, dict(metadata)
        self._index.upsert(keys, vectors)
        return keys

    def delete(self, ids: Sequence[str] | None = None, **_: Any) -> bool | None:
        """Removes documents, or all; those that are not there are left out."""
        if self._index is None:
            return True
        keys = list(self._documents) if ids is None else list(ids)
        self._index.discard(keys)
        for key in keys:
            self._documents.pop(key, None)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Those of the documents that are there."""
        return [self._document(key) for key in ids if key in self._documents]

    def _document(self, key: str) -> Document:
        text, metadata = self._documents[key]
        return Document(id=key, page_content=text, metadata=dict(metadata))

    def _found(self, vector: Sequence[float], k: int) -> list[tuple[Document, float]]:
        if self._index is None:
            return []
        keys, distances = self._index.search(np.asarray(vector, np.float32), k)
        return [(self._document(key), float(distance)) for key, distance in zip(keys, distances)
                if key in self._documents]

    def similarity_search(self, query: str, k: int = 4, **_: Any) -> list[Document]:
        """The k nearest documents."""
        return [document for document, _ in self.similarity_search_with_score(query, k)]

    def similarity_search_with_score(self, query: str, k: int = 4, **_: Any) -> list[tuple[Document, float]]:
        """The k nearest documents with their distances, 1 - cos."""
        return self._found(self._embedding.embed_query(query), k)

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **_: Any) -> list[Document]:
        """The k documents nearest to a vector."""
        return [document for document, _ in self._found(embedding, k)]

    def max_marginal_relevance_search_by_vector(self, embedding: list[float], k: int = 4, fetch_k: int = 20,
                                                lambda_mult: float = 0.5, **_: Any) -> list[Document]:
        """k documents of the fetch_k nearest that are unlike each other."""
        if self._index is None:
            return []
        query = np.asarray(embedding, np.float32)
        keys = self._index.search(query, fetch_k).keys
        chosen = maximal_marginal_relevance(query, list(self._index.get(keys)), lambda_mult, k)
        return [self._document(str(keys[i])) for i in chosen]

    def max_marginal_relevance_search(self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5,
                                      **_: Any) -> list[Document]:
        """The same of a text."""
        return self.max_marginal_relevance_search_by_vector(self._embedding.embed_query(query), k, fetch_k, lambda_mult)

    def _select_relevance_score_fn(self) -> Any:
        return self._cosine_relevance_score_fn

    @classmethod
    def from_texts(cls, texts: list[str], embedding: Embeddings, metadatas: list[dict[Any, Any]] | None = None, *,
                   ids: list[str] | None = None, **_: Any) -> ShoalVectorStore:
        """A store of these texts."""
        store = cls(embedding)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def save(self, folder: Path) -> None:
        """Writes the store to a folder: the index, and the documents as JSON. Nothing is pickled."""
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        pathlib.Path(folder, "documents.json").write_text(json.dumps(self._documents))
        if self._index is not None:
            self._index.save(pathlib.Path(folder, "index.shoal"))

    @classmethod
    def load(cls, folder: Path, embedding: Embeddings) -> ShoalVectorStore:
        """What `save` wrote."""
        path = pathlib.Path(folder, "index.shoal")
        store = cls(embedding, KeyedIndex.load(path) if path.exists() else None)
        documents = json.loads(pathlib.Path(folder, "documents.json").read_text())
        store._documents = {key: (text, metadata) for key, (text, metadata) in documents.items()}
        return store
