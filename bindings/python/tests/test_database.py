"""Databases: what a commit promises, seen from Python."""
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import shoal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "points.db"


@pytest.fixture
def db(path):
    with shoal.Database(path, max_bytes=1 << 30, sync="none") as made:
        yield made


def test_what_was_written_is_there_when_the_database_is_opened_again(path, vectors):
    with shoal.Database(path, max_bytes=1 << 30) as db:
        index = db.create_index("text", 16, metric="cosine")
        assert index.add(np.arange(1000), vectors) == 1000
        index.delete(7)
        index.upsert(8, vectors[7])
        index[9] = vectors[9]
        before = index.search(vectors, k=5)
        assert len(index) == 999 and 7 not in index and db.names() == ["text"] and "text" in db
        np.testing.assert_array_equal(index[8], vectors[7])
    with shoal.Database(path, create=False, max_bytes=1 << 30) as db:
        index = db["text"]
        assert sorted(index) == [i for i in range(1000) if i != 7] and index.metric == "cosine"
        np.testing.assert_array_equal(index.search(vectors, k=5).distances, before.distances)
        assert index.stats().points == 999 and index.name == "text" and "999 x 16" in repr(index)
        assert db.stats().file_bytes > vectors.nbytes


def test_a_transaction_is_there_whole_or_not_at_all(db, vectors):
    a, b = db.create_index("a", 16), db.create_index("b", 16)
    with db.begin() as change:
        assert change.add(a, np.arange(100), vectors[:100]) == 100
        assert change.upsert(b, [5, 5, 6], vectors[:3]) == 3
        change.add(b, 7, vectors[7])
        assert len(a) == len(b) == 0 and a.search(vectors[0]).ids.size == 0
    assert change.closed and len(a) == 100 and sorted(b) == [5, 6, 7]
    np.testing.assert_array_equal(b[5], vectors[1])
    with pytest.raises(LookupError, match="mine"), db.begin() as change:
        change.delete(a, np.arange(50))
        assert change.discard(b, [5, 500]) == 1
        raise LookupError("mine")
    assert len(a) == 100 and len(b) == 3
    with pytest.raises(ValueError, match="the transaction has ended"):
        change.add(a, 1000, vectors[0])
    change = db.begin()
    change.add(a, 1000, vectors[0])
    change.abort()
    assert 1000 not in a


def test_a_call_on_many_is_one_transaction(db, vectors):
    index = db.create_index("a", 16)
    index.add([1, 2], vectors[:2])
    with pytest.raises(shoal.BatchError, match="1 of 3 rows failed; row 1: id 2: already there"):
        index.add([3, 2, 4], vectors[:3])
    with pytest.raises(shoal.IdNotFoundError):
        index.delete([1, 77])
    assert sorted(index) == [1, 2]
    assert index.discard([1, 77]) == 1 and sorted(index) == [2]
    with pytest.raises(shoal.DuplicateIdError):
        index.add(2, vectors[0])
    with pytest.raises(KeyError):
        del index[99]


def test_an_id_of_an_open_transaction_is_a_conflict(db, vectors):
    index = db.create_index("a", 16)
    with db.begin() as change:
        change.add(index, 1, vectors[0])
        with pytest.raises(shoal.ConflictError, match="id 1"):
            index.upsert(1, vectors[1])
        with pytest.raises(shoal.ConflictError), db.begin() as other:
            other.upsert(index, 1, vectors[1])
        index.add(2, vectors[2])
    assert sorted(index) == [1, 2]


def test_a_snapshot_is_a_commit_in_any_process(db, path, vectors, tmp_path):
    index = db.create_index("a", 16)
    index.add(np.arange(300), vectors[:300])
    program = ("import sys, pickle, numpy as np, shoal\n"
               "s = pickle.load(sys.stdin.buffer)\n"
               "print(len(s), s.search(s[7], k=1).ids[0], sorted(s)[-1])")
    with index.snapshot() as snapshot:
        index.add(1000, vectors[0])
        assert len(snapshot) == 300 and 1000 not in snapshot and 7 in snapshot
        truth, distances = shoal.exact_search(vectors[:300], vectors[300:309], 3)
        hits = snapshot.search(vectors[300:309], k=3, list_size=300)
        np.testing.assert_array_equal(hits.ids, truth)
        np.testing.assert_allclose(hits.distances, distances, rtol=1e-5)
        assert snapshot.search(vectors[7], k=1).ids.tolist() == [7]
        assert snapshot.range_search(vectors[7], 0).ids.tolist() == [7]
        assert snapshot.search(vectors[7], k=3, filter=[7, 9]).ids.tolist() == [7, 9]
        with pytest.raises(shoal.UnsupportedError, match="filter"):  # A database keeps no labels.
            snapshot.search(vectors[7], filter=shoal.Filter.label(1))
        snapshot.verify()
        snapshot.dump(tmp_path / "v.bin", tmp_path / "ids")
        order = np.fromfile(tmp_path / "ids", np.uint64)
        np.testing.assert_array_equal(shoal.read_bin(tmp_path / "v.bin"), vectors[order])
        done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(snapshot), capture_output=True,
                              timeout=60)
    assert done.stdout.split() == [b"301", b"7", b"1000"], done.stderr
    assert db.stats().snapshots == 0
    with pytest.raises(ValueError, match="the snapshot is closed"):
        snapshot.search(vectors[0])


