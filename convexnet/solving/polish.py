r"""Polishing: the neurons found so far, made optimal to rounding, so that the loss gradient is a good dual vector."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import patterns_at
from ..errors import ConvexNetError
from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ..pricing.spectral import direction_norms
from ..solvers._amplitudes import amplitudes
from ..solvers._kinks import Neurons, has_curvature, newton
from ..solvers._relu_state import network_of
from ..solvers._tidy import tidied
from .master import Master

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Polisher", "polished"]

_PARALLEL = 1 - 1e-9
"""Cosine beyond which two neurons of one sign are the same."""
_SECONDS_PER_ENTRY = 1e-6
"""What building a program takes before its solver can look at the clock."""
_GIVE_UP = 1e-6
"""Error at which Newton's method is left for the convex program."""
_NEARBY = 3
"""Perturbed copies of each direction whose cells enter the program: the best neurons lie on borders of cells."""


class Polisher:
    r"""Neurons of the problem that only improve: networks and atoms are added, then everything is re-optimised.

    For differentiable losses and Euclidean norms that is a non-negative lasso for the amplitudes followed by Newton's
    method on the neurons, accurate to rounding; for the others the convex program over the cells around the neurons.

    Attributes
    ----------
    network : ShallowNetwork
        The best network so far, by ``problem.objective``.
    objective : float
    nu : ndarray of shape (n,)
        Minus the loss gradient at the last stationary point (kinked losses: the program's dual vector).
    other : ndarray of shape (n,) or None
        The program's dual vector, where it is another one than ``nu``.
    error : float
        Error of the optimality conditions there; infinite if none was reached.
    """

    def __init__(self, problem: TrainingProblem, networks: Sequence[ShallowNetwork] = ()) -> None:
        self.problem = problem
        self.network = _empty(problem)
        self.objective = problem.objective(self.network)
        self.nu = np.zeros_like(problem.y)
        self.other: np.ndarray | None = None
        self.error = math.inf
        self._backend: _Backend = (_NewtonBackend if has_curvature(problem) else _ProgramBackend)(problem)
        for network in networks:
            self.offer(network)
            self._backend.include(network)

    def offer(self, network: ShallowNetwork) -> None:
        """Keep a network if it is the best so far."""
        value = self.problem.objective(network)
        if value < self.objective:
            self.network, self.objective = network, value

    def add(self, atoms: np.ndarray, signs: np.ndarray) -> None:
        """Let neurons of these directions (q, K) and output signs take part from now on."""
        self._backend.add(np.asarray(atoms, dtype=np.float64), np.asarray(signs, dtype=np.float64))

    def run(self, time_limit: float) -> None:
        """Re-optimise; afterwards ``network``, ``nu`` and ``error`` are those of the new stationary point."""
        deadline = time.perf_counter() + time_limit
        outcome = self._backend.run(deadline)
        if outcome is None:
            if self.error == math.inf and self.problem.loss.name != "interpolation":
                self.nu = -self.problem.gradient(self.network.predict(self.problem.X))
            return
        if outcome[2] > _GIVE_UP and isinstance(self._backend, _NewtonBackend):
            other = _ProgramBackend(self.problem)
            other.include(outcome[0])
            self._backend = other
            outcome = other.run(deadline) or outcome
        network, self.nu, self.error, self.other = outcome
        self.offer(network)

    def tighten(self) -> bool:
        """Ask for more accuracy from the next run; False if there is none to be had."""
        return self._backend.tighten()


_Outcome = tuple[ShallowNetwork, np.ndarray, float, np.ndarray | None]


class _Backend(ABC):
    """What a way of polishing has to offer."""

    def __init__(self, problem: TrainingProblem) -> None:
        self.problem = problem

    @abstractmethod
    def include(self, network: ShallowNetwork) -> None:
        ...

    @abstractmethod
    def add(self, atoms: np.ndarray, signs: np.ndarray) -> None:
        ...

    @abstractmethod
    def run(self, deadline: float) -> _Outcome | None:
        ...

    def tighten(self) -> bool:
        return False


class _NewtonBackend(_Backend):
    """Amplitudes by a lasso, then Newton's method on the neurons."""

    def __init__(self, problem: TrainingProblem) -> None:
        super().__init__(problem)
        q = problem.extended.shape[1]
        free = np.zeros(problem.free_columns.shape[1])
        self.state = Neurons(np.zeros((0, q)), np.zeros(0), free, np.zeros((problem.n, 0)))

    def include(self, network: ShallowNetwork) -> None:
        u, signs = _neurons(self.problem, network)
        if self.problem.free_columns.size and not len(self.state.u):
            skip = np.zeros(self.problem.d) if network.skip is None else network.skip
            intercept = [float(network.intercept)] if self.problem.intercept else []
            self.state = replace(self.state, free=np.concatenate([skip if self.problem.skip else [], intercept]))
        self._append(u, signs)

    def add(self, atoms: np.ndarray, signs: np.ndarray) -> None:
        self._append(1e-9 * atoms.T, signs)

    def _append(self, u: np.ndarray, signs: np.ndarray) -> None:
        state = self.state
        theta = np.where(self.problem.extended @ u.T > 0, 1.0, self.problem.kappa)
        self.state = Neurons(
            np.vstack([state.u, u]), np.append(state.signs, signs), state.free, np.hstack([state.theta, theta])
        )

    def run(self, deadline: float) -> _Outcome | None:
        self._resize(deadline)
        self.state, error = newton(self.problem, self.state, deadline=deadline)
        self._join()
        state = self.state
        f = activate(self.problem.extended @ state.u.T, self.problem.kappa) @ state.signs
        f = f + self.problem.free_columns @ state.free
        return network_of(self.problem, state), -self.problem.gradient(f), error, None

    def _resize(self, deadline: float) -> None:
        """Best amplitudes of the directions at hand; those with amplitude zero go."""
        state, problem = self.state, self.problem
        sizes = direction_norms(problem, state.u.T)
        used = sizes > 0
        state = _taken(state, used)
        directions = state.u / sizes[used, None]
        columns = activate(problem.extended @ directions.T, problem.kappa) * state.signs
        if not len(state.u) and not problem.free_columns.size:
            self.state = state
            return
        a, free = amplitudes(problem, columns, sizes[used], state.free, deadline)
        self.state = _taken(replace(state, u=directions * a[:, None], free=free), a > 0)

    def _join(self) -> None:
        """Add up neurons of one direction and sign: they are one neuron."""
        state = self.state
        if not len(state.u):
            return
        unit = state.u / np.maximum(np.linalg.norm(state.u, axis=1), 1e-300)[:, None]
        same = (unit @ unit.T > _PARALLEL) & (state.signs[:, None] == state.signs)
        leader = np.argmax(same, axis=1)
        if np.array_equal(leader, np.arange(len(leader))):
            return
        u = np.zeros_like(state.u)
        np.add.at(u, leader, state.u)
        self.state = _taken(replace(state, u=u), leader == np.arange(len(leader)))


