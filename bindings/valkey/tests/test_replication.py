"""Replicas, transactions, scripts: every effective change arrives, in its order."""

import random
import threading
import unittest

from base import SCALE, ServerTest, fill, vector, wait_until
from client import ReplyError, blob

V3 = ("VALUES", 3, 1, 2, 3)


def mixed_load(server, seed, steps, keys=4, cas=True):
    """Adds, updates, attributes, removals, deletions, transactions and searches of one client."""
    rng = random.Random(seed)
    with server.client() as client:
        for _ in range(steps):
            key, name = f"k{rng.randrange(keys)}", f"e{rng.randrange(300)}"
            step = rng.random()
            add = ("VADD", key, "FP32", blob(vector(rng, 12)), name)
            if step < 0.5:
                options = (("CAS",) if cas and rng.random() < 0.3 else ()) + (
                    ("SETATTR", f'{{"n":{rng.randrange(9)}}}') if rng.random() < 0.3 else ())
                client(*add, *options)
            elif step < 0.6:
                client("VREM", key, name)
            elif step < 0.7:
                client("VSETATTR", key, name, rng.choice(("", '{"y":2}')))
            elif step < 0.71:
                client(rng.choice(("DEL", "UNLINK")), key)
            elif step < 0.72:
                client.pipeline([("RENAME", key, f"k{rng.randrange(keys)}")])
            elif step < 0.75:
                client.pipeline([("MULTI",), add, ("VREM", key, f"e{rng.randrange(300)}"), ("EXEC",)])
            elif step < 0.77:
                client("EVAL", "redis.call('VADD', KEYS[1], 'FP32', ARGV[1], ARGV[2]); return redis.call('VCARD', KEYS[1])",
                       1, key, add[3], name)
            else:
                client("VSIM", key, "FP32", add[3], "COUNT", 5, "FILTER", ".n > 3")


class Replication(ServerTest):
    def test_a_replica_is_equal_after_a_mixed_load_of_several_clients(self):
        master = self.start("--appendonly", "yes")
        fill(master.client(), "before", 1500, dim=12)
        replica = self.replica_of(master)
        threads = [threading.Thread(target=mixed_load, args=(master, seed, 700 * SCALE)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client = master.client()
        follower = replica.client()
        self.wait_for_replica(client, follower)
        digest = client("DEBUG", "DIGEST")
        self.assertEqual(follower("DEBUG", "DIGEST"), digest)
        self.assertEqual(sorted(follower("KEYS", "*")), sorted(client("KEYS", "*")))
        # And so is what the append-only file brings back.
        master.restart()
        self.assertEqual(master.client()("DEBUG", "DIGEST"), digest)

    def test_a_replica_answers_searches_and_refuses_changes(self):
        master = self.start()
        replica = self.replica_of(master)
        fill(master.client(), "k", 1200)
        self.wait_for_replica(master.client(), replica.client())
        follower = replica.client()
        self.assertEqual(len(follower("VSIM", "k", "ELE", "e5")), 10)
        self.assertIn("READONLY", follower.error("VADD", "k", *V3, "x"))
        self.assertIn("READONLY", follower.error("VREM", "k", "e5"))

    def test_what_changes_nothing_is_not_replicated(self):
        master = self.start()
        self.replica_of(master)
        client = master.client()
        client("VADD", "k", *V3, "a")
        offset = lambda: [line for line in client("INFO", "replication").decode().split() if "master_repl_offset" in line]
        before = None
        for _ in range(50):  # Between two of the master's pings.
            before = offset()
            client("VREM", "k", "none")
            client("VREM", "none", "none")
            client("VSETATTR", "k", "none", "{}")
            client("VSIM", "k", "ELE", "a")
            client.error("VADD", "k", *V3, "a", "BIN")
            if offset() == before:
                return
        self.fail("the offset moves")

    def test_an_expired_set_is_gone_on_both(self):
        master = self.start()
        replica = self.replica_of(master)
        client = master.client()
        client("VADD", "k", *V3, "a")
        client("PEXPIRE", "k", 30)
        wait_until(lambda: client("EXISTS", "k") == 0)
        wait_until(lambda: replica.client()("DBSIZE") == 0)


class Transactions(ServerTest):
    def test_transactions_and_scripts_get_their_replies_at_once(self):
        client = self.start().client()
        fill(client, "k", 2000, dim=64)
        reference = client("VSIM", "k", "ELE", "e1", "COUNT", 3, "NOTHREAD")
        replies = client.pipeline([("MULTI",), ("VADD", "k2", *V3, "a", "CAS"), ("VSIM", "k", "ELE", "e1", "COUNT", 3),
                                   ("VCARD", "k2"), ("EXEC",)])
        self.assertEqual(replies[-1], [1, reference, 1])
        script = "return redis.call('VSIM', KEYS[1], 'ELE', 'e1', 'COUNT', 3)"
        self.assertEqual(client("EVAL", script, 1, "k"), reference)
        script = "redis.setresp(3); return #redis.call('VSIM', KEYS[1], 'ELE', 'e1', 'COUNT', 3)"
        self.assertEqual(client("EVAL", script, 1, "k"), 3)

    def test_a_watched_set_that_changes_ends_the_transaction(self):
        server = self.start()
        client, other = server.client(), server.client()
        client("VADD", "k", *V3, "a")
        for change in (("VADD", "k", *V3, "a"), ("VSETATTR", "k", "a", "{}"), ("VREM", "k", "a")):
            client("WATCH", "k")
            other(*change)
            self.assertIsNone(client.pipeline([("MULTI",), ("PING",), ("EXEC",)])[-1], change)

    def test_cas_adds_what_many_threads_add(self):
        server = self.start()

        def add(number):
            rng = random.Random(number)
            with server.client() as client:
                replies = client.pipeline(("VADD", "k", "FP32", blob(vector(rng, 20)), f"{number}-{i}", "CAS") for i in range(500))
                assert replies == [1] * 500

        threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client = server.client(3)
        self.assertEqual(client("VCARD", "k"), 2000)
        self.assertEqual(client("VSIM", "k", "ELE", "3-77", "COUNT", 1)[0], b"3-77")

    def test_errors_in_scripts_are_errors(self):
        client = self.start().client()
        client("SET", "s", "x")
        with self.assertRaises(ReplyError):
            client("EVAL", "return redis.call('VCARD', KEYS[1])", 1, "s")


if __name__ == "__main__":
    unittest.main()
