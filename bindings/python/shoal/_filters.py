"""Which points a search may return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Union

import numpy as np

from . import _shoal
from ._arrays import Ids, IdsLike, many_ids

# An array of ids in, an array of as many bools out.
Predicate = Callable[[Ids], Any]


class Filter:
    """Which points a search may return: ids, labels, a function, or what ``&``, ``|`` and ``~`` make of them.

    A search with a filter returns k hits wherever k points are accepted. It finds them by itself in the cheapest
    way: few accepted points are scored one by one, else the graph is searched. Filters do not change, and may be used
    by any number of searches at the same time. Make one once and keep it: a set of ids is read only then.

    Examples
    --------
    >>> index = shoal.Index(1)
    >>> index.add([1, 2, 3, 4], [[1], [2], [3], [4]], labels=[[7], [7, 8], [8], []])
    4
    >>> index.search([0], filter=shoal.Filter.ids([2, 4])).ids
    array([2, 4], dtype=uint64)
    >>> index.search([0], filter=shoal.Filter.label(8) & ~shoal.Filter.ids([2])).ids
    array([3], dtype=uint64)
    >>> index.search([0], filter=lambda ids: ids % 2 == 1).ids
    array([1, 3], dtype=uint64)
    """

    _native: _shoal.Filter
    _made_of: tuple[str, Any]  # For pickle.

    def __init__(self) -> None:
        raise TypeError("Filter.ids, Filter.label or Filter.where make one")

    @classmethod
    def _of(cls, native: _shoal.Filter, *made_of: Any) -> Filter:
        self = cls.__new__(cls)
        self._native = native
        self._made_of = made_of[0], made_of[1]
        return self

    @classmethod
    def ids(cls, ids: IdsLike) -> Filter:
        """Accepts these ids. Some may be twice, or not in the index."""
        array = many_ids(ids)
        return cls._of(_shoal.Filter.ids(array), "ids", array)

    @classmethod
    def label(cls, label: int) -> Filter:
        """Accepts points that have this label, 0 to 2^32 - 1."""
        return cls._of(_shoal.Filter.label(_one_label(label)), "label", label)

    @classmethod
    def where(cls, function: Predicate) -> Filter:
        """Accepts what a function accepts.

        Parameters
        ----------
        function : (n,) uint64 -> (n,) bool
            Called for up to some hundred ids at a time, by the threads of the search. What it raises comes out of the
            search. It may call the index.
        """
        if not callable(function):
            raise TypeError(f"filter: a function expected, found {type(function).__name__}")

        def answers(ids: Ids) -> Any:
            return np.require(function(ids), np.bool_, ["C", "A"]).reshape(-1)

        return cls._of(_shoal.Filter.where(answers), "where", function)

    @classmethod
    def _combined(cls, verb: str, parts: list[Filter]) -> Filter:
        combine = getattr(_shoal.Filter, verb)
        return cls._of(combine([part._native for part in parts]), "_combined", (verb, parts))

    def __and__(self, other: FilterLike) -> Filter:
        return self._combined("all", [self, as_filter(other)])

    def __rand__(self, other: FilterLike) -> Filter:
        return self._combined("all", [as_filter(other), self])

    def __or__(self, other: FilterLike) -> Filter:
        return self._combined("any", [self, as_filter(other)])

    def __ror__(self, other: FilterLike) -> Filter:
        return self._combined("any", [as_filter(other), self])

    def __invert__(self) -> Filter:
        return self._combined("negate", [self])

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, self._made_of

    def __repr__(self) -> str:
        verb, of = self._made_of
        if verb == "ids":
            return f"Filter.ids(<{len(of):,} ids>)"
        if verb != "_combined":
            return f"Filter.{verb}({of!r})"
        name, parts = of
        if name == "negate":
            return f"~{parts[0]!r}"
        return "(" + (" & " if name == "all" else " | ").join(map(repr, parts)) + ")"


# What filter= of a search may be: None, a Filter, a function, or ids.
FilterLike = Union[Filter, Predicate, IdsLike, None]


def as_filter(value: FilterLike) -> Filter:
    """A Filter of what stands for one."""
    if isinstance(value, Filter):
        return value
    return Filter.where(value) if callable(value) else Filter.ids(value)


def native_filter(value: FilterLike) -> _shoal.Filter | None:
    """What the extension takes."""
    return None if value is None else as_filter(value)._native


def _made(verb: str, of: Any) -> Filter:
    made: Filter = getattr(Filter, verb)(*of) if verb == "_combined" else getattr(Filter, verb)(of)
    return made


def _one_label(label: Any) -> int:
    if isinstance(label, (bool, np.bool_)) or not hasattr(label, "__index__"):
        raise TypeError(f"label: an integer expected, found {type(label).__name__}")
    if not 0 <= label < 2**32:
        raise ValueError(f"label: expected 0 to 2^32 - 1, found {label}")
    return int(label)
