"""Reduction of a data matrix to distinct hyperplanes in independent columns, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._directions import unit
from ._integers import compact, exponents, integer_rows, pivots

__all__ = ["Normals", "Reduction", "expand_bits", "merge_parallel", "reduce_rows", "scaled_rows"]


@dataclass(frozen=True)
class Normals:
    """Normals of N distinct hyperplanes of full column rank r, as floats and as integers.

    ``floats[i] = a_i * z_i * 2**(int_exp - float_exp)`` with a_i > 0, for the integer rows z_i: both describe the same
    hyperplanes in coordinates that differ by powers of two. ``exact``: float determinants have no rounding error.
    """

    floats: np.ndarray
    ints: np.ndarray
    float_exp: np.ndarray
    int_exp: np.ndarray
    exact: bool

    @property
    def shape(self) -> tuple[int, int]:
        return self.ints.shape[0], self.ints.shape[1]


@dataclass(frozen=True)
class Reduction:
    """Distinct hyperplanes of X and the way back to its rows and columns.

    rows : (N,) first original row of each distinct hyperplane; group : (n,) its number, -1 for a zero row;
    orient : (n,) +1 or -1 relative to the representative; columns : independent columns of X.
    """

    X: np.ndarray
    rows: np.ndarray
    group: np.ndarray
    orient: np.ndarray
    columns: np.ndarray
    normals: Normals
    balanced: np.ndarray
    balance_exp: np.ndarray

    @property
    def rank(self) -> int:
        return len(self.columns)

    def expand(self, bits: np.ndarray) -> np.ndarray:
        """Return (B, n) patterns of the rows of X from (B, N) bits of the distinct hyperplanes."""
        return expand_bits(bits, self.group, self.orient)

    def embed(self, mantissa: np.ndarray, exponent: np.ndarray) -> np.ndarray:
        """Return unit vectors (d, B) of X from (B, r) vectors of the chosen columns, zero elsewhere."""
        out = np.zeros((self.X.shape[1], len(mantissa)))
        out[self.columns] = unit(mantissa, exponent).T
        return out


def expand_bits(bits: np.ndarray, group: np.ndarray, orient: np.ndarray) -> np.ndarray:
    """Copy bits (B, N) of distinct hyperplanes to all rows (B, n): complemented if antipodal, 1 for zero rows."""
    if bits.shape[1] == 0:
        return np.ones((len(bits), len(group)), dtype=np.uint8)
    index = np.maximum(group, 0)
    out = bits if np.array_equal(index, np.arange(bits.shape[1])) else bits[:, index]
    if (orient < 0).any():
        out = out ^ (orient < 0).astype(np.uint8)
    if (group < 0).any():
        out[:, group < 0] = 1
    return out


def scaled_rows(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale columns, then rows, by powers of two: every row has largest entry in [1/2, 1). Returns rows, exponents."""
    part, power = np.frexp(X)
    power = power.astype(np.int64)
    columns = exponents(X, axis=0)
    power = np.where(part == 0, -(10**6), power - columns)
    top = power.max(axis=1, keepdims=True)
    top[top == -(10**6)] = 0
    return np.ldexp(part, np.maximum(power - top, -5000).astype(np.int32)), columns


def merge_parallel(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group the non-zero rows of X that are parallel up to sign, exactly.

    Exactly parallel rows share the position of their largest entry, and IEEE division rounds equal rationals to
    equal floats, so ``x / x[largest]`` is equal bit by bit; equal keys are then compared as integer vectors.

    Returns
    -------
    rows : first row of each group; group : (n,) group number, -1 for zero rows; orient : (n,) +1 or -1.
    """
    n = len(X)
    nonzero = np.flatnonzero((X != 0).any(axis=1))
    group, orient = np.full(n, -1), np.ones(n, dtype=np.int64)
    if not len(nonzero):
        return np.zeros(0, dtype=np.int64), group, orient
    top = np.abs(X[nonzero]).argmax(axis=1)
    lead = X[nonzero, top]
    with np.errstate(under="ignore"):
        keys = X[nonzero] / lead[:, None] + 0.0
    _, label, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    label = label.ravel()
    first = _exact_classes(X, nonzero, label, counts)
    rows, inverse = np.unique(first, return_inverse=True)
    group[nonzero] = inverse.ravel()
    orient[nonzero] = np.where(np.sign(lead) == np.sign(X[first, top]), 1, -1)
    return rows, group, orient


def _exact_classes(X: np.ndarray, nonzero: np.ndarray, label: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return for each non-zero row the first row that is exactly parallel to it."""
    first = nonzero.copy()
    shared = np.flatnonzero(counts[label] > 1)
    if not len(shared):
        return first
    primitive, _ = integer_rows(X[nonzero[shared]])
    seen: dict[tuple[int, ...], int] = {}
    for position, vector in zip(shared, primitive, strict=True):
        sign = next(1 if value > 0 else -1 for value in vector if value != 0)
        key = tuple(sign * int(value) for value in vector)
        first[position] = seen.setdefault(key, int(nonzero[position]))
    return first


def _column_order(balanced: np.ndarray) -> np.ndarray:
    from scipy.linalg import qr

    _, order = qr(balanced, mode="r", pivoting=True)
    return order


def _independent_columns(X: np.ndarray) -> np.ndarray:
    """Return a largest set of independent columns of X (exact), preferring well-conditioned ones."""
    if len(X) == 0:
        return np.zeros(0, dtype=np.int64)
    order = _column_order(scaled_rows(X)[0])
    _, chosen = pivots(integer_rows(X)[0][:, order])
    return np.sort(order[chosen])


def reduce_rows(X: np.ndarray) -> Reduction:
    """Drop zero rows, merge parallel rows, choose independent columns: the same patterns, a simple arrangement."""
    rows, group, orient = merge_parallel(X)
    columns = _independent_columns(X[rows])
    if not len(columns):
        empty = np.zeros((0, 0))
        none = np.zeros(0, dtype=np.int64)
        return Reduction(X, rows, group, orient, columns, Normals(empty, empty, none, none, True), empty, none)
    distinct = X[np.ix_(rows, columns)]
    balanced, balance_exp = scaled_rows(distinct)
    whole, int_exp = integer_rows(distinct)
    ints, exact = compact(whole)
    floats, float_exp = (ints.astype(np.float64), int_exp) if exact else (balanced, balance_exp)
    normals = Normals(floats, ints, float_exp, int_exp, exact)
    return Reduction(X, rows, group, orient, columns, normals, balanced, balance_exp)
