"""Filters and labels: hits are the nearest of what the filter accepts."""
import pickle
import threading

import numpy as np
import pytest

import shoal
from shoal import Filter

EVEN = np.arange(1000, 2000, 2)


def nearest(vectors, query, ids, k):
    """The k true neighbours among `ids` of the fixture `index`."""
    ids = np.asarray(sorted(ids))
    distances = ((vectors[ids - 1000] - query) ** 2).sum(1)
    return ids[np.argsort(distances, kind="stable")[:k]].tolist()


@pytest.mark.parametrize("make", [
    lambda ids: Filter.ids(ids),
    lambda ids: ids,
    lambda ids: ids.tolist(),
    lambda ids: set(ids.tolist()),
    lambda ids: lambda asked: np.isin(asked, ids),
    lambda ids: lambda asked: [one in set(ids.tolist()) for one in asked.tolist()],
    lambda ids: Filter.ids(ids) | Filter.ids([1, 2, 3]),
    lambda ids: Filter.ids(range(1000, 2000)) & Filter.where(lambda asked: np.isin(asked, ids)),
    lambda ids: ~Filter.ids(np.setdiff1d(np.arange(1000, 2000), ids)),
])
@pytest.mark.parametrize("ids", [np.array([1003]), np.arange(1000, 1030), EVEN], ids=["1", "30", "500"])
def test_hits_are_the_nearest_accepted_points(index, vectors, make, ids):
    only = make(ids)
    many = index.search(vectors[:8], k=5, list_size=200, filter=only)
    for i, query in enumerate(vectors[:8]):
        expected = nearest(vectors, query, ids, 5)
        assert many.query(i).ids.tolist() == expected
        assert index.search(query, k=5, list_size=200, filter=only).ids.tolist() == expected


def test_range_searches_have_filters(index, vectors):
    all_ids = index.range_search(vectors[0], 25, list_size=300).ids
    some = index.range_search(vectors[0], 25, list_size=300, filter=EVEN).ids
    assert some.tolist() == [one for one in all_ids.tolist() if one % 2 == 0] and len(some) > 3
    many = index.range_search(vectors[:3], 25, list_size=300, filter=lambda ids: ids % 2 == 0)
    np.testing.assert_array_equal(many.ids[:many.limits[1]], some)


def test_a_view_has_filters_and_labels(index, vectors, tmp_path):
    index.set_labels(1007, [5])
    index.save(tmp_path / "x")
    with shoal.View(tmp_path / "x") as view:
        assert view.search(vectors[0], k=3, filter=Filter.label(5)).ids.tolist() == [1007]
        assert view.search(vectors[0], k=3, filter=EVEN).ids.tolist() == nearest(vectors, vectors[0], EVEN, 3)
    again = pickle.loads(pickle.dumps(index))
    assert again.labels(1007).tolist() == [5]


def test_labels_come_with_points_and_stay_until_others_are_set(vectors):
    index = shoal.Index(16)
    index.add(1, vectors[1], labels=[3, 1, 3])
    index.add([2, 3, 4], vectors[2:5], labels=[[1], [], {2, 4294967295}])
    index.upsert(np.arange(10, 14), vectors[10:14], labels=np.array([7, 7, 8, 8]))
    assert [index.labels(i).tolist() for i in (1, 2, 3, 4)] == [[1, 3], [1], [], [2, 2**32 - 1]]
    found = lambda label: sorted(index.search(vectors[0], k=9, filter=Filter.label(label)).ids.tolist())  # noqa: E731
    assert (found(1), found(7), found(8), found(9)) == ([1, 2], [10, 11], [12, 13], [])
    index.upsert([1, 10], vectors[20:22])
    assert found(1) == [1, 2] and found(7) == [10, 11]
    index.upsert([1, 10], vectors[20:22], labels=[[], [9]])
    assert found(1) == [2] and found(7) == [11] and found(9) == [10]
    index.set_labels(2, 9)
    assert found(1) == [] and found(9) == [2, 10]
    stats = index.stats()
    assert stats.memory.labels > 0 and stats.work.filter_checks > 0 and stats.work.filter_scans > 0


@pytest.mark.parametrize("labels, error, match", [
    ([[1]], ValueError, "labels: expected those of 2 rows, found 1"),
    ([[1], [-1]], ValueError, "found -1"),
    ([[1], [2**32]], ValueError, "found 4294967296"),
    ([[1], [1.5]], TypeError, "integers expected, found float64"),
    ([[1], range(2000)], shoal.BatchError, "at most 1024"),
])
def test_wrong_labels_are_named(vectors, labels, error, match):
    with pytest.raises(error, match=match):
        shoal.Index(16).add([1, 2], vectors[:2], labels=labels)


def test_what_a_function_raises_comes_out_of_the_search(index, vectors):
    def fail(ids):
        raise LookupError("mine")

    for only in (fail, Filter.ids(EVEN) & Filter.where(fail), ~Filter.where(fail)):
        with pytest.raises(LookupError, match="mine"):
            index.search(vectors[0], filter=only)
        with pytest.raises(LookupError, match="mine"):
            index.search(vectors, filter=only)
        with pytest.raises(LookupError, match="mine"):
            index.range_search(vectors[0], 1, filter=only)
    with pytest.raises(ValueError, match="filter: expected .* answers, found 1"):
        index.search(vectors[0], filter=lambda ids: [True])
    with pytest.raises(TypeError, match="integers expected"):
        index.search(vectors[0], filter=[1.5])
    with pytest.raises(ValueError, match="label: expected 0 to"):
        Filter.label(-1)
    with pytest.raises(TypeError, match="Filter.ids"):
        Filter()


