r"""Judge a network by given dual vectors: the best proven lower bound among several dual vectors, and a verdict."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_positive
from ..errors import PatternError, ProblemError
from ..networks.shallow import ShallowNetwork
from ..pricing import (
    CellPricer,
    DualPoint,
    PricingResult,
    dual_bound,
    enumerable,
    feasible_dual,
    null_prediction,
    price_spectral,
    price_univariate,
    relative_gap,
)
from ..problem import check_problem, require_path_norm
from ._listed import ListedBound, bounded_certificate
from .certificate import Certificate
from .improve import improve
from .tolerances import check_tolerance, largest_residual, rounding_of_objective, rounding_of_zero

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..networks.threshold import ThresholdNetwork
    from ..problem import TrainingProblem

__all__ = ["dual_vectors", "judge", "own_duals"]

_POSSIBLE = 1e-9
"""Relative distance below a proven bound that the rounding of an ordinary objective explains."""


def judge(
    problem: TrainingProblem,
    network: ShallowNetwork,
    *,
    patterns: PatternSet | None = None,
    nu: Any = None,
    tol: float = 1e-6,
    time_limit: float | None = None,
    pricer: CellPricer | None = None,
    pricings: Sequence[tuple[np.ndarray, PricingResult]] = (),
    rival: ShallowNetwork | None = None,
) -> Certificate:
    r"""Bound the objective of every network from below by given dual vectors and judge one network by it.

    Nothing is searched for or trained; :func:`convexnet.certify` does that.

    Any dual vector gives a bound: with ``M(nu) = max_{||u|| <= 1} |nu . sigma(X u)|``,

    .. math:: \text{objective} \ge \max_{0 \le s \le \mathrm{reg}/M(\nu)} -L^*(-s \nu) .

    M(nu) is computed exactly for one feature and where all activation patterns are at hand (passed, or enumerated when
    that takes seconds); otherwise it is bounded by singular values, which is valid but loose.

    Parameters
    ----------
    problem : TrainingProblem
    network : ShallowNetwork
        Any network of the problem's class, however it was trained.
    patterns : PatternSet, optional
        Activation patterns of ``problem.extended``. Default: all of them, if listing them takes seconds
        (for one feature none are needed).
    nu : ndarray or list of ndarray, optional
        Dual vectors to try besides the network's own residual, e.g. ``solution.certificate.nu``: the residual of an
        inexact network alone gives a poor bound.
    tol : float
        Relative gap asked for, below 1.
    time_limit : float, optional
        Seconds; the bound is then weaker, never wrong.
    pricer : CellPricer, optional
        Prepared pricing of ``patterns``, to certify several networks of one problem.
    pricings : sequence of (nu, PricingResult), optional
        Bounds on ``M(nu)`` over every direction that are known already, by whatever method; each ``nu`` must be
        feasible (``feasible_dual(problem, nu).nu``). With them, cells are priced only if patterns are passed.
    rival : ShallowNetwork, optional
        Another network of the problem's class: reported as ``improved`` if it is better.

    Returns
    -------
    Certificate

    Raises
    ------
    NetworkError
        If a network is outside the class of the problem.
    PatternError
        If the patterns, or those of ``pricer``, belong to other data.
    ProblemError
        If ``nu`` has another shape or is not finite, ``tol`` is not in (0, 1), or a given pricing does not bound
        every direction.

    References
    ----------
    Pilanci and Ergen (2020), convex dual; bounds by singular values are elementary.

    Examples
    --------
    >>> from convexnet import ShallowNetwork, TrainingProblem
    >>> from convexnet.certificates import judge
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    >>> net = ShallowNetwork([[0.9]], [0.0], [1.0])
    >>> judge(problem, net).verdict
    'optimal'
    """
    start = time.perf_counter()
    check_problem(problem)
    require_path_norm(problem, "judge")
    tol = check_tolerance(tol)
    deadline = None if time_limit is None else start + check_positive(time_limit, "time_limit")
    objective = problem.objective(network)
    misfit = largest_residual(problem, network.predict(problem.X), objective)
    known = [_known(problem, vector, result) for vector, result in pricings]
    if pricer is not None:
        pricer = _fitting(pricer, problem)
    elif patterns is not None or not known:
        pricer = _pricer(problem, patterns)
    points = [feasible_dual(problem, candidate) for candidate in _candidates(problem, network, nu)]
    bounds = [_Bound(problem, point, pricer, deadline, misfit) for point in points]
    bounds += [_Bound(problem, point, None, deadline, misfit, result) for point, result in known]
    best = max(bounds, key=lambda b: b.value)
    listed = _best(b.listed for b in bounds)
    zero = rounding_of_zero(problem)
    # The gap is that of the objective in exact arithmetic.
    upper = objective if objective <= zero else objective + rounding_of_objective(problem, network, objective)
    found = improve(problem, network, [pricing for b in bounds for pricing in b.pricings])
    better = _better(problem, [found, rival], objective, upper)
    gap = relative_gap(upper, best.value, zero)
    listed_gap = None if listed is None else relative_gap(upper, listed, zero)
    better_objective = _objective_of(problem, better, best.value)
    refuted = better_objective is not None and better_objective < objective * (1 - tol)
    n_patterns = 0 if pricer is None else len(pricer.patterns)
    proven = ListedBound(best.value, best.point.nu, best.scale, best.pricing_bound, best.method, listed)
    certificate = bounded_certificate(
        problem, network, proven, objective=objective, gap=gap, listed=listed, listed_gap=listed_gap, tol=tol,
        misfit=misfit, n_patterns=n_patterns, start=start, refuted=refuted,
    )  # fmt: skip
    every = best.every
    return replace(
        certificate, improved=better, improved_objective=better_objective, work=dict(every.work), proof=every.proof
    )


def _better(
    problem: TrainingProblem, networks: Sequence[ShallowNetwork | None], objective: float, upper: float
) -> ShallowNetwork | None:
    """The best network whose objective is below the given one, as computed and with all rounding counted."""
    known = [(problem.objective(network), network) for network in networks if network is not None]
    for value, network in sorted(known, key=lambda pair: pair[0]):
        if value < objective and value + rounding_of_objective(problem, network, value) < upper:
            return network
    return None


def _objective_of(problem: TrainingProblem, network: ShallowNetwork | None, lower: float) -> float | None:
    """The objective as computed; with its rounding added where it computes as less than any network has."""
    if network is None:
        return None
    value = problem.objective(network)
    if problem.loss.name == "interpolation" or value >= lower * (1 - _POSSIBLE):
        return value
    return value + rounding_of_objective(problem, network, value)


class _Bound:
    """One dual vector's lower bound over all networks, and over the listed patterns if the list is not complete."""

    def __init__(
        self,
        problem: TrainingProblem,
        point: DualPoint,
        pricer: CellPricer | None,
        deadline: float | None,
        misfit: float,
        given: PricingResult | None = None,
    ) -> None:
        self.point = point
        complete = pricer is not None and pricer.complete
        self.cells: PricingResult | None = None
        if pricer is not None:
            self.cells = pricer.price(point.nu, threshold=problem.reg * (1 - 1e-9), deadline=deadline)
        if given is not None:
            self.every = given
        else:
            self.every = self.cells if complete and self.cells is not None else _outright(problem, point.nu)
        every = self.every
        extra = point.pricing_slack(problem)
        self.pricing_bound, self.method = every.bound + extra, every.method
        self.value, self.scale = dual_bound(problem, point, self.pricing_bound, misfit=misfit)
        self.listed: float | None = None
        if self.cells is not None and not complete:
            self.listed = max(self.value, dual_bound(problem, point, self.cells.bound + extra, misfit=misfit)[0])
        self.pricings = [result for result in (self.cells, every) if result is not None]


