r"""The linear program of interpolation over a growing dictionary of unit neurons, warm-started from round to round.

.. math:: \min_{a \ge 0, c}\; \sum_k a_k \quad \text{s.t.} \quad \sum_k a_k s_k \sigma(X u_k) + F c = y
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..networks.activations import activate
from ..pricing.spectral import direction_norms
from ..solvers._assembled import assembled
from ..solvers._tidy import FREE_TERMS, tidied

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["AtomPoint", "AtomProgram", "fewer_neurons", "fits_closely", "network_of", "neurons_of", "refitted"]

_FIRST_PRICE, _LAST_PRICE, _DEARER = 1e3, 1e15, 100.0
"""Cost of a missed target, in units of the data: raised by this factor until no target is missed."""
_MISSED = 1e-9
"""Share of the largest target up to which misses are rounding."""
_TIGHT = 1e-10
_UNUSED, _CLOSE = 1e-13, 1e-10
_REFITS, _RISE = 5, 1e-3
"""Corrections of the amplitudes, and how much of itself the norm may rise by each once the targets count as met."""
_DENSE_ENTRIES = 1_000_000
"""Entries of a matrix up to which singular values and simplex steps take no more than a second or two."""
_MOVES = 4e9
"""Operations that moves along null vectors may take."""


@dataclass(frozen=True, eq=False)
class AtomPoint:
    """Solution over the dictionary: amplitudes (K,), free coefficients, dual vector (n,), whether targets are met."""

    amplitudes: np.ndarray
    free: np.ndarray
    nu: np.ndarray
    met: bool


class AtomProgram:
    """Atoms are added, never removed; misses of the targets are possible at a price that rises where they remain."""

    def __init__(self, problem: TrainingProblem) -> None:
        import highspy

        self.problem = problem
        self.rows = np.arange(problem.n)
        if problem.sample_weight is not None:
            self.rows = np.flatnonzero(problem.sample_weight > 0)
        self.unit_y = float(np.max(np.abs(problem.y[self.rows]), initial=0.0)) or 1.0
        sizes = np.linalg.norm(problem.extended[self.rows], axis=1)
        self.unit_X = float(np.median(sizes[sizes > 0])) if np.any(sizes > 0) else 1.0
        self.price = _FIRST_PRICE
        self.directions = np.zeros((problem.extended.shape[1], 0))
        self.signs = np.zeros(0)
        self._highs: Any = highspy.Highs()
        self._infinity = highspy.kHighsInf
        self._optimal = highspy.HighsModelStatus.kOptimal
        for name, value in (("output_flag", False), ("threads", 1), ("primal_feasibility_tolerance", _TIGHT),
                            ("dual_feasibility_tolerance", _TIGHT)):  # fmt: skip
            self._highs.setOptionValue(name, value)
        nothing = np.zeros(0, dtype=np.int32)
        for target in (problem.y[self.rows] / self.unit_y).tolist():
            self._highs.addRow(target, target, 0, nothing, np.zeros(0))
        free = problem.free_columns[self.rows]
        self._free_sizes = np.maximum(np.abs(free).max(axis=0, initial=0.0), 1e-300)
        identity = np.eye(len(self.rows))
        self._append(np.column_stack([identity, -identity]), self.price, 0.0)
        self._append(free / self._free_sizes, 0.0, -self._infinity)
        self._fixed = 2 * len(self.rows) + free.shape[1]

    def __len__(self) -> int:
        return len(self.signs)

    def add(self, directions: np.ndarray, signs: np.ndarray) -> None:
        """Add neurons (q, K), scaled to norm one here, with output signs (K,)."""
        sizes = direction_norms(self.problem, directions)
        usable = np.isfinite(sizes) & (sizes > 0)
        directions, signs = directions[:, usable] / sizes[usable], np.asarray(signs, dtype=float)[usable]
        columns = activate(self.problem.extended[self.rows] @ directions, self.problem.kappa) * signs
        self._append(columns / self.unit_X, 1.0, 0.0)
        self.directions = np.column_stack([self.directions, directions])
        self.signs = np.append(self.signs, signs)

    def _append(self, columns: np.ndarray, cost: float, lower: float) -> None:
        count = columns.shape[1]
        if not count:
            return
        column, row = np.nonzero(columns.T)
        starts = np.searchsorted(column, np.arange(count)).astype(np.int32)
        values = np.ascontiguousarray(columns.T[column, row])
        self._highs.addCols(
            count, np.full(count, cost), np.full(count, lower), np.full(count, self._infinity), len(row), starts,
            row.astype(np.int32), values,
        )  # fmt: skip

    def solve(self, seconds: float) -> AtomPoint | None:
        """Solve within a time limit; None where the simplex method ends without a solution."""
        deadline = time.perf_counter() + seconds
        while True:
            point = self._solve_once(max(deadline - time.perf_counter(), 0.05))
            if point is None or point.met or self.price >= _LAST_PRICE or time.perf_counter() > deadline:
                return point
            if len(self) == 0:
                return point
            self._raise_price()

    def _raise_price(self) -> None:
        self.price *= _DEARER
        for index in range(2 * len(self.rows)):
            self._highs.changeColCost(index, self.price)

    def _solve_once(self, seconds: float) -> AtomPoint | None:
        highs = self._highs
        for again in (False, True):
            if again:  # a warm start can fail where a fresh one does not
                highs.clearSolver()
            highs.setOptionValue("time_limit", highs.getRunTime() + seconds)
            highs.run()
            if highs.getModelStatus() == self._optimal:
                break
        else:
            return None
        answer = highs.getSolution()
        values, duals = np.array(answer.col_value), np.array(answer.row_dual)
        if not (np.isfinite(values).all() and np.isfinite(duals).all()):
            return None
        nu = np.zeros(self.problem.n)
        nu[self.rows] = duals / self.unit_X
        missed = float(np.max(values[: 2 * len(self.rows)], initial=0.0))
        return AtomPoint(
            np.maximum(values[self._fixed :], 0.0) * (self.unit_y / self.unit_X),
            values[2 * len(self.rows) : self._fixed] * (self.unit_y / self._free_sizes),
            nu,
            missed <= _MISSED,
        )

    def network(self, point: AtomPoint) -> ShallowNetwork:
        """The network of a solution, its unused atoms left out, fitted to rounding."""
        used = np.flatnonzero(point.amplitudes > _UNUSED * np.max(point.amplitudes, initial=0.0))
        found = network_of(
            self.problem, self.directions[:, used], self.signs[used] * point.amplitudes[used], point.free
        )
        return refitted(self.problem, found)


def network_of(
    problem: TrainingProblem, directions: np.ndarray, outputs: np.ndarray, free: np.ndarray
) -> ShallowNetwork:
    """Neurons (q, K), output weights (K,) and free coefficients (skip, then intercept) as a balanced network."""
    return assembled(problem, directions, outputs, free).balanced(problem.bias, problem.norm)


def neurons_of(problem: TrainingProblem, network: ShallowNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Neurons (q, m) of norm one and their output weights (m,); constants are left out."""
    u = np.column_stack([network.weights, network.biases])[:, : problem.extended.shape[1]].T
    sizes = direction_norms(problem, u)
    used = sizes > 0
    return u[:, used] / sizes[used], network.output_weights[used] * sizes[used]


