"""Labels of points, as the arrays that the extension takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt

LabelArray = npt.NDArray[np.uint32]
# Of one point: any number of labels, or one.
Labels = Union[int, Sequence[int], npt.NDArray[Any]]
# Of many: those of each; or an array with one label for each.
ManyLabels = Union[Sequence[Labels], npt.NDArray[Any]]


def as_labels(value: Any) -> LabelArray:
    """The labels of one point, as an array of uint32. TypeError, ValueError."""
    if isinstance(value, (set, frozenset, range)):
        value = sorted(value)
    array = np.asarray(value)
    if array.size == 0:
        return np.empty(0, np.uint32)
    if array.dtype.kind not in "ui":
        raise TypeError(f"labels: integers expected, found {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= 2**32:
        raise ValueError(f"labels: expected 0 to 2^32 - 1, found {low if low < 0 else high}")
    return np.ascontiguousarray(array.reshape(-1), np.uint32)


def as_label_rows(value: Any, rows: int) -> tuple[LabelArray, npt.NDArray[np.uint64]]:
    """(labels, limits): those of row i are labels[limits[i]:limits[i + 1]]."""
    if len(value) != rows:
        raise ValueError(f"labels: expected those of {rows} rows, found {len(value)}")
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype != object:
        return as_labels(value), np.arange(rows + 1, dtype=np.uint64)
    each = [as_labels(labels) for labels in value]
    limits = np.zeros(rows + 1, np.uint64)
    np.cumsum([len(labels) for labels in each], out=limits[1:])
    return np.concatenate([np.empty(0, np.uint32), *each]), limits
