"""Quadratics above and below the modulus on an interval; intervals of ``x . u`` over slab nodes, many at once."""

from __future__ import annotations

import numpy as np

__all__ = ["Quadratics", "quadratic_rows", "row_ranges"]

Quadratics = tuple[np.ndarray, np.ndarray, np.ndarray]


def quadratic_rows(
    convex: np.ndarray, t: np.ndarray, q: np.ndarray, lower: np.ndarray, upper: np.ndarray, s: np.ndarray
) -> Quadratics:
    r"""Coefficients of ``c2 t^2 + c1 t + c0``, above (``convex``) or below ``|t|`` on ``lower < 0 < upper``.

    Above: the quadratic with the smallest mean for a distribution on the interval with mean t and second moment q.
    Below: t, -t and the parabola through (lower, 0, upper), mixed by how large each is at (t, q) and the smoothing s.

    Parameters
    ----------
    convex : ndarray of bool
    t, q, lower, upper, s : ndarray
        Broadcast against each other.

    Returns
    -------
    c2, c1, c0 : ndarray

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones(1)
    >>> [float(c[0]) for c in quadratic_rows(one > 0, 0 * one, 0.25 * one, -one, one, one)]
    [1.0, 0.0, 0.25]
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        above, below = _above(t, q, lower, upper), _below(t, q, lower, upper, s)
    return tuple(np.where(convex, a, b) for a, b in zip(above, below, strict=True))  # type: ignore[return-value]


def _above(t: np.ndarray, q: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> Quadratics:
    """Chord, symmetric parabola, or the parabola through the nearer end that touches beyond the farther kink."""
    width, left = upper - lower, -lower
    q = np.maximum(q, 1e-12 * width * width)
    near, far = np.minimum(left, upper), np.maximum(left, upper)
    flip = np.where(left <= upper, 1.0, -1.0)
    gap = near + flip * t
    inside = np.clip((q + near * flip * t) / gap, near, far)
    touch = np.where(gap > 1e-12 * width, inside, far)
    k = 2 * near / (touch + near) ** 2
    tau = np.sqrt(q)
    chord, middle = q >= (lower + upper) * t - lower * upper, q <= near * near
    c2 = np.where(chord, 0.0, np.where(middle, 0.5 / tau, k))
    c1 = np.where(chord, (upper + lower) / width, np.where(middle, 0.0, flip * (1 - 2 * k * touch)))
    c0 = np.where(chord, -2 * upper * lower / width, np.where(middle, 0.5 * tau, k * touch * touch))
    return c2, c1, c0


def _below(t: np.ndarray, q: np.ndarray, lower: np.ndarray, upper: np.ndarray, s: np.ndarray) -> Quadratics:
    """Softmax mixture of the three minorants."""
    width, middle = upper - lower, lower + upper
    third = (2 * q - middle * t) / width
    top, scale = np.maximum(np.abs(t), third), 2.0 / (s * width)
    p1, p2, p3 = np.exp((t - top) * scale), np.exp((-t - top) * scale), np.exp((third - top) * scale)
    share = 1.0 / (p1 + p2 + p3)
    return 2 * p3 * share / width, (p1 - p2) * share - p3 * share * middle / width, np.zeros_like(share)


def row_ranges(
    rows: np.ndarray, norms: np.ndarray, normals: np.ndarray, low: np.ndarray, high: np.ndarray, sweeps: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    r"""Interval of ``x . u`` over unit u with ``low_k <= a_k . u <= high_k``, for B nodes.

    .. math:: x \cdot u \le \|x - \sum_k \beta_k a_k\| + \sum_k \max(\beta_k\, low_k, \beta_k\, high_k)

    holds for every beta; coordinate descent finds a good one.

    Parameters
    ----------
    rows : ndarray of shape (n, d) or (B, n, d)
    norms : ndarray of shape (n,) or (B, n)
    normals : ndarray of shape (B, K, d)
    low, high : ndarray of shape (B, K)
    sweeps : int

    Returns
    -------
    lower, upper : ndarray of shape (B, n)

    Examples
    --------
    >>> import numpy as np
    >>> lower, upper = row_ranges(np.eye(2), np.ones(2), np.array([[[1.0, 0.0]]]), np.array([[0.6]]), np.array([[1.0]]))
    >>> lower.round(6), upper.round(6)
    (array([[ 0.6, -0.8]]), array([[1. , 0.8]]))
    """
    upper = _reach(rows, norms, normals, low, high, sweeps, 1.0)
    return -_reach(rows, norms, normals, low, high, sweeps, -1.0), upper


def _reach(
    rows: np.ndarray, norms: np.ndarray, normals: np.ndarray, low: np.ndarray, high: np.ndarray,
    sweeps: int, sign: float,
) -> np.ndarray:  # fmt: skip
    """Upper bound of ``sign * rows . u`` on each node, rounded up."""
    count = low.shape[1]
    slope = sign * np.swapaxes(np.matmul(rows, np.swapaxes(normals, 1, 2)), 1, 2)
    gram = np.matmul(normals, np.swapaxes(normals, 1, 2))
    square = np.broadcast_to(norms * norms, slope[:, :1].shape[:1] + slope.shape[2:]).copy()
    beta = np.zeros_like(slope)
    with np.errstate(divide="ignore", invalid="ignore"):
        tan_low, tan_high = (x / np.sqrt(np.maximum(1 - x * x, 1e-300)) for x in (low, high))
    for _ in range(sweeps):
        for k in range(count - 1, -1, -1):
            old, here = beta[:, k], slope[:, k]
            g = here + old
            length = np.maximum(square + 2 * old * here + old * old, g * g)
            size, side = np.sqrt(length), np.sqrt(length - g * g)
            above = np.where(high[:, k, None] < 1, np.maximum(0, g - side * tan_high[:, k, None]), 0.0)
            below = np.where(low[:, k, None] > -1, np.minimum(0, g - side * tan_low[:, k, None]), 0.0)
            new = np.where(g > high[:, k, None] * size, above, np.where(g < low[:, k, None] * size, below, 0.0))
            change = new - old
            beta[:, k] = new
            square += change * (change - 2 * here)
            slope -= change[:, None, :] * gram[:, k, :, None]
    rest = sign * rows - np.matmul(np.swapaxes(beta, 1, 2), normals)
    load = np.sum(np.maximum(beta * low[:, :, None], beta * high[:, :, None]), axis=1)
    return np.linalg.norm(rest, axis=2) + load + 1e-11 * norms + 1e-14 * np.sum(np.abs(beta), axis=1)
