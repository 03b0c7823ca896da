"""LlamaIndex's calls of a vector store. It has no published suite."""
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery)

from shoal.integrations.llama_index import ShoalVectorStore


def node(i, of="doc"):
    one = TextNode(id_=f"n{i}", text=f"text {i}", metadata={"n": i}, embedding=[1.0, i])
    one.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=of)
    return one


def test_nodes_come_are_found_and_go(tmp_path):
    store = ShoalVectorStore()
    assert store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=5)).ids == []
    assert store.add([node(0), node(1), node(2, "other"), node(3)]) == ["n0", "n1", "n2", "n3"]
    found = store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=2))
    assert found.ids == ["n0", "n1"] and found.similarities[0] > found.similarities[1]
    assert found.nodes[0].get_content() == "text 0"
    only = MetadataFilters(filters=[MetadataFilter(key="n", value=2, operator=FilterOperator.GTE)])
    assert store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=5, filters=only)).ids == ["n2", "n3"]
    assert store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=5, node_ids=["n3", "n1"])).ids == ["n1", "n3"]
    assert [one.node_id for one in store.get_nodes(["n1", "never"])] == ["n1"]
    store.delete("doc")
    assert store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=5)).ids == ["n2"]
    store.persist(str(tmp_path / "store"))
    again = ShoalVectorStore.from_persist_path(str(tmp_path / "store"))
    assert again.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=5)).nodes[0].metadata == {"n": 2}
    store.delete_nodes(["n2"])
    store.clear()
    assert store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=5)).ids == [] and store.client is None
