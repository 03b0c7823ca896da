"""A partitioned set under a mixed load while slots move and a master is killed. Long: 100,000 elements in 16 partitions."""

import random
import signal
import threading
import time
import unittest

from base import LONG, ClusterTest, wait_until
from client import ReplyError
from cluster_client import PlainClient, load_cluster

ELEMENTS, PARTITIONS, DIM = (100_000, 16, 32) if LONG else (4_000, 8, 16)
# What the engine itself says while a slot moves or a master is missing; the client asks again.
ENGINE = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN")
# Replication is asynchronous: the engine may lose what a master acknowledged in so many seconds before it died.
REPLICATION_LAG = 1.0


def clustered(rng, dim=DIM):
    """A vector near one of 64 centres."""
    centre = random.Random(rng.randrange(64))
    return [centre.gauss(0, 1) + 0.5 * rng.gauss(0, 1) for _ in range(dim)]


class Writer(threading.Thread):
    """Adds, replaces, removes elements of its own, and searches; keeps what was acknowledged, and when."""

    def __init__(self, number, ports, ended):
        super().__init__()
        self.number, self.ports, self.ended = number, ports, ended
        self.rng = random.Random(number)
        self.acknowledged = {}  # name -> (vector, or None: removed; when)
        self.errors, self.done, self.store = [], 0, None

    def connect(self, port):
        self.store = load_cluster().VectorSet(PlainClient(port), "plants", PARTITIONS)

    def run(self):
        self.connect(self.ports[0])
        while not self.ended.is_set():
            name, v = f"w{self.number}-{self.rng.randrange(3000)}", clustered(self.rng)
            kind = self.rng.random()
            if kind < 0.65:
                self.keep_trying(lambda: self.store.add(name, v), name, v)
            elif kind < 0.8:
                self.keep_trying(lambda: self.store.remove(name), name, None)
            else:
                self.keep_trying(lambda: self.store.search(v, 10), None, None)
        self.store.client.close()

    def keep_trying(self, call, name, v):
        """Until it is acknowledged: an error of the engine's or a lost connection is no answer."""
        deadline = time.monotonic() + 60
        while True:
            try:
                call()
                break
            except ReplyError as error:
                if str(error).split()[0] not in ENGINE:
                    self.errors.append(error)
                    return
            except OSError:
                self.connect(self.rng.choice(self.ports))
            if time.monotonic() > deadline:
                self.errors.append(f"{name}: nothing acknowledged in a minute")
                return
            time.sleep(0.02)
        self.done += 1
        if name is not None:
            self.acknowledged[name] = (v, time.monotonic())


class Load(ClusterTest):
    def test_nothing_acknowledged_is_lost_and_searches_find(self):
        nodes, clients = self.start_cluster(3, 3, "--appendonly", "yes", "--appendfsync", "everysec")
        store = load_cluster().VectorSet(PlainClient(nodes[0].port), "plants", PARTITIONS)
        rng = random.Random(1)
        for begin in range(0, ELEMENTS, 2000):
            store.add_many((f"e{i}", clustered(rng), {"i": i}) for i in range(begin, begin + 2000))
        ended = threading.Event()
        # Of the masters that live, and the replicas.
        ports = [node.port for i, node in enumerate(nodes) if i != 2]
        writers = [Writer(number, ports, ended) for number in range(4)]
        for writer in writers:
            writer.start()
        try:
            self.move_slots(nodes, clients, store, 2)
            time.sleep(1)
            lost_keys = {key for key in store.keys if not isinstance(clients[2].pipeline([("VCARD", key)])[0], ReplyError)}
            nodes[2].process.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            nodes[2].stop()
            wait_until(lambda: b"role:master" in clients[5]("INFO", "replication"), 30, what="a new master")
            self.move_slots(nodes, clients, store, 1)
            wait_until(lambda: all(b"cluster_state:ok" in clients[i]("CLUSTER", "INFO") for i in (0, 1, 3, 4, 5)), 30,
                       what="cluster_state:ok")
            time.sleep(30 if LONG else 2)
        finally:
            ended.set()
            for writer in writers:
                writer.join()
        self.assertEqual([error for writer in writers for error in writer.errors], [])
        store.client.close()
        store.client = PlainClient(nodes[0].port)
        self.addCleanup(store.client.close)
        self.check_acknowledged(store, writers, lost_keys, killed_at)
        nodes[2].start()
        self.check_digests(nodes)
        self.check_recall(store, rng)
        print(f"[{sum(writer.done for writer in writers)} calls under way] ", end="", flush=True)

    def move_slots(self, nodes, clients, store, count):
        """Slots of the first master, with a partition each, move to the second."""
        ids = [clients[i]("CLUSTER", "MYID") for i in (0, 1)]
        keys = [key for key in store.keys if not isinstance(clients[0].pipeline([("VCARD", key)])[0], ReplyError)]
        for key in keys[:count]:
            slot = clients[0]("CLUSTER", "KEYSLOT", key)
            clients[1]("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
            clients[0]("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
            self.assertEqual(clients[0]("MIGRATE", "127.0.0.1", nodes[1].port, key, 0, 20000), "OK")
            clients[1]("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
            clients[0]("CLUSTER", "SETSLOT", slot, "NODE", ids[1])

    def check_acknowledged(self, store, writers, lost_keys, killed_at):
        forgivable = kept = 0
        for writer in writers:
            names = list(writer.acknowledged)
            there = store._calls([("VISMEMBER", store.key_of(name), name) for name in names])
            for name, is_there in zip(names, there):
                v, when = writer.acknowledged[name]
                if bool(is_there) == (v is not None):
                    kept += 1
                    continue
                self.assertIn(store.key_of(name), lost_keys, name)
                self.assertLess(abs(when - killed_at), REPLICATION_LAG, name)
                forgivable += 1
        self.assertGreater(kept, 500)
        self.assertLess(forgivable, kept / 20)

    def check_digests(self, nodes):
        """Of every replica, the killed master among them, and its master."""
        by_port = {node.port: node.client() for node in nodes}
        followed = 0
        for client in by_port.values():
            role = client("ROLE")
            if role[0] != b"slave":
                continue
            followed += 1
            wait_until(lambda c=client: c("ROLE")[3] == b"connected", 30, what="the replica's link")
            master = by_port[client("ROLE")[2]]
            wait_until(lambda c=client, m=master: c("DEBUG", "DIGEST") == m("DEBUG", "DIGEST"), what="equal digests")
        self.assertEqual(followed, 3)

    def check_recall(self, store, rng):
        found = 0
        queries = 200 if LONG else 50
        for _ in range(queries):
            query = clustered(rng)
            exact = {hit.element for hit in store.search(query, 10, options=("TRUTH",))}
            found += len(exact & {hit.element for hit in store.search(query, 10, ef=200)})
        self.assertGreaterEqual(found / (10 * queries), 0.98)


if __name__ == "__main__":
    unittest.main()
