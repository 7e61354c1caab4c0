"""Newton systems of several outputs, ``(I + B' K B) r = rhs``: conjugate gradients and what makes them short."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

__all__ = ["Shared", "conjugate_gradients"]

Map = Callable[[np.ndarray], np.ndarray]


def conjugate_gradients(
    operator: Map, rhs: np.ndarray, tol: float, max_iter: int, precondition: Map | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:  # fmt: skip
    """Solve a positive definite system to a relative residual; the arithmetic is that of ``rhs``.

    Returns the solution, the residual left and the number of steps; ``stop`` is asked now and then.
    """
    scalar = rhs.dtype.type
    x, residual = np.zeros_like(rhs), rhs.copy()
    z = precondition(residual) if precondition else residual
    direction, product = z.copy(), float(np.vdot(residual, z))
    target = tol * float(np.linalg.norm(rhs))
    for iteration in range(1, max_iter + 1):
        image = operator(direction)
        curvature = float(np.vdot(direction, image))
        if not curvature > 0:
            return x, residual, iteration
        step = product / curvature
        x += scalar(step) * direction
        residual -= scalar(step) * image
        if float(np.linalg.norm(residual)) <= target or (stop is not None and iteration % 8 == 0 and stop()):
            return x, residual, iteration
        z = precondition(residual) if precondition else residual
        product, previous = float(np.vdot(residual, z)), product
        direction *= scalar(product / previous)
        direction += z
    return x, residual, max_iter


class Shared:
    """Inverse of ``I + D (I_k (x) Q + L L') D``, D a diagonal that is the same for every output, L of low rank.

    One n x n factor serves all outputs, and L enters by the Woodbury identity.

    Parameters
    ----------
    size : (n,) diagonal of D.
    matrix : (n, n) Q, overwritten.
    low_rank : (n k, J) L, or None.
    """

    def __init__(self, size: np.ndarray, matrix: np.ndarray, low_rank: np.ndarray | None) -> None:
        matrix *= size[:, None] * size
        matrix.flat[:: len(matrix) + 1] += 1
        self._factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        self._tall: np.ndarray | None = None
        if low_rank is not None and low_rank.shape[1]:
            n, rank = len(size), low_rank.shape[1]
            scaled = low_rank.reshape(n, -1, rank) * size[:, None, None]
            half = solve_triangular(self._factor[0], scaled.reshape(n, -1), lower=True, check_finite=False)
            half = half.reshape(-1, rank)
            core = half.T @ half
            core.flat[:: rank + 1] += 1
            self._tall, self._core = scaled.reshape(-1, rank), cho_factor(core, check_finite=False)

    def __call__(self, r: np.ndarray) -> np.ndarray:
        x = cho_solve(self._factor, r, check_finite=False)
        if self._tall is None:
            return x
        inner = cho_solve(self._core, x.reshape(-1) @ self._tall, check_finite=False)
        return x - cho_solve(self._factor, (self._tall @ inner).reshape(r.shape), check_finite=False)
