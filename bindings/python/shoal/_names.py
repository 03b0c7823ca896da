"""Names of metrics and dtypes, with those that other libraries have for them."""

from __future__ import annotations

from typing import Any, Literal, Union

import numpy as np

Metric = Literal["l2", "inner_product", "cosine", "sqeuclidean", "l2sq", "ip", "dot", "mips", "cos", "angular"]
DTypeLike = Union[Literal["float32", "float16", "int8", "uint8"], "np.dtype[Any]", type[Any]]

_METRICS = {"l2": "l2", "sqeuclidean": "l2", "l2sq": "l2",
            "inner_product": "inner_product", "ip": "inner_product", "dot": "inner_product",
            "mips": "inner_product", "cosine": "cosine", "cos": "cosine", "angular": "cosine"}
_DTYPES = ("float32", "float16", "int8", "uint8")


def metric_name(metric: str) -> str:
    """The library's name of a metric. ValueError."""
    if not isinstance(metric, str):
        raise TypeError(f"metric: a string expected, found {type(metric).__name__}")
    if metric in ("euclidean", "L2", "manhattan", "l1", "hamming", "jaccard"):
        hint = "; l2 returns squared distances" if metric in ("euclidean", "L2") else ""
        raise ValueError(f"metric: expected l2, inner_product or cosine, found {metric}{hint}")
    if metric not in _METRICS:
        raise ValueError(f"metric: expected l2, inner_product or cosine, found {metric}")
    return _METRICS[metric]


def dtype_name(dtype: Any) -> str:
    """The library's name of a dtype. ValueError."""
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = str(dtype)
    if name not in _DTYPES:
        raise ValueError(f"dtype: expected {', '.join(_DTYPES)}, found {name}")
    return name
