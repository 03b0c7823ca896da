"""What an index does, one point or many."""
import copy
import pickle

import numpy as np
import pytest

import shoal


def of_dtype(rng, dtype, rows, dim):
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal((rows, dim)).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, (rows, dim), endpoint=True).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
@pytest.mark.parametrize("metric", ["l2", "inner_product", "cosine"])
def test_search_finds_what_brute_force_finds(rng, dtype, metric):
    vectors, queries = of_dtype(rng, dtype, 800, 24), of_dtype(rng, dtype, 20, 24)
    index = shoal.Index(24, metric=metric, dtype=dtype)
    assert index.add(np.arange(800), vectors) == 800
    rows, truth = shoal.exact_search(vectors, queries, 10, metric=metric, dtype=dtype)
    hits = index.search(queries, k=10, list_size=200)
    assert hits.ids.shape == hits.distances.shape == (20, 10)
    assert hits.ids.dtype == np.uint64 and hits.distances.dtype == np.float32
    assert shoal.recall(hits.ids, rows) > 0.99
    np.testing.assert_allclose(hits.distances, truth, rtol=2e-3, atol=1e-3)
    for i, query in enumerate(queries):
        one = index.search(query, k=10, list_size=200)
        np.testing.assert_array_equal(one.ids, hits.ids[i])
        np.testing.assert_array_equal(one.distances, hits.distances[i])


def test_distances_are_those_of_the_metric():
    base, query = [[1, 2, 2, 0], [2, 0, 0, 0], [0, 0, 3, 4]], [2, 1, 0, 0]
    for metric, expected in (("l2", {0: 6, 1: 1, 2: 30}), ("inner_product", {0: -4, 1: -4, 2: 0}),
                             ("manhattan", {0: 4, 1: 1, 2: 10}),
                             ("cosine", {0: 1 - 4 / 45**.5, 1: 1 - 2 / 5**.5, 2: 1})):
        index = shoal.Index(4, metric=metric)
        index.add([0, 1, 2], base)
        ids, distances = index.search(query, k=3)
        assert dict(zip(ids.tolist(), distances.tolist())) == pytest.approx(expected, abs=1e-6)
        assert (np.diff(distances) >= 0).all()


def test_points_come_and_go_one_by_one():
    index = shoal.Index(2)
    assert index.add(7, [1, 2]) == 1
    assert index.upsert(8, [3, 4]) == 1
    assert index.upsert(7, [5, 6]) == 1
    assert 7 in index and 8 in index and 9 not in index and len(index) == 2
    np.testing.assert_array_equal(index[7], [5, 6])
    index[7] = [1, 1]
    np.testing.assert_array_equal(index.get(7), [1, 1])
    assert index.search([1, 1], k=1).ids.tolist() == [7]
    index.delete(7)
    del index[8]
    assert len(index) == 0 and index.search([1, 1]).ids.tolist() == []


def test_points_come_and_go_by_the_thousand(index, vectors):
    assert index.upsert(np.arange(1500, 2500), vectors) == 1000
    assert len(index) == 1500 and sorted(index) == list(range(1000, 2500))
    np.testing.assert_array_equal(index[np.arange(1500, 2500)], vectors)
    index.delete(np.arange(1000, 1500))
    assert index.contains([999, 1000, 1500, 2499]).tolist() == [False, False, True, True]
    assert index.discard([999, 1500, 1501, 1]) == 2
    assert index.search(vectors, k=1).counts.tolist() == [1] * 1000
    index.consolidate()
    assert index.compact() >= 0
    index.refine()
    index.check_structure()
    index.clear()
    assert len(index) == 0 and index.ids().tolist() == []


def test_fewer_hits_than_k_are_a_result():
    index = shoal.Index(1)
    assert index.search([0], k=10**9).ids.size == 0
    index.add([2**64 - 1, 5], [[1], [2]])
    ids, distances = index.search([0], k=10)
    assert ids.tolist() == [2**64 - 1, 5] and distances.tolist() == [1, 4]
    hits = index.search([[0], [3]], k=4)
    assert hits.counts.tolist() == [2, 2]
    assert hits.ids[:, 2:].tolist() == [[2**64 - 1] * 2] * 2 and np.isinf(hits.distances[:, 2:]).all()
    assert hits.query(1).ids.tolist() == [5, 2**64 - 1]
    assert [h.distances.tolist() for h in hits.queries()] == [[1, 4], [1, 4]]
    assert index.search(np.empty((0, 1), np.float32)).ids.shape == (0, 10)


def test_range_search_finds_all_within_the_radius(index, vectors):
    squared = ((vectors[:, None, :] - vectors[None, :20, :]) ** 2).sum(2)
    radius = float(np.partition(squared, 30, axis=0)[30].mean())
    found = index.range_search(vectors[:20], radius, list_size=200)
    for i in range(20):
        one = index.range_search(vectors[i], radius, list_size=200)
        mine = slice(found.limits[i], found.limits[i + 1])
        np.testing.assert_array_equal(found.ids[mine], one.ids)
        np.testing.assert_array_equal(found.distances[mine], one.distances)
        assert (one.distances <= radius).all() and (np.diff(one.distances) >= 0).all()
        assert set(one.ids.tolist()) == set((np.flatnonzero(squared[:, i] <= radius) + 1000).tolist())


