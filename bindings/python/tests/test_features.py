"""Vectors elsewhere: the library's stores, and stores written in Python."""
import subprocess
import sys
import threading

import numpy as np
import pytest

import shoal
from shoal.features import Dataset, Disk, Mmap, Ram


class Rows:
    """A store: rows under their slots."""

    def __init__(self):
        self.rows, self.calls, self.freed, self.lock = {}, 0, 0, threading.Lock()

    def put(self, slot, id, row):
        with self.lock:
            self.rows[slot] = id, row

    def free(self, slot, id):
        with self.lock:
            self.freed += 1
            if self.rows.get(slot, (None,))[0] == id:
                del self.rows[slot]

    def fetch(self, slots, ids):
        with self.lock:
            self.calls += 1
            found = [self.rows.get(slot, (None, None)) for slot in slots.tolist()]
            return [row if of == id else None for (of, row), id in zip(found, ids.tolist())]


class Table(Rows):
    """The same, as one array."""

    def fetch(self, slots, ids):
        return np.stack(super().fetch(slots, ids))


STORES = {"ram": lambda path: Ram(), "mmap": lambda path: Mmap(path), "disk": lambda path: Disk(path),
          "pread": lambda path: Disk(str(path), engine="pread", direct=True, cache_bytes=1 << 20, queue_depth=4),
          "python": lambda path: Rows(), "python, an array": lambda path: Table()}


@pytest.mark.parametrize("code", ["sq8", "full"])
@pytest.mark.parametrize("name", STORES)
def test_an_index_over_a_store_gives_the_answers_of_one_in_memory(vectors, tmp_path, name, code):
    with shoal.Index(16, code=code, features=STORES[name](tmp_path / "rows")) as index:
        index.add(np.arange(1000), vectors)
        index.upsert(np.arange(0, 100), vectors[100:200])
        index.delete(np.arange(900, 1000))
        expected = np.concatenate([vectors[100:200], vectors[100:900]])
        truth, distances = shoal.exact_search(expected, vectors[900:920], 5)
        hits = index.search(vectors[900:920], k=5, list_size=300, rerank=300)
        np.testing.assert_allclose(hits.distances, distances, rtol=1e-5)
        np.testing.assert_array_equal(index[np.arange(900)], expected)
        np.testing.assert_array_equal(index[3], vectors[103])
        assert 3 in index and 950 not in index
        index.save(tmp_path / "saved")
        index.check_structure()
    loaded = shoal.Index.load(tmp_path / "saved")
    np.testing.assert_allclose(loaded.search(vectors[900:920], k=5, list_size=300, rerank=300).distances, distances,
                               rtol=1e-5)


def test_a_dataset_is_searched_where_it_is(vectors, tmp_path):
    shoal.write_bin(tmp_path / "x.bin", vectors)
    np.save(tmp_path / "x.npy", vectors)
    for store, ids in ((Dataset(tmp_path / "x.bin"), np.arange(1000)),
                       (Dataset(tmp_path / "x.npy", ids=np.arange(5000, 6000)), np.arange(5000, 6000))):
        with shoal.Index(16, code="sq8", features=store) as index:
            index.add(ids, vectors)
            assert index.search(vectors[7], k=1).ids.tolist() == [ids[7]]
            with pytest.raises(ValueError):
                index.upsert(int(ids[7]), vectors[8])
    with pytest.raises(FileNotFoundError):
        shoal.Index(16, features=Dataset(tmp_path / "none.npy"))
    with pytest.raises(TypeError, match="put and fetch"):
        shoal.Index(16, features=object())
    with pytest.raises(ValueError, match="engine"):
        shoal.Index(16, features=Disk(tmp_path / "rows", engine="some"))


