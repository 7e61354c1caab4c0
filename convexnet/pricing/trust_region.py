r"""The trust-region problem: a quadratic over the unit ball or sphere, solved globally and bounded rigorously."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ProblemError

__all__ = ["TrustRegionPoint", "certified_value", "solve_trust_region", "trust_region_batch"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_NEWTON_STEPS = 60


@dataclass(frozen=True, eq=False)
class TrustRegionPoint:
    """A global maximum of ``b . u + u' A u`` over the unit ball or sphere.

    Attributes
    ----------
    value : float
        ``mu + b' (mu I - A)^-1 b / 4``, the dual value: never below the maximum, up to rounding.
    maximiser : ndarray of shape (d,)
        Of norm one unless the maximum lies inside the ball.
    mu : float
        Multiplier of the norm: ``mu I - A`` is positive semidefinite.
    """

    value: float
    maximiser: np.ndarray
    mu: float


def solve_trust_region(A: np.ndarray, b: np.ndarray, *, sphere: bool = False) -> TrustRegionPoint:
    r"""Maximise ``b . u + u' A u`` over ``||u|| <= 1``, or over ``||u|| = 1``.

    .. math:: \max_{\|u\| \le 1} b^\top u + u^\top A u
              = \min_{\mu \ge \max(0, \lambda_{\max}(A))} \mu + \tfrac14 b^\top (\mu I - A)^{-1} b

    One eigendecomposition, then Newton's method for ``||(mu I - A)^-1 b / 2|| = 1``. In the hard case (b orthogonal to
    the top eigenvectors) the maximiser is completed along one of them. On the sphere ``mu`` may be negative.

    Parameters
    ----------
    A : ndarray of shape (d, d)
        Symmetric.
    b : ndarray of shape (d,)
    sphere : bool

    Raises
    ------
    Nothing: use finite arrays.

    References
    ----------
    Moré and Sorensen (1983), "Computing a trust region step"; Conn, Gould and Toint (2000), "Trust region methods".

    Examples
    --------
    >>> import numpy as np
    >>> point = solve_trust_region(np.diag([1.0, 0.0]), np.array([0.0, 1.0]))
    >>> round(point.value, 6), round(point.mu, 6), np.round(np.abs(point.maximiser), 6).tolist()
    (1.25, 1.0, [0.866025, 0.5])
    """
    eigenvalues, Q = np.linalg.eigh(A)
    half = 0.5 * (b @ Q)
    top = float(eigenvalues[-1])
    half[np.abs(half) <= 32 * _EPS * (max(top, -float(eigenvalues[0])) + float(np.linalg.norm(half)))] = 0.0
    mu = max(float(np.max(eigenvalues + np.abs(half))), top, top if sphere else 0.0)
    kept = np.flatnonzero(half)
    entries = np.zeros_like(half)
    for _ in range(_NEWTON_STEPS if kept.size else 0):
        gap = mu - eigenvalues[kept]
        ratio = half[kept] / gap
        square = float(ratio @ ratio)
        step = square / float(ratio @ (ratio / gap)) * (square**0.5 - 1) if square > 1 else 0.0
        if not step > 4 * _EPS * abs(mu):
            break
        mu += step
    entries[kept] = half[kept] / (mu - eigenvalues[kept])
    value = mu + float(half @ entries)
    square = float(entries @ entries)
    if square < 1 and mu <= top + 1e-9 * max(abs(top), float(np.linalg.norm(half))):
        # Hard case: the missing length goes to a top eigenvector, where it changes nothing at mu = lmax.
        entries[-1] = (1 - square + entries[-1] ** 2) ** 0.5 * (-1.0 if half[-1] < 0 else 1.0)
        square = 1.0
    return TrustRegionPoint(value, Q @ (entries / max(square, 1.0) ** 0.5), mu)


def trust_region_batch(
    A: np.ndarray, b: np.ndarray, *, sphere: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solve many trust-region problems: ``A`` (B, d, d), ``b`` (B, d) to values (B,), maximisers (B, d), mu (B,).

    Examples
    --------
    >>> import numpy as np
    >>> values, maximisers, mu = trust_region_batch(np.zeros((2, 1, 1)), np.array([[2.0], [0.0]]))
    >>> values.tolist(), mu.tolist()
    ([2.0, 0.0], [1.0, 0.0])
    """
    eigenvalues, Q = np.linalg.eigh(A)
    half = 0.5 * np.einsum("bij,bi->bj", Q, b)
    # Entries of the size of a rounding error are the hard case: mu cannot resolve them.
    noise = 32 * _EPS * (np.max(np.abs(eigenvalues), axis=1) + np.linalg.norm(half, axis=1))
    half = np.where(np.abs(half) <= noise[:, None], 0.0, half)
    mu = _multiplier(eigenvalues, half, sphere)
    gap = mu[:, None] - eigenvalues
    flat = (gap <= 0) | (half == 0)
    coefficients = np.where(flat, 0.0, half / np.where(flat, 1.0, gap))
    norms = np.linalg.norm(coefficients, axis=1)
    value = mu + np.sum(half * coefficients, axis=1)
    # Hard case: any missing length goes to a top eigenvector, where it changes nothing at mu = lmax.
    top = eigenvalues[:, -1]
    short = (norms < 1) & (mu <= top + 1e-9 * np.maximum(np.abs(top), np.linalg.norm(half, axis=1)))
    rest = np.sqrt(np.maximum(1 - norms**2 + coefficients[:, -1] ** 2, 0.0))
    side = np.where(half[:, -1] < 0, -1.0, 1.0)
    coefficients[:, -1] = np.where(short, side * rest, coefficients[:, -1])
    coefficients /= np.maximum(np.linalg.norm(coefficients, axis=1), 1.0)[:, None]
    return value, np.einsum("bij,bj->bi", Q, coefficients), mu


