"""The clients of benchmarks, called as their runners call them. The runners themselves are not packages."""
import numpy as np
import pytest

import shoal
from shoal.integrations import ann_benchmarks, big_ann


@pytest.mark.parametrize("metric, ours", [("angular", "cosine"), ("euclidean", "l2")])
def test_ann_benchmarks_builds_queries_and_asks_for_counts(vectors, metric, ours):
    algorithm = ann_benchmarks.Shoal(metric, {"max_degree": 16})
    algorithm.fit(vectors)
    truth, _ = shoal.exact_search(vectors, vectors[:50] + 0.01, 10, metric=ours)
    algorithm.set_query_arguments(200)
    assert "200" in str(algorithm) and str(algorithm) == algorithm.name
    one = np.array([algorithm.query(query, 10) for query in vectors[:50] + np.float32(0.01)])
    algorithm.batch_query(vectors[:50] + 0.01, 10)
    assert shoal.recall(one, truth) > 0.95 and shoal.recall(np.array(algorithm.get_batch_results()), truth) > 0.95
    assert algorithm.get_additional()["dist_comps"] > 0 and algorithm.get_memory_usage() > 1000
    algorithm.done()
    with pytest.raises(NotImplementedError, match="jaccard"):
        ann_benchmarks.Shoal("jaccard")


def test_ann_benchmarks_takes_vectors_without_a_direction(vectors):
    rows = vectors.copy()
    rows[3] = 0
    algorithm = ann_benchmarks.Shoal("angular")
    algorithm.fit(rows)
    assert algorithm.query(rows[7], 1).tolist() == [7] and not rows[3].any()


@pytest.mark.parametrize("metric, dtype", [("euclidean", "float32"), ("ip", "float32"), ("euclidean", "uint8")])
def test_big_ann_streams(rng, metric, dtype):
    points = (rng.random((600, 24)) * 255).astype(dtype)
    index = big_ann.Shoal(metric, {"max_degree": 32})
    index.setup(dtype, 1000, 24)
    index.insert(points[:400], np.arange(400, dtype=np.uint32))
    index.delete(np.arange(0, 200, dtype=np.uint32))
    index.insert(points[400:], np.arange(400, 600, dtype=np.uint32))
    index.replace(points[:100], np.arange(500, 600, dtype=np.uint32))
    live = np.concatenate([points[200:500], points[:100]])
    ids = np.concatenate([np.arange(200, 500), np.arange(500, 600)])
    index.set_query_arguments({"list_size": 300})
    index.query(points[:30], 5)
    ours = {"euclidean": "l2", "ip": "inner_product"}[metric]
    truth, distances = shoal.exact_search(live, points[:30], 5, metric=ours, dtype=dtype)
    assert shoal.recall(index.get_results(), ids[truth]) > 0.95
    index.range_query(points[:3], float(distances[:3].max()))
    limits, found, which = index.get_range_results()
    assert limits.shape == (4,) and len(found) == len(which) == limits[-1] >= 15
    assert index.get_additional()["dist_comps"] > 0 and "300" in str(index)
