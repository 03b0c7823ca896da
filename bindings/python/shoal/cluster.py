"""One vector set in many partitions, on the nodes of a Valkey or Redis cluster.

A set `name` of P partitions has the keys `name:{t}`, each an ordinary vector set. Partition p, from 0, has as t the
smallest number, in decimal digits, whose slot CRC16(t) mod 16384 is in the p-th of P equal parts of all slots. So
partitions are spread over the slots as evenly as masters usually are. An element belongs to partition
CRC32(element) mod P. Nothing else is stored anywhere: clients in any language follow these two rules.

It works with the module of docs/vector_sets.md and with Redis 8's own vector sets. The client is any with redis-py's
`execute_command` and `pipeline`: `redis.Redis`, `redis.cluster.RedisCluster`.
"""

from __future__ import annotations

import binascii
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

__all__ = ["Hit", "Hits", "VectorSet", "partition_of", "tags"]

Element = Union[str, bytes]
Attributes = Union[Mapping[str, Any], str, None]

MAX_PARTITIONS = 1024
_SLOTS = 16384
_BATCH = 500


class Hit(NamedTuple):
    """What a search found: the element, its score, its attributes (JSON; None where it has none or none were asked)."""

    element: str
    score: float
    attributes: str | None


class Hits(list[Hit]):
    """`Hit`s, the most similar first. `missing` says by key why it was not searched; empty: all were."""

    def __init__(self, hits: Iterable[Hit], missing: Mapping[str, str]) -> None:
        super().__init__(hits)
        self.missing = dict(missing)