def _multiplier(eigenvalues: np.ndarray, half: np.ndarray, sphere: bool) -> np.ndarray:
    """Smallest admissible mu at which ``||half / (mu - eigenvalues)|| <= 1``, by Newton's method from the left."""
    top = eigenvalues[:, -1]
    # Where mu = a_i + |half_i| one entry alone has size one, so the root lies to the right.
    low = np.max(eigenvalues + np.abs(half), axis=1)
    low = np.maximum(low, top)
    if not sphere:
        low = np.maximum(low, 0.0)
    mu = low.copy()
    active = np.ones(len(mu), dtype=bool)
    for _ in range(_NEWTON_STEPS):
        gap = mu[:, None] - eigenvalues
        safe = np.where(half == 0, 1.0, np.maximum(gap, _TINY))
        with np.errstate(over="ignore", invalid="ignore"):
            entries = half / safe
            square = np.sum(entries**2, axis=1)
            slope = np.sum(entries**2 / safe, axis=1)
            # Newton on 1 / ||.|| - 1, concave in mu: from the left the iterates increase to the root.
            step = np.where(active & (square > 1), square / slope * (np.sqrt(square) - 1), 0.0)
        step = np.where(np.isfinite(step), step, _EPS * (np.abs(mu) + np.abs(top)))
        active = step > 4 * _EPS * np.abs(mu)
        if not active.any():
            break
        mu = mu + np.where(active, step, 0.0)
    return mu


def certified_value(A: np.ndarray, b: np.ndarray, mu: float, *, sphere: bool = False) -> float:
    r"""Upper bound of ``max b . u + u' A u`` over the unit ball (or sphere) that floating point cannot spoil.

    For ``beta`` near ``b' (mu I - A)^-1 b / 4`` and a small shift ``delta`` the Cholesky factorisation of

    .. math:: \begin{pmatrix} \mu I - A & -b/2 \\ -b^\top/2 & \beta \end{pmatrix} + \delta I

    is computed. If it ends, the matrix is positive semidefinite up to the rounding errors of the factorisation, which
    are at most ``gamma_{d+3}`` times its trace, and the value is at most ``mu + beta + 2 (delta + errors)``.

    Parameters
    ----------
    A : ndarray of shape (d, d)
        Symmetric; read from its lower triangle.
    b : ndarray of shape (d,)
    mu : float
        Any number; the closer to that of :func:`solve_trust_region`, the tighter the bound. On the ball at least 0.

    Raises
    ------
    ProblemError
        If an entry is NaN or infinite.

    References
    ----------
    Rump (2006), "Verification of positive definiteness"; Higham (2002), Theorem 10.3.

    Examples
    --------
    >>> import numpy as np
    >>> A, b = np.diag([1.0, 0.0]), np.array([0.0, 1.0])
    >>> 1.25 <= certified_value(A, b, 1.0) < 1.25 + 1e-6
    True
    """
    A, b = np.asarray(A, dtype=np.float64), np.asarray(b, dtype=np.float64)
    mu = float(mu) if sphere else max(float(mu), 0.0)
    size = max(float(np.max(np.abs(A), initial=0.0)), float(np.max(np.abs(b), initial=0.0)), abs(mu))
    if not np.isfinite(size):
        raise ProblemError("A, b and mu must be finite.")
    if size == 0:
        return 0.0
    unit = 2.0 ** np.floor(np.log2(size)) if size > _TINY else _TINY
    # A power of two: the division is exact but for underflow, which _TINY covers.
    return float((_unit_bound(A / unit, b / unit, mu / unit) + 1e-300) * unit * (1 + 4 * _EPS)) + _TINY


def _unit_bound(A: np.ndarray, b: np.ndarray, mu: float) -> float:
    """The certified value for entries of size about one."""
    d = len(b)
    A = np.tril(A) + np.tril(A, -1).T
    eigenvalues, Q = np.linalg.eigh(A)
    half = 0.5 * (Q.T @ b)
    spread = max(float(np.max(np.abs(eigenvalues))), abs(mu), float(np.linalg.norm(b)))
    shift = 8 * (d + 5) * _EPS * spread
    while shift <= spread:
        # Charged twice (once in mu, once in beta), the shift also keeps the resolvent finite.
        gap = np.maximum(mu + shift - eigenvalues, shift)
        beta = float(np.sum(half**2 / gap))
        matrix = np.empty((d + 1, d + 1))
        matrix[:d, :d] = -A
        matrix[np.arange(d), np.arange(d)] += mu + 2 * shift
        matrix[d, :d] = matrix[:d, d] = -0.5 * b
        matrix[d, d] = beta + 2 * shift
        if _positive(matrix):
            errors = 4 * (d + 5) * _EPS * (float(np.trace(matrix)) + d * spread)
            return (mu + beta + 4 * shift + 2 * errors) + 8 * _EPS * (abs(mu) + beta + 4 * shift)
        shift *= 8
    return float(np.linalg.norm(A) + np.linalg.norm(b)) * (1 + 4 * (d + 5) * _EPS)


def _positive(matrix: np.ndarray) -> bool:
    """Whether the Cholesky factorisation ends."""
    try:
        return bool(np.isfinite(np.linalg.cholesky(matrix)).all())
    except np.linalg.LinAlgError:
        return False
