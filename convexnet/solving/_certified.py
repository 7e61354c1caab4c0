r"""From the network of a method to a solution: bounds within the time that is left, a verdict, a better network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..certificates import Certificate, judge
from ..certificates.tolerances import rounding_of_zero
from ..networks.shallow import ShallowNetwork
from ..pricing import CellPricer, PricingResult, feasible_dual, price_spectral, price_univariate, relative_gap
from ..solvers._tidy import tidied
from ..solvers.result import Progress
from ._loop import bound_over_all
from .cell_generation import Generated
from .solution import Solution

if TYPE_CHECKING:
    from ..arrangements import FacePatterns, PatternSet
    from ..networks.threshold import ThresholdNetwork
    from ..problem import TrainingProblem

__all__ = ["Options", "certified", "certified_solution", "final_status"]

_ADOPTIONS = 3
"""Times that a better network met while certifying is taken over."""
_ROUNDING = 1e-9
"""Relative differences of objectives up to this are no improvement."""
_BOUND_SHARE = 0.3
"""Time for the bound over all networks, as a share of the ReLU solver's: ``certify`` searches longer."""
_BOUND_SECONDS = 1.0
"""Seconds that it may take in any case, as far as the time limit allows."""
_LEAST_SECONDS = 0.05
"""With less time than that it is not begun."""
_SECONDS_PER_ENTRY = 1e-7
"""What its first bounds take for every entry of the data and feature, before they look at the clock."""
_PATIENCE = 1.0
"""Seconds for the verdict after an interrupt."""


@dataclass(frozen=True)
class Options:
    """What the caller asked for, checked."""

    tol: float
    time_limit: float
    max_iter: int | None
    solver: str
    random_state: int
    callback: Callable[[Progress], object] | None
    group: str
    start: float

    def left(self) -> float:
        """Seconds left; not positive when the time is over."""
        return self.time_limit - (time.perf_counter() - self.start)

    def remaining(self) -> float:
        """Seconds left, for what takes none but positive limits."""
        return max(self.left(), min(0.05, self.time_limit))


def certified(
    problem: TrainingProblem,
    patterns: PatternSet | None,
    pricer: CellPricer | None,
    found: Generated,
    method: str,
    options: Options,
    heuristic: float | None = None,
) -> Solution:
    """Tidy the network, certify it, adopt a better one if certification met one."""
    judging = _Judging(problem, pricer, found, options, heuristic is not None)
    certificate = judging.run()
    gap = None
    if heuristic is not None:
        gap = relative_gap(certificate.upper_bound, heuristic, rounding_of_zero(problem))
    return certified_solution(
        problem, judging.network, certificate, judging.status, patterns, found.history, method, options, gap
    )


def certified_solution(
    problem: TrainingProblem, network: ShallowNetwork | ThresholdNetwork, certificate: Certificate, status: str,
    patterns: PatternSet | FacePatterns | None, history: Sequence[Progress], method: str, options: Options,
    pricing_gap: float | None = None,
) -> Solution:  # fmt: skip
    """The solution that a certificate allows; ``status`` is why the method ended."""
    return Solution(
        network=network,
        objective=certificate.upper_bound,
        certificate=certificate,
        status=final_status(status, certificate.verdict in ("optimal", "listed")),
        patterns=patterns,
        history=tuple(history),
        method=method,
        problem=problem,
        random_state=options.random_state,
        wall_time=time.perf_counter() - options.start,
        pricing_gap=pricing_gap,
    )


def final_status(status: str, proven: bool) -> str:
    """``solved`` is what has been proven; otherwise why the method ended."""
    return "solved" if proven else "not_proven" if status == "solved" else status


class _Judging:
    """The verdict on one network; an interrupt ends the search for bounds, not the verdict."""

    def __init__(
        self, problem: TrainingProblem, pricer: CellPricer | None, found: Generated, options: Options, anywhere: bool
    ) -> None:
        self.problem, self.pricer, self.found, self.options = problem, pricer, found, options
        self.anywhere = anywhere  # not bound to a list: a slightly better network is welcome, too
        self.network, self.status = found.network, found.status
        self.pricings: list[tuple[np.ndarray, PricingResult]] = []
        self.rival: ShallowNetwork | None = None

    def run(self) -> Certificate:
        """Tidy, bound, judge; an interrupt leaves out what is missing."""
        try:
            self.network = tidied(self.problem, self.network)
            if self.status != "interrupted":
                self._all_widths()
            certificate = self._judged(self.network)
            for _ in range(_ADOPTIONS):
                if not self._wanted(certificate):
                    break
                better = certificate.improved
                assert better is not None
                certificate = self._judged(better)
                self.network = better
            return certificate
        except KeyboardInterrupt:
            self.status = "interrupted"
            return self._judged(self.network)

    def _judged(self, network: ShallowNetwork) -> Certificate:
        pricings, limit = self.pricings, self.options.remaining()
        if not pricings and self.pricer is None:  # without them all cells would be listed, however long that takes
            nu = feasible_dual(self.problem, self.found.nu).nu
            price = price_univariate if self.problem.d == 1 else price_spectral
            pricings = [(nu, price(self.problem, nu))]
        if self.status == "interrupted":
            limit = min(limit, _PATIENCE)
        return judge(
            self.problem, network, nu=self.found.nu, tol=self.options.tol, time_limit=limit, pricer=self.pricer,
            pricings=pricings, rival=self.rival,
        )  # fmt: skip

    def _wanted(self, certificate: Certificate) -> bool:
        """Whether the better network that was met is adopted: slightly better ones only while there is time."""
        better = certificate.improved_objective
        if certificate.improved is None or better is None:
            return False
        if certificate.verdict == "refuted":
            return bool(self.pricings) or self.options.left() > 0  # with bounds at hand a verdict takes no search
        return self.anywhere and self.options.left() > 0 and better < certificate.upper_bound * (1 - _ROUNDING)

    def _all_widths(self) -> None:
        """Where not all cells are listed: a bound over networks of every width, and a better network met on the way.

        It may take a share of the time that the solve has taken so far, but no more than a fifth of what is left, or
        most of it where that is less than a second.
        """
        problem, options = self.problem, self.options
        if (self.pricer is not None and self.pricer.complete) or problem.loss.name == "interpolation":
            return
        if problem.d == 1 and self._judged(self.network).gap <= options.tol:
            return  # priced exactly, and the dual vector of the method is good enough
        left = options.left()
        share = (_BOUND_SHARE if self.anywhere else 1.0) * (options.time_limit - left)
        limit = min(max(0.2 * left, min(0.6 * left, _BOUND_SECONDS)), max(_BOUND_SECONDS, share))
        least = _LEAST_SECONDS + _SECONDS_PER_ENTRY * problem.extended.size * problem.extended.shape[1]
        if limit < least:
            return
        self.pricings, rival, interrupted = bound_over_all(
            problem, self.network, self.found.nu, tol=options.tol, time_limit=limit,
            random_state=options.random_state,
        )  # fmt: skip
        if interrupted:
            self.status = "interrupted"
        # The same network polished again would make the result depend on the clock.
        if problem.objective(rival) < problem.objective(self.network) * (1 - _ROUNDING):
            self.rival = rival
