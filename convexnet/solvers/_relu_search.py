"""The rounds of the ReLU solver: smooth, finish, merge, price, grow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..networks._arrays import row_norms
from ..networks.activations import activate
from ..pricing.dual import DualPoint, dual_bound, feasible_dual, relative_gap
from ..pricing.spectral import direction_norms
from ._kinks import Neurons, newton
from ._relu_descent import descend
from ._relu_form import Kinks, ReluForm
from ._relu_loss import shifted_problem
from ._relu_pricing import Pricer
from ._relu_result import Stopped
from ._relu_state import appended, empty_state, merged, network_of, predictions, resized, with_slopes
from ._tidy import tidied
from .result import Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["FIRST_WIDTHS", "Search"]

FIRST_WIDTHS = (0.1, 0.05, 0.02, 0.01)
_LATER_WIDTHS = (0.01, 0.002)
_LAST_WIDTHS = (0.005, 0.002, 0.001)
_ROUGH = 1e-3
"""Gap down to which rounds with many neurons are short: missing ones matter more than the accuracy of the others."""
_SMALL, _NEWTON = 600, 1000
"""Weights up to which Newton's method starts early, and finishes at all: larger systems cost more than long descent."""
_FINISH = 3e-5
"""Gap from which on Newton's method takes over from descent."""
_NOISE = 1e-9
"""Relative excess of a pricing value over reg that is accuracy of the neurons, not a better neuron."""


_ARCHIVE, _POINTS = 1000, 20
"""Atoms and dual vectors that are remembered."""
_PARALLEL, _NEARLY = 1 - 1e-7, 0.9995
"""Cosine to a neuron from which a direction is that neuron, in accurate and in rough rounds."""
_PATIENCE = 8
"""Rounds without an improvement before a run is left."""


