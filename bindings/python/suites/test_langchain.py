"""LangChain's standard tests of vector stores, and what they do not ask."""
import pytest
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from shoal.integrations.langchain import ShoalVectorStore


class TestShoal(VectorStoreIntegrationTests):
    @pytest.fixture()
    def vectorstore(self):
        yield ShoalVectorStore(self.get_embeddings())


def test_a_store_is_saved_with_its_documents(tmp_path):
    embedding = VectorStoreIntegrationTests.get_embeddings()
    store = ShoalVectorStore.from_texts(["a", "b", "c"], embedding, [{"n": i} for i in range(3)], ids=["1", "2", "3"])
    store.delete(["3"])
    store.save(tmp_path / "store")
    again = ShoalVectorStore.load(tmp_path / "store", embedding)
    assert [d.metadata for d in again.get_by_ids(["1", "2", "3"])] == [{"n": 0}, {"n": 1}]
    assert again.similarity_search("b", k=1)[0].id == "2"
    assert len(again.max_marginal_relevance_search("b", k=2)) == 2
