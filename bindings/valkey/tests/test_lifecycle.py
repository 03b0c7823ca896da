"""Clients that hang up, keys that go, memory that ends, forks, shutdown: while the threads are busy."""

import random
import signal
import threading
import time
import unittest

from base import LONG, SCALE, ServerTest, fill, info, vector, wait_until
from client import Client, ReplyError, blob

V3 = ("VALUES", 3, 1, 2, 3)


class Load:
    """Clients that search, and perhaps add, until they are told to stop; errors but those allowed are kept."""

    def __init__(self, server, keys, clients=3, dim=32, adds=True, allowed=()):
        self.server, self.keys, self.dim, self.adds, self.allowed = server, keys, dim, adds, allowed
        self.ended, self.errors, self.done, self.slowest = threading.Event(), [], 0, 0.0
        self.threads = [threading.Thread(target=self.run, args=(seed,)) for seed in range(clients)]

    def run(self, seed):
        rng = random.Random(seed)
        try:
            with self.server.client() as client:
                while not self.ended.is_set():
                    key = rng.choice(self.keys)
                    data = blob(vector(rng, self.dim))
                    begin = time.monotonic()
                    replies = client.pipeline([("VSIM", key, "FP32", data, "COUNT", 5)] + (
                        [("VADD", key, "FP32", data, f"new{rng.randrange(3000)}")] if self.adds else []))
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                    self.done += 1
                    self.errors += [reply for reply in replies if isinstance(reply, ReplyError) and
                                    not any(word in str(reply) for word in self.allowed)]
        except (OSError, ConnectionError) as error:
            if not self.ended.is_set():
                self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()


