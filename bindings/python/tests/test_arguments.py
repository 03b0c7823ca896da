"""What may be handed over, what is converted, and what is refused with which words."""
import array

import numpy as np
import pytest

import shoal
from shoal._arrays import as_vectors


def numbers(*rows):
    return np.array(rows, np.float32)


@pytest.mark.parametrize("rows", [
    [[1, 2], [3, 4]],
    ((1.0, 2.0), (3.0, 4.0)),
    np.array([[1, 2], [3, 4]], np.float64),
    np.array([[1, 2], [3, 4]], np.int64),
    np.array([[1, 2], [3, 4]], ">f4"),
    np.asfortranarray(numbers([1, 2], [3, 4])),
    numbers([1, 0, 2, 0], [3, 0, 4, 0])[:, ::2],
    [np.array([1, 2], np.float16), array.array("d", [3, 4])],
    np.array([np.array([1, 2]), np.array([3, 4]), None], object)[:2],
    memoryview(numbers([1, 2], [3, 4])),
])
def test_whatever_holds_numbers_is_taken(rows):
    index = shoal.Index(2)
    assert index.add([5, 6], rows) == 2
    np.testing.assert_array_equal(index[[5, 6]], [[1, 2], [3, 4]])
    assert index.search(rows, k=1).ids[:, 0].tolist() == [5, 6]


def test_an_unaligned_and_a_read_only_array_are_taken():
    raw = bytearray(17)
    unaligned = np.frombuffer(raw, np.float32, 4, offset=1).reshape(2, 2)
    unaligned[:] = [[1, 2], [3, 4]]
    frozen = unaligned.copy()
    frozen.flags.writeable = False
    for rows in (unaligned, frozen):
        index = shoal.Index(2)
        index.add([1, 2], rows)
        np.testing.assert_array_equal(index[[1, 2]], [[1, 2], [3, 4]])


@pytest.mark.parametrize("ids", [
    [1, 2], (1, 2), range(1, 3), np.array([1, 2], np.int8), np.array([1, 2], ">u4"), iter([1, 2]),
    np.array([1, 0, 2], np.uint64)[::2], {1: 0, 2: 0}.keys().__iter__(), [np.int64(1), np.uint8(2)],
])
def test_whatever_holds_integers_is_ids(ids):
    index = shoal.Index(1)
    assert index.add(ids, [[1], [2]]) == 2
    assert sorted(index) == [1, 2]


def test_ids_are_all_64_bit_numbers():
    index = shoal.Index(1)
    index.add([0, 2**63, 2**64 - 1], [[0], [1], [2]])
    assert sorted(index) == [0, 2**63, 2**64 - 1] and np.uint64(2**63) in index
    assert index.search([2], k=1).ids[0] == 2**64 - 1


@pytest.mark.parametrize("ids, error, words", [
    (-1, ValueError, "found -1"),
    (2**64, ValueError, "2\\^64"),
    ([1, -5], ValueError, "found -5 at 1"),
    (np.array([1, -5]), ValueError, "found -5 at 1"),
    ([1.0, 2.0], TypeError, "integers expected, found 1.0"),
    (np.array([1.0, np.nan]), TypeError, "integers expected, found float64; is one missing"),
    ([1, None], TypeError, "found None"),
    ([True, False], TypeError, "found bool"),
    (True, TypeError, "bool"),
    ("7", TypeError, "integer"),
    (None, TypeError, "integer"),
    ([[1, 2]], ValueError, "one dimension"),
    (1.5, TypeError, "integer"),
])
def test_other_ids_are_refused(ids, error, words):
    index = shoal.Index(1)
    with pytest.raises(error, match=words):
        index.add(ids, [[1], [2]])
    assert len(index) == 0


def test_swapped_arguments_are_named():
    index = shoal.Index(2)
    with pytest.raises(TypeError, match="ids come first"):
        index.add([[1.0, 2.0], [3.0, 4.0]], [1, 2])
    with pytest.raises(TypeError, match="ids come first"):
        index.upsert(np.zeros(2, np.float32), 7)


@pytest.mark.parametrize("rows, error, words", [
    ([[1, 2, 3]], ValueError, "expected 2, found 3"),
    ([[1, np.nan]], shoal.BatchError, "NaN"),
    ([[1, 1e300]], shoal.BatchError, "inf"),
    ([["a", "b"]], TypeError, "numbers expected"),
    ([[1, 2], [3]], ValueError, "row 1: expected 2 numbers, found 1"),
    (np.zeros((1, 1, 2)), ValueError, "found 3 dimensions"),
    (3.0, ValueError, "0 dimensions"),
    ([1, 2], ValueError, "expected a matrix"),
    ([[1, 2], [3, 4]], ValueError, "one per row, 2, found 1"),
    ([[1 + 2j, 0]], TypeError, "complex"),
])
def test_other_vectors_are_refused(rows, error, words):
    index = shoal.Index(2)
    with pytest.raises(error, match=words):
        index.add([1], rows)
    assert len(index) == 0


