"""Knots of linear splines: kinks of given values, knots moved onto data, pairs of knots merged off the data."""

from __future__ import annotations

import numpy as np

EPS = float(np.finfo(np.float64).eps)
SAME_SLOPE = 1e-12
SAME_VALUE = 1e-10
ROUNDINGS = 4


def needed_knots(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Places of the inner nodes where the function through points must bend to meet the values up to their rounding.

    These are the nodes where the slope jumps by more than rounding explains, and those that small jumps, each within
    its rounding, would make miss together.
    """
    jumps, noise = _second_differences(x, values)
    inner = np.flatnonzero(np.abs(jumps) > noise) + 1
    chosen = np.concatenate([[0], inner, [x.size - 1]])
    while True:
        missed = _worst_missed(x, values, chosen)
        if not missed.size:
            return chosen[1:-1]
        chosen = np.union1d(chosen, missed)


def _worst_missed(x: np.ndarray, values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The node in each piece between chosen ones that straight lines miss the most, beyond the rounding of values."""
    if chosen.size == x.size:
        return np.zeros(0, dtype=int)
    count = np.diff(chosen)
    left, right = (np.repeat(ends, count) for ends in (chosen[:-1], chosen[1:]))
    long_x, long_values = x.astype(np.longdouble), values.astype(np.longdouble)
    share = (long_x[:-1] - long_x[left]) / (long_x[right] - long_x[left])
    line = long_values[left] + share * (long_values[right] - long_values[left])
    sizes = np.abs(values)
    missed = np.abs(long_values[:-1] - line).astype(np.float64)
    excess = missed - ROUNDINGS * EPS * (sizes[:-1] + np.maximum(sizes[left], sizes[right]))
    worst = np.maximum.reduceat(excess, chosen[:-1])
    return np.flatnonzero((excess > 0) & (excess == np.repeat(worst, count)))


def kinks_through(
    x: np.ndarray, values: np.ndarray, slopes: np.ndarray | None = None
) -> tuple[np.ndarray, float, float, float]:
    """Kinks at ``x[1:-1]``, anchor, value and slope of the function through points, from its widest piece outwards.

    ``slopes`` are those of the pieces where they are known better than from differences of the values. The doubles
    returned are chosen one after the other so that slopes and values stay where they should be: with knots 1e-9 apart
    the rounding of kinks would otherwise add up in all that follows.
    """
    points, values = x.astype(np.longdouble), values.astype(np.longdouble)
    slopes = np.diff(values) / np.diff(points) if slopes is None else slopes.astype(np.longdouble)
    widest = int(np.argmax(np.diff(x)))
    slope = float(slopes[widest])
    value = float(values[widest + 1])
    start = np.longdouble(value) + np.longdouble(slope) * (points[widest] - points[widest + 1])
    right = _followed(points[widest + 1 :], values[widest + 1 :], slopes[widest + 1 :], value, slope)
    left = _followed(points[widest::-1], values[widest::-1], slopes[:widest][::-1], start, slope)
    return np.concatenate([-left[::-1], right]), float(x[widest + 1]), value, slope


def _followed(x: np.ndarray, values: np.ndarray, slopes: np.ndarray, start: float, slope: float) -> np.ndarray:
    """Jumps at ``x[:-1]`` to about the given slopes that lead from ``start`` with ``slope`` to the later values.

    A value missed is made up for by no more than the rounding of the slopes around it: over a tiny gap the kink that
    reaches the next value exactly would be large.
    """
    chosen, gaps = np.empty(slopes.size), np.diff(x)
    before = np.concatenate([[np.longdouble(slope)], slopes[:-1]])
    room = 4 * EPS * (np.abs(slopes) + np.abs(before))
    reached, level = np.longdouble(start), np.longdouble(slope)
    for k in range(slopes.size):
        missed = (values[k + 1] - reached) / gaps[k] - slopes[k]
        chosen[k] = slopes[k] + min(max(missed, -room[k]), room[k]) - level
        level = level + chosen[k]
        reached = reached + level * gaps[k]
    return chosen


def _second_differences(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope jumps at the inner points, and how large one can be by rounding alone."""
    gaps = np.diff(x.astype(np.longdouble))
    slopes = np.diff(values.astype(np.longdouble)) / gaps
    sizes = np.abs(values)
    steps = SAME_SLOPE * np.abs(slopes) + 2 * EPS * (sizes[1:] + sizes[:-1]) / gaps
    return np.diff(slopes), steps[1:] + steps[:-1]


def kinks_at_nodes(x: np.ndarray, knots: np.ndarray, kinks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots at inner nodes and their kinks, with the same values at all nodes: knots in between are split."""
    inside = (knots > x[0]) & (knots < x[-1])
    knots, kinks = knots[inside], kinks[inside]
    left = np.searchsorted(x, knots, side="right") - 1
    share = (knots - x[left]) / (x[left + 1] - x[left])
    total = np.bincount(left, (1 - share) * kinks, x.size) + np.bincount(left + 1, share * kinks, x.size)
    total[[0, -1]] = 0.0
    places = np.flatnonzero(total)
    return x[places], total[places]


def barycentres(
    x: np.ndarray, knots: np.ndarray, kinks: np.ndarray, size: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge neighbouring nodes with kinks of one sign in pairs; also the index of the last old knot of each new one.

    ``knots`` are nodes of ``x``. A pair stays if rounding its barycentre would move values by more than a small share
    of their ``size``. The merged knot ``(a x + a' x') / (a + a')`` takes no difference of slopes.
    """
    if not knots.size:
        return knots, kinks, np.zeros(0, dtype=int)
    place = np.searchsorted(x, knots)
    moved = EPS * np.maximum(np.abs(knots[1:]), np.abs(knots[:-1])) * np.abs(kinks[1:] + kinks[:-1])
    joined = (np.diff(place) == 1) & (np.sign(kinks[1:]) == np.sign(kinks[:-1])) & (moved <= SAME_VALUE * size)
    start = np.maximum.accumulate(np.where(np.concatenate([[True], ~joined]), np.arange(knots.size), 0))
    odd = (np.arange(knots.size) - start) % 2 == 1
    second = np.flatnonzero(odd)
    first = second - 1
    total = kinks[first] + kinks[second]
    merged = knots[first] + (kinks[second] / total) * (knots[second] - knots[first])
    new_knots, new_kinks = knots.copy(), kinks.copy()
    new_knots[first], new_kinks[first] = np.clip(merged, knots[first], knots[second]), total
    members = np.flatnonzero(~odd)
    return new_knots[~odd], new_kinks[~odd], np.append(members[1:], knots.size) - 1