def test_a_function_may_call_the_index_and_gets_each_id_at_most_once(index, vectors):
    asked = []

    def accepts(ids):
        assert ids.dtype == np.uint64 and ids.ndim == 1 and len(set(ids.tolist())) == len(ids)
        asked.extend(ids.tolist())
        return index.contains(ids) & (ids % 3 == 0)

    ids = index.search(vectors[0], k=5, list_size=200, filter=accepts).ids
    assert ids.tolist() == nearest(vectors, vectors[0], np.arange(1002, 2000, 3), 5)
    assert asked and set(asked) <= set(index)


def test_threads_search_with_one_filter_while_another_writes(index, vectors):
    only, failures, done = Filter.where(lambda ids: ids % 2 == 0) & Filter.ids(np.arange(1000, 1400)), [], []

    def search():
        for i in range(100):
            ids = index.search(vectors[i], k=4, filter=only).ids
            if len(ids) != 4 or (ids % 2).any() or ids.max() >= 1400:
                failures.append(ids)
        done.append(1)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(300):
        index.upsert(5000 + i, vectors[i])
    for thread in threads:
        thread.join()
    assert not failures and len(done) == 3


def test_filters_can_be_shown_and_pickled(index, vectors):
    only = ~Filter.ids([1000]) & (Filter.label(3) | Filter.ids(EVEN))
    assert repr(only) == "(~Filter.ids(<1 ids>) & (Filter.label(3) | Filter.ids(<500 ids>)))"
    again = pickle.loads(pickle.dumps(only))
    np.testing.assert_array_equal(index.search(vectors[0], filter=again).ids,
                                  index.search(vectors[0], filter=only).ids)


def test_a_filter_that_holds_itself_is_freed():
    import gc
    import weakref

    class Holder:
        def __call__(self, ids):
            return ids % 2 == 0

    holder = Holder()
    holder.filter = Filter.where(holder)
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None


def test_a_target_recall_is_measured_and_used(index, vectors):
    assert index.calibration(5, 0.9) is None
    found = index.calibrate(k=5, target_recall=0.9)
    assert found == index.calibration(5, 0.9) and found.recall >= 0.9 and found.points == 1000 and found.queries > 0
    truth, _ = shoal.exact_search(vectors, vectors[:200] + 0.05, 5)
    hits = index.search(vectors[:200] + 0.05, k=5, target_recall=0.9)
    assert shoal.recall(hits.ids - 1000, truth) > 0.85
    for wrong in (1.5, -1, float("nan")):
        with pytest.raises(ValueError, match="target"):
            index.calibrate(target_recall=wrong)
        with pytest.raises(ValueError, match="target"):
            index.search(vectors[0], target_recall=wrong)


def test_pages_hand_out_every_point_once_and_nearest_first(index, vectors, tmp_path):
    index.save(tmp_path / "x")
    with shoal.View(tmp_path / "x") as view:
        for searched in (index, view):
            pages = list(searched.search_pages(vectors[3], k=64))
            assert [len(page.ids) for page in pages] == [64] * (len(index) // 64) + [len(index) % 64]
            assert sorted(np.concatenate([page.ids for page in pages])) == sorted(index)
            assert all((np.diff(page.distances) >= 0).all() for page in pages)
            first = searched.search(vectors[3], k=64)
            np.testing.assert_array_equal(pages[0].ids, first.ids)
            even = [page.ids for page in searched.search_pages(vectors[3], k=200, filter=lambda ids: ids % 2 == 0)]
            assert sorted(np.concatenate(even)) == sorted(i for i in index if i % 2 == 0)


def test_pages_go_on_while_points_come_and_go(index, vectors):
    pages = index.search_pages(vectors[0], k=10)
    first = next(pages)
    index.delete(1500)
    index.close()
    rest = np.concatenate([page.ids for page in pages])  # An index that is closed serves its pages.
    assert 1500 not in rest and not set(rest) & set(first.ids)
    assert len(rest) + len(first.ids) == 999 + (1500 in first.ids)
    with pytest.raises(ValueError, match="closed"):
        index.search_pages(vectors[0])


def test_errors_of_pages_come_out(index, vectors):
    with pytest.raises(ValueError, match="k: expected at least 1"):
        index.search_pages(vectors[0], k=0)
    with pytest.raises(ValueError, match="expected one vector, found 2 rows"):
        index.search_pages(vectors[:2])

    def fail(ids):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        next(index.search_pages(vectors[0], filter=fail))


def test_a_label_has_no_more_hits_than_are_asked_for(vectors):
    index = shoal.Index(16)
    index.add(np.arange(100), vectors[:100], labels=(np.arange(100) % 5)[:, np.newaxis].tolist())
    for hits in (index.search(vectors[0], k=10, max_per_label=2), index.search(vectors[:3], k=10, max_per_label=2)):
        for ids in np.atleast_2d(hits.ids):
            assert sorted(ids % 5) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    page = next(index.search_pages(vectors[0], k=5, max_per_label=1))
    assert sorted(page.ids % 5) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="max_per_label: expected 0 or more"):
        index.search(vectors[0], max_per_label=-1)
