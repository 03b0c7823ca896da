"""What shoal.hnswlib keeps of hnswlib: values, shapes, errors."""
import pickle
import threading

import numpy as np
import pytest

import shoal
import shoal.hnswlib as hnswlib

BASE = np.float32([[1, 2, 2, 0], [2, 0, 0, 0], [0, 0, 3, 4]])
QUERY = np.float32([2, 1, 0, 0])


def made(space="l2", dim=4, max_elements=100, **options):
    index = hnswlib.Index(space, dim)
    index.init_index(max_elements, **options)
    return index


@pytest.mark.parametrize("space, expected", [
    ("l2", {0: 6, 1: 1, 2: 30}), ("ip", {0: -3, 1: -3, 2: 1}),
    ("cosine", {0: 1 - 4 / 45**.5, 1: 1 - 2 / 5**.5, 2: 1}),
])
def test_distances_are_hnswlib_s(space, expected):
    brute = hnswlib.BFIndex(space, 4)
    brute.init_index(3)
    for index in (made(space), brute):
        index.add_items(BASE)
        labels, distances = index.knn_query(QUERY, k=3)
        assert labels.shape == distances.shape == (1, 3)
        assert (labels.dtype, distances.dtype) == (np.uint64, np.float32)
        assert dict(zip(labels[0].tolist(), distances[0].tolist())) == pytest.approx(expected, abs=1e-6)


def test_labels_count_up_and_are_replaced():
    index = made()
    index.add_items(BASE)
    index.add_items(BASE[0])
    assert sorted(index.get_ids_list()) == [0, 1, 2, 3]
    index.add_items(BASE[2], 0)
    np.testing.assert_array_equal(index.get_items([0]), BASE[2:])
    assert index.get_items([1], return_type="list") == [[2, 0, 0, 0]]
    assert len(index.get_items()) == 0 and index.element_count == 4


