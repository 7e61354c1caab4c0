"""A dictionary as the user gives it: checked directions, their norms, the signs of their amplitudes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import _as_float
from ..errors import DataError, ProblemError
from ..networks._arrays import row_norms

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["as_dictionary", "check_atomic"]

_SMALLEST, _LARGEST = 1e-300, 1e300
"""Norms of directions whose amplitudes are numbers of double precision."""
_FAR = 1e150
"""Free biases of neurons of norm one must have squares, too."""


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
    table = _neurons(getattr(directions, "directions", directions), problem.extended.shape[1])
    penalised = table[:-1] if problem.bias == "free" else table
    with np.errstate(over="ignore", invalid="ignore"):
        norms = row_norms(penalised.T, problem.norm)
        beyond = np.any(~(np.abs(table) / np.where(norms > 0, norms, 1.0) < _FAR), axis=0)
    for k in np.flatnonzero(beyond | ~(norms > _SMALLEST) | ~(norms < _LARGEST)):
        if norms[k] == 0:
            raise DataError(f"direction {k} has norm zero; leave it out (a constant belongs to the intercept).")
        raise DataError(
            f"direction {k} has norm {norms[k]:.3g}, or entries, beyond what its amplitude can make up for; scale it "
            "to norm one."
        )
    return table, norms, _signs(signs, table.shape[1])


def _neurons(values: Any, q: int) -> np.ndarray:
    """The directions as a finite table with one column for each neuron."""
    if np.ma.is_masked(values):
        raise DataError("directions has masked entries; leave these neurons out.")
    table = _as_float(values, "directions")
    if table.ndim != 2 or table.shape[0] != q:
        raise DataError(
            f"directions must be 2-D and must have {q} rows, one per column of problem.extended (neurons are columns), "
            f"got shape {table.shape}."
        )
    if not table.shape[1]:
        raise DataError(f"directions is empty: shape {table.shape}; at least one neuron is needed.")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        raise DataError(f"directions has {len(bad)} NaN or infinite value(s), the first in column {bad[:, 1].min()}.")
    return table


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
