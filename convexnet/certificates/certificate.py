"""The certificate: a proven lower bound over networks of every width, the value of one network, and a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._printing import rounded_down, rounded_up
from ..networks.shallow import ShallowNetwork

__all__ = ["Certificate", "relative_gap"]

_NOISE = 1e-6

_WORDS = {
    "optimal": "OPTIMAL: no network of any width is better by more than the gap.",
    "listed": "LISTED: within the tolerance of the best network with listed activation patterns; others may be better.",
    "bound": "BOUND: the lower bound holds, but it does not reach the tolerance.",
    "refuted": "REFUTED: a network better by more than the tolerance was found (see improved).",
}


def relative_gap(upper: float, lower: float, zero: float = 0.0) -> float:
    """Return ``(upper - lower) / upper``; rounding noise below zero is cut off.

    An ``upper`` up to ``zero`` counts as zero, and so does its gap (no objective is negative). Infinite where nothing
    is proven: a NaN, an infinite objective, or a lower bound that clearly exceeds the upper one.

    Examples
    --------
    >>> relative_gap(2.0, 1.0)
    0.5
    """
    if not math.isfinite(upper) or math.isnan(lower) or lower > upper + _NOISE * abs(upper):
        return math.inf
    return 0.0 if abs(upper) <= zero else max(0.0, (upper - lower) / abs(upper))


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
        ``(upper_bound - lower_bound) / upper_bound``; 0 for an objective that rounding cannot tell from zero.
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
    improved : ShallowNetwork or None
        A better network, if one was found.
    improved_objective : float or None
    conventions : dict
        Loss, reg, activation, bias rule, norm.
    data_hash : str
        SHA-256 of the data.
    wall_time : float
        Seconds.
    versions : dict
        Package versions.
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

    def __repr__(self) -> str:
        return (
            f"Certificate(verdict={self.verdict!r}, objective={self.upper_bound:.9g}, "
            f"lower_bound={rounded_down(self.lower_bound)}, gap={self.gap:.3g}, scope={self.scope!r})"
        )

    def summary(self) -> str:
        """Several lines for people; every number is named."""
        bound = rounded_down(self.lower_bound)
        lines = [
            _WORDS[self.verdict],
            f"  objective of the network           {self.upper_bound:.9g}",
            f"  {'lower bound, ' + self.bound_class:<34} {bound}   (relative gap {self.gap:.2e})",
        ]
        if self.listed_lower_bound is not None and self.listed_gap is not None:
            bound, gap = rounded_down(self.listed_lower_bound), self.listed_gap
            lines.append(f"  lower bound, listed patterns only  {bound}   (relative gap {gap:.2e})")
        if self.improved_objective is not None:
            lines.append(f"  objective of the better network    {self.improved_objective:.9g}")
        if self.misfit > 0:
            lines.append(f"  over networks that fit as closely, largest residual {self.misfit:.3g}")
        lines.append(f"  scope: {self.scope}; tolerance {self.tol:.1e}")
        reg = self.conventions["reg"]
        lines.append(f"  proof: dual vector, M(nu) <= {rounded_up(self.pricing_bound)} by {self.method}, reg {reg:.6g}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["nu"] = self.nu.tolist()
        plain["improved"] = None if self.improved is None else self.improved.to_dict()
        return plain