def test_vectors_are_normalised_under_cosine_only():
    index = made("cosine")
    index.add_items([[3, 0, 4, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(index.get_items([0, 1]), [[.6, 0, .8, 0], [0] * 4])
    assert index.knn_query([[3, 0, 4, 0]], k=2)[1].tolist()[0] == pytest.approx([0, 1], abs=1e-6)


def test_errors_are_runtime_errors():
    index = hnswlib.Index("l2", 4)
    for call in (lambda: index.add_items(BASE), lambda: index.knn_query(BASE), lambda: index.mark_deleted(0)):
        with pytest.raises(RuntimeError, match="not initiated"):
            call()
    index.init_index(2)
    with pytest.raises(RuntimeError, match="already initiated"):
        index.init_index(2)
    with pytest.raises(RuntimeError, match="exceeds the specified limit"):
        index.add_items(BASE)
    index.add_items(BASE[:2])
    with pytest.raises(RuntimeError, match="contiguous 2D array"):
        index.knn_query(QUERY, k=3)
    with pytest.raises(RuntimeError, match="dimensionality"):
        index.add_items([[1, 2]])
    with pytest.raises(RuntimeError, match="Label not found"):
        index.get_items([7])
    with pytest.raises(RuntimeError, match="Label not found"):
        index.mark_deleted(7)
    with pytest.raises(RuntimeError, match="less than the current"):
        index.resize_index(1)
    with pytest.raises(RuntimeError, match="disabled"):
        index.add_items(BASE[:1], replace_deleted=True)
    with pytest.raises(RuntimeError, match="Space name"):
        hnswlib.Index("hamming", 4)
    with pytest.raises(RuntimeError, match="Cannot open file"):
        index.load_index("no such file")
    with pytest.raises(ValueError):
        index.get_items(0)


def test_deleted_labels_stay_until_they_are_replaced(tmp_path):
    index = made(max_elements=3, allow_replace_deleted=True)
    index.add_items(BASE)
    index.mark_deleted(1)
    assert index.knn_query(QUERY, k=2)[0].tolist() == [[0, 2]]
    assert index.get_current_count() == 3 and sorted(index.get_ids_list()) == [0, 1, 2]
    with pytest.raises(RuntimeError, match="already deleted"):
        index.mark_deleted(1)
    with pytest.raises(RuntimeError, match="Label not found"):
        index.get_items([1])
    index.save_index(tmp_path / "index")
    for again in (hnswlib.Index("l2", 4), pickle.loads(pickle.dumps(index))):
        if again.get_max_elements() == 0:
            again.load_index(tmp_path / "index", allow_replace_deleted=True)
        assert again.get_current_count() == again.get_max_elements() == 3
        again.unmark_deleted(1)
        assert again.knn_query(QUERY, k=3)[0][0].tolist() == [1, 0, 2]
        with pytest.raises(RuntimeError, match="not deleted"):
            again.unmark_deleted(1)
    with pytest.raises(RuntimeError, match="exceeds"):
        index.add_items(BASE[1], 9)
    index.add_items(BASE[1], 9, replace_deleted=True)
    assert sorted(index.get_ids_list()) == [0, 2, 9]


def test_files_are_one_file_and_a_plain_snapshot_is_read(tmp_path):
    index = made(M=8, ef_construction=50)
    index.add_items(BASE)
    index.set_ef(77)
    index.save_index(tmp_path / "index")
    assert [p.name for p in tmp_path.iterdir()] == ["index"]
    assert index.index_file_size() == (tmp_path / "index").stat().st_size
    again = hnswlib.Index("ip", 4)
    again.load_index(str(tmp_path / "index"))
    assert (again.M, again.ef_construction, again.max_elements, again.ef) == (8, 50, 100, 10)
    assert again.knn_query(QUERY, k=3)[1][0].tolist() == pytest.approx([-3, -3, 1])
    plain = shoal.Index(4)
    plain.add([5, 6, 7], BASE)
    plain.save(tmp_path / "plain")
    again = hnswlib.Index("l2", 4)
    again.load_index(tmp_path / "plain")
    assert again.knn_query(QUERY)[0].tolist() == [[6]]
    (tmp_path / "bad").write_bytes((tmp_path / "index").read_bytes()[:-60] + b"x" * 44 + b"shoal-hnswlib-01")
    with pytest.raises(RuntimeError, match="bad"):
        again.load_index(tmp_path / "bad")


def test_a_filter_is_asked_once_for_each_label(rng):
    data = rng.random((500, 8), np.float32)
    index, brute, asked = made(dim=8, max_elements=500), hnswlib.BFIndex("l2", 8), []
    brute.init_index(500)
    for one in (index, brute):
        one.add_items(data)
    index.set_ef(100)

    def rare(label):
        asked.append(label)
        return label % 50 == 0

    labels, distances = index.knn_query(data[:20], k=5, filter=rare)
    assert len(asked) == len(set(asked)) and (labels % 50 == 0).all()
    true, exact = brute.knn_query(data[:20], k=5, filter=lambda label: label % 50 == 0)
    np.testing.assert_array_equal(labels, true)
    np.testing.assert_allclose(distances, exact, rtol=1e-5)
    with pytest.raises(RuntimeError, match="contiguous"):
        index.knn_query(data[:1], k=11, filter=rare)


def test_the_brute_force_index_is_saved_and_forgets(tmp_path):
    index = hnswlib.BFIndex("l2", 4)
    index.init_index(3)
    index.add_items(BASE, [7, 8, 9])
    index.delete_vector(8)
    index.delete_vector(8)
    index.save_index(tmp_path / "brute")
    again = hnswlib.BFIndex("l2", 4)
    again.load_index(tmp_path / "brute", max_elements=3)
    assert again.knn_query(QUERY, k=2)[0].tolist() == [[7, 9]]
    assert (again.get_current_count(), again.get_max_elements()) == (2, 3)
    with pytest.raises(RuntimeError):
        again.knn_query(QUERY, k=3)


def test_many_threads_may_do_everything_at_once(rng):
    data = rng.random((800, 8), np.float32)
    index, errors = made(dim=8, max_elements=800, allow_replace_deleted=True), []
    index.add_items(data[:400])

    def work(part):
        try:
            for i in range(part, 400, 8):
                index.mark_deleted(i)
                index.add_items(data[400 + i], 400 + i, replace_deleted=bool(i % 2))
                assert index.knn_query(data[400 + i])[0].tolist() == [[400 + i]]
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and set(index.get_ids_list()) >= set(range(400, 800))
