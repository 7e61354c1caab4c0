r"""Newton's method on the neurons themselves, the kinks of the activation handled by shifted proximal smoothing.

With ``theta`` in ``[kappa, 1]`` for each sample and neuron, the activation is replaced by

.. math:: \sigma(z; \theta) = \max_{t \in [\kappa, 1]} t z - \tfrac{h}{2} (t - \theta)^2 ,

and after each minimisation ``theta`` takes the maximising ``t``. At a fixed point the smoothed activation equals the
true one: the slope ``t`` of a sample on a neuron's hyperplane is then the multiplier of its kink. No width has to
become small, so the systems stay well conditioned and the loss gradient becomes accurate to rounding.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..losses import HuberLoss
from ..networks._arrays import row_norms
from ..networks.activations import activate
from ._newton_system import NewtonSolver, NewtonSystem

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Neurons", "curvature", "has_curvature", "newton"]

_EPS = float(np.finfo(np.float64).eps)
_STEPS = 12
"""Newton steps between two moves of ``theta``."""
_SHARE = 0.1
"""Accuracy of a minimisation, as a share of what the smoothing still changes."""
_CORE = 10.0
"""Width of the smoothing of the norms at zero: this many times that of the kinks."""

_MARGIN = 1e-4
"""Share of the objective by which removing neurons that the norm holds at zero may raise the smoothed one."""


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons ``u`` (m, q) with amplitudes absorbed, output signs (m,), free coefficients (r,), slopes (n, m)."""

    u: np.ndarray
    signs: np.ndarray
    free: np.ndarray
    theta: np.ndarray


def has_curvature(problem: TrainingProblem) -> bool:
    """Whether Newton's method applies: a scalar problem with a differentiable loss and Euclidean neuron norms."""
    known = problem.loss.name in ("squared", "logistic", "huber") or hasattr(problem.loss, "curvature")
    return problem.scalar and problem.norm == "l2" and known


def curvature(problem: TrainingProblem, f: np.ndarray) -> np.ndarray:
    """Second derivatives of the loss terms at predictions f (Huber: those of the side that f is on)."""
    own = getattr(problem.loss, "curvature", None)
    if own is not None:
        return np.asarray(own(f, problem.y, problem.sample_weight), dtype=np.float64)
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    if problem.loss.name == "logistic":
        e = np.exp(-np.abs(f))
        return weight * e / (1 + e) ** 2
    if isinstance(problem.loss, HuberLoss):
        return weight * (np.abs(f - problem.y) <= problem.loss.delta)
    return weight


