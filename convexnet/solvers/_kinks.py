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

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Neurons", "curvature", "has_curvature", "newton"]

_EPS = float(np.finfo(np.float64).eps)
_STEPS = 25
"""Newton steps between two moves of ``theta``."""


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons ``u`` (m, q) with amplitudes absorbed, output signs (m,), free coefficients (r,), slopes (n, m)."""

    u: np.ndarray
    signs: np.ndarray
    free: np.ndarray
    theta: np.ndarray


def has_curvature(problem: TrainingProblem) -> bool:
    """Whether Newton's method applies: a scalar problem with a differentiable loss and Euclidean neuron norms."""
    return problem.scalar and problem.norm == "l2" and problem.loss.name in ("squared", "logistic", "huber")


def curvature(problem: TrainingProblem, f: np.ndarray) -> np.ndarray:
    """Second derivatives of the loss terms at predictions f (Huber: those of the side that f is on)."""
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    if problem.loss.name == "logistic":
        e = np.exp(-np.abs(f))
        return weight * e / (1 + e) ** 2
    if isinstance(problem.loss, HuberLoss):
        return weight * (np.abs(f - problem.y) <= problem.loss.delta)
    return weight


class _Smoothed:
    """The objective with smoothed kinks at one state, and its Newton step."""

    def __init__(self, problem: TrainingProblem, state: Neurons, widths: np.ndarray) -> None:
        self.problem, self.state, self.widths = problem, state, widths
        self.rows = problem.extended
        self.columns = problem.free_columns
        self.inner = problem.d if problem.bias == "free" else self.rows.shape[1]

    def value(self, u: np.ndarray, free: np.ndarray) -> float:
        """Smoothed objective; ``theta`` and the widths stay fixed."""
        hidden = self._hidden(u)[0]
        penalty = self.problem.reg * float(np.sum(row_norms(u[:, : self.inner])))
        return self.problem.loss_value(hidden @ self.state.signs + self.columns @ free) + penalty

    def _hidden(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Smoothed activations, their slopes, and the preactivations, each (n, m)."""
        z = self.rows @ u.T
        t = np.clip(self.state.theta + z / self.widths, self.problem.kappa, 1.0)
        return t * z - 0.5 * self.widths * (t - self.state.theta) ** 2, t, z

    def kinks(self) -> tuple[np.ndarray, float]:
        """The slopes, and by how much smoothing changes a prediction, in units of the targets."""
        hidden, t, z = self._hidden(self.state.u)
        change = np.abs(hidden - activate(z, self.problem.kappa)).sum(axis=1)
        return t, float(np.max(change)) / max(float(np.max(np.abs(self.problem.y))), 1e-300)

    def step(self, damping: float = 0.0) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Damped Newton direction (neurons, free), its slope, and the largest entry of the gradient."""
        state, rows, reg = self.state, self.rows, self.problem.reg
        m, q = state.u.shape
        hidden, t, _ = self._hidden(state.u)
        f = hidden @ state.signs + self.columns @ state.free
        slope = self.problem.gradient(f)
        norms = np.maximum(row_norms(state.u[:, : self.inner]), 1e-300)
        unit = state.u[:, : self.inner] / norms[:, None]
        gradient = (t * slope[:, None]).T @ rows * state.signs[:, None]
        gradient[:, : self.inner] += reg * unit
        whole = np.concatenate([gradient.ravel(), self.columns.T @ slope])
        blocks = ((t * state.signs)[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
        A = np.concatenate([blocks, self.columns], axis=1)
        H = A.T @ (curvature(self.problem, f)[:, None] * A)
        soft = (t > self.problem.kappa) & (t < 1.0)
        bend = np.where(soft, np.maximum(state.signs * slope[:, None], 0.0) / self.widths, 0.0)
        for j in range(m):
            used = np.flatnonzero(bend[:, j])
            part, inner = slice(j * q, (j + 1) * q), slice(j * q, j * q + self.inner)
            H[part, part] += rows[used].T @ (bend[used, j, None] * rows[used])
            H[inner, inner] += reg / norms[j] * (np.eye(self.inner) - np.outer(unit[j], unit[j]))
        direction = -_solve(H, whole, damping)
        largest = float(np.max(np.abs(whole), initial=0.0))
        return direction[: m * q].reshape(m, q), direction[m * q :], float(whole @ direction), largest


def _solve(H: np.ndarray, gradient: np.ndarray, damping: float) -> np.ndarray:
    """Solve with ``damping`` (at least what makes H positive definite) of the diagonal added."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    diagonal = np.diag(H)
    scale = np.sqrt(np.maximum(diagonal, max(1e-8 * float(np.max(diagonal)), 1e-300)))
    scaled, rhs = H / scale / scale[:, None], gradient / scale
    ridge = max(damping, 1e-14)
    while ridge < 1e6:
        try:
            factor = cho_factor(scaled + ridge * np.eye(len(H)), check_finite=False)
        except LinAlgError:
            ridge *= 30
            continue
        x = cho_solve(factor, rhs, check_finite=False)
        if damping == 0:  # refinement takes back what the ridge changed
            x += cho_solve(factor, rhs - scaled @ x, check_finite=False)
        return x / scale
    return gradient / scale**2


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
    for _ in range(max_rounds):
        if time.perf_counter() > deadline or not len(state.u):
            break
        state, error = _round(problem, state, width, deadline)
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


def _round(problem: TrainingProblem, state: Neurons, width: float, deadline: float) -> tuple[Neurons, float]:
    """Minimise at fixed ``theta``, then move ``theta`` to the slopes."""
    rows = row_norms(problem.extended)
    typical = float(np.median(row_norms(state.u)))
    widths = width * typical * np.where(rows > 0, rows, 1.0)[:, None]
    smallest = 1e-9 * float(np.max(row_norms(state.u)))
    damping = 0.0
    for _ in range(_STEPS):
        model = _Smoothed(problem, state, np.repeat(widths, len(state.u), axis=1))
        du, dfree, slope, gradient = model.step(damping)
        value = model.value(state.u, state.free)
        scale = _line_search(model, du, dfree, value, slope)
        settled = gradient <= 1e-13 * problem.reg or -slope <= 1e-18 * abs(value)
        if scale < 0.02 and not settled and damping < 1:
            damping = max(100 * damping, 1e-8)
        else:
            damping = 0.1 * damping if damping > 1e-12 else 0.0
            settled |= scale == 0
        state = replace(state, u=state.u + scale * du, free=state.free + scale * dfree)
        lost = row_norms(state.u[:, : model.inner]) <= smallest
        if lost.any():
            state = _without(problem, state, lost)
            if not len(state.u):
                return state, 0.0
        elif settled:
            break
        if time.perf_counter() > deadline:
            break
    model = _Smoothed(problem, state, np.repeat(widths, len(state.u), axis=1))
    slopes, kink = model.kinks()
    return replace(state, theta=slopes), max(model.step()[3] / problem.reg, kink)


def _line_search(model: _Smoothed, du: np.ndarray, dfree: np.ndarray, value: float, slope: float) -> float:
    """Armijo; zero when rounding is all that is left to gain."""
    scale = 1.0
    while scale > 1e-3:
        trial = model.value(model.state.u + scale * du, model.state.free + scale * dfree)
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
