"""A snapshot that is searched in its file."""

from __future__ import annotations

import os
from typing import Any

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

    Raises
    ------
    FileNotFoundError, OSError, CorruptFileError, UnsupportedError
    """

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)
        super().__init__(_shoal.View.open(self._path))

    def verify(self, *, threads: int = 0, progress: Progress = None) -> None:
        """Compares every checksum of the file. CorruptFileError."""
        with progress_function(progress, "verify") as function:
            self._native.verify(threads, function)

    def __enter__(self) -> View:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return View, (self._path,)