def _known(problem: TrainingProblem, vector: Any, result: PricingResult) -> tuple[DualPoint, PricingResult]:
    """A given bound, if it bounds M of a dual vector that is feasible as it stands."""
    vector = _dual_vector(vector, problem)
    point = feasible_dual(problem, vector)
    if not np.array_equal(point.nu, vector):
        raise ProblemError("The nu of a given pricing must be feasible as it is: price feasible_dual(problem, nu).nu.")
    if result.scope != "all":
        raise ProblemError(f"A given pricing must bound every direction; this one has scope {result.scope!r}.")
    return point, result


def _pricer(problem: TrainingProblem, patterns: PatternSet | None) -> CellPricer | None:
    """Cells to price: the given ones, else all of them where listing them takes seconds."""
    if not problem.scalar:
        if patterns is not None:
            raise ProblemError("Activation patterns certify scalar outputs; leave patterns out for several outputs.")
        return None
    if patterns is None and problem.d > 1 and enumerable(problem):
        from ..arrangements import enumerate_patterns

        patterns = enumerate_patterns(problem.extended)
    return None if patterns is None else CellPricer(problem, patterns)


def _outright(problem: TrainingProblem, nu: np.ndarray) -> PricingResult:
    """A bound over every direction without a list of cells: exact for one feature."""
    return price_univariate(problem, nu) if problem.d == 1 else price_spectral(problem, nu)


