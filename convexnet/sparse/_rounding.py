"""Rounding of the few floating-point operations on which the proofs of this room rest."""

from __future__ import annotations

import numpy as np

from ..errors import DataError

__all__ = ["TINY", "column_norms", "product_error", "products_upper", "scaled_columns", "scaled_rows", "singular_error"]

EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)
_SMALLEST = -960
"""Dual vectors grow with the powers of two taken out of small rows, and should not overflow."""


def product_error(m: int) -> float:
    """``|fl(a . b) - a . b| <= error * sum |a_k b_k|`` for vectors of length m, in whatever order they are added."""
    return (m + 8) * EPS


def products_upper(A: np.ndarray, y: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """Upper bounds of ``|offset - A' y|`` that cover rounding; ``offset`` has the shape of the product."""
    size = np.abs(A).T @ np.abs(y) + np.abs(offset)
    value = np.abs(offset - A.T @ y)
    return np.asarray(value + product_error(len(A)) * size + (len(A) + np.abs(y).sum(axis=0)) * TINY)


def scaled_columns(A: np.ndarray) -> np.ndarray:
    """Columns times powers of two that bring their largest entries to [1/2, 1): exact but for underflow."""
    top = np.abs(A).max(axis=0)
    return np.asarray(np.ldexp(A, -np.where(top > 0, np.frexp(top)[1], 0)))


def scaled_rows(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows times powers of two that bring their largest entries to [1/2, 1), and the exponents taken out."""
    top = np.abs(A).max(axis=1)
    exponents = np.where(top > 0, np.frexp(top)[1], 0)
    if exponents.min(initial=0) < _SMALLEST:
        row = int(exponents.argmin())
        raise DataError(f"row {row} of A has entries of size {top[row]:.1e}, too small for a dual vector; rescale it.")
    return np.ldexp(A, -exponents[:, None]), exponents


def column_norms(A: np.ndarray) -> np.ndarray:
    """Column norms, rounded up."""
    return np.asarray(np.linalg.norm(A, axis=0) * (1 + product_error(len(A))) + TINY)


def singular_error(shape: tuple[int, int], largest: float) -> float:
    """Bound on the error of computed singular values."""
    return 10 * max(shape) * EPS * largest
