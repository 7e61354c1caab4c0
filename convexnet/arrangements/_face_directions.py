"""Floating-point directions with prescribed exact signs, equalities included."""

from __future__ import annotations

import numpy as np

from ._integers import integer_rows, pivots, solve_scaled

__all__ = ["exact_direction", "exact_floats", "integer_null_basis"]

_BITS = (3, 6, 12, 20, 30, 44)
"""Binary digits of the coefficients tried on a face of dimension two or more, fewest first."""


def exact_direction(X: np.ndarray, signs: np.ndarray) -> np.ndarray | None:
    """Return floats u with ``sign(x_i . u) = signs_i`` in exact arithmetic, or None if none was found."""
    used = np.any(X != 0, axis=1)
    u = np.zeros(X.shape[1])
    if not np.any(signs[used]):
        return u
    Z, exponent = integer_rows(X[used])
    Z = Z.astype(object)
    basis = integer_null_basis(Z[signs[used] == 0], Z.shape[1])
    for whole in _candidates(Z, signs[used], basis):
        products = Z.dot(whole)
        if all((p > 0) - (p < 0) == s for p, s in zip(products, signs[used].tolist(), strict=True)):
            return exact_floats(whole, exponent)
    return None


def integer_null_basis(equations: np.ndarray, d: int) -> np.ndarray:
    """Integer basis (d, k) of the vectors that all rows annihilate, columns without a common divisor."""
    if not len(equations):
        return np.eye(d, dtype=np.int64).astype(object)
    rows, columns = pivots(equations)
    rest = [c for c in range(d) if c not in set(columns)]
    basis = np.zeros((d, len(rest)), dtype=object)
    kernel = equations[rows]
    determinant, solution = solve_scaled(kernel[:, columns], kernel[:, rest])
    basis[columns] = -solution
    basis[rest, range(len(rest))] = determinant
    divisor = np.gcd.reduce(basis, axis=0) if rest else np.zeros(0, dtype=object)
    return basis // np.where(divisor == 0, 1, np.abs(divisor))


def _candidates(Z: np.ndarray, signs: np.ndarray, basis: np.ndarray) -> list[np.ndarray]:
    """Integer vectors in the span of the basis, near the middle of the face, with few digits first."""
    size = np.array([max(1, *(abs(int(v)) for v in column)) for column in basis.T], dtype=object)
    if basis.shape[1] == 1:
        return [basis[:, 0], -basis[:, 0]]
    active = np.flatnonzero(signs)
    products = Z[active].dot(basis) * signs[active].astype(object)[:, None]
    ratio = [[float(_fraction(p, s)) for p, s in zip(row, size, strict=True)] for row in products]
    middle = _middle(np.array(ratio))
    if middle is None:
        return []
    found = []
    for bits in _BITS:
        t = np.round(middle / np.abs(middle).max() * 2.0**bits).astype(np.int64).astype(object)
        # the basis vectors at about equal length, by powers of two
        shift = [int(size.max()).bit_length() - int(s).bit_length() for s in size]
        found.append(basis.dot(np.array([int(v) << k for v, k in zip(t, shift, strict=True)], dtype=object)))
    return found


def _fraction(value: int, size: int) -> float:
    """``value / 2**bits(size)`` for integers of any length."""
    shift = int(size).bit_length()
    excess = max(0, abs(int(value)).bit_length() - 60)
    return float(np.ldexp(float(int(value) >> excess), excess - shift)) if value else 0.0


def _middle(rows: np.ndarray) -> np.ndarray | None:
    """A vector with large positive products with all (unit) rows."""
    from scipy.optimize import linprog

    length = np.linalg.norm(rows, axis=1)
    if np.any(length == 0):
        return None
    n, k = rows.shape
    matrix = np.column_stack([-rows / length[:, None], np.ones(n)])
    answer = linprog(np.append(np.zeros(k), -1.0), A_ub=matrix, b_ub=np.zeros(n),
                     bounds=[(-1.0, 1.0)] * k + [(None, 1.0)], method="highs")  # fmt: skip
    usable = answer.x is not None and np.isfinite(answer.x).all() and answer.x[-1] > 0
    return np.asarray(answer.x[:-1]) if usable else None


def exact_floats(whole: np.ndarray, exponent: np.ndarray) -> np.ndarray | None:
    """``whole * 2**-exponent`` up to a common power of two, if floats hold it exactly."""
    shifts = [int(-e) for e in exponent]
    low = min(shifts)
    values = [int(w) << (s - low) for w, s in zip(whole, shifts, strict=True)]
    top = max(abs(v).bit_length() for v in values)
    out = np.zeros(len(values))
    for k, value in enumerate(values):
        zeros = (value & -value).bit_length() - 1 if value else 0
        odd = value >> zeros
        if abs(odd).bit_length() > 53 or zeros - top < -900:
            return None
        out[k] = np.ldexp(float(odd), zeros - top)
    return out
