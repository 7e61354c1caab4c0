"""The bound on one slab node in plain loops, to be compiled; ``_slab_numpy`` has the same rules for many nodes at once.

The functions are ordinary Python (numpy arrays and loops only); ``_slab_compile`` puts compiled versions in their
place. A node is the part of the unit sphere with ``low_k <= normals_k . u <= high_k`` for the K slabs of its path.
"""

from __future__ import annotations

import numpy as np

__all__ = ["KERNELS", "cut_quadratic", "row_coefficients", "row_intervals"]

KERNELS = ("reach", "row_intervals", "row_coefficients", "cut_multipliers", "cut_quadratic")


def row_intervals(rows, norms, normals, low, high, sweeps, lower, upper):  # type: ignore[no-untyped-def]
    """Tighten ``lower <= rows . u <= upper`` in place: coordinate descent on the multipliers of the slabs."""
    m = len(rows)
    gram, product = np.dot(normals, normals.T), np.dot(normals, rows.T)
    top, bottom = np.empty(m), np.empty(m)
    reach(rows, norms, normals, low, high, sweeps, 1.0, gram, product, top)
    reach(rows, norms, normals, low, high, sweeps, -1.0, gram, product, bottom)
    for i in range(m):
        if max(-bottom[i], lower[i]) <= min(top[i], upper[i]):
            upper[i] = min(top[i], upper[i])
            lower[i] = max(-bottom[i], lower[i])


def reach(rows, norms, normals, low, high, sweeps, sign, gram, product, found):  # type: ignore[no-untyped-def]
    """Upper bound of ``sign * rows . u``; the inner loops run over the rows so that they vectorise."""
    m, d = rows.shape
    count = len(low)
    beta, slope, square, change = np.zeros((count, m)), sign * product, norms * norms, np.empty(m)
    for _ in range(sweeps):
        for back in range(count):
            k = count - 1 - back
            up, down = high[k], low[k]
            tan_up = up / np.sqrt(max(1.0 - up * up, 1e-300)) if up < 1.0 else 1e300
            tan_down = down / np.sqrt(max(1.0 - down * down, 1e-300)) if down > -1.0 else -1e300
            old, here = beta[k], slope[k]
            for i in range(m):
                g = here[i] + old[i]
                length = square[i] + 2.0 * old[i] * here[i] + old[i] * old[i]
                length = length if length > g * g else g * g
                size, side = np.sqrt(length), np.sqrt(length - g * g)
                above, below = g - side * tan_up, g - side * tan_down
                above = above if above > 0.0 else 0.0
                below = below if below < 0.0 else 0.0
                new = above if g > up * size else 0.0
                new = below if g < down * size else new
                change[i] = new - old[i]
                square[i] += change[i] * (change[i] - 2.0 * here[i])
                old[i] = new
            for j in range(count):
                scale, line = gram[k, j], slope[j]
                for i in range(m):
                    line[i] -= change[i] * scale
    rest = sign * rows - np.dot(beta.T, normals)
    for i in range(m):
        total = 0.0
        for j in range(d):
            total += rest[i, j] * rest[i, j]
        found[i] = np.sqrt(total) + 1e-11 * norms[i]
    for k in range(count):
        for i in range(m):
            value = beta[k, i]
            found[i] += value * (high[k] if value > 0.0 else low[k]) + 1e-14 * abs(value)


def row_coefficients(weights, t, q, lower, upper, s, c2, c1, c0):  # type: ignore[no-untyped-def]
    """``weights * (quadratic above or below |t|)`` of every undecided row; see ``_slab_rules.quadratic_rows``."""
    for i in range(len(weights)):
        low, high, ti = lower[i], upper[i], t[i]
        width, left = high - low, -low
        if weights[i] > 0.0:
            qi = max(q[i], 1e-12 * width * width)
            near, far = min(left, high), max(left, high)
            if qi >= (low + high) * ti - low * high:
                a2, a1, a0 = 0.0, (high + low) / width, -2.0 * high * low / width
            elif qi <= near * near:
                tau = np.sqrt(qi)
                a2, a1, a0 = 0.5 / tau, 0.0, 0.5 * tau
            else:
                flip = 1.0 if left <= high else -1.0
                gap = near + flip * ti
                touch = far
                if gap > 1e-12 * width:
                    touch = min(max((qi + near * flip * ti) / gap, near), far)
                a2 = 2.0 * near / ((touch + near) * (touch + near))
                a1, a0 = flip * (1.0 - 2.0 * a2 * touch), a2 * touch * touch
        else:
            third = (2.0 * q[i] - (low + high) * ti) / width
            top, scale = max(abs(ti), third), 2.0 / (s * width)
            e1, e2, e3 = (ti - top) * scale, (-ti - top) * scale, (third - top) * scale
            p1 = np.exp(e1) if e1 > -40.0 else 0.0
            p2 = np.exp(e2) if e2 > -40.0 else 0.0
            p3 = np.exp(e3) if e3 > -40.0 else 0.0
            share = 1.0 / (p1 + p2 + p3)
            a2 = 2.0 * p3 * share / width
            a1, a0 = (p1 - p2) * share - p3 * share * (low + high) / width, 0.0
        c2[i], c1[i], c0[i] = weights[i] * a2, weights[i] * a1, weights[i] * a0


def cut_multipliers(low, high, mean, second, step, start, cuts):  # type: ignore[no-untyped-def]
    """Multipliers ``max(0, start - step * slack)`` of all products of two slab sides at a state."""
    count = len(low)
    for k in range(count):
        for r in range(k + 1):
            product, mr, mk = second[r, k], mean[r], mean[k]
            rate = 4.0 * step / ((high[r] - low[r]) * (high[k] - low[k]))
            if r < k:
                slack = product - low[r] * mk - low[k] * mr + low[r] * low[k]
                cuts[0, r, k] = max(0.0, start[0, r, k] - rate * slack)
                slack = product - high[r] * mk - high[k] * mr + high[r] * high[k]
                cuts[1, r, k] = max(0.0, start[1, r, k] - rate * slack)
                slack = -product + high[r] * mk + low[k] * mr - high[r] * low[k]
                cuts[3, r, k] = max(0.0, start[3, r, k] - rate * slack)
            slack = -product + low[r] * mk + high[k] * mr - low[r] * high[k]
            cuts[2, r, k] = max(0.0, start[2, r, k] - rate * slack)


def cut_quadratic(low, high, cuts, pairs, slopes):  # type: ignore[no-untyped-def]
    """``sum cuts * products`` as ``constant + slopes . s + s' pairs s``, ``s = normals @ u``; constant and size."""
    count, constant, size = len(low), 0.0, 0.0
    for k in range(count):
        slopes[k] = 0.0
    for k in range(count):
        for r in range(k + 1):
            plus = cuts[0, r, k] + cuts[1, r, k]
            ahead, behind = cuts[2, r, k], cuts[3, r, k]
            constant += cuts[0, r, k] * low[r] * low[k] + cuts[1, r, k] * high[r] * high[k]
            constant -= ahead * low[r] * high[k] + behind * high[r] * low[k]
            slopes[k] += ahead * low[r] + behind * high[r] - cuts[0, r, k] * low[r] - cuts[1, r, k] * high[r]
            slopes[r] += ahead * high[k] + behind * low[k] - cuts[0, r, k] * low[k] - cuts[1, r, k] * high[k]
            total = plus - ahead - behind
            size += plus + ahead + behind
            if r < k:
                pairs[r, k] = 0.5 * total
                pairs[k, r] = 0.5 * total
            else:
                pairs[k, k] = total
    return constant, size
