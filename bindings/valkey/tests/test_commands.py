"""Every command: replies in RESP2 and RESP3, errors, and which of two errors is reported."""

import random
import unittest

from base import SharedServerTest, cosine_score, fill, vector
from client import Map, blob

V3 = ("VALUES", 3, 1, 2, 3)
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class Vadd(SharedServerTest):
    def test_an_element_is_added_once_and_updated_later(self):
        self.assertEqual(self.client("VADD", "k", *V3, "a"), 1)
        self.assertEqual(self.client("VADD", "k", "VALUES", 3, 3, 2, 1, "a"), 0)
        self.assertIs(self.client3("VADD", "k", *V3, "b"), True)
        self.assertIs(self.client3("VADD", "k", *V3, "b"), False)
        self.assertEqual(self.client("VCARD", "k"), 2)
        self.assertEqual([round(float(x)) for x in self.client("VEMB", "k", "a")], [3, 2, 1])
        self.assertEqual(self.client("TYPE", "k"), "vectorset")

    def test_vectors_come_as_blobs_values_and_bytes(self):
        self.client("VADD", "k", "FP32", blob([1, -2, 3]), "a", "NOQUANT")
        self.client("vadd", "k", "values", 3, "1.0", "-2e0", "+3", "b", "noquant")
        self.client("VADD", "k", "XI8", bytes([1, 254, 3]), "c", "NOQUANT")
        self.client("VADD", "k", "XU8", bytes([1, 254, 3]), "d", "NOQUANT")
        for element in "abc":
            for found, expected in zip(self.client3("VEMB", "k", element), (1, -2, 3)):
                self.assertAlmostEqual(found, expected, 5)
        self.assertAlmostEqual(self.client3("VEMB", "k", "d")[1], 254, 3)

    def test_names_and_attributes_are_any_bytes(self):
        name, attribute = bytes(range(256)), b'{"x": "\xff\x00"}'
        self.client("VADD", "k", *V3, name, "SETATTR", attribute)
        self.client("VADD", "k", *V3, "")
        self.assertEqual(self.client("VGETATTR", "k", name), attribute)
        self.assertEqual(sorted(self.client("VSIM", "k", "ELE", "")), [b"", name])
        self.assertEqual(self.client("VREM", "k", ""), 1)

    def test_an_update_keeps_the_attribute_unless_it_names_one(self):
        self.client("VADD", "k", *V3, "a", "SETATTR", '{"x":1}')
        self.client("VADD", "k", "VALUES", 3, 3, 2, 1, "a")
        self.assertEqual(self.client("VGETATTR", "k", "a"), b'{"x":1}')
        self.client("VADD", "k", *V3, "a", "SETATTR", "")
        self.assertIsNone(self.client("VGETATTR", "k", "a"))

    def test_vectors_that_are_none_are_refused(self):
        for words in (("VALUES", "x", 1, 2, "a"), ("VALUES", 0, "a", "b"), ("VALUES", -1, 1, "a"), ("FP32", b"abc", "e"),
                      ("FP32", b"", "e"), ("VALUES", 3, 1, 2, "z", "a"), ("FOO", 2, 1, 2, "a"), ("VALUES", 2, 1),
                      ("VALUES", 2, "nan", 1, "a"), ("VALUES", 2, "inf", 1, "a"), ("VALUES", 2, "1e39", 1, "a"),
                      ("FP32", blob([float("nan"), 1]), "a"), ("FP32", blob([float("-inf"), 1]), "a"),
                      ("VALUES", 2, " 1", 1, "a"), ("REDUCE", 0, *V3, "a"), ("REDUCE", *V3, "a"),
                      ("REDUCE", 4, *V3, "a"), ("VALUES", 65537, *([1] * 65537), "a"), ("XI8", b"", "a"),
                      ("VALUES", "9223372036854775807", 1, "a"), ("XENCODED", 3, b"short", "a"),
                      ("XENCODED", 3, bytes(8) + b"\x80\x01\x01", "a")):
            self.assertEqual(self.client.error("VADD", "k", *words), "ERR invalid vector specification", words[:4])
        self.assertEqual(self.client("EXISTS", "k"), 0)

    def test_what_follows_the_element_is_checked(self):
        for words, error in ((("EF",), "invalid option after element"), (("FOO",), "invalid option after element"),
                             (("SETATTR",), "invalid option after element"), (("M",), "invalid option after element"),
                             (("REDUCE", 2), "invalid option after element"), (("EF", 0), "invalid EF"),
                             (("EF", "x"), "invalid EF"), (("EF", 1000001), "invalid EF"), (("M", 3), "invalid M"),
                             (("M", 4097), "invalid M"), (("XDISTANCE_METRIC", "L7"), "invalid XDISTANCE_METRIC")):
            self.assertEqual(self.client.error("VADD", "k", *V3, "a", *words), "ERR " + error, words)
        self.assertEqual(self.client("EXISTS", "k"), 0)

    def test_too_few_words_are_an_arity_error(self):
        for words in ((), ("k",), ("k", "VALUES", 2, 1, 2)):
            self.assertIn("wrong number of arguments", self.client.error("VADD", *words))

    def test_what_does_not_fit_the_set_is_refused_in_the_order_of_the_reference(self):
        self.client("VADD", "k", *V3, "a")
        four = ("VALUES", 4, 1, 2, 3, 4)
        for words, error in (
                (("VADD", "k", *four, "b", "BIN", "M", 5), "asked quantization mismatch with existing vector set"),
                (("VADD", "k", *four, "b", "M", 17), "asked M value mismatch with existing vector set"),
                (("VADD", "k", *four, "b"), "Vector dimension mismatch - got 4 but set has 3"),
                (("VADD", "k", "REDUCE", 2, *four, "b"), "Vector dimension mismatch - got 4 but set has 3"),
                (("VADD", "k", "REDUCE", 2, *V3, "b"), "cannot add projection to existing set without projection"),
                (("VADD", "k", *V3, "b", "XDISTANCE_METRIC", "L2"), "asked distance metric mismatch with existing "
                                                                    "vector set")):
            self.assertEqual(self.client.error(*words), "ERR " + error)
        self.client("SET", "s", "x")
        self.assertEqual(self.client.error("VADD", "s", *four, "a", "BIN"), WRONG_TYPE)
        self.assertEqual(self.client.error("VADD", "s", *four, "a", "EF", 0), "ERR invalid EF")
        self.assertEqual(self.client("VCARD", "k"), 1)

    def test_a_projected_set_wants_the_same_projection_every_time(self):
        self.client("VADD", "r", "REDUCE", 2, *V3, "a")
        for words, error in (((*V3, "b"), "Vector dimension mismatch - got 3 but set has 2"),
                             (("REDUCE", 1, *V3, "b"), "projection dimension mismatch with existing set"),
                             (("REDUCE", 2, "VALUES", 4, 1, 2, 3, 4, "b"),
                              "Input dimension mismatch for projection - got 4 but projection expects 3")):
            self.assertEqual(self.client.error("VADD", "r", *words), "ERR " + error)
        facts = dict(self.client3("VINFO", "r"))
        self.assertEqual((facts["vector-dim"], facts["projection-input-dim"]), (2, 3))
        self.assertEqual(self.client("VSIM", "r", *V3), [b"a"])

    def test_dimensions_go_up_to_65536(self):
        wide = blob([1.0] * 65536)
        self.assertEqual(self.client("VADD", "w", "FP32", wide, "a"), 1)
        self.assertEqual(self.client("VDIM", "w"), 65536)
        self.assertEqual(self.client("VSIM", "w", "FP32", wide, "WITHSCORES"), [b"a", b"1"])
        self.assertEqual(self.client.error("VADD", "w2", "FP32", wide + blob([1]), "a"), "ERR invalid vector specification")

    def test_metrics_but_cosine_score_by_themselves(self):
        for metric, expected in (("L2", 8.0), ("IP", 10.0)):
            self.assertEqual(self.client("VADD", metric, *V3, "a", "NOQUANT", "XDISTANCE_METRIC", metric), 1)
            self.client("VADD", metric, "VALUES", 3, 0, 0, 0, "zero", "NOQUANT")
            found = dict(self.client3("VSIM", metric, "VALUES", 3, 3, 2, 1, "WITHSCORES"))
            self.assertAlmostEqual(found[b"a"], expected, 4)
            self.assertEqual(self.client.error("VSIM", metric, *V3, "XDISTANCE_METRIC", "COSINE"),
                             "ERR asked distance metric mismatch with existing vector set")
        self.assertIn("ERR ", self.client.error("VADD", "q", *V3, "a", "XDISTANCE_METRIC", "L2"))


