r"""Gated programs of many rows: proximal gradient steps in single precision first, Newton's method at the end.

The dual Newton method spends most of its steps on finding the gates in use. Where a step is dear, accelerated proximal
gradient finds them sooner, and Newton's method then starts with a penalty of the size at which it usually ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..pricing import relative_gap
from ._gated_bounds import Found
from ._ssnal import run_ssnal
from .fista import large, run_fista
from .result import GatedResult

if TYPE_CHECKING:
    from ._gated_bounds import GatedCase
    from ._monitor import Monitor

__all__ = ["prefers_both", "run_both"]

_ROWS = 6_500
"""Rows beyond which Newton's method forms no matrix of their number."""

_HANDOVER = 1e-4
"""Gap at which Newton's method takes over."""
_MEMORY = 5.0
"""Multiple of the sigma handed over that a warm start expects: the last of a run is further on than the best first."""


def prefers_both(case: GatedCase) -> bool:
    """Whether both methods, one after the other, are quicker than Newton's alone."""
    return large(case) and case.problem.n > _ROWS


def run_both(case: GatedCase, monitor: Monitor, start: GatedResult | None, random_state: int) -> Found:
    """Solve a large gated case with one output."""
    tol = monitor.tol
    monitor.tol = max(tol, _HANDOVER)
    found = run_fista(case, monitor, start, random_state)
    monitor.tol = tol
    if monitor.status not in ("solved", "stalled") or monitor.gap <= tol:
        return found
    monitor.status = ""
    newton = run_ssnal(case, monitor, _result(case, found, monitor), random_state)
    counts = {f"first_{key}": value for key, value in found.work.items() if key != "sigma"}
    return replace(newton, work={**counts, **newton.work})


def _result(case: GatedCase, found: Found, monitor: Monitor) -> GatedResult:
    """What was found, as a start."""
    work = {"sigma": _MEMORY * found.work["sigma"]} if "sigma" in found.work else {}
    return GatedResult(
        network=None, blocks=found.blocks, free=found.free, objective=monitor.objective,
        lower_bound=monitor.lower_bound, gap=relative_gap(monitor.objective, monitor.lower_bound), nu=found.nu,
        status=monitor.status, method="fista", iterations=monitor.iteration, history=(), wall_time=monitor.seconds,
        problem=case.problem, group=case.group, work=work,
    )  # fmt: skip
