"""A banded interior point method for the dual of weighted least squares plus total variation of the slope.

The dual is a box-constrained quadratic program with a pentadiagonal matrix: its steps cost O(n) however many knots
there are. It stops at a rough gap and hands knots and signs to the active set, which finishes exactly: for large
penalties the matrix is singular to working precision.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ._spline_hats import Quadratic

__all__ = ["proposed_knots"]

ROUGH = 1e-7
STEPS = 60


def proposed_knots(problem: Quadratic, expired: Callable[[], bool]) -> tuple[np.ndarray, np.ndarray]:
    """Places and signs of probable knots.

    With the rows of the second differences D scaled by ``d`` and ``B = D W^-1 D'`` the dual is
    ``min 1/2 u'Bu - u'Dy`` s.t. ``|u| <= lam / d``. Multipliers m and slacks s of both sides are iterates: slacks
    taken from u would vanish in rounding.
    """
    scale, bands, pull = _dual_matrix(problem)
    limit = problem.lam / scale
    u = np.zeros(pull.size)
    s = np.stack([limit, limit])
    m = np.full_like(s, max(float(np.mean(np.abs(pull))), 1e-300))
    sides = np.array([[1.0], [-1.0]])
    for _ in range(STEPS):
        mu = float(np.sum(s * m)) / s.size
        gradient = pull - _times(bands, u)
        matrix = bands.copy()
        matrix[2] += np.sum(m / s, axis=0)
        factor = _cholesky(matrix)
        if factor is None or expired():
            break
        step, change = _direction(factor, gradient, s, m, sides, 0.0)
        after = [_length(s, -sides * step), _length(m, change)]
        reached = float(np.sum((s - after[0] * sides * step) * (m + after[1] * change))) / s.size
        # The second step aims at a smaller complementarity and corrects for the product of the first changes.
        aim = mu * (reached / mu) ** 3 + sides * step * change
        step, change = _direction(factor, gradient, s, m, sides, aim)
        along, across = 0.995 * _length(s, -sides * step), 0.995 * _length(m, change)
        u, s, m = u + along * step, s - along * sides * step, m + across * change
        if not np.isfinite(m).all() or min(along, across) < 1e-8:
            break
        if float(np.sum(s * m)) <= ROUGH * abs(float(u @ pull) - 0.5 * float(u @ _times(bands, u))):
            break
    signs = np.where(m[0] > s[0], 1.0, np.where(m[1] > s[1], -1.0, 0.0))
    inner = np.flatnonzero(signs)
    return inner + 1, signs[inner]


def _dual_matrix(problem: Quadratic) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scales of the second differences, upper bands of B (3, m - 2), and ``D y``."""
    h, inverse = np.diff(problem.x), 1 / problem.weight
    left, right = h[:-1], h[1:]
    p, q = right / (left + right), left / (left + right)
    pull = p * (problem.y[:-2] - problem.y[1:-1]) + q * (problem.y[2:] - problem.y[1:-1])
    bands = np.zeros((3, p.size))
    bands[2] = p**2 * inverse[:-2] + inverse[1:-1] + q**2 * inverse[2:]
    bands[1, 1:] = -p[1:] * inverse[1:-2] - q[:-1] * inverse[2:-1]
    bands[0, 2:] = q[:-2] * p[2:] * inverse[2:-2]
    return left * p, bands, pull


def _times(bands: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The pentadiagonal matrix times u."""
    product = bands[2] * u
    for offset in (1, 2):
        band = bands[2 - offset, offset:]
        product[:-offset] += band * u[offset:]
        product[offset:] += band * u[:-offset]
    return product


def _cholesky(matrix: np.ndarray) -> np.ndarray | None:
    from scipy.linalg.lapack import dpbtrf

    factor, info = dpbtrf(matrix)
    return factor if info == 0 else None


def _direction(
    factor: np.ndarray, gradient: np.ndarray, s: np.ndarray, m: np.ndarray, sides: np.ndarray, aim: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Changes of u (n,) and of the multipliers (2, n) towards ``s m = aim``."""
    from scipy.linalg.lapack import dpbtrs

    force = aim / s
    step, _ = dpbtrs(factor, gradient - force[0] + force[1] if np.ndim(force) else gradient)
    return step, -m + (aim + sides * m * step) / s


def _length(values: np.ndarray, change: np.ndarray) -> float:
    """The longest step up to 1 that keeps the values positive."""
    falling = change < 0
    return min(1.0, float(np.min(values[falling] / -change[falling], initial=np.inf)))
