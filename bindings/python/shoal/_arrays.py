"""What users hand over, as the arrays that the extension takes.

An array that has the index's dtype and is C-contiguous is used as it is, without a copy. All else is converted
if no element changes its value: lists, tables of pandas, polars and pyarrow, tensors, other dtypes.
"""

from __future__ import annotations

from collections.abc import KeysView, ValuesView
from operator import index as as_index
from typing import Any, Union

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]
Ids = npt.NDArray[np.uint64]

# What a vector or a matrix may be: whatever NumPy makes an array of, and columns of tables.
VectorsLike = Union[npt.ArrayLike, Any]
IdsLike = Union[npt.ArrayLike, Any]

# Vectors of bits are arrays of uint8, eight elements a byte. An equal dtype, which says so to the slow path.
_BITS = np.dtype(np.uint8, metadata={"elements": "bits"})

_INTEGER_LIMITS = {np.dtype(np.int8): (-128, 127), np.dtype(np.uint8): (0, 255)}


def array_dtype(name: str, dim: int = 0) -> np.dtype[Any]:
    """Of the arrays that hold vectors of a dtype of the library's. `dim`: where it is known, of vectors of bits."""
    if name == "bit" and dim:
        return np.dtype(np.uint8, metadata={"elements": "bits", "dim": dim})
    return _BITS if name == "bit" else np.dtype(name)


def as_vectors(value: VectorsLike, dtype: np.dtype[Any], name: str = "vectors") -> AnyArray:
    """A C-contiguous array of `dtype` with 1 or 2 dimensions. ValueError, TypeError."""
    if type(value) is np.ndarray and value.dtype == dtype and value.flags.c_contiguous:
        array: AnyArray = value
    else:
        array = _converted(_plain_array(value, name), dtype, name)
    if not 1 <= array.ndim <= 2:
        raise ValueError(f"{name}: expected one vector or a matrix of rows, found {array.ndim} dimensions")
    return array


def as_matrix(value: VectorsLike, dtype: np.dtype[Any], name: str = "vectors") -> AnyArray:
    """The same with 2 dimensions."""
    array = as_vectors(value, dtype, name)
    if array.ndim != 2:
        raise ValueError(f"{name}: expected a matrix, found one vector of {array.shape[0]} elements")
    return array


def as_ids(value: Any) -> int | Ids:
    """An int for one id, else a C-contiguous 1-d array of uint64. ValueError if negative; TypeError."""
    if type(value) is int:
        return _one_id(value)
    if isinstance(value, (bool, np.bool_)):
        raise TypeError("ids: integers expected, found a bool")
    if hasattr(value, "__index__") and np.ndim(value) == 0:
        return _one_id(as_index(value))
    if isinstance(value, (set, frozenset, range, KeysView, ValuesView)) or hasattr(value, "__next__"):
        value = list(value)
    array = _plain_array(value, "ids")
    if array.dtype.kind == "f" and isinstance(value, (list, tuple)):
        array = np.array(value, object)  # Integers below and above 2^63 together; or floats.
    if array.ndim == 0:
        raise TypeError(f"ids: an integer or a sequence of integers expected, found {type(value).__name__}")
    if array.ndim != 1:
        raise ValueError(f"ids: expected one dimension, found {array.ndim}")
    return _uint64(array)


def one_id(value: Any) -> int:
    """The same of one id alone."""
    which = as_ids(value)
    if not isinstance(which, int):
        raise TypeError("one id expected")
    return which


def many_ids(value: IdsLike) -> Ids:
    """The same, one id as an array."""
    ids = as_ids(value)
    return np.array([ids], np.uint64) if isinstance(ids, int) else ids


def check_order(ids: Any, vectors: Any) -> None:
    """TypeError if the arguments of add or upsert look swapped."""
    first, second = np.asarray(ids), np.asarray(vectors)
    if (first.ndim, second.ndim) in ((1, 0), (2, 1)):
        raise TypeError(f"ids come first, then vectors: found arrays of shapes {first.shape} and {second.shape}")


def check_integers(**arguments: Any) -> None:
    """TypeError names the first that is no integer; ValueError, the first that no index can mean."""
    for name, value in arguments.items():
        try:
            number = as_index(value)
        except TypeError:
            raise TypeError(f"{name}: an integer expected, found {type(value).__name__}") from None
        if not 0 <= number < 2**63:
            raise ValueError(f"{name}: expected 0 to 2^63 - 1, found {number}") from None


