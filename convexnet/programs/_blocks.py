"""The pieces shared by the programs: pattern checks, the fit matrix, the cone matrix and block norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from ..errors import PatternError
from ..problem import TrainingProblem

__all__ = [
    "check_indices",
    "column_norms",
    "cone_matrix",
    "fit_matrix",
    "free_terms",
    "gate_factors",
    "is_orthogonal",
]


def check_indices(indices: Any, P: int, name: str) -> np.ndarray:
    """Return distinct pattern indices in 0..P-1; all of them for None."""
    if indices is None:
        return np.arange(P)
    array = np.asarray(indices)
    if array.size == 0:
        return np.zeros(0, dtype=np.intp)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= P:
        raise PatternError(f"{name} must be a 1-D array of pattern indices 0..{P - 1}.")
    if len(np.unique(array)) != len(array):
        raise PatternError(f"{name} lists a pattern twice.")
    return array.astype(np.intp)


def gate_factors(G: np.ndarray, kappa: float) -> np.ndarray:
    """Return the diagonals of S_p = D_p + kappa (I - D_p) as columns, shape (n, P)."""
    return np.where(G == 1, 1.0, kappa)


def fit_matrix(E: np.ndarray, S: np.ndarray) -> Any:
    """Return the sparse n x (P q) matrix [S_1 E, ..., S_P E]: it maps vec(V) to sum_p S_p E v_p."""
    dense = S[:, :, None] * E[:, None, :]
    return sp.csc_array(dense.reshape(E.shape[0], -1))


def cone_matrix(E: np.ndarray, G: np.ndarray, rows: Sequence[Any] | None = None) -> Any:
    """Return the sparse block-diagonal matrix C with C vec(V) >= 0 iff (2 D_p - I) E v_p >= 0 on the listed rows.

    Parameters
    ----------
    E : (n, q)
    G : (n, P)
    rows : P integer arrays, optional
        The rows that bound each cell; all rows by default. Zero rows of E are left out in any case.
    """
    P, q = G.shape[1], E.shape[1]
    used = np.flatnonzero(np.any(E != 0, axis=1))
    if rows is None:
        sample, block = np.tile(used, P), np.repeat(np.arange(P), len(used))
    else:
        lists = [np.intersect1d(np.asarray(r, dtype=np.intp), used) for r in rows]
        sample = np.concatenate(lists) if lists else np.zeros(0, dtype=np.intp)
        block = np.repeat(np.arange(P), [len(r) for r in lists])
    values = E[sample] * (2.0 * G[sample, block] - 1.0)[:, None]
    columns = block[:, None] * q + np.arange(q)
    starts = np.arange(len(sample) + 1) * q
    matrix = sp.csr_array((values.ravel(), columns.ravel(), starts), shape=(len(sample), P * q))
    matrix.eliminate_zeros()
    return matrix


def column_norms(V: Any, problem: TrainingProblem) -> Any:
    """Return sum_p ||v_p|| in the problem's norm over the penalised rows of V, as a CVXPY expression."""
    part = V[:-1] if problem.bias == "free" else V
    return cp.sum(cp.norm(part, 2, axis=0)) if problem.norm == "l2" else cp.sum(cp.abs(part))


def free_terms(problem: TrainingProblem) -> tuple[dict[str, Any], list[Any]]:
    """Return the unpenalised variables ``skip`` and ``intercept`` and what they add to the predictions."""
    outputs = () if problem.scalar else (problem.n_outputs,)
    variables: dict[str, Any] = {}
    terms: list[Any] = []
    if problem.skip:
        variables["skip"] = cp.Variable((problem.d, *outputs), name="skip")
        terms.append(problem.X @ variables["skip"])
    if problem.intercept:
        variables["intercept"] = cp.Variable(outputs, name="intercept")
        row = cp.reshape(variables["intercept"], (1, problem.n_outputs), order="C")
        repeated = np.ones((problem.n, 1)) @ row
        terms.append(repeated[:, 0] if problem.scalar else repeated)
    return variables, terms


def is_orthogonal(columns: Any, nu: np.ndarray) -> bool:
    """Whether every column (dense or sparse) has a product with nu of at most 1e-6 of the two lengths."""
    lengths = np.sqrt(np.asarray((columns * columns).sum(axis=0)))
    products = np.abs(columns.T @ nu).reshape(len(lengths), nu.size // len(nu))
    return bool(np.all(products <= 1e-6 * lengths[:, None] * np.linalg.norm(nu)))
