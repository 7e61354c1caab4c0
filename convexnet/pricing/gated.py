r"""Pricing over fixed gates: the dual constraint of the gated program, evaluated gate by gate in large products."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_choice
from ..arrangements import pattern_matrix
from ..errors import ProblemError
from ..networks._arrays import row_norms
from ..problem import require_path_norm
from .result import PricingResult

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["check_groups", "price_gated"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
GROUPS = ("nuclear", "frobenius")
_CHUNK_ENTRIES = 500_000
"""Gates, or products of data and dual vectors, that are held as floats at a time."""


def check_groups(problem: TrainingProblem, group: str) -> None:
    """Raise ProblemError unless the problem has a gated program with these group norms."""
    check_choice(group, "group", GROUPS)
    if problem.bias == "free":
        raise ProblemError(
            "The gated program is useless with bias='free': its gates fit any targets at zero cost. Use "
            "bias='penalized' or 'none', or ReLU training."
        )
    if group == "frobenius" and problem.norm == "l1" and not problem.scalar:
        raise ProblemError("group='frobenius' is defined for norm='l2' only; use group='nuclear' with norm='l1'.")


def price_gated(problem: TrainingProblem, nu: np.ndarray, patterns: Any, *, group: str = "nuclear") -> PricingResult:
    r"""Return the largest dual norm of a gate block,

    .. math:: \max_p \| E^\top S_p \nu \|_* ,

    with the dual of the norm of the group: Euclidean (l2) or maximum norm (l1) for one output; for several the spectral
    norm (``nuclear``), the largest norm of a row (``nuclear`` with l1) or the Frobenius norm. ``nu`` is feasible for
    the gated program if that is at most ``reg`` (and orthogonality to the free columns holds).

    Parameters
    ----------
    problem : TrainingProblem
        ``bias`` "penalized" or "none".
    nu : ndarray of shape (n,) or (n, k)
    patterns : PatternSet of ``problem.extended``, or 0/1 array (n, P)
    group : {"nuclear", "frobenius"}

    Returns
    -------
    PricingResult
        ``bound`` is rounded up; ``violators`` is empty and ``atom`` is the largest block, scaled to norm one (several
        outputs: its first left singular vector).

    Raises
    ------
    ProblemError
        For a free bias, or Frobenius groups with the l1 norm.
    PatternError
        If the patterns are empty, not 0/1, or belong to other data.

    References
    ----------
    Mishkin, Sahiner and Pilanci (2022), gated ReLU as a group lasso.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[3.0, 0.0], [0.0, 4.0]], [1.0, 1.0], reg=1.0, bias="none")
    >>> round(price_gated(problem, np.array([1.0, 1.0]), [[1, 1], [0, 1]]).value, 6)
    5.0
    """
    require_path_norm(problem, "price_gated")
    start = time.perf_counter()
    check_groups(problem, group)
    gates = pattern_matrix(problem.extended, patterns)
    nu = np.asarray(nu, dtype=np.float64)
    # Powers of two take both to size one: no square under- or overflows, and nothing is rounded.
    X, x_exp = _unit_sized(problem.extended)
    outputs, nu_exp = _unit_sized(nu if nu.ndim > 1 else nu[:, None])
    blocks = _correlations(X, outputs, gates, problem.kappa)
    sizes = _dual_norms(problem, blocks, group)
    best = int(np.argmax(sizes))
    atom = _direction(blocks[:, best])
    rounding = 8 * (problem.n + X.shape[1]) * _EPS * float(row_norms(outputs) @ row_norms(X))
    rounding *= np.sqrt(outputs.shape[1])
    rounding += problem.n * X.size * outputs.shape[1] * _TINY if X.any() and outputs.any() else 0.0
    value = float(np.ldexp(sizes[best], x_exp + nu_exp))
    bound = max(float(np.ldexp(sizes[best] + rounding, x_exp + nu_exp)), value) * (1 + 4 * _EPS)
    bound += _TINY if sizes[best] > 0 or rounding > 0 else 0.0
    method = f"{gates.shape[1]} gates"
    work = {"seconds": time.perf_counter() - start}
    return PricingResult(value, bound, "listed", method, atom, 1, work=work)


def _unit_sized(array: np.ndarray) -> tuple[np.ndarray, int]:
    """The array divided by a power of two to entries of at most one, and the exponent."""
    exponent = int(np.frexp(np.max(np.abs(array), initial=0.0))[1])
    return np.ldexp(array, -exponent), exponent


def _correlations(X: np.ndarray, outputs: np.ndarray, gates: np.ndarray, kappa: float) -> np.ndarray:
    """``E' S_p nu`` for all gates, (q, P, k), in chunks of rows."""
    P, q, k = gates.shape[1], X.shape[1], outputs.shape[1]
    total = np.zeros((q * k, P))
    step = max(1, _CHUNK_ENTRIES // max(P, q * k))
    for first in range(0, len(X), step):
        part = slice(first, first + step)
        gate = gates[part].astype(np.float64)
        if kappa != 0:
            gate = np.where(gate > 0, 1.0, kappa)
        total += (X[part, :, None] * outputs[part, None, :]).reshape(-1, q * k).T @ gate
    return np.moveaxis(total.reshape(q, k, P), 1, 2)


def _dual_norms(problem: TrainingProblem, blocks: np.ndarray, group: str) -> np.ndarray:
    """Dual norms (P,) of blocks (q, P, k)."""
    if blocks.shape[2] == 1:
        return np.linalg.norm(blocks[:, :, 0], np.inf if problem.norm == "l1" else 2, axis=0)
    if problem.norm == "l1":
        return np.max(np.linalg.norm(blocks, axis=2), axis=0)
    stacked = np.moveaxis(blocks, 1, 0)
    return np.linalg.norm(stacked, 2 if group == "nuclear" else "fro", axis=(1, 2))


def _direction(block: np.ndarray) -> np.ndarray:
    """First left singular vector of a block (q, k)."""
    return np.linalg.svd(block, full_matrices=False)[0][:, 0]
