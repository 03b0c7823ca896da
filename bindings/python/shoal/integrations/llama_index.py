"""LlamaIndex vector stores of nodes with their texts: in memory, and over the vector sets of a server."""

from __future__ import annotations

import itertools
import json
import math
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.utils import build_metadata_filter_fn
from llama_index.core.vector_stores.types import (BasePydanticVectorStore, FilterCondition, FilterOperator, MetadataFilter,
                                                  MetadataFilters, VectorStoreQuery, VectorStoreQueryMode,
                                                  VectorStoreQueryResult)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from .._index import Index
from .._keys import KeyedIndex
from ..cluster import VectorSet

__all__ = ["ShoalVectorStore", "VectorSetStore"]


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


_PAGE = 500
_COMPARISONS = {FilterOperator.EQ: "==", FilterOperator.NE: "!=", FilterOperator.GT: ">", FilterOperator.GTE: ">=",
                FilterOperator.LT: "<", FilterOperator.LTE: "<="}


def _literal(value: Any) -> str:
    """A value as VSIM's filter expressions have it."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, str):
        quote = "'" if '"' in value else '"'
        return quote + value.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
    if isinstance(value, (int, float)) and math.isfinite(value):
        return repr(int(value) if isinstance(value, bool) else value)
    raise ValueError(f"filter value: expected a string, a finite number or a list, found {value!r}")


def _expression(one: MetadataFilter | MetadataFilters) -> str:
    """The expression of one filter."""
    if isinstance(one, MetadataFilters):
        raise NotImplementedError("filters: expected none within filters")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", one.key):
        raise ValueError(f"filter key: expected letters, digits, _ and -, found {one.key!r}")
    if one.operator in _COMPARISONS:
        return f".{one.key} {_COMPARISONS[one.operator]} {_literal(one.value)}"
    if one.operator in (FilterOperator.IN, FilterOperator.NIN):
        inside = f".{one.key} in {_literal(one.value)}"
        return inside if one.operator == FilterOperator.IN else f"not ({inside})"
    if one.operator == FilterOperator.CONTAINS:
        return f"{_literal(one.value)} in .{one.key}"
    raise NotImplementedError(f"filter operator: expected a comparison, in, nin or contains, found {one.operator.value}")


def _alternatives(filters: MetadataFilters | None) -> list[str]:
    """Expressions of which one must hold. In one of a server a field that is missing makes the whole false, so `or` is
    a search for each part."""
    if filters is None or not filters.filters:
        return []
    parts = [_expression(one) for one in filters.filters]
    if filters.condition == FilterCondition.OR:
        return parts
    if filters.condition not in (None, FilterCondition.AND):
        raise NotImplementedError(f"condition: expected and, or, found {filters.condition.value}")
    return [" and ".join(parts)]


class VectorSetStore(BasePydanticVectorStore):
    """Nodes on a server, one or many: Valkey or Redis with this project's module, or Redis 8 as it is.

    An element's attributes are the node's metadata at the top, for VSIM's filter expressions, and the node itself.
    Similarities are cosines: `vectors` is a `shoal.cluster.VectorSet` under cosine, the default. Calls with filters, or
    a document's id, that search for no vector read the attributes of all nodes.
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    _vectors: VectorSet = PrivateAttr()

    def __init__(self, vectors: VectorSet) -> None:
        super().__init__()
        self._vectors = vectors

    @classmethod
    def class_name(cls) -> str:
        """For LlamaIndex's files."""
        return "ShoalVectorSetStore"

    @property
    def client(self) -> Any:
        """The server's client."""
        return self._vectors.client

    def add(self, nodes: Sequence[BaseNode], **_: Any) -> list[str]:
        """Adds nodes with embeddings, or replaces those that are there."""
        self._vectors.add_many((node.node_id, node.get_embedding(),
                                {**node_to_metadata_dict(node, remove_text=False), "_id": node.node_id}) for node in nodes)
        return [node.node_id for node in nodes]

    def _nodes(self, ids: Sequence[str] | None) -> Iterator[BaseNode]:
        """Those of the nodes that are there; None: all."""
        pages = iter(self._vectors if ids is None else ids)
        while page := list(itertools.islice(pages, _PAGE)):
            for text in self._vectors.attributes_many(page):
                if text is not None:
                    yield metadata_dict_to_node(json.loads(text))

    def delete(self, ref_doc_id: str, **_: Any) -> None:
        """Removes all nodes of a document."""
        self._vectors.remove_many([node.node_id for node in self._nodes(None) if node.ref_doc_id == ref_doc_id])

    def delete_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **_: Any) -> None:
        """Removes nodes by id, by filters, or by both."""
        self._vectors.remove_many([node.node_id for node in self.get_nodes(node_ids, filters)])

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Nodes by id, by filters, or by both."""
        found = {node.node_id: node for node in self._nodes(node_ids)}
        accepts = build_metadata_filter_fn(lambda key: found[key].metadata, filters)
        return [node for key, node in found.items() if accepts(key)]

    def clear(self) -> None:
        """Removes all."""
        self._vectors.clear()

    def query(self, query: VectorStoreQuery, **options: Any) -> VectorStoreQueryResult:
        """The nearest nodes that match. `options` are those of VectorSet.search: ef, options, partial.

        NotImplementedError: a mode or filter that a vector set does not have.
        """
        if query.mode != VectorStoreQueryMode.DEFAULT:
            raise NotImplementedError(f"mode: expected default, found {query.mode}")
        asked = {"_id": query.node_ids, "ref_doc_id": query.doc_ids}
        if [] in asked.values():
            return VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
        of_ids = [f".{field} in {_literal(ids)}" for field, ids in asked.items() if ids is not None]
        if of_ids:  # Perhaps few of many: all are compared.
            options["options"] = [*options.get("options", ()), "TRUTH"]
        scores: dict[str, float] = {}
        found: dict[str, BaseNode] = {}
        for expression in _alternatives(query.filters) or [""]:
            text = " and ".join(filter(None, [*of_ids, expression]))
            for hit in self._vectors.search(query.query_embedding, query.similarity_top_k, filter=text or None,
                                            with_attributes=True, **options):
                if hit.attributes is not None:
                    scores[hit.element] = 2 * hit.score - 1
                    found[hit.element] = metadata_dict_to_node(json.loads(hit.attributes))
        # A server's `==` takes "1" for 1.
        accepts = build_metadata_filter_fn(lambda key: found[key].metadata, query.filters)
        ids = sorted(filter(accepts, found), key=lambda key: -scores[key])[:query.similarity_top_k]
        return VectorStoreQueryResult(nodes=[found[key] for key in ids], similarities=[scores[key] for key in ids], ids=ids)
