"""Gradient-trained networks beside a convex solution, all measured against one proven lower bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._printing import rounded_down
from .._validation import check_choice
from .._versions import versions
from ..baselines.training import METHODS, train
from ..errors import ProblemError
from ..networks.shallow import ShallowNetwork
from ..problem import require_path_norm

if TYPE_CHECKING:
    from ..baselines.runs import TrainingRuns
    from ..problem import TrainingProblem
    from .solution import Solution

__all__ = ["Comparison", "ComparisonRow", "compare", "relative_excess"]

_NOT_FOR_LBFGS = ("learning_rate", "batch_size")


def relative_excess(objective: float, lower_bound: float) -> float:
    """Return ``(objective - lower_bound) / lower_bound``; ``inf`` when the bound is zero and the objective is not.

    Examples
    --------
    >>> relative_excess(3.0, 2.0), relative_excess(1.0, 0.0), relative_excess(0.0, 0.0)
    (0.5, inf, 0.0)
    """
    if lower_bound > 0:
        return (objective - lower_bound) / lower_bound
    return 0.0 if objective <= lower_bound else math.inf


@dataclass(frozen=True)
class ComparisonRow:
    """One method: objectives of its networks and their excess over the lower bound.

    Attributes
    ----------
    method : str
        ``convex`` or the name of a gradient method.
    width : int
        Neurons of the convex solution, or of each trained network.
    n_starts, n_diverged : int
        Random starts, and how many of them diverged (1 and 0 for the convex solution).
    best, median : float
        Objective over the starts.
    excess_best, excess_median : float
        ``(objective - lower_bound) / lower_bound``.
    time : float
        Seconds for all starts together.
    """

    method: str
    width: int
    n_starts: int
    n_diverged: int
    best: float
    median: float
    excess_best: float
    excess_median: float
    time: float

    def line(self) -> str:
        """One line of the table."""
        note = f"  ({self.n_diverged} of {self.n_starts} diverged)" if self.n_diverged else ""
        return (
            f"{self.method:<8}{self.width:>6}{self.n_starts:>7}{self.best:>15.9g}{self.median:>15.9g}"
            f"{self.excess_best:>13.2e}{self.excess_median:>15.2e}{self.time:>9.2f}{note}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Objectives of a convex solution and of gradient-trained networks, relative to a proven lower bound.

    Attributes
    ----------
    rows : tuple of ComparisonRow
        The convex solution first.
    lower_bound : float
        No network of any width has a lower objective (``solution.certificate.lower_bound``).
    verdict : str
        Verdict of the solution's certificate.
    solution : Solution
    runs : dict of str to TrainingRuns
        The trained networks by method.
    versions : dict
        Package versions.
    """

    rows: tuple[ComparisonRow, ...]
    lower_bound: float
    verdict: str
    solution: Solution
    runs: dict[str, TrainingRuns] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """The table, at most 100 columns wide."""
        columns = (
            f"{'method':<8}{'width':>6}{'starts':>7}{'best':>15}{'median':>15}"
            f"{'excess best':>13}{'excess median':>15}{'time (s)':>9}"
        )
        return "\n".join([*self._header(), columns, "-" * len(columns), *(row.line() for row in self.rows)])

    def _header(self) -> list[str]:
        bound = f"lower bound over networks of every width {rounded_down(self.lower_bound)}"
        if self.verdict == "optimal":
            return [f"relative excess over the certified optimum: {bound},", f"proven gap {self._gap():.1e}"]
        meaning = {
            "listed": "the convex row is judged over the listed activation patterns only",
            "refuted": "a network better than the convex row was found",
        }.get(self.verdict, "the bound does not reach the tolerance")
        return [f"relative excess over the proven lower bound: {bound};", f"{meaning}, proven gap {self._gap():.1e}"]

    def _gap(self) -> float:
        return self.solution.certificate.gap

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists for JSON; an infinite value becomes None."""
        rows = [{key: _plain(value) for key, value in vars(row).items()} for row in self.rows]
        return {
            "lower_bound": self.lower_bound,
            "verdict": self.verdict,
            "gap": _plain(self._gap()),
            "rows": rows,
            "runs": {method: runs.to_dict() for method, runs in self.runs.items()},
            "versions": dict(self.versions),
        }

    def __repr__(self) -> str:
        excess = ", ".join(f"{row.method}={row.excess_best:.2e}" for row in self.rows)
        bound = rounded_down(self.lower_bound)
        return f"Comparison(lower_bound={bound}, verdict={self.verdict!r}, excess_best: {excess})"


def compare(
    problem: TrainingProblem,
    solution: Solution | None = None,
    *,
    methods: Sequence[str] = ("sgd", "adam", "lbfgs"),
    width: int = 100,
    n_starts: int = 8,
    random_state: int | None = 0,
    time_limit: float | None = None,
    **options: Any,
) -> Comparison:
    r"""Train networks by gradients and place them beside a convex solution of the same problem.

    Every network is measured by ``problem.objective`` and set against the lower bound :math:`L` of the solution's
    certificate, which holds for networks of every width: the excess shown is ``(objective - L) / L``.

    Parameters
    ----------
    problem : TrainingProblem
    solution : Solution, optional
        Of this problem; by default :func:`convexnet.solve` is called with its default options.
    methods : sequence of {"sgd", "adam", "lbfgs"}
    width, n_starts, random_state
        Of the gradient methods; see :func:`convexnet.baselines.train`.
    time_limit : float, optional
        Seconds for each method, and for the convex solution if it is computed here.
    **options
        Further options of :func:`convexnet.baselines.train`, e.g. ``max_iter``; L-BFGS has no ``learning_rate`` or
        ``batch_size`` and is not passed them.

    Returns
    -------
    Comparison

    Raises
    ------
    ProblemError
        If a method is unknown, the solution belongs to another problem, or it is a gated network.

    References
    ----------
    Pilanci and Ergen (2020), section 5: convex programs beside gradient descent.

    Examples
    --------
    >>> from convexnet import TrainingProblem, compare
    >>> problem = TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> comparison = compare(problem, methods=["lbfgs"], width=20, n_starts=2, max_iter=300)
    >>> [row.method for row in comparison.rows]
    ['convex', 'lbfgs']
    """
    require_path_norm(problem, "compare")
    names = _check_methods(methods)
    if solution is None:
        from .front import solve

        limits: dict[str, Any] = {} if time_limit is None else {"time_limit": time_limit}
        solution = solve(problem, **limits)
    _check_solution(problem, solution)
    runs: dict[str, TrainingRuns] = {}
    for method in names:
        own = {k: v for k, v in options.items() if method != "lbfgs" or k not in _NOT_FOR_LBFGS}
        runs[method] = train(
            problem, method=method, width=width, n_starts=n_starts, random_state=random_state, time_limit=time_limit,
            **own,
        )  # fmt: skip
    bound = solution.certificate.lower_bound
    rows = (_convex_row(solution, bound), *(_trained_row(run, bound) for run in runs.values()))
    return Comparison(rows, bound, solution.certificate.verdict, solution, runs, versions())


def _check_methods(methods: Sequence[str]) -> tuple[str, ...]:
    if isinstance(methods, str):
        methods = (methods,)
    names = tuple(dict.fromkeys(check_choice(method, "methods", METHODS) for method in methods))
    if not names:
        raise ProblemError(f"methods is empty; name at least one of {', '.join(METHODS)}.")
    return names


def _check_solution(problem: TrainingProblem, solution: Solution) -> None:
    """The lower bound must be that of this very problem."""
    if not isinstance(solution.network, ShallowNetwork):
        raise ProblemError(
            "The solution is a gated network: a different problem, whose bound says nothing about ReLU networks. "
            "Pass convexnet.solve(problem) with another method."
        )
    other = solution.problem
    if other.data_hash != problem.data_hash or other.conventions() != problem.conventions():
        raise ProblemError(
            "The solution belongs to another problem (data, loss, reg or conventions differ); pass "
            "solution=None to solve this one, or compare(solution.problem, solution)."
        )


def _convex_row(solution: Solution, bound: float) -> ComparisonRow:
    value, network = solution.objective, solution.network
    excess = relative_excess(value, bound)
    neurons = network.n_neurons if isinstance(network, ShallowNetwork) else 0
    return ComparisonRow("convex", neurons, 1, 0, value, value, excess, excess, solution.wall_time)


def _trained_row(runs: TrainingRuns, bound: float) -> ComparisonRow:
    best, median = runs.best_objective, runs.median_objective
    return ComparisonRow(
        runs.method, runs.width, len(runs.networks), runs.n_diverged, best, median,
        relative_excess(best, bound), relative_excess(median, bound), runs.time,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
