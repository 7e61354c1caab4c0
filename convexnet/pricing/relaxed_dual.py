r"""Dual vectors of relaxed training problems: neurons replaced by moments or by any other pseudo-neurons."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError
from ..problem import require_path_norm
from ._column_generation import generate
from ._frank_wolfe import MomentState
from ._low_rank import minimise
from ._relaxed_training import RelaxedTraining
from .dual import DualPoint, dual_bound, feasible_dual
from .moment import MomentResult, price_moment

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["JointDual", "PseudoLasso", "joint_dual", "pseudo_lasso"]

_STAGES = (0.05, 0.01, 0.003, 0.001, 0.0003, 0.0001)
_RANK = 12
_STEPS = 400
_ATTEMPTS = 4


@dataclass(frozen=True, eq=False)
class JointDual:
    """The dual vector of the relaxed training problem, with what it proves.

    Attributes
    ----------
    nu : ndarray of shape (n,)
        Feasible (see :func:`feasible_dual`).
    point : DualPoint
        The same with the slack of its equalities.
    value : float
        Objective of the relaxed problem at the (approximate) solution: information.
    bound : float
        Rigorous lower bound of the training objective over networks of every width, from ``nu`` and ``pricing``.
    pricing : MomentResult
        Moment bound of ``nu``; its ``states`` are the relaxed neurons.
    status : str
        ``done`` or ``time_limit``.
    work : mapping
        ``stages``, ``seconds``.
    """

    nu: np.ndarray
    point: DualPoint
    value: float
    bound: float
    pricing: MomentResult
    status: str
    work: Mapping[str, float]

    @property
    def states(self) -> Mapping[int, MomentState]:
        """Moments of both signs, to start ``price_moment`` from."""
        return self.pricing.states

    def __repr__(self) -> str:
        return f"JointDual(bound={self.bound:.9g}, value={self.value:.9g}, status={self.status!r})"


def joint_dual(
    problem: TrainingProblem, *, time_limit: float = 10.0, tol: float = 1e-4, rank: int = _RANK, random_state: Any = 0
) -> JointDual:
    r"""Find the dual vector whose moment bound proves most: the moment relaxation of the whole training problem.

    .. math::

        \min_{V_+, V_-, c}\; \sum_i \min_{f_i \in [\mathrm{lo}_i, \mathrm{hi}_i]} \ell(f_i + (C c)_i, y_i)
            + \mathrm{reg}\,\big(\|V_+\|^2 + \|V_-\|^2\big)

    where factors ``V`` (rank, q) stand for the moments of the neurons of each output sign and ``[lo, hi]`` is the range
    of the relaxed predictions (``C``: the problem's free columns). The problem is smooth once ``max(|t|, q/h)`` is
    smoothed; it is solved by L-BFGS for decreasing smoothing, and after each stage ``nu = -loss'(f)`` is bounded
    rigorously. It is the semidefinite program of :func:`convexnet.programs.build_joint_moment` in factored form,
    without a semidefinite solver.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.
    time_limit : float
        Seconds.
    tol : float
        Stop when a stage improves the lower bound by less than this, relatively.
    rank : int
        Rows of the factors.
    random_state : int or numpy Generator

    Raises
    ------
    ProblemError
        For several outputs.

    References
    ----------
    Burer and Monteiro (2003) for the factorisation; Lasserre (2001), Shor (1987) for the relaxation.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    >>> joint = joint_dual(problem)
    >>> round(joint.bound, 4), joint.nu.round(3).tolist()
    (0.475, [0.1, 0.2])
    """
    require_path_norm(problem, "joint_dual")
    if not problem.scalar:
        raise ProblemError("joint_dual is for scalar outputs; price_outputs bounds several.")
    started = time.perf_counter()
    relaxed = RelaxedTraining(problem, rank, np.random.default_rng(random_state))
    run = _Run(relaxed, tol, started + time_limit, started + 0.8 * time_limit)
    status = run.solve()
    assert run.best is not None
    work = {"stages": float(run.stages), "seconds": time.perf_counter() - started}
    return replace(run.best, status=status, work=work)


class _Run:
    """Stages of decreasing smoothing; the best bound so far is kept."""

    def __init__(self, relaxed: RelaxedTraining, tol: float, deadline: float, halt: float) -> None:
        self.relaxed, self.tol, self.deadline, self.halt = relaxed, tol, deadline, halt
        self.best: JointDual | None = None
        self.stages = 0

    def solve(self) -> str:
        """Run the stages, again from a mixed point while the factors are stuck; return the status."""
        x = self.relaxed.start()
        if self.relaxed.problem.bias == "free":
            return self._free_bias(x)
        for attempt in range(_ATTEMPTS):
            for smoothing in _STAGES[2 if attempt else 0 :]:
                x = self._minimised(x, smoothing)
                self._bound(x, smoothing == _STAGES[-1])
                if time.perf_counter() > self.halt:
                    return "time_limit"
                if self._closed():
                    return "done"
            if not self.relaxed.problem.loss.smooth:
                break  # the value is then not comparable with the bound
            x = self.relaxed.mixed(x, self._last.pricing.states)
        return "done"

    def _free_bias(self, x: np.ndarray) -> str:
        """The factored problem is only near the one whose moments are bounded, centre by centre: go on with columns."""
        problem = self.relaxed.problem
        for smoothing in _STAGES[:4]:
            x = self._minimised(x, smoothing)
        self._bound(x, False)
        assert self.best is not None

        def bounded(nu: np.ndarray, value: float, near: JointDual) -> JointDual:
            return _bounded(problem, nu, value, dict(near.states), 0.005, self.deadline, False)

        self.best = generate(problem, self.best, pseudo_lasso, bounded, 10 * self.tol, self.halt)
        if time.perf_counter() + self.best.pricing.work["seconds"] > self.deadline:
            return "time_limit"
        finer = _bounded(problem, self.best.nu, self.best.value, dict(self.best.states), 0.005, self.deadline, True)
        self.best = finer if finer.bound > self.best.bound else self.best
        return "time_limit" if time.perf_counter() > self.halt else "done"

    def _minimised(self, x: np.ndarray, smoothing: float) -> np.ndarray:
        self.relaxed.smoothing = smoothing
        self.stages += 1
        return minimise(self.relaxed.objective, x, _STEPS, self.halt)

    def _bound(self, x: np.ndarray, last: bool) -> None:
        value, nu = self.relaxed.dual(x)
        states, smoothing = self.relaxed.states(x), self.relaxed.smoothing
        self._last = _bounded(self.relaxed.problem, nu, value, states, smoothing, self.deadline, last)
        if self.best is None or self._last.bound > self.best.bound:
            self.best = self._last

    def _closed(self) -> bool:
        """Whether the bound meets the value: then the factors have solved the relaxation (of a smooth loss)."""
        assert self.best is not None
        if not self.relaxed.problem.loss.smooth:
            return False
        return self._last.value - self.best.bound <= self.tol * abs(self._last.value) and self.stages > 2


def _bounded(
    problem: TrainingProblem, nu: np.ndarray, value: float, states: dict[int, MomentState], smoothing: float,
    deadline: float, last: bool,
) -> JointDual:  # fmt: skip
    """Make nu feasible and bound what it proves."""
    point = feasible_dual(problem, nu)
    left = max(deadline - time.perf_counter(), 1e-3)
    steps = 30 if last or problem.bias == "free" else 1
    pricing = price_moment(
        problem, point.nu, states=states, iterations=steps, smoothing=smoothing, refine=last, time_limit=left
    )
    bound, _ = dual_bound(problem, point, pricing.bound + point.pricing_slack(problem))
    return JointDual(point.nu, point, value, bound, pricing, "done", {})


@dataclass(frozen=True, eq=False)
class PseudoLasso:
    """Solution of the lasso over pseudo-neurons.

    Attributes
    ----------
    amplitudes : ndarray of shape (K,)
        Non-negative.
    nu : ndarray of shape (n,)
        Minus the loss gradient: ``nu . z_k <= reg`` up to the accuracy, with equality where the amplitude is positive.
    value : float
    """

    amplitudes: np.ndarray
    nu: np.ndarray
    value: float

    def __iter__(self) -> Any:
        return iter((self.amplitudes, self.nu))


def pseudo_lasso(
    problem: TrainingProblem, responses: np.ndarray, *, start: np.ndarray | None = None, time_limit: float = 10.0
) -> PseudoLasso:
    r"""Minimise ``loss(Z a + free terms) + reg sum(a)`` over ``a >= 0``: the best combination of given responses.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.
    responses : ndarray of shape (n, K)
        Signed responses ``z_k`` of pseudo-neurons of norm one (true neurons or relaxed ones).
    start : ndarray of shape (K,), optional
        Amplitudes to start from (squared loss without free terms).
    time_limit : float
        Seconds.

    Raises
    ------
    ProblemError
        For several outputs or responses of another shape.

    References
    ----------
    Lawson and Hanson (1974) for the active-set method of the squared loss.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    >>> lasso = pseudo_lasso(problem, np.array([[1.0], [2.0]]))
    >>> lasso.amplitudes.round(6).tolist(), lasso.nu.round(6).tolist()
    ([0.9], [0.1, 0.2])
    """
    require_path_norm(problem, "pseudo_lasso")
    Z = np.asarray(responses, dtype=np.float64)
    if not problem.scalar or Z.ndim != 2 or len(Z) != problem.n:
        raise ProblemError(f"responses must have shape (n={problem.n}, K), and the problem one output.")
    if problem.loss.name == "squared" and not problem.free_columns.size:
        return _squared_lasso(problem, Z, start, time.perf_counter() + time_limit)
    return _general_lasso(problem, Z, time_limit)


def _squared_lasso(problem: TrainingProblem, Z: np.ndarray, start: np.ndarray | None, deadline: float) -> PseudoLasso:
    """Active-set method on the normal equations, warm-started; each step solves for the positive amplitudes."""
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    root = np.sqrt(weight)
    G, g = (root[:, None] * Z).T @ (root[:, None] * Z), Z.T @ (weight * problem.y) - problem.reg
    a = np.zeros(Z.shape[1]) if start is None else np.maximum(np.asarray(start, dtype=np.float64), 0.0)
    tol = 1e-10 * (problem.reg + float(np.max(np.abs(g), initial=0.0)))
    active = a > 0
    for _ in range(20 * Z.shape[1] + 20):
        a = _solve_positive(G, g, a, active)
        slope = g - G @ a
        entering = np.where(active, -np.inf, slope)
        index = int(np.argmax(entering)) if len(a) else 0
        if not len(a) or entering[index] <= tol or time.perf_counter() > deadline:
            break
        active[index] = True
    residual = weight * (problem.y - Z @ a)
    return PseudoLasso(a, residual, problem.loss_value(Z @ a) + problem.reg * float(a.sum()))


def _solve_positive(G: np.ndarray, g: np.ndarray, a: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Minimise over the active amplitudes, leaving out those that would become negative (``active`` is updated)."""
    while True:
        index = np.flatnonzero(active)
        if not index.size:
            return np.zeros_like(a)
        block = G[np.ix_(index, index)]
        ridge = 1e-13 * float(np.trace(block))
        target = np.linalg.solve(block + ridge * np.eye(len(index)), g[index])
        if np.all(target > 0):
            moved = np.zeros_like(a)
            moved[index] = target
            return moved
        blocked = target <= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(blocked, a[index] / (a[index] - target), np.inf)
        step = float(np.nanmin(ratios)) if np.isfinite(np.nanmin(ratios)) else 0.0
        a = a.copy()
        a[index] += step * (target - a[index])
        leaving = index[blocked & (a[index] <= 1e-14 * (1 + np.abs(target)))]
        active[leaving if leaving.size else index[int(np.nanargmin(ratios))]] = False
        a[~active] = 0.0


def _general_lasso(problem: TrainingProblem, Z: np.ndarray, time_limit: float) -> PseudoLasso:
    """The same as a conic program, for every other loss and with free terms."""
    import cvxpy as cp

    scale = np.maximum(np.linalg.norm(Z, axis=0), 1e-300)
    a, f = cp.Variable(max(Z.shape[1], 1), nonneg=True), cp.Variable(problem.n)
    columns = problem.free_columns
    top = np.maximum(np.abs(columns).max(axis=0, initial=0.0), 1e-300)
    prediction: Any = (Z / scale) @ a if Z.shape[1] else np.zeros(problem.n)
    if columns.size:
        prediction = prediction + (columns / top) @ cp.Variable(columns.shape[1])
    loss, conditions = problem.loss.expression(f, problem.y, problem.sample_weight)
    cost = (problem.reg / scale) @ a if Z.shape[1] else 0.0
    fit = f == prediction
    model = cp.Problem(cp.Minimize(loss + cost), [fit, *conditions])
    with contextlib.suppress(cp.error.SolverError):
        model.solve(solver=cp.CLARABEL, time_limit=max(time_limit, 0.01))
    if f.value is None or fit.dual_value is None:
        raise ProblemError(f"The {problem.loss.name} loss has no optimum over these responses.")
    nu = -problem.gradient(f.value) if problem.loss.smooth else np.asarray(fit.dual_value)
    amplitudes = np.maximum(a.value / scale, 0.0) if Z.shape[1] else np.zeros(0)
    return PseudoLasso(amplitudes, problem.loss.clip_dual(nu, problem.y, problem.sample_weight), float(model.value))