class Vsim(SharedServerTest):
    def setUp(self):
        super().setUp()
        self.client("VADD", "k", *V3, "a", "SETATTR", '{"x":1}')
        self.client("VADD", "k", "VALUES", 3, 1, -2, 3, "b")

    def test_shapes_of_replies(self):
        ask = ("VSIM", "k", "ELE", "a")
        self.assertEqual(self.client(*ask), [b"a", b"b"])
        self.assertEqual(self.client3(*ask), [b"a", b"b"])
        flat = self.client(*ask, "WITHSCORES")
        self.assertEqual((flat[0], float(flat[1]), flat[2], len(flat)), (b"a", 1.0, b"b", 4))
        pairs = self.client3(*ask, "WITHSCORES")
        self.assertIsInstance(pairs, Map)
        self.assertEqual(pairs[0], (b"a", 1.0))
        self.assertEqual(self.client(*ask, "WITHATTRIBS"), [b"a", b'{"x":1}', b"b", None])
        self.assertEqual(self.client3(*ask, "WITHATTRIBS"), [(b"a", b'{"x":1}'), (b"b", None)])
        self.assertEqual(self.client(*ask, "WITHATTRIBS", "WITHSCORES")[:3], [b"a", b"1", b'{"x":1}'])
        self.assertEqual(self.client3(*ask, "WITHSCORES", "WITHATTRIBS")[0], (b"a", [1.0, b'{"x":1}']))

    def test_a_missing_key_has_no_elements_whatever_is_asked(self):
        for words in (("ELE", "a"), ("FOO", "a"), ("ELE", "a", "COUNT", "x")):
            self.assertEqual(self.client("VSIM", "none", *words), [])
        self.assertIn("wrong number of arguments", self.client.error("VSIM", "none", "ELE"))

    def test_errors(self):
        self.client("SET", "s", "x")
        self.assertEqual(self.client.error("VSIM", "s", "ELE", "a"), WRONG_TYPE)
        syntax = "syntax error in VSIM command"
        for words, error in ((("ELE", "zz"), "element not found in set"), (("ELE", "zz", "COUNT", "x"), "element not found in set"),
                             (("FOO", "a"), "invalid vector specification"), (("FP32", b"abc"), "invalid vector specification"),
                             (("VALUES", 3, 1, 2), "invalid vector specification"),
                             (("VALUES", 2, 1, 2, "COUNT", "x"), "Vector dimension mismatch - got 2 but set has 3"),
                             ((*V3, "COUNT"), syntax), ((*V3, "FILTER"), syntax), ((*V3, "FOO"), syntax),
                             ((*V3, "COUNT", 0), "invalid COUNT"), ((*V3, "COUNT", -1), "invalid COUNT"),
                             ((*V3, "COUNT", "x"), "invalid COUNT"), ((*V3, "EPSILON", 0), "invalid EPSILON"),
                             ((*V3, "EPSILON", "nan"), "invalid EPSILON"), ((*V3, "EF", 0), "invalid EF"),
                             ((*V3, "EF", 1000001), "invalid EF"), ((*V3, "FILTER-EF", 0), "invalid FILTER-EF"),
                             ((*V3, "FILTER-EF", "x"), "invalid FILTER-EF"),
                             (("ELE", "a", "FILTER", ".x ==", "COUNT", "x"), "syntax error in FILTER expression near: .x =="),
                             (("ELE", "a", "FILTER", ""), "syntax error in FILTER expression near: ")):
            found = self.client.error("VSIM", "k", *words)
            # What the reference shows after "near:" differs between its versions.
            self.assertEqual(found.partition("near:")[0], ("ERR " + error).partition("near:")[0], words)

    def test_counts_are_bounded_by_the_set(self):
        self.assertEqual(len(self.client("VSIM", "k", *V3, "COUNT", 9223372036854775807, "EF", 1000000)), 2)
        self.assertEqual(self.client("VSIM", "k", *V3, "COUNT", 2, "COUNT", 1), [b"a"])

    def test_epsilon_keeps_what_is_near(self):
        self.assertEqual(self.client("VSIM", "k", *V3, "EPSILON", "0.1"), [b"a"])
        self.assertEqual(self.client("VSIM", "k", *V3, "EPSILON", "0.5"), [b"a", b"b"])

    def test_filters_choose_by_attributes(self):
        self.assertEqual(self.client("VSIM", "k", "ELE", "b", "FILTER", ".x == 1 and .x in [1, 2]"), [b"a"])
        self.assertEqual(self.client("VSIM", "k", "ELE", "b", "FILTER", "!(.x == 1)"), [])
        self.assertEqual(self.client("VSIM", "k", "ELE", "b", "FILTER", "1 == 2", "FILTER", "1"), [b"a"])

    def test_the_zero_vector_is_half_similar_to_all(self):
        self.client("VADD", "k", "VALUES", 3, 0, 0, 0, "zero")
        self.assertEqual({float(score) for score in dict(self.client3("VSIM", "k", "ELE", "zero", "WITHSCORES")).values()},
                         {0.5})

    def test_searches_on_threads_and_at_once_find_the_same(self):
        vectors = fill(self.client, "big", 3000, dim=32, options=("NOQUANT",))
        query = vector(random.Random(9), 32)
        exact = sorted(vectors, key=lambda name: -cosine_score(query, vectors[name]))[:20]
        ask = ("VSIM", "big", "FP32", blob(query), "COUNT", 20)
        for words in (("TRUTH",), ("TRUTH", "NOTHREAD")):
            self.assertEqual([name.decode() for name in self.client(*ask, *words)], exact, words)
        for words in (("EF", 300), ("EF", 300, "NOTHREAD")):
            self.assertGreaterEqual(len(set(self.client(*ask, *words)) & {name.encode() for name in exact}), 19)
        for name, score in self.client3(*ask, "WITHSCORES"):
            self.assertAlmostEqual(score, cosine_score(query, vectors[name.decode()]), 5)


