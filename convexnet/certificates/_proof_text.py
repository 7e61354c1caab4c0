"""Exact numbers as text: hexadecimal floats, and arrays as base64 of little-endian bytes."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from ..errors import ProofFileError

__all__ = ["decode", "encode", "hexed"]

DTYPES = {"f8": "<f8", "f4": "<f4", "i8": "<i8", "i4": "<i4", "i1": "|i1", "u1": "|u1", "u2": "<u2"}


def hexed(value: Any) -> str:
    """A number as a hexadecimal float, anything else as text."""
    if isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool):
        return float(value).hex()
    return str(value)


def decode(text: str) -> float:
    """The number of :func:`hexed`."""
    return float.fromhex(text)


def encode(values: Any, dtype: str = "f8") -> dict[str, Any]:
    """An array with its shape and number format.

    Raises
    ------
    ProofFileError
        If an entry is not finite or does not fit the number format.
    """
    given = np.asarray(values)
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.ascontiguousarray(given, dtype=DTYPES[dtype])
    exact = dtype in ("f8", "f4") or np.array_equal(array.astype(np.float64), given.astype(np.float64))
    if not exact or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        raise ProofFileError(f"An array of shape {given.shape} has entries that the format {dtype} does not hold.")
    return {"dtype": dtype, "shape": list(given.shape), "data": base64.b64encode(array.tobytes()).decode("ascii")}
