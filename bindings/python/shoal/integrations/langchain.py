"""LangChain vector stores: in memory, and over the vector sets of a server. Ids are strings; adding one that is there
replaces its document."""

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
from ..cluster import VectorSet

__all__ = ["ShoalVectorStore", "VectorSetStore"]


class _Store(VectorStore):
    """What both stores do with what they find."""

    _embedding: Embeddings

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors of texts."""
        return self._embedding

    def _found(self, vector: Sequence[float], k: int, **options: Any) -> list[tuple[Document, float]]:
        """The k nearest documents with their distances, 1 - cos."""
        raise NotImplementedError

    def similarity_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        """The k nearest documents."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **options)]

    def similarity_search_with_score(self, query: str, k: int = 4, **options: Any) -> list[tuple[Document, float]]:
        """The k nearest documents with their distances, 1 - cos."""
        return self._found(self._embedding.embed_query(query), k, **options)

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **options: Any) -> list[Document]:
        """The k documents nearest to a vector."""
        return [document for document, _ in self._found(embedding, k, **options)]

    def max_marginal_relevance_search(self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5,
                                      **options: Any) -> list[Document]:
        """k documents of the fetch_k nearest that are unlike each other."""
        vector = self._embedding.embed_query(query)
        found: list[Document] = self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **options)
        return found

    def _select_relevance_score_fn(self) -> Any:
        return self._cosine_relevance_score_fn


class ShoalVectorStore(_Store):
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

    def _found(self, vector: Sequence[float], k: int, **_: Any) -> list[tuple[Document, float]]:
        if self._index is None:
            return []
        keys, distances = self._index.search(np.asarray(vector, np.float32), k)
        return [(self._document(key), float(distance)) for key, distance in zip(keys, distances)
                if key in self._documents]

    def max_marginal_relevance_search_by_vector(self, embedding: list[float], k: int = 4, fetch_k: int = 20,
                                                lambda_mult: float = 0.5, **_: Any) -> list[Document]:
        """k documents of the fetch_k nearest that are unlike each other."""
        if self._index is None:
            return []
        query = np.asarray(embedding, np.float32)
        keys = self._index.search(query, fetch_k).keys
        chosen = maximal_marginal_relevance(query, list(self._index.get(keys)), lambda_mult, k)
        return [self._document(str(keys[i])) for i in chosen]

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


_TEXT = "_text"


class VectorSetStore(_Store):
    """Documents on a server, one or many: Valkey or Redis with this project's module, or Redis 8 as it is.

    An element's attributes are the document's metadata, and its text as `_text`. So VSIM's filter expressions see the
    metadata: `store.similarity_search("oak", filter=".year > 1990")`.

    Parameters
    ----------
    embedding : Embeddings
    vectors : shoal.cluster.VectorSet
        Under cosine, the default. `VectorSet(redis.Redis(), "documents", partitions=1)` is one key of one server.
    """

    def __init__(self, embedding: Embeddings, vectors: VectorSet) -> None:
        self._embedding, self.vectors = embedding, vectors

    def add_texts(self, texts: Iterable[str], metadatas: list[dict[Any, Any]] | None = None, *,
                  ids: Sequence[str | None] | None = None, **_: Any) -> list[str]:
        """Adds texts, or replaces those of ids that are there. Returns the ids. ValueError: metadata has `_text`."""
        many = list(texts)
        keys = [key or str(uuid.uuid4()) for key in ids or [None] * len(many)]
        attributes = []
        for text, metadata in zip(many, metadatas or [{}] * len(many)):
            if _TEXT in metadata:
                raise ValueError(f"metadata: {_TEXT} is the name of the text here")
            attributes.append({**metadata, _TEXT: text})
        self.vectors.add_many(zip(keys, self._embedding.embed_documents(many) if many else [], attributes))
        return keys

    def delete(self, ids: Sequence[str] | None = None, **_: Any) -> bool | None:
        """Removes documents, or all; those that are not there are left out."""
        if ids is None:
            self.vectors.clear()
        else:
            self.vectors.remove_many(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Those of the documents that are there."""
        return [self._document(key, text) for key, text in zip(ids, self.vectors.attributes_many(ids)) if text is not None]

    @staticmethod
    def _document(key: str, attributes: str) -> Document:
        metadata = json.loads(attributes)
        return Document(id=key, page_content=metadata.pop(_TEXT), metadata=metadata)

    def _found(self, vector: Sequence[float], k: int, **options: Any) -> list[tuple[Document, float]]:
        """`options` are those of VectorSet.search: filter, ef, options, partial."""
        hits = self.vectors.search(vector, k, with_attributes=True, **options)
        return [(self._document(hit.element, hit.attributes), 2 - 2 * hit.score) for hit in hits if hit.attributes is not None]

    def max_marginal_relevance_search_by_vector(self, embedding: list[float], k: int = 4, fetch_k: int = 20,
                                                lambda_mult: float = 0.5, **options: Any) -> list[Document]:
        """k documents of the fetch_k nearest that are unlike each other."""
        documents = self.similarity_search_by_vector(embedding, fetch_k, **options)
        vectors = self.vectors.vectors_many([str(document.id) for document in documents])
        there = [(document, row) for document, row in zip(documents, vectors) if row is not None]
        chosen = maximal_marginal_relevance(np.asarray(embedding, np.float32), [row for _, row in there], lambda_mult, k)
        return [there[i][0] for i in chosen]

    @classmethod
    def from_texts(cls, texts: list[str], embedding: Embeddings, metadatas: list[dict[Any, Any]] | None = None, *,
                   ids: list[str] | None = None, vectors: VectorSet | None = None, **_: Any) -> VectorSetStore:
        """A store of these texts in `vectors`, which must be given."""
        if vectors is None:
            raise TypeError("from_texts: vectors expected, a shoal.cluster.VectorSet")
        store = cls(embedding, vectors)
        store.add_texts(texts, metadatas, ids=ids)
        return store
