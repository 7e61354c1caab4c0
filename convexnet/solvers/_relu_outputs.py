r"""ReLU networks with several outputs that share their neurons: a local method with a pricing gap.

.. math:: \min_{m, u_j, v_j}\; L\Big(\sum_j \sigma(X u_j) v_j^\top + F C,\, Y\Big)
          + \mathrm{reg} \sum_j \|u_j\| \|v_j\|_2

Quasi-Newton descent on balanced weights; kinks by shifted proximal smoothing, where the multiplier of row i and neuron
j is ``theta <r_i, v_j>``; merging by rank-one sums; growth by pricing; restarts pooled with the best network.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_count, check_positive
from ..errors import ProblemError
from ..networks._arrays import row_norms
from ..pricing.dual import dual_bound, feasible_dual, relative_gap
from ..problem import check_problem
from ._relu_outputs_pricing import price_shared
from ._relu_outputs_state import OutputForm, Shared
from ._relu_outputs_units import Units
from ._relu_result import ReluResult, Stopped
from .result import Progress

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["solve_relu_outputs"]

_FIRST = (0.1, 0.05, 0.02, 0.01)
_LATER = (0.02, 0.005, 0.001)
_FINE = (1e-3, 3e-4, 3e-4, 1e-4, 1e-4)
_NEAR = (1e-3, 1e-4, 1e-2, 1e-6)
"""Distances, relative to row and neuron, up to which a sample counts as near a kink."""
_ROUGH = 1e-2
"""Gap above which one of them is enough."""
_STARTS = 128
_MESSAGES = {
    "solved": "pricing gap (heuristic) at most tol and all restarts done; a local method, this proves nothing",
    "time_limit": "the time was up before all restarts were done; the best network met, its pricing gap is heuristic",
    "iteration_limit": "max_iter rounds are done, maybe not all restarts; the best network met, its gap is heuristic",
    "callback": "the callback asked to stop; the best network met, its pricing gap is heuristic",
    "stalled": "all restarts done, no further progress of the local method, pricing gap (heuristic) above tol",
    "interrupted": "interrupted; the best network met, its pricing gap is heuristic",
}


_UNBOUNDED = (
    "all restarts done, no better neuron met (heuristic); no lower bound is known for a loss that couples its outputs "
    "with a skip connection, so the gap stays at 1"
)


def solve_relu_outputs(
    problem: TrainingProblem,
    *,
    tol: float = 1e-6,
    time_limit: float = 60.0,
    max_iter: int | None = None,
    start: ShallowNetwork | None = None,
    width: int | None = None,
    n_restarts: int = 2,
    callback: Callable[[Progress], object] | None = None,
    verbose: bool = False,
    random_state: Any = 0,
) -> ReluResult:
    r"""Train a network with targets (n, k) by a local method; all outputs share the neurons.

    The program is that of the module: the penalty is the weight decay of the whole network, not of one network for
    each output. ``pricing_gap`` of the result compares the objective with what the dual vector would prove if the
    best neuron that the search met were the best there is. It is heuristic: :func:`convexnet.certify` looks for a
    bound. For softmax with a skip connection no bound is known at all: there the gap stays at 1 and the status at
    ``stalled``, and the message tells whether a better neuron was met. In ``solved`` and ``stalled`` all restarts are
    done; with every other status some may be missing.

    Parameters
    ----------
    problem : TrainingProblem
        Squared, Huber or softmax loss (any differentiable one), Euclidean neuron norms.
    tol : float
        Pricing gap at which a run of rounds ends.
    time_limit : float
        Seconds.
    max_iter : int, optional
        Rounds of descent and pricing.
    start : ShallowNetwork, optional
        Takes the place of the first random network.
    width : int, optional
        Neurons of the random networks; default by the size of the problem.
    n_restarts : int
        Further random networks, pooled with the best one, before the search ends.
    callback : callable, optional
        Called with a Progress; stops the solver by returning True.
    verbose : bool
    random_state : int or Generator

    Returns
    -------
    ReluResult
        ``nu`` is minus the loss gradient at the network that was last priced, moved to the nearest dual point found
        where there is one (free columns, domain of the loss); ``n_starts`` counts random networks, so not ``start``.

    Raises
    ------
    ProblemError
        For losses with kinks, l1 norms, invalid options.

    References
    ----------
    Sahiner, Ergen, Pauly and Pilanci (2021) for the dual constraint; Rockafellar (1976) for the smoothing.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [[1.0, 0.0], [2.0, 0.0]], reg=0.5, bias="none")
    >>> round(solve_relu_outputs(problem).objective, 6)
    0.475
    """
    check_problem(problem)
    if not problem.loss.smooth or problem.norm != "l2":
        raise ProblemError(
            f"Networks with several outputs are trained for differentiable losses and norm='l2', not for "
            f"{problem.loss.name!r} with norm={problem.norm!r}; train one network for each output, or use Huber."
        )
    tol, time_limit = check_positive(tol, "tol"), check_positive(time_limit, "time_limit")
    rounds = math.inf if max_iter is None else check_count(max_iter, "max_iter")
    units = Units(problem)
    search = _Search(units, tol, time_limit, rounds, callback, verbose, np.random.default_rng(random_state))
    width = width or int(min(60, max(12, 4 * (problem.extended.shape[1] + problem.n_outputs))))
    try:
        search.offer(search.form.descend(search.form.start(), None, 100, search.deadline))
        state = search.random(width) if start is None else search.form.state(units.inside(start))
        search.offer(state)
        state = search.improve(state, _FIRST)
        for _ in range(n_restarts):
            state = search.improve(search.pooled(search.best, search.random(width)), _FIRST)
        status = "solved" if search.gap <= tol else "stalled"
    except Stopped as stopped:
        status = stopped.status
    except KeyboardInterrupt:
        status = "interrupted"
    message = _UNBOUNDED if status == "stalled" and not search.bounded and search.distance <= tol else _MESSAGES[status]
    network = units.outside(search.form.network(search.best))
    return ReluResult(
        network, problem.objective(network), units.nu(search.nu), search.gap, status, message, search.round,
        search.starts, tuple(search.history), time.perf_counter() - search.started, problem,
    )  # fmt: skip


class _Search:
    """The best network so far, and what improves it."""

    def __init__(
        self, units: Units, tol: float, time_limit: float, rounds: float,
        callback: Callable[[Progress], object] | None, verbose: bool, generator: np.random.Generator,
    ) -> None:  # fmt: skip
        problem = units.problem
        self.units, self.problem, self.tol, self.rounds, self.generator = units, problem, tol, rounds, generator
        self.callback, self.verbose = callback, verbose
        self.started = time.perf_counter()
        self.deadline = self.started + time_limit
        self.form = OutputForm(problem)
        self.best = self.form.start()
        self.objective = self.form.objective(self.best)
        self.nu, self.lower, self.round, self.starts = np.zeros_like(problem.y), -math.inf, 0, 0
        self.bounded, self.excess = not (problem.skip and problem.loss.vector_only), math.inf
        self.history: list[Progress] = []

    @property
    def gap(self) -> float:
        """Pricing gap (heuristic) of the best network."""
        return relative_gap(self.objective, self.lower)

    @property
    def distance(self) -> float:
        """The gap; where there is no bound, how far the best neuron met violates the dual constraint."""
        return self.gap if self.bounded else self.excess

    def offer(self, state: Shared) -> None:
        """Keep a state if it is the best so far, or as good to rounding with fewer neurons."""
        value = self.form.objective(state)
        fewer = len(state.u) < len(self.best.u) and value <= self.objective + 1e-11 * abs(self.objective)
        if value < self.objective or fewer:
            self.best, self.objective = state, value

    def tell(self) -> None:
        """Record and report; stop if the callback asks for it."""
        seconds = time.perf_counter() - self.started
        progress = self.units.told(
            Progress(seconds, self.round, self.objective, -math.inf, self.gap, len(self.best.u), True)
        )
        self.history.append(progress)
        if self.verbose:
            print(progress.line(), flush=True)
        if self.callback is not None and self.callback(progress) is True:
            raise Stopped("callback")

    def random(self, width: int) -> Shared:
        """Random neurons after some descent."""
        self.starts += 1
        form, problem = self.form, self.problem
        w = self.generator.standard_normal((width, form.form.q))
        u = w @ form.form.A.T
        if problem.bias == "free":
            at = self.generator.integers(0, problem.n, width)
            u[:, -1] = -np.einsum("ij,ij->i", problem.X[at], u[:, :-1])
        v = self.generator.standard_normal((width, form.k))
        f = form.predictions(Shared(u, v, self.best.free, u))
        # targets are of order one (see Units): only constant ones have no spread
        size = 0.3 * max(float(np.std(problem.y)), 1e-3) / max(float(np.std(f)), 1e-300)
        state = Shared(u, size * v, self.best.free.copy(), form.slopes(u))
        return form.cleaned(form.descend(state, None, 300, self.deadline, tol=1e-7), 1e-6)

    def pooled(self, one: Shared, other: Shared) -> Shared:
        """The mean of two networks: by convexity no worse than the mean of their objectives."""
        return Shared(
            np.vstack([one.u, other.u]), 0.5 * np.vstack([one.v, other.v]), 0.5 * (one.free + other.free),
            np.vstack([one.theta, other.theta]),
        )  # fmt: skip

    def improve(self, state: Shared, widths: tuple[float, ...]) -> Shared:
        """Rounds of smoothing, merging, pricing and growth until the heavy pricing finds nothing."""
        idle, before = 0, math.inf
        while True:
            self.round += 1
            state = self._smoothed(state, widths)
            violators = self._price(self.best, 4 if idle else 1)
            self.tell()
            if self.round >= self.rounds:
                raise Stopped("iteration_limit")
            if time.perf_counter() > self.deadline:
                raise Stopped("time_limit")
            gained = before - self.objective > 0.1 * self.tol * abs(self.objective)
            idle, before = 0 if gained else idle + 1, self.objective
            if (self.distance <= self.tol and idle > 0) or idle > 3:
                return self.best
            state = self._grown(self.best, *violators)
            widths = _LATER if self.distance > 1e-4 else _FINE

    def _smoothed(self, state: Shared, widths: tuple[float, ...]) -> Shared:
        for width in widths:
            state = self.form.descend(state, width, 200, self.deadline, tol=1e-9)
            self.offer(state)
        slack = float(np.clip(1e-3 * self.distance, 1e-12, 1e-5)) * abs(self.objective)
        state = self._polished(self.form.merged(state, slack))
        fewer = self.form.merged(state, slack)
        state = self._polished(fewer) if len(fewer.u) < len(state.u) else state
        self.offer(state)
        return state

    def _polished(self, state: Shared) -> Shared:
        """Samples held on the kinks that they are near to, for several ideas of near."""
        value = self.form.objective(state)
        for threshold in _NEAR if self.distance < _ROUGH else _NEAR[:1]:
            trial = self.form.polished(state, threshold, 150, self.deadline)
            cost = self.form.objective(trial)
            if cost < value:
                state, value = trial, cost
        return state

    def _price(self, state: Shared, effort: int) -> tuple[np.ndarray, np.ndarray]:
        """Update the gap; violating neurons and their output directions."""
        problem = self.problem
        residual = -self.form.loss(self.form.predictions(state))[1]
        point = feasible_dual(problem, residual.reshape(problem.y.shape))
        self.nu = point.nu if self.bounded else residual
        N = self.nu.reshape(residual.shape)
        atoms, outputs, values = price_shared(
            problem, N, state.u, effort * _STARTS, 10, self.generator, self.deadline
        )
        top = max(float(values.max(initial=0.0)), problem.reg)
        self.lower, self.excess = dual_bound(problem, point, top)[0], top / problem.reg - 1
        good = values > problem.reg * (1 + 1e-9)
        return atoms[good], outputs[good]

    def _grown(self, state: Shared, atoms: np.ndarray, outputs: np.ndarray) -> Shared:
        """Add neurons with the best of a few sizes."""
        if not len(atoms):
            return state
        sizes = self.form.sizes(state.u) * row_norms(state.v)
        typical = float(np.median(sizes)) if len(sizes) else 1.0
        u, theta = np.vstack([state.u, atoms]), np.vstack([state.theta, self.form.slopes(atoms)])
        trials = [
            replace(state, u=u, v=np.vstack([state.v, scale * typical / len(atoms) * outputs]), theta=theta)
            for scale in (1.0, 0.1, 1e-2, 1e-3)
        ]
        return min(trials, key=self.form.objective)
