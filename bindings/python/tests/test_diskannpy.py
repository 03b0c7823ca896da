"""What shoal.diskannpy keeps of diskannpy: values, shapes, files, errors."""
import warnings

import numpy as np
import pytest

import shoal
import shoal.diskannpy as diskannpy

BASE = np.float32([[1, 2, 2, 0], [2, 0, 0, 0], [0, 0, 3, 4]])
QUERY = np.float32([2, 1, 0, 0])


def dynamic(metric="l2", dtype=np.float32, dimensions=4, max_vectors=100):
    return diskannpy.DynamicMemoryIndex(metric, dtype, dimensions, max_vectors, complexity=64, graph_degree=32)


def build(folder, data=BASE, metric="l2", **options):
    diskannpy.build_memory_index(data, metric, str(folder), complexity=64, graph_degree=32, num_threads=1, **options)


def static(folder, **options):
    return diskannpy.StaticMemoryIndex(str(folder), num_threads=1, initial_search_complexity=64, **options)


@pytest.mark.parametrize("metric, order, distances", [
    ("l2", [2, 1, 3], [1, 6, 30]), ("mips", [1, 2, 3], [4, 4, 0]),
    ("cosine", [2, 1, 3], [1 - 2 / 5**.5, 1 - 4 / 45**.5, 1]),
])
def test_distances_are_those_of_the_metric_and_padding_says_so(tmp_path, metric, order, distances):
    index = dynamic(metric)
    index.batch_insert(BASE, np.uint32([1, 2, 3]))
    build(tmp_path, metric=metric)
    for answer, shift in ((index.search(QUERY, 5, 10), 0), (static(tmp_path).search(QUERY, 5, 10), 1)):
        assert isinstance(answer, diskannpy.QueryResponse)
        ids = answer.identifiers + np.uint32(shift)
        assert answer.identifiers.dtype == np.uint32 and answer.distances.dtype == np.float32
        assert set(ids[:3].tolist()) == set(order)
        assert answer.distances[:3].tolist() == pytest.approx(distances, abs=1e-6)
        assert answer.identifiers[3:].tolist() == [2**32 - 1] * 2 and np.isinf(answer.distances[3:]).all()
    batch = index.batch_search(BASE, 5, 10, 1)
    assert batch.identifiers.shape == batch.distances.shape == (3, 5)
    assert (batch.identifiers[:, 3:] == 2**32 - 1).all() and np.isinf(batch.distances[:, 3:]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint8])
def test_files_are_diskann_s_and_come_back(tmp_path, rng, dtype):
    rows = rng.integers(0, 100, (300, 6)).astype(dtype)
    tags = rng.permutation(np.arange(1, 301, dtype=np.uint32))
    build(tmp_path, rows, tags=tags)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"ann", "ann.data", "ann.tags", "ann_vectors.bin", "ann_metadata.bin"}
    metadata = np.fromfile(tmp_path / "ann_metadata.bin", np.uint64).tolist()
    assert metadata == [[np.float32, np.int8, np.uint8].index(dtype), 0, 300, 6]
    np.testing.assert_array_equal(diskannpy.vectors_from_file(tmp_path / "ann_vectors.bin", dtype), rows)
    np.testing.assert_array_equal(diskannpy.tags_from_file(tmp_path / "ann.tags"), tags)
    assert diskannpy.vectors_metadata_from_file(tmp_path / "ann_vectors.bin") == (300, 6)
    np.testing.assert_array_equal(
        diskannpy.vectors_from_file(tmp_path / "ann_vectors.bin", dtype, use_memmap=True), rows)
    index = diskannpy.DynamicMemoryIndex.from_file(str(tmp_path), 400, complexity=64, graph_degree=32)
    by_row, by_tag = static(tmp_path), index
    _, truth = shoal.exact_search(rows, rows[:20], 1, dtype=dtype)
    np.testing.assert_array_equal(by_row.batch_search(rows[:20], 1, 50, 1).distances, truth)
    found = by_tag.batch_search(rows[:20], 1, 50, 1)
    np.testing.assert_array_equal(found.distances, truth)
    np.testing.assert_array_equal(rows[np.argsort(tags)[found.identifiers[:, 0] - 1]], rows[:20])
    index.mark_deleted(int(tags[3]))
    (tmp_path / "again").mkdir()
    with pytest.warns(UserWarning, match="1 deleted"):
        index.save(str(tmp_path / "again"))
    again = diskannpy.DynamicMemoryIndex.from_file(str(tmp_path / "again"), 400, complexity=64, graph_degree=32)
    assert again._num_vectors == 299 and tags[3] not in again.batch_search(rows, 10, 300, 0).identifiers


