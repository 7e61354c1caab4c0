"""The certificate: a proven lower bound over networks of every width, the value of one network, and a verdict."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._printing import rounded_down, rounded_up
from ..networks.shallow import ShallowNetwork

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Certificate"]

_WORDS = {
    "optimal": "OPTIMAL: no network of any width is better by more than the gap.",
    "listed": "LISTED: within the tolerance of the best network with listed activation patterns; others may be better.",
    "bound": "BOUND: the lower bound holds, but it does not reach the tolerance.",
    "refuted": "REFUTED: a network better by more than the tolerance was found (see improved).",
}


@dataclass(frozen=True, eq=False)
class Certificate:
    r"""What is proven about one network and one training problem.

    Attributes
    ----------
    verdict : {"optimal", "bound", "refuted", "listed"}
        ``optimal``: ``gap <= tol`` for all networks of any width. ``bound``: only the lower bound is proven.
        ``refuted``: ``improved`` is better by more than ``tol``, so a gap of ``tol`` is impossible. ``listed``: within
        ``tol`` of the best network whose neurons have listed activation patterns; nothing more. The claims rest on
        the data, on ``nu`` and on ``PatternSet.proven`` (sealed by the enumeration), never on what
        a solver reported.
    upper_bound : float
        Objective of the network.
    lower_bound : float
        No network of any width has a lower objective (interpolation: none whose residuals are all at most ``misfit``;
        infinite if no network fits).
    gap : float
        ``(upper_bound - lower_bound) / upper_bound``, the rounding error of the computed objective added to it; 0 for
        an objective that rounding cannot tell from zero.
    tol : float
        Relative gap asked for.
    scope : str
        The class over which the verdict holds, in words.
    nu : ndarray of shape (n,) or (n, k)
        Dual vector of ``lower_bound``; ``scale * nu`` is dual feasible.
    scale : float
    pricing_bound : float
        Proven upper bound of ``M(nu)``.
    method : str
        How ``pricing_bound`` was obtained.
    bound_class : str
        The class over which ``lower_bound`` holds (another one only for gated networks).
    listed_lower_bound, listed_gap : float or None
        The bound and gap over the listed patterns, when the list is not complete.
    misfit : float
        Interpolation: the largest ``|f - y|`` of the network, which a computed fit never makes exactly zero.
    n_patterns : int
        Number of activation patterns used (0 if none).
    improved : ShallowNetwork, ThresholdNetwork or None
        A better network, if one was found.
    improved_objective : float or None
        As computed; with its rounding added where that would be below the lower bound.
    conventions : dict
        Loss, reg, activation, bias rule, norm.
    data_hash : str
        SHA-256 of the data.
    wall_time : float
        Seconds.
    versions : dict
        Package versions.
    network : ShallowNetwork, ThresholdNetwork or None
        The judged network.
    problem : TrainingProblem or None
        The problem it is judged on (not part of :meth:`to_dict`).
    status : str
        Why the search for a better bound ended, e.g. ``target``, ``time_limit``, ``done``.
    work : mapping
        What the bound took: ``nodes``, ``iterations``, ``seconds``, ``bytes``.
    history : tuple of (seconds, objective, lower bound)
        How the best known objective and the bound approached each other.
    proof : mapping or None
        What a checker needs to verify ``pricing_bound`` without repeating the search, if it was kept.
    """

    verdict: str
    upper_bound: float
    lower_bound: float
    gap: float
    tol: float
    scope: str
    nu: np.ndarray
    scale: float
    pricing_bound: float
    method: str
    bound_class: str = "networks of any width"
    listed_lower_bound: float | None = None
    listed_gap: float | None = None
    misfit: float = 0.0
    n_patterns: int = 0
    improved: ShallowNetwork | None = None
    improved_objective: float | None = None
    conventions: dict[str, Any] = field(default_factory=dict)
    data_hash: str = ""
    wall_time: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    network: Any = None
    problem: TrainingProblem | None = None
    status: str = "done"
    work: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[tuple[float, float, float], ...] = ()
    proof: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return (
            f"Certificate(verdict={self.verdict!r}, objective={self.upper_bound:.9g}, "
            f"lower_bound={rounded_down(self.lower_bound)}, gap={self.gap:.3g}, scope={self.scope!r})"
        )

    def summary(self) -> str:
        """Several lines for people; every number is named."""
        bound, gap = rounded_down(self.lower_bound), f"relative gap {self.gap:.2e}{self._rounding_note()}"
        lines = [
            _WORDS[self.verdict],
            f"  objective of the network           {self.upper_bound:.9g}",
            f"  {'lower bound, ' + self.bound_class:<34} {bound}   ({gap})",
        ]
        if self.listed_lower_bound is not None and self.listed_gap is not None:
            bound = rounded_down(self.listed_lower_bound)
            # A network with other patterns may be better than every listed one.
            outside = math.isinf(self.listed_gap) and self.upper_bound < self.listed_lower_bound < math.inf
            relation = "the network is outside the list" if outside else f"relative gap {self.listed_gap:.2e}"
            lines.append(f"  lower bound, listed patterns only  {bound}   ({relation})")
        if self.improved_objective is not None:
            lines.append(f"  objective of the better network    {self.improved_objective:.9g}")
        if self.misfit > 0:
            lines.append(f"  over networks that fit as closely, largest residual {self.misfit:.3g}")
        lines.append(f"  scope: {self.scope}; tolerance {self.tol:.1e}")
        reg = self.conventions["reg"]
        lines.append(f"  proof: dual vector, M(nu) <= {rounded_up(self.pricing_bound)} by {self.method}, reg {reg:.6g}")
        return "\n".join(lines)

    def _rounding_note(self) -> str:
        """Said where the gap is mostly the rounding of the objective, as for data far from the origin."""
        plain = max(self.upper_bound - self.lower_bound, 0.0)
        mostly = math.isfinite(self.gap) and self.gap * abs(self.upper_bound) > 2 * plain + 1e-9 * abs(self.upper_bound)
        return ", rounding of the objective included" if mostly else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON; of a proof only its kind (:meth:`save` writes all of it)."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "problem"}
        plain["nu"] = self.nu.tolist()
        for name in ("improved", "network"):
            plain[name] = None if plain[name] is None else plain[name].to_dict()
        plain["proof"] = None if self.proof is None else self.proof.get("kind")
        plain["work"] = dict(self.work)
        plain["history"] = [list(entry) for entry in self.history]
        return plain

    def save(
        self, path: str | os.PathLike[str], *, embed_data: bool = True, time_limit: float = 60.0
    ) -> None:
        """Write a proof file that anyone can verify; where no proof was kept, one is made for the stored ``nu``.

        A proof is kept by ``certify(..., proof=True)``. Otherwise all cells are priced where they are few, and a search
        over cones (or the moment relaxation) repeats the bound in at most ``time_limit`` seconds; the file says which.

        Raises
        ------
        ProblemError
            If the certificate holds no problem or network, or the problem has several outputs.
        ProofFileError
            If the problem or bound has no proof format.
        """
        from ._saving import save

        save(self, path, embed_data, time_limit)

    @classmethod
    def load(cls, path: str | os.PathLike[str], data: Any = None) -> Certificate:
        """Read and verify a proof file: every number of the result is what the float checker verified.

        ``data`` is ``(X, y)`` or ``(X, y, sample_weight)`` where the file does not hold the data.

        Raises
        ------
        ProofFileError
            If the file is unreadable or does not verify.
        """
        from ._saving import load

        return load(path, data)
