"""Calls of the peers: scnn (R-FISTA, augmented Lagrangian), celer and skglm (group lasso on a written-out design).

Their objectives are averages over the rows, so reg is divided by n. All run in double precision.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from _stopwatch import Stopwatch

from convexnet import TrainingProblem

_MANY = 10_000_000


class Ended(Exception):
    """Raised in a peer's callback to end it."""


def materialised(rows: np.ndarray, gates: np.ndarray) -> np.ndarray:
    """``[S_1 E ... S_P E]`` in columns, gate by gate (n, P q)."""
    n, q = rows.shape
    design = np.empty((n, gates.shape[1] * q), order="F")
    for p in range(gates.shape[1]):
        design[:, p * q : (p + 1) * q] = gates[:, p, None] * rows
    return design


def _blocks(coefficients: np.ndarray, q: int) -> np.ndarray:
    return coefficients.reshape(-1, q).T


def fit_celer(problem: TrainingProblem, design: np.ndarray, tol: float) -> np.ndarray:
    if problem.loss.name != "squared":
        raise NotImplementedError("celer's GroupLasso has the squared loss only")
    import celer

    q = problem.extended.shape[1]
    model = celer.GroupLasso(groups=q, alpha=problem.reg / problem.n, tol=tol, fit_intercept=False, max_iter=1000)
    return _blocks(model.fit(design, problem.y).coef_, q)


