"""A snapshot that is searched in its file."""

from __future__ import annotations

import os
from typing import Any, Literal

from . import _shoal
from ._index import Path
from ._progress import Progress, progress_function
from ._searching import Measuring


class View(Measuring[_shoal.View]):
    """A read-only index over the file that `Index.save` wrote: opens in milliseconds, loads nothing.

    Rows and lists are read through the system's page cache, which all processes share. A search gives the answers
    that the loaded index gives. The file must not be written to while it is open; `Index.save` replaces it.

    Parameters
    ----------
    path : str or PathLike
        A snapshot.
    memory : {'mapped', 'copied'}
        Where searches read: in the file, through the page cache; or in memory of the view's own, as large as the
        file, in huge pages: faster, but opening reads the whole file.
    list_codes : {'saved', 'make'}
        Codes beside the neighbour lists, by which searches are faster: those that `Index.save` wrote, or, where it
        wrote none, made now.
    threads : int
        For 'copied' and 'make'; 0: one for each CPU.

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

    def __init__(self, path: Path, *, memory: Literal["mapped", "copied"] = "mapped",
                 list_codes: Literal["saved", "make"] = "saved", threads: int = 0) -> None:
        self._path = os.fsdecode(path)
        self._how: dict[str, Any] = {"memory": memory, "list_codes": list_codes, "threads": threads}
        super().__init__(_shoal.View.open(self._path, memory, list_codes, threads))

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
