"""The clients of benchmarks, called as their runners call them. The runners themselves are not packages."""
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest

import shoal
from shoal.integrations import ann_benchmarks, big_ann, vectordb_bench


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


def client(path, metric="COSINE", **arguments):
    case = vectordb_bench.ShoalCaseConfig()
    case.metric_type = types.SimpleNamespace(value=metric)  # An enum, as theirs.
    config = vectordb_bench.ShoalConfig(path=str(path))
    return vectordb_bench.Shoal(16, config.to_dict(), case, collection_name="points", **arguments)


def test_vectordb_bench_loads_in_one_process_and_searches_in_others(vectors, tmp_path):
    db = client(tmp_path / "bench.db", drop_old=True)
    with db.init():
        for begin in range(0, 1000, 250):
            rows = vectors[begin:begin + 250].tolist()
            assert db.insert_embeddings(rows, list(range(begin, begin + 250))) == (250, None)
        count, error = db.insert_embeddings([[1.0] * 15], [5000])
        assert count == 0 and isinstance(error, shoal.BatchError)
        db.optimize(1000)
        assert db.search_embedding(vectors[7].tolist(), k=3)[0] == 7  # While it is open for writing.
    truth, _ = shoal.exact_search(vectors, vectors[:20], 10, metric="cosine")
    with db.init():
        assert shoal.recall(np.array([db.search_embedding(v.tolist(), k=10) for v in vectors[:20]]), truth) > 0.95
    program = ("import pickle, sys\ndb = pickle.load(sys.stdin.buffer)\n"
               "with db.init(): print(db.search_embedding(" + repr(vectors[11].tolist()) + ", k=1))")
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(db), capture_output=True, check=True)
    assert done.stdout == b"[11]\n"
    assert client(tmp_path / "bench.db").search_embedding(vectors[5].tolist(), k=1) == [5], "what is there stays"
    assert client(tmp_path / "bench.db", drop_old=True).search_embedding(vectors[5].tolist(), k=1) == []


def test_vectordb_bench_filters_by_number(vectors, tmp_path):
    db = client(tmp_path / "bench.db", metric="L2")
    with db.init():
        db.insert_embeddings(vectors.tolist(), list(range(1000)))
        db.prepare_filter(types.SimpleNamespace(type="NumGE", int_value=990))
        assert sorted(db.search_embedding(vectors[0].tolist(), k=100)) == list(range(990, 1000))
        db.prepare_filter(types.SimpleNamespace(type="NonFilter"))
        assert db.search_embedding(vectors[0].tolist(), k=1) == [0]
        with pytest.raises(NotImplementedError, match="Label"):
            db.prepare_filter(types.SimpleNamespace(type="Label", label_value="a"))
    with pytest.raises(NotImplementedError, match="HAMMING"):
        client(tmp_path / "other.db", metric="HAMMING")
