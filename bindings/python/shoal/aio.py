"""Searches and writes that an event loop awaits, on threads of their own.

The library releases the GIL: the loop goes on meanwhile. One call on many rows is far cheaper than many calls.

>>> import asyncio, numpy as np, shoal
>>> from shoal.aio import AsyncIndex
>>> async def main():
...     index = AsyncIndex(shoal.Index(2))
...     await index.upsert([1, 2], [[0, 0], [5, 5]])
...     return (await index.search([4, 4], k=1)).ids.tolist()
>>> asyncio.run(main())
[2]
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, Union

from ._database import DatabaseSnapshot, StoredIndex
from ._index import Index
from ._keys import KeyedIndex
from ._view import View

__all__ = ["AsyncIndex", "run"]

Engine = Union[Index, View, StoredIndex, DatabaseSnapshot, KeyedIndex]
T = TypeVar("T")

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def _pool() -> ThreadPoolExecutor:
    """One thread for each CPU, shared; another in a fork."""
    with _lock:
        if os.getpid() not in _pools:
            _pools.clear()
            _pools[os.getpid()] = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "shoal")
        return _pools[os.getpid()]


async def run(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Awaits a call on a thread of the pool.

    >>> async def main():
    ...     return await run(sorted, [2, 1])
    >>> import asyncio; asyncio.run(main())
    [1, 2]
    """
    return await asyncio.get_running_loop().run_in_executor(_pool(), functools.partial(function, *arguments, **named))


# Long calls, which a cancelled task stops.
_STOPPED = frozenset({"add", "upsert", "search", "range_search", "consolidate", "compact", "refine", "clear", "calibrate"})


class AsyncIndex:
    """Every method of an index, view, snapshot or keyed index, to be awaited. The same names, arguments and results.

    A task that is cancelled stops a call on many rows; rows that are done stay. What is cheap (`len`, `in`, properties)
    is on `sync`.
    """

    def __init__(self, index: Engine) -> None:
        self.sync = index

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.sync, name)
        if name.startswith("_") or not callable(method):
            raise AttributeError(f"AsyncIndex: no method {name}; sync.{name} is there")

        @functools.wraps(method)
        async def call(*arguments: Any, **named: Any) -> Any:
            stopped = threading.Event()
            if name in _STOPPED and not isinstance(self.sync, KeyedIndex):
                named["progress"] = _until(stopped, named.get("progress"))
            try:
                return await run(method, *arguments, **named)
            except asyncio.CancelledError:
                stopped.set()
                raise

        return call

    async def __aenter__(self) -> AsyncIndex:
        return self

    async def __aexit__(self, *exception: object) -> None:
        close = getattr(self.sync, "close", None)
        if close is not None:
            await run(close)

    def __repr__(self) -> str:
        return f"<shoal.aio.AsyncIndex of {self.sync!r}>"


def _until(stopped: threading.Event, progress: Any) -> Any:
    """A progress function that stops the call when the task was cancelled."""
    if progress is True:
        return True

    def tell(done: int, total: int) -> bool:
        going = progress is None or progress is False or progress(done, total) is not False
        return going and not stopped.is_set()

    return tell
