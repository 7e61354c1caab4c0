r"""Memorization: the interpolating network of smallest norm, its certificate, and how many neurons it takes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_count, check_positive
from ..arrangements import PatternSet, enumerate_patterns
from ..arrangements._rank import rank_bounds
from ..certificates import Certificate, judge
from ..certificates.farkas import check_interpolable
from ..certificates.tolerances import check_tolerance
from ..errors import (
    IncompletePatternsWarning,
    InfeasibleError,
    NotCertifiedWarning,
    ProblemError,
    SolverError,
    TooManyCellsError,
)
from ..networks.shallow import ShallowNetwork
from ..pricing import CellPricer, PricingResult, enumerable, feasible_dual
from ..pricing.univariate import price_univariate
from ..problem import TrainingProblem
from ..solvers._centred import Centring, centring
from ..solvers.result import Progress
from ._atom_program import fewer_neurons, refitted
from ._atom_search import random_fit, search_atoms
from ._judged_back import judged_back
from ._line_memory import LineFit, dots_fit, fits_on_line, line_fit
from ._memorized import Memorization
from .cell_generation import generate_cells

if TYPE_CHECKING:
    from .solution import Solution

__all__ = ["Memorization", "memorize"]

_LEAST_SECONDS = 0.05
_FEW = 500
"""Samples of one feature up to which the program over all cells takes a second."""
_DENSE_ENTRIES = 1_000_000
"""Entries up to which amplitudes are corrected by dense equations."""


def memorize(
    X: Any,
    y: Any,
    *,
    norm: str = "l2",
    bias: str = "penalized",
    skip: bool = False,
    intercept: bool | None = None,
    activation: str = "relu",
    negative_slope: float = 0.01,
    sample_weight: Any = None,
    tol: float = 1e-6,
    time_limit: float = 600.0,
    random_state: int = 0,
    callback: Callable[[Progress], object] | None = None,
) -> Memorization:
    r"""Fit the data exactly by the two-layer network of smallest norm, and prove how small that is.

    .. math:: \min_{m, u_j, v_j}\; \sum_{j=1}^m \|u_j\|\, |v_j| \quad \text{s.t.} \quad
              \sum_j v_j\, \sigma(u_j^\top x_i) = y_i, \quad i = 1, \dots, n

    over networks of every width. At most one neuron for each activation cell and sign is needed, and at most n in all
    (n minus the rank of the free columns with free terms): up to a thousand samples the result has no more, unless
    rounding prevents it (columns of very different scales).

    Targets that contradict each other are recognised first, in exact arithmetic. Where the activation cells can be
    listed (one to three features, some hundred samples), cell generation solves the problem to the tolerance.
    Elsewhere neurons are searched for, and a bounded search proves a lower bound, which may be far from tight.

    Parameters
    ----------
    X : array-like of shape (n, d)
    y : array-like of shape (n,)
    norm, bias, skip, intercept, activation, negative_slope, sample_weight
        As in :class:`convexnet.TrainingProblem`; ``bias="free"`` with ``skip=True`` is the second-order Radon total
        variation. Samples of weight zero are not fitted, other weights do not matter.
    tol : float
        Relative gap between the norm and its proven lower bound.
    time_limit : float
        Seconds; the best network and bound so far are returned when it runs out.
    random_state : int
        Seed of the neurons to start from.
    callback : callable, optional
        Called with a :class:`~convexnet.solvers.Progress` after each round; if it returns True the search ends.

    Returns
    -------
    Memorization

    Raises
    ------
    DataError
        If X, y or the weights are empty, non-numeric, NaN, infinite or of inconsistent shapes.
    ProblemError
        If an option is invalid, or y has several columns.
    InfeasibleError
        If no network of any width fits, e.g. equal rows with different targets; its ``proof`` is a
        :class:`~convexnet.certificates.FarkasVector`, checked in rational arithmetic.
    SolverError
        If no exact fit was found within the limits of floating point (rows that nearly coincide).
    KeyboardInterrupt
        If it is interrupted before there is an exact fit; later, the best one so far is returned, status
        ``interrupted``.

    Warns
    -----
    NotCertifiedWarning
        If the requested gap was not proven.

    References
    ----------
    J. de Dios and J. Bruna, "On sparsity in overparametrised shallow ReLU networks", arXiv 2006.10225 (2020);
    R. Parhi and R. Nowak, "Banach space representer theorems for neural networks and ridge splines", JMLR 22 (2021).

    Examples
    --------
    >>> from convexnet import memorize
    >>> result = memorize([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0])
    >>> result.certificate.verdict, result.n_neurons <= 4
    ('optimal', True)
    """
    start = time.perf_counter()
    problem = TrainingProblem(
        X, y, loss="interpolation", norm=norm, bias=bias, skip=skip, intercept=intercept, activation=activation,
        negative_slope=negative_slope, sample_weight=sample_weight,
    )  # fmt: skip
    if not problem.scalar:
        raise ProblemError(
            f"memorize fits one output, y has {problem.n_outputs}; call it once for each column of y."
        )
    tol = check_tolerance(tol)
    check_positive(time_limit, "time_limit")
    check_count(random_state, "random_state", minimum=0)
    if callback is not None and not callable(callback):
        raise ProblemError(f"callback must be callable, got {type(callback).__name__}.")
    check_interpolable(problem)
    result = fitted(
        problem, tol=tol, start=start, time_limit=time_limit, random_state=random_state, callback=callback
    )
    if result.certificate.verdict != "optimal":
        warnings.warn(f"{result!r}", NotCertifiedWarning, stacklevel=2)
    return result


def fitted(
    problem: TrainingProblem, *, tol: float, start: float, time_limit: float, random_state: int,
    callback: Callable[[Progress], object] | None,
) -> Memorization:  # fmt: skip
    """:func:`memorize` of a checked problem; ``start`` is when the clock began."""
    place = centring(problem)
    if place.centre.any():
        found = _Run(place.problem, tol, start, time_limit, random_state, callback).result()
        back = _moved_back(place, found)
        if back is not None:
            return back
    return _Run(problem, tol, start, time_limit, random_state, callback).result()


def _moved_back(place: Centring, found: Memorization) -> Memorization | None:
    """The result of centred data as one of the data as given; None if rounding there spoils the fit."""
    problem, network = place.given, place.network(found.network)
    if problem.n * (network.n_neurons + problem.d + 1) <= _DENSE_ENTRIES:
        network = refitted(problem, network)
    if not np.isfinite(problem.objective(network)):
        return None
    certificate = judged_back(problem, found.problem, network, found.certificate)
    if certificate is None:
        return None
    return replace(
        found, network=network, path_norm=certificate.upper_bound, lower_bound=certificate.lower_bound,
        gap=certificate.gap, certificate=certificate, status=_status(certificate, found.status),
        largest_residual=certificate.misfit, patterns=None, problem=problem,
    )  # fmt: skip


class _Run:
    """One memorization: which way, the network, the verdict."""

    def __init__(
        self, problem: TrainingProblem, tol: float, start: float, time_limit: float, random_state: int,
        callback: Callable[[Progress], object] | None,
    ) -> None:  # fmt: skip
        self.problem, self.tol, self.start, self.callback = problem, tol, start, callback
        self.deadline, self.random_state = start + time_limit, random_state

    def left(self) -> float:
        return max(self.deadline - time.perf_counter(), _LEAST_SECONDS)

    def result(self) -> Memorization:
        """Solve by the method that fits."""
        if self.problem.activation == "threshold" or self.problem.norm == "label_noise":
            return self._by_solve()
        if fits_on_line(self.problem):
            on_line = self._on_line()
            if on_line is not None:
                return on_line
        patterns = self._all_patterns()
        return self._by_atoms() if patterns is None else self._by_cells(patterns)

    def _all_patterns(self) -> PatternSet | None:
        if not enumerable(self.problem):
            return None
        try:
            return enumerate_patterns(self.problem.extended, time_limit=0.3 * self.left())
        except TooManyCellsError:
            return None

    def _on_line(self) -> Memorization | None:
        """One feature: the program over all cells, priced exactly; None where it does not fit the targets."""
        best: Memorization | None = None
        pricings: list[tuple[np.ndarray, PricingResult]] = []
        ways: list[Callable[[TrainingProblem, float], LineFit | None]] = [dots_fit, line_fit]
        if not self.problem.skip and self.problem.n <= _FEW:
            ways.reverse()  # as tight, and fewer neurons
        ways.append(partial(line_fit, tol=1e-12))
        for way in ways:
            fit = way(self.problem, 0.5 * self.left())
            if fit is None or not np.isfinite(self.problem.objective(fit.network)):
                continue
            network = self._sparse(fit.network)
            nu = feasible_dual(self.problem, fit.nu).nu
            pricings.append((nu, price_univariate(self.problem, nu)))
            certificate = judge(self.problem, network, nu=nu, tol=self.tol, pricings=pricings)
            late = time.perf_counter() > self.deadline
            found = self._memorization(network, certificate, "time_limit" if late else "stalled", "line", None, ())
            if best is None or found.gap < best.gap:
                best = found
            # What the closed form misses is rounding, which grows with n for every way.
            exact = way is dots_fit and self.problem.skip and self.problem.n > _FEW
            if late or exact or best.status == "solved":
                break
        return best

    def _by_cells(self, patterns: PatternSet) -> Memorization:
        pricer = CellPricer(self.problem, patterns)
        try:
            found = generate_cells(
                self.problem, patterns, pricer=pricer, tol=0.5 * self.tol, time_limit=0.95 * self.left(),
                random_state=self.random_state, callback=self.callback,
            )  # fmt: skip
        except InfeasibleError:  # to working precision: in exact arithmetic some network fits
            raise self._no_fit() from None
        network = self._fitting(found.network)
        certificate = judge(
            self.problem, network, nu=found.nu, tol=self.tol, pricer=pricer, time_limit=self.left()
        )
        return self._memorization(network, certificate, found.status, "cells", patterns, found.history)

    def _by_atoms(self) -> Memorization:
        found = search_atoms(
            self.problem, tol=self.tol, deadline=self.deadline, random_state=self.random_state,
            callback=self.callback,
        )  # fmt: skip
        network = self._fitting(found.network)
        pricings: list[tuple[np.ndarray, PricingResult]] = [found.pricing]
        certificate = judge(
            self.problem, network, nu=found.pricing[0], tol=self.tol, pricings=pricings, time_limit=self.left()
        )
        return self._memorization(network, certificate, found.status, "atoms", None, found.history)

    def _by_solve(self) -> Memorization:
        """Activations and norms with programs of their own."""
        from .front import solve

        with warnings.catch_warnings():
            for category in (NotCertifiedWarning, IncompletePatternsWarning):
                warnings.simplefilter("ignore", category)
            solution: Solution = solve(
                self.problem, tol=self.tol, time_limit=self.left(), random_state=self.random_state,
                callback=self.callback,
            )  # fmt: skip
        network: Any = solution.network
        return self._memorization(
            network, solution.certificate, solution.status, solution.method, solution.patterns, solution.history
        )

    def _fitting(self, network: ShallowNetwork) -> ShallowNetwork:
        """The network, if it fits; else one of random neurons, of which none is asked but to fit."""
        if np.isfinite(self.problem.objective(network)):
            return self._sparse(network)
        network = random_fit(self.problem, self.random_state).network
        if np.isfinite(self.problem.objective(network)):
            return self._sparse(network)
        raise self._no_fit()

    def _sparse(self, network: ShallowNetwork) -> ShallowNetwork:
        """No more neurons than always suffice, where rounding and a norm that hardly rises allow it."""
        if network.n_neurons <= _sparsity_bound(self.problem):
            return network
        return fewer_neurons(self.problem, network, 0.1 * self.tol, self.left())

    def _no_fit(self) -> SolverError:
        return SolverError(
            "No exact fit was found within the limits of floating point and time, although one exists: some rows of X "
            "nearly coincide, the columns of X have very different scales, or the time limit is too short. Merge such "
            "rows, rescale the columns, or train with loss='squared' and a small reg."
        )

    def _memorization(
        self, network: Any, certificate: Certificate, status: str, method: str, patterns: PatternSet | None,
        history: tuple[Progress, ...],
    ) -> Memorization:  # fmt: skip
        problem = self.problem
        return Memorization(
            network=network, path_norm=certificate.upper_bound, lower_bound=certificate.lower_bound,
            gap=certificate.gap, certificate=certificate, status=_status(certificate, status), method=method,
            largest_residual=certificate.misfit, sparsity_bound=_sparsity_bound(problem), patterns=patterns,
            history=history, problem=problem, random_state=self.random_state,
            wall_time=time.perf_counter() - self.start,
        )  # fmt: skip


def _status(certificate: Certificate, status: str) -> str:
    """``solved`` is what the certificate proves, nothing else."""
    if certificate.verdict == "optimal":
        return "solved"
    return "not_proven" if status == "solved" else status


def _sparsity_bound(problem: TrainingProblem) -> int:
    """Samples that count, minus the rank of the free columns."""
    rows = np.arange(problem.n) if problem.sample_weight is None else np.flatnonzero(problem.sample_weight > 0)
    columns = problem.free_columns[rows]
    return len(rows) - (rank_bounds(columns)[0] if columns.size else 0)
