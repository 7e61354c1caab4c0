"""Null directions of r - 1 rows in r dimensions, as floats with a rigorous error bound or as integers."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ._integers import pivots, solve_scaled

__all__ = ["TINY", "cross", "cross_bounds", "direction_error", "sign_error", "unit"]

_ROUND = 2.0**-53 * (1 + 1e-6)
# Covers underflow: entries are at most one in absolute value, so each lost product is below 2**-1022.
TINY = 2.0**-900


def direction_error(r: int) -> float:
    """Relative rounding bound of :func:`cross_bounds`, multiplying its absolute version."""
    return (r * (r - 1) // 2 + 2) * _ROUND


def sign_error(r: int) -> float:
    """Relative rounding bound of ``x . v`` for a computed null direction v, any order of summation."""
    return direction_error(r) + (r + 2) * _ROUND


def _expand(rows: np.ndarray, signed: bool) -> np.ndarray:
    r = rows.shape[2]
    minors = {1 << c: rows[:, 0, c] for c in range(r)}
    for k in range(1, rows.shape[1]):
        larger: dict[int, np.ndarray] = {}
        for chosen in combinations(range(r), k + 1):
            mask = sum(1 << c for c in chosen)
            total = rows[:, k, chosen[-1]] * minors[mask ^ (1 << chosen[-1])]
            for position, c in enumerate(chosen[:-1]):
                term = rows[:, k, c] * minors[mask ^ (1 << c)]
                total = total - term if signed and (k - position) % 2 else total + term
            larger[mask] = total
        minors = larger
    full = (1 << r) - 1
    out = np.empty((len(rows), r), dtype=rows.dtype)
    for c in range(r):
        out[:, c] = -minors[full ^ (1 << c)] if signed and c % 2 else minors[full ^ (1 << c)]
    return out


def cross(rows: np.ndarray) -> np.ndarray:
    """Generalised cross products of a (B, r - 1, r) batch of integers: ``v_c = (-1)**c det(rows without column c)``.

    Laplace expansion over column subsets, or elimination row by row of the batch for big integers in high rank.
    Exact for integer and object arrays without overflow. Returns (B, r); zero exactly where the rows are dependent.
    """
    if rows.dtype == object and rows.shape[2] > 7:
        return np.array([_null_vector(block) for block in rows], dtype=object).reshape(len(rows), rows.shape[2])
    return _expand(rows, signed=True)


def _null_vector(block: np.ndarray) -> np.ndarray:
    out = np.zeros(block.shape[1], dtype=object)
    _, columns = pivots(block)
    if len(columns) < len(block):
        return out
    free = next(c for c in range(block.shape[1]) if c not in columns)
    determinant, solution = solve_scaled(block[:, columns], block[:, [free]])
    sign = -1 if free % 2 else 1
    out[free] = sign * determinant
    out[columns] = -sign * solution[:, 0]
    return out


def cross_bounds(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return :func:`cross` and the same sums of absolute values (the permanent version) for the error bound."""
    return _expand(rows, signed=True), _expand(np.abs(rows), signed=False)


def unit(mantissa: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Return the rows ``mantissa * 2**exponent`` (B, r) normalised to Euclidean length one, safe from overflow."""
    part, shift = np.frexp(mantissa)
    power = np.where(part == 0, -(10**6), shift + exponent)
    power -= power.max(axis=1, keepdims=True)
    vectors = np.ldexp(part, np.maximum(power, -5000).astype(np.int32))
    length = np.sqrt(np.einsum("br,br->b", vectors, vectors))
    return vectors / np.where(length == 0, 1.0, length)[:, None]
