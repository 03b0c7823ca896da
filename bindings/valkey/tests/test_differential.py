"""Random commands to this module and to Redis 8.0's own vector sets: the same replies, numbers as numbers.

What may differ is in this file, with its reason; docs/vector_sets.md says it to users.
"""

import random
import unittest

import servers
from base import SCALE, SERVERS, ServerTest, vector
from client import ReplyError, blob
from test_partitions import check_client

DIM = 6
# Both are quantised, in slightly different steps.
TOLERANCE = {"Q8": 0.02, "NOQUANT": 1e-4, "BIN": 1e-4}


def is_number(value):
    try:
        float(value)
        return not isinstance(value, bool)
    except (TypeError, ValueError):
        return False


def same(ours, theirs, tolerance):
    """Equal; errors by their text, numbers within the tolerance, lists element by element."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(same(a, b, tolerance) for a, b in zip(ours, theirs))
    if isinstance(ours, ReplyError) or isinstance(theirs, ReplyError):
        # What is shown after "near:" is the parser's affair.
        return type(ours) is type(theirs) and str(ours).partition("near:")[0] == str(theirs).partition("near:")[0]
    if is_number(ours) and is_number(theirs):
        return abs(float(ours) - float(theirs)) <= tolerance * max(1.0, abs(float(theirs)))
    return ours == theirs


class Commands:
    """A stream of commands on a few sets, with a few errors among them."""

    FILTERS = (".n > 3", ".n >= 2 and .s == 'x'", ".n in [1, 2, 3]", "!(.n == 4) or .s == 'y'", ".n ** 2 > 10", ".n % 2 == 0",
               "(.n + 1) * 2 < 9", ".missing == 1 or .n > 2", ".s in ['x', 'z']", ".n ==", "(.n", ".n > 3 &&", "not (.n < 3)",
               "-2 ** 2 == 4 and .n", "2 ** 3 ** 2 == 512", "10 / 0 > 1 and .s", "1 - -1 == 2")

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def key(self):
        return f"k{self.rng.randrange(3)}:{self.kind}"

    def element(self):
        return f"e{self.rng.randrange(25)}"

    def next(self):
        """(command, quantisation)."""
        self.kind = self.rng.choice(("Q8", "NOQUANT", "BIN"))
        kind, make = self.rng.choice((("add", self.add),) * 5 + (("other", self.other),) * 5 + (("find", self.find),) * 6)
        return make(), self.kind

    def vector(self):
        v = vector(self.rng, DIM)
        if self.rng.random() < 0.5:
            return ("FP32", blob(v))
        return ("VALUES", DIM, *(f"{x:.6f}" for x in v))

    def add(self):
        options = [self.kind]
        if self.rng.random() < 0.4:
            options += ["SETATTR", f'{{"n":{self.rng.randrange(6)},"s":"{self.rng.choice("xyz")}"}}']
        if self.rng.random() < 0.1:
            options += self.rng.choice((["EF", 100], ["CAS"], ["M", 16], ["M", 20], ["EF", "x"], ["SETATTR"], ["BIN"], ["M", 2],
                                        ["EF", 0], ["FOO"], ["REDUCE", 3]))
        v = self.vector()
        if self.rng.random() < 0.05:
            v = self.rng.choice((("VALUES", 3, 1, 2, 3), ("VALUES", DIM, 1, 2), ("FP32", b"abc"), ("VALUES", "x", 1),
                                 ("REDUCE", 0, *v)))
        return ("VADD", self.key(), *v, self.element(), *options)

    def other(self):
        rng = self.rng
        return rng.choice((
            ("VREM", self.key(), self.element()), ("VCARD", self.key()), ("VDIM", self.key()), ("VGETATTR", self.key(), self.element()),
            ("VSETATTR", self.key(), self.element(), rng.choice(("", '{"n":3}', "{bad", '{"n":1,"s":"y"}'))),
            ("VISMEMBER", self.key(), self.element()), ("VEMB", self.key(), self.element()), ("VEMB", self.key(), self.element(), "FOO"),
            ("VRANDMEMBER", self.key(), "x"), ("VRANDMEMBER", self.key(), 0), ("VCARD", self.key(), "x"), ("VDIM", "none"),
            ("VLINKS", self.key(), "none"), ("VINFO", "none"), ("VSIM", "none", "ELE", "x"), ("VREM", self.key()), ("EXISTS", self.key()),
            ("TYPE", self.key()), ("VEMB", "string", "x"), ("VADD", "string", *self.vector(), "x")))

    def find(self):
        query = ("ELE", self.element()) if self.rng.random() < 0.5 else self.vector()
        options = ["WITHSCORES", "COUNT", 30, "EF", 1000]
        if self.rng.random() < 0.5:
            options += ["FILTER", self.rng.choice(self.FILTERS), "FILTER-EF", 10000]
        if self.rng.random() < 0.1:
            options += self.rng.choice((["COUNT", 0], ["COUNT", "x"], ["EF", 0], ["FOO"], ["EPSILON", 0], ["FILTER"], ["TRUTH"],
                                        ["FILTER-EF", "x"], ["NOTHREAD"]))
        return ("VSIM", self.key(), *query, *options)


def scores_by_name(reply):
    """VSIM WITHSCORES as a sorted list: elements of nearly equal scores may change places."""
    return [part for pair in sorted(zip(reply[::2], reply[1::2])) for part in pair]


class Differential(ServerTest):
    def compare(self, commands, protocol):
        try:
            command = servers.command_of("redis8", SERVERS)
        except servers.Unavailable as error:
            self.skipTest(f"Redis 8 cannot be had: {error}")
        ours = self.start().client(protocol)
        theirs = self.start(command=command, module=None).client(protocol)
        for client in (ours, theirs):
            client("SET", "string", "x")
        stream = Commands(seed=protocol)
        differences = []
        for step in range(commands):
            words, kind = stream.next()
            a, b = (client.pipeline([words])[0] for client in (ours, theirs))
            if words[0] == "VSIM" and isinstance(a, list) and isinstance(b, list) and protocol == 2:
                a, b = scores_by_name(a), scores_by_name(b)
            elif words[0] == "VSIM" and isinstance(a, list) and isinstance(b, list):
                a, b = ([part for pair in sorted(reply) for part in pair] if reply else [] for reply in (a, b))
            if not same(a, b, TOLERANCE[kind]):
                differences.append(f"{step}: {words}\n  ours   {a!r}\n  theirs {b!r}")
        self.assertEqual(differences, [], "\n".join([f"{len(differences)} of {commands}:", *differences[:8]]))

    def test_random_commands_in_resp2(self):
        self.compare(1500 * SCALE, 2)

    def test_random_commands_in_resp3(self):
        self.compare(1500 * SCALE, 3)


class Partitions(ServerTest):
    def test_shoal_cluster_works_with_redis_8s_own_sets(self):
        try:
            command = servers.command_of("redis8", SERVERS)
        except servers.Unavailable as error:
            self.skipTest(f"Redis 8 cannot be had: {error}")
        check_client(self, self.start(command=command, module=None).port)


if __name__ == "__main__":
    unittest.main()
