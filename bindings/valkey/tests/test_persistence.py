"""What outlives a server: snapshots, append-only files, dumps, copies. Equal means equal digests."""

import random
import unittest

from base import SCALE, ServerTest, fill, info, vector, wait_until
from client import ReplyError, blob
from payloads import crc64, mutate

V3 = ("VALUES", 3, 1, 2, 3)


def fill_all_kinds(client):
    """A set of every kind: quantisations, projection, metric, attributes, zero vector, odd names."""
    rng = random.Random(5)
    for name, options in (("q8", ()), ("f32", ("NOQUANT",)), ("bin", ("BIN",)), ("m", ("M", 8, "EF", 50)),
                          ("l2", ("NOQUANT", "XDISTANCE_METRIC", "L2"))):
        for i in range(40):
            attribute = ("SETATTR", f'{{"i":{i}}}') if i % 3 == 0 else ()
            client("VADD", name, "FP32", blob(vector(rng, 10)), f"e{i}", *options, *attribute)
    for i in range(20):
        client("VADD", "reduced", "REDUCE", 6, "FP32", blob(vector(rng, 10)), f"e{i}")
    client("VADD", "q8", "FP32", blob([0.0] * 10), "zero")
    client("VADD", "q8", "FP32", blob(vector(rng, 10)), bytes(range(256)), "SETATTR", b"\x00\r\n")
    client("VADD", "q8", "FP32", blob(vector(rng, 10)), "")
    fill(client, "large", 2000, dim=24)
    client("VREM", "large", "e7")


def state(client):
    """The digest of all keys, and what a search in each says."""
    keys = sorted(client("KEYS", "*"))
    return client("DEBUG", "DIGEST"), [client("VINFO", key)[:14] for key in keys], [
        client("VSIM", key, "ELE", "e1", "COUNT", 20, "TRUTH", "WITHSCORES") for key in keys if client("TYPE", key) == "vectorset"]


