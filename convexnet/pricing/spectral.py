r"""Bounds on M(nu) that need no list of cells: singular values only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError
from ..networks._arrays import row_norms
from ..networks.activations import activate
from ..problem import require_path_norm
from .result import PricingResult

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["check_dual", "direction_norms", "price_spectral"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)


def price_spectral(problem: TrainingProblem, nu: np.ndarray) -> PricingResult:
    r"""Bound M(nu) by singular values of X: valid for networks of every width, needs no activation patterns.

    For ReLU and ``r = +nu`` or ``-nu``, only samples with ``r_i > 0`` can contribute, hence

    .. math:: r^\top \sigma(X u) \le \|\Lambda^{-1} r_+\| \, \|\Lambda X_{r > 0}\|_2, \qquad
              \Lambda = I \text{ or } \mathrm{diag}(\sqrt{r_+}).

    Other activations use ``sigma(t) = (1+kappa)/2 t + (1-kappa)/2 |t|``; free biases are removed by centring at each
    sample; ``||u||_1 <= 1`` implies ``||u||_2 <= 1``; vector outputs use ``||N||_2 ||X||_2``.

    Parameters
    ----------
    problem : TrainingProblem
    nu : ndarray of shape (n,) or (n, k)
        Orthogonal to the problem's free columns.

    Raises
    ------
    ProblemError
        If ``nu`` has another shape, is not finite, or has a non-zero sum with free biases.

    References
    ----------
    Elementary (Cauchy-Schwarz and ``||sigma(z)|| <= ||z||``).

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[3.0], [4.0]], [1.0, 1.0], reg=1.0, bias="none")
    >>> round(price_spectral(problem, np.array([3.0, 4.0])).bound, 6)
    25.0
    """
    require_path_norm(problem, "price_spectral")
    check_dual(problem, nu)
    X, centres = _centred(problem)
    size, strength = float(np.max(np.abs(X))), float(np.max(np.abs(nu)))
    bound = 0.0
    if size > 0 and strength > 0:
        # At unit size neither squares nor products underflow.
        X, centres, unit = X / size, centres / size, nu / strength
        rounding = 8 * (X.shape[0] + X.shape[1]) * _EPS * float(np.sum(np.abs(unit))) * float(np.max(row_norms(X)))
        bound = (float(np.max(_bounds(X, unit, problem.kappa, centres))) + rounding) * (1 + 1e-12) * size * strength
        bound = max(bound, _TINY)
    atom, value, sign = _probe(problem, nu)
    return PricingResult(value, max(bound, value), "all", "singular values", atom, sign)


def check_dual(problem: TrainingProblem, nu: np.ndarray) -> None:
    """Refuse a ``nu`` whose pricing value is not a finite number.

    Raises
    ------
    ProblemError
        If it has another shape than y, is not finite, or has a non-zero sum with free biases.
    """
    if np.shape(nu) != problem.y.shape or not np.isfinite(nu).all():
        raise ProblemError(f"nu must be finite and of shape {problem.y.shape}, got shape {np.shape(nu)}.")
    if problem.bias == "free":
        columns = np.atleast_2d(np.asarray(nu).T)
        if any(abs(math.fsum(column)) > 1e-8 * float(np.max(np.abs(column))) for column in columns):
            raise ProblemError("With free biases the entries of nu must sum to zero; feasible_dual makes them.")


def _centred(problem: TrainingProblem) -> tuple[np.ndarray, np.ndarray]:
    """Rows and centres (c, q): M(nu) is at most the largest bias-free M(nu) of the rows minus a centre."""
    if problem.bias != "free":
        return problem.extended, np.zeros((1, problem.extended.shape[1]))
    return problem.X, np.unique(problem.X, axis=0)


def _bounds(X: np.ndarray, nu: np.ndarray, kappa: float, centres: np.ndarray) -> np.ndarray:
    """Upper bound of M(nu) for each centre."""
    whole = np.linalg.norm(nu, 2) * _norms(X, np.ones(len(X)), centres)
    if nu.ndim > 1:
        return whole
    convex = np.maximum(_positive_part(X, nu, centres), _positive_part(X, -nu, centres))
    # sigma(t) = (1 + kappa)/2 t + (1 - kappa)/2 |t|
    linear = np.linalg.norm(X.T @ nu - nu.sum() * centres, axis=1)
    bound = np.minimum(whole, 0.5 * (1 + kappa) * linear + 0.5 * (1 - kappa) * convex)
    return np.minimum(bound, convex) if kappa == 0 else bound


def _positive_part(X: np.ndarray, r: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Upper bound of ``max_u sum_{r_i > 0} r_i |(x_i - c) u|`` over the unit ball, for each centre c."""
    keep = r > 0
    if not keep.any():
        return np.zeros(len(centres))
    rows, weights = X[keep], r[keep]
    plain = np.linalg.norm(weights) * _norms(rows, np.ones(len(rows)), centres)
    weighted = np.sqrt(weights.sum()) * _norms(rows, weights, centres)
    return np.minimum(plain, weighted)


def _norms(rows: np.ndarray, weights: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """``||diag(sqrt(w)) (rows - c)||_2`` for each centre c, rounded up."""
    n, q = rows.shape
    weighted = weights[:, None] * rows
    gram, first, total = rows.T @ weighted, weighted.sum(axis=0), weights.sum()
    cross = first[None, :, None] * centres[:, None, :]
    shifted = gram - cross - cross.transpose(0, 2, 1) + total * centres[:, :, None] * centres[:, None, :]
    top = np.linalg.eigvalsh(shifted)[:, -1]
    size = np.sqrt(np.trace(gram)) + np.sqrt(total) * np.linalg.norm(centres, axis=1)
    return np.sqrt(np.maximum(top, 0.0) + 8 * (n + q) * _EPS * size**2)


def _probe(problem: TrainingProblem, nu: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Value attained at a few natural directions: a lower bound of M(nu)."""
    X = problem.extended
    one = nu if nu.ndim == 1 else nu @ np.linalg.svd(nu, full_matrices=False)[2][0]
    raw = [X.T @ one, X.T @ np.maximum(one, 0), X.T @ np.minimum(one, 0)]
    directions = np.column_stack([*raw, *(-v for v in raw)])
    norms = direction_norms(problem, directions)
    # A neuron that is nearly all bias is nearly constant: its value drowns in rounding.
    usable = norms > 1e-6 * np.linalg.norm(directions, axis=0)
    if not usable.any():
        return np.zeros(X.shape[1]), 0.0, 1
    directions = directions[:, usable] / norms[usable]
    scores = nu.T @ activate(X @ directions, problem.kappa)
    sizes = np.abs(scores) if nu.ndim == 1 else np.linalg.norm(scores, axis=0)
    best = int(np.argmax(sizes))
    sign = 1 if nu.ndim > 1 or scores[best] >= 0 else -1
    return directions[:, best], float(sizes[best]), sign


def direction_norms(problem: TrainingProblem, directions: np.ndarray) -> np.ndarray:
    """(Semi)norm of each column of ``directions`` (q, R) under the problem's bias rule and neuron norm."""
    penalised = directions[:-1] if problem.bias == "free" else directions
    return np.linalg.norm(penalised, 1 if problem.norm == "l1" else 2, axis=0)
