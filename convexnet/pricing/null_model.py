r"""The null model (no neurons) and the regularisation above which it is optimal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrangements import cover_count, enumerate_patterns
from ..arrangements._rank import rank_bounds
from ..errors import ProblemError
from ..networks._arrays import row_norms
from .cells import price_cells
from .dual import feasible_dual
from .label_noise import LabelNoisePricer, label_noise_patterns, price_points
from .result import PricingResult
from .spectral import price_spectral
from .threshold import ThresholdPricer, price_threshold, threshold_patterns
from .univariate import price_univariate

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["enumerable", "null_prediction", "price_null", "reg_max"]

_FITTED = 1e-9
"""Residual of the null model, relative to that of f = 0, below which it is rounding."""
_FEW_ROWS, _RANK_WORK = 64, 1e8
_MAX_WORK = 4_000_000
"""Pairs of a cell and an extreme ray, times the rank, that are handled in seconds."""


def enumerable(problem: TrainingProblem, max_cells: int = 700_000, max_bytes: int = 500_000_000) -> bool:
    """Whether listing all cells takes seconds and fits in memory, judged by Cover's bound.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> enumerable(TrainingProblem([[0.0, 1.0], [2.0, 3.0]], [1.0, 2.0], reg=1.0))
    True
    """
    rows = np.unique(problem.extended, axis=0)
    n = len(rows)

    def listable(rank: int) -> bool:
        cells = cover_count(n, rank)
        work = math.comb(n, max(rank - 1, 0)) * 2 ** max(rank - 1, 0) * rank
        return cells <= max_cells and problem.n * cells <= max_bytes and work <= _MAX_WORK

    # Zero, constant and repeated columns cut no cells. A few rows show that most data have too many.
    few = rows[np.linspace(0, n - 1, min(n, _FEW_ROWS)).astype(int)]
    sizes = np.maximum(np.abs(few).max(axis=0), 1e-300)
    return listable(int(np.linalg.matrix_rank(few / sizes))) and listable(rank_bounds(rows, _RANK_WORK)[1])


def null_prediction(problem: TrainingProblem) -> np.ndarray:
    """Predictions of the best model without neurons: zero, or the best fit by the free columns.

    Raises
    ------
    ProblemError
        For interpolation, whose null model is infeasible unless y is zero.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> null_prediction(TrainingProblem([[0.0], [1.0]], [1.0, 3.0], reg=1.0, bias="free"))
    array([2., 2.])
    """
    return _null_fit(problem)[0]


def _null_fit(problem: TrainingProblem) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of the null model and a dual vector ``nu`` in minus the subdifferential of the loss there."""
    if problem.loss.name == "interpolation":
        raise ProblemError("Interpolation has no null model: its objective has no reg to vary.")
    columns = problem.free_columns
    if not columns.size:
        prediction = np.zeros_like(problem.y)
    elif problem.loss.name == "squared":
        root = np.ones(problem.n) if problem.sample_weight is None else np.sqrt(problem.sample_weight)
        prediction = columns @ np.linalg.lstsq(root[:, None] * columns, (root * problem.y.T).T, rcond=None)[0]
    else:
        return _null_program(problem, columns)
    return prediction, -problem.gradient(prediction)


