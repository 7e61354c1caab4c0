"""What the solvers for one input variable return."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._printing import rounded_down, rounded_up
from ..errors import ProblemError
from ..pricing import relative_gap
from ._spline_objective import spline_objective
from .result import STATUS

if TYPE_CHECKING:
    from ..networks.linear_spline import LinearSpline
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem
    from .result import Progress

__all__ = ["SplineResult"]

WORSE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class SplineResult:
    """A function of one variable, the network that computes it, and a proven lower bound over all networks.

    Attributes
    ----------
    spline : LinearSpline or None
        The function (None where a solver returns a network only).
    network : ShallowNetwork
        The same function. ``problem.objective(network)`` is ``objective`` up to the rounding of its predictions, which
        is felt for slopes of 1e8 and more (spacings of 1e-9) and for x far from 0: then ``spline`` predicts better.
    objective : float
        Loss plus reg times path norm of the ``spline``, evaluated in extended precision.
    lower_bound : float
        No network of any width has a smaller objective; from ``nu``, rounding included.
    gap : float
        ``(objective - lower_bound) / objective``.
    nu : ndarray of shape (n,)
        Dual vector behind the lower bound, one entry a sample; rounded to double precision, while the bound may be that
        of a vector in extended precision.
    status : {"solved", "time_limit", "iteration_limit", "callback", "interrupted", "stalled"}
        ``solved``: ``gap <= tol``.
    iterations : int
    method : str
    history : tuple of Progress
    wall_time : float
        Seconds.
    problem : TrainingProblem

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> from convexnet.solvers import solve_spline
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1, bias="free", skip=True)
    >>> result = solve_spline(problem)
    >>> result.spline.knots, round(result.spline.total_variation, 6), result.status
    (array([1.]), 1.4, 'solved')
    """

    spline: LinearSpline | None
    network: ShallowNetwork
    objective: float
    lower_bound: float
    gap: float
    nu: np.ndarray
    status: str
    iterations: int
    method: str
    history: tuple[Progress, ...]
    wall_time: float
    problem: TrainingProblem

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return STATUS[self.status]

    @property
    def n_neurons(self) -> int:
        """Neurons of the network."""
        return self.network.n_neurons

    def sparsest(self) -> SplineResult:
        """Return the result with the fewest knots: same values on the data (of positive weight), same objective.

        It applies where knots cost their kink alone: free biases and a skip connection. Where abscissae are so close
        that rounding the new knots would raise the objective, the knots stay where they are.

        Raises
        ------
        ProblemError
            If moving a knot changes its cost (penalised biases, no skip connection), or there is no spline.

        References
        ----------
        Debarre, Denoyelle, Unser and Fageot (2022), "Sparsest piecewise-linear regression of one-dimensional data".

        Examples
        --------
        >>> from convexnet import TrainingProblem
        >>> from convexnet.solvers import solve_spline
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 0.0, 1.0, 3.0]
        >>> result = solve_spline(TrainingProblem(X, y, loss="interpolation", bias="free", skip=True))
        >>> result.spline.n_knots, result.sparsest().spline.knots
        (2, array([1.5]))
        """
        problem = self.problem
        if self.spline is None or problem.bias != "free" or not problem.skip:
            raise ProblemError(
                "The sparsest solution is known for bias='free' with skip=True, where a knot may move at no cost."
            )
        counted = slice(None) if problem.sample_weight is None else problem.sample_weight > 0
        spline = self.spline.sparsest(problem.X[counted])
        if spline is self.spline:
            return self
        network = spline.to_network(problem.activation, problem.negative_slope)
        objective = spline_objective(problem, spline)
        if not objective <= self.objective * (1 + WORSE):
            return self
        gap = relative_gap(objective, self.lower_bound)
        return replace(self, spline=spline, network=network, objective=objective, gap=gap)

    def __repr__(self) -> str:
        return (
            f"SplineResult(objective={self.objective:.9g}, gap={rounded_up(self.gap, 3)}, neurons={self.n_neurons}, "
            f"status={self.status!r}, method={self.method!r})"
        )

    def summary(self) -> str:
        """Several lines for people."""
        return "\n".join(
            [
                repr(self.problem),
                f"  function of one variable, method {self.method}",
                f"  {self.status}: {self.message}",
                f"  objective    {rounded_up(self.objective)}",
                f"  lower bound  {rounded_down(self.lower_bound)}  (relative gap {rounded_up(self.gap, 3)})",
                f"  neurons      {self.n_neurons}",
                f"  iterations {self.iterations}, {self.wall_time:.2f} s",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers (None for infinite ones), strings and lists, for JSON."""
        return {
            "objective": _finite(self.objective), "lower_bound": _finite(self.lower_bound), "gap": _finite(self.gap),
            "status": self.status,
            "message": self.message, "method": self.method, "iterations": self.iterations, "nu": self.nu.tolist(),
            "spline": None if self.spline is None else self.spline.to_dict(), "network": self.network.to_dict(),
            "history": [{name: _finite(value) for name, value in vars(record).items()} for record in self.history],
            "wall_time": self.wall_time,
            "conventions": self.problem.conventions(),
        }  # fmt: skip


def _finite(value: float) -> float | None:
    """A number for JSON, which has no infinity."""
    return value if math.isfinite(value) else None
