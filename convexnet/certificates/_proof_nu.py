"""The equalities that a dual vector must satisfy exactly: a few of its entries become fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProofFileError

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["exact_entries"]

_LIMIT = 4000


def exact_entries(problem: TrainingProblem, nu: np.ndarray) -> list[list[Any]]:
    """Entries of nu, as fractions, that make it exactly orthogonal to the free columns."""
    columns = problem.free_columns
    if not columns.size:
        return []
    exact = [Fraction(value) for value in nu.tolist()]
    table = [[Fraction(value) for value in column.tolist()] for column in columns.T]
    residual = [_dot(exact, column) for column in table]
    if not any(residual):
        return []
    rows, basis = _pivot_rows(columns, nu)
    moves = _solve([[table[k][i] for i in rows] for k in basis], [-residual[k] for k in basis])
    fixed = {i: exact[i] + move for i, move in zip(rows, moves, strict=True)}
    worst = max(float(abs(move)) for move in moves)
    for i, value in fixed.items():
        exact[i] = value
    if any(_dot(exact, column) for column in table):
        raise ProofFileError("nu is not orthogonal to the free columns, and no few entries of it can make it so.")
    texts = [f"{value.numerator}/{value.denominator}" for value in fixed.values()]
    if worst > 1e-7 * float(np.max(np.abs(nu))) or max(map(len, texts)) > _LIMIT:
        raise ProofFileError(
            "nu is too far from orthogonal to the free columns to be corrected exactly; pass the nu of feasible_dual, "
            "or use data of fewer columns and smaller range."
        )
    return [[int(i), text] for i, text in zip(fixed, texts, strict=True)]


def _pivot_rows(columns: np.ndarray, nu: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows far inside their interval and columns that make a well conditioned square system."""
    from scipy.linalg import qr

    scale = np.linalg.norm(columns, axis=0)
    kept = np.flatnonzero(scale > 0)
    _, triangle, order = qr(columns[:, kept] / scale[kept], mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    basis = kept[order[: int(np.sum(size > 1e-10 * size[0]))]]
    # Entries at a bound of the conjugate's domain must stay: prefer those near the middle of the sizes present.
    top = float(np.max(np.abs(nu)))
    interior = np.minimum(np.abs(nu), 1.5 * top - np.abs(nu))
    weight = np.sqrt(np.maximum(interior, 1e-12 * top))[:, None]
    _, _, rows = qr((columns[:, basis] / scale[basis] * weight).T, mode="economic", pivoting=True)
    return sorted(int(i) for i in rows[: len(basis)]), [int(k) for k in basis]


def _solve(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Solve a small square system exactly."""
    size = len(matrix)
    M = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for k in range(size):
        pivot = next((i for i in range(k, size) if M[i][k]), None)
        if pivot is None:
            raise ProofFileError("The free columns are dependent; nu cannot be corrected exactly.")
        M[k], M[pivot] = M[pivot], M[k]
        M[k] = [value / M[k][k] for value in M[k]]
        for i in range(size):
            if i != k and M[i][k]:
                M[i] = [a - M[i][k] * b for a, b in zip(M[i], M[k], strict=True)]
    return [row[-1] for row in M]


def _dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))
