"""What a regularization path returns: one point for each value of reg, and the table of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._printing import rounded_down, rounded_up
from ..networks.gated import GatedNetwork
from ..networks.shallow import ShallowNetwork

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["PathPoint", "RegularizationPath"]

STATUS = {
    "done": "every value of reg was reached",
    "time_limit": "stopped at the time limit: the points up to there, the last perhaps less accurate",
    "callback": "stopped by the callback: the points up to there",
    "interrupted": "interrupted: the points up to there",
}


@dataclass(frozen=True, eq=False, repr=False)
class PathPoint:
    """The network at one value of reg.

    Attributes
    ----------
    reg : float
    objective : float
        ``loss + reg * penalty``.
    loss : float
        Training loss, summed over the samples.
    penalty : float
        Path norm (gated: group norm) of the network.
    lower_bound : float
        Proven, over the class named by ``RegularizationPath.scope``.
    gap : float
        ``(objective - lower_bound) / objective``, proven.
    bound_method : str
        What bounds the pricing value: ``gates``, ``cells``, ``moment relaxation`` or ``singular values``.
    pricing_gap : float or None
        ReLU: the gap if the search for neurons missed none. Heuristic, not proven. None for gated networks.
    neurons : int
        Neurons, or gates with non-zero weights.
    seconds : float
        Spent on this point.
    status : str
        Of the solver at this point, e.g. ``solved`` or ``time_limit``.
    network : ShallowNetwork or GatedNetwork
    """

    reg: float
    objective: float
    loss: float
    penalty: float
    lower_bound: float
    gap: float
    bound_method: str
    pricing_gap: float | None
    neurons: int
    seconds: float
    status: str
    network: ShallowNetwork | GatedNetwork

    def __repr__(self) -> str:
        heuristic = "" if self.pricing_gap is None else f", pricing gap (heuristic)={self.pricing_gap:.2g}"
        return (
            f"PathPoint(reg={self.reg:.6g}, objective={self.objective:.9g}, neurons={self.neurons}, "
            f"gap={rounded_up(self.gap, 3)}{heuristic}, status={self.status!r})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON; None where nothing finite is known."""
        plain = {name: _finite(getattr(self, name)) for name in self.__dataclass_fields__}
        plain["pricing_gap_heuristic"] = plain.pop("pricing_gap")
        plain["network"] = self.network.to_dict()
        return plain