def _one_id(value: int) -> int:
    if not 0 <= value < 2**64:
        raise ValueError(f"id: expected 0 to 2^64 - 1, found {value}")
    return value


def _uint64(array: AnyArray) -> Ids:
    if array.size == 0:
        return np.empty(0, np.uint64)
    if array.dtype == object and all(type(element) is int for element in array):
        for element in array:
            _one_id(element)
        return array.astype(np.uint64)
    if array.dtype == object:
        wrong = next(element for element in array if type(element) is not int)
        raise TypeError(f"ids: integers expected, found {wrong!r}")
    if array.dtype.kind not in "ui":
        raise TypeError(f"ids: integers expected, found {array.dtype}"
                        + ("; is one missing?" if array.dtype.kind == "f" else ""))
    if array.dtype.kind == "i" and (smallest := int(array.min())) < 0:
        raise ValueError(f"ids: expected 0 or more, found {smallest} at {int(array.argmin())}")
    return np.require(array, np.uint64, ["C", "A"])


def _plain_array(value: Any, name: str) -> AnyArray:
    """An array of numbers of any dtype, from whatever holds them."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name}: {np.count_nonzero(value.mask)} elements are masked")
    library = type(value).__module__.split(".")[0]
    if library == "pyarrow":
        value = _of_pyarrow(value)
    elif library == "polars" and str(getattr(value, "dtype", "")).startswith("List"):
        value = value.to_list()
    elif hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        value = np.from_dlpack(value)
    try:
        array: AnyArray = np.asarray(value)
    except ValueError:
        array = _stacked(value, name)
    if array.dtype == object and array.ndim == 1 and array.size and np.ndim(array[0]) == 1:
        array = _stacked(array, name)
    return array


def _of_pyarrow(value: Any) -> Any:
    """A column of numbers, or of lists of one length, without a copy if there is one chunk."""
    if hasattr(value, "combine_chunks"):
        value = value.combine_chunks()
    if type(value).__name__ in ("ChunkedArray", "FixedShapeTensorArray"):
        return value.to_numpy() if type(value).__name__ == "ChunkedArray" else value.to_numpy_ndarray()
    if hasattr(value, "flatten") and hasattr(value.type, "value_type"):
        if value.null_count:
            raise ValueError(f"vectors: {value.null_count} rows are null")
        size = getattr(value.type, "list_size", None)
        if size is None:
            return value.to_pylist()
        return value.flatten().to_numpy(zero_copy_only=False).reshape(-1, size)
    if value.null_count:
        raise TypeError(f"{value.null_count} elements are null")
    return value.to_numpy(zero_copy_only=False)


def _stacked(rows: Any, name: str) -> AnyArray:
    """A matrix of a sequence of rows, which have one length."""
    arrays = [np.asarray(row) for row in rows]
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape or array.dtype == object:
            raise ValueError(f"{name}: row {i}: expected {arrays[0].size} numbers, found {array.size}")
    return np.stack(arrays)


def _converted(array: AnyArray, dtype: np.dtype[Any], name: str) -> AnyArray:
    if array.dtype == np.bool_ and dtype.metadata:
        dim = dtype.metadata.get("dim", array.shape[-1])
        if array.shape[-1] != dim:
            raise ValueError(f"{name}: dimension: expected {dim}, found {array.shape[-1]}")
        return np.packbits(array, axis=-1, bitorder="little")
    if array.dtype != dtype and array.size:
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{name}: numbers expected, found {array.dtype}")
        if dtype.kind != "f":
            _check_fits(array, dtype, name)
    with np.errstate(all="ignore"):  # What becomes infinite is refused by the library, with its place.
        return np.ascontiguousarray(array, dtype) if array.ndim else array


def _check_fits(array: AnyArray, dtype: np.dtype[Any], name: str) -> None:
    """ValueError if an element is no number of an integer type."""
    low, high = _INTEGER_LIMITS[dtype]
    fits = (array >= low) & (array <= high)
    if array.dtype.kind == "f":
        fits &= np.equal(np.floor(array), array)
    if fits.all():
        return
    place = np.argwhere(~fits)[0].tolist()
    where = f"column {place[-1]}" if array.ndim == 1 else f"row {place[0]}, column {place[-1]}"
    raise ValueError(f"{name}: {where}: expected a whole number from {low} to {high} ({dtype}), "
                     f"found {array[tuple(place)]}")