class Persistence(ServerTest):
    def test_a_snapshot_brings_everything_back(self):
        server = self.start()
        client = server.client()
        fill_all_kinds(client)
        before = state(client)
        self.assertEqual(client("SAVE"), "OK")
        server.restart()
        self.assertEqual(state(server.client()), before)

    def test_a_snapshot_of_a_fork_is_the_same(self):
        server = self.start()
        client = server.client()
        fill_all_kinds(client)
        before = state(client)
        client("BGSAVE")
        wait_until(lambda: info(client, "persistence", "rdb_bgsave_in_progress") == "0")
        self.assertEqual(info(client, "persistence", "rdb_last_bgsave_status"), "ok")
        server.restart()
        self.assertEqual(state(server.client()), before)

    def test_an_append_only_file_brings_everything_back(self):
        server = self.start("--appendonly", "yes", "--appendfsync", "always")
        client = server.client()
        fill_all_kinds(client)
        before = state(client)
        server.restart(how=9)
        self.assertEqual(state(server.client()), before)

    def test_a_rewritten_append_only_file_is_commands_that_bring_everything_back(self):
        server = self.start("--appendonly", "yes", "--aof-use-rdb-preamble", "no")
        client = server.client()
        fill_all_kinds(client)
        before = state(client)
        client("BGREWRITEAOF")
        wait_until(lambda: info(client, "persistence", "aof_rewrite_in_progress") == "0" and
                   info(client, "persistence", "aof_rewrite_scheduled") == "0")
        self.assertEqual(info(client, "persistence", "aof_last_bgrewrite_status"), "ok")
        text = b"".join(path.read_bytes() for path in server.folder.glob("appendonlydir/*"))
        self.assertIn(b"XENCODED", text)
        server.restart()
        self.assertEqual(state(server.client()), before)

    def test_reload_keeps_everything_and_searches_go_on(self):
        server = self.start()
        client = server.client()
        fill_all_kinds(client)
        before = state(client)
        for _ in range(3):
            self.assertEqual(client("DEBUG", "RELOAD"), "OK")
            self.assertEqual(state(client), before)

    def test_dumps_copies_renames_and_moves(self):
        client = self.start().client()
        fill_all_kinds(client)
        for key in client("KEYS", "*"):
            digest = client("DEBUG", "DIGEST-VALUE", key)
            payload = client("DUMP", key)
            self.assertEqual(client("RESTORE", b"r-" + key, 0, payload), "OK")
            self.assertEqual(client("COPY", key, b"c-" + key), 1)
            client("RENAME", key, b"n-" + key)
            client("MOVE", b"n-" + key, 3)
            client("SELECT", 3)
            self.assertEqual(client("DEBUG", "DIGEST-VALUE", b"n-" + key), digest)
            client("SELECT", 0)
            client("SWAPDB", 3, 5)
            client("SELECT", 5)
            self.assertEqual(client("DEBUG", "DIGEST-VALUE", b"n-" + key), digest)
            client("SWAPDB", 3, 5)
            client("SELECT", 0)
            for copy in (b"r-" + key, b"c-" + key):
                self.assertEqual(client("DEBUG", "DIGEST-VALUE", copy), digest, copy)
            # A copy is a set of its own.
            client("VREM", b"c-" + key, "e1")
            self.assertEqual(client("DEBUG", "DIGEST-VALUE", b"r-" + key), digest)
            self.assertNotEqual(client("DEBUG", "DIGEST-VALUE", b"c-" + key), digest)

    def test_a_digest_knows_vectors_names_and_attributes(self):
        client = self.start().client()
        client("VADD", "k", *V3, "a", "SETATTR", "{}")
        seen = {client("DEBUG", "DIGEST-VALUE", "k")[0]}
        for command in (("VSETATTR", "k", "a", "{1}"), ("VSETATTR", "k", "a", ""), ("VADD", "k", "VALUES", 3, 1, 2, 4, "a"),
                        ("VADD", "k", *V3, "b"), ("VREM", "k", "a")):
            client(*command)
            seen.add(client("DEBUG", "DIGEST-VALUE", "k")[0])
        self.assertEqual(len(seen), 6)

    def test_a_dump_that_says_another_version_than_its_own_is_refused(self):
        """Encoding version 0, that of Redis 8's own (test_import.py), in front of what this module wrote."""
        client = self.start().client()
        client("VADD", "k", *V3, "a")
        payload = bytearray(client("DUMP", "k"))
        # Type byte, then the module's id as a 64-bit length: its last 10 bits are the version.
        self.assertEqual(payload[1], 0x81)
        identity = int.from_bytes(payload[2:10], "big")
        self.assertEqual(identity & 1023, 1)
        payload[2:10] = (identity & ~1023).to_bytes(8, "big")
        payload[-8:] = crc64(payload[:-8]).to_bytes(8, "little")
        with self.assertRaises(ReplyError):
            client("RESTORE", "r", 0, bytes(payload))
        self.assertEqual(client("EXISTS", "r"), 0)


class Damage(ServerTest):
    def test_mutated_dumps_are_errors_or_sets_that_work(self):
        server = self.start("--sanitize-dump-payload", "no")
        client = server.client()
        fill_all_kinds(client)
        client("DEL", "large")
        rng = random.Random(11)
        payloads = {key: client("DUMP", key) for key in client("KEYS", "*")}
        taken = refused = 0
        for _ in range(3000 * SCALE):
            key = rng.choice(list(payloads))
            payload = mutate(rng, payloads[key])
            reply = client.pipeline([("RESTORE", "r", 0, payload, "REPLACE")])[0]
            if isinstance(reply, ReplyError):
                refused += 1
                continue
            taken += 1
            size = client("VCARD", "r")
            self.assertGreater(size, 0)
            name = client("VRANDMEMBER", "r")
            dim = client("VDIM", "r")
            for command in (("VSIM", "r", "ELE", name, "COUNT", 5, "WITHSCORES"), ("VEMB", "r", name), ("VREM", "r", name)):
                client(*command)
            self.assertLessEqual(dim, 65536)
        self.assertTrue(server.alive(), server.log_tail())
        self.assertGreater(refused, 0)
        print(f"[{taken} taken, {refused} refused] ", end="", flush=True)


if __name__ == "__main__":
    unittest.main()