class _Model:
    """The objective with smoothed kinks at one state, its gradient and its Newton system."""

    def __init__(
        self, problem: TrainingProblem, state: Neurons, pulls: np.ndarray, widths: np.ndarray, core: float
    ) -> None:
        self.problem, self.state, self.pulls, self.widths, self.core = problem, state, pulls, widths, core
        self.rows, self.columns = problem.extended, problem.free_columns
        self.inner = _penalised(problem)
        self.hidden, self.slopes, self.kinks = self._hidden(state.u)
        self.f = self.hidden @ state.signs + self.columns @ state.free
        norms, self.pulled, self.reach = self._norms(state.u)
        self.value = problem.loss_value(self.f) + problem.reg * norms
        self.slope = problem.gradient(self.f)

    def trial(self, u: np.ndarray, free: np.ndarray) -> float:
        """Smoothed objective elsewhere; what the smoothing is centred at stays fixed."""
        f = self._hidden(u)[0] @ self.state.signs + self.columns @ free
        return self.problem.loss_value(f) + self.problem.reg * self._norms(u)[0]

    def _hidden(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Smoothed activations and slopes (n, m), and the largest change of a prediction by the smoothing."""
        kappa, theta = self.problem.kappa, self.state.theta
        z = self.rows @ u.T
        slopes = z / self.widths[:, None]
        slopes += theta
        np.clip(slopes, kappa, 1.0, out=slopes)
        hidden = slopes - theta
        hidden *= hidden
        hidden *= -0.5 * self.widths[:, None]
        hidden += slopes * z
        change = float(np.max(np.abs(hidden - activate(z, kappa)).sum(axis=1), initial=0.0))
        return hidden, slopes, change / max(float(np.max(np.abs(self.problem.y))), 1e-300)

    def _norms(self, u: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Sum of smoothed norms, their gradients (m, p), and how far those were cut back to the unit ball."""
        u = u[:, : self.inner]
        moved = self.pulls + u / self.core
        reach = np.maximum(row_norms(moved), 1.0)
        moved /= reach[:, None]
        return float(np.sum(moved * u) - 0.5 * self.core * np.sum((moved - self.pulls) ** 2)), moved, reach

    def gradient(self) -> np.ndarray:
        """Gradient in the neurons, row by row, then the free coefficients."""
        gradient = (self.slopes * self.slope[:, None]).T @ self.rows * self.state.signs[:, None]
        gradient[:, : self.inner] += self.problem.reg * self.pulled
        return np.concatenate([gradient.ravel(), self.columns.T @ self.slope])

    def system(self) -> NewtonSystem:
        """The Hessian without its negative parts: those of the kinks that the loss gradient pushes apart."""
        state = self.state
        soft = (self.slopes > self.problem.kappa) & (self.slopes < 1.0)
        bend = np.maximum(state.signs * self.slope[:, None], 0.0) / self.widths[:, None]
        outside = self.reach > 1
        return NewtonSystem(
            self.rows, self.slopes * state.signs, curvature(self.problem, self.f), np.where(soft, bend, 0.0),
            self.pulled * outside[:, None], self.problem.reg / (self.core * self.reach), self.columns,
        )  # fmt: skip

    def misfit(self) -> float:
        """What the smoothing changes: predictions in units of the targets, gradients of the norms in units of reg."""
        u = self.state.u[:, : self.inner]
        # a neuron on its way to zero has no direction; what counts there is its size
        error = np.where(self.inside[:, None], u / np.median(row_norms(u)), self.pulled - _units(u))
        return max(self.kinks, float(np.max(np.abs(error), initial=0.0)))

    @property
    def inside(self) -> np.ndarray:
        """Neurons that the norm holds at zero."""
        return row_norms(self.pulled) < 1 - 1e-9


def newton(
    problem: TrainingProblem,
    state: Neurons,
    *,
    width: float = 2e-3,
    tol: float = 1e-11,
    max_rounds: int = 60,
    deadline: float = np.inf,
) -> tuple[Neurons, float]:
    """Minimise over the neurons; returns the state and the error of its optimality conditions, relative.

    Neurons that shrink to nothing are removed. The error counts gradients (in units of reg) and predictions that the
    smoothing still changes (in units of the targets); at zero the state is stationary for the true objective.
    """
    best, best_error, stalled = state, np.inf, 0
    solver = NewtonSolver()
    pulls = _units(state.u[:, : _penalised(problem)])
    typical = float(np.median(row_norms(state.u))) if len(state.u) else 1.0
    for _ in range(max_rounds):
        if time.perf_counter() > deadline or not len(state.u):
            break
        state, pulls, error = _round(problem, state, pulls, width, typical, tol, solver, deadline)
        stalled = 0 if error < 0.5 * best_error else stalled + 1
        if error < best_error or len(state.u) < len(best.u):
            best, best_error = state, error
        if error <= tol:
            break
        if stalled >= 3:
            if width < 1e-7:
                break
            width, stalled = 0.3 * width, 0
    return (best, best_error) if len(state.u) else (state, 0.0)


def _round(
    problem: TrainingProblem, state: Neurons, pulls: np.ndarray, width: float, typical: float, tol: float,
    solver: NewtonSolver, deadline: float,
) -> tuple[Neurons, np.ndarray, float]:  # fmt: skip
    """Minimise at fixed ``theta`` and ``pulls``, as far as the smoothing is worth, then move them."""
    sizes = row_norms(state.u)
    widths = width * _sizes(problem, state)
    core = _CORE * width * max(float(np.median(sizes)), 1e-2 * typical)
    damping = 0.0
    model = _Model(problem, state, pulls, widths, core)
    gradient = model.gradient()
    for _ in range(_STEPS):
        error = float(np.max(np.abs(gradient), initial=0.0)) / problem.reg
        direction = solver.solve(model.system(), gradient, damping, _accuracy(error), deadline)
        slope = float(gradient @ direction)
        du, dfree = direction[: state.u.size].reshape(state.u.shape), direction[state.u.size :]
        scale = _line_search(model, du, dfree, slope)
        settled = error <= 1e-13 or -slope <= 1e-18 * abs(model.value)
        if scale < 0.5 and not settled and damping < 1:
            damping = max(10 * damping, 1e-4)
        else:
            damping = 0.2 * damping if damping > 1e-6 else 0.0
            settled |= scale == 0
        state = replace(state, u=state.u + scale * du, free=state.free + scale * dfree)
        model = _Model(problem, state, pulls, widths, core)
        gradient = model.gradient()
        error = float(np.max(np.abs(gradient), initial=0.0)) / problem.reg
        enough = error <= max(_SHARE * model.misfit(), 0.1 * tol) and scale > 0.5
        if settled or enough or time.perf_counter() > deadline:
            break
    error = max(error, model.misfit())
    lost = row_norms(state.u[:, : model.inner]) <= 1e-9 * sizes.max()
    if model.inside.any():
        rest = state.u.copy()
        rest[model.inside, : model.inner] = 0.0
        without = model.trial(rest, state.free)
        lost |= model.inside & (without <= model.value + _MARGIN * abs(model.value))
    pulls = np.where(model.inside[:, None], _units(state.u[:, : model.inner]), model.pulled)
    state = _without(problem, replace(state, theta=model.slopes), lost)
    return state, pulls[~lost], error if len(state.u) else 0.0


def _penalised(problem: TrainingProblem) -> int:
    """How many of a neuron's weights the norm counts."""
    return problem.d if problem.bias == "free" else int(problem.extended.shape[1])


def _units(u: np.ndarray) -> np.ndarray:
    return u / np.maximum(row_norms(u), 1e-300)[:, None]


def _accuracy(error: float) -> float:
    """Residual asked of the linear system: better than the error left, so that Newton's method stays fast."""
    return float(np.clip(0.1 * error, 1e-10, 3e-2))


def _sizes(problem: TrainingProblem, state: Neurons) -> np.ndarray:
    """Typical sizes (n,) of a sample's preactivations, whatever the units of the columns."""
    rows = problem.extended
    units = np.sqrt(np.mean(rows**2, axis=0))
    units[units == 0] = 1.0
    sizes = row_norms(rows / units) * float(np.median(row_norms(state.u * units)))
    return np.where(sizes > 0, sizes, 1.0)


def _line_search(model: _Model, du: np.ndarray, dfree: np.ndarray, slope: float) -> float:
    """Armijo; zero when rounding is all that is left to gain."""
    scale, value = 1.0, model.value
    while scale > 1e-3:
        trial = model.trial(model.state.u + scale * du, model.state.free + scale * dfree)
        if trial <= value + 1e-4 * scale * slope + 4 * _EPS * abs(value):
            return scale
        scale *= 0.5
    return 0.0


def _without(problem: TrainingProblem, state: Neurons, lost: np.ndarray) -> Neurons:
    """Drop neurons; with a free bias what is left of them is a constant and goes to the intercept."""
    free = state.free.copy()
    if problem.bias == "free":
        free[-1] += float(state.signs[lost] @ activate(state.u[lost, -1], problem.kappa))
    keep = ~lost
    return Neurons(state.u[keep], state.signs[keep], free, state.theta[:, keep])