@dataclass(frozen=True, eq=False, repr=False)
class RegularizationPath:
    """Networks along decreasing reg, what is proven about each, and their errors on held-out folds.

    Attributes
    ----------
    points : tuple of PathPoint
        From the largest reg to the smallest.
    problem : TrainingProblem
        Its own ``reg`` plays no role.
    model : {"relu", "gated"}
    scope : str
        The class of networks over which the lower bounds hold.
    reg_max : float
        The largest useful reg of the model.
    reg_max_kind : {"exact", "heuristic"}
        ``heuristic``: the largest value that a search met; the true one may be larger.
    patterns : PatternSet or None
        The gates, or the cells that were listed for the lower bounds.
    fold_errors : ndarray of shape (folds, points), or None
        Mean loss of each fold's held-out rows under the network trained on the other rows, ``reg`` scaled by their
        share of the (weighted) rows. NaN where a fold ran out of time.
    status : {"done", "time_limit", "callback", "interrupted"}
    tol : float
    random_state : int
    wall_time : float
        Seconds, folds included.
    versions : dict
        Package versions.

    Examples
    --------
    >>> from convexnet import TrainingProblem, regularization_path
    >>> problem = TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=1.0)
    >>> path = regularization_path(problem, n_regs=5, smallest=0.01)
    >>> path.neurons[0], bool(path.objectives[0] > path.objectives[-1])
    (0, True)
    """

    points: tuple[PathPoint, ...]
    problem: TrainingProblem
    model: str
    scope: str
    reg_max: float
    reg_max_kind: str
    patterns: PatternSet | None
    fold_errors: np.ndarray | None
    status: str
    tol: float
    random_state: int
    wall_time: float
    versions: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return STATUS[self.status]

    @property
    def regs(self) -> np.ndarray:
        """Values of reg, decreasing."""
        return np.array([point.reg for point in self.points])

    @property
    def objectives(self) -> np.ndarray:
        """Objective at each point."""
        return np.array([point.objective for point in self.points])

    @property
    def gaps(self) -> np.ndarray:
        """Proven relative gap at each point."""
        return np.array([point.gap for point in self.points])

    @property
    def neurons(self) -> tuple[int, ...]:
        """Neurons (or gates in use) at each point."""
        return tuple(point.neurons for point in self.points)

    @property
    def validation(self) -> np.ndarray | None:
        """Mean over the folds of ``fold_errors``; NaN where a fold is missing; None without folds."""
        return None if self.fold_errors is None else self.fold_errors.mean(axis=0)

    @property
    def best_index(self) -> int | None:
        """Point with the smallest validation error; None without folds."""
        errors = self.validation
        return None if errors is None or np.isnan(errors).all() else int(np.nanargmin(errors))

    @property
    def best_reg(self) -> float | None:
        """Value of reg with the smallest validation error; None without folds."""
        return None if self.best_index is None else self.points[self.best_index].reg

    def __repr__(self) -> str:
        best = "" if self.best_reg is None else f", best_reg={self.best_reg:.6g}"
        largest = max((point.gap for point in self.points), default=math.nan)
        return (
            f"RegularizationPath(model={self.model!r}, points={len(self)}, "
            f"largest gap={rounded_up(largest, 3)}{best}, status={self.status!r})"
        )

    def summary(self) -> str:
        """A table, one line a point, and what its gaps are about."""
        exact = {"exact": "exact", "heuristic": "heuristic: the largest value that a search met"}[self.reg_max_kind]
        lines = [
            f"regularization path of {self.problem!r}",
            f"  {len(self)} points, {self.wall_time:.2f} s, {self.status}: {self.message}",
            f"  reg_max {self.reg_max:.9g} ({exact})",
            f"  gap: proven, over {self.scope}, by {', '.join(dict.fromkeys(p.bound_method for p in self.points))}",
        ]
        if self.model == "relu":
            lines.append("  pricing gap: heuristic, no proof")
        return "\n".join([*lines, *self._table()])

    def _table(self) -> list[str]:
        relu, errors = self.model == "relu", self.validation
        header = f"{'reg':>12}{'objective':>15}{'loss':>13}{'neurons':>9}{'lower bound':>15}{'gap':>10}"
        header += f"{'pricing gap':>13}" * relu + f"{'held-out':>12}" * (errors is not None) + f"{'s':>8}"
        lines = [header, "-" * len(header)]
        for index, point in enumerate(self.points):
            line = f"{point.reg:>12.6g}{point.objective:>15.9g}{point.loss:>13.6g}{point.neurons:>9d}"
            line += f"{rounded_down(point.lower_bound):>15}{rounded_up(point.gap, 2):>10}"
            if relu:
                line += f"{rounded_up(math.nan if point.pricing_gap is None else point.pricing_gap, 2):>13}"
            if errors is not None:
                line += f"{errors[index]:>12.6g}"
            mark = "  <- smallest held-out loss" if index == self.best_index else ""
            ended = "" if point.status == "solved" else f"  ({point.status})"
            lines.append(f"{line}{point.seconds:>8.2f}{ended}{mark}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON; None where nothing finite is known."""
        errors = None if self.fold_errors is None else [[_finite(v) for v in row] for row in self.fold_errors.tolist()]
        return {
            "model": self.model, "scope": self.scope, "reg_max": self.reg_max, "reg_max_kind": self.reg_max_kind,
            "status": self.status, "message": self.message, "tol": self.tol, "best_reg": self.best_reg,
            "points": [point.to_dict() for point in self.points], "fold_errors": errors,
            "patterns": None if self.patterns is None else self.patterns.to_dict(),
            "random_state": self.random_state, "wall_time": self.wall_time, "versions": dict(self.versions),
        }  # fmt: skip


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