def _null_program(problem: TrainingProblem, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best fit by the free columns; where the loss has kinks only the program's multipliers are the right nu."""
    import cvxpy as cp

    scale = np.maximum(np.abs(columns).max(axis=0), 1e-300)
    f = cp.Variable(problem.y.shape)
    coefficients = cp.Variable((columns.shape[1], *problem.y.shape[1:]))
    loss, constraints = problem.loss.expression(f, problem.y, problem.sample_weight)
    fit = f == (columns / scale) @ coefficients
    try:
        cp.Problem(cp.Minimize(loss), [fit, *constraints]).solve(solver=cp.CLARABEL)
    except cp.error.SolverError:
        f.value = None
    if f.value is None or fit.dual_value is None:
        raise ProblemError(f"The null model of the {problem.loss.name} loss has no optimum (separable data?).")
    prediction = columns @ (coefficients.value.T / scale).T
    nu = -problem.gradient(prediction) if problem.loss.smooth else np.asarray(fit.dual_value)
    return prediction, nu


def price_null(problem: TrainingProblem, patterns: PatternSet | None = None) -> PricingResult:
    """Price the loss gradient at the null model: bounds on the smallest reg at which no neuron is worth its cost.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> result = price_null(TrainingProblem([[1.0], [2.0]], [1.0, 1.0], reg=1.0, bias="none"))
    >>> round(result.bound, 6)
    3.0
    """
    nu = _null_fit(problem)[1]
    if np.linalg.norm(nu) <= _FITTED * np.linalg.norm(problem.gradient(np.zeros_like(problem.y))):
        nothing = np.zeros(problem.extended.shape[1])
        return PricingResult(0.0, 0.0, "all", "a null model without residual", nothing, 1)
    point = feasible_dual(problem, nu)
    if np.linalg.norm(point.nu - nu) > 1e-4 * np.linalg.norm(nu):
        raise ProblemError("The null model could not be solved accurately enough to price it; give reg explicitly.")
    nu = point.nu
    if problem.activation == "threshold":
        return _price_threshold(problem, nu, patterns)
    if problem.norm == "label_noise":
        return _price_label_noise(problem, nu, patterns)
    if problem.d == 1 and patterns is None:
        return price_univariate(problem, nu)
    if problem.scalar and patterns is None and enumerable(problem):
        patterns = enumerate_patterns(problem.extended)
    if patterns is None or not patterns.proven:
        return price_spectral(problem, nu)
    return price_cells(problem, nu, patterns)


def _price_threshold(problem: TrainingProblem, nu: np.ndarray, patterns: Any) -> PricingResult:
    """Over all patterns where they can be listed, else over all subsets of the samples."""
    if patterns is None and enumerable(problem):
        patterns = threshold_patterns(problem)
    pricer = None if patterns is None else ThresholdPricer(problem, patterns)
    return pricer.price(nu) if pricer is not None and pricer.complete else price_threshold(problem, nu)


def _price_label_noise(problem: TrainingProblem, nu: np.ndarray, patterns: Any) -> PricingResult:
    """Over all cells where they can be listed, and over single points; the smaller bound."""
    if patterns is None and enumerable(problem):
        patterns = label_noise_patterns(problem)
    pricer = None if patterns is None else LabelNoisePricer(problem, patterns)
    single = price_points(problem, nu)
    every = pricer.price(nu) if pricer is not None and pricer.complete else single
    return min(every, single, key=lambda result: result.bound)


def _noise(problem: TrainingProblem, nu: np.ndarray) -> float:
    """What rounding makes of pricing a vector of the size of nu."""
    if problem.activation == "threshold":
        return 1e-12 * float(np.sum(np.abs(nu)))
    sizes = row_norms(problem.extended)
    if problem.norm == "label_noise":
        return 1e-12 * float(np.linalg.norm(nu) / max(float(np.max(sizes)), 1e-300))
    return 1e-12 * float(np.sum(np.abs(nu).T @ sizes))


def reg_max(problem: TrainingProblem, patterns: PatternSet | None = None) -> float:
    r"""Smallest regularisation at which the model without neurons is optimal: ``M(-grad loss(null model))``.

    Exact (to rounding) for one feature and where all activation patterns can be listed or are passed; otherwise an
    upper bound (ReLU-type neurons: from singular values), above which the null model is certainly optimal. Zero where
    rounding is all that is left to fit.
    For losses with a kink the gradient at the null model is one of several and the value is an upper estimate.
    ``problem.reg`` is ignored.

    Parameters
    ----------
    problem : TrainingProblem
    patterns : PatternSet, optional
        Complete patterns of ``problem.extended``, if at hand; saves enumerating them again.

    Raises
    ------
    ProblemError
        For interpolation, or when the null model has no optimum (logistic loss on separable data with a free fit).

    References
    ----------
    Optimality of zero for gauge-regularised problems; Pilanci and Ergen (2020) for the dual constraint.

    Examples
    --------
    >>> from convexnet import TrainingProblem, reg_max
    >>> round(reg_max(TrainingProblem([[1.0], [2.0]], [1.0, 1.0], reg=1.0, bias="none")), 6)
    3.0
    """
    priced = price_null(problem, patterns)
    rounding = _noise(problem, problem.gradient(np.zeros_like(problem.y)))
    return priced.bound if priced.bound > rounding else 0.0