def fit_skglm(problem: TrainingProblem, design: np.ndarray, tol: float) -> np.ndarray:
    from skglm import GeneralizedLinearEstimator, GroupLasso
    from skglm.datafits import LogisticGroup
    from skglm.penalties import WeightedGroupL2
    from skglm.solvers import GroupBCD
    from skglm.utils.data import grp_converter

    q, alpha = problem.extended.shape[1], problem.reg / problem.n
    if problem.loss.name == "squared":
        model = GroupLasso(q, alpha, tol=tol, fit_intercept=False, max_iter=1000)
        return _blocks(model.fit(design, problem.y).coef_, q)
    indices, starts = grp_converter(q, design.shape[1])
    penalty = WeightedGroupL2(alpha, np.ones(design.shape[1] // q), starts, indices)
    solver = GroupBCD(max_iter=1000, tol=tol)
    general = GeneralizedLinearEstimator(LogisticGroup(starts, indices), penalty, solver)
    return _blocks(np.ravel(general.fit(design, problem.y).coef_), q)


def fit_scnn_gated(
    problem: TrainingProblem, gates: np.ndarray, objective: Callable[[np.ndarray], float], watch: Stopwatch
) -> np.ndarray:
    """R-FISTA until the watch ends it; its own stopping rule is off."""
    return scnn_gated(problem, gates, objective, watch)[1]()[1]


def scnn_gated(
    problem: TrainingProblem, gates: np.ndarray, objective: Callable[[np.ndarray], float], watch: Stopwatch
) -> tuple[Any, Callable[[], tuple[float, np.ndarray]]]:
    """scnn's model, whose ``weights`` are the start, and a call that runs it and returns the best value and blocks."""
    if problem.loss.name != "squared" or not problem.scalar:
        raise NotImplementedError("scnn has the squared loss, and for several outputs other groups")
    from scnn.models import ConvexGatedReLU
    from scnn.private.interface import build_internal_regularizer, build_optimizer
    from scnn.private.models import ConvexMLP
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import RFISTA

    data, metrics = _prepared(problem)
    q = problem.extended.shape[1]
    regularizer = NeuronGL1(problem.reg / problem.n)
    directions = np.zeros((q, gates.shape[1]))
    model = ConvexMLP(q, gates, directions, "einsum", regularizer=build_internal_regularizer(regularizer), c=1)
    procedure = build_optimizer(RFISTA(ConvexGatedReLU(directions), max_iters=_MANY, tol=0.0), regularizer, metrics)
    best = [np.inf, np.zeros((q, gates.shape[1]))]

    def measure(weights: np.ndarray) -> float:
        blocks = np.array(weights[0].T)
        value = objective(blocks)
        if value < best[0]:
            best[:] = value, blocks
        return value

    def drive() -> tuple[float, np.ndarray]:
        _drive(procedure, model, data, watch, measure)
        return best[0], best[1]

    return model, drive


def scnn_gates(problem: TrainingProblem, n_gates: int) -> np.ndarray:
    """Patterns of scnn's own normal gate vectors (n, P)."""
    from scnn.activations import compute_activation_patterns, sample_gate_vectors

    vectors = sample_gate_vectors(0, problem.extended.shape[1], n_gates)
    return compute_activation_patterns(np.array(problem.extended), vectors)[0].astype(np.float64)


def fit_scnn_relu(
    problem: TrainingProblem, gates: np.ndarray, measure: Callable[[np.ndarray, np.ndarray], float], watch: Stopwatch
) -> None:
    """The augmented Lagrangian over sampled cones; ``measure(V, W)`` gets the two halves, (P, d) each."""
    from scnn.models import ConvexReLU
    from scnn.private.interface import build_internal_regularizer, build_optimizer
    from scnn.private.models import AL_MLP
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    data, metrics = _prepared(problem)
    q = problem.extended.shape[1]
    regularizer = NeuronGL1(problem.reg / problem.n)
    internal, directions = build_internal_regularizer(regularizer), np.zeros((q, gates.shape[1]))
    model = AL_MLP(q, gates, directions, "einsum", delta=1000, regularizer=internal, c=1)
    solver = AL(ConvexReLU(directions), max_primal_iters=_MANY, max_dual_iters=_MANY)
    procedure = build_optimizer(solver, regularizer, metrics)
    _drive(procedure, model, data, watch, lambda weights: measure(weights[0, 0], weights[1, 0]))


def _prepared(problem: TrainingProblem) -> tuple[tuple[np.ndarray, np.ndarray], Any]:
    from scnn.metrics import Metrics
    from scnn.private.interface import set_device

    set_device("cpu", "float64", 0)
    metrics = Metrics(metric_freq=_MANY, objective=False, grad_norm=False, time=False)
    return (np.array(problem.extended), np.array(problem.y)[:, None]), metrics


def _drive(
    procedure: Any, model: Any, data: tuple[np.ndarray, np.ndarray], watch: Stopwatch,
    measure: Callable[[np.ndarray], float],
) -> None:  # fmt: skip
    """Run scnn's procedure; measure iterates at steps 1, 2, ... 30, then every 3 % more, with the clock held."""
    steps, following = 0, 1

    def callback(model: Any, X: np.ndarray, y: np.ndarray) -> Any:
        nonlocal steps, following
        steps += 1
        if steps < following:
            return model
        following = max(steps + 1, int(1.03 * steps))
        with watch.held():
            value = measure(model.weights)
            over = watch.point(value)
        if over or not np.isfinite(value):
            raise Ended
        return model

    procedure.metric_freq = _MANY
    empty: tuple[list[str], list[str], list[str]] = ([], [], [])
    watch.start()
    with suppress(Ended):
        procedure(logging.getLogger("scnn"), model, lambda model: model, data, data, empty, callback=callback)
    watch.stop()
    watch.note["iterations"] = steps


def path_celer(problem: TrainingProblem, design: np.ndarray, regs: np.ndarray, tol: float) -> list[np.ndarray]:
    """One estimator with warm starts along decreasing reg."""
    import celer

    q, found = problem.extended.shape[1], []
    model = celer.GroupLasso(groups=q, tol=tol, fit_intercept=False, max_iter=1000, warm_start=True)
    for reg in regs:
        model.set_params(alpha=float(reg) / problem.n)
        found.append(_blocks(model.fit(design, problem.y).coef_.copy(), q))
    return found


def path_scnn(
    problems: list[TrainingProblem], gates: np.ndarray, objectives: list[Callable[[np.ndarray], float]],
    targets: list[float], watch: Stopwatch,
) -> list[float]:  # fmt: skip
    """R-FISTA from the weights before, up to each target in turn; the values of the points that were finished."""
    values, seconds, weights = [], watch.seconds, None
    for problem, objective, target in zip(problems, objectives, targets, strict=True):
        watch.target, watch.seconds = target, seconds
        model, drive = scnn_gated(problem, gates, objective, watch)
        if weights is not None:
            model.weights = weights
        value, blocks = drive()
        if value > target:
            break
        weights = np.array(blocks.T[None])
        values.append(value)
    return values
