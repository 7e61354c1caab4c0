"""Input checks shared by every room: they answer within milliseconds and say what to pass instead."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from .errors import DataError, MissingExtraError, ProblemError

__all__ = [
    "as_matrix",
    "as_sample_weight",
    "as_targets",
    "check_choice",
    "check_count",
    "check_flag",
    "check_jobs",
    "check_positive",
    "require",
]


def _as_float(values: Any, name: str) -> np.ndarray:
    """Convert array-likes (lists, pandas, integers, float32) to a float64 array or raise DataError."""
    if hasattr(values, "toarray") and hasattr(values, "tocsr"):
        raise DataError(f"{name} is a sparse matrix; pass a dense array, e.g. {name}.toarray().")
    if np.ma.is_masked(values):
        raise DataError(f"{name} has masked entries; drop or impute them before building the problem.")
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} is ragged: its rows have different lengths ({error}).") from None
    except (TypeError, RuntimeError) as error:
        raise DataError(f"{name} cannot be converted to a numpy array ({error}); convert it first.") from None
    if array.dtype.kind == "c":
        raise DataError(f"{name} is complex; pass real numbers.")
    if array.dtype.kind in "USmMV":
        raise DataError(f"{name} holds {array.dtype} values, not numbers; encode text and dates as numbers first.")
    if array.dtype == object and any(isinstance(entry, (str, bytes)) for entry in array.flat):
        raise DataError(f"{name} holds text among its entries; encode text columns as numbers first.")
    try:
        array = np.array(array, dtype=np.float64, order="C", copy=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name} cannot be read as numbers ({error}); encode text columns as numbers first.") from None
    return array


def _check_finite(array: np.ndarray, name: str) -> None:
    bad = ~np.isfinite(array)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{name} has {int(bad.sum())} NaN or infinite value(s), the first at index {index}; "
            "drop or impute them before building the problem."
        )


def as_matrix(values: Any, name: str = "X") -> np.ndarray:
    """Return a read-only float64 copy of a non-empty finite 2-D array of shape (n, d)."""
    array = _as_float(values, name)
    if array.ndim != 2:
        hint = f" Reshape one feature with {name}.reshape(-1, 1)." if array.ndim == 1 else ""
        raise DataError(f"{name} must be 2-D of shape (n_samples, n_features), got shape {array.shape}.{hint}")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise DataError(f"{name} is empty: shape {array.shape}; at least one sample and one feature are needed.")
    _check_finite(array, name)
    array.setflags(write=False)
    return array


def as_targets(values: Any, n: int, name: str = "y") -> np.ndarray:
    """Return a read-only float64 copy of targets: shape (n,) for one output, (n, k) for k > 1 outputs."""
    array = _as_float(values, name)
    if array.ndim not in (1, 2):
        raise DataError(f"{name} must have shape (n,) or (n, k), got shape {array.shape}.")
    if array.shape[0] != n:
        hint = f" Pass {name}.ravel()." if array.ndim == 2 and array.shape == (1, n) else ""
        raise DataError(f"{name} has {array.shape[0]} row(s) but X has {n} sample(s).{hint}")
    if array.ndim == 2 and array.shape[1] == 0:
        raise DataError(f"{name} has no columns.")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0].copy()
    _check_finite(array, name)
    array.setflags(write=False)
    return array


def as_sample_weight(values: Any, n: int) -> np.ndarray | None:
    """Return read-only non-negative weights of shape (n,), or None for unit weights."""
    if values is None:
        return None
    array = _as_float(values, "sample_weight")
    if array.shape != (n,):
        raise DataError(f"sample_weight must have shape ({n},), got {array.shape}.")
    _check_finite(array, "sample_weight")
    if (array < 0).any():
        raise DataError("sample_weight has negative entries; weights must be >= 0.")
    if not (array > 0).any():
        raise DataError("sample_weight is zero everywhere; at least one sample needs a positive weight.")
    array.setflags(write=False)
    return array


def check_positive(value: Any, name: str, *, allow_zero: bool = False) -> float:
    """Return ``value`` as a finite float > 0 (>= 0 with ``allow_zero``)."""
    wanted = ">= 0" if allow_zero else "> 0"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ProblemError(f"{name} must be a number {wanted}, got {value!r}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < 0 or (number == 0 and not allow_zero):
        raise ProblemError(f"{name} must be finite and {wanted}, got {value!r}.")
    return number


def check_choice(value: Any, name: str, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    allowed = tuple(choices)
    if not isinstance(value, str) or value not in allowed:
        raise ProblemError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}.")
    return value


def check_flag(value: Any, name: str) -> bool:
    """Return ``value`` if it is a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise ProblemError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_count(value: Any, name: str, *, minimum: int = 1) -> int:
    """Return ``value`` as an int >= ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < minimum:
        raise ProblemError(f"{name} must be an integer >= {minimum}, got {value!r}.")
    return int(value)


def check_jobs(value: Any) -> int | None:
    """Return ``n_jobs`` as joblib reads it: None, or an integer other than zero (-1: all processors)."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Integral) or value == 0):
        raise ProblemError(f"n_jobs must be None or an integer other than 0 (-1: all processors), got {value!r}.")
    return None if value is None else int(value)


def require(module: str, extra: str) -> Any:
    """Import an optional module or raise an error that names the extra to install."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise MissingExtraError(f"This needs {package}; install it with: pip install 'convexnet[{extra}]'.") from error
