"""A node of the cluster that sends damaged messages of VX.SIM: they are errors or right answers, and the server lives on."""

import random
import select
import unittest

import bus
from base import SCALE, SLOTS, ServerTest, fill, vector, wait_until
from client import ReplyError, blob
from cluster_client import load_cluster
from payloads import damage

PARTITIONS = 4  # The server serves the first two, nothing the others: so the node is waited for.
DIM = 8


class Bus(ServerTest):
    def setUp(self):
        self.server = self.start("--cluster-require-full-coverage", "no", cluster=True)
        self.client = self.server.client()
        self.client("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS // 2 - 1)
        self.node = bus.BusNode()
        self.addCleanup(self.node.close)
        self.client("CLUSTER", "MEET", "127.0.0.1", self.node.port, self.node.port + 10000)
        wait_until(lambda: self.node.name in self.client("CLUSTER", "NODES") and b"cluster_state:ok" in self.client("CLUSTER", "INFO"),
                   what="the node is met")
        self.node.connect(self.server.port)
        for number, tag in enumerate(load_cluster().tags(PARTITIONS)[:2]):
            fill(self.client, f"plants:{{{tag}}}", 50, dim=DIM, seed=number, options=("NOQUANT",))

    def test_damaged_requests_are_answered_or_logged(self):
        rng = random.Random(6)
        good = [bus.request(b"plants", PARTITIONS, vector(rng, DIM)), bus.request(b"plants", PARTITIONS, vector(rng, DIM), 3, b".i > 3"),
                bus.request(b"none", 1000, vector(rng, 2))]
        self.node.send(bus.REQUEST, good[0])
        self.assertEqual(bus.identity_of(self.node.next(bus.ANSWER)), 7)
        for i in range(5000 * SCALE):
            self.node.send(bus.REQUEST, damage(rng, rng.choice(good)))
            if i % 100 == 0:
                self.client("PING")  # Else messages pile up.
        self.node.send(bus.REQUEST, bus.request(b"plants", PARTITIONS, vector(rng, DIM), identity=9))
        taken = 0
        while bus.identity_of(self.node.next(bus.ANSWER)) != 9:
            taken += 1
        self.assertTrue(self.server.alive(), self.server.log_tail())
        self.assertGreater(taken, 100)
        print(f"[{taken} taken] ", end="", flush=True)

    def ask(self, query):
        """The id of a VX.SIM that waits for the node."""
        self.client.send("VX.SIM", "plants", PARTITIONS, "FP32", query, "WITHSCORES", "COUNT", 200, "EF", 200, "DEADLINE", 20000)
        return bus.identity_of(self.node.next(bus.REQUEST))

    def answer(self, identity, name=b"theirs"):
        return bus.answer(identity, PARTITIONS, [(2, b""), (3, b"")], [(2, name, b"", 0.75), (3, b"another", b'{"i": 1}', 0.5)])

    def test_damaged_answers_are_left_out_or_taken_whole(self):
        rng = random.Random(7)
        query = blob(vector(rng, DIM))
        self.node.send(bus.ANSWER, self.answer(self.ask(query)))
        found, missing = self.client.read()
        self.assertEqual(missing, [])
        scores = {name: float(score) for name, score in zip(found[::2], found[1::2])}
        self.assertEqual((scores.pop(b"theirs"), scores.pop(b"another")), (0.75, 0.5))
        damaged = 0
        for _ in range(250 * SCALE):
            good = self.answer(self.ask(query))
            # The first that is taken is the node's last word.
            for message in [*[damage(rng, good) for _ in range(20)], good]:
                self.node.send(bus.ANSWER, message)
            reply = self.client.read(raising=False)
            self.assertNotIsInstance(reply, ReplyError)
            found, missing = reply
            self.assertTrue({number for number, _ in missing} <= {2, 3}, missing)
            told = [(name, float(score)) for name, score in zip(found[::2], found[1::2])]
            self.assertEqual(len(told), len({name for name, _ in told}))
            self.assertEqual([score for _, score in told], sorted((score for _, score in told), reverse=True))
            self.assertEqual({name: score for name, score in told if name in scores}, scores)
            damaged += bool(missing) or {name for name, _ in told} != {*scores, b"theirs", b"another"}
        self.assertTrue(self.server.alive(), self.server.log_tail())
        self.assertGreater(damaged, 10)
        print(f"[{damaged} damaged ones taken] ", end="", flush=True)

    def test_damaged_requests_for_an_element_are_answered_or_logged(self):
        rng = random.Random(8)
        good = bus.element_request(b"plants", PARTITIONS, b"e1")
        for i in range(1000 * SCALE):
            self.node.send(bus.ELEMENT, damage(rng, good))
            if i % 100 == 0:
                self.client("PING")
        for identity, element in ((9, self.element_of(0)), (10, b"never")):
            self.node.send(bus.ELEMENT, bus.element_request(b"plants", PARTITIONS, element, identity))
        while bus.identity_of(answer := self.node.next(bus.VECTOR)) != 9:
            pass
        self.assertEqual((len(answer), answer[4]), (16 + 24 + 4 * DIM, 1))
        self.assertEqual(self.node.next(bus.VECTOR), bus.vector_answer(10, None))

    def element_of(self, partition):
        """An element that belongs to the partition; of the first two it is there."""
        rule = load_cluster().partition_of
        return next(name for name in (b"e%d" % i for i in range(50)) if rule(name, PARTITIONS) == partition)

    def test_damaged_vectors_of_an_element_are_left_out_or_taken(self):
        rng = random.Random(9)
        query = vector(rng, DIM)
        element = self.element_of(2)
        words = ("VX.SIM", "plants", PARTITIONS, "ELE", element, "WITHSCORES", "COUNT", 5)
        taken = 0
        for i in range(100 * SCALE):
            self.client.send(*words)
            asked = self.node.next(bus.ELEMENT)
            good = bus.vector_answer(bus.identity_of(asked), query)
            self.assertEqual(asked, bus.element_request(b"plants", PARTITIONS, element, bus.identity_of(asked)))
            for message in [*[damage(rng, good) for _ in range(20 if i else 0)], good]:
                self.node.send(bus.VECTOR, message)
            # The search begins when one was taken, unless that one says that there is no such element.
            begun = self.node.got[bus.REQUEST]
            wait_until(lambda: not begun.empty() or self.replied())
            if not begun.empty():
                identity = bus.identity_of(begun.get())
                self.node.send(bus.ANSWER, bus.answer(identity, PARTITIONS, [(2, b""), (3, b"")], []))
                taken += 1
            reply = self.client.read(raising=False)
            if isinstance(reply, ReplyError):
                self.assertEqual(str(reply), "ERR element not found in set")
            elif i == 0:
                local = self.client.pipeline([("VX.SIM", "plants", PARTITIONS, "FP32", blob(query), "WITHSCORES", "COUNT", 5,
                                               "DEADLINE", 100)])[0]
                self.node.next(bus.REQUEST)
                self.assertEqual((reply[0][::2], reply[1]), (local[0][::2], []))
            else:
                self.assertTrue({number for number, _ in reply[1]} <= {0, 1}, reply[1])
        self.assertTrue(self.server.alive(), self.server.log_tail())
        self.assertGreater(taken, 50)

    def replied(self):
        return bool(select.select([self.client.socket], [], [], 0)[0])

    def test_answers_to_other_searches_count_for_nothing(self):
        identity = self.ask(blob([1.0] * DIM))
        self.node.send(bus.ANSWER, self.answer(identity + 1, b"wrong"))
        self.node.send(bus.ANSWER, self.answer(identity))
        found, missing = self.client.read()
        self.assertEqual(missing, [])
        self.assertIn(b"theirs", found)
        self.assertNotIn(b"wrong", found)


if __name__ == "__main__":
    unittest.main()
