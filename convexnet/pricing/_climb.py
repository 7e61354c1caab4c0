r"""Local maxima of a pricing form: linearise the convex terms, maximise the rest exactly, repeat."""

from __future__ import annotations

import numpy as np

__all__ = ["climb_form", "concave_maximiser"]

_ROUNDS = 30
_TOL = 1e-12


def climb_form(linear: np.ndarray, rows: np.ndarray, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    r"""Unit direction at which no step of the convex-concave procedure increases ``c . u + sum w |a . u|`` any more.

    The value never decreases: the terms of positive weight are replaced by their tangents at the current point, a lower
    bound, and the concave remainder is maximised over the ball.
    """
    convex = weights > 0
    up, strong, down, strength = rows[convex], weights[convex], rows[~convex], -weights[~convex]
    direction = start / max(float(np.linalg.norm(start)), np.finfo(np.float64).tiny)
    value = _value(linear, rows, weights, direction)
    signs = np.sign(up @ direction)
    for _ in range(_ROUNDS):
        point = concave_maximiser(linear + (strong * signs) @ up, down, strength, max(value, 0.0) * direction)
        length = float(np.linalg.norm(point))
        if length == 0:
            break
        score = _value(linear, rows, weights, point / length)
        if not score > value:
            break
        direction, value = point / length, score
        moved = np.sign(up @ direction)
        if np.array_equal(moved, signs):
            break
        signs = moved
    return direction


def _value(linear: np.ndarray, rows: np.ndarray, weights: np.ndarray, direction: np.ndarray) -> float:
    return float(linear @ direction + weights @ np.abs(rows @ direction))


def concave_maximiser(p: np.ndarray, rows: np.ndarray, strength: np.ndarray, start: np.ndarray) -> np.ndarray:
    r"""``argmin 1/2 ||u||^2 - p . u + sum strength_i |rows_i . u|`` by an active-set method.

    Its direction maximises ``p . u - sum strength_i |rows_i . u|`` over the unit ball (zero if that maximum is zero).
    The kinks that hold the solution are kept in a working set; steps are exact line searches over the other kinks.
    """
    u, working = start.copy(), np.zeros(0, dtype=int)
    t = rows @ u
    sides = np.where(t < 0, -1.0, 1.0)
    scale = float(np.linalg.norm(p)) + 1e-300
    for _ in range(20 + 6 * len(p)):
        held = np.zeros(len(rows), dtype=bool)
        held[working] = True
        gradient = p - np.where(held, 0.0, strength * sides) @ rows
        basis = _orthonormal(rows[working])
        step = gradient - basis @ (basis.T @ gradient) - u
        if float(np.linalg.norm(step)) <= _TOL * scale:
            leaving = _leaving(rows[working], gradient - u, strength[working])
            if leaving is None:
                return u
            index, side = leaving
            sides[working[index]] = side
            working = np.delete(working, index)
            continue
        move, hit = _line_search(t, rows @ step, sides, strength, held, float(step @ step))
        u = u + move * step
        t = rows @ u
        free = ~held
        sides[free] = np.where(np.abs(t[free]) > _TOL * scale, np.where(t[free] < 0, -1.0, 1.0), sides[free])
        if hit >= 0:
            if len(working) >= len(p):
                return u
            working = np.append(working, hit)
    return u


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the row space, as columns."""
    if not len(rows):
        return np.zeros((rows.shape[1], 0))
    Q, R = np.linalg.qr(rows.T)
    size = np.abs(np.diag(R))
    return Q[:, : len(size)][:, size > 1e-12 * size.max(initial=0.0)]


def _leaving(rows: np.ndarray, rest: np.ndarray, strength: np.ndarray) -> tuple[int, float] | None:
    """A kink whose multiplier exceeds its strength, with the side to which it opens."""
    if not len(rows):
        return None
    multipliers = np.linalg.lstsq(rows.T, rest, rcond=None)[0]
    excess = np.abs(multipliers) / strength
    index = int(np.argmax(excess))
    return (index, float(np.sign(multipliers[index]))) if excess[index] > 1 + 1e-9 else None


def _line_search(
    t: np.ndarray, slope: np.ndarray, sides: np.ndarray, strength: np.ndarray, held: np.ndarray, square: float
) -> tuple[float, int]:
    """Exact step in [0, 1] along a descent direction, and the kink it ends at (-1: none)."""
    closing = ~held & (sides * slope < 0)
    index = np.flatnonzero(closing)
    with np.errstate(divide="ignore", over="ignore"):
        at = np.maximum(-t[index] / slope[index], 0.0)
    keep = at < 1
    index, at = index[keep], at[keep]
    if not index.size:
        return 1.0, -1
    order = np.argsort(at, kind="stable")
    index, at = index[order], at[order]
    jumps = np.cumsum(2 * strength[index] * np.abs(slope[index]))
    # Derivative just after each kink, and just before it.
    after = jumps - square * (1 - at)
    stop = np.flatnonzero(after >= 0)
    first = int(stop[0]) if stop.size else len(at)
    before = float(jumps[first - 1]) if first else 0.0
    inner = 1 - before / square
    if first == len(at) or inner <= at[first]:
        return max(inner, 0.0), -1
    return float(at[first]), int(index[first])
