"""A snapshot that is searched in its file."""

from __future__ import annotations

import os
from typing import Any, Literal, get_args

from . import _shoal
from ._index import Features, Path, features_for
from ._progress import Progress, progress_function
from ._searching import Measuring
from .features import FeatureStore, close_at_exit

Memory = Literal["mapped", "paged", "copied", "copied_codes"]


class View(Measuring[_shoal.View]):
    """A read-only index over the file that `Index.save` wrote: opens in milliseconds, loads nothing.

    Rows and lists are read through the system's page cache, which all processes share. A search gives the answers
    that the loaded index gives. The file must not be written to while it is open; `Index.save` replaces it.

    Parameters
    ----------
    path : str or PathLike
        A snapshot.
    features : optional
        Of a file without vectors: the store that has them.
    memory : {"mapped", "paged", "copied", "copied_codes"}
        mapped: searches read the file. paged: likewise, for a file that does not fit into memory. copied: the view has
        a copy of the whole file, and is searched faster. copied_codes: a copy of what searches traverse, else as paged.

    Raises
    ------
    FileNotFoundError, OSError, CorruptFileError, UnsupportedError
    """

    def __init__(self, path: Path, *, features: Features = None, memory: Memory = "mapped") -> None:
        if memory not in get_args(Memory):
            raise ValueError(f"memory: expected one of {', '.join(get_args(Memory))}, found {memory}")
        self._path, self._features, self._memory = os.fspath(path), features, memory
        store = None if features is None else features_for(features, _shoal.inspect(self._path))
        super().__init__(_shoal.View.open(self._path, store, memory))
        if isinstance(features, FeatureStore):
            close_at_exit(self)

    def verify(self, *, threads: int = 0, progress: Progress = None) -> None:
        """Compares every checksum of the file. CorruptFileError."""
        with progress_function(progress, "verify") as function:
            self._native.verify(threads, function)

    def __enter__(self) -> View:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self._path, self._features, self._memory)


def _opened(path: str, features: Features, memory: Memory) -> View:
    """What pickle calls."""
    return View(path, features=features, memory=memory)