def test_what_a_store_raises_is_the_error_of_the_call(vectors):
    class Failing(Rows):
        broken = False

        def fetch(self, slots, ids):
            if self.broken:
                raise LookupError("the disk is gone")
            return super().fetch(slots, ids)

        def put(self, slot, id, row):
            if id == 13:
                raise RuntimeError("unlucky")
            super().put(slot, id, row)

    store = Failing()
    with shoal.Index(16, code="sq8", features=store) as index:
        with pytest.raises(shoal.BatchError, match="1 of 100 rows failed; row 13: feature store: put: RuntimeError"):
            index.add(np.arange(100), vectors[:100])
        assert len(index) == 99 and 13 not in index
        store.broken = True
        with pytest.raises(OSError, match="feature store: fetch: LookupError: .*the disk is gone"):
            index.search(vectors[0])
        with pytest.raises(OSError, match="the disk is gone"):
            index[5]
        store.broken = False
        store.rows.pop(next(slot for slot, (id, _) in store.rows.items() if id == 5))
        assert 5 not in index.search(vectors[5], k=3).ids
        with pytest.raises(KeyError):
            index[5]
        store.fetch = lambda slots, ids: np.zeros((len(slots), 16))
    for answer, match in ((np.zeros((1, 16)), "expected .* float32, found .* float64"), ([], "expected 1 rows, found 0")):
        store = Rows()
        store.fetch = lambda slots, ids: answer
        with shoal.Index(16, code="sq8", features=store) as index:
            index.add(1, vectors[1])
            with pytest.raises(OSError, match=match):
                index[1]


def test_threads_share_a_store_of_python(vectors):
    store, failures = Rows(), []
    with shoal.Index(16, code="sq8", features=store) as index:
        index.add(np.arange(500), vectors[:500])

        def search():
            for i in range(150):
                if index.search(vectors[i], k=1).ids.tolist() != [i] or i not in index:
                    failures.append(i)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for i in range(300):
            index.upsert(1000 + i % 40, vectors[500 + i])
        for thread in threads:
            thread.join()
        index.consolidate()
        assert not failures and store.calls >= 450 and store.freed > 100


def test_an_index_over_a_store_of_python_may_outlive_the_program():
    program = """
import numpy as np, shoal
class Rows(dict):
    def put(self, slot, id, row): self[slot] = row
    def fetch(self, slots, ids): return [self.get(s) for s in slots.tolist()]
index = shoal.Index(8, code="sq8", features=Rows(), repair="background")
index.add(range(300), np.random.default_rng(1).random((300, 8)))
index.delete(range(200))
index.search([0] * 8, target_recall=.9)
print(len(index))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "100\n", "")


@pytest.mark.parametrize("name", ["mmap", "disk", "pread", "python"])
def test_a_file_without_vectors_is_opened_over_the_store_that_has_them(vectors, tmp_path, name):
    store = STORES[name](tmp_path / "rows")
    with shoal.Index(16, code="sq8", features=store) as index:
        index.add(np.arange(1000), vectors)
        index.delete(np.arange(100))
        index.save(tmp_path / "x", vectors=False)
        expected = index.search(vectors[:50], k=5)
    with pytest.raises(shoal.UnsupportedError, match="feature store"):
        shoal.Index.load(tmp_path / "x")

    def check(searched):
        with searched:
            hits = searched.search(vectors[:50], k=5)
            np.testing.assert_array_equal(hits.ids, expected.ids)
            np.testing.assert_array_equal(hits.distances, expected.distances)
            np.testing.assert_array_equal(searched[500], vectors[500])

    check(shoal.Index.load(tmp_path / "x", features=store))
    check(shoal.Index.load(tmp_path / "x", features=store, trust_features=True))
    for memory in ("mapped", "paged", "copied", "copied_codes"):
        check(shoal.View(tmp_path / "x", features=store, memory=memory))
    to = STORES[name](tmp_path / "other rows")
    with shoal.Index.load(tmp_path / "x", features=store) as index:
        index.save(tmp_path / "y", features=to, list_codes=True, order="neighbors")
    check(shoal.View(tmp_path / "y", features=to, memory="paged"))
    with pytest.raises(ValueError, match="memory"):
        shoal.View(tmp_path / "y", features=to, memory="some")


def test_a_budget_says_which_code_fits():
    code, took = shoal.Index.fit_to_memory(1_000_000, 128, 420 << 20)
    assert code == "rq4" and 380 << 20 < took <= 420 << 20
    assert shoal.Index.fit_to_memory(1_000_000, 128, took - (50 << 20))[0] in ("rq1", "none")
    with pytest.raises(ValueError, match="memory_budget"):
        shoal.Index.fit_to_memory(1_000_000, 128, 1 << 20)
