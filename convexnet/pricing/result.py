"""What a pricing step returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._printing import rounded_up

__all__ = ["PricingResult", "Violator"]


@dataclass(frozen=True)
class Violator:
    """A cell and sign whose best atom exceeds the threshold."""

    cell: int
    sign: int
    value: float


@dataclass(frozen=True, eq=False)
class PricingResult:
    r"""Bounds on ``M(nu) = max_{||u|| <= 1} |nu . sigma(X u)|``.

    Attributes
    ----------
    value : float
        Attained by ``atom``: a lower bound of M(nu).
    bound : float
        A proven upper bound of M(nu) over ``scope``, floating-point error included.
    scope : {"all", "listed"}
        ``all``: over every direction u. ``listed``: over the closed cells of the listed activation patterns only.
    method : str
        How ``bound`` was obtained.
    atom : ndarray of shape (q,)
        Unit direction (bias last, if the problem has one) with ``sign * nu . sigma(X atom) = value``.
    sign : int
        Sign of ``nu . sigma(X atom)``.
    violators : tuple of Violator
        Cells whose best atom exceeds the threshold, best first (empty for bounds that look at no cells).
    status : str
        Why the search ended: ``done`` (the bound is what the method gives), ``target`` (the bound asked for is
        reached), ``violated`` (an atom above the target was met), ``time_limit``, ``node_limit``, ``memory_limit``,
        ``precision`` (no further progress in floating point).
    work : mapping
        What it took, e.g. ``nodes``, ``iterations``, ``seconds``, ``bytes``.
    proof : object or None
        What a checker needs to verify ``bound`` without repeating the search, if the method has it.
    """

    value: float
    bound: float
    scope: str
    method: str
    atom: np.ndarray
    sign: int
    violators: tuple[Violator, ...] = ()
    status: str = "done"
    work: Mapping[str, float] = field(default_factory=dict)
    proof: Any = None

    def __repr__(self) -> str:
        return (
            f"PricingResult(value={self.value:.9g}, bound={rounded_up(self.bound)}, scope={self.scope!r}, "
            f"method={self.method!r}, status={self.status!r}, violators={len(self.violators)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "value": self.value, "bound": self.bound, "scope": self.scope, "method": self.method,
            "atom": self.atom.tolist(), "sign": self.sign, "n_violators": len(self.violators),
            "status": self.status, "work": dict(self.work),
        }  # fmt: skip
