"""What a solve returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..certificates.certificate import Certificate
from ..networks.gated import GatedNetwork
from ..networks.shallow import ShallowNetwork
from ..solvers.result import Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Progress", "Solution"]

STATUS = {
    "solved": "the requested relative gap was proven",
    "time_limit": "stopped at the time limit with the best bounds so far",
    "iteration_limit": "stopped at the iteration limit with the best bounds so far",
    "callback": "stopped by the callback with the best bounds so far",
    "interrupted": "interrupted; the best bounds so far",
    "stalled": "no further progress in floating point; the bounds hold",
    "not_proven": "the method finished, but the requested relative gap was not proven",
}


LONGER = "convexnet.certify(problem, network, time_limit=...) searches longer for a proof"


@dataclass(frozen=True, eq=False)
class Solution:
    """A network, its objective, and what is proven about it.

    Attributes
    ----------
    network : ShallowNetwork, GatedNetwork or ThresholdNetwork
    objective : float
        ``problem.objective(network)`` (``gated_objective`` for a gated network).
    certificate : Certificate
    status : str
        ``solved``, ``time_limit``, ``iteration_limit``, ``callback``, ``interrupted``, ``stalled`` or ``not_proven``;
        see ``message``.
    patterns : PatternSet, FacePatterns or None
        The activation patterns used and whether they are complete; None where none were listed.
    history : tuple of Progress
        One record a round of cell generation (its bounds are proven, over the listed patterns) or a step of a fast
        solver. The lower bounds of ``relu`` are what the pricing heuristic suggests.
    method : str
        The method that was used, e.g. ``cells``, ``relu`` or ``gated (ssnal)``.
    problem : TrainingProblem
    random_state : int
    wall_time : float
        Seconds, enumeration included.
    pricing_gap : float or None
        ``relu``: the relative gap if no neuron prices higher than those that its search met. A heuristic, not proven:
        the proven gap is ``certificate.gap``. None for the other methods.

    Examples
    --------
    >>> from convexnet import TrainingProblem, solve
    >>> solution = solve(TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1))
    >>> solution.status, solution.size, solution.method
    ('solved', 2, 'spline')
    """

    network: Any
    objective: float
    certificate: Certificate
    status: str
    patterns: Any
    history: tuple[Progress, ...]
    method: str
    problem: TrainingProblem
    random_state: int
    wall_time: float
    pricing_gap: float | None = None

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return STATUS[self.status]

    def __repr__(self) -> str:
        heuristic = "" if self.pricing_gap is None else f"pricing gap (heuristic)={self.pricing_gap:.3g}, "
        return (
            f"Solution(objective={self.objective:.9g}, neurons={self.size}, verdict={self.certificate.verdict!r}, "
            f"gap={self.certificate.gap:.3g}, {heuristic}method={self.method!r}, status={self.status!r})"
        )

    @property
    def size(self) -> int:
        """Number of neurons (of gates, for a gated network)."""
        return self.network.n_gates if isinstance(self.network, GatedNetwork) else self.network.n_neurons

    def summary(self) -> str:
        """Several lines for people."""
        kind = "gates" if isinstance(self.network, GatedNetwork) else "neurons"
        listed = "no activation patterns listed" if self.patterns is None else self.patterns.summary()
        lines = [
            repr(self.problem),
            f"  method {self.method}: {self.status} ({self.message})",
            f"  {listed}",
            f"  {kind} {self.size}, steps {len(self.history)}, {self.wall_time:.1f} s",
        ]
        if self.pricing_gap is not None:
            lines.append(f"  pricing gap (heuristic) {self.pricing_gap:.2e}: no proof, unlike the bounds below")
        lines.append(self.certificate.summary())
        if self.certificate.verdict == "bound" and isinstance(self.network, ShallowNetwork):
            lines.append(f"  {LONGER}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON; None where nothing finite is known."""
        return {
            "objective": self.objective, "status": self.status, "message": self.message, "method": self.method,
            "pricing_gap_heuristic": _finite(self.pricing_gap),
            "network": self.network.to_dict(), "certificate": self.certificate.to_dict(),
            "patterns": None if self.patterns is None else self.patterns.to_dict(),
            "history": [{name: _finite(value) for name, value in vars(record).items()} for record in self.history],
            "random_state": self.random_state, "wall_time": self.wall_time,
        }  # fmt: skip


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