class Search:
    """One run: the best network so far, and what improves it."""

    def __init__(
        self, problem: TrainingProblem, tol: float, started: float, time_limit: float, max_iter: float,
        report: Callable[[Progress], object], generator: np.random.Generator,
    ) -> None:  # fmt: skip
        self.problem, self.tol, self.started = problem, tol, started
        self.deadline, self.max_iter = started + time_limit, max_iter
        self.report, self.generator = report, generator
        self.form = ReluForm(problem)
        self.pricer = Pricer(problem, generator)
        self.typical = 1.0 if problem.loss.name in ("logistic", "hinge") else _size(problem.y)
        self.state = empty_state(problem)
        self.network = network_of(problem, self.state)
        self.objective = problem.objective(self.network)
        self.met, self.points = np.zeros((0, self.form.q)), list[DualPoint]()
        self.gap, self.level, self.round, self.starts = np.inf, -np.inf, 0, 0
        self.fitted: np.ndarray | None = None  # predictions of the smoothed network, if the last step smoothed
        self.shift(np.zeros(problem.n), 0.1)

    # ------------------------------------------------------------------------------------------------ bookkeeping
    def offer(self, state: Neurons) -> bool:
        """Keep the network of a state if it is the best so far."""
        network = network_of(self.problem, state)
        value = self.problem.objective(network)
        if not value < self.objective:
            return False
        self.network, self.objective, self.state = network, value, state
        self.tell()
        return True

    def tell(self) -> None:
        """Report the progress: the gap is that of the best network and the last dual value that was met."""
        seconds, gap = time.perf_counter() - self.started, relative_gap(self.objective, self.level)
        self.report(Progress(seconds, self.round, self.objective, -np.inf, gap, self.network.n_neurons, True))

    def check(self) -> None:
        """Raise Stopped when the time or the rounds are used up."""
        if time.perf_counter() > self.deadline:
            raise Stopped("time_limit")
        if self.round >= self.max_iter:
            raise Stopped("iteration_limit")

    def shift(self, centre: np.ndarray, width: float) -> None:
        """Smooth a loss with kinks around a dual vector; nothing to do for the others."""
        smooth = self.problem.loss.smooth
        self.model = self.problem if smooth else shifted_problem(self.problem, centre, width * self.typical)
        self.form.problem = self.model

    # ------------------------------------------------------------------------------------------------------ stages
    def null(self) -> bool:
        """Offer the model without neurons; whether no neuron is found to be worth its cost."""
        state = empty_state(self.problem)
        for _ in range(1 if self.problem.loss.smooth else 100):
            centre = self.model.gradient(predictions(self.problem, state))
            self.shift(centre, 0.03)
            state = resized(self.model, state, self.deadline)
            if self._settled(centre, state):
                break
        if np.isfinite(self.problem.objective(network_of(self.problem, state))):
            self.offer(state)
        return not len(self.price(state, 256)[0]) and self.gap <= self.tol

    def begin(self, state: Neurons | None, width: int) -> Neurons:
        """The given state, or a random network."""
        self.starts += 1
        if state is None:
            return self.random_state(width)
        self.offer(state)
        return state

    def random_state(self, width: int, max_iter: int = 200) -> Neurons:
        """A network of random neurons after some descent on the true objective, amplitudes exact."""
        form, problem = self.form, self.problem
        w = self.generator.standard_normal((width, form.q))
        if problem.bias == "free":
            at = self.generator.integers(0, problem.n, width)
            w[:, -1] = -np.einsum("ij,ij->i", form.Z[at, :-1], w[:, :-1]) / form.Z[0, -1]
        norms = np.sqrt(np.maximum(np.sum(w * (w @ form.metric), axis=1), 1e-300))
        w /= norms[:, None]
        signs = np.where(np.arange(width) % 2, -1.0, 1.0)
        f = signs @ np.maximum(w @ form.ZT, 0)
        root = np.sqrt(0.3 * self.typical / max(float(np.sqrt(np.mean(f**2))), 1e-300))
        x = form.pack(root * w, root * signs, np.zeros(form.Q.shape[1]))
        before = self.model
        self.shift(np.zeros(problem.n), 0.1)
        x, _, _ = descend(lambda x: form.value_and_gradient(x, width), x, max_iter, self.deadline)
        state = resized(self.model, self._cleaned(x, width), self.deadline)
        state = merged(self.model, state, 1e-5 * self.objective)
        self.model = self.form.problem = before
        return state

    def _cleaned(self, x: np.ndarray, m: int, theta: np.ndarray | None = None) -> Neurons:
        """From parameters to neurons, without the negligible ones."""
        u, signs, free = self.form.neurons(*self.form.unpack(x, m))
        sizes = direction_norms(self.problem, u.T)
        keep = sizes > 1e-7 * float(sizes.max(initial=0.0))
        if theta is None:
            return with_slopes(self.problem, u[keep], signs[keep], free)
        return Neurons(u[keep], signs[keep], free, np.ascontiguousarray(theta[keep].T))

    def smooth(self, state: Neurons, widths: tuple[float, ...], max_iter: int = 0) -> Neurons:
        """Descent on the smoothed objective for each width; the slopes move after each."""
        form = self.form
        max_iter = max_iter or int(np.clip(1500 // max(len(state.u), 1), 30 if self.gap > _ROUGH else 60, 60))
        for width in widths:
            m = len(state.u)
            self.check()
            self.shift(self.model.gradient(predictions(self.model, state)), width)
            w, a, c = form.balanced(state.u, state.signs, state.free)
            kinks = Kinks(np.ascontiguousarray(state.theta.T), form.widths(w, width))
            x, _, _ = descend(_smoothed(form, m, kinks), form.pack(w, a, c), max_iter, self.deadline, tol=1e-9)
            slopes, self.fitted = form.fit(x, m, kinks)
            state = self._cleaned(x, m, slopes)
            self.offer(state)
        return state

    def finish(self, state: Neurons, rounds: int = 12) -> Neurons:
        """Newton's method, or long descent; with a kinked loss its dual vector moves in between."""
        if state.u.size > _NEWTON:
            return self.smooth(state, _LAST_WIDTHS, 150)
        self.fitted = None
        width, now = 0.01, time.perf_counter()
        tol = float(np.clip(1e-3 * self.gap, 1e-11, 1e-7))
        limit = min(self.deadline, now + max(1.0, 0.3 * (now - self.started)))
        for _ in range(1 if self.problem.loss.smooth else 15):
            self.check()
            centre = self.model.gradient(predictions(self.model, state))
            self.shift(centre, width)
            state, _ = newton(self.model, state, tol=tol, max_rounds=rounds, deadline=limit)
            self.offer(state)
            if self._settled(centre, state):
                break
            width = max(0.5 * width, 1e-3)
        return state

    def _settled(self, centre: np.ndarray, state: Neurons) -> bool:
        """Whether the dual vector of the loss has come to rest."""
        moved = np.abs(self.model.gradient(predictions(self.model, state)) - centre)
        return float(moved.max(initial=0.0)) <= 1e-10 * float(np.max(np.abs(centre), initial=0.0))

    def price(self, state: Neurons, count: int, extra: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Update the gap; violating atoms (A, q) and their signs. ``extra`` (m, q) are more directions to start near.

        With them the local maxima are finished exactly.
        """
        # at the smoothed predictions the neurons at hand are nearly stationary: what is violated is then news
        fitted = predictions(self.problem, state) if self.fitted is None else self.fitted
        point = feasible_dual(self.problem, -self.model.gradient(fitted))
        current = state.u / np.maximum(_norms(state.u), 1e-300)
        near = current if extra is None else np.vstack([extra / np.maximum(_norms(extra), 1e-300), current])
        atoms, signs, values = self.pricer.search(point.nu, near, count, 48, self.deadline)
        if extra is not None:
            more = self.pricer.exact(point.nu, np.vstack([atoms, near]), 64, 8, self.deadline)
            atoms, signs, values = (np.concatenate(pair) for pair in zip((atoms, signs, values), more, strict=True))
        self.met = np.vstack([atoms, self.met])[:_ARCHIVE]
        self.gap, self.points = self._gap(point), [point, *self.points[:_POINTS]]
        self.level = self.objective * (1 - self.gap) if np.isfinite(self.gap) else -np.inf
        self.round += 1
        self.tell()
        violating = values > self.problem.reg * (1 + _NOISE)
        return atoms[violating], signs[violating]

    def _gap(self, point: DualPoint) -> float:
        """Relative gap of the best network and a dual vector, scaled by the largest value among all atoms met."""
        values = np.abs(point.nu @ activate(self.problem.extended @ self.met.T, self.problem.kappa))
        top = max(float(values.max(initial=0.0)), self.problem.reg)
        return relative_gap(self.objective, dual_bound(self.problem, point, top)[0])

    def tidy(self) -> None:
        """Leave out neurons that the best network can do without at no cost: dust, twins, dependent ones."""
        cheap = self.network.n_neurons <= self.problem.n or self.deadline - time.perf_counter() > 1
        self.network = tidied(self.problem, self.network, reduce=cheap)
        self.objective = self.problem.objective(self.network)

    def outcome(self) -> tuple[float, np.ndarray]:
        """The smallest gap of the last dual vectors, judged by all atoms met, and the vector."""
        gaps = [self._gap(point) for point in self.points]
        if not gaps:
            return np.inf, np.zeros(self.problem.n)
        best = int(np.argmin(gaps))
        return gaps[best], self.points[best].nu

    # ------------------------------------------------------------------------------------------------------ the run
    def improve(self, state: Neurons) -> Neurons:
        """Rounds of descent, merging and pricing until pricing finds nothing, or nothing helps any more."""
        accurate, idle, value, previous = False, 0, np.inf, np.inf
        while idle < _PATIENCE:
            state = merged(self.model, state, 0.0 if accurate else 1e-3 * min(self.gap, 1e-4) * self.objective)
            self.offer(state)
            idle = 0 if self.objective < value - 1e-11 * abs(value) else idle + 1
            value = self.objective
            if accurate and self.problem.objective(network_of(self.problem, state)) > value * (1 + 1e-12):
                state, self.fitted = self.state, None  # Newton's method may end in a worse stationary point
            atoms, signs = self.price(state, 256)
            if accurate and (self.gap <= self.tol or not len(atoms)):
                break
            small = state.u.size < _SMALL
            slow = previous - value < (1e-6 if small else 1e-7) * abs(value)
            accurate = slow or self.gap < (10 if small else 1) * _FINISH
            previous = value
            state = self.grown(state, *_apart(state, atoms, signs, _PARALLEL if accurate else _NEARLY))
            newton = accurate and idle % 2 == 0
            state = self.finish(state, 12 + 12 * idle) if newton else self.smooth(state, _LATER_WIDTHS)
        return state

    def widen(self, state: Neurons, other: Neurons) -> tuple[Neurons, bool]:
        """Let the neurons of another network join, and search near them; whether that gave anything."""
        before = self.objective
        trial = self.grown(state, other.u / np.maximum(_norms(other.u), 1e-300), other.signs)
        if before - self.objective > 1e-2 * self.tol * self.objective:
            state = self.finish(trial)
        atoms, signs = self.price(state, 768, other.u)
        found = self.gap > self.tol or before - self.objective > 0.1 * self.tol * self.objective
        return self.finish(self.grown(state, atoms, signs)) if found else state, found

    def grown(self, state: Neurons, atoms: np.ndarray, signs: np.ndarray) -> Neurons:
        """More neurons, with the best amplitudes of all."""
        self.fitted = None
        state = resized(self.model, appended(self.problem, state, 1e-9 * atoms, signs), self.deadline)
        self.offer(state)
        return state


def _apart(
    state: Neurons, atoms: np.ndarray, signs: np.ndarray, parallel: float
) -> tuple[np.ndarray, np.ndarray]:
    """Atoms that are not the neurons at hand: better values there are accuracy, not a better neuron."""
    if not len(atoms) or not len(state.u):
        return atoms, signs
    cosines = (atoms / _norms(atoms)) @ (state.u / _norms(state.u)).T
    same = (cosines > parallel) & (signs[:, None] == state.signs)
    return atoms[~same.any(axis=1)], signs[~same.any(axis=1)]


def _norms(u: np.ndarray) -> np.ndarray:
    return row_norms(u)[:, None]


def _size(y: np.ndarray) -> float:
    return float(np.sqrt(np.mean(y**2))) or 1.0


def _smoothed(form: ReluForm, m: int, kinks: Kinks) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    return lambda x: form.value_and_gradient(x, m, kinks)