class Lifecycle(ServerTest):
    def test_an_acknowledged_add_outlives_its_client(self):
        server = self.start("--appendonly", "yes", "--appendfsync", "always")
        watcher = server.client()
        fill(watcher, "k", 1500, dim=32)
        acknowledged = set()
        for i in range(60):
            client = server.client()
            commands = [("VADD", "k", "FP32", blob([i + j + 1.0] * 32), f"x{i}-{j}", "CAS") for j in range(20)]
            client.socket.sendall(b"".join(client.encode(command) for command in commands))
            for j in range(random.Random(i).randrange(1, 15)):
                self.assertEqual(client.read(), 1)
                acknowledged.add(f"x{i}-{j}")
            client.close()
        for name in acknowledged:
            self.assertEqual(watcher("VISMEMBER", "k", name), 1, name)
        server.restart(how=signal.SIGKILL)
        watcher = server.client()
        for name in acknowledged:
            self.assertEqual(watcher("VISMEMBER", "k", name), 1, name)

    def test_clients_that_hang_up_in_a_search_leave_nothing_behind(self):
        server = self.start()
        watcher = server.client()
        fill(watcher, "k", 3000, dim=64)
        for i in range(100):
            client = server.client()
            client.socket.sendall(client.encode(("VSIM", "k", "ELE", f"e{i}", "TRUTH", "COUNT", 100)) * 20)
            client.close()
        wait_until(lambda: info(watcher, "shoal_vectorsets", "shoal_queued_searches") == "0" and
                   info(watcher, "shoal_vectorsets", "shoal_running_tasks") == "0")
        wait_until(lambda: info(watcher, "clients", "blocked_clients") == "0")
        self.assertEqual(len(watcher("VSIM", "k", "ELE", "e1")), 10)

    def test_a_client_that_is_killed_in_a_search_is_gone(self):
        server = self.start()
        watcher = server.client()
        fill(watcher, "k", 3000, dim=64)
        for _ in range(20):
            client = server.client()
            identity = client("CLIENT", "ID")
            client.send("VSIM", "k", "ELE", "e1", "TRUTH")
            watcher.pipeline([("CLIENT", "KILL", "ID", identity)])
            client.close()
        self.assertEqual(watcher("PING"), "PONG")

    def test_keys_may_go_during_searches(self):
        server = self.start()
        client = server.client()
        keys = [f"k{i}" for i in range(4)]
        rng = random.Random(3)
        with Load(server, keys) as load:
            for round_ in range(40 * SCALE):
                for key in keys:
                    fill(client, key, 400, dim=32, seed=round_)
                key = rng.choice(keys)
                for command in rng.sample([("DEL", key), ("UNLINK", key), ("PEXPIRE", key, 1), ("FLUSHALL",), ("FLUSHALL", "ASYNC"),
                                           ("RENAME", key, "k0"), ("SWAPDB", 0, 1), ("COPY", key, "k1", "REPLACE"), ("DEBUG", "RELOAD")],
                                          3):
                    client.pipeline([command])
        self.assertEqual(load.errors, [])
        self.assertGreater(load.done, 10)
        self.assertTrue(server.alive(), server.log_tail())

    def test_snapshots_of_forks_go_on_under_load(self):
        server = self.start("--appendonly", "yes", "--aof-use-rdb-preamble", "no")
        client = server.client()
        fill(client, "k", 3000, dim=32)
        with Load(server, ["k"]) as load:
            for i in range(6 * SCALE):
                client("BGREWRITEAOF" if i % 3 == 2 else "BGSAVE")
                wait_until(lambda: info(client, "persistence", "rdb_bgsave_in_progress") == "0" and
                           info(client, "persistence", "aof_rewrite_in_progress") == "0" and
                           info(client, "persistence", "aof_rewrite_scheduled") == "0", what="the fork's end")
                self.assertEqual(info(client, "persistence", "rdb_last_bgsave_status"), "ok")
                self.assertEqual(info(client, "persistence", "aof_last_bgrewrite_status"), "ok")
        self.assertEqual(load.errors, [])
        self.assertLess(load.slowest, 2, "seconds of the slowest reply")
        digest = client("DEBUG", "DIGEST")
        server.restart()
        self.assertEqual(server.client()("DEBUG", "DIGEST"), digest)

    def test_the_main_thread_never_stalls_under_load_and_forks(self):
        """No command, and no wait of a fork for linking, above 100 ms; the best of three runs counts, as machines stall, too."""
        server = self.start()
        client = server.client()
        fill(client, "k", 3000 * SCALE, dim=64)
        fill(client, "plants", 500, dim=64, options=("EF", 1000))
        client("CONFIG", "SET", "latency-monitor-threshold", 1)
        worst = []
        while len(worst) < 3 and (not worst or worst[-1] > 100):
            client("LATENCY", "RESET")
            waits = []
            with Load(server, ["k", "plants"], dim=64) as load:
                began = time.monotonic()
                while time.monotonic() - began < (600 if LONG else 2.5):
                    client("BGSAVE")
                    time.sleep(20 if LONG else 0.5)
                    waits.append(int(info(client, "shoal_vectorsets", "shoal_last_fork_wait_us")) / 1000)
                    wait_until(lambda: info(client, "persistence", "rdb_bgsave_in_progress") == "0")
            self.assertEqual(load.errors, [])
            self.assertGreater(load.done, 50)
            commands = [event[3] for event in client("LATENCY", "LATEST") if event[0] in (b"command", b"fast-command")]
            worst.append(max([*waits, *commands]))
        self.assertLessEqual(min(worst), 100, f"ms of the longest stall of each run: {worst}")
        print(f"[{min(worst):.1f} ms] ", end="", flush=True)

    def test_adds_go_on_while_searches_never_cease(self):
        """The threads always have a search that waits; adds beyond a full tail wait for linking all the same."""
        server = self.start()
        fill(server.client(), "k", 3000, dim=64)
        searches = Client.encode(("VSIM", "k", "ELE", "e1", "EF", 1000, "COUNT", 1)) * 200
        ended, done = threading.Event(), []

        def search():
            with server.client(timeout=120) as client:
                client.socket.sendall(searches)
                while not ended.is_set():
                    client.socket.sendall(searches)  # The next ones wait in the server while these are read.
                    done.extend(client.read() for _ in range(200))

        threads = [threading.Thread(target=search) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(done) > 100)
            fill(server.client(), "k", 1400, dim=64, seed=2, options=("EF", 200))
            before = len(done)
            self.assertGreater(before, 100)
            fill(server.client(), "new", 1400, dim=64, seed=2)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        self.assertGreater(len(done), before)

    def test_a_server_ends_while_its_threads_are_busy(self):
        server = self.start()
        fill(server.client(), "k", 3000, dim=64)
        with Load(server, ["k"], dim=64) as load:
            wait_until(lambda: load.done > 5)
            load.ended.set()
            self.assertEqual(server.stop(), 0)
        self.assertNotIn("crash", server.log_tail(200).lower())