def test_get_of_what_is_not_there_is_a_key_error_or_the_default(index):
    with pytest.raises(KeyError, match="id 3: not there"):
        index.get(3)
    with pytest.raises(shoal.IdNotFoundError, match="id 3: not there; 1 of 2"):
        index.get([1000, 3])
    assert index.get(3, None) is None
    filled = index.get([3, 1000], default=0)
    assert filled[0].tolist() == [0] * 16 and filled[1].any()


def test_a_row_that_fails_does_not_stop_the_others(index, vectors):
    rows = vectors[:3].copy()
    rows[2, 5] = np.nan
    with pytest.raises(shoal.BatchError, match="2 of 3 rows failed; row 0: id 1000") as caught:
        index.add([1000, 5, 6], rows)
    assert caught.value.rows == [0, 2] and caught.value.done == 1 and 5 in index and 6 not in index
    assert [type(e) for e in caught.value.errors] == [shoal.DuplicateIdError, ValueError]
    with pytest.raises(ValueError, match="errors: expected 'raise' or 'report'"):
        index.add([1000, 7], rows[:2], errors="ignore")
    assert 7 not in index, "nothing is done before the arguments are good"
    report = index.add([1000, 7], rows[:2], errors="report")
    assert report.done == 1 and report.rows == [0] and 7 in index
    with pytest.raises(shoal.BatchError) as caught:
        index.delete([5, 4242])
    assert caught.value.rows == [1] and 5 not in index
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.rows == [1]


def test_what_is_saved_is_what_is_loaded(index, vectors, tmp_path):
    before = index.search(vectors, k=5)
    index.save(tmp_path / "index.shoal")
    info = shoal.inspect(tmp_path / "index.shoal")
    assert (info.points, info.options.dim, info.options.metric) == (1000, 16, "l2")
    assert shoal.verify(tmp_path / "index.shoal") == info
    loaded = shoal.Index.load(str(tmp_path / "index.shoal"), repair="manual")
    assert loaded.options == index.options
    with shoal.View(tmp_path / "index.shoal") as view:
        for other in (loaded, view):
            after = other.search(vectors, k=5)
            np.testing.assert_array_equal(after.ids, before.ids)
            np.testing.assert_array_equal(after.distances, before.distances)
            assert sorted(other) == sorted(index) and 1000 in other and 1 not in other
            np.testing.assert_array_equal(other[[1000, 1999]], vectors[[0, 999]])
        view.verify()
        assert "1,000 x 16 float32 l2" in repr(view)
    with pytest.raises(ValueError, match="closed"):
        view.search(vectors[0])


def test_a_pickled_index_is_the_same_index(index, vectors):
    again = pickle.loads(pickle.dumps(index))
    np.testing.assert_array_equal(again.search(vectors).ids, index.search(vectors).ids)
    with pytest.raises(TypeError):
        copy.copy(index)


def test_diskann_files_go_out_and_come_back(index, vectors, tmp_path):
    index.save_diskann(tmp_path / "d", dynamic=True)
    again = shoal.Index.load_diskann(tmp_path / "d", tags=True)
    assert sorted(again) == sorted(index)
    np.testing.assert_array_equal(again[1500], index[1500])
    rows = shoal.read_bin(str(tmp_path / "d") + ".data")
    assert rows.shape[1] == 16
    shoal.write_bin(tmp_path / "x.bin", vectors)
    np.testing.assert_array_equal(shoal.read_bin(tmp_path / "x.bin"), vectors)
    shoal.write_vecs(tmp_path / "x.fvecs", vectors)
    np.testing.assert_array_equal(shoal.read_vecs(tmp_path / "x.fvecs"), vectors)


def test_a_closed_index_says_so_and_frees_its_memory():
    with shoal.Index(2) as index:
        index.add(1, [1, 2])
    assert index.closed and repr(index) == "<shoal.Index, closed>"
    for call in (lambda: index.search([1, 2]), lambda: len(index), lambda: index.add(2, [1, 2])):
        with pytest.raises(ValueError, match="the index is closed"):
            call()
    index.close()


def test_stats_count_what_is_there(index, vectors):
    stats = index.stats()
    assert stats.points == 1000 and stats.edges > 1000 and stats.work.distances > 0
    assert stats.memory.total == sum(vars(stats.memory).values()) > vectors.nbytes
    assert shoal.active_isa() in ("avx3_dl", "avx3", "avx2", "sse4", "ssse3", "scalar")


