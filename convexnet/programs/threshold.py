"""The threshold program: a lasso over activation patterns."""

from __future__ import annotations

from functools import partial
from typing import Any

import cvxpy as cp
import numpy as np

from ..arrangements import FacePatterns, PatternSet
from ..errors import PatternError
from ..networks.threshold import ThresholdNetwork
from ..pricing.threshold import ThresholdPricer, check_threshold, threshold_direction
from ..problem import TrainingProblem
from ._blocks import free_terms, is_orthogonal
from ._recovery import effective_blocks
from .program import Program

__all__ = ["build_threshold"]


def build_threshold(problem: TrainingProblem, patterns: PatternSet | FacePatterns | np.ndarray) -> Program:
    r"""Build the convex program of a network of threshold neurons over listed patterns.

    .. math:: \min_{a, c, f}\; L(f, y) + \mathrm{reg} \|a\|_1 \quad\text{s.t.}\quad f = G a + c 1

    with ``c`` only for ``intercept=True``. Over all patterns (:func:`convexnet.pricing.threshold_patterns`) its value
    is that of the training problem with every width.

    Parameters
    ----------
    problem : TrainingProblem
        With ``activation="threshold"``.
    patterns : PatternSet or FacePatterns of ``problem.extended``, or 0/1 array (n, P)
        A bare array has no directions, so the program then has a value but :meth:`Program.recover` raises.

    Returns
    -------
    Program
        With variables ``a`` (P,), ``f`` (n,) and ``intercept`` where there is one; it recovers a ThresholdNetwork.

    Raises
    ------
    ProblemError
        If the problem has another activation.
    PatternError
        If the patterns are empty, not 0/1, or belong to other data.

    References
    ----------
    Ergen, Gulluk, Lacotte and Pilanci (2023), "Globally optimal training of neural networks with threshold activation
    functions".

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> from convexnet.pricing import threshold_patterns
    >>> problem = TrainingProblem([[-1.0], [0.0], [1.0]], [0.0, 1.0, 0.0], reg=0.1, activation="threshold")
    >>> program = build_threshold(problem, threshold_patterns(problem))
    >>> str(program.solve())
    'optimal'
    >>> round(program.value, 6), round(problem.objective(program.recover()), 6)
    (0.17, 0.17)
    """
    check_threshold(problem, "build_threshold")
    G = ThresholdPricer(problem, patterns).G.astype(np.float64)
    variables: dict[str, Any] = {"f": cp.Variable(problem.n, name="f"), "a": cp.Variable(G.shape[1], name="a")}
    free, free_fit = free_terms(problem)
    variables.update(free)
    loss, loss_constraints = problem.loss.expression(variables["f"], problem.y, problem.sample_weight)
    reg = cp.Parameter(nonneg=True, name="reg", value=problem.reg)
    fit = variables["f"] == sum([G @ variables["a"], *free_fit])
    model = cp.Problem(cp.Minimize(loss + reg * cp.norm1(variables["a"])), [fit, *loss_constraints])
    recovery = partial(_recover, patterns=patterns)
    return Program(problem, model, variables, reg, fit, recovery, partial(_is_farkas, problem, G))


def _recover(program: Program, tol: float, patterns: Any) -> ThresholdNetwork:
    """Neurons for the patterns in use, those without effect left out."""
    problem = program.problem
    if not isinstance(patterns, (PatternSet, FacePatterns)):
        raise PatternError("A bare 0/1 array has no directions; build the program over a PatternSet or FacePatterns.")
    amplitudes = program.block("a")
    scale = float(max(np.max(np.abs(program.predictions)), np.max(np.abs(problem.y))))
    used = np.flatnonzero(effective_blocks(np.abs(amplitudes), tol * scale))
    found = [threshold_direction(problem, patterns, int(p)) for p in used]
    if any(direction is None for direction in found):
        raise PatternError("A pattern in use has no direction in floating point; solve_threshold works around those.")
    table = np.array(found).reshape(len(used), problem.extended.shape[1])
    biases = np.zeros(len(used)) if problem.bias == "none" else table[:, -1]
    intercept = float(program.block("intercept")) if problem.intercept else 0.0
    return ThresholdNetwork(table[:, : problem.d], biases, amplitudes[used], intercept)


def _is_farkas(problem: TrainingProblem, G: np.ndarray, nu: np.ndarray) -> bool:
    """Whether nu is orthogonal to every pattern and free column, up to 1e-6 of its terms."""
    return is_orthogonal(problem.free_columns, nu) and bool(np.all(np.abs(nu @ G) <= 1e-6 * np.sum(np.abs(nu))))
