"""Progress of long calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Union

# progress=: None is silent, True shows a bar, a function gets (done, total) and stops the call by returning False.
Progress = Union[bool, None, Callable[[int, int], Any]]


class _Lines:
    """One line on stderr, rewritten twice a second: where tqdm is not installed."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.shown = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self.shown < 0.5:
            return
        self.shown = now
        sys.stderr.write(f"\r{self.verb}: {done:,} of {total:,}" + ("\n" if done == total else ""))
        sys.stderr.flush()


@contextmanager
def progress_function(progress: Progress, verb: str) -> Iterator[Callable[[int, int], Any] | None]:
    """What the extension calls. `verb` stands before the figures."""
    if progress is None or progress is False:
        yield None
    elif progress is not True:
        yield progress
    else:
        try:
            from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            yield _Lines(verb)
            return
        with tqdm(desc=verb, unit="row", unit_scale=True) as bar:
            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield show
