r"""Relaxed training with a free bias: the lasso over the relaxed neurons of all centres, generated as needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError
from .moment import relaxed_response

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from .relaxed_dual import JointDual, PseudoLasso

__all__ = ["generate"]

_ROUNDS = 60
_COLUMNS = 300
_FAILURES = 10


def generate(
    problem: TrainingProblem, first: JointDual, lasso: Callable[..., PseudoLasso], bounded: Callable[..., JointDual],
    tol: float, deadline: float,
) -> JointDual:  # fmt: skip
    """Improve a dual vector: price it at all centres, add their relaxed maximisers, solve the lasso, move towards it.

    The lasso's own dual vector jumps about (its model is too optimistic where it has no columns), so the next vector is
    between it and the best one so far; the share of the new one falls after a failure.
    """
    best, last, share, failures = first, first, 0.5, 0
    Z = np.zeros((problem.n, 0))
    for _ in range(_ROUNDS):
        columns = [sign * relaxed_response(problem, sign, last.nu, state, centre)
                   for sign, centre, state in last.pricing.strongest]  # fmt: skip
        Z = np.column_stack([Z, *columns])
        now = time.perf_counter()
        if now + last.pricing.work["seconds"] > deadline:
            break
        try:
            master = lasso(problem, Z, time_limit=deadline - now)
        except ProblemError:
            break  # interpolation is out of reach of too few columns
        if master.value - best.bound <= tol * abs(master.value):
            break
        used = (master.amplitudes > 0) | (np.arange(Z.shape[1]) >= Z.shape[1] - _COLUMNS)
        Z = Z[:, used]
        # Scaled to its bound, the best vector is a dual point of the model.
        scale = min(1.0, problem.reg / best.pricing.bound) if best.pricing.bound > 0 else 1.0
        last = bounded((1 - share) * scale * best.nu + share * master.nu, master.value, best)
        better = last.bound > best.bound
        share = min(1.0, 1.5 * share) if better else max(0.1, 0.6 * share)
        failures = 0 if better else failures + 1
        best = last if better else best
        if failures >= _FAILURES:
            break
    return best
