r"""Where dual vectors come from: residuals, the relaxed training problem, and what lies between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConvexNetError
from ..pricing import DualPoint, dual_bound, feasible_dual

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["DualSource", "mixtures", "network_source", "relaxed_source", "target_value"]


@dataclass(frozen=True, eq=False)
class DualSource:
    """A feasible dual point, where it came from, and whether it is the residual of the best network known.

    Only for such a residual is an atom above reg a way to improve that network. ``share`` is that of the relaxation.
    """

    name: str
    point: DualPoint
    own: bool = False
    share: float = 0.0


def network_source(problem: TrainingProblem, network: ShallowNetwork, name: str) -> DualSource | None:
    """Minus the loss gradient at a network, made feasible; None for interpolation or where it overflows."""
    if problem.loss.name == "interpolation":
        return None
    nu = -problem.gradient(network.predict(problem.X))
    return DualSource(name, feasible_dual(problem, nu)) if np.isfinite(nu).all() else None


def relaxed_source(problem: TrainingProblem, time_limit: float) -> DualSource | None:
    """The best dual vector for the moment relaxation: minus the loss gradient at the relaxed training problem.

    References
    ----------
    Shor (1987) and Lasserre (2001) for moment relaxations; the joint program is that of programs.moment.
    """
    try:
        from ..pricing.relaxed_dual import joint_dual

        relaxed: Any = joint_dual(problem, time_limit=time_limit)
        return DualSource("relaxation", feasible_dual(problem, relaxed.nu))
    except (ImportError, ConvexNetError):
        return None


def mixtures(
    problem: TrainingProblem, own: DualSource, other: DualSource, shares: Sequence[float]
) -> list[DualSource]:
    """``(1 - theta) own + theta other`` for each share theta: with a search tree the best vector lies between."""
    found = []
    for theta in shares:
        nu = (1 - theta) * own.point.nu + theta * other.point.nu
        name = f"{own.name} + {theta:g} {other.name}"
        found.append(DualSource(name, feasible_dual(problem, nu), share=theta))
    return found


def target_value(problem: TrainingProblem, point: DualPoint, goal: float) -> float | None:
    """The largest pricing bound with which the dual point proves ``goal``; None if none does.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> from convexnet.pricing import feasible_dual
    >>> problem = TrainingProblem([[1.0]], [2.0], reg=1.0, bias="none")
    >>> round(target_value(problem, feasible_dual(problem, np.array([1.0])), 1.5 * (1 - 1e-6)), 5)
    1.0
    """
    best, top = dual_bound(problem, point, 1e-3 * problem.reg)
    if not best >= goal or top <= 0:
        return None
    value = problem.reg / _least_scale(problem, point, goal, best, top) * (1 - 1e-14)
    for step in (1e-14, 1e-12, 1e-10, 1e-8, 1e-6):  # rounding, and the cost of the slack, which grows with the scale
        if dual_bound(problem, point, value)[0] >= goal:
            break
        value *= 1 - step
    else:
        return None
    slack = point.pricing_slack(problem)
    return value - slack if value > slack else None


def _least_scale(problem: TrainingProblem, point: DualPoint, goal: float, best: float, top: float) -> float:
    """The smallest scale of nu whose dual value is the goal: a concave function that rises up to ``top``."""
    loss, y, weight = problem.loss, problem.y, problem.sample_weight
    goal += max(loss.dual_bound(top * point.nu, y, weight) - best, 0.0)  # what the slack costs
    low, high = min(1e-3, top), top
    for _ in range(80):
        middle = float(np.sqrt(low * high))
        if not low < middle < high:
            break
        low, high = (low, middle) if loss.dual_bound(middle * point.nu, y, weight) >= goal else (middle, high)
    return high