def test_integer_indices_take_whole_numbers_only():
    index = shoal.Index(2, dtype="uint8")
    index.add([1, 2], [[0.0, 255.0], [7, 8]])
    for rows, words in (([[0, 256]], "row 0, column 1: .* found 256"), ([[-1, 0]], "found -1"),
                        ([[0.5, 0]], "whole number from 0 to 255 .uint8., found 0.5")):
        with pytest.raises(ValueError, match=words):
            index.add([3], rows)
    with pytest.raises(ValueError, match="query: column 1"):
        index.search([0, 1.5])
    assert index.search([0.0, 250.0], k=1).ids.tolist() == [1]


@pytest.mark.parametrize("options, words", [
    ({"dim": 0}, "dim"), ({"dim": 40000}, "dim"), ({"max_degree": 3}, "max_degree"),
    ({"alpha": 0.5}, "alpha"), ({"repair": "never"}, "repair"), ({"dtype": "float64"}, "dtype"),
    ({"metric": "euclidean"}, "l2 returns squared distances"), ({"metric": "jaccard"}, "metric"),
    ({"metric": "no such"}, "metric"),
])
def test_options_out_of_range_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        shoal.Index(**{"dim": 2, **options})


@pytest.mark.parametrize("options, error, words", [
    ({"dim": "8"}, TypeError, "dim: expected an integer from 0 to 4294967295, found '8'"),
    ({"dim": 8.0}, TypeError, "dim: expected an integer .* found 8.0"),
    ({"dim": None}, TypeError, "dim: .* found None"),
    ({"dim": -1}, ValueError, "dim: .* found -1"),
    ({"max_degree": 2**40}, ValueError, "max_degree: .* found 1099511627776"),
    ({"max_degree": 32.5}, TypeError, "max_degree: .* found 32.5"),
    ({"build_list_size": -5}, ValueError, "build_list_size: .* found -5"),
    ({"alpha": "1"}, TypeError, "alpha: expected a number, found '1'"),
    ({"memory_limit": -1}, ValueError, "memory_limit: .* found -1"),
    ({"repair": None}, ValueError, "repair: .* found None"),
    ({"repair_threads": 1.5}, TypeError, "repair_threads: .* found 1.5"),
])
def test_options_of_another_type_are_named(options, error, words):
    with pytest.raises(error, match=words):
        shoal.Index(**{"dim": 2, **options})


def test_empty_batches_are_taken_and_masked_and_short_rows_are_not(tmp_path):
    index = shoal.Index(2)
    assert index.add([], []) == 0 and index.upsert(np.array([], int), np.array([])) == 0
    assert index.add({7: None}.keys(), [[1, 2]]) == 1
    with pytest.raises(ValueError, match="vectors: 1 elements are masked"):
        index.add([8], np.ma.masked_array([[1, 2]], mask=[[True, False]]))
    bits = shoal.Index(16, dtype="bit", metric="hamming")
    with pytest.raises(ValueError, match="vector: dimension: expected 16, found 15"):
        bits.add(1, np.ones(15, bool))
    bits.add(1, np.ones(16, bool))
    index.save(bytes(tmp_path / "x"))
    assert len(shoal.Index.load(bytes(tmp_path / "x"))) == 1
    with pytest.raises(TypeError, match="index: a shoal.Index, or one of a database, expected, found int"):
        shoal.KeyedIndex(8)


def test_metrics_and_dtypes_have_the_names_of_other_libraries():
    assert shoal.Index(2, metric="ip").metric == "inner_product"
    assert shoal.Index(2, metric="angular").metric == "cosine"
    assert shoal.Index(2, metric="sqeuclidean").metric == "l2"
    assert shoal.Index(2, dtype=np.float16).dtype == np.float16
    assert shoal.Index(2, dtype=np.dtype("u1")).dtype == np.uint8


def test_search_names_what_is_wrong(index):
    with pytest.raises(ValueError, match="k: expected at least 1, found 0"):
        index.search(np.zeros(16), k=0)
    with pytest.raises(ValueError, match="k: expected 0 or more, found -1"):
        index.search(np.zeros(16), k=-1)
    for wrong in (1.5, "3", None):
        with pytest.raises(TypeError, match=f"k: an integer expected, found {type(wrong).__name__}"):
            index.search(np.zeros(16), k=wrong)
        with pytest.raises(TypeError, match=f"list_size: an integer expected, found {type(wrong).__name__}"):
            index.search(np.zeros((2, 16)), list_size=wrong)
    with pytest.raises(ValueError, match="k: expected 0 to 2\\^63 - 1"):
        index.search(np.zeros(16), k=2**70)
    assert len(index.search(np.zeros(16), k=2**62).ids) == 1000
    with pytest.raises(MemoryError, match="2 queries with k = 2000000000000 hits take more than half"):
        index.search(np.zeros((2, 16)), k=2 * 10**12)
    with pytest.raises(ValueError, match="expected 16, found 3"):
        index.search([1, 2, 3])
    with pytest.raises(ValueError, match="row 1"):
        index.search([[0] * 16, [np.nan] * 16])
    with pytest.raises(ValueError, match="radius"):
        index.range_search(np.zeros(16), float("nan"))