class _ProgramBackend(_Backend):
    """The convex program over the cells around all directions met so far."""

    def __init__(self, problem: TrainingProblem) -> None:
        super().__init__(problem)
        self.directions = np.zeros((problem.extended.shape[1], 0))
        self.generator = np.random.default_rng(0)
        self.accuracy = 1e-9

    def include(self, network: ShallowNetwork) -> None:
        self.add(_neurons(self.problem, network)[0].T, np.zeros(0))

    def add(self, atoms: np.ndarray, signs: np.ndarray) -> None:
        size = np.linalg.norm(atoms, axis=0)
        atoms = atoms[:, size > 0] / size[size > 0]
        unit = np.maximum(np.abs(self.problem.extended).max(axis=0), 1e-300)
        spread = 1e-6 * np.abs(self.problem.extended @ atoms).max(axis=0, initial=0.0) / unit[:, None]
        nearby = [atoms + spread * self.generator.standard_normal(atoms.shape) for _ in range(_NEARBY)]
        self.directions = np.column_stack([self.directions, atoms, *nearby])

    def run(self, deadline: float) -> _Outcome | None:
        entries = 2 * self.problem.extended.size * self.directions.shape[1]
        remaining = deadline - time.perf_counter() - _SECONDS_PER_ENTRY * entries
        if not self.directions.shape[1] or remaining <= 0:
            return None
        try:
            patterns = patterns_at(self.problem.extended, self.directions)
            pairs = [(cell, sign) for cell in range(len(patterns)) for sign in (1, -1)]
            solution = Master(self.problem, patterns, "CLARABEL").solve(pairs, self.accuracy, remaining)
        except ConvexNetError:
            return None
        self.directions = patterns.witnesses
        if not self.problem.loss.smooth:
            return solution.network, solution.nu, self.accuracy, None
        residual = -self.problem.gradient(solution.network.predict(self.problem.X))
        return solution.network, residual, self.accuracy, solution.nu

    def tighten(self) -> bool:
        self.accuracy *= 0.03
        return self.accuracy > 1e-13


def _taken(state: Neurons, keep: np.ndarray) -> Neurons:
    return Neurons(state.u[keep], state.signs[keep], state.free, state.theta[:, keep])


def _neurons(problem: TrainingProblem, network: ShallowNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Neurons (m, q) with amplitudes absorbed, and their output signs; constants are left out."""
    network = network.merged(problem.bias, problem.X, problem.norm).pruned(1e-9)
    u = np.column_stack([network.weights, network.biases])[:, : problem.extended.shape[1]]
    u = u * np.abs(network.output_weights)[:, None]
    keep = direction_norms(problem, u.T) > 0
    return u[keep], np.sign(network.output_weights)[keep]


def _empty(problem: TrainingProblem) -> ShallowNetwork:
    """The network without neurons (its free terms zero)."""
    return ShallowNetwork(
        np.zeros((0, problem.d)), np.zeros(0), np.zeros((0, *problem.y.shape[1:])), activation=problem.activation,
        negative_slope=problem.negative_slope,
    )  # fmt: skip


def polished(problem: TrainingProblem, network: ShallowNetwork, *, time_limit: float = 10.0) -> ShallowNetwork:
    r"""Return a network of the neurons of ``network``, moved and resized until nothing local improves the objective.

    A stationary point of

    .. math:: \min_{u_j}\; L\Big(\sum_j s_j \sigma(X u_j), y\Big) + \mathrm{reg} \sum_j \|u_j\|

    accurate to rounding for differentiable losses with Euclidean norms; the best network over the cells of its neurons
    otherwise. The objective never rises.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.
    network : ShallowNetwork
    time_limit : float
        Seconds.

    Raises
    ------
    NetworkError
        If the network is outside the class of the problem.

    References
    ----------
    Rockafellar (1976), proximal method of multipliers, for the treatment of the kinks.

    Examples
    --------
    >>> from convexnet import ShallowNetwork, TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    >>> network = polished(problem, ShallowNetwork([[0.7]], [0.0], [1.0]))
    >>> round(problem.objective(network), 9)
    0.475
    """
    polisher = Polisher(problem, [network])
    polisher.run(time_limit)
    return tidied(problem, polisher.network)
