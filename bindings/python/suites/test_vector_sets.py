"""LangChain's standard tests, and LlamaIndex's calls, over shoal.cluster.VectorSet: on a server with this project's module,
and on Redis 8 itself. What cannot be had is skipped."""
import importlib.util
import os
import pathlib
import sys
import uuid

import pytest
import redis
from langchain_core.documents import Document
from langchain_tests.integration_tests import VectorStoreIntegrationTests
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (FilterCondition, FilterOperator, MetadataFilter, MetadataFilters,
                                                  VectorStoreQuery)

from shoal.cluster import VectorSet
from shoal.integrations import langchain, llama_index

SERVER_TESTS = pathlib.Path(__file__).resolve().parents[2] / "valkey/tests"
BUILD = pathlib.Path(os.environ.get("SHOAL_BUILD", "build")).resolve()
MODULE = BUILD / "bindings/valkey/module/libshoal_vset.so"


def server_tests(name):
    """What the server tests start servers with. Their folder stays out of the path: there is another redis_py in it."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SERVER_TESTS / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module", params=["redis7", "redis8"])
def client(request, tmp_path_factory):
    if request.param == "redis7" and not MODULE.exists():
        pytest.skip(f"{MODULE} is not built")
    servers = server_tests("servers")
    try:
        command = servers.command_of(request.param, BUILD / "servers")
    except servers.Unavailable as error:
        pytest.skip(f"{request.param} cannot be had: {error}")
    module = MODULE if request.param == "redis7" else None
    with server_tests("client").Server(command, module, tmp_path_factory.mktemp("server")) as server:
        yield redis.Redis(port=server.port)


@pytest.fixture(params=[1, 4])
def vectors(client, request):
    one = VectorSet(client, uuid.uuid4().hex, request.param, options=("NOQUANT",))
    yield one
    one.clear()
    assert len(one) == 0 and not client.keys(f"{one.name}:*")


class TestLangChain(VectorStoreIntegrationTests):
    @pytest.fixture()
    def vectorstore(self, vectors):
        yield langchain.VectorSetStore(self.get_embeddings(), vectors)


def test_langchain_s_store_filters_by_metadata(vectors):
    embedding = VectorStoreIntegrationTests.get_embeddings()
    texts = [f"text {i}" for i in range(20)]
    store = langchain.VectorSetStore.from_texts(texts, embedding, [{"n": i, "more": {"deep": [i]}} for i in range(20)], vectors=vectors)
    found = store.similarity_search("text 3", k=5, filter=".n > 16")
    assert sorted(document.metadata["n"] for document in found) == [17, 18, 19]
    document, distance = store.similarity_search_with_score("text 3", k=1)[0]
    assert document.page_content == "text 3" and document.metadata == {"n": 3, "more": {"deep": [3]}} and abs(distance) < 1e-5
    assert len({document.id for document in store.max_marginal_relevance_search("text 3", k=4, filter=".n < 8")}) == 4
    again = langchain.VectorSetStore(embedding, VectorSet(vectors.client, vectors.name, vectors.partitions))
    assert len(again.similarity_search("text 3", k=30)) == 20
    with pytest.raises(ValueError, match="_text"):
        store.add_documents([Document(page_content="x", metadata={"_text": "y"})])
    store.delete()
    assert store.similarity_search("text 3") == []


def node(i, of="doc", **metadata):
    one = TextNode(id_=f"n{i}", text=f"text {i}", metadata={"n": i, **metadata}, embedding=[1.0, i])
    one.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=of)
    return one


def ask(store, k=5, *filters, condition=FilterCondition.AND, **more):
    chosen = MetadataFilters(filters=[MetadataFilter(key=key, operator=operator, value=value) for key, operator, value in filters],
                             condition=condition) if filters else None
    return store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=k, filters=chosen, **more)).ids


def test_llama_index_s_nodes_come_are_found_and_go(vectors):
    store = llama_index.VectorSetStore(vectors)
    assert ask(store) == [] and store.add([]) == []
    assert store.add([node(0), node(1, name="it's"), node(2, "other", name='say "x"'), node(3)]) == ["n0", "n1", "n2", "n3"]
    found = store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=2))
    assert found.ids == ["n0", "n1"] and found.nodes[1].get_content() == "text 1" and found.nodes[1].metadata == {"n": 1, "name": "it's"}
    assert found.similarities == pytest.approx([1.0, 0.5 ** 0.5], abs=1e-5) and found.nodes[0].ref_doc_id == "doc"
    op = FilterOperator
    assert ask(store, 5, ("n", op.GTE, 2)) == ["n2", "n3"]
    assert ask(store, 5, ("n", op.GTE, 1), ("n", op.NE, 2)) == ["n1", "n3"]
    assert ask(store, 5, ("n", op.IN, [0, 3])) == ["n0", "n3"] and ask(store, 5, ("n", op.NIN, [0, 3])) == ["n1", "n2"]
    assert ask(store, 5, ("name", op.EQ, "it's")) == ["n1"] and ask(store, 5, ("name", op.EQ, 'say "x"')) == ["n2"]
    # Fields that some nodes do not have.
    assert ask(store, 5, ("name", op.EQ, "it's"), ("n", op.EQ, 0), condition=FilterCondition.OR) == ["n0", "n1"]
    assert ask(store, 5, ("n", op.EQ, "1")) == []
    assert ask(store, 5, node_ids=["n3", "n1"]) == ["n1", "n3"] and ask(store, 5, node_ids=[]) == []
    assert ask(store, 5, ("n", op.GT, 1), doc_ids=["doc"]) == ["n3"]
    for filters in (("n", op.TEXT_MATCH, "x"), ("n", op.IS_EMPTY, None)):
        with pytest.raises(NotImplementedError, match="filter operator"):
            ask(store, 5, filters)
    with pytest.raises(ValueError, match="filter key"):
        ask(store, 5, ("n > 1 or .n", op.EQ, 2))
    assert [one.node_id for one in store.get_nodes(["n1", "never"])] == ["n1"]
    assert sorted(one.node_id for one in store.get_nodes(filters=MetadataFilters(filters=[
        MetadataFilter(key="n", value=1, operator=op.GTE)]))) == ["n1", "n2", "n3"]
    store.delete("doc")
    assert ask(store) == ["n2"]
    store.delete_nodes(["n2"])
    assert ask(store) == []
    store.add([node(5)])
    store.clear()
    assert ask(store) == []
