r"""Upper bounds of all label-noise values at once, from the extreme rays of the cells.

On a closed cell every direction is a non-negative combination of its extreme rays, and so are its outputs z of the
outputs ``z_i`` of the rays. With a unit vector c and ``c . z_i >= delta ||z_i||`` for all of them,
``||z|| >= c . z >= delta sum l_i ||z_i||``, hence

.. math:: \frac{\nu^\top z}{\|z\|} \le \frac{1}{\delta} \max_i \Big(\frac{\nu^\top z_i}{\|z_i\|}\Big)_+ .

The outputs of a ray are the same on all cells that share it. Cells with a ray whose outputs are small beside the
rounding of the ray get no bound here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..networks.activations import activate

if TYPE_CHECKING:
    from ..arrangements import PatternSet

__all__ = ["RayBounds"]

_EPS = float(np.finfo(np.float64).eps)
_RAY_ERROR = 1e-12
"""Ten times the relative error of a computed ray, in the units of the columns."""
_LARGEST_ERROR = 1e-6
_CHUNK = 4096


class RayBounds:
    """Bounds of ``max nu . z / ||z||`` on every cell, for nu and -nu."""

    def __init__(self, E: np.ndarray, kappa: float, patterns: PatternSet) -> None:
        assert patterns.rays is not None
        rays = patterns.rays
        directions = np.concatenate([rays.directions, -rays.directions], axis=1)
        self.index = rays.ray_index + len(rays.directions.T) * (rays.ray_sign < 0)
        self.starts = rays.cell_ptr[:-1]
        outputs = activate(E @ directions, kappa)
        lengths = np.linalg.norm(outputs, axis=0)
        error = (_RAY_ERROR + (E.shape[1] + 8) * _EPS) * np.linalg.norm(np.abs(E) @ np.abs(directions), axis=0)
        usable = error <= _LARGEST_ERROR * lengths
        safe = np.where(usable & (lengths > 0), lengths, 1.0)
        self.units = np.where(usable, outputs / safe, 0.0)
        self.errors = np.where(usable, 2 * error / safe + (len(E) + 8) * _EPS, np.inf)
        self.inverse_delta = self._inverse_delta()

    def _inverse_delta(self) -> np.ndarray:
        """``1 / delta`` with the normalised sum of a cell's unit outputs as c; infinite without a bound."""
        counts = np.diff(np.append(self.starts, len(self.index)))
        delta = np.zeros(len(self.starts))
        for first in range(0, len(self.starts), _CHUNK):
            cells = np.arange(first, min(first + _CHUNK, len(self.starts)))
            begin, end = self.starts[cells[0]], self.starts[cells[-1]] + counts[cells[-1]]
            members = self.units[:, self.index[begin:end]]
            local = self.starts[cells] - begin
            total = np.add.reduceat(members, local, axis=1)
            centre = total / np.maximum(np.linalg.norm(total, axis=0), 1e-300)
            inner = np.einsum("ij,ij->j", members, np.repeat(centre, counts[cells], axis=1))
            slack = self.errors[self.index[begin:end]] + (len(self.units) + 8) * _EPS
            delta[cells] = np.minimum.reduceat(inner - slack, local)
        with np.errstate(divide="ignore"):
            return np.where(delta > 0, 1 / np.maximum(delta, 1e-300), np.inf)

    def bounds(self, nu: np.ndarray) -> np.ndarray:
        """Shape (P, 2)."""
        along = nu @ self.units
        with np.errstate(invalid="ignore"):  # a zero nu on a cell without a bound
            margin = float(np.linalg.norm(nu)) * self.errors
            sides = [np.maximum(side * along, 0.0) + margin for side in (1, -1)]
            highest = np.column_stack([np.maximum.reduceat(side[self.index], self.starts) for side in sides])
            bounds = highest * self.inverse_delta[:, None] * (1 + 16 * _EPS)
        return np.where(np.isnan(bounds), np.inf, bounds)


def rays_usable(E: np.ndarray, patterns: PatternSet) -> bool:
    """Whether the rays generate the cells: full rank, at least one ray a cell."""
    return (
        patterns.rays is not None
        and patterns.rank == E.shape[1]
        and len(patterns) > 0
        and bool(np.all(np.diff(patterns.rays.cell_ptr) > 0))
    )