class Elements(SharedServerTest):
    def setUp(self):
        super().setUp()
        self.client("VADD", "k", *V3, "a")
        self.client("VADD", "k", "VALUES", 3, 1, -2, 3, "b")
        self.client("SET", "s", "x")

    def test_arity_and_type(self):
        for command, words in (("VREM", ("a",)), ("VSETATTR", ("a", "{}")), ("VGETATTR", ("a",)), ("VISMEMBER", ("a",)),
                               ("VEMB", ("a",)), ("VLINKS", ("a",)), ("VCARD", ()), ("VDIM", ()), ("VINFO", ()),
                               ("VRANDMEMBER", ()), ("VRANGE", ("-", "+"))):
            self.assertEqual(self.client.error(command, "s", *words), WRONG_TYPE, command)
            self.assertIn("wrong number of arguments", self.client.error(command), command)
            if command != "VEMB":
                self.assertIn("wrong number of arguments", self.client.error(command, "k", *words, "x", "y", "z"), command)

    def test_removal_of_the_last_element_removes_the_key(self):
        self.assertEqual(self.client("VREM", "k", "zz"), 0)
        self.assertEqual(self.client("VREM", "k", "a"), 1)
        self.assertIs(self.client3("VREM", "k", "a"), False)
        self.assertIs(self.client3("VREM", "k", "b"), True)
        self.assertEqual(self.client("EXISTS", "k"), 0)
        self.assertEqual(self.client("VREM", "k", "a"), 0)

    def test_attributes(self):
        self.assertEqual(self.client("VSETATTR", "k", "a", "{bad"), 1)
        self.assertEqual(self.client("VGETATTR", "k", "a"), b"{bad")
        self.assertEqual(self.client("VSETATTR", "k", "zz", "{}"), 0)
        self.assertIs(self.client3("VSETATTR", "none", "a", "{}"), False)
        self.assertEqual(dict(self.client3("VINFO", "k"))["attributes-count"], 1)
        self.assertIs(self.client3("VSETATTR", "k", "a", ""), True)
        self.assertIsNone(self.client("VGETATTR", "k", "a"))
        self.assertIsNone(self.client3("VGETATTR", "none", "a"))
        self.assertEqual(dict(self.client3("VINFO", "k"))["attributes-count"], 0)

    def test_members(self):
        self.assertEqual(self.client("VISMEMBER", "k", "a"), 1)
        self.assertIs(self.client3("VISMEMBER", "k", "z"), False)
        self.assertIs(self.client3("VISMEMBER", "none", "a"), False)
        self.assertEqual(self.client("VCARD", "none"), 0)
        self.assertEqual(self.client.error("VDIM", "none"), "ERR key does not exist")
        self.assertEqual(self.client("VDIM", "k"), 3)

    def test_vemb(self):
        self.assertIsNone(self.client("VEMB", "k", "z"))
        self.assertIsNone(self.client("VEMB", "none", "z"))
        self.assertEqual(self.client.error("VEMB", "k", "a", "FOO"), "ERR invalid option")
        kind, code, norm, scale = self.client3("VEMB", "k", "a", "RAW")
        self.assertEqual((kind, code), ("int8", bytes([42, 85, 127])))
        self.assertAlmostEqual(norm, 14 ** 0.5, 5)
        self.assertAlmostEqual(scale, 3 / 14 ** 0.5, 5)
        self.client("VADD", "b", "VALUES", 4, 1, -2, 0, 3, "a", "BIN")
        self.assertEqual(self.client3("VEMB", "b", "a"), [1, -1, -1, 1])
        self.assertEqual(self.client("VEMB", "b", "a", "RAW")[:2], ["bin", b"\x09" + bytes(7)])
        self.client("VADD", "f", *V3, "a", "NOQUANT")
        kind, code, norm = self.client3("VEMB", "f", "a", "raw")
        self.assertEqual((kind, len(code)), ("f32", 12))

    def test_vlinks(self):
        self.assertEqual(self.client("VLINKS", "k", "a"), [[b"b"]])
        (level,) = self.client3("VLINKS", "k", "a", "WITHSCORES")
        self.assertIsInstance(level, Map)
        self.assertEqual(level[0][0], b"b")
        self.assertEqual(len(self.client("VLINKS", "k", "a", "WITHSCORES")[0]), 2)
        self.assertIsNone(self.client("VLINKS", "k", "zz"))
        self.assertIsNone(self.client("VLINKS", "none", "a"))
        self.assertIn("wrong number of arguments", self.client.error("VLINKS", "k", "a", "FOO"))
        fill(self.client, "many", 600, options=("M", 8))
        (level,) = self.client("VLINKS", "many", "e1")
        self.assertTrue(1 <= len(level) <= 8, level)
        self.assertNotIn(b"e1", level)

    def test_vinfo(self):
        facts = self.client3("VINFO", "k")
        self.assertIsInstance(facts, Map)
        self.assertEqual([name for name, _ in facts], ["quant-type", "hnsw-m", "vector-dim", "projection-input-dim", "size",
                                                       "max-level", "attributes-count", "vset-uid", "hnsw-max-node-uid"])
        facts = dict(facts)
        self.assertEqual((facts["quant-type"], facts["hnsw-m"], facts["vector-dim"], facts["size"]), ("int8", 16, 3, 2))
        self.assertGreater(facts["vset-uid"], 0)
        self.assertEqual(facts["hnsw-max-node-uid"], 2)
        self.assertEqual(len(self.client("VINFO", "k")), 18)
        self.assertIsNone(self.client("VINFO", "none"))

    def test_vrandmember(self):
        self.assertEqual({self.client("VRANDMEMBER", "k") for _ in range(200)}, {b"a", b"b"})
        self.assertEqual(sorted(self.client("VRANDMEMBER", "k", 5)), [b"a", b"b"])
        self.assertEqual(len(self.client("VRANDMEMBER", "k", -300)), 300)
        self.assertEqual(self.client("VRANDMEMBER", "k", 0), [])
        self.assertEqual(self.client("VRANDMEMBER", "none", 3), [])
        self.assertIsNone(self.client("VRANDMEMBER", "none"))
        self.assertEqual(self.client.error("VRANDMEMBER", "k", "x"), "ERR COUNT value is not an integer")
        self.assertEqual(self.client.error("VRANDMEMBER", "k", -2 ** 63), "ERR value is out of range")

    def test_vrange(self):
        for name in ("c", "d", "e", "aa"):
            self.client("VADD", "k", *V3, name)
        names = lambda *words: b" ".join(self.client("VRANGE", "k", *words)).decode()
        self.assertEqual(names("-", "+"), "a aa b c d e")
        self.assertEqual(names("[aa", "[d"), "aa b c d")
        self.assertEqual(names("(aa", "(d"), "b c")
        self.assertEqual(names("-", "+", 2), "a aa")
        self.assertEqual(names("(aa", "+", 2), "b c")
        self.assertEqual(names("-", "+", -1), "a aa b c d e")
        self.assertEqual(names("-", "+", 0), "")
        self.assertEqual(names("[d", "[b"), "")
        self.assertEqual(self.client("VRANGE", "none", "-", "+"), [])
        for words, error in ((("a", "+"), "invalid start range format"), (("-", "b"), "invalid end range format"),
                             (("+", "-"), "'-' can only be used as first argument, '+' only as second"),
                             (("-", "+", "x"), "invalid COUNT value")):
            self.assertEqual(self.client.error("VRANGE", "k", *words), "ERR " + error)


