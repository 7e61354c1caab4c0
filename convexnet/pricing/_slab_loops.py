"""Trust-region problem on the sphere, Frank-Wolfe on the moments of one slab node, and its rounding-safe bound."""

from __future__ import annotations

import numpy as np

from ._slab_kernels import cut_multipliers, cut_quadratic, row_coefficients

__all__ = ["KERNELS", "node_bound", "solve_node", "sphere_maximum"]

KERNELS = ("factor", "forward", "backward", "complete", "sphere_maximum", "assemble", "solve_node", "node_bound")
_EPS = 2.3e-16


def factor(matrix, mu, lower):  # type: ignore[no-untyped-def]
    """Cholesky factor of ``mu I - matrix``; False where a pivot is not clearly positive."""
    d = matrix.shape[0]
    for j in range(d):
        diagonal = mu - matrix[j, j]
        total = diagonal
        for k in range(j):
            total -= lower[j, k] * lower[j, k]
        if not total > 1e-14 * abs(diagonal):
            return False
        lower[j, j] = np.sqrt(total)
        inverse = 1.0 / lower[j, j]
        for i in range(j + 1, d):
            total = -matrix[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            lower[i, j] = total * inverse
    return True


def forward(lower, right, out):  # type: ignore[no-untyped-def]
    """Solve ``lower @ out = right``; returns the squared norm."""
    square = 0.0
    for i in range(len(right)):
        total = right[i]
        for k in range(i):
            total -= lower[i, k] * out[k]
        out[i] = total / lower[i, i]
        square += out[i] * out[i]
    return square


def backward(lower, right, out):  # type: ignore[no-untyped-def]
    """Solve ``lower.T @ out = right``; returns the squared norm."""
    d, square = len(right), 0.0
    for back in range(d):
        i = d - 1 - back
        total = right[i]
        for k in range(i + 1, d):
            total -= lower[k, i] * out[k]
        out[i] = total / lower[i, i]
        square += out[i] * out[i]
    return square


def complete(lower, x, square, v, z):  # type: ignore[no-untyped-def]
    """Bring x to unit norm: along nearly the top eigenvector when it is short, else by scaling."""
    d = len(x)
    if square >= 1.0 - 1e-6:
        for i in range(d):
            x[i] /= np.sqrt(square)
        return
    for i in range(d):
        v[i] = 1.0 + 0.37 * ((i * 7) % 5)
    for _ in range(3):
        forward(lower, v, z)
        size = np.sqrt(backward(lower, z, v))
        for i in range(d):
            v[i] /= size
    inner = 0.0
    for i in range(d):
        inner += v[i] * x[i]
    root = np.sqrt(inner * inner + 1.0 - square)
    step = root - inner if inner > 0.0 else -root - inner
    for i in range(d):
        x[i] += step * v[i]


def sphere_maximum(matrix, half, mu, lower, x, z, v):  # type: ignore[no-untyped-def]
    """Bound and mu of ``2 half . u + u' matrix u`` on the sphere: ``min mu + |L^-1 half|^2``; x nearly attains it."""
    d = len(half)
    low, frobenius, square, norm = matrix[0, 0], 0.0, 0.0, 0.0
    for i in range(d):
        low = max(low, matrix[i, i])
        norm += half[i] * half[i]
        for j in range(d):
            frobenius += matrix[i, j] * matrix[i, j]
    high = np.sqrt(frobenius) + np.sqrt(norm) + 1e-14  # forms have size 1
    scale = high
    if not low < mu < high:
        mu = 0.5 * (low + high)
    best, best_mu = np.inf, mu
    for trial in range(40):
        if not factor(matrix, mu, lower):
            low = mu
            if high - low < 1e-11 * scale:
                mu = high
                high = 2.0 * high - low + 1e-12 * scale
            else:
                mu = low + min(0.5, 0.1 + 0.2 * trial) * (high - low)
            continue
        square = mu + forward(lower, half, z)
        if square < best:
            best, best_mu = square, mu
        square = backward(lower, z, x)
        if abs(square - 1.0) < 1e-6:
            break
        slope = forward(lower, x, v)
        if square < 1.0:
            high = mu
            if mu - low < 1e-7 * scale:
                break
        else:
            low = mu
        new = mu + square / slope * (np.sqrt(square) - 1.0) if slope > 0.0 else low
        if not new > low:
            new = low + (0.5 if trial < 4 else 0.1) * (mu - low)
        mu = min(new, 0.5 * (low + high)) if new > high else new
    complete(lower, x, square, v, z)
    return best, best_mu


def assemble(rows, scaled, base, normals, c2, c1, c0, pairs, slopes, constant, matrix, half):  # type: ignore[no-untyped-def]
    """``constant + 2 half . u + u' matrix u`` of the quadratics of all rows and cuts; returns the constant."""
    m, d = rows.shape
    for i in range(m):
        constant += c0[i]
        for k in range(d):
            scaled[i, k] = rows[i, k] * c2[i]
    matrix[:, :] = np.dot(rows.T, scaled)
    half[:] = 0.5 * (base + np.dot(c1, rows))
    if len(slopes):
        matrix += np.dot(normals.T, np.dot(pairs, normals))
        half += 0.5 * np.dot(slopes, normals)
    return constant


def solve_node(rows, weights, lower, upper, base, normals, low, high, mean, second, start, options, target):  # type: ignore[no-untyped-def]
    """Frank-Wolfe on (mean, second), in place; the best bound, its state, multipliers, s, mu, and an atom."""
    m, d = rows.shape
    count = len(low)
    limit, s0, rate, offset, decay, every, pause, progress = options
    t = np.dot(rows, mean)
    q = np.empty(m)
    image = np.dot(rows, second)
    for i in range(m):
        total = 0.0
        for k in range(d):
            total += image[i, k] * rows[i, k]
        q[i] = total
    st, sq = np.dot(normals, mean), np.dot(np.dot(normals, second), normals.T)
    c2, c1, c0 = np.empty(m), np.empty(m), np.empty(m)
    matrix, half, factors = np.empty((d, d)), np.empty(d), np.zeros((d, d))
    x, z, v = np.zeros(d), np.empty(d), np.empty(d)
    scaled, pairs, slopes = np.empty((m, d)), np.zeros((count, count)), np.zeros(count)
    cuts, best_cuts = np.zeros((4, count, count)), start.copy()
    best_mean, best_second, atom, best_matrix = mean.copy(), second.copy(), x.copy(), matrix.copy()
    best, best_s, best_mu, mu, last, used = np.inf, s0, 0.0, 0.0, np.inf, 0
    for j in range(int(limit)):
        used += 1
        s = s0 / (1.0 + decay * j)
        row_coefficients(weights, t, q, lower, upper, s, c2, c1, c0)
        cut_multipliers(low, high, st, sq, rate, start, cuts)
        if j % int(every) == int(every) - 1:
            start[:, :, :] = cuts
        constant, _ = cut_quadratic(low, high, cuts, pairs, slopes)
        constant = assemble(rows, scaled, base, normals, c2, c1, c0, pairs, slopes, constant, matrix, half)
        value, mu = sphere_maximum(matrix, half, mu, factors, x, z, v)
        value += constant
        if value < best:
            best, best_s, best_mu = value, s, mu
            best_mean[:] = mean
            best_second[:, :] = second
            best_cuts[:, :, :] = cuts
            atom[:] = x
            best_matrix[:, :] = matrix
            if best <= target:
                break
        if j % int(pause) == int(pause) - 1:
            if last - best < progress * (best - target):
                break
            last = best
        step = 2.0 / (j + 2.0 + offset)
        tx, sx = np.dot(rows, x), np.dot(normals, x)
        for i in range(m):
            t[i] += step * (tx[i] - t[i])
            q[i] += step * (tx[i] * tx[i] - q[i])
        for k in range(count):
            st[k] += step * (sx[k] - st[k])
            for r in range(count):
                sq[k, r] += step * (sx[k] * sx[r] - sq[k, r])
        for i in range(d):
            mean[i] += step * (x[i] - mean[i])
            for k in range(d):
                second[i, k] += step * (x[i] * x[k] - second[i, k])
    return best, best_mean, best_second, best_cuts, best_s, best_mu, atom, used, best_matrix


def node_bound(rows, norms, weights, lower, upper, base, normals, low, high, mean, second, cuts, s, mu, mass):  # type: ignore[no-untyped-def]
    """The bound of a stored state with all rounding charged, and the mu it is for (raised if not above the spectrum).

    Also the curvature of the quadratics above convex rows, by which the node is split.

    With L the computed factor of ``mu I - A`` and ``L z = b/2``, ``-|L'u - z|^2 <= 0`` gives the bound
    ``b0 + mu + |z|^2`` up to the backward errors of both, whatever the condition number.
    """
    m, d = rows.shape
    count = len(low)
    t, q = np.dot(rows, mean), np.empty(m)
    image = np.dot(rows, second)
    for i in range(m):
        total = 0.0
        for k in range(d):
            total += image[i, k] * rows[i, k]
        q[i] = total
    c2, c1, c0 = np.empty(m), np.empty(m), np.empty(m)
    row_coefficients(weights, t, q, lower, upper, s, c2, c1, c0)
    matrix, half, factors, z = np.empty((d, d)), np.empty(d), np.zeros((d, d)), np.empty(d)
    scaled, pairs, slopes = np.empty((m, d)), np.zeros((count, count)), np.zeros(count)
    constant, size = cut_quadratic(low, high, cuts, pairs, slopes)
    constant = assemble(rows, scaled, base, normals, c2, c1, c0, pairs, slopes, constant, matrix, half)
    for i in range(m):
        size += (abs(c2[i]) * norms[i] + abs(c1[i])) * norms[i] + abs(c0[i])
        for k in range(d):
            scaled[i, k] = rows[i, k] * max(c2[i], 0.0)
    stress, lift = np.dot(rows.T, scaled), 0.0
    for i in range(d):
        lift = max(lift, abs(matrix[i, i]))
    lift = 1e-12 * (lift + abs(mu))
    for _ in range(8):
        if factor(matrix, mu, factors):
            break
        mu += lift
        lift *= 10.0
    else:
        return np.inf, mu, stress
    square = forward(factors, half, z)
    trace, spread = 0.0, 0.0
    for i in range(d):
        trace += abs(mu) + abs(matrix[i, i])
        for k in range(i + 1):
            spread += factors[i, k] * factors[i, k]
    margin = 4.0 * _EPS * (m + 2.0 * count * count + d + 40.0) * (4.0 * size + mass)
    margin += 4.0 * _EPS * (d + 4.0) * (trace + spread + 2.0 * np.sqrt(spread * square) + square)
    return constant + mu + square + margin, mu, stress
