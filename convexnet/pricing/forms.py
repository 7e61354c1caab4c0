r"""Pricing as plain maximisation: one piecewise linear function on the unit ball per sign (and per centre).

With ``sigma(t) = (1+kappa)/2 t + (1-kappa)/2 |t|`` every pricing problem reads

.. math:: \max_{\|u\| \le 1} \; c^\top u + \sum_i w_i |a_i^\top u| , \qquad
          c = \tfrac{1+\kappa}{2} A^\top r, \quad w = \tfrac{1-\kappa}{2} r, \quad r = \pm\nu ,

and ``M(nu)`` is the largest of these maxima, or 0. All bounds that need no list of cells start here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError
from ..networks._arrays import row_norms
from ..problem import require_path_norm
from .spectral import check_dual

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["PricingForm", "RowGroups", "group_rows", "pricing_forms"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_PARALLEL = 1e-13
"""Relative distance at which two rows count as parallel; the distance itself is charged to ``slack``."""


@dataclass(frozen=True, eq=False)
class RowGroups:
    """Rows that are parallel up to sign, each a multiple of its group's first row.

    Attributes
    ----------
    representatives : ndarray of int, shape (m,)
        Index of the row that stands for each group.
    group : ndarray of int, shape (n,)
        Group of each row; -1 for zero rows.
    scale : ndarray of shape (n,)
        ``|a_i u| = scale_i |a_rep u|``, up to ``deviation_i ||u||``; never negative.
    deviation : ndarray of shape (n,)
        Upper bound of ``||a_i - (+-scale_i) a_rep||``.
    """

    representatives: np.ndarray
    group: np.ndarray
    scale: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True, eq=False)
class PricingForm:
    """``F(u) = linear . u + sum_i weights_i |rows_i . u|``, to be maximised over ``||u|| <= 1``.

    Attributes
    ----------
    rows : ndarray of shape (m, q)
        No zero row and no two parallel rows (up to rounding).
    linear : ndarray of shape (q,)
    weights : ndarray of shape (m,)
        Non-zero.
    sign : {1, -1}
        The form is that of ``r = sign * nu``.
    centre : int
        Free bias: the sample whose hyperplane passes through the centre (rows are ``x_j - x_centre``); else -1.
    slack : float
        ``sign * nu . sigma(X u)`` exceeds F(u) by at most this on the unit ball: merged rows and rounding.
    groups : RowGroups
        How the samples were merged into ``rows`` (those with weight zero are left out of ``rows``).
    """

    rows: np.ndarray
    linear: np.ndarray
    weights: np.ndarray
    sign: int
    centre: int
    slack: float
    groups: RowGroups

    def values(self, directions: np.ndarray) -> np.ndarray:
        """F at each column of ``directions`` (q, R)."""
        return self.linear @ directions + self.weights @ np.abs(self.rows @ directions)

    def atom(self, problem: TrainingProblem, direction: np.ndarray) -> np.ndarray:
        """The neuron (bias last, if the problem has one) of a direction of this form."""
        if self.centre < 0:
            return direction
        return np.append(direction, -float(problem.X[self.centre] @ direction))


def pricing_forms(problem: TrainingProblem, nu: np.ndarray) -> tuple[PricingForm, ...]:
    """The functions whose largest maximum over the unit ball (or 0, if larger) is ``M(nu)``; scalar outputs.

    Without a bias or with a penalised one there are two, for ``+nu`` and ``-nu``. With a free bias each function is
    piecewise linear in the bias and constant far out, so its maximum lies at a kink that points down: one form per
    sample and sign with ``sign * nu_i < 0`` (samples of one place share theirs). The l1 norm's ball lies inside the
    l2 ball, so the bounds hold for it too, though not tightly.

    Raises
    ------
    ProblemError
        For several outputs; if ``nu`` has another shape, is not finite, or has a non-zero sum with free biases.

    References
    ----------
    Training note of Parhi and Nowak (2021) for free biases; the identity for sigma is elementary.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=1.0, bias="none")
    >>> plus, minus = pricing_forms(problem, np.array([1.0, 1.0]))
    >>> plus.rows.tolist(), plus.linear.tolist(), plus.weights.tolist()
    ([[1.0]], [1.5], [1.5])
    """
    require_path_norm(problem, "pricing_forms")
    check_dual(problem, nu)
    if not problem.scalar:
        raise ProblemError("Pricing forms are for scalar outputs; price_outputs combines them for several.")
    if problem.bias != "free":
        groups = group_rows(problem.extended)
        return tuple(_form(problem.extended, sign * nu, problem.kappa, groups, sign, -1, 0.0) for sign in (1, -1))
    return tuple(_centred_forms(problem, nu))


def _centred_forms(problem: TrainingProblem, nu: np.ndarray) -> Sequence[PricingForm]:
    """One form per distinct place and sign at which the piecewise linear function of the bias can have its maximum."""
    _, first, place = np.unique(problem.X, axis=0, return_index=True, return_inverse=True)
    jumps = np.zeros(len(first))
    np.add.at(jumps, place.ravel(), nu)
    rounding = len(nu) * _EPS * float(np.sum(np.abs(nu)))
    forms = []
    for centre, jump in zip(first, jumps, strict=True):
        rows = problem.X - problem.X[centre]
        groups = group_rows(rows)
        differences = _EPS * float(np.abs(nu) @ (row_norms(rows) * 2))
        forms += [
            _form(rows, sign * nu, problem.kappa, groups, sign, int(centre), differences)
            for sign in (1, -1)
            if sign * jump < rounding
        ]
    return forms


def group_rows(rows: np.ndarray) -> RowGroups:
    """Group the rows of a matrix that are parallel up to sign and rounding.

    Examples
    --------
    >>> import numpy as np
    >>> group_rows(np.array([[1.0, 2.0], [0.0, 0.0], [-2.0, -4.0]])).group.tolist()
    [0, -1, 0]
    """
    norms = row_norms(rows)
    used = np.flatnonzero(norms > 0)
    group, scale, deviation = np.full(len(rows), -1), np.zeros(len(rows)), np.zeros(len(rows))
    if not used.size:
        return RowGroups(np.zeros(0, dtype=int), group, scale, deviation)
    units = rows[used] / norms[used, None]
    leading = np.argmax(np.abs(units) > 0.5 / np.sqrt(rows.shape[1]), axis=1)
    units *= np.sign(units[np.arange(len(units)), leading])[:, None]
    first, member = _alike(units)
    apart = np.linalg.norm(units - units[first][member], axis=1) > _PARALLEL
    member[apart] = len(first) + np.arange(int(apart.sum()))
    representatives = used[np.concatenate([first, np.flatnonzero(apart)])]
    group[used] = member
    scale[used] = norms[used] / norms[representatives[member]]
    side = np.where(np.sum(rows[used] * rows[representatives[member]], axis=1) < 0, -1.0, 1.0)
    rest = rows[used] - (side * scale[used])[:, None] * rows[representatives[member]]
    exact = used == representatives[member]
    deviation[used] = np.where(exact, 0.0, row_norms(rest) + 4 * _EPS * norms[used])
    scale[used[exact]] = 1.0
    return RowGroups(representatives, group, scale, deviation)


def _alike(units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First member and index of each group of unit rows whose projections on one generic direction agree."""
    generic = np.random.default_rng(0).standard_normal(units.shape[1])
    projected = units @ generic
    order = np.argsort(projected, kind="stable")
    jumps = np.diff(projected[order]) > 1e-12
    member = np.empty(len(units), dtype=int)
    member[order] = np.concatenate([[0], np.cumsum(jumps)])
    first = np.full(int(member.max()) + 1, len(units))
    np.minimum.at(first, member, np.arange(len(units)))
    return first, member