def tags(partitions: int) -> list[str]:
    """The tags t of the partitions, from partition 0 on. ValueError: not 1 to 1024 partitions.

    >>> tags(4)
    ['3', '2', '1', '0']
    """
    if not 1 <= partitions <= MAX_PARTITIONS:
        raise ValueError(f"partitions: expected 1 to {MAX_PARTITIONS}, found {partitions}")
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        tag = str(number)
        found.setdefault(binascii.crc_hqx(tag.encode(), 0) % _SLOTS * partitions // _SLOTS, tag)
        number += 1
    return [found[partition] for partition in range(partitions)]


def partition_of(element: Element, partitions: int) -> int:
    """The partition that an element belongs to.

    >>> partition_of("apple", 16)
    0
    """
    return zlib.crc32(_bytes(element)) % partitions


def _bytes(text: Element) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _text(name: Element) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


def _blob(vector: Any) -> bytes:
    """float32, little-endian."""
    if hasattr(vector, "astype"):
        return bytes(vector.astype("<f4").tobytes())
    values = list(vector)
    return struct.pack(f"<{len(values)}f", *values)


def _rows(reply: Any, width: int) -> Iterator[tuple[Any, ...]]:
    """(element, value, ...) of a reply of VSIM with `width - 1` values each, in RESP2 or RESP3."""
    if isinstance(reply, Mapping):
        for element, value in reply.items():
            yield (element, value) if width == 2 else (element, *value)
    else:
        yield from zip(*[iter(reply)] * width)


class VectorSet:
    """Elements with vectors and attributes, in `partitions` keys.

    Parameters
    ----------
    client
        `redis.Redis`, `redis.cluster.RedisCluster`, or what has their `execute_command` and `pipeline`. It decides
        which threads may use this object.
    name : str
        No `{` or `}` in it.
    partitions : int
        1 to 1024, a multiple of the number of masters at best. All clients of a set use the same number.
    previous : int, optional
        Elements may still be in the keys of so many partitions: until `rebalance` is done. Searches ask these keys,
        too; `add` and `remove` take the element out of there.
    options : sequence
        Words for every VADD: ("NOQUANT",), ("M", 32), ("XDISTANCE_METRIC", "L2", "NOQUANT").
    reduce : int, optional
        REDUCE of every VADD.
    nearest : "largest" or "smallest"
        Which scores are the nearest. "smallest" for L2.
    prefix : str
        In front of the commands' names, where the module was loaded with one.
    """

    def __init__(self, client: Any, name: str, partitions: int = 16, *, previous: int | None = None,
                 options: Sequence[Any] = (), reduce: int | None = None, nearest: str = "largest",
                 prefix: str = "") -> None:
        if "{" in name or "}" in name:
            raise ValueError(f"name: no braces expected, found {name!r}")
        if nearest not in ("largest", "smallest"):
            raise ValueError(f"nearest: expected largest or smallest, found {nearest!r}")
        self.client, self.name, self.partitions, self.previous = client, name, partitions, previous
        self.keys = [f"{name}:{{{tag}}}" for tag in tags(partitions)]
        self._old = [] if previous is None else [f"{name}:{{{tag}}}" for tag in tags(previous)]
        self._options, self._prefix, self._sign = tuple(options), prefix, -1 if nearest == "largest" else 1
        self._reduce: tuple[Any, ...] = () if reduce is None else ("REDUCE", reduce)

    def key_of(self, element: Element) -> str:
        """The key that has the element, or would."""
        return self.keys[partition_of(element, self.partitions)]

    def _old_key_of(self, element: Element) -> str | None:
        """Where it may be besides."""
        if self.previous is None:
            return None
        key = self._old[partition_of(element, self.previous)]
        return key if key != self.key_of(element) else None

    def _call(self, command: str, *words: Any, **options: Any) -> Any:
        return self.client.execute_command(self._prefix + command, *words, NEVER_DECODE=True, **options)

    def _calls(self, commands: Sequence[tuple[Any, ...]], *, raising: bool = True) -> list[Any]:
        """The replies, of all nodes at once; with raising=False errors are values."""
        if not commands:
            return []
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(self._prefix + command[0], *command[1:], NEVER_DECODE=True)
        try:
            return list(pipeline.execute(raise_on_error=raising))
        except Exception:
            if raising:
                raise
        replies: list[Any] = []  # A node cannot be reached: what do the others say?
        for command in commands:
            try:
                replies.append(self._call(*command))
            except Exception as error:  # pylint: disable=broad-exception-caught
                replies.append(error)
        return replies

    def add(self, element: Element, vector: Any, attributes: Attributes = None) -> bool:
        """Adds an element or replaces its vector; True: it is new. `attributes`: None keeps them, "" removes them."""
        return self.add_many([(element, vector, attributes)]) == 1

    def add_many(self, items: Iterable[tuple[Element, Any, Attributes]]) -> int:
        """Adds (element, vector, attributes); returns how many are new. An error leaves some added."""
        items = list(items)
        new = 0
        for begin in range(0, len(items), _BATCH):
            batch = items[begin:begin + _BATCH]
            added = self._calls([self._vadd(element, vector, attributes) for element, vector, attributes in batch])
            old = self._remove_old([element for element, _, _ in batch])
            new += sum(bool(reply) and not was_old for reply, was_old in zip(added, old))
        return new

    def _vadd(self, element: Element, vector: Any, attributes: Attributes) -> tuple[Any, ...]:
        words: list[Any] = ["VADD", self.key_of(element), *self._reduce, "FP32", _blob(vector), _bytes(element), *self._options]
        if attributes is not None:
            words += ["SETATTR", attributes if isinstance(attributes, str) else json.dumps(attributes)]
        return tuple(words)

    def _remove_old(self, elements: Sequence[Element]) -> list[bool]:
        keys = [self._old_key_of(element) for element in elements]
        removed = iter(self._calls([("VREM", key, _bytes(element)) for key, element in zip(keys, elements) if key]))
        return [bool(next(removed)) if key else False for key in keys]

    def remove(self, element: Element) -> bool:
        """True: it was there."""
        return self.remove_many([element]) == 1

    def remove_many(self, elements: Iterable[Element]) -> int:
        """Removes elements; returns how many were there. An error leaves some removed."""
        elements = list(elements)
        old = self._remove_old(elements)
        removed = self._calls([("VREM", self.key_of(element), _bytes(element)) for element in elements])
        return sum(bool(reply) or was_old for reply, was_old in zip(removed, old))

    def clear(self) -> None:
        """Removes the keys of all partitions."""
        pipeline = self.client.pipeline(transaction=False)
        for key in {*self.keys, *self._old}:
            pipeline.execute_command("UNLINK", key)
        pipeline.execute(raise_on_error=True)

    def __len__(self) -> int:
        return sum(self._calls([("VCARD", key) for key in {*self.keys, *self._old}]))

    def __contains__(self, element: Element) -> bool:
        keys = (self.key_of(element), self._old_key_of(element))
        return any(self._call("VISMEMBER", key, _bytes(element)) for key in keys if key)

    def __iter__(self) -> Iterator[str]:
        """The elements, a page of each key after the other. One that moves meanwhile may be missed, or come twice."""
        for key in dict.fromkeys([*self.keys, *self._old]):
            for names in self._names(key):
                yield from map(_text, names)

    def attributes(self, element: Element) -> str | None:
        """Its attributes, as they were given. None: none, or no such element."""
        return self.attributes_many([element])[0]

    def attributes_many(self, elements: Iterable[Element]) -> list[str | None]:
        """The same of many."""
        return [None if reply is None else _text(reply) for reply in self._of_each("VGETATTR", elements)]

    def vector(self, element: Element) -> list[float] | None:
        """Its vector, as the server kept it. None: no such element."""
        return self.vectors_many([element])[0]

    def vectors_many(self, elements: Iterable[Element]) -> list[list[float] | None]:
        """The same of many."""
        return [None if reply is None else [float(value) for value in reply] for reply in self._of_each("VEMB", elements)]

    def _of_each(self, command: str, elements: Iterable[Element]) -> list[Any]:
        """The command's replies, of the keys that elements belong to; where one is null, of the key that may have it besides."""
        elements = list(elements)
        replies = self._calls([(command, self.key_of(element), _bytes(element)) for element in elements])
        keys = [self._old_key_of(element) if reply is None else None for element, reply in zip(elements, replies)]
        old = iter(self._calls([(command, key, _bytes(element)) for key, element in zip(keys, elements) if key]))
        return [next(old) if key else reply for key, reply in zip(keys, replies)]

    def search(self, vector: Any = None, count: int = 10, *, element: Element | None = None, ef: int | None = None,
               filter: str | None = None, with_attributes: bool = False, options: Sequence[Any] = (),
               partial: bool = False) -> Hits:
        """The `count` elements most similar to a vector or to an element: all partitions are asked at once.

        `filter` is an expression of VSIM; `options` are more words for it. A partition that does not answer is an
        error; with partial=True the others' elements are found, and `missing` names it.
        """
        query = self._query(vector, element)
        words: list[Any] = [*query, "WITHSCORES", "COUNT", count, *(["EF", ef] if ef else []), *options]
        words += ["FILTER", filter] if filter else []
        keys = list(dict.fromkeys([*self.keys, *self._old]))
        replies = self._calls([("VSIM", key, *words) for key in keys], raising=not partial)
        missing: dict[str, str] = {}
        rows: list[tuple[Any, ...]] = []
        where: dict[str, str] = {}
        for key, reply in zip(keys, replies):
            if isinstance(reply, Exception):
                missing[key] = str(reply)
                continue
            found = list(_rows(reply, 2))
            rows.extend(found)
            where.update((_text(row[0]), key) for row in found)
        hits = self._best(rows, count)
        if with_attributes:  # By calls of their own: Redis 8.0 has no WITHATTRIBS.
            texts = self._calls([("VGETATTR", where[hit.element], _bytes(hit.element)) for hit in hits])
            hits = [hit._replace(attributes=None if text is None else _text(text)) for hit, text in zip(hits, texts)]
        return Hits(hits, missing)

    def _query(self, vector: Any, element: Element | None) -> list[Any]:
        if (vector is None) == (element is None):
            raise TypeError("search: expected a vector or an element, found " + ("neither" if vector is None else "both"))
        if element is None:
            return ["FP32", _blob(vector)]
        self._refuse_reduced("search by element")
        found = self.vector(element)
        if found is None:
            raise KeyError(element)
        return ["FP32", _blob(found)]

    def _refuse_reduced(self, what: str) -> None:
        if self._reduce:
            raise ValueError(f"{what}: a set without REDUCE expected: what it keeps of a vector is no vector of it")

    def _best(self, rows: Iterable[tuple[Any, ...]], count: int) -> list[Hit]:
        hits: dict[str, Hit] = {}
        for row in rows:
            attributes = row[2] if len(row) == 3 and row[2] is not None else None
            hit = Hit(_text(row[0]), float(row[1]), None if attributes is None else _text(attributes))
            hits.setdefault(hit.element, hit)
        return sorted(hits.values(), key=lambda hit: (self._sign * hit.score, _bytes(hit.element)))[:count]

    def gather(self, vector: Any, count: int = 10, *, ef: int | None = None, filter: str | None = None,
               with_attributes: bool = False, deadline_ms: int | None = None, options: Sequence[Any] = ()) -> Hits:
        """As `search`, but by one VX.SIM: the node that is asked gathers from the others within the deadline.

        Servers with this project's module only. Partitions that are not searched are in `missing`.
        """
        if self.previous is not None:
            raise ValueError("gather: a set without previous partitions expected: rebalance() first")
        words: list[Any] = [self.name, self.partitions, "FP32", _blob(vector), "WITHSCORES", "COUNT", count, *options]
        for word, value in (("EF", ef), ("FILTER", filter), ("DEADLINE", deadline_ms)):
            words += [word, value] if value is not None else []
        words += ["WITHATTRIBS"] if with_attributes else []
        anywhere = {"target_nodes": "random"} if hasattr(self.client, "get_random_node") else {}
        found, missing = self._call("VX.SIM", *words, **anywhere)
        return Hits(self._best(_rows(found, 3 if with_attributes else 2), count),
                    {self.keys[number]: _text(reason) for number, reason in missing})

    def rebalance(self) -> int:
        """Moves every element that is in the keys of `previous` partitions to its own; returns how many moved.

        Each is added before it is removed: searches find it throughout, and a call that was interrupted is made again.
        An element that a writer replaces or removes in the moment in which it moves may come back as it was.
        ValueError: a set with REDUCE.
        """
        if self.previous is None:
            return 0
        self._refuse_reduced("rebalance")
        moved = 0
        for key in self._old:
            for names in self._names(key):
                away = [name for name in names if self.key_of(name) != key]
                moved += self._move(key, away)
        self.previous, self._old = None, []
        return moved

    def _names(self, key: str) -> Iterator[list[bytes]]:
        begin: bytes = b"-"
        while True:
            try:
                names = self._call("VRANGE", key, begin, "+", _BATCH)
            except Exception as error:  # pylint: disable=broad-exception-caught
                if "unknown command" not in str(error):
                    raise
                size = self._call("VCARD", key)  # Redis before 8.4: all at once.
                yield self._call("VRANDMEMBER", key, size) if size else []
                return
            if not names:
                return
            yield names
            begin = b"(" + _bytes(names[-1])

    def _move(self, key: str, names: Sequence[bytes]) -> int:
        """Those that are where they belong already are only removed here."""
        there = self._calls([("VISMEMBER", self.key_of(name), name) for name in names])
        vectors = self._calls([("VEMB", key, name) for name in names])
        attributes = self._calls([("VGETATTR", key, name) for name in names])
        self._calls([self._vadd(name, [float(value) for value in values], None if text is None else _text(text))
                     for name, known, values, text in zip(names, there, vectors, attributes)
                     if values is not None and not known])
        return sum(map(bool, self._calls([("VREM", key, name) for name in names])))
