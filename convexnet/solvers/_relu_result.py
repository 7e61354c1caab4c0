"""What the ReLU solver returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem
    from .result import Progress

__all__ = ["ReluResult", "Stopped"]


class Stopped(Exception):
    """The callback, the clock or the count of rounds ended a search."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, eq=False, repr=False)
class ReluResult:
    """A trained network of free width and how far the search for better neurons got.

    Attributes
    ----------
    network : ShallowNetwork
        The best network met, balanced.
    objective : float
        ``problem.objective(network)``.
    nu : ndarray of shape (n,) or (n, k)
        Dual vector of the pricing gap: minus the loss gradient (for losses with kinks, one of several) at the network
        or at one met shortly before.
    pricing_gap : float
        Relative gap between ``objective`` and the dual value of ``nu`` scaled by the largest ``|nu . sigma(X u)|`` that
        the search met. Heuristic: a neuron that the search missed makes the true gap larger.
    status : str
        ``solved`` (heuristic pricing gap at most tol), ``time_limit``, ``iteration_limit``,
        ``callback``, ``interrupted``, ``stalled``.
    message : str
        The status in words.
    iterations : int
        Rounds of smoothing and pricing.
    n_starts : int
        Random networks whose neurons went into the pool.
    history : tuple of Progress
        One entry for each improvement or pricing round.
    wall_time : float
        Seconds.
    problem : TrainingProblem
    """

    network: ShallowNetwork
    objective: float
    nu: np.ndarray
    pricing_gap: float
    status: str
    message: str
    iterations: int
    n_starts: int
    history: tuple[Progress, ...]
    wall_time: float
    problem: TrainingProblem

    @property
    def n_neurons(self) -> int:
        """Neurons of the network."""
        return self.network.n_neurons

    def __repr__(self) -> str:
        return (
            f"ReluResult(objective={self.objective:.9g}, neurons={self.n_neurons}, "
            f"pricing gap (heuristic)={self.pricing_gap:.2g}, status={self.status!r})"
        )

    def summary(self) -> str:
        """Return a few lines for people."""
        return (
            f"{self.problem!r}\n"
            f"  ReLU network, trained over all activation patterns\n"
            f"  objective                {self.objective:.9g}\n"
            f"  neurons                  {self.n_neurons}\n"
            f"  pricing gap (heuristic)  {self.pricing_gap:.2g}: no proof, certify(problem, network) looks for one\n"
            f"  status                   {self.status}: {self.message}\n"
            f"  work                     {self.iterations} rounds, {self.n_starts} starts, {self.wall_time:.3g} s"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings and lists."""
        return {
            "objective": self.objective, "pricing_gap_heuristic": self.pricing_gap, "status": self.status,
            "message": self.message, "n_neurons": self.n_neurons, "iterations": self.iterations,
            "n_starts": self.n_starts, "wall_time": self.wall_time, "network": self.network.to_dict(),
            "nu": self.nu.tolist(), "conventions": self.problem.conventions(),
        }  # fmt: skip