class Server(SharedServerTest):
    def test_commands_are_documented_with_keys_and_flags(self):
        for name in ("VADD", "VSIM", "VREM", "VCARD", "VDIM", "VEMB", "VLINKS", "VINFO", "VSETATTR", "VGETATTR",
                     "VRANDMEMBER", "VISMEMBER", "VRANGE"):
            (facts,) = self.client("COMMAND", "INFO", name)
            self.assertEqual(facts[3:6], [1, 1, 1])
            writes = name in ("VADD", "VREM", "VSETATTR")
            self.assertIn("write" if writes else "readonly", facts[2])
            self.assertEqual("denyoom" in facts[2], name in ("VADD", "VSETATTR"), name)
            words = ["x"] * (abs(facts[1]) - 2)
            self.assertEqual(self.client("COMMAND", "GETKEYS", name, "key", *words), [b"key"])
            documentation = dict(dict(self.client3("COMMAND", "DOCS", name))[name.encode()])
            self.assertTrue(documentation[b"summary"])
            self.assertEqual(dict(documentation[b"arguments"][0])[b"name"], b"key")

    def test_configuration(self):
        self.assertEqual(self.client("CONFIG", "GET", "shoal.default-ef"), [b"shoal.default-ef", b"100"])
        self.client("CONFIG", "SET", "shoal.threads", 3)
        self.assertEqual(self.client("CONFIG", "GET", "shoal.threads")[1], b"3")
        self.client.error("CONFIG", "SET", "shoal.threads", 0)
        fill(self.client, "big", 3000, dim=32)
        before = self.client("INFO", "shoal_vectorsets")
        self.client("VSIM", "big", "ELE", "e0")
        self.assertNotEqual(self.client("INFO", "shoal_vectorsets"), before)
        self.client("CONFIG", "SET", "shoal.threads", 1)
        self.client("CONFIG", "SET", "shoal.default-ef", 10)
        self.client("VSIM", "big", "ELE", "e0")
        self.client("CONFIG", "SET", "shoal.default-ef", 100)

    def test_the_module_cannot_be_unloaded(self):
        self.client.error("MODULE", "UNLOAD", "shoal")

    def test_key_events(self):
        self.client("CONFIG", "SET", "notify-keyspace-events", "KEA")
        listener = self.server.client()
        listener("PSUBSCRIBE", "__keyevent*")
        self.client("VADD", "k", *V3, "a")
        self.client("VSETATTR", "k", "a", "{}")
        self.client("VREM", "k", "a")
        events = [listener.read()[2].partition(b":")[2] for _ in range(4)]
        self.assertEqual(events, [b"vadd", b"vsetattr", b"vrem", b"del"])
        listener.close()
        self.client("CONFIG", "SET", "notify-keyspace-events", "")

    def test_users_reach_only_their_keys(self):
        self.client("ACL", "SETUSER", "u", "on", ">p", "~mine:*", "+@all", "-vrem")
        user = self.server.client()
        user("AUTH", "u", "p")
        self.assertEqual(user("VADD", "mine:1", *V3, "a"), 1)
        self.assertIn("NOPERM", user.error("VADD", "other", *V3, "a"))
        self.assertIn("NOPERM", user.error("VSIM", "other", "ELE", "a"))
        self.assertIn("NOPERM", user.error("VREM", "mine:1", "a"))
        user.close()


class Prefix(SharedServerTest):
    arguments = ("prefix", "shoal.")

    def test_commands_have_the_prefix(self):
        self.assertEqual(self.client("shoal.VADD", "k", *V3, "a"), 1)
        self.assertEqual(self.client("SHOAL.VSIM", "k", "ELE", "a"), [b"a"])
        self.assertIn("unknown command", self.client.error("VADD", "k", *V3, "a"))
        self.assertEqual(self.client("TYPE", "k"), "shoalvset")


if __name__ == "__main__":
    unittest.main()