def _form(
    rows: np.ndarray, r: np.ndarray, kappa: float, groups: RowGroups, sign: int, centre: int, slack: float
) -> PricingForm:
    """Merge parallel rows and account for what that and rounding change."""
    half = 0.5 * (1 - kappa)
    weights, absolute = np.zeros(len(groups.representatives)), np.zeros(len(groups.representatives))
    inside = groups.group >= 0
    np.add.at(weights, groups.group[inside], half * r[inside] * groups.scale[inside])
    np.add.at(absolute, groups.group[inside], half * np.abs(r[inside]) * groups.scale[inside])
    keep = np.abs(weights) > 8 * _EPS * absolute
    norms = row_norms(rows)
    kept = groups.representatives[keep]
    count = len(rows) + rows.shape[1]
    slack += half * float(np.abs(r) @ groups.deviation)
    slack += float(np.sum(np.where(keep, 4 * _EPS * count, 8 * _EPS + 4 * _EPS * count) * absolute
                          * norms[groups.representatives]))  # fmt: skip
    slack += (1 + abs(kappa)) * 2 * count * _EPS * float(np.abs(r) @ norms)
    if np.any(r) and np.any(norms):
        slack += _TINY  # products that underflow
    linear = 0.5 * (1 + kappa) * (r @ rows)
    return PricingForm(rows[kept], linear, weights[keep], sign, centre, slack * (1 + 1e-9), groups)
