"""A LlamaIndex vector store: nodes with their texts, in memory."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.utils import build_metadata_filter_fn
from llama_index.core.vector_stores.types import (BasePydanticVectorStore, MetadataFilters, VectorStoreQuery,
                                                  VectorStoreQueryMode, VectorStoreQueryResult)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from .._index import Index
from .._keys import KeyedIndex

__all__ = ["ShoalVectorStore"]


class ShoalVectorStore(BasePydanticVectorStore):
    """Similarities are cosines. The index is made with the first node."""

    stores_text: bool = True
    is_embedding_query: bool = True
    _index: KeyedIndex | None = PrivateAttr(default=None)
    _nodes: dict[str, dict[str, Any]] = PrivateAttr(default_factory=dict)

    @classmethod
    def class_name(cls) -> str:
        """For LlamaIndex's files."""
        return "ShoalVectorStore"

    @property
    def client(self) -> KeyedIndex | None:
        """The index."""
        return self._index

    def add(self, nodes: Sequence[BaseNode], **_: Any) -> list[str]:
        """Adds nodes with embeddings, or replaces those that are there."""
        if not nodes:
            return []
        rows = np.array([node.get_embedding() for node in nodes], np.float32)
        if self._index is None:
            self._index = KeyedIndex(Index(rows.shape[1], metric="cosine"))
        keys = [node.node_id for node in nodes]
        for node in nodes:
            metadata = node_to_metadata_dict(node, remove_text=False)
            self._nodes[node.node_id] = {"ref": node.ref_doc_id, "own": dict(node.metadata), "node": metadata}
        self._index.upsert(keys, rows)
        return keys

    def delete(self, ref_doc_id: str, **_: Any) -> None:
        """Removes all nodes of a document."""
        self._remove([key for key, node in self._nodes.items() if node["ref"] == ref_doc_id])

    def _remove(self, keys: list[str]) -> None:
        if self._index is not None:
            self._index.discard(keys)
        for key in keys:
            self._nodes.pop(key, None)

    def _matching(self, node_ids: list[str] | None, filters: MetadataFilters | None) -> list[str]:
        accepts = build_metadata_filter_fn(lambda key: self._nodes[key]["own"], filters)
        keys = self._nodes if node_ids is None else [key for key in node_ids if key in self._nodes]
        return [key for key in keys if accepts(key)]

    def delete_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **_: Any) -> None:
        """Removes nodes by id, by filters, or by both."""
        self._remove(self._matching(node_ids, filters))

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Nodes by id, by filters, or by both."""
        return [metadata_dict_to_node(self._nodes[key]["node"]) for key in self._matching(node_ids, filters)]

    def clear(self) -> None:
        """Removes all."""
        self._index = None
        self._nodes.clear()

    def query(self, query: VectorStoreQuery, **_: Any) -> VectorStoreQueryResult:
        """The nearest nodes that match."""
        if query.mode != VectorStoreQueryMode.DEFAULT:
            raise NotImplementedError(f"mode: expected default, found {query.mode}")
        if self._index is None:
            return VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
        only = None
        if query.filters is not None or query.node_ids is not None or query.doc_ids is not None:
            only = [key for key in self._matching(query.node_ids, query.filters)
                    if query.doc_ids is None or self._nodes[key]["ref"] in query.doc_ids]
        vector = np.asarray(query.query_embedding, np.float32)
        keys, distances = self._index.search(vector, query.similarity_top_k, filter=only)
        ids = [str(key) for key in keys if key in self._nodes]
        return VectorStoreQueryResult(nodes=[metadata_dict_to_node(self._nodes[key]["node"]) for key in ids],
                                      similarities=(1 - distances[:len(ids)]).tolist(), ids=ids)

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Writes a folder: the index, and the nodes as JSON."""
        folder = pathlib.Path(persist_path)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nodes.json").write_text(json.dumps(self._nodes))
        if self._index is not None:
            self._index.save(folder / "index.shoal")

    @classmethod
    def from_persist_path(cls, persist_path: str) -> ShoalVectorStore:
        """What `persist` wrote."""
        folder, store = pathlib.Path(persist_path), cls()
        store._nodes = json.loads((folder / "nodes.json").read_text())
        if (folder / "index.shoal").exists():
            store._index = KeyedIndex.load(folder / "index.shoal")
        return store
