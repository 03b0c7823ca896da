"""scikit-learn's checks of estimators, and the convention of KNeighborsTransformer."""
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from sklearn.neighbors import KNeighborsTransformer
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from shoal.integrations.sklearn import ShoalTransformer


@parametrize_with_checks([ShoalTransformer()])
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_the_graph_is_that_of_k_neighbors_transformer(mode, metric):
    points = np.random.default_rng(1).standard_normal((200, 8)).astype(np.float32)
    ours = ShoalTransformer(mode=mode, n_neighbors=5, metric=metric, list_size=200).fit(points)
    theirs = KNeighborsTransformer(mode=mode, n_neighbors=5, metric=metric).fit(points)
    a, b = ours.transform(points), theirs.transform(points)
    assert a.nnz == b.nnz == 200 * (6 if mode == "distance" else 5)
    np.testing.assert_array_equal(np.sort(a.indices.reshape(200, -1)), np.sort(b.indices.reshape(200, -1)))
    np.testing.assert_allclose(a.toarray(), b.toarray(), atol=1e-3)
    assert (np.diff(a.data.reshape(200, -1)) >= 0).all()


def test_it_feeds_a_pipeline_and_may_be_cloned():
    points, truth = make_blobs(300, centers=4, cluster_std=0.3, random_state=3)
    pipeline = make_pipeline(clone(ShoalTransformer(n_neighbors=20)), DBSCAN(metric="precomputed", min_samples=5, eps=1))
    labels = pipeline.fit_predict(points)
    assert len(set(labels[labels >= 0])) == len(set(truth))
