"""Keys in place of numbers, in files and in databases; and event loops."""
import asyncio
import pickle
import threading

import numpy as np
import pytest

import shoal
from shoal.aio import AsyncIndex, run

LONG = "long " * 200
KEYS = ["red", "", "ä\U0001F41F\0", b"", b"red", b"\xff\x00", LONG, LONG.encode(), b"1" * 16]


def keyed(vectors, index=None):
    made = shoal.KeyedIndex(shoal.Index(16) if index is None else index)
    made.upsert(KEYS, vectors[:len(KEYS)])
    return made


def check(index, vectors):
    assert sorted(map(repr, index)) == sorted(map(repr, KEYS)) and len(index) == len(KEYS)
    np.testing.assert_array_equal(index[KEYS], vectors[:len(KEYS)])
    for key, hits in zip(KEYS, index.search(vectors[:len(KEYS)], k=1)):
        assert hits.keys == [key] and index.search(vectors[KEYS.index(key)], k=2).keys[0] == key


def test_keys_come_back_whatever_they_are(vectors, tmp_path):
    index = keyed(vectors)
    check(index, vectors)
    index.save(tmp_path / "x")
    check(shoal.KeyedIndex.load(tmp_path / "x", repair="background"), vectors)
    check(pickle.loads(pickle.dumps(index)), vectors)
    data = (tmp_path / "x").read_bytes()
    for wrong in (data[:-1], data[:len(data) // 2], b"", data[:-80] + bytes([data[-80] ^ 1]) + data[-79:],
                  data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]):
        (tmp_path / "y").write_bytes(wrong)
        with pytest.raises(shoal.CorruptFileError):
            shoal.KeyedIndex.load(tmp_path / "y")
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["x", "y"]


def test_points_come_and_go_by_key(vectors):
    index = shoal.KeyedIndex(shoal.Index(16))
    index.add("a", vectors[0], labels=[5, 6])
    assert index.index.labels(0).tolist() == [5, 6]
    index.add(["b", "c"], vectors[1:3], labels=[[1], [2]])
    with pytest.raises(shoal.DuplicateIdError, match="'b': already there"):
        index.add(["d", "b"], vectors[:2])
    with pytest.raises(shoal.DuplicateIdError, match="twice"):
        index.add(["d", "d"], vectors[:2])
    assert "d" not in index and len(index) == 3
    index.upsert(["c", "d", "c"], vectors[3:6])
    np.testing.assert_array_equal(index["c"], vectors[5])
    assert index.search(vectors[0], filter=["b", "d", "never"]).keys.__len__() == 2
    assert index.search(vectors[0], filter=shoal.Filter.label(1)).keys == ["b"]
    assert index.search(vectors[0], filter=index.where(lambda keys: [key < "c" for key in keys])).keys == ["a", "b"]
    index.delete(["a", "a"])
    del index["b"]
    assert index.discard(["a", "c"]) == 1 and list(index) == ["d"]
    for call in (lambda: index.delete(["d", "x"]), lambda: index["x"], lambda: index.get(["d", "x"])):
        with pytest.raises(KeyError, match="'x': not there"):
            call()
    assert list(index) == ["d"]
    with pytest.raises(TypeError, match="found int"):
        index.upsert([1], vectors[:1])
    index.add("a", vectors[0])
    assert index.keys.find("a") == 4, "an id is used once"


def test_a_row_that_fails_leaves_no_key(vectors):
    index = shoal.KeyedIndex(shoal.Index(16))
    index.add("kept", vectors[0])
    rows = vectors[:3].copy()
    rows[1, 3] = np.nan
    with pytest.raises(shoal.BatchError):
        index.upsert(["kept", "bad", "good"], rows)
    assert sorted(index) == ["good", "kept"] and len(index.index) == 2
    with pytest.raises(ValueError):
        shoal.KeyedIndex(index.index)


