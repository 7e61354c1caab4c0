"""Linear splines with given knots as columns of a linear program: hat functions, or hinges where knots are close."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..networks.linear_spline import LinearSpline
from ._spline_nodes import Nodes

__all__ = ["Columns", "columns_of"]

SMALLEST = 1e-9
"""HiGHS refuses models with smaller entries, so spacings below this share of the range are not resolved."""
CLOSE = 1e-6


@dataclass(frozen=True, eq=False)
class Columns:
    """Free variables, then the positive and the negative parts of the kinks.

    Attributes
    ----------
    design : matrix (n, free + 2 k)
        Predictions at the samples.
    rows : matrix (k, free + 2 k) or None
        Equations among the variables, with right-hand side zero.
    free : int
    price : ndarray (k,)
        What a unit of each kink variable costs at price 1 of the total variation.
    spline : callable
        From the variables, in units of ``height``, to the function.
    """

    design: Any
    rows: Any
    free: int
    price: np.ndarray
    spline: Callable[[np.ndarray, float], LinearSpline]


def columns_of(nodes: Nodes, places: np.ndarray) -> Columns:
    """Columns for knots at the inner nodes ``places``."""
    x = nodes.x
    if x.size > 1:
        ends = np.concatenate([[0], places, [x.size - 1]])
        width = np.diff(x[ends])
        if float(width.min()) > CLOSE * float(x[-1] - x[0]):
            return _hats(nodes, ends, width)
    return _hinges(nodes, places)


def _hinges(nodes: Nodes, places: np.ndarray) -> Columns:
    """A line and truncated powers: well scaled however close the knots, but dense."""
    x = nodes.x[nodes.node_of]
    reach, middle = float(x[-1] - x[0]) or 1.0, 0.5 * float(x[0] + x[-1])
    knots, k = nodes.x[places], places.size
    side = np.where(knots >= middle, 1.0, -1.0)
    hinges = np.maximum(side * (x[:, None] - knots), 0.0) / reach
    design = np.column_stack([np.ones(x.size), (x - middle) / reach, hinges, -hinges])
    design[np.abs(design) < SMALLEST] = 0.0

    def spline(z: np.ndarray, height: float) -> LinearSpline:
        kinks = height * (z[2 : 2 + k] - z[2 + k : 2 + 2 * k]) / reach
        return LinearSpline(knots, kinks, middle, height * z[0], height * z[1] / reach)

    return Columns(design, None, 2, np.full(k, 1 / reach), spline)


def _hats(nodes: Nodes, ends: np.ndarray, width: np.ndarray) -> Columns:
    """Values at the knots and both ends, kinks as scaled second differences: two entries a sample."""
    from scipy.sparse import csr_matrix, hstack, identity

    x, k, n = nodes.x, ends.size - 2, nodes.node_of.size
    piece = np.minimum(np.searchsorted(ends, np.arange(x.size), side="right") - 1, k)
    share = ((x - x[ends[piece]]) / width[piece])[nodes.node_of]
    share[share < SMALLEST] = 0.0
    piece, rows = piece[nodes.node_of], np.arange(n)
    places = (np.tile(rows, 2), np.concatenate([piece, piece + 1]))
    hats = csr_matrix((np.concatenate([1 - share, share]), places), shape=(n, k + 2))
    before, after = width[:-1], width[1:]
    scale, inner = before * (after / (before + after)), np.arange(k)
    entries = np.concatenate([scale / before, -np.ones(k), scale / after])
    bends = csr_matrix((entries, (np.tile(inner, 3), np.concatenate([inner, inner + 1, inner + 2]))), shape=(k, k + 2))
    design = hstack([hats, csr_matrix((n, 2 * k))], format="csr")
    equations = hstack([bends, -identity(k), identity(k)], format="csr") if k else None

    def spline(z: np.ndarray, height: float) -> LinearSpline:
        theta = np.zeros(x.size, dtype=np.longdouble)
        theta[ends] = height * z[: k + 2]
        bent = z[k + 2 : 2 * k + 2] + z[2 * k + 2 : 3 * k + 2] > 1e-13 * max(float(np.max(np.abs(z[: k + 2]))), 1e-300)
        return LinearSpline.through(x, theta, ends[1:-1][bent])

    return Columns(design, equations, k + 2, 1 / scale, spline)