def test_file_errors_are_the_system_s(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.shoal"):
        shoal.Index.load(tmp_path / "gone.shoal")
    with pytest.raises(FileNotFoundError):
        shoal.View(tmp_path / "gone.shoal")
    (tmp_path / "text").write_text("no snapshot " * 1000)
    for call in (shoal.Index.load, shoal.View, shoal.inspect, shoal.verify):
        with pytest.raises(shoal.CorruptFileError, match="text"):
            call(tmp_path / "text")
    with pytest.raises(FileNotFoundError, match="no folder"):
        shoal.Index(2).save(tmp_path / "no folder" / "x")
    assert issubclass(shoal.DuplicateIdError, KeyError) and issubclass(shoal.DuplicateIdError, shoal.Error)


def test_the_extension_refuses_arrays_that_are_not_as_it_needs_them():
    from shoal import _shoal
    native = shoal.Index(2)._native
    for query in (np.zeros(2), [0.0, 0.0], np.zeros((2, 2), np.float32)[:, 0], np.zeros(2, ">f4"),
                  np.zeros((), np.float32)):
        with pytest.raises(TypeError):
            native.search(query, 1, 1, 0)
    with pytest.raises(TypeError):
        native.insert_many(np.zeros(1, np.int64), np.zeros((1, 2), np.float32), 0, None)
    assert _shoal.isa_note() == ""


def tables():
    values = numbers([1, 2], [3, 4])
    pandas = pytest.importorskip("pandas")
    yield pandas.Series([5, 6]), pandas.DataFrame(values)
    yield pandas.Series([5, 6]), pandas.Series([[1, 2], [3, 4]])
    yield pandas.Index([5, 6]), pandas.Series(list(values))


def test_columns_of_pandas_are_taken():
    for ids, rows in tables():
        index = shoal.Index(2)
        assert index.upsert(ids, rows) == 2
        np.testing.assert_array_equal(index[ids], [[1, 2], [3, 4]])


class ArrayTensor:
    """A tensor as torch and jax have it on the CPU: NumPy gets its memory by `__array__`."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype, copy=False)

    def __len__(self):
        return len(self.values)


class ExchangedTensor:
    """A tensor that has DLPack's protocol alone."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


@pytest.mark.parametrize("tensor", [ArrayTensor, ExchangedTensor])
def test_tensors_are_taken_without_a_copy(tensor):
    values = numbers([1, 2], [3, 4])
    assert np.shares_memory(as_vectors(tensor(values), np.dtype(np.float32)), values)
    index = shoal.Index(2)
    assert index.upsert(tensor(np.array([5, 6])), tensor(values)) == 2
    np.testing.assert_array_equal(index[tensor(np.array([5, 6]))], values)
    assert index.search(tensor(values[0]), 1).ids.tolist() == [5]
    assert index.search(tensor(values), 1).ids.tolist() == [[5], [6]]


def test_columns_of_polars_are_taken():
    polars = pytest.importorskip("polars")
    fixed = polars.Series([[1, 2], [3, 4]], dtype=polars.Array(polars.Float32, 2))
    for rows in (fixed, polars.Series([[1, 2], [3, 4]]), polars.DataFrame({"x": [1, 3], "y": [2, 4]})):
        index = shoal.Index(2)
        index.upsert(polars.Series([5, 6]), rows)
        np.testing.assert_array_equal(index[[5, 6]], [[1, 2], [3, 4]])
    with pytest.raises(TypeError, match="missing"):
        shoal.Index(2).upsert(polars.Series([5, None]), fixed)


def test_columns_of_pyarrow_are_taken():
    pyarrow = pytest.importorskip("pyarrow")
    fixed = pyarrow.array([[0, 0], [1, 2], [3, 4]], pyarrow.list_(pyarrow.float32(), 2))[1:]
    chunked = pyarrow.chunked_array([fixed[:1], fixed[1:]])
    for rows in (fixed, chunked, pyarrow.array([[1.0, 2.0], [3.0, 4.0]])):
        index = shoal.Index(2)
        index.upsert(pyarrow.array([5, 6]), rows)
        np.testing.assert_array_equal(index[[5, 6]], [[1, 2], [3, 4]])
    with pytest.raises(TypeError, match="null"):
        shoal.Index(2).upsert(pyarrow.array([5, None]), fixed)