def test_max_vectors_is_kept():
    index = dynamic(max_vectors=3)
    index.batch_insert(BASE, np.uint32([1, 2, 3]))
    with pytest.raises(RuntimeError, match="max_vectors"):
        index.insert(QUERY, 4)
    index.mark_deleted(1)
    with pytest.warns(UserWarning, match="max_vectors=3 is reached"):
        index.insert(QUERY, 4)
    assert index.search(QUERY, 3, 10).identifiers.tolist() == [4, 2, 3]
    with pytest.raises(RuntimeError, match="id 4"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        index.mark_deleted(2)
        index.insert(QUERY, 4)
    with pytest.raises(RuntimeError, match="id 77"):
        index.mark_deleted(77)


def test_arguments_are_checked():
    index = dynamic()
    for call in (lambda: index.insert(QUERY, 0), lambda: index.insert(QUERY, 2**32 - 1),
                 lambda: index.batch_insert(BASE, np.uint32([0, 1, 2])),
                 lambda: index.batch_insert(BASE, np.uint32([1, 2])),
                 lambda: index.insert(QUERY[:3], 1), lambda: index.search(QUERY, 0, 10),
                 lambda: index.search(QUERY, 1, 0), lambda: dynamic("l1"), lambda: dynamic(dtype=np.float64),
                 lambda: dynamic(dimensions=0), lambda: dynamic(max_vectors=0)):
        with pytest.raises(ValueError):
            call()
    for call in (lambda: index.insert(np.float64([1, 2, 3, 4]), 1),
                 lambda: index.batch_insert(BASE, np.int64([1, 2, 3]))):
        with pytest.raises(TypeError, match="without loss"):
            call()
    index.insert(np.uint8([1, 2, 3, 4]), 5)
    with pytest.warns(UserWarning, match="k_neighbors=9"):
        index.search(QUERY, 9, 5)
    with pytest.raises(RuntimeError, match="no points"):
        dynamic().save(".")


def test_a_search_with_a_label_is_complete(tmp_path, rng):
    rows = rng.random((200, 4), np.float32)
    labels = [["all"] if i == 0 else ["even" if i % 2 == 0 else "odd"] + ["rare"] * (i % 50 == 1) for i in range(200)]
    build(tmp_path, rows, filter_labels=labels, universal_label="all")
    index = static(tmp_path, enable_filters=True)
    rare = index.search(rows[1], 100, 100, filter_label="rare")
    assert sorted(rare.identifiers.tolist()) == [0, 1, 51, 101, 151] and rare.identifiers[0] == 1
    odd = index.search(rows[1], 101, 200, filter_label="odd")
    assert sorted(odd.identifiers.tolist()) == [0, *range(1, 200, 2)]
    with pytest.raises(ValueError, match="no vector has the label"):
        index.search(rows[1], 3, 10, filter_label="none")


def test_an_index_is_never_built_over_another_s_vectors(tmp_path):
    build(tmp_path)
    with pytest.raises(ValueError, match="is there already"):
        build(tmp_path)
    diskannpy.vectors_to_file(tmp_path / "mine.bin", BASE)
    build(tmp_path, str(tmp_path / "mine.bin"), vector_dtype=np.float32, index_prefix="other")
    assert static(tmp_path, index_prefix="other").search(QUERY, 1, 5).identifiers.tolist() == [1]


def test_disk_indices_check_their_arguments_and_are_not_there(tmp_path):
    good = {"data": BASE, "distance_metric": "l2", "index_directory": str(tmp_path), "complexity": 5, "graph_degree": 5,
            "search_memory_maximum": 1.0, "build_memory_maximum": 1.0, "num_threads": 1}
    with pytest.raises(NotImplementedError, match="disk"):
        diskannpy.build_disk_index(**good)
    for name, value in (("search_memory_maximum", 0), ("complexity", 0), ("distance_metric", "l1")):
        with pytest.raises(ValueError, match=name):
            diskannpy.build_disk_index(**{**good, name: value})
    with pytest.raises(NotImplementedError):
        diskannpy.StaticDiskIndex(str(tmp_path), 1, 10)