def fewer_neurons(
    problem: TrainingProblem, network: ShallowNetwork, slack: float, seconds: float
) -> ShallowNetwork:
    """At most as many neurons as samples: a vertex of the program over those at hand, or moves along null vectors.

    The norm rises by at most ``slack`` of itself; the network is returned as it is where that takes more.
    """
    u, amplitudes = neurons_of(problem, network)
    m = len(amplitudes)
    found = []
    if problem.n * m <= _DENSE_ENTRIES:
        program = AtomProgram(problem)
        program.add(u, np.sign(amplitudes))
        point = program.solve(seconds)
        found = [] if point is None or not point.met else [program.network(point)]
    if m**2 * problem.n <= _MOVES:
        found.append(refitted(problem, tidied(problem, network)))
        if found[-1].n_neurons > problem.n:  # merged twins, which were none, keep it from the moves
            free = FREE_TERMS.get((problem.skip, problem.intercept))
            found.append(refitted(problem, network.reduced(problem.X, problem.bias, problem.norm, free)))
    objective = problem.objective(network)
    candidates = [network, *(other for other in found if problem.objective(other) <= objective * (1 + slack))]
    # nearly singular vertices fit less closely than the moves
    return min(
        candidates, key=lambda other: (not fits_closely(problem, other), other.n_neurons, problem.objective(other))
    )


