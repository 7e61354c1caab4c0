r"""Exact pricing for the l1 neuron norm: the maximum over a ball is attained on finitely many rays."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements.extreme_rays import RefinedRays, refined_rays
from ..errors import ProblemError
from ..networks._arrays import row_norms
from ..networks.activations import activate
from ..problem import require_path_norm
from .result import PricingResult
from .spectral import check_dual

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["RayPricer", "price_rays"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_RAY_ERROR = 3e-13
"""Three times the relative error of a computed ray, in the units of the data as well as in those of its columns."""
_KEPT = 20_000_000
"""Entries of the table of activations that are kept between calls."""
_CHUNK = 4096
_SHARPENED = 2000
"""Most rays that are evaluated again."""


def price_rays(problem: TrainingProblem, nu: np.ndarray) -> PricingResult:
    r"""Compute ``M(nu) = max_{||u||_1 <= 1} |nu . sigma(X u)|`` exactly, to rounding, without listing cells.

    .. math:: M(\nu) = \max_v |\nu^\top \sigma(X v)| \quad\text{over the rays } v \text{ of } \texttt{refined_rays}.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output, ``norm="l1"``.
    nu : ndarray of shape (n,)
        Orthogonal to the problem's free columns.

    Raises
    ------
    ProblemError
        For another norm, several outputs, or a ``nu`` that has another shape, is not finite, or has a non-zero sum with
        free biases.
    TooManyCellsError
        If there are too many rays to list.

    References
    ----------
    See :func:`convexnet.arrangements.refined_rays`.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [1.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1, norm="l1")
    >>> result = price_rays(problem, problem.y)
    >>> round(result.value, 9), round(result.bound, 9), result.scope
    (2.0, 2.0, 'all')
    """
    require_path_norm(problem, "price_rays")
    return RayPricer(problem).price(nu)


class RayPricer:
    """Prices many dual vectors over the rays of one problem with ``norm="l1"``; they are listed once.

    Attributes
    ----------
    rays : RefinedRays
    directions : ndarray of shape (q, R)
        One of each pair of opposite rays.
    """

    def __init__(self, problem: TrainingProblem, *, max_rays: int = 500_000, time_limit: float | None = None) -> None:
        require_path_norm(problem, "RayPricer")
        if problem.norm != "l1":
            raise ProblemError(f"Rays price the l1 norm only, this problem has norm={problem.norm!r}; use price_cells.")
        if not problem.scalar:
            raise ProblemError("Pricing over rays needs a scalar output; bound vector outputs by price_spectral.")
        self.problem = problem
        self.rays: RefinedRays = refined_rays(
            problem.extended, penalized=_penalised(problem), max_rays=max_rays, time_limit=time_limit
        )
        self.directions = self.rays.directions[:, : len(self.rays) // 2]
        self._sizes = row_norms(problem.extended)
        self._table: np.ndarray | None = None
        if problem.n * self.directions.shape[1] <= _KEPT:
            self._table = activate(problem.extended @ self.directions, problem.kappa)

    def scores(self, nu: np.ndarray) -> np.ndarray:
        """``nu . sigma(X v)`` for the rays v (first row) and for their opposites (second row), shape (2, R)."""
        X, kappa = self.problem.extended, self.problem.kappa
        if self._table is not None:
            forward = nu @ self._table
        else:
            forward = np.empty(self.directions.shape[1])
            for start in range(0, len(forward), _CHUNK):
                block = X @ self.directions[:, start : start + _CHUNK]
                forward[start : start + _CHUNK] = nu @ activate(block, kappa)
        # sigma(-t) = sigma(t) - (1 + kappa) t
        return np.stack([forward, forward - (1 + kappa) * ((X.T @ nu) @ self.directions)])

    @cached_property
    def lengths(self) -> np.ndarray:
        """Euclidean norms of ``sigma(X v)`` for the rays v and for their opposites, shape (2, R)."""
        X, kappa, count = self.problem.extended, self.problem.kappa, self.directions.shape[1]
        out = np.empty((2, count))
        for start in range(0, count, _CHUNK):
            block = X @ self.directions[:, start : start + _CHUNK]
            for side, turn in enumerate((1.0, -1.0)):
                out[side, start : start + _CHUNK] = np.linalg.norm(activate(turn * block, kappa), axis=0)
        return out

    def price(self, nu: np.ndarray) -> PricingResult:
        """Price one dual vector; see :func:`price_rays`."""
        check_dual(self.problem, nu)
        scores = self.scores(nu)
        name = f"{len(self.rays)} extreme rays"
        if not scores.size:
            return PricingResult(0.0, self.noise(nu), "all", name, np.zeros(self.problem.extended.shape[1]), 1)
        side, best = np.unravel_index(int(np.argmax(np.abs(scores))), scores.shape)
        atom = self.directions[:, best] * (1.0 - 2.0 * side)
        score = float(nu @ activate(self.problem.extended @ atom, self.problem.kappa))
        bound = max(self.bound(nu, scores), abs(score))
        return PricingResult(abs(score), bound, "all", name, atom, 1 if score >= 0 else -1)

    def bound(self, nu: np.ndarray, scores: np.ndarray) -> float:
        """Upper bound of M(nu) from all scores: the largest ones are evaluated again with a sharper error bound."""
        noise, sizes = self.noise(nu), np.abs(scores)
        top = float(np.max(sizes, initial=0.0))
        side, index = np.nonzero(sizes > top - 2 * noise)
        if top == 0 or len(index) > _SHARPENED:
            return top + noise
        second = float(np.max(sizes, where=sizes <= top - 2 * noise, initial=0.0))
        sharp = self._sharp(nu, self.directions[:, index] * (1.0 - 2.0 * side))
        return max(min(float(np.max(sharp)), top + noise), second + noise)

    def noise(self, nu: np.ndarray) -> float:
        """Bound on the error of a score: rounding and the error of the ray together."""
        # a ray with ||w||_1 = 1 has a free bias up to the largest row, whose error every row feels
        relative = _RAY_ERROR + 16 * (self.problem.n + 8) * _EPS
        if self.problem.bias == "free":
            return relative * 2 * float(self._sizes.max()) * float(np.abs(nu).sum()) + _TINY
        return relative * float(np.abs(nu) @ self._sizes) + (_TINY if np.any(nu[self._sizes > 0]) else 0.0)

    def _sharp(self, nu: np.ndarray, rays: np.ndarray) -> np.ndarray:
        r"""Upper bounds of ``|nu . sigma(X v)| / ||v||`` for the exact rays v near the computed ones.

        Where no sign changes, a step d of the ray changes the score by ``(X^T S nu) . d``, which is far smaller than
        the sum of the changes of the outputs; rows so close to the ray that their sign may change count in full.
        """
        problem, kappa = self.problem, self.problem.kappa
        X, wide = problem.extended.astype(np.longdouble), np.finfo(np.longdouble)
        products = X @ rays.astype(np.longdouble)
        values = np.abs(nu.astype(np.longdouble) @ activate(products, kappa)).astype(np.float64)
        size = np.abs(nu) @ (np.abs(problem.extended) @ np.abs(rays))
        rounding = 8 * (sum(problem.extended.shape) + 8) * max(float(wide.eps), 1e-19) * size
        slopes = problem.extended.T @ (nu[:, None] * np.where(products > 0, 1.0, kappa))
        slopes = np.abs(slopes) + 4 * (problem.n + 8) * _EPS * (np.abs(nu) @ np.abs(problem.extended))[:, None]
        units = np.maximum(np.abs(problem.extended).max(axis=0), _TINY)
        reach, own = np.max(np.abs(rays), axis=0), np.max(np.abs(rays) * units[:, None], axis=0)

        def moved(weights: np.ndarray) -> np.ndarray:
            """Largest change of ``weights . v`` (rows of weights: coordinates) when the ray moves by its error."""
            plain = np.max(weights, axis=0) * reach
            return _RAY_ERROR * np.minimum(plain, np.max(weights / units[:, None], axis=0) * own)

        rows = np.stack([moved(np.repeat(np.abs(x)[:, None], rays.shape[1], axis=1)) for x in problem.extended])
        near = (1 - kappa) * np.abs(nu) @ np.where(np.abs(products) <= 2 * rows, rows, 0.0)
        length = moved(np.where(self.rays.penalized, 1.0, 0.0)[:, None] * np.ones(rays.shape[1]))
        return (values + rounding + moved(slopes) + near) * (1 + 2 * length + 8 * _EPS) + _TINY


def _penalised(problem: TrainingProblem) -> np.ndarray:
    mask = np.ones(problem.extended.shape[1], dtype=bool)
    mask[-1] = problem.bias != "free"
    return mask
