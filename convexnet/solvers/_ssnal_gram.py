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
    """

    def __init__(self, design: Design, root: np.ndarray) -> None:
        self.design, self.root = design, root
        self.place = np.full(design.gates.P, -1)
        self.columns = np.zeros((0, design.gates.n))
        self.products = np.zeros((0, 0))

    @property
    def size(self) -> int:
        """Columns whose products are known."""
        return len(self.columns)

    def missing(self, groups: np.ndarray) -> int:
        """Columns of these gates whose products are not known."""
        return self.design.gates.q * int(np.count_nonzero(self.place[groups] < 0))

    def matrix(self, active: L2Active, sigma: float) -> np.ndarray:
        """``M^-1 / sigma + C`` (m, m), columns gate by gate."""
        self._add(active.groups[self.place[active.groups] < 0])
        q, J = active.unit.shape
        index = (self.place[active.groups][:, None] * q + np.arange(q)).ravel()
        matrix = np.take(np.take(self.products, index, axis=0), index, axis=1)
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
        old = self.size
        self.place[groups] = old // len(rows) + np.arange(len(groups))
        self.columns = np.concatenate([self.columns, fresh])
        products = np.empty((self.size, self.size))
        products[:old, :old] = self.products
        products[old:, old:] = fresh @ fresh.T
        products[old:, :old] = fresh @ self.columns[:old].T
        products[:old, old:] = products[old:, :old].T
        self.products = products