class Memory(ServerTest):
    def used(self, client):
        return int(info(client, "memory", "used_memory"))

    def test_the_server_counts_every_byte(self):
        client = self.start().client()
        empty = self.used(client)
        fill(client, "k", 1500, dim=512, options=("NOQUANT", "EF", 20))
        wait_until(lambda: info(client, "shoal_vectorsets", "shoal_queued_links") == "0" and
                   info(client, "shoal_vectorsets", "shoal_running_tasks") == "0", seconds=60)
        used = self.used(client) - empty
        raw = 1500 * 512 * 4
        self.assertGreater(used, raw)
        claimed = client("MEMORY", "USAGE", "k")
        self.assertGreater(claimed, raw)
        self.assertLess(abs(claimed - used), 0.5 * used, (claimed, used))
        self.assertGreater(used, int(info(client, "shoal_vectorsets", "shoal_graph_bytes")) - 2 ** 20)
        client("DEL", "k")
        wait_until(lambda: self.used(client) - empty < used / 10, what="the memory's return")

    def test_attributes_count(self):
        client = self.start().client()
        client("VADD", "k", *V3, "a")
        before = client("MEMORY", "USAGE", "k")
        client("VSETATTR", "k", "a", "x" * 5000)
        self.assertGreaterEqual(client("MEMORY", "USAGE", "k"), before + 4900)

    def test_beyond_maxmemory_adds_are_refused_and_searches_are_not(self):
        client = self.start("--maxmemory", "20mb", "--maxmemory-policy", "noeviction").client()
        v = blob([float(i % 7) for i in range(4096)])
        replies = client.pipeline(("VADD", "k", "FP32", v, f"e{i}", "NOQUANT", "EF", 10) for i in range(2000))
        self.assertEqual(replies[0], 1)
        # At the limit one goes in whenever linking gives memory back; never more than there is room for.
        refused = [reply for reply in replies if "OOM" in str(reply)]
        self.assertGreaterEqual(len(refused), 2000 - 20 * 2 ** 20 // (4096 * 4))
        self.assertEqual(len(refused) + replies.count(1), 2000)
        replies = client.pipeline(("VSETATTR", "k", f"e{i}", "x" * 1000) for i in range(500))
        self.assertIn("OOM", " ".join(map(str, replies)))
        self.assertEqual(len(client("VSIM", "k", "ELE", "e0")), 10)
        client.pipeline([("VREM", "k", name) for name in client("VRANGE", "k", "-", "+")])
        wait_until(lambda: client.pipeline([("VADD", "k", *V3, "e0", "NOQUANT")])[0] == 1, what="an add after removals")

    def test_sets_are_evicted(self):
        # Freed by another thread (Valkey's default), memory is back too late for the add that needs it.
        client = self.start("--maxmemory", "30mb", "--maxmemory-policy", "allkeys-random", "--lazyfree-lazy-eviction",
                            "no").client()
        for i in range(60):
            fill(client, f"k{i}", 250, dim=512, seed=i, options=("NOQUANT",))
        self.assertGreater(int(info(client, "stats", "evicted_keys")), 0)
        self.assertLess(client("DBSIZE"), 60)


if __name__ == "__main__":
    unittest.main()
