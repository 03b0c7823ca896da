"""Names of metrics and dtypes, with those that other libraries have for them."""

from __future__ import annotations

from typing import Any, Literal, Union

import numpy as np

Metric = Literal["l2", "inner_product", "cosine", "sqeuclidean", "l2sq", "ip", "dot", "mips", "cos", "angular",
                 "manhattan", "l1", "hamming"]
Code = Literal["auto", "full", "float16", "bfloat16", "sq8", "rq4", "rq3", "rq2", "rq1", "sign", "none"]
DTypeLike = Union[Literal["float32", "float16", "int8", "uint8", "bit"], "np.dtype[Any]", type[Any]]

_METRICS = {"l2": "l2", "sqeuclidean": "l2", "l2sq": "l2",
            "inner_product": "inner_product", "ip": "inner_product", "dot": "inner_product",
            "mips": "inner_product", "cosine": "cosine", "cos": "cosine", "angular": "cosine",
            "manhattan": "manhattan", "l1": "manhattan", "hamming": "hamming"}
_DTYPES = ("float32", "float16", "int8", "uint8", "bit")
_CODES = ("auto", "full", "float16", "bfloat16", "sq8", "rq4", "rq3", "rq2", "rq1", "sign", "none")


def metric_name(metric: str) -> str:
    """The library's name of a metric. ValueError."""
    if not isinstance(metric, str):
        raise TypeError(f"metric: a string expected, found {type(metric).__name__}")
    if metric not in _METRICS:
        hint = "; l2 returns squared distances" if metric in ("euclidean", "L2") else ""
        raise ValueError("metric: expected l2, inner_product, cosine, manhattan or hamming, "
                         f"found {metric}{hint}")
    return _METRICS[metric]


def code_name(field: str, code: str) -> str:
    """The name of a code. ValueError."""
    if code not in _CODES:
        raise ValueError(f"{field}: expected {', '.join(_CODES)}, found {code}")
    return code


def dtype_name(dtype: Any) -> str:
    """The library's name of a dtype. ValueError."""
    if isinstance(dtype, str) and dtype == "bit":
        return dtype
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = str(dtype)
    if name not in _DTYPES:
        raise ValueError(f"dtype: expected {', '.join(_DTYPES)}, found {name}")
    return name
