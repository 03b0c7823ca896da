"""Exceptions. Their text is the line that the library gives: field (or file), expected, found."""

from __future__ import annotations

import errno
from collections.abc import Sequence


class Error(Exception):
    """Base class of all exceptions that only shoal raises.

    What Python has a class for is raised as that: `ValueError` for a wrong argument, `TypeError` for a wrong
    type, `MemoryError`, `OSError` and `FileNotFoundError` for files.
    """

    def __str__(self) -> str:
        # KeyError would show the quoted form.
        return str(self.args[-1]) if self.args else ""


class IdNotFoundError(Error, KeyError):
    """An id is not in the index, or an index not in the database."""


class DuplicateIdError(Error, KeyError):
    """An id is in the index already. `upsert` replaces its vector."""


class CorruptFileError(Error, OSError):
    """A file breaks the rules of its format, or its checksums."""


class UnsupportedError(Error, NotImplementedError):
    """Valid, but not possible with this file, dtype or metric."""


class ConflictError(Error, RuntimeError):
    """An open transaction of the database has what the call would write."""


class CancelledError(Error):
    """A progress function stopped the call by returning False."""


class BatchError(Error):
    """Some rows of a call on many failed. The others are done.

    Attributes
    ----------
    rows : list of int
        Rows that failed, ascending.
    errors : list of Exception
        Why, one for each of `rows`: what the call on one row raises.
    done : int
        How many rows are done.
    """

    def __init__(self, rows: Sequence[int], errors: Sequence[Exception], done: int) -> None:
        self.rows = list(rows)
        self.errors = list(errors)
        self.done = done
        super().__init__(f"{len(self.rows)} of {len(self.rows) + done} rows failed; "
                         f"row {self.rows[0]}: {self.errors[0]}")

    def __reduce__(self) -> tuple[type[BatchError], tuple[list[int], list[Exception], int]]:
        return BatchError, (self.rows, self.errors, self.done)


_CLASSES: dict[str, type[Exception]] = {
    "InvalidArgument": ValueError,
    "AlreadyExists": DuplicateIdError,
    "NotFound": IdNotFoundError,
    "OutOfMemory": MemoryError,
    "Io": OSError,
    "Corrupt": CorruptFileError,
    "Unsupported": UnsupportedError,
    "Cancelled": CancelledError,
    "Conflict": ConflictError,
    "FileNotFound": FileNotFoundError,
}


def exception_of(code: str, message: str) -> Exception:
    """The exception of an error code of the library."""
    if code == "FileNotFound":
        return FileNotFoundError(errno.ENOENT, message)
    if code == "AlreadyExists":
        message += "; upsert replaces it"
    return _CLASSES[code](message)
