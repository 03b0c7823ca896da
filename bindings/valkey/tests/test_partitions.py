"""One set in many keys: shoal.cluster, and VX.SIM, on one server and on a cluster."""

import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

from base import ClusterTest, cosine_score, vector, wait_until
from client import Map, ReplyError, blob
from cluster_client import PlainClient, load_cluster

HERE = pathlib.Path(__file__).resolve().parent
# Where all partitions must be searched, whatever else the machine does.
PATIENT = ("DEADLINE", 20000)


def check_client(test, port, *words, python=sys.executable):
    """cluster_client.py against the server, or cluster, at this port."""
    done = subprocess.run([python, str(HERE / "cluster_client.py"), "--port", str(port), *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    test.assertEqual(done.returncode, 0, done.stdout[-3000:])


class Client(ClusterTest):
    def test_elements_are_added_found_and_moved_on_one_server(self):
        check_client(self, self.start().port, "--gather")

    def test_and_on_a_cluster(self):
        nodes, _ = self.start_cluster(3, 0)
        check_client(self, nodes[1].port, "--gather")


class Gather(ClusterTest):
    """VX.SIM."""

    def fill(self, port, name="plants", partitions=16, count=800):
        """The VectorSet, with elements of random vectors, which it returns, too."""
        rng = random.Random(9)
        client = PlainClient(port)
        self.addCleanup(client.close)
        store = load_cluster().VectorSet(client, name, partitions, options=("NOQUANT",))
        vectors = {f"e{i}": vector(rng, 8) for i in range(count)}
        store.add_many((name, v, {"i": int(name[1:])}) for name, v in vectors.items())
        return store, vectors

    def test_every_node_answers_as_a_merge_by_the_client(self):
        # Else the server itself refuses clients that wait while a part of the slots is not served.
        nodes, clients = self.start_cluster(3, 3, "--cluster-require-full-coverage", "no")
        store, vectors = self.fill(nodes[0].port)
        rng = random.Random(2)
        for client in clients:  # Replicas are asked, too.
            wait_until(lambda c=client: c("VX.SIM", "plants", 16, "FP32", blob([1.0] * 8))[1] == [], what="links to all masters")
            for _ in range(10):
                query = vector(rng, 8)
                found, missing = client("VX.SIM", "plants", 16, "FP32", blob(query), "WITHSCORES", "COUNT", 20, "EF", 800, *PATIENT)
                self.assertEqual(missing, [])
                merged = store.search(query, 20, ef=800)
                self.assertEqual(found[::2], [hit.element.encode() for hit in merged])
                self.assertEqual([float(score) for score in found[1::2]], [hit.score for hit in merged])
        query = vectors["e5"]
        found, missing = clients[4]("VX.SIM", "plants", 16, "VALUES", 8, *query, "FILTER", ".i < 9", "WITHATTRIBS", "TRUTH")
        self.assertEqual({bytes(name): bytes(text) for name, text in zip(found[::2], found[1::2])},
                         {b"e%d" % i: b'{"i": %d}' % i for i in range(9)})
        for client in clients:  # An element of any node's is a query at every node.
            for element in ("e1", "e2", "e3"):
                found, missing = client("VX.SIM", "plants", 16, "ELE", element, "WITHSCORES", "COUNT", 5, "EF", 800, *PATIENT)
                hits = store.search(element=element, count=5, ef=800)
                self.assertEqual((found[::2], missing), ([hit.element.encode() for hit in hits], []))
                for score, hit in zip(found[1::2], hits):
                    self.assertAlmostEqual(float(score), hit.score, 6)
            self.assertIn("element not found", client.error("VX.SIM", "plants", 16, "ELE", "e800"))
        # Partitions that have no key are searched, too.
        self.assertEqual(clients[1]("VX.SIM", "none", 64, "FP32", blob(query)), [[], []])
        with self.subTest("a slot that moves"):
            self.move_half_a_slot(nodes, clients, store, query)
        with self.subTest("a master that dies"):
            self.kill_a_master(nodes, clients, store, query)

    def move_half_a_slot(self, nodes, clients, store, query):
        """Its key has moved, and the slot not yet: the partition is searched all the same, and once."""
        key = next(key for key in store.keys if not isinstance(clients[0].pipeline([("VCARD", key)])[0], ReplyError))
        slot = clients[0]("CLUSTER", "KEYSLOT", key)
        ids = [client("CLUSTER", "MYID") for client in clients]
        expected = clients[2]("VX.SIM", "plants", 16, "FP32", blob(query), "COUNT", 50, "EF", 800, *PATIENT)
        clients[1]("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        clients[0]("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        self.assertEqual(clients[0]("MIGRATE", "127.0.0.1", nodes[1].port, key, 0, 5000), "OK")
        for client in clients[:3]:
            self.assertEqual(client("VX.SIM", "plants", 16, "FP32", blob(query), "COUNT", 50, "EF", 800, *PATIENT), expected)
        for client in (clients[1], clients[0], clients[2]):
            client("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
        for client in clients[:3]:
            self.assertEqual(client("VX.SIM", "plants", 16, "FP32", blob(query), "COUNT", 50, "EF", 800, *PATIENT), expected)

    def kill_a_master(self, nodes, clients, store, query):
        """The reply says within the deadline which partitions are missing; with the new master none are."""
        lost = [number for number, key in enumerate(store.keys)
                if not isinstance(clients[2].pipeline([("VCARD", key)])[0], ReplyError)]
        self.assertGreater(len(lost), 2)
        whole = clients[0]("VX.SIM", "plants", 16, "FP32", blob(query), "COUNT", 50, "EF", 800, *PATIENT)[0]
        gone = {name for key in (store.keys[number] for number in lost) for name in clients[2]("VRANGE", key, "-", "+")}
        nodes[2].process.send_signal(signal.SIGSTOP)  # Connections stay: only the deadline ends the search.
        try:
            began = time.monotonic()
            found, missing = clients[0]("VX.SIM", "plants", 16, "FP32", blob(query), "COUNT", 50, "EF", 800, "DEADLINE", 200)
            took = time.monotonic() - began
        finally:
            nodes[2].process.send_signal(signal.SIGCONT)
        self.assertEqual(missing, [[number, b"no answer within 200 ms"] for number in lost])
        self.assertTrue(set(found) >= set(whole) - gone and not set(found) & gone)
        self.assertGreater(took, 0.19)
        self.assertLess(took, 2)
        nodes[2].stop(signal.SIGKILL)
        _, missing = clients[0]("VX.SIM", "plants", 16, "FP32", blob(query), "DEADLINE", 500)
        self.assertEqual([number for number, _ in missing], lost)
        wait_until(lambda: clients[0]("VX.SIM", "plants", 16, "FP32", blob(query), "COUNT", 50, "EF", 800) == [whole, []], 30,
                   "all partitions after the failover")

    def test_on_one_server_it_searches_the_local_keys(self):
        server = self.start()
        client, client3 = server.client(), server.client(3)
        store, vectors = self.fill(server.port, partitions=5, count=300)
        query = vectors["e3"]
        found, missing = client3("VX.SIM", "plants", 5, "FP32", blob(query), "WITHSCORES", "WITHATTRIBS", "COUNT", 3)
        self.assertIsInstance(found, Map)
        self.assertEqual(found[0][0], b"e3")
        self.assertEqual(found[0][1][1], b'{"i": 3}')
        self.assertAlmostEqual(found[1][1][0], cosine_score(query, vectors[found[1][0].decode()]), 5)
        # The element's vector is taken as its set keeps it: quantised and projected ones, too.
        store.add("far", [100.0 * x for x in query])
        self.assertEqual(set(client("VX.SIM", "plants", 5, "ELE", "far", "COUNT", 2)[0]), {b"e3", b"far"})
        for options in (("Q8",), ("BIN",)):
            small = load_cluster().VectorSet(store.client, "small", 3, options=options, reduce=4)
            small.clear()
            small.add_many((name, v, None) for name, v in vectors.items())
            found, missing = client("VX.SIM", "small", 3, "ELE", "e3", "WITHSCORES", "COUNT", 1, "TRUTH")
            self.assertEqual((float(found[1]), missing), (1.0, []))
        # Every partition that cannot be searched is said, with the reason.
        client("SET", store.keys[1], "x")
        client("DEL", store.keys[2])
        client("VADD", store.keys[2], "VALUES", 3, 1, 2, 3, "other")
        found, missing = client("VX.SIM", "plants", 5, "FP32", blob(query))
        self.assertEqual(missing, [[1, b"not a vector set"], [2, b"Vector dimension mismatch - got 8 but set has 3"]])
        self.assertEqual(len(found), 10)
        there = client("VRANDMEMBER", store.keys[0])
        _, missing = client("VX.SIM", "plants", 5, "ELE", there)
        self.assertEqual(missing, [[1, b"not a vector set"], [2, b"another kind of vectors than the element's"]])

    def test_keys_that_a_user_may_not_read_are_refused(self):
        server = self.start()
        store, vectors = self.fill(server.port, partitions=4, count=50)
        client = server.client()
        patterns = [f"%R~{key}" for key in store.keys]
        client("ACL", "SETUSER", "all", "on", ">x", "+vx.sim", *patterns)
        client("ACL", "SETUSER", "some", "on", ">x", "+vx.sim", *patterns[:3])
        client("ACL", "SETUSER", "writer", "on", ">x", "+vx.sim", *[f"%W~{key}" for key in store.keys])
        words = ("VX.SIM", "plants", 4, "FP32", blob(vectors["e1"]), "COUNT", 1)
        client("AUTH", "all", "x")
        self.assertEqual(client(*words), [[b"e1"], []])
        for user in ("some", "writer"):
            client("AUTH", user, "x")
            self.assertIn("NOPERM", client.error(*words))

    def test_arguments_that_make_no_sense_are_errors(self):
        client = self.start().client()
        query = ("VALUES", 2, 1, 0)
        for words, text in ((("a{b", 4, *query), "name"), (("a", 0, *query), "partitions"), (("a", 1025, *query), "partitions"),
                            (("a", "x", *query), "partitions"), (("a", 4, "ELE", "e"), "element not found"), (("a", 4, "ELE"), "wrong number"),
                            (("a", 4, "VALUES", 1, "nan"), "vector"), (("a", 4, "FP32", b"\0\0\xc0\x7f"), "vector"),
                            (("a", 4, *query, "COUNT", 1001), "COUNT"), (("a", 4, *query, "DEADLINE", 0), "DEADLINE"),
                            (("a", 4, *query, "DEADLINE", 60001), "DEADLINE"), (("a", 4, *query, "EPSILON", "inf"), "EPSILON"),
                            (("a", 4, *query, "FILTER", ".a >"), "FILTER"), (("a", 4, *query, "XDISTANCE_METRIC", "L2"), "syntax"),
                            (("a", 4, *query, "DEADLINE"), "syntax"), (("a", 4, "FP32"), "wrong number")):
            self.assertIn(text, client.error("VX.SIM", *words), words)
        client("MULTI")
        client("VX.SIM", "a", 4, *query)
        reply, = client("EXEC")
        self.assertIn("transactions", str(reply))


if __name__ == "__main__":
    unittest.main()