def test_what_is_not_there_is_named(db, path, tmp_path, vectors):
    with pytest.raises(shoal.IdNotFoundError, match="nothing"):
        db.open_index("nothing")
    with pytest.raises(shoal.IdNotFoundError, match="nothing"):
        shoal.DatabaseSnapshot(path, "nothing")
    with pytest.raises(FileNotFoundError):
        shoal.DatabaseSnapshot(tmp_path / "none", "a")
    with pytest.raises(FileNotFoundError):
        shoal.Database(tmp_path / "none", create=False)
    with pytest.raises(ValueError, match="points.db"):
        shoal.Database(path, max_bytes=1 << 30)
    db.create_index("a", 16)
    with pytest.raises(shoal.DuplicateIdError, match="a"):
        db.create_index("a", 16)
    with pytest.raises(ValueError, match="sync"):
        shoal.Database(path, sync="some")
    with pytest.raises(TypeError, match="ids come first"), db.begin() as change:
        change.add(db["a"], vectors[:3], [1, 2, 3])
    for thing in (db, db["a"]):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(thing)


def test_a_closed_database_closes_what_is_of_it(path, vectors):
    db = shoal.Database(path, max_bytes=1 << 30, sync="interval", interval_ms=60_000)
    index = db.create_index("a", 16)
    index.add(1, vectors[0])
    assert db.stats().queued_changes == 1
    db.flush()
    assert db.stats().queued_changes == 0
    index.add(2, vectors[0])
    change = db.begin()
    change.add(index, 3, vectors[0])
    db.close()
    assert db.closed and index.closed and change.closed and "closed" in repr(db)
    with pytest.raises(ValueError, match="the database is closed"):
        db.names()
    with shoal.Database(path, max_bytes=1 << 30) as db:
        assert sorted(db["a"]) == [1, 2]


def test_work_on_a_database_says_how_far_it_is_and_can_be_stopped(db, vectors, tmp_path):
    db.create_index("long", 8).add(np.arange(3000), np.random.default_rng(1).standard_normal((3000, 8), np.float32))
    with db.snapshot("long") as snapshot:
        for call in (lambda progress: db.backup(tmp_path / "copy.db", progress=progress),
                     lambda progress: snapshot.verify(progress=progress),
                     lambda progress: snapshot.dump(tmp_path / "v.bin", tmp_path / "ids", progress=progress),
                     lambda progress: db.compact(progress=progress)):
            told = []
            call(lambda done, total, told=told: told.append((done, total)))
            assert told and told[-1][0] == told[-1][1], told

    def fail(done, total):
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        db.backup(tmp_path / "other.db", progress=fail)


def test_a_backup_is_a_database(db, vectors, tmp_path):
    index = db.create_index("a", 16)
    index.add(np.arange(500), vectors[:500])
    index.delete(np.arange(400))
    db.compact()
    assert db.stats().passes >= 1
    for compact in (True, False):
        copy = tmp_path / f"copy{compact}"
        db.backup(copy, compact=compact)
        with shoal.DatabaseSnapshot(copy, "a") as snapshot:
            snapshot.verify()
            assert sorted(snapshot) == list(range(400, 500))


def test_threads_write_and_search_at_once(db, vectors):
    index, failures = db.create_index("a", 16), []

    def write(first):
        for i in range(first, first + 60):
            index.add(i, vectors[i])

    def search():
        for _ in range(200):
            hits = index.search(vectors[0], k=3)
            if len(set(hits.ids.tolist())) != len(hits.ids):
                failures.append(hits)

    threads = [threading.Thread(target=write, args=(i * 100,)) for i in range(4)] + [threading.Thread(target=search)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(index) == 240
    with index.snapshot() as snapshot:
        snapshot.verify()
        assert sorted(snapshot) == sorted(index)
