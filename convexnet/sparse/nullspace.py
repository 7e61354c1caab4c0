r"""The null-space constant: for which s the smallest l1 norm finds every s-sparse vector, and for which it cannot."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._validation import as_matrix, check_count, check_jobs, check_positive
from ..errors import ProblemError
from ._kernel import Kernel
from ._programs import heaviest_null_vector
from ._rounding import products_upper, scaled_rows

__all__ = ["NullSpaceBounds", "juditsky_nemirovski"]

_BLOCK = 512


@dataclass(frozen=True, eq=False, repr=False)
class NullSpaceBounds:
    r"""Proven bounds of the null-space constant :math:`\gamma_s`, and proofs of when uniform recovery starts to fail.

    Attributes
    ----------
    s : int
        Level of ``lower`` and ``upper``.
    lower, upper : float
        Bounds of the constant. Every s-sparse vector is recovered if ``upper < 1/2``; one is not if ``lower >= 1/2``.
    certified_sparsity : int
        Every vector with at most so many entries is the unique l1 solution of its own measurements.
    refuted_sparsity : int or None
        Some vector with so many entries is not: ``counterexample`` holds it. None if none was found.
    weights : ndarray of shape (m, N)
        The matrix Y behind ``upper`` and ``certified_sparsity``.
    column_upper : ndarray of shape (N,)
        Upper bounds of ``max |z_i|`` over null vectors of l1 norm one.
    null_vector : ndarray of shape (N,)
        Attains ``lower``, up to the rounding that ``lower`` accounts for.
    counterexample : ndarray of shape (N,) or None
        A null vector whose ``refuted_sparsity`` largest entries weigh at least as much as the others together.
    n_solved : int
        Columns whose linear program was solved; the others count with their coherence.
    status : {"done", "time_limit"}
    wall_time : float
    """

    s: int
    lower: float
    upper: float
    certified_sparsity: int
    refuted_sparsity: int | None
    weights: np.ndarray
    column_upper: np.ndarray
    null_vector: np.ndarray
    counterexample: np.ndarray | None
    n_solved: int
    status: str
    wall_time: float

    def __repr__(self) -> str:
        return (
            f"NullSpaceBounds(s={self.s}, {self.lower:.4g} <= gamma <= {self.upper:.4g}, "
            f"certified_sparsity={self.certified_sparsity}, refuted_sparsity={self.refuted_sparsity})"
        )

    def summary(self) -> str:
        """Return a few lines for people."""
        fails = "no counterexample was found" if self.refuted_sparsity is None else (
            f"a vector with {self.refuted_sparsity} entries is not"
        )  # fmt: skip
        return (
            f"null-space constant of order {self.s} between {self.lower:.4g} and {self.upper:.4g}\n"
            f"every vector with at most {self.certified_sparsity} entries is recovered; {fails}\n"
            f"{self.n_solved} of {len(self.column_upper)} linear programs solved in {self.wall_time:.2f} s"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scalar facts."""
        names = ("s", "lower", "upper", "certified_sparsity", "refuted_sparsity", "n_solved", "status", "wall_time")
        return {name: getattr(self, name) for name in names}


def juditsky_nemirovski(
    A: Any, s: int = 1, *, time_limit: float = 60.0, n_jobs: int | None = None
) -> NullSpaceBounds:
    r"""Bounds of the null-space constant of A by one linear program a column.

    .. math:: \gamma_s = \max \{ \|z\|_{s,1} : Az = 0,\ \|z\|_1 \le 1 \}, \qquad
              \gamma_s \le \max_j \|(I - Y^T A) e_j\|_{s,1} \le s \alpha_1, \qquad
              \alpha_1 = \max_i \min_y \|e_i - A^T y\|_\infty ,

    where :math:`\|z\|_{s,1}` adds the s largest absolute entries. All s-sparse vectors are the unique solutions of
    :math:`\min \|x\|_1` subject to :math:`Ax = Az` exactly if :math:`\gamma_s < 1/2`. Column i of Y solves the program
    of column i, whose dual is a null vector with a large entry i; :math:`\alpha_1 = \gamma_1`. The constant does not
    change when A is multiplied from the left by an invertible matrix.

    Parameters
    ----------
    A : array (m, N)
    s : int
        The order of ``lower`` and ``upper``; the two sparsities do not depend on it.
    time_limit : float
        Seconds; columns that are not reached count with their coherence, which is a valid bound too.
    n_jobs : int, optional
        Processes, as in joblib.

    Returns
    -------
    NullSpaceBounds
        ``lower`` is zero where the rank of A could not be proven.

    Raises
    ------
    DataError
        If A is empty, not finite, not a matrix, or has rows below the range of floats.
    ProblemError
        If s is not an integer between 1 and N, or another option is out of range.

    References
    ----------
    A. Juditsky and A. Nemirovski, "On verifiable sufficient conditions for sparse signal recovery via l1
    minimization", Mathematical Programming 2011.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.hstack([np.eye(4), [[0.5], [0.5], [0.5], [0.5]]])
    >>> found = juditsky_nemirovski(A)
    >>> round(found.lower, 6), round(found.upper, 6), found.certified_sparsity, found.refuted_sparsity
    (0.333333, 0.333333, 1, 3)
    """
    matrix, start = as_matrix(A, "A"), time.perf_counter()
    limit, jobs = check_positive(time_limit, "time_limit"), check_jobs(n_jobs)
    if check_count(s, "s") > matrix.shape[1]:
        raise ProblemError(f"s must be at most the number of columns, {matrix.shape[1]}, got {s}.")
    scaled, exponents = scaled_rows(matrix)
    weights = _coherence_weights(matrix, exponents)
    search = _Search(scaled, exponents, int(s), Kernel(scaled), weights)
    for index, found in _solve_columns(scaled, time.time() + limit, jobs):
        search.take(index, *found)
    return search.bounds(time.perf_counter() - start)


