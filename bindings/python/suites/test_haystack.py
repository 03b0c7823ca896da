"""Haystack's standard tests of document stores, and the retriever."""
import pytest
from haystack import Document, Pipeline
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.testing.document_store import DocumentStoreBaseTests

from shoal.integrations.haystack import ShoalDocumentStore, ShoalEmbeddingRetriever


class TestShoal(DocumentStoreBaseTests):
    @pytest.fixture
    def document_store(self):
        return ShoalDocumentStore()

    def test_write_documents(self, document_store):
        one = [Document(content="a")]
        assert document_store.write_documents(one) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents(one, policy=DuplicatePolicy.FAIL)
        self.assert_documents_are_equal(document_store.filter_documents(), one)


def test_the_retriever_finds_the_nearest_that_match():
    store = ShoalDocumentStore(dim=2)
    store.write_documents([Document(id=str(i), content="x", meta={"n": i}, embedding=[1, i]) for i in range(5)]
                          + [Document(id="none", content="y")])
    pipeline = Pipeline()
    pipeline.add_component("retriever", ShoalEmbeddingRetriever(store, top_k=2))
    filters = {"field": "meta.n", "operator": ">=", "value": 2}
    found = pipeline.run({"retriever": {"query_embedding": [1, 0], "filters": filters}})["retriever"]["documents"]
    assert [one.id for one in found] == ["2", "3"] and found[0].score > found[1].score
    assert store.count_documents() == 6 and ShoalDocumentStore.from_dict(store.to_dict()).count_documents() == 0
