"""What the server tests share: which server and module (the environment says), vectors, waiting."""

import os
import pathlib
import random
import shlex
import tempfile
import time
import unittest

from client import Server, blob

MODULE = os.environ.get("SHOAL_MODULE", "")
COMMAND = shlex.split(os.environ.get("SHOAL_SERVER_COMMAND", "redis-server"))
SERVERS = pathlib.Path(os.environ.get("SHOAL_SERVERS", "."))
LONG = os.environ.get("SHOAL_LONG", "") == "1"
# Long tests take so many times as many steps.
SCALE = 10 if LONG else 1

long_test = unittest.skipUnless(LONG, "a long test: run.py --long")


def vector(rng, dim):
    return [rng.gauss(0, 1) for _ in range(dim)]


def cosine_score(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    norms = (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    return (1 + dot / norms) / 2 if norms else 0.5


def wait_until(condition, seconds=20, what="a condition"):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def info(client, section, field):
    text = client("INFO", section).decode()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value
    raise AssertionError(f"INFO {section} has no {field}:\n{text}")


def fill(client, key, count, dim=16, seed=1, options=()):
    """`count` elements e0, e1, ... with their vectors, which it returns."""
    rng = random.Random(seed)
    vectors = {f"e{i}": vector(rng, dim) for i in range(count)}
    items = list(vectors.items())
    for begin in range(0, count, 500):
        batch = items[begin:begin + 500]
        replies = client.pipeline(("VADD", key, "FP32", blob(v), name, *options) for name, v in batch)
        assert all(reply in (0, 1) for reply in replies), replies[:3]
    return vectors


class ServerTest(unittest.TestCase):
    """Servers that a test starts end with it."""

    def make(self, *settings, arguments=(), cluster=False, command=None, module=MODULE):
        folder = tempfile.mkdtemp(prefix="vset-", dir=SERVERS)
        server = Server(command or COMMAND, module, folder, *settings, arguments=arguments, cluster=cluster)
        self.addCleanup(server.__exit__, None)
        return server

    def start(self, *settings, **options):
        return self.make(*settings, **options).start()

    def replica_of(self, master, *settings):
        replica = self.start("--replicaof", f"127.0.0.1 {master.port}", *settings)
        client = replica.client()
        wait_until(lambda: info(client, "replication", "master_link_status") == "up", what="the replica's link")
        return replica

    def wait_for_replica(self, master, replica):
        """Until the replica has applied what the master has sent."""
        offset = int(info(master, "replication", "master_repl_offset"))
        wait_until(lambda: int(info(replica, "replication", "slave_repl_offset")) >= offset, what="the replica's offset")


class SharedServerTest(ServerTest):
    """One server for all tests of a class; each begins with no keys."""

    settings = ()
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="vset-", dir=SERVERS)
        cls.server = Server(COMMAND, MODULE, cls.folder, *cls.settings, arguments=cls.arguments).start()
        cls.addClassCleanup(cls.server.__exit__, None)

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)
        self.client("FLUSHALL")
        self.client3 = self.server.client(3)
        self.addCleanup(self.client3.close)

    def tearDown(self):
        self.assertTrue(self.server.alive(), self.server.log_tail())


SLOTS = 16384


class ClusterTest(ServerTest):
    """Masters with equal parts of the slots, and some replicas."""

    def start_cluster(self, masters=3, replicas=3, *settings):
        """(nodes, a client of each); the masters come first, and replica i is of master i."""
        # The replica of a master that dies is elected after two node timeouts, at the earliest.
        nodes = [self.start(*settings, cluster=True) for _ in range(masters + replicas)]
        clients = [node.client() for node in nodes]
        for i in range(masters):
            begin, end = SLOTS * i // masters, SLOTS * (i + 1) // masters - 1
            clients[i]("CLUSTER", "ADDSLOTSRANGE", begin, end)
            clients[i]("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for node in nodes[1:]:
            clients[0]("CLUSTER", "MEET", "127.0.0.1", node.port)
        ids = [client("CLUSTER", "MYID") for client in clients]
        for client in clients:
            wait_until(lambda c=client: all(identity in c("CLUSTER", "NODES") for identity in ids), what="all nodes known")
        for i in range(replicas):
            clients[masters + i]("CLUSTER", "REPLICATE", ids[i])
        for client in clients:
            wait_until(lambda c=client: b"cluster_state:ok" in c("CLUSTER", "INFO"), what="cluster_state:ok")
        for client in clients[masters:]:
            wait_until(lambda c=client: b"master_link_status:up" in c("INFO", "replication"), what="the replica's link")
        return nodes, clients
