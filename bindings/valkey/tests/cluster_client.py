"""shoal.cluster beside what it stands for: run by the tests, and by hand, against servers that are there.

  cluster_client.py --port N [--cluster] [--redis-py] [--gather]

Without --redis-py the client is the tests' own, with the two calls that shoal.cluster uses of redis-py.
"""

import argparse
import importlib.util
import pathlib
import random
import sys

from base import cosine_score, vector
from client import Client, ReplyError

ROOT = pathlib.Path(__file__).resolve().parents[3]


def load_cluster():
    """The module alone: the package needs NumPy and its extension."""
    spec = importlib.util.spec_from_file_location("shoal_cluster", ROOT / "bindings/python/shoal/cluster.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class PlainClient:
    """execute_command and pipeline, as redis-py has them; redirections are followed."""

    def __init__(self, port):
        self.port, self.clients = port, {}

    def client(self, port):
        if port not in self.clients:
            self.clients[port] = Client(port)
        return self.clients[port]

    def execute_command(self, *words, **_):
        port, asking = self.port, False
        for _ in range(10):
            client = self.client(port)
            try:
                reply = client.pipeline([("ASKING",), words] if asking else [words])[-1]
            except OSError:
                del self.clients[port]
                raise
            kind = str(reply).split()[0] if isinstance(reply, ReplyError) else ""
            if kind not in ("MOVED", "ASK"):
                if isinstance(reply, ReplyError):
                    raise reply
                return reply
            asking, port = kind == "ASK", int(str(reply).rpartition(":")[2])
        raise RuntimeError("redirected for ever")

    def pipeline(self, transaction):
        assert transaction is False
        return PlainPipeline(self)

    def close(self):
        for client in self.clients.values():
            client.close()


class PlainPipeline:
    def __init__(self, client):
        self.client, self.commands = client, []

    def execute_command(self, *words, **_):
        self.commands.append(words)

    def execute(self, raise_on_error):
        replies = []
        for words in self.commands:
            try:
                replies.append(self.client.execute_command(*words))
            except ReplyError as error:
                if raise_on_error:
                    raise
                replies.append(error)
        return replies


def connect(args):
    if not args.redis_py:
        return PlainClient(args.port)
    import redis  # pylint: disable=import-outside-toplevel
    if args.cluster:
        return redis.cluster.RedisCluster(host="127.0.0.1", port=args.port)
    return redis.Redis(port=args.port)


def check(condition, what):
    if not condition:
        raise SystemExit(f"cluster_client.py: {what}")


def nearest(vectors, query, count):
    return sorted(vectors, key=lambda name: -cosine_score(vectors[name], query))[:count]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--redis-py", action="store_true")
    parser.add_argument("--gather", action="store_true", help="the servers have VX.SIM")
    args = parser.parse_args()
    cluster, client = load_cluster(), connect(args)
    rng = random.Random(3)
    vectors = {f"e{i}": vector(rng, 12) for i in range(600)}
    store = cluster.VectorSet(client, "plants", 8, options=("NOQUANT",))
    new = store.add_many((name, v, {"i": i} if i % 2 else None) for i, (name, v) in enumerate(vectors.items()))
    check(new == 600 and len(store) == 600, f"600 new elements expected, found {new} and {len(store)}")
    check(not store.add("e1", vectors["e1"]) and "e1" in store and "f1" not in store, "e1 alone is there")
    check(store.attributes("e1") == '{"i": 1}' and store.attributes("e2") is None, "attributes")
    check(len({key for key in store.keys if client.execute_command("VCARD", key)}) == 8, "an element in each partition")
    check(not store.add("ä\udcff".encode("utf-8", "surrogateescape"), vectors["e0"]) is None, "odd names")
    check(store.search(vectors["e0"], 2)[1].element in ("e0", "ä\udcff") and store.remove("ä\udcff"), "odd names are found")

    def check_searches():
        for i in range(20):
            query = vector(rng, 12)
            expected = nearest(vectors, query, 10)
            hits = store.search(query, 10, ef=600)
            check([hit.element for hit in hits] == expected and not hits.missing, f"{expected} expected, found {hits}")
            check(abs(hits[0].score - cosine_score(vectors[expected[0]], query)) < 1e-5, "scores")
            if args.gather and store.previous is None:
                gathered = store.gather(query, 10, ef=600, with_attributes=True)
                check([hit[:2] for hit in gathered] == [hit[:2] for hit in hits] and not gathered.missing, f"VX.SIM: {gathered}, {hits}")
        odd = store.search(element="e7", count=5, filter=".i > 100", with_attributes=True)
        check(all('"i"' in hit.attributes for hit in odd) and len(odd) == 5, f"a filter: {odd}")
        check(store.search(element="e7", count=1)[0].element == "e7", "by element")

    check_searches()
    # Twice as many and fewer partitions: found before, while and after they move.
    for partitions in (16, 3):
        store = cluster.VectorSet(client, "plants", partitions, previous=store.partitions, options=("NOQUANT",))
        check_searches()
        check(store.remove("e5") and not store.remove("e5"), "removed from where it was")
        check(store.add("e5", vectors["e5"]), "and added")
        check(not store.add("e6", vectors["e6"]), "a known one is not new")
        check(store.rebalance() > 100 and store.previous is None and len(store) == 600, "600 after rebalancing")
        check_searches()
    left = [key for key in cluster.VectorSet(client, "plants", 16).keys if key not in store.keys and client.execute_command("EXISTS", key)]
    check(not left, f"no old key expected, found {left}")
    client.close()
    print("ok")


if __name__ == "__main__":
    main()
