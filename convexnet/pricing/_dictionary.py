"""A dictionary as the user gives it: checked directions, their norms, the signs of their amplitudes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import as_matrix
from ..errors import DataError, ProblemError
from .spectral import direction_norms

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["as_dictionary", "check_atomic"]

_SMALLEST = 1e-300


def check_atomic(problem: TrainingProblem, what: str) -> None:
    """Refuse what an l1 program over atoms cannot state: several outputs, neurons without a norm of their own."""
    if not problem.scalar:
        raise ProblemError(f"{what} needs a scalar output; state one problem per output.")
    if problem.norm not in ("l2", "l1") or not np.isfinite(problem.kappa):
        raise ProblemError(
            f"{what} is for the l2 and l1 norms and the activations relu, leaky and absolute; for label noise and the "
            "threshold activation call convexnet.solve(problem)."
        )


def as_dictionary(
    problem: TrainingProblem, directions: Any, signs: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return directions (q, S), their norms (S,) and signs (S,), 0 where the sign is free.

    ``directions`` may be an array or an object with ``directions`` (and perhaps ``signs``), such as ``CellAtoms``.
    """
    signs = getattr(directions, "signs", None) if signs is None else signs
    table = as_matrix(getattr(directions, "directions", directions), "directions")
    q = problem.extended.shape[1]
    if table.shape[0] != q:
        raise DataError(
            f"directions must have {q} rows, one per column of problem.extended (neurons are columns), got shape "
            f"{table.shape}."
        )
    norms = direction_norms(problem, table)
    flat = np.flatnonzero(~(norms > _SMALLEST))
    if len(flat):
        raise DataError(f"direction {int(flat[0])} has norm zero; leave it out (a constant belongs to the intercept).")
    return table, norms, _signs(signs, table.shape[1])


def _signs(signs: Any, count: int) -> np.ndarray:
    if signs is None:
        return np.zeros(count)
    try:
        array = np.asarray(signs, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if array.shape != (count,) or not np.isin(array, (-1.0, 0.0, 1.0)).all():
        raise ProblemError(f"signs must hold 1, -1 or 0 (free) for each of the {count} directions.")
    return array