def test_a_database_has_the_keys_with_the_points(vectors, tmp_path):
    with shoal.Database(tmp_path / "db", max_bytes=1 << 30, sync="none") as db:
        index = keyed(vectors, db.create_index("a", 16))
        check(index, vectors)
        with pytest.raises(shoal.BatchError, match="NaN"):
            index.upsert("bad", np.full(16, np.nan))
        with pytest.raises(TypeError, match="labels"):
            index.upsert("bad", vectors[0], labels=[1])
        with pytest.raises(TypeError, match="database"):
            index.save(tmp_path / "x")
        check(index, vectors)
        index.add("gone", vectors[100])
        index.delete("gone")
    with shoal.Database(tmp_path / "db", max_bytes=1 << 30, sync="none") as db:
        index = shoal.KeyedIndex(db["a"])
        check(index, vectors)
        index.add("new", vectors[101])
        assert index.keys.find("new") > len(KEYS), "an id is used once"
        assert len(db.records("keys.a")) == len(KEYS) + 2


def test_records_commit_with_the_points(tmp_path, vectors):
    with shoal.Database(tmp_path / "db", max_bytes=1 << 30, sync="none") as db:
        index = db.create_index("a", 16)
        with db.begin() as change:
            change.add(index, 1, vectors[0])
            change.put("texts", b"1", b"one")
            change.put("texts", b"2", b"")
            assert db.records("texts") == {}
        assert db.records("texts") == {b"1": b"one", b"2": b""}
        with pytest.raises(LookupError), db.begin() as change:
            change.remove("texts", b"1")
            raise LookupError
        with db.begin() as change:
            change.remove("texts", b"2")
            for table, key in (("shoal.rows", b"1"), ("", b"1"), ("texts", b""), ("texts", b"k" * 512)):
                with pytest.raises(ValueError, match="table|key"):
                    change.put(table, key, b"")
        assert db.records("texts") == {b"1": b"one"}


def test_threads_write_and_search_by_key(vectors):
    index, failures = shoal.KeyedIndex(shoal.Index(16)), []

    def work(which):
        for i in range(100):
            index.upsert(f"{which} {i}", vectors[i])
            keys, distances = index.search(vectors[i], k=2)
            if not keys or len(keys) != len(distances) or keys[0].split()[1] != str(i):
                failures.append((i, keys))
            if i % 3 == 0:
                index.delete(f"{which} {i}")
                index.upsert(f"{which} {i}", vectors[i])

    threads = [threading.Thread(target=work, args=(which,)) for which in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(index) == len(index.index) == 300


def test_an_event_loop_goes_on_while_a_call_runs(vectors):
    async def main():
        async with AsyncIndex(shoal.Index(16)) as index:
            ticks = 0
            task = asyncio.ensure_future(index.add(np.arange(1000), vectors))
            while not task.done():
                await asyncio.sleep(0.001)
                ticks += 1
            assert await task == 1000 and ticks > 3
            answers = await asyncio.gather(*(index.search(row, k=1) for row in vectors[:50]))
            assert [one.ids.tolist() for one in answers] == [[i] for i in range(50)]
            with pytest.raises(KeyError):
                await index.delete(5000)
            assert len(index.sync) == 1000 and "1,000" in repr(index)
            with pytest.raises(AttributeError, match="sync.dim"):
                index.dim
        assert index.sync.closed
        assert await run(sum, [1, 2]) == 3

    asyncio.run(main())


def test_a_cancelled_task_stops_a_long_call(rng):
    rows = rng.standard_normal((60_000, 64), np.float32)

    async def main():
        index = AsyncIndex(shoal.Index(64))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(index.add(np.arange(len(rows)), rows), 0.2)
        return index.sync

    index = asyncio.run(main())
    import time
    for _ in range(100):  # The call hears of it within a twentieth of a second.
        before = len(index)
        time.sleep(0.15)
        if len(index) == before:
            break
    assert len(index) < len(rows)
    index.check_structure()


def test_keyed_indexes_and_snapshots_are_awaited_too(vectors, tmp_path):
    async def main():
        index = AsyncIndex(shoal.KeyedIndex(shoal.Index(16)))
        await index.upsert(["a", "b"], vectors[:2])
        assert (await index.search(vectors[1], k=1)).keys == ["b"]
        assert (await index.search(vectors[:2], k=1))[0].keys == ["a"]
        with shoal.Database(tmp_path / "db", max_bytes=1 << 30, sync="none") as db:
            stored = AsyncIndex(db.create_index("a", 16))
            await stored.add([1, 2], vectors[:2])
            async with AsyncIndex(db.snapshot("a")) as snapshot:
                assert (await snapshot.search(vectors[:2], k=1)).ids.tolist() == [[1], [2]]

    asyncio.run(main())
