"""Parameter arrays of networks: read-only copies, named errors, norms that neither overflow nor underflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import _as_float, as_matrix, check_choice, check_positive
from ..errors import DataError, NetworkError, ProblemError
from .activations import slope

BIASES = ("penalized", "free", "none")
NORMS = ("l2", "l1")


def as_parameter(values: Any, name: str, ndims: tuple[int, ...]) -> np.ndarray:
    """Return a read-only finite float64 copy with one of the allowed numbers of dimensions."""
    try:
        array = _as_float(values, name)
    except DataError as error:
        raise NetworkError(str(error)) from None
    if array.ndim not in ndims:
        wanted = " or ".join(f"{k}-D" for k in ndims)
        raise NetworkError(f"{name} must be {wanted}, got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise NetworkError(f"{name} has NaN or infinite entries; training diverged, or the file is damaged.")
    array.setflags(write=False)
    return array


def expect_shape(array: np.ndarray, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return ``array`` if its shape is ``shape``."""
    if array.shape != shape:
        raise NetworkError(f"{name} must have shape {shape} to fit the other arrays of the network, got {array.shape}.")
    return array


def as_intercept(values: Any, outputs: tuple[int, ...]) -> Any:
    """Return the intercept as a float (``outputs == ()``) or a read-only array of shape (k,); a number is broadcast."""
    array = as_parameter(values, "intercept", (0, 1))
    if outputs == ():
        if array.size != 1:
            raise NetworkError(f"intercept must be a number for a scalar output, got shape {array.shape}.")
        return float(array.reshape(()))
    array = np.full(outputs, array) if array.ndim == 0 else expect_shape(array, "intercept", outputs)
    array.setflags(write=False)
    return array


def as_skip(values: Any, d: int, outputs: tuple[int, ...]) -> np.ndarray | None:
    """Return the skip weights as a read-only array of shape (d,) or (d, k), or None."""
    if values is None:
        return None
    array = as_parameter(values, "skip", (1, 2))
    if outputs == () and array.shape == (d, 1):
        array = array[:, 0]
    return expect_shape(array, "skip", (d, *outputs))


def check_activation(activation: Any, negative_slope: Any) -> float:
    """Return kappa or raise NetworkError; the slope must be a number >= 0 even where it is not used."""
    try:
        return slope(activation, check_positive(negative_slope, "negative_slope", allow_zero=True))
    except ProblemError as error:
        raise NetworkError(str(error)) from None


def check_norm(bias: str, norm: str, biases: np.ndarray) -> None:
    """Check the two options of a neuron norm; bias="none" needs zero biases."""
    check_choice(bias, "bias", BIASES)
    check_choice(norm, "norm", NORMS)
    if bias == "none" and np.any(biases):
        raise NetworkError("bias='none' but some bias is not zero; pass bias='penalized' or 'free'.")


def check_input(X: Any, d: int) -> np.ndarray:
    """Return X as a matrix with d columns or raise DataError."""
    data = as_matrix(X)
    if data.shape[1] != d:
        raise DataError(f"X has {data.shape[1]} feature(s) but the network was built for {d}.")
    return data


def row_norms(rows: np.ndarray, norm: str = "l2") -> np.ndarray:
    """Return the l2 or l1 norm of every row of an (m, q) array; zero only for zero rows."""
    if rows.shape[1] == 0 or rows.shape[0] == 0:
        return np.zeros(rows.shape[0])
    if norm == "l1":
        return np.abs(rows).sum(axis=1)
    peak = np.abs(rows).max(axis=1)
    scale = np.where(peak > 0, peak, 1.0)[:, None]
    return peak * np.sqrt(np.sum((rows / scale) ** 2, axis=1))
