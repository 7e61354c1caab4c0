"""Exact integer forms of float matrices, and exact linear algebra on them."""

from __future__ import annotations

import numpy as np

__all__ = ["PRIME", "compact", "eliminate", "exponents", "integer_rows", "pivots", "solve_scaled", "to_mantissa"]

PRIME = 2**31 - 1
_NO_EXPONENT = 10**6


def integer_rows(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write ``X[i, k] = c_i * Z[i, k] * 2**e[k]`` with Python integers Z and positive c_i, exactly.

    Returns
    -------
    Z : (n, d) object array of Python ints, each row without a common divisor.
    e : (d,) int array of column exponents.
    """
    mantissa, exponent = np.frexp(X)
    odd = (mantissa * 2.0**53).astype(np.int64)
    zero = odd == 0
    lowest = np.where(zero, 1, odd & -odd)
    trailing = np.frexp(lowest.astype(np.float64))[1] - 1
    odd >>= trailing
    power = exponent.astype(np.int64) - 53 + trailing
    power[zero] = _NO_EXPONENT
    columns = power.min(axis=0)
    columns[columns == _NO_EXPONENT] = 0
    power -= columns
    power -= power.min(axis=1, keepdims=True)
    power[zero] = 0
    Z = np.left_shift(odd.astype(object), power.astype(object))
    divisor = np.abs(np.gcd.reduce(Z, axis=1))
    divisor[divisor == 0] = 1
    return Z // divisor[:, None], columns


def compact(Z: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return Z as int64 where r x r determinants of its rows fit, and whether they fit even a float64 exactly."""
    bound = 1
    for k in range(Z.shape[1]):
        bound *= (k + 1) * max(1, int(np.abs(Z[:, k]).max()))
    return (Z.astype(np.int64) if bound < 2**62 else Z), bound < 2**53


def exponents(X: np.ndarray, axis: int) -> np.ndarray:
    """Return the largest binary exponent of the non-zero entries along ``axis`` (0 where all are zero)."""
    power = np.where(X == 0, -_NO_EXPONENT, np.frexp(X)[1]).max(axis=axis)
    return np.where(power == -_NO_EXPONENT, 0, power)


def to_mantissa(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float mantissas and exponents of integers of any size, relative error at most 2**-52."""
    if values.dtype != object:
        return np.frexp(values.astype(np.float64))
    flat = values.ravel()
    excess = np.array([max(0, int(value).bit_length() - 1000) for value in flat], dtype=np.int64)
    mantissa, exponent = np.frexp(np.array([float(v >> int(s)) for v, s in zip(flat, excess, strict=True)]))
    return mantissa.reshape(values.shape), (exponent + excess).reshape(values.shape)


def eliminate(M: np.ndarray, modulus: int | None) -> tuple[list[int], list[int]]:
    """Return pivot rows and columns of M: modulo a prime, or exactly (Bareiss) with ``modulus=None``."""
    M = M.copy()
    free = np.ones(len(M), dtype=bool)
    rows: list[int] = []
    columns: list[int] = []
    previous = 1
    for c in range(M.shape[1]):
        candidates = np.flatnonzero(free & (M[:, c] != 0))
        if not len(candidates):
            continue
        p = int(candidates[0])
        free[p] = False
        rows.append(p)
        columns.append(c)
        if modulus is None:
            pivot = M[p, c]
            M[free, c:] = (pivot * M[free, c:] - M[free, c][:, None] * M[p, c:]) // previous
            previous = pivot
        else:
            hit = np.flatnonzero(free & (M[:, c] != 0))
            factor = M[hit, c] * pow(int(M[p, c]), -1, modulus) % modulus
            M[hit, c:] = (M[hit, c:] - factor[:, None] * M[p, c:]) % modulus
        if not free.any():
            break
    return rows, columns


def pivots(Z: np.ndarray) -> tuple[list[int], list[int]]:
    """Return rows and columns of a largest non-singular submatrix of the integer matrix Z; their number is its rank.

    The rank modulo a prime is a lower bound; it is exact if it is min(n, d) or if the null vectors of the pivot
    rows annihilate every row. Otherwise integers decide.
    """
    residues = (Z % PRIME).astype(np.int64)
    rows, columns = eliminate(residues, PRIME)
    if len(rows) == min(Z.shape) or _rows_span(Z, rows, columns):
        return rows, columns
    return eliminate(Z.astype(object), None)


def _rows_span(Z: np.ndarray, rows: list[int], columns: list[int]) -> bool:
    rest = [c for c in range(Z.shape[1]) if c not in set(columns)]
    if not rows:
        return not (Z != 0).any()
    kernel = Z[rows].astype(object)
    determinant, solution = solve_scaled(kernel[:, columns], kernel[:, rest])
    image = Z[:, columns].astype(object).dot(solution) - determinant * Z[:, rest]
    return not (image != 0).any()


def solve_scaled(M: np.ndarray, B: np.ndarray) -> tuple[int, np.ndarray]:
    """Solve ``M Y = det(M) B`` over the integers by fraction-free Gauss-Jordan elimination (M non-singular)."""
    size = len(M)
    work = np.concatenate([M.astype(object), B.astype(object)], axis=1)
    previous, sign = 1, 1
    for k in range(size):
        p = k + int(np.flatnonzero(work[k:, k] != 0)[0])
        if p != k:
            work[[k, p]] = work[[p, k]]
            sign = -sign
        pivot = work[k, k]
        others = np.arange(size) != k
        work[others] = (pivot * work[others] - work[others, k][:, None] * work[k]) // previous
        previous = pivot
    return sign * previous, sign * work[:, size:]
