r"""Multipliers of a cell: ``m >= 0`` that make a norm of ``g + A^T m`` small. None is trusted, any is valid."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..arrangements.projection import nonnegative_least_squares
from ..errors import SolverError

__all__ = ["Candidate", "candidates", "peak"]

Candidate = tuple[np.ndarray, np.ndarray]
"""Multipliers (n,) and the direction (q,) they belong to, of any length."""

_HEAVY = 1e5
_REFINEMENTS = 3


def candidates(g: np.ndarray, A: np.ndarray, norm: str, free: bool) -> list[Candidate]:
    """Multipliers that (nearly) minimise the dual norm of ``g + A' m``; zero comes last and is always there."""
    w = peak(g[: len(g) - free]) if norm == "l1" else g[: len(g) - free]
    nothing = (np.zeros(len(A)), _with_best_bias(w, g, A) if free else w)
    try:
        if norm == "l1":
            found = _least_peak(g, A, free)
        else:
            found = _least_squares_level(g, A) if free else _least_squares(g, A)
    except SolverError:
        found = []
    return [*(pair for pair in found if np.isfinite(pair[0]).all()), nothing]


def peak(g: np.ndarray) -> np.ndarray:
    """Best point of the l1 unit ball for ``g . w``."""
    w = np.zeros_like(g)
    index = int(np.argmax(np.abs(g)))
    w[index] = np.sign(g[index])
    return w


def _least_squares(g: np.ndarray, A: np.ndarray) -> list[Candidate]:
    """``min ||g + A' m||``: the residual is the projection of g onto the cell."""
    m = nonnegative_least_squares(A, g)
    return [(m, g + m @ A)]


def _least_squares_level(g: np.ndarray, A: np.ndarray) -> list[Candidate]:
    """Free bias: ``min ||g_w + A_w' m||`` s.t. ``g_b + A_b' m = 0``, the equality first as a heavy row.

    The second candidate solves the problem with the exact equality on the rows that the first one uses.
    """
    heavy = np.append(np.ones(A.shape[1] - 1), _HEAVY)
    m = nonnegative_least_squares(A * heavy, g * heavy)
    used = np.flatnonzero(m > 0)
    found = [m] if not len(used) else [m, _on_support(g, A, m, used)]
    return [(candidate, _with_best_bias(g[:-1] + candidate @ A[:, :-1], g, A)) for candidate in found]


def _on_support(g: np.ndarray, A: np.ndarray, m: np.ndarray, used: np.ndarray) -> np.ndarray:
    B = A[used]
    normal = B[:, -1] / np.linalg.norm(B[:, -1])
    start = m[used] - normal * ((g[-1] + m[used] @ B[:, -1]) / float(normal @ B[:, -1]))
    tangent = B[:, :-1] - np.outer(normal, normal @ B[:, :-1])
    step = np.linalg.lstsq(tangent.T, -(g[:-1] + start @ B[:, :-1]), rcond=None)[0]
    polished = np.zeros_like(m)
    polished[used] = np.maximum(start + step - normal * (normal @ step), 0.0)
    return polished


def _with_best_bias(w: np.ndarray, g: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Add the bias at that end of the cell where g wants it; the cell has rows of both signs."""
    kinks = -(A[:, :-1] @ w) / A[:, -1]
    side = A[:, -1] > 0
    return np.append(w, float(kinks[~side].min() if g[-1] > 0 else kinks[side].max()))


def _least_peak(g: np.ndarray, A: np.ndarray, free: bool) -> list[Candidate]:
    """``min max|g + A' m|`` (with free biases: over w, the bias component zero), a linear program.

    What is left of g is scaled up and the program solved again for a correction, so that a small result is as
    accurate, relatively, as a large one.
    """
    found: list[Candidate] = []
    m, size = np.zeros(len(A)), 1.0
    for _ in range(_REFINEMENTS):
        answer = _peak_program((g + m @ A) / size, A, free, -m / size)
        if answer is None:
            break
        m = np.maximum(m + size * answer[0], 0.0)
        found.append((m, answer[1]))
        rest = g + m @ A
        peak = float(np.max(np.abs(rest[:-1] if free else rest), initial=0.0))
        if not 0 < peak < 1e-2 * size:
            break
        size = peak
    return found


def _peak_program(g: np.ndarray, A: np.ndarray, free: bool, floor: np.ndarray) -> Candidate | None:
    """Solve over (m, t): ``-t <= g_w + A_w' m <= t``, ``m >= floor``; the direction is the vector of multipliers."""
    from scipy.optimize import linprog

    n, q = len(A), A.shape[1] - free
    column = np.ones((q, 1))
    options: dict[str, Any] = {"A_eq": np.append(A[:, -1], 0.0)[None], "b_eq": [-g[-1]]} if free else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = linprog(
            np.append(np.zeros(n), 1.0),
            A_ub=np.block([[A[:, :q].T, -column], [-A[:, :q].T, -column]]),
            b_ub=np.concatenate([-g[:q], g[:q]]),
            bounds=[*((low, None) for low in floor), (0.0, None)],
            method="highs",
            **options,
        )
    if answer.x is None or not np.isfinite(answer.x).all():
        return None
    upper, lower = np.split(-np.asarray(answer.ineqlin.marginals), 2)
    bias = [-float(answer.eqlin.marginals[0])] if free else []
    return answer.x[:n], np.append(upper - lower, bias)
