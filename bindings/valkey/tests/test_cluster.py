"""Three masters and three replicas on loopback: redirections, a slot that moves, a master that dies."""

import random
import signal
import unittest

from base import ClusterTest, vector, wait_until
from client import Client, ReplyError, blob


class Cluster(ClusterTest):
    def ask(self, port, *words):
        """The reply, wherever the cluster sends the question."""
        for _ in range(5):
            with Client(port) as client:
                reply = client.pipeline([("ASKING",), words] if getattr(self, "asking", False) else [words])[-1]
            self.asking = False
            if not isinstance(reply, ReplyError) or str(reply).split()[0] not in ("MOVED", "ASK"):
                return reply
            self.asking = str(reply).startswith("ASK")
            port = int(str(reply).rpartition(":")[2])
        self.fail(f"redirected for ever: {reply}")

    def test_sets_are_redirected_moved_and_survive_a_master(self):
        nodes, clients = self.start_cluster(3, 3, "--appendonly", "yes")
        rng = random.Random(1)
        keys = [f"set:{i}" for i in range(12)]
        vectors = {key: [vector(rng, 8) for _ in range(30)] for key in keys}
        moved = 0
        for key in keys:
            for i, v in enumerate(vectors[key]):
                command = ("VADD", key, "FP32", blob(v), f"e{i}")
                reply = clients[0].pipeline([command])[0]
                if isinstance(reply, ReplyError):
                    self.assertTrue(str(reply).startswith("MOVED"), reply)
                    moved += 1
                    reply = self.ask(nodes[0].port, *command)
                self.assertEqual(reply, 1)
        self.assertGreater(moved, 0)
        self.move_slot_and_back(nodes, clients, keys)
        self.kill_master(nodes, clients, keys)

    def move_slot_and_back(self, nodes, clients, keys):
        """A slot of the first master moves to the second, changes there, and comes back."""
        key = next(key for key in keys if not isinstance(clients[0].pipeline([("VCARD", key)])[0], ReplyError))
        self.move_slot(nodes, clients, key, 0, 1)
        self.assertEqual(clients[1]("VADD", key, "FP32", blob([2.0] * 8), "moved"), 1)
        self.assertEqual(clients[1]("VREM", key, "e0"), 1)
        self.assertEqual(clients[1]("VSETATTR", key, "e1", '{"year": 1999}'), 1)
        self.move_slot(nodes, clients, key, 1, 0)
        self.assertEqual(clients[0]("VSIM", key, "FP32", blob([2.0] * 8), "COUNT", 1), [b"moved"])
        self.assertEqual(clients[0]("VISMEMBER", key, "e0"), 0)
        self.assertEqual(clients[0]("VGETATTR", key, "e1"), b'{"year": 1999}')
        self.assertEqual(clients[0]("VREM", key, "moved"), 1)
        self.assertEqual(clients[0]("VADD", key, "FP32", blob([3.0] * 8), "e0"), 1)
        self.move_slot(nodes, clients, key, 0, 1)

    def move_slot(self, nodes, clients, key, source, target):
        """The slot of a key moves from a master to another, key by key, with its sets."""
        at, to = clients[source], clients[target]
        digest, size = at("DEBUG", "DIGEST-VALUE", key), at("VCARD", key)
        slot = at("CLUSTER", "KEYSLOT", key)
        ids = [client("CLUSTER", "MYID") for client in clients]
        to("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        at("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        for moving in at("CLUSTER", "GETKEYSINSLOT", slot, 100):
            self.assertEqual(at("MIGRATE", "127.0.0.1", nodes[target].port, moving, 0, 5000), "OK")
            self.assertTrue(at.error("VCARD", moving).startswith("ASK"))
        self.assertEqual(self.ask(nodes[source].port, "VCARD", key), size)
        third = next(client for i, client in enumerate(clients[:3]) if i not in (source, target))
        for client in (to, at, third):
            client("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        self.assertEqual(to("DEBUG", "DIGEST-VALUE", key), digest)
        self.assertTrue(at.error("VCARD", key).startswith("MOVED"))

    def test_slots_that_would_move_at_once_are_refused_by_name(self):
        """Valkey 9's CLUSTER MIGRATESLOTS wants modules that declare it, which this one does not."""
        _, clients = self.start_cluster(3, 0)
        if isinstance(clients[0].pipeline([("CLUSTER", "GETSLOTMIGRATIONS")])[0], ReplyError):
            self.skipTest("the server moves slots key by key only")
        self.assertIn("shoal", clients[0].error("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 0, "NODE", clients[1]("CLUSTER", "MYID")))

    def all_answer(self, port, keys):
        try:
            return all(self.ask(port, "VCARD", key) == 30 for key in keys)
        except OSError:
            return False

    def kill_master(self, nodes, clients, keys):
        """Its replica takes over, with all that was acknowledged."""
        replica = clients[4]
        wait_until(lambda: replica("DEBUG", "DIGEST") == clients[1]("DEBUG", "DIGEST"), what="equal digests")
        nodes[1].stop(signal.SIGKILL)
        wait_until(lambda: b"role:master" in replica("INFO", "replication"), 30, what="a new master")
        # A node may redirect to the dead one, or see the cluster down, until all know the new master.
        wait_until(lambda: self.all_answer(nodes[0].port, keys), 60, what="every set's answer")
        for key in keys:
            self.assertEqual(self.ask(nodes[0].port, "VSIM", key, "ELE", "e3", "COUNT", 1), [b"e3"])
        self.assertEqual(self.ask(nodes[0].port, "VADD", keys[0], "FP32", blob([1.0] * 8), "new"), 1)


if __name__ == "__main__":
    unittest.main()