def fits_closely(problem: TrainingProblem, network: ShallowNetwork) -> bool:
    """Whether the targets are met about as closely as rounding allows."""
    rows = np.arange(problem.n) if problem.sample_weight is None else np.flatnonzero(problem.sample_weight > 0)
    return _missed(problem, network, rows) <= _CLOSE * float(np.max(np.abs(problem.y[rows]), initial=0.0))


def refitted(problem: TrainingProblem, network: ShallowNetwork) -> ShallowNetwork:
    """The least relative change of the amplitudes that meets the targets to rounding, where there is one.

    Solvers meet their equations to a tolerance only; a bound would have to be paid for what is missed.
    """
    rows = np.arange(problem.n) if problem.sample_weight is None else np.flatnonzero(problem.sample_weight > 0)
    best, missed = network, _missed(problem, network, rows)
    for attempt in range(_REFITS):
        # where tiny neurons must change their size, all columns are given the same length
        trial = _corrected(problem, best, rows, even=attempt % 2 == 1)
        if trial is None:
            break
        after, fits = _missed(problem, trial, rows), math.isfinite(problem.objective(best))
        if after < missed and not (fits and problem.objective(trial) > problem.objective(best) * (1 + _RISE)):
            best, missed = trial, after
        elif attempt % 2 == 1:
            break
    return best


def _corrected(
    problem: TrainingProblem, network: ShallowNetwork, rows: np.ndarray, even: bool
) -> ShallowNetwork | None:
    """The network with its residual taken out by the least change of its amplitudes, relative or (``even``) not."""
    residual = (problem.y - network.predict(problem.X))[rows]
    hidden = activate(network.preactivations(problem.X)[rows], problem.kappa) * network.output_weights
    m, free = network.n_neurons, problem.free_columns[rows]
    size = float(np.max(np.abs(problem.y), initial=0.0)) or 1.0
    lengths = np.maximum(np.linalg.norm(hidden, axis=0), 1e-100)
    scale = size / np.concatenate([lengths if even else np.full(m, size), np.maximum(np.abs(free).max(axis=0), 1e-300)])
    if not len(scale):
        return None
    step = least_norm(np.column_stack([hidden, free]) * scale, residual)
    if step is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        step = step * scale
    if not np.isfinite(step).all():
        return None
    change = step[m:]
    return replace(
        network,
        output_weights=network.output_weights * (1.0 + step[:m]),  # a tiny one may change its sign
        skip=None if network.skip is None else network.skip + (change[: problem.d] if problem.skip else 0.0),
        intercept=network.intercept + (float(change[-1]) if problem.intercept else 0.0),
    ).balanced(problem.bias, problem.norm)


def least_norm(design: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """The least-norm solution of wide equations; by a Cholesky factor where they are large, to be refined."""
    if design.size <= _DENSE_ENTRIES:
        return np.linalg.lstsq(design, target, rcond=1e-15)[0]
    from scipy.linalg import cho_factor, cho_solve

    gram = design @ design.T
    gram[np.diag_indices_from(gram)] += 1e-14 * float(np.trace(gram)) / len(gram)
    try:
        return design.T @ cho_solve(cho_factor(gram), target)
    except np.linalg.LinAlgError:
        return None


def _missed(problem: TrainingProblem, network: ShallowNetwork, rows: np.ndarray) -> float:
    return float(np.max(np.abs(network.predict(problem.X) - problem.y)[rows], initial=0.0))
