"""Certificates from bounds over all networks and, where not all patterns are listed, over the listed ones too."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._versions import versions
from .certificate import Certificate

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..networks.threshold import ThresholdNetwork
    from ..problem import TrainingProblem

__all__ = ["ListedBound", "best_bound", "bounded_certificate", "named_verdict"]


@dataclass(frozen=True, eq=False)
class ListedBound:
    """What one dual vector proves: over all networks, and over the listed patterns where they are not all."""

    value: float
    nu: np.ndarray
    scale: float
    pricing_bound: float
    method: str
    listed: float | None


def best_bound(bounds: list[ListedBound]) -> tuple[ListedBound, float | None]:
    """The best bound over all networks, and the best one over the list."""
    listed = max((bound.listed for bound in bounds if bound.listed is not None), default=None)
    return max(bounds, key=lambda bound: bound.value), listed


def bounded_certificate(
    problem: TrainingProblem, network: ShallowNetwork | ThresholdNetwork, best: ListedBound, *, objective: float,
    gap: float, listed: float | None, listed_gap: float | None, tol: float, misfit: float, n_patterns: int,
    start: float, refuted: bool = False,
) -> Certificate:  # fmt: skip
    """The verdict that the gaps allow, with everything that a certificate records."""
    verdict, scope = named_verdict(gap, listed_gap, tol, n_patterns, refuted)
    return Certificate(
        verdict=verdict,
        upper_bound=objective,
        lower_bound=best.value,
        gap=gap,
        tol=tol,
        scope=scope,
        nu=best.nu,
        scale=best.scale,
        pricing_bound=best.pricing_bound,
        method=best.method,
        listed_lower_bound=listed,
        listed_gap=listed_gap,
        misfit=misfit,
        n_patterns=n_patterns,
        conventions=problem.conventions(),
        data_hash=problem.data_hash,
        wall_time=time.perf_counter() - start,
        versions=versions(),
        network=network,
        problem=problem,
    )


def named_verdict(
    gap: float, listed_gap: float | None, tol: float, n_patterns: int, refuted: bool = False
) -> tuple[str, str]:
    """The verdict that the gaps allow, and the class of networks that it is about."""
    everyone = "all networks of any width"
    if gap <= tol:
        return "optimal", everyone
    if listed_gap is not None and listed_gap <= tol:
        return "listed", f"networks whose neurons have one of {n_patterns} listed activation patterns"
    return ("refuted" if refuted else "bound"), everyone