def test_at_the_memory_limit_an_insert_is_a_memory_error():
    index = shoal.Index(1000, memory_limit=1 << 20)
    with pytest.raises(shoal.BatchError) as caught:
        index.add(np.arange(2000), np.zeros((2000, 1000), np.float32))
    assert isinstance(caught.value.errors[0], MemoryError) and "memory_limit" in str(caught.value)
    assert len(index) == caught.value.done


@pytest.mark.parametrize("dim", [64, 61, 3])
def test_vectors_of_bits_are_bools_or_packed_bytes(rng, dim):
    bits = rng.integers(0, 2, (300, dim)).astype(bool)
    packed = np.packbits(bits, axis=1, bitorder="little")
    index = shoal.Index(dim, metric="hamming", dtype="bit")
    index.add(np.arange(150), bits[:150])
    index.add(np.arange(150, 300), packed[150:])
    np.testing.assert_array_equal(index[np.arange(300)], packed)
    assert index.dtype == np.uint8 and index.options.dtype == "bit"
    distances = (bits[None, :20] != bits[:, None]).sum(2)
    hits = index.search(bits[:20], k=5, list_size=300)
    np.testing.assert_array_equal(hits.distances, np.sort(distances, axis=0)[:5].T)
    np.testing.assert_array_equal(shoal.exact_search(bits, bits[:20], 5, metric="hamming", dtype="bit")[1],
                                  hits.distances)
    np.testing.assert_array_equal(index.search(packed[3], k=5, list_size=300).distances, hits.distances[3])
    np.testing.assert_array_equal(index[7], packed[7])
    with pytest.raises(TypeError, match="bool"):
        shoal.Index(dim, dtype="uint8").add(np.arange(300), bits)
    with pytest.raises(ValueError, match="expected"):
        index.search(np.zeros(dim // 8 + 2, np.uint8))


@pytest.mark.parametrize("code", ["float16", "sq8", "rq4", "rq1", "sign"])
def test_with_a_code_hits_have_the_distances_of_the_rerank_code(rng, tmp_path, code):
    vectors = rng.standard_normal((600, 64), np.float32)
    index = shoal.Index(64, code=code)
    index.add(np.arange(600), vectors)
    assert (index.options.code, index.options.rerank_code) == (code, "full")
    rows, truth = shoal.exact_search(vectors, vectors[:20], 1)
    hits = index.search(vectors[:20], k=1, list_size=100, rerank=100)
    np.testing.assert_array_equal(hits.ids, rows)
    np.testing.assert_allclose(hits.distances, truth, atol=1e-4)
    assert index.stats().work.reranked > 0
    index.save(tmp_path / "x")
    with shoal.View(tmp_path / "x") as view:
        assert view.options == index.options
        np.testing.assert_array_equal(view.search(vectors[:20], k=1, list_size=100, rerank=100).ids, rows)


def test_a_view_gives_the_same_answers_wherever_it_reads(index, vectors, tmp_path):
    before = index.search(vectors, k=5)
    index.save(tmp_path / "plain")
    index.save(tmp_path / "packed", list_codes=True)
    assert (tmp_path / "packed").stat().st_size > (tmp_path / "plain").stat().st_size
    for name, how in (("packed", {}), ("plain", {"list_codes": "make"}), ("packed", {"memory": "copied", "threads": 1})):
        with shoal.View(tmp_path / name, **how) as view, pickle.loads(pickle.dumps(view)) as again:
            for searched in (view, again):
                after = searched.search(vectors, k=5)
                np.testing.assert_array_equal(after.ids, before.ids)
                np.testing.assert_array_equal(after.distances, before.distances)
    for wrong in ({"memory": "fast"}, {"list_codes": "none"}, {"threads": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
            shoal.View(tmp_path / "plain", **wrong)


def test_an_index_is_bytes_and_goes_through_open_files(index, vectors, tmp_path):
    data = index.to_bytes()
    index.save(tmp_path / "x")
    assert data == (tmp_path / "x").read_bytes()
    with open(tmp_path / "y", "wb") as file:
        index.save_to(file)
    with open(tmp_path / "y", "rb") as file:
        again = shoal.Index.load_from(file)
    for other in (again, shoal.Index.from_bytes(memoryview(data)), pickle.loads(pickle.dumps(index))):
        np.testing.assert_array_equal(other.search(vectors).ids, index.search(vectors).ids)
    with pytest.raises(shoal.CorruptFileError, match="stream"):
        shoal.Index.from_bytes(data[:-1])

    class Broken:
        def write(self, piece):
            raise LookupError("mine")

        def read(self, n):
            raise LookupError("mine")

    for call in (lambda: index.save_to(Broken()), lambda: shoal.Index.load_from(Broken())):
        with pytest.raises(LookupError, match="mine"):
            call()


def test_sizes_are_known_before(index):
    taken = index.stats().memory
    assert shoal.Index.estimate_bytes(1000, 16) == pytest.approx(taken.total - taken.scratch, rel=0.25)
