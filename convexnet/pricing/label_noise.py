r"""Pricing for the label-noise regulariser: the largest value of a neuron per unit of its summed squared gradients."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError
from ..networks._arrays import row_norms
from ..networks.activations import activate
from ._label_noise_cells import GradientCells, Patterns, least_distance
from .result import PricingResult, Violator
from .spectral import check_dual

if TYPE_CHECKING:
    from ..arrangements import FacePatterns, PatternSet
    from ..problem import TrainingProblem

__all__ = ["LabelNoisePricer", "check_label_noise", "label_noise_patterns", "price_label_noise", "price_points"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_BORDER = 1e-9
"""Points this close to the border of a direction, relative to their size, count as on it."""


def check_label_noise(problem: TrainingProblem, what: str) -> None:
    """Raise ProblemError unless the problem has the label-noise regulariser."""
    if problem.norm != "label_noise":
        raise ProblemError(
            f"{what} treats the label-noise regulariser only; state the problem with norm='label_noise', "
            f"not {problem.norm!r}."
        )


def price_label_noise(
    problem: TrainingProblem,
    nu: np.ndarray,
    patterns: Patterns,
    *,
    threshold: float = 0.0,
    max_violators: int = 0,
) -> PricingResult:
    r"""Bound the value of one neuron per unit of its label-noise cost, over the cells of ``patterns``.

    .. math::

        M(\nu) = \max_u \frac{|\nu^\top \sigma(X u)|}{\kappa(u)\, \|\sigma(X u)\|}
               = \max_p \frac{\|P_{K_p}(\pm \nu)\|}{\kappa_p}, \qquad
        K_p = S_p X C_p, \quad \kappa_p^2 = \sum_i S_{p,ii}^2 \|x_i\|^2

    with the extended rows in X and the closed cells :math:`C_p`. A projection is computed from multipliers of the
    walls of its cell and bounded from above whatever their accuracy: the error with which the multipliers fulfil their
    equation is measured, its own rounding included, and added to the bound divided by the smallest singular value of
    the rows that can take it up.

    Parameters
    ----------
    problem : TrainingProblem
        With ``norm="label_noise"``.
    nu : ndarray of shape (n,)
        Orthogonal to the free columns of the problem.
    patterns : PatternSet or FacePatterns of ``problem.extended``, or 0/1 array (n, P)
        Column p marks the points where a neuron is strictly active. A proven list of all cells makes the result hold
        for every direction, provided that some direction is active at every point (a bias is one): then the points on
        the border of a cell are inactive in a neighbouring one, of smaller cost. Otherwise pass the patterns of all
        faces, ``face_patterns(X, closed=False)``.
    threshold : float
        Cells whose bound is at most this are not refined; the returned bound is then ``threshold`` at least.
    max_violators : int
        Most cells above the threshold to report.

    Returns
    -------
    PricingResult
        ``value`` is attained by ``atom`` of unit cost (approached, where it lies on the border of its cell). ``scope``
        is ``"all"`` where the list is proven to cover every direction.

    Raises
    ------
    ProblemError
        If the problem has another norm, or ``nu`` has another shape or is not finite.
    PatternError
        If the patterns are empty or belong to other data.

    References
    ----------
    De Dios and Bruna (2020), "On sparsity in overparametrised shallow ReLU networks", for the regulariser; it is
    that of Blanc, Gupta, Valiant and Valiant (2020), "Implicit regularization for deep neural networks driven by an
    Ornstein-Uhlenbeck like process".

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem, enumerate_patterns
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.1, norm="label_noise", bias="none")
    >>> result = price_label_noise(problem, problem.y, enumerate_patterns(problem.extended))
    >>> round(result.value, 9), round(result.bound, 9), result.scope
    (1.0, 1.0, 'all')
    """
    return LabelNoisePricer(problem, patterns).price(nu, threshold=threshold, max_violators=max_violators)


def price_points(problem: TrainingProblem, nu: np.ndarray) -> PricingResult:
    r"""Bound the label-noise value of one neuron over all directions without listing cells.

    .. math:: M(\nu) \le \max_i \frac{|\nu_i|}{\|x_i\|} \quad (\kappa = 0), \qquad
              M(\nu) \le \frac{\|\nu\|}{|\kappa|\, \|X\|_F} \quad (\kappa \ne 0)

    A neuron active on the points I has a value of at most
    :math:`(\sum_I \nu_i^2)^{1/2} / (\sum_I \|x_i\|^2)^{1/2}`, which is no larger than the largest ratio of two
    terms. It is attained where some neuron is active at the maximising point alone, as at every vertex of the convex
    hull of the data when there is a bias: with all points in such a position each neuron of the optimum serves one
    point.

    Parameters
    ----------
    problem : TrainingProblem
        With ``norm="label_noise"``.
    nu : ndarray of shape (n,)

    Returns
    -------
    PricingResult
        With ``scope="all"``; ``value`` is 0 and ``atom`` zero where no neuron of one active point was found.

    Raises
    ------
    ProblemError
        If the problem has another norm, or ``nu`` has another shape or is not finite.

    References
    ----------
    Elementary: a ratio of sums lies between the ratios of their terms.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[3.0], [-4.0]], [1.0, 2.0], reg=0.1, norm="label_noise", bias="none")
    >>> result = price_points(problem, np.array([1.0, 2.0]))
    >>> round(result.bound, 9), round(result.value, 9), result.sign
    (0.5, 0.5, 1)
    """
    check_label_noise(problem, "price_points")
    check_dual(problem, nu)
    nu, E, kappa = np.asarray(nu, dtype=np.float64), problem.extended, problem.kappa
    rounding = 1 + (E.size + 16) * _EPS
    sizes = row_norms(E)
    atom = np.zeros(E.shape[1])
    if kappa != 0:
        whole = float(row_norms(E.reshape(1, -1))[0]) * abs(kappa)
        bound = float(row_norms(nu[None])[0]) / whole * rounding + _TINY if whole > 0 and np.any(nu) else 0.0
        return PricingResult(0.0, bound, "all", "the length of nu", atom, 1)
    ratios = np.divide(np.abs(nu), sizes, out=np.zeros_like(nu), where=sizes > 0)
    best = int(np.argmax(ratios))
    bound = float(ratios[best]) * rounding + (_TINY if np.any(nu[sizes > 0]) else 0.0)
    sign = 1 if nu[best] >= 0 else -1
    direction = isolating_direction(E, best) if ratios[best] > 0 else None
    if direction is None:
        return PricingResult(0.0, bound, "all", "one point at a time", atom, sign)
    atom = direction / (float(E[best] @ direction) * sizes[best])
    return PricingResult(float(ratios[best]), bound, "all", "one point at a time", atom, sign)


def isolating_direction(E: np.ndarray, point: int) -> np.ndarray | None:
    """A direction that is positive at one row and clearly negative at all others that are not zero; None if none."""
    scale = np.maximum(np.abs(E).max(axis=0), _TINY)
    rows = E / scale
    sizes = np.linalg.norm(rows, axis=1)
    kept = sizes > 0
    signs = np.where(np.arange(len(E)) == point, 1.0, -1.0)
    A = (rows / np.where(kept, sizes, 1.0)[:, None] * signs[:, None])[kept]
    direction = least_distance(A, np.ones(len(A)))
    return direction / scale if np.all(A @ direction >= 0.5) else None


def label_noise_patterns(problem: TrainingProblem, time_limit: float | None = None) -> PatternSet | FacePatterns:
    """All patterns that matter: those of the cells where some direction is active at every point, else of all faces.

    Raises
    ------
    TooManyCellsError
        If there are too many, or the time runs out.
    """
    from ..arrangements import enumerate_patterns, face_patterns, has_positive_direction

    E = problem.extended
    if problem.kappa == -1 or has_positive_direction(E):
        return enumerate_patterns(E, time_limit=time_limit)
    return face_patterns(E, closed=False, time_limit=time_limit)


class LabelNoisePricer:
    """Prices many dual vectors over the same cells; what depends on the geometry alone is computed once."""

    def __init__(self, problem: TrainingProblem, patterns: Patterns) -> None:
        check_label_noise(problem, "Label-noise pricing")
        self.problem, self.patterns = problem, patterns
        self.cells = GradientCells(problem, patterns)
        self.complete = self.cells.complete

    def price(
        self,
        nu: np.ndarray,
        *,
        threshold: float = 0.0,
        max_violators: int = 0,
        deadline: float | None = None,
    ) -> PricingResult:
        """Price one dual vector; see :func:`price_label_noise`.

        After ``deadline``, a value of ``time.perf_counter``, no further cell is refined.
        """
        check_dual(self.problem, nu)
        nu = np.asarray(nu, dtype=np.float64)
        upper = self.cells.screen(nu)
        value, bound, rest, sign = 0.0, 0.0, 0.0, 1
        atom = np.zeros(self.problem.extended.shape[1])
        found: list[Violator] = []
        for flat in np.argsort(-upper, axis=None):
            cell, column = divmod(int(flat), 2)
            goal = threshold if len(found) < max_violators else max(threshold, value)
            if upper[cell, column] <= goal or (deadline is not None and time.perf_counter() > deadline):
                rest = float(upper[cell, column])
                break
            side = 1 - 2 * column
            high, direction = self.cells.price(cell, side * nu)
            bound = max(bound, min(high, float(upper[cell, column])))
            attained, direction = self._attained(side * nu, direction, cell)
            if attained > high * (1 + 1e-7):
                continue  # the projection is zero up to rounding: its direction lies in another cell
            attained = min(attained, high)
            if attained > threshold and len(found) < max_violators:
                found.append(Violator(cell, side, attained))
            if attained > value:
                value, atom, sign = attained, direction, side
        violators = tuple(sorted(found, key=lambda v: (-v.value, v.cell, v.sign)))
        scope = "all" if self.complete else "listed"
        kind = "cells" if self.cells.faces is None else "patterns of faces"
        name = f"{len(self.cells)} {kind}" if self.complete else f"{len(self.cells)} listed {kind}"
        return PricingResult(value, max(bound, rest, value), scope, name, atom, sign, violators)

    def _attained(self, nu: np.ndarray, direction: np.ndarray, cell: int) -> tuple[float, np.ndarray]:
        """Value of a direction of a closed cell per unit of its cost there, and the direction at unit cost."""
        E, kappa = self.problem.extended, self.problem.kappa
        size = float(np.linalg.norm(direction))
        if size == 0:
            return 0.0, direction
        pre = E @ (direction / size)
        outside = (2.0 * self.cells.G[:, cell] - 1) * pre < -_BORDER * np.linalg.norm(E, axis=1)
        outputs = activate(pre, kappa)
        cost = float(np.linalg.norm(outputs)) * float(self.cells.weights[cell])
        if cost == 0 or outside.any():
            return 0.0, direction
        return float(nu @ outputs) / cost, direction / size / cost