def _fitting(pricer: CellPricer, problem: TrainingProblem) -> CellPricer:
    """A prepared pricer, if it prices the neurons of this problem."""
    pricer.patterns.check(problem.extended)
    for name in ("kappa", "bias", "norm"):
        ours, theirs = getattr(problem, name), getattr(pricer.problem, name)
        if ours != theirs:
            raise PatternError(f"pricer belongs to a problem with {name} = {theirs!r}, not {ours!r}.")
    return pricer


def _candidates(problem: TrainingProblem, network: ShallowNetwork, nu: Any) -> list[np.ndarray]:
    """Dual vectors to try: the given ones, the network's own residual, the null model's residual."""
    found = own_duals(problem, network, nu)
    return found if problem.loss.name == "interpolation" else [*found, *_null_dual(problem)]


def own_duals(
    problem: TrainingProblem, network: ShallowNetwork | ThresholdNetwork, nu: Any
) -> list[np.ndarray]:
    """The given dual vectors and the network's own residual; at least one vector."""
    found = dual_vectors(problem, nu)
    if problem.loss.name == "interpolation":
        return found or [problem.y]
    own = -problem.gradient(network.predict(problem.X))
    return [*found, *([own] if np.isfinite(own).all() else [])] or [np.zeros_like(problem.y)]


def dual_vectors(problem: TrainingProblem, nu: Any) -> list[np.ndarray]:
    """The vectors in ``nu``: None, one, or a list of them.

    Raises
    ------
    ProblemError
        If one is no array of the shape of the targets or not finite.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> dual_vectors(TrainingProblem([[1.0]], [2.0], reg=1.0), [[0.5]])
    [array([0.5])]
    """
    given: list[Any] = [] if nu is None else list(nu) if _is_list(nu) else [nu]
    return [_dual_vector(candidate, problem) for candidate in given]


def _dual_vector(candidate: Any, problem: TrainingProblem) -> np.ndarray:
    try:
        vector = np.asarray(candidate, dtype=np.float64)
    except (TypeError, ValueError):
        raise ProblemError(f"nu must be numbers of shape {problem.y.shape}, got {type(candidate).__name__}.") from None
    if vector.shape != problem.y.shape:
        raise ProblemError(f"nu must have shape {problem.y.shape}, got {vector.shape}.")
    if not np.isfinite(vector).all():
        raise ProblemError("nu has NaN or infinite entries.")
    return vector


def _null_dual(problem: TrainingProblem) -> list[np.ndarray]:
    """Residual of the null model, which is the best simple guess for loose bounds; none where it has no optimum."""
    try:
        return [-problem.gradient(null_prediction(problem))]
    except ProblemError:
        return []


def _is_list(nu: Any) -> bool:
    return isinstance(nu, Iterable) and not isinstance(nu, np.ndarray) and all(np.ndim(item) > 0 for item in nu)


def _best(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
