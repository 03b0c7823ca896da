"""Sets of Redis 8 itself: dumps of its vector sets are restored here, with names, vectors and attributes.

redis8_dumps.json has dumps of Redis 8.0.2 and what it says of them; where Redis 8 can be had, random sets are compared, too.
"""

import json
import pathlib
import random
import unittest

import servers
from base import LONG, SCALE, SERVERS, ServerTest, vector
from client import ReplyError, blob
from payloads import mutate, with_version

STORED = pathlib.Path(__file__).resolve().parent / "redis8_dumps.json"
QUANTIZATIONS = ("Q8", "NOQUANT", "BIN")


def make_sets(client, sizes=(1, 40), dim=7):
    """A set of each kind and size, with attributes, the zero vector, odd names, and gaps; their keys."""
    rng = random.Random(4)
    keys = []
    for quantization in QUANTIZATIONS:
        for size in sizes:
            key = f"{quantization}-{size}"
            for i in range(size):
                attribute = ("SETATTR", f'{{"i":{i}}}') if i % 3 == 1 else ()
                client("VADD", key, "FP32", blob(vector(rng, dim)), f"e{i}", quantization, "M", 8, *attribute)
            if size > 5:
                client("VADD", key, "FP32", blob([0.0] * dim), bytes(range(40)), quantization, "M", 8)
                client("VREM", key, "e3")
            keys.append(key)
    return keys


def describe(client, key):
    """What does not depend on the graph, as JSON may have it: each element's vector and attribute, options, scores."""
    names = sorted(client("VRANDMEMBER", key, 1000))
    told = [word.decode() if isinstance(word, bytes) else word for word in client("VINFO", key)]
    info = dict(zip(told[::2], told[1::2]))
    query = [1.0, -2.0, 0.5, 0.25, 3.0, -1.0, 1.5]
    scores = client("VSIM", key, "VALUES", len(query), *query, "WITHSCORES", "COUNT", 1000, "TRUTH")
    return {"options": [info["quant-type"], info["hnsw-m"], info["vector-dim"]],
            "elements": {name.hex(): [[float(x) for x in client("VEMB", key, name)],
                                      (client("VGETATTR", key, name) or b"").decode()] for name in names},
            "scores": {name.hex(): float(score) for name, score in zip(scores[::2], scores[1::2])}}


class Import(ServerTest):
    def check(self, client, key, expected):
        found = describe(client, key)
        self.assertEqual(found["options"], expected["options"], key)
        self.assertEqual(list(found["elements"]), list(expected["elements"]), key)
        for name, (values, attribute) in expected["elements"].items():
            self.assertEqual(found["elements"][name][1], attribute)
            for ours, theirs in zip(found["elements"][name][0], values):
                self.assertAlmostEqual(ours, theirs, 5, f"{key} {name}")
        for name, score in expected["scores"].items():
            # Queries of int8 sets are quantised, too, in slightly different steps.
            self.assertAlmostEqual(found["scores"][name], score, delta=0.01 if key.startswith("Q8") else 1e-4, msg=f"{key} {name}")

    def test_dumps_of_redis_8_are_restored(self):
        client = self.start().client()
        for key, (dump, expected) in json.loads(STORED.read_text()).items():
            self.assertEqual(client("RESTORE", key, 0, with_version(bytes.fromhex(dump))), "OK")
            self.check(client, key, expected)
            self.assertEqual(client("DEBUG", "RELOAD"), "OK")  # Now in the module's own format.
            self.check(client, key, expected)

    def test_mutated_ones_are_errors_or_sets_that_work(self):
        server = self.start("--sanitize-dump-payload", "no")
        client = server.client()
        rng = random.Random(5)
        payloads = [with_version(bytes.fromhex(dump)) for dump, _ in json.loads(STORED.read_text()).values()]
        taken = 0
        for _ in range(3000 * SCALE):
            reply = client.pipeline([("RESTORE", "r", 0, mutate(rng, rng.choice(payloads)), "REPLACE")])[0]
            if isinstance(reply, ReplyError):
                continue
            taken += 1
            name = client("VRANDMEMBER", "r")
            self.assertIn(name, client("VSIM", "r", "ELE", name, "COUNT", 1000))
            self.assertEqual(client("VREM", "r", name), 1)
        self.assertTrue(server.alive(), server.log_tail())
        self.assertGreater(taken, 100)
        print(f"[{taken} taken] ", end="", flush=True)

    def test_a_projected_set_is_refused_by_name(self):
        server = self.start()
        client = server.client()
        # Behind the module's id: dim, elements, M and quantisation, flags.
        payload = with_version(bytes.fromhex(json.loads(STORED.read_text())["Q8-1"][0]))
        at = 10 + 2 + 2 + 3  # The fourth number: 02 (a number follows), its value.
        self.assertEqual(payload[at:at + 2], b"\x02\x00")
        changed = payload[:at + 1] + b"\x01" + payload[at + 2:]
        client.error("RESTORE", "r", 0, with_version(changed))
        self.assertIn("projection", server.log_tail())

    @unittest.skipUnless(LONG, "a long test: run.py --long")
    def test_random_sets_of_a_redis_8_that_runs(self):
        try:
            command = servers.command_of("redis8", SERVERS)
        except servers.Unavailable as error:
            self.skipTest(f"Redis 8 cannot be had: {error}")
        theirs = self.start(command=command, module=None).client()
        ours = self.start().client()
        for key in make_sets(theirs, sizes=(2, 600)):
            ours("RESTORE", key, 0, with_version(theirs("DUMP", key)))
            self.check(ours, key, describe(theirs, key))


if __name__ == "__main__":
    unittest.main()
