"""A snapshot that is searched in its file."""

from __future__ import annotations

import os
from typing import Any, Literal

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
        mapped: searches read the file, through the page cache. paged: likewise, for a file that does not fit into
        memory. copied: the view has a copy of the whole file, in huge pages, and is searched faster. copied_codes: a
        copy of what searches traverse, else as paged.
    list_codes : {"saved", "make"}
        Codes beside the neighbour lists, by which searches are faster: those that `Index.save` wrote, or, where it
        wrote none, made now.
    threads : int
        For copies and "make"; 0: one for each CPU.

    Raises
    ------
    FileNotFoundError, OSError, CorruptFileError, UnsupportedError

    Examples
    --------
    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "index.shoal")
    >>> index = shoal.Index(2)
    >>> index.add([1, 2], [[0, 0], [3, 4]])
    2
    >>> index.save(path)
    >>> with shoal.View(path, memory="copied") as view:
    ...     view.search([0, 0], k=1).ids
    array([1], dtype=uint64)
    """

    def __init__(self, path: Path, *, features: Features = None, memory: Memory = "mapped",
                 list_codes: Literal["saved", "make"] = "saved", threads: int = 0) -> None:
        self._path = os.fsdecode(path)
        self._how: dict[str, Any] = {"features": features, "memory": memory, "list_codes": list_codes,
                                     "threads": threads}
        store = None if features is None else features_for(features, _shoal.inspect(self._path))
        super().__init__(_shoal.View.open(self._path, store, memory, list_codes, threads))
        if isinstance(features, FeatureStore):
            close_at_exit(self)

    def verify(self, *, threads: int = 0, progress: Progress = None) -> None:
        """Compares every checksum of the file. CorruptFileError."""
        with progress_function(progress, "verify") as function:
            self._native.verify(threads, function)

    def __enter__(self) -> View:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _view_of, (self._path, self._how)


def _view_of(path: str, how: dict[str, Any]) -> View:
    """What pickle calls."""
    return View(path, **how)