def _solve_columns(A: np.ndarray, deadline: float, n_jobs: int | None) -> Any:
    """Pairs of column and solved program (y, z), in the order of the columns; late columns are missing."""
    from joblib import Parallel, delayed

    count = A.shape[1]
    if n_jobs in (None, 1):
        solved = (_solve_column(A, index, deadline) for index in range(count))
    else:
        solved = Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(_solve_column)(A, index, deadline) for index in range(count)
        )
    return ((index, found) for index, found in enumerate(solved) if found is not None)


def _solve_column(A: np.ndarray, index: int, deadline: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The program of one column, or None after the deadline."""
    left = deadline - time.time()
    return heaviest_null_vector(A, np.array([index]), np.ones(1), left, whole=True) if left > 0 else None


@dataclass
class _Search:
    """Gathers the bounds while columns come in."""

    A: np.ndarray
    exponents: np.ndarray
    s: int
    kernel: Kernel
    weights: np.ndarray
    solved: int = 0
    lower: float = 0.0
    null_vector: np.ndarray = field(init=False)
    counterexample: np.ndarray | None = None
    refuted: int | None = None
    weight: float = 0.0

    def __post_init__(self) -> None:
        self.null_vector = np.zeros(self.A.shape[1])

    def take(self, index: int, y: np.ndarray, z: np.ndarray) -> None:
        """Use the solution of the program of one column, whatever its accuracy."""
        self.solved += 1
        self.weights[:, index] = _better(self.A, index, y, self.weights[:, index])
        size, error = float(np.abs(z).sum()), self.kernel.distance(z)
        if not error < size:
            return
        heavy = np.cumsum(np.sort(np.abs(z))[::-1]) * (1 - 1e-12)
        # An exact null vector lies within ``error``: its s largest entries weigh at least heavy - error.
        value = (heavy[self.s - 1] - error) / (size * (1 + 1e-12) + error)
        if value > self.lower:
            self.lower, self.null_vector = float(value), z
        half = np.flatnonzero(heavy - error >= (size * (1 + 1e-12) + error) / 2)
        if half.size and (self.refuted is None or half[0] + 1 < self.refuted):
            self.refuted, self.counterexample = int(half[0]) + 1, z

    def bounds(self, wall_time: float) -> NullSpaceBounds:
        """What is proven by now."""
        levels, column_upper = _sums_of_largest(self.A, self.weights)
        good = int(np.searchsorted(levels >= 0.5, True))
        status = "done" if self.solved == self.A.shape[1] else "time_limit"
        return NullSpaceBounds(
            self.s, max(0.0, self.lower), float(levels[self.s - 1]), good, self.refuted,
            np.ldexp(self.weights, -self.exponents[:, None]), column_upper, self.null_vector, self.counterexample,
            self.solved, status, wall_time,
        )  # fmt: skip


def _better(A: np.ndarray, index: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of two vectors y the one with the smaller ``max |e_i - A' y|``."""
    unit = np.zeros(A.shape[1])
    unit[index] = 1.0
    values = [float(products_upper(A, y, unit).max()) if np.isfinite(y).all() else math.inf for y in (first, second)]
    return first if values[0] <= values[1] else second


def _coherence_weights(A: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """``y_i = c a_i`` with the best c, where ``max |e_i - A' y_i| = mu_i / (1 + mu_i)``, for the scaled rows."""
    weights = np.zeros_like(A)
    with np.errstate(all="ignore"):
        scaled = A / np.maximum(np.abs(A).max(axis=0), np.finfo(float).tiny)
        dual = scaled / np.maximum(np.abs(A).max(axis=0), np.finfo(float).tiny) / np.maximum((scaled**2).sum(axis=0), 1)
        for start in range(0, A.shape[1], _BLOCK):
            block = slice(start, start + _BLOCK)
            products = np.abs(dual[:, block].T @ A)
            rows = np.arange(len(products))
            products[rows, start + rows] = 0.0
            weights[:, block] = dual[:, block] / (1 + products.max(axis=1))
        weights = np.ldexp(weights, exponents[:, None])
    weights[:, ~np.isfinite(weights).all(axis=0)] = 0.0
    return weights


def _sums_of_largest(A: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``max_j`` of the s largest entries of ``|(I - Y'A) e_j|`` for all s, and the largest entry of every row."""
    count = A.shape[1]
    levels, rows = np.zeros(count), np.zeros(count)
    for start in range(0, count, _BLOCK):
        columns = np.arange(start, min(start + _BLOCK, count))
        unit = np.zeros((count, len(columns)))
        unit[columns, np.arange(len(columns))] = 1.0
        entries = products_upper(Y, A[:, columns], unit)
        rows = np.maximum(rows, entries.max(axis=1))
        sums = np.cumsum(np.sort(entries, axis=0)[::-1], axis=0).max(axis=1)
        levels = np.maximum(levels, sums * (1 + count * 1e-15))
    return np.minimum(levels, 1.0), rows
