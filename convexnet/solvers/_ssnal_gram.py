r"""Newton systems of losses with a constant curvature, from inner products of design columns computed once.

With ``A`` the design of the active gates, scaled by the root of the curvature, ``M = diag(M_j)`` the derivative of the
proximal step and ``C = A' A``,

.. math:: (I + \sigma A M A^\top)^{-1} = I - A\, (M^{-1} / \sigma + C)^{-1} A^\top .

C belongs to the gates, not to the step: its columns are computed when a gate becomes active for the first time.
"""

from __future__ import annotations

import numpy as np

from ._ssnal_design import Design
from ._ssnal_groups import L2Active

__all__ = ["Gram"]

_SMALLEST = 1e-8
"""Least derivative of the shrinkage in ``M^-1``: a change of the Newton matrix that rounding would make as well."""


class Gram:
    """Inner products of the columns of some gates, which grow in number.

    Parameters
    ----------
    design : Design
    root : ndarray of shape (n,)
        Root of the curvature of the loss.

    ``size`` columns have known products; the arrays have room for more.
    """

    def __init__(self, design: Design, root: np.ndarray) -> None:
        self.design, self.root = design, root
        self.place = np.full(design.gates.P, -1)
        self.size = 0
        self.columns = np.empty((0, design.gates.n))
        self.products = np.empty((0, 0))

    def missing(self, groups: np.ndarray) -> int:
        """Columns of these gates whose products are not known."""
        return self.design.gates.q * int(np.count_nonzero(self.place[groups] < 0))

    def matrix(self, active: L2Active, sigma: float) -> np.ndarray:
        """``M^-1 / sigma + C`` (m, m), columns gate by gate."""
        self._add(active.groups[self.place[active.groups] < 0])
        q, J = active.unit.shape
        place = self.place[active.groups]
        rows = (place[:, None] * q + np.arange(q)).ravel()
        pieces = self.products.reshape(-1, q)  # of q neighbours in a row: one gate's
        matrix = np.take(pieces, rows[:, None] * (len(self.products) // q) + place, axis=0).reshape(len(rows), -1)
        keep, unit = np.maximum(1 - active.shrink, _SMALLEST), active.unit.T
        inverse = -((1 - keep) / (keep * sigma))[:, None, None] * (unit[:, :, None] * unit[:, None, :])
        inverse[:, np.arange(q), np.arange(q)] += (1 / (keep * sigma))[:, None]
        each = np.arange(J)
        matrix.reshape(J, q, J, q)[each, :, each, :] += inverse
        return matrix

    def _add(self, groups: np.ndarray) -> None:
        """Compute the products of more gates."""
        if not len(groups):
            return
        rows = np.ascontiguousarray((self.design.gates.rows * self.root[:, None]).T)
        block = self.design.gates.block(groups).T
        fresh = (block[:, None, :] * rows).reshape(-1, rows.shape[1])
        old, new = self.size, self.size + len(fresh)
        self._make_room(new)
        self.columns[old:new] = fresh
        self.products[old:new, old:new] = fresh @ fresh.T
        self.products[old:new, :old] = fresh @ self.columns[:old].T
        self.products[:old, old:new] = self.products[old:new, :old].T
        self.place[groups] = old // len(rows) + np.arange(len(groups))
        self.size = new

    def _make_room(self, size: int) -> None:
        """Arrays for at least ``size`` columns."""
        if size <= len(self.columns):
            return
        room = min(2 * size, self.design.gates.q * self.design.gates.P)
        columns, products = np.empty((room, self.columns.shape[1])), np.empty((room, room))
        columns[: self.size] = self.columns[: self.size]
        products[: self.size, : self.size] = self.products[: self.size, : self.size]
        self.columns, self.products = columns, products
