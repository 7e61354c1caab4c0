"""The result of gradient training from several random starts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SolverError

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork

__all__ = ["TrainingRuns"]


@dataclass(frozen=True, eq=False, repr=False)
class TrainingRuns:
    """Networks trained by gradients, one per random start, each measured by ``problem.objective``.

    Nothing here bounds how far these networks are from the best one: that takes a lower bound
    (:func:`convexnet.certify`, :func:`convexnet.compare`).

    Attributes
    ----------
    method, backend : str
    width : int
        Neurons per network.
    networks : tuple of ShallowNetwork or None
        The best balanced network met by each start; None where the start diverged.
    objectives : ndarray of shape (n_starts,)
        ``problem.objective`` of each network; ``inf`` where the start diverged.
    iterations : ndarray of shape (n_starts,)
        Iterations (L-BFGS) or parameter updates (Adam, SGD) of each start.
    time : float
        Wall seconds for all starts together.
    seed : int
        Seed that repeats the runs.
    ended : {"finished", "time limit", "callback", "diverged"}
        Why training ended.
    options : dict
        Learning rate, batch size and iteration limit that were used.
    versions : dict
        Package versions.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> from convexnet.baselines import train
    >>> problem = TrainingProblem([[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> runs = train(problem, width=20, n_starts=3)
    >>> runs.best_objective == min(problem.objective(network) for network in runs.networks)
    True
    """

    method: str
    backend: str
    width: int
    networks: tuple[ShallowNetwork | None, ...]
    objectives: np.ndarray
    iterations: np.ndarray
    time: float
    seed: int
    ended: str = "finished"
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def n_diverged(self) -> int:
        """Number of starts that diverged."""
        return int(np.sum(~np.isfinite(self.objectives)))

    @property
    def best(self) -> ShallowNetwork:
        """The network with the lowest objective.

        Raises
        ------
        SolverError
            If every start diverged.
        """
        network = self.networks[int(np.argmin(self.objectives))]
        if network is None:
            raise SolverError(
                f"All {len(self.networks)} starts of {self.method} diverged; pass a smaller learning_rate, "
                "or method='lbfgs'."
            )
        return network

    @property
    def best_objective(self) -> float:
        """The lowest objective (``inf`` if every start diverged)."""
        return float(np.min(self.objectives))

    @property
    def median_objective(self) -> float:
        """The median over the starts, those that diverged counted as ``inf``."""
        ordered = np.sort(self.objectives)
        low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
        return float(low if low == high else 0.5 * (low + high)) if math.isfinite(high) else math.inf

    def summary(self) -> str:
        """Several lines for people."""
        diverged = f", {self.n_diverged} diverged" if self.n_diverged else ""
        return (
            f"{self.method} ({self.backend}), width {self.width}, {len(self.networks)} random starts{diverged}\n"
            f"  best objective     {self.best_objective:.9g}\n"
            f"  median objective   {self.median_objective:.9g}\n"
            f"  worst objective    {float(np.max(self.objectives)):.9g}\n"
            f"  iterations         {int(self.iterations.min())} to {int(self.iterations.max())}, ended: {self.ended}\n"
            f"  time               {self.time:.2f} s, seed {self.seed}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists for JSON; an infinite objective becomes None."""
        return {
            "method": self.method,
            "backend": self.backend,
            "width": self.width,
            "objectives": [float(v) if math.isfinite(v) else None for v in self.objectives],
            "iterations": self.iterations.tolist(),
            "time": self.time,
            "seed": self.seed,
            "ended": self.ended,
            "options": dict(self.options),
            "versions": dict(self.versions),
            "networks": [None if network is None else network.to_dict() for network in self.networks],
        }

    def __repr__(self) -> str:
        return (
            f"TrainingRuns(method={self.method!r}, width={self.width}, n_starts={len(self.networks)}, "
            f"best={self.best_objective:.9g}, median={self.median_objective:.9g}, time={self.time:.2f}s)"
        )
