"""Interior point steps on the moment relaxation of one slab node, in plain loops to be compiled.

The relaxation maximises a concave function of (u, U) subject to ``[[1, u'], [u, U]]`` positive semidefinite,
``tr U = 1`` and the products of slab sides. A primal-dual path (Nesterov-Todd scaling of the matrix, slacks of their
own for the products, softmax weights of the concave rows as variables) is followed from any state. Where Frank-Wolfe
takes hundreds of steps for a few digits, a dozen of these reach the value of the relaxation; each costs more.
"""

from __future__ import annotations

import numpy as np

from ._slab_kernels import cut_quadratic, row_coefficients
from ._slab_loops import assemble, sphere_maximum

__all__ = ["KERNELS", "interior_node"]

KERNELS = ("curved_rows", "pair_features", "cut_slacks", "scaling", "cone_hessian", "interior_node")


def curved_rows(weights, t, q, lower, upper, s, share, by_t, by_q, tt, tq, qq):  # type: ignore[no-untyped-def]
    """Slopes and negative second derivatives in (t, q) of every row; ``share`` are the weights of the minorants."""
    for i in range(len(weights)):
        low, high, ti, w = lower[i], upper[i], t[i], weights[i]
        width, left = high - low, -low
        if w > 0.0:
            tt[i], tq[i], qq[i] = 0.0, 0.0, 0.0
            qi = max(q[i], 1e-12 * width * width)
            near, far = min(left, high), max(left, high)
            if qi >= (low + high) * ti - low * high:
                by_t[i], by_q[i] = w * (high + low) / width, 0.0
            elif qi <= near * near:
                tau = np.sqrt(qi)
                by_t[i], by_q[i], qq[i] = 0.0, 0.5 * w / tau, 0.25 * w / (qi * tau)
            else:
                flip = 1.0 if left <= high else -1.0
                gap = near + flip * ti
                touch = far
                if gap > 1e-12 * width:
                    touch = min(max((qi + near * flip * ti) / gap, near), far)
                    if near < touch < far:
                        size, tilt = 4.0 * near * w / ((touch + near) ** 3 * gap), flip * (near - touch)
                        tt[i], tq[i], qq[i] = size * tilt * tilt, size * tilt, size
                k = 2.0 * near / ((touch + near) * (touch + near))
                by_t[i], by_q[i] = w * flip * (1.0 - 2.0 * k * touch), w * k
        else:
            unit = 0.5 * s * width
            v3, e1, e2 = (2.0 * q[i] - (low + high) * ti) / width, -(low + high) / width, 2.0 / width
            r1, r2 = ti / unit - np.log(share[i, 0]), -ti / unit - np.log(share[i, 1])
            r3 = v3 / unit - np.log(share[i, 2])
            middle = share[i, 0] * r1 + share[i, 1] * r2 + share[i, 2] * r3
            p1 = share[i, 0] * min(max(1.0 + r1 - middle, 0.1), 10.0)
            p2 = share[i, 1] * min(max(1.0 + r2 - middle, 0.1), 10.0)
            p3 = share[i, 2] * min(max(1.0 + r3 - middle, 0.1), 10.0)
            total = p1 + p2 + p3
            p1, p2, p3 = p1 / total, p2 / total, p3 / total
            by_t[i], by_q[i] = w * (p1 - p2 + p3 * e1), w * p3 * e2
            p1, p2, p3 = share[i, 0], share[i, 1], share[i, 2]
            mean, size = p1 - p2 + p3 * e1, -w / unit
            tt[i] = size * (p1 + p2 + p3 * e1 * e1 - mean * mean)
            tq[i] = size * (p3 * e1 * e2 - mean * p3 * e2)
            qq[i] = size * p3 * (1.0 - p3) * e2 * e2


def pair_features(normals, out):  # type: ignore[no-untyped-def]
    """Coefficients of ``a_r' U a_k`` on the upper triangle of U, for all r <= k."""
    count, d = normals.shape
    pair = 0
    for k in range(count):
        for r in range(k + 1):
            place = 0
            for i in range(d):
                out[pair, place] = normals[r, i] * normals[k, i]
                place += 1
                for j in range(i + 1, d):
                    out[pair, place] = normals[r, i] * normals[k, j] + normals[r, j] * normals[k, i]
                    place += 1
            pair += 1


def cut_slacks(low, high, first, second, constant, out):  # type: ignore[no-untyped-def]
    """Values of all products of two slab sides at slab values and products of them (changes for constant = 0)."""
    pair = 0
    for k in range(len(low)):
        for r in range(k + 1):
            s, a, b = second[pair], first[r], first[k]
            out[pair, 0] = s - low[r] * b - low[k] * a + constant * low[r] * low[k]
            out[pair, 1] = s - high[r] * b - high[k] * a + constant * high[r] * high[k]
            out[pair, 2] = -s + low[r] * b + high[k] * a - constant * low[r] * high[k]
            out[pair, 3] = -s + high[r] * b + low[k] * a - constant * high[r] * low[k]
            pair += 1


def scaling(M, Z):  # type: ignore[no-untyped-def]
    """Inverse W^-1 of the Nesterov-Todd scaling, ``W Z W = M``, and the inverse of M's factor."""
    L = np.linalg.cholesky(M)
    inverse = np.linalg.inv(L)
    values, vectors = np.linalg.eigh(np.dot(L.T, np.dot(Z, L)))
    turned = np.dot(inverse.T, vectors)
    return np.dot(turned * np.sqrt(np.maximum(values, 1e-300)), turned.T), inverse


def cone_hessian(P, out):  # type: ignore[no-untyped-def]
    """``<E_ab, P E_cd P>`` for the coordinates u, U (upper triangle) of the bordered matrix, added to ``out``."""
    size = P.shape[0]
    row = 0
    for a in range(size):
        for b in range(max(a, 1), size):
            one = 0.5 if a == b else 1.0
            column = 0
            for c in range(size):
                for e in range(max(c, 1), size):
                    two = one if c == e else 2.0 * one
                    out[row, column] += two * (P[a, c] * P[b, e] + P[a, e] * P[b, c])
                    column += 1
            row += 1


def interior_node(rows, features, weights, lower, upper, base, normals, low, high, mean, second, start, options, target):  # type: ignore[no-untyped-def]  # noqa: E501
    """Follow the central path from (mean, second); the best bound, its state, multipliers, s, mu and an atom."""
    m, d = rows.shape
    count = len(low)
    limit, shrink, mix, mu0, s0, send, enough, cool, floor_gap = options
    D = d + features.shape[1]
    P = count * (count + 1) // 2
    F = np.empty((P, D - d))
    pair_features(normals, F)
    M = np.empty((d + 1, d + 1))
    M[0, 0] = 1.0
    M[0, 1:] = (1.0 - mix) * mean
    M[1:, 0] = M[0, 1:]
    M[1:, 1:] = (1.0 - mix) * second
    for i in range(1, d + 1):
        M[i, i] += mix / d
    u, U = M[0, 1:].copy(), M[1:, 1:].copy()
    flat = np.empty(D - d)
    barrier, s = mu0, s0
    t, q = np.empty(m), np.empty(m)
    share = np.empty((m, 3))
    by_t, by_q = np.empty(m), np.empty(m)
    tt, tq, qq = np.empty(m), np.empty(m), np.empty(m)
    g, slack, N = np.empty((P, 4)), np.empty((P, 4)), np.empty((P, 4))
    change = np.empty((P, 4))
    Z = barrier * np.linalg.inv(M)
    c2, c1, c0 = np.empty(m), np.empty(m), np.empty(m)
    matrix, half, factors = np.empty((d, d)), np.empty(d), np.zeros((d, d))
    x, z, v = np.zeros(d), np.empty(d), np.empty(d)
    scaled, pairs, slopes = np.empty((m, d)), np.zeros((count, count)), np.zeros(count)
    cuts, best_cuts = np.zeros((4, count, count)), start.copy()
    best_mean, best_second, atom, best_matrix = mean.copy(), second.copy(), x.copy(), np.zeros((d, d))
    best, best_s, best_mu, mu, used = np.inf, s0, 0.0, 0.0, 0
    K = np.empty((D, D))
    right, trace = np.empty((D, 2)), np.zeros(D)
    place = d
    for i in range(d):
        trace[place] = 1.0
        place += d - i
    ok, reached = True, 0.5
    for j in range(int(limit) + 1):
        place = 0
        for i in range(d):
            for k in range(i, d):
                flat[place] = U[i, k]
                place += 1
        t[:] = np.dot(rows, u)
        q[:] = np.dot(features, flat)
        cut_slacks(low, high, np.dot(normals, u), np.dot(F, flat), 1.0, g)
        if j == 0:
            for i in range(m):
                if weights[i] < 0.0:
                    width = upper[i] - lower[i]
                    third = (2.0 * q[i] - (lower[i] + upper[i]) * t[i]) / width
                    top, size = max(abs(t[i]), third), 2.0 / (s * width)
                    share[i, 0] = np.exp(max((t[i] - top) * size, -25.0))
                    share[i, 1] = np.exp(max((-t[i] - top) * size, -25.0))
                    share[i, 2] = np.exp(max((third - top) * size, -25.0))
                    total = share[i, 0] + share[i, 1] + share[i, 2]
                    for k in range(3):
                        share[i, k] /= total
            pair = 0
            for k in range(count):
                for r in range(k + 1):
                    floor = 0.02 * (high[r] - low[r]) * (high[k] - low[k])
                    for plane in range(4):
                        slack[pair, plane] = max(g[pair, plane], floor)
                        N[pair, plane] = barrier / slack[pair, plane]
                        if r == k and plane != 2:
                            slack[pair, plane], N[pair, plane] = 1.0, 0.0
                        else:
                            old = min(start[plane, r, k], 0.1)
                            if old > N[pair, plane]:
                                N[pair, plane] = old
                                slack[pair, plane] = max(barrier / old, 0.1 * floor)
                    pair += 1
        # bound of this state
        pair = 0
        for k in range(count):
            for r in range(k + 1):
                for plane in range(4):
                    cuts[plane, r, k] = N[pair, plane]
                pair += 1
        row_coefficients(weights, t, q, lower, upper, s, c2, c1, c0)
        constant, _ = cut_quadratic(low, high, cuts, pairs, slopes)
        constant = assemble(rows, scaled, base, normals, c2, c1, c0, pairs, slopes, constant, matrix, half)
        value, mu = sphere_maximum(matrix, half, mu, factors, x, z, v)
        value += constant
        inner = np.dot(base, u)
        for i in range(m):
            inner += c2[i] * q[i] + c1[i] * t[i] + c0[i]
        if value < best:
            best, best_s, best_mu = value, s, mu
            best_mean[:] = u
            best_second[:, :] = U
            best_cuts[:, :, :] = cuts
            atom[:] = x
            best_matrix[:, :] = matrix
            if best <= target:
                break
        if j == int(limit) or not ok:
            break
        if j > 3 and inner > target and best - inner < enough * (best - target):
            break
        used += 1
        # Newton step towards a smaller barrier and smoothing
        gap, number = 0.0, d + 1
        for i in range(d + 1):
            for k in range(d + 1):
                gap += M[i, k] * Z[i, k]
        for pair in range(P):
            for plane in range(4):
                if N[pair, plane] > 0.0:
                    gap += N[pair, plane] * slack[pair, plane]
                    number += 1
        centre = max(shrink, (1.0 - reached) * (1.0 - reached))
        barrier = max(centre * gap / number, floor_gap * max(abs(target), 1e-3) / number)
        s = max(cool * s, send) if j > 0 and reached > 0.3 else s
        curved_rows(weights, t, q, lower, upper, s, share, by_t, by_q, tt, tq, qq)
        K[:, :] = 0.0
        K[:d, :d] = np.dot(rows.T, rows * tt.reshape(m, 1))
        K[:d, d:] = np.dot(rows.T, features * tq.reshape(m, 1))
        K[d:, d:] = np.dot(features.T, features * qq.reshape(m, 1))
        right[:d, 0] = base + np.dot(by_t, rows)
        right[d:, 0] = np.dot(by_q, features)
        hs, gs = np.zeros(P), np.zeros(P)
        C, Q, gf = np.zeros((count, P)), np.zeros((count, count)), np.zeros(count)
        pair = 0
        for k in range(count):
            for r in range(k + 1):
                for plane in range(4):
                    if N[pair, plane] > 0.0:
                        e = 1.0 if plane < 2 else -1.0
                        a = low[k] if plane == 0 or plane == 3 else high[k]
                        b = low[r] if plane == 0 or plane == 2 else high[r]
                        a, b = -e * a, -e * b
                        h = N[pair, plane] / slack[pair, plane]
                        n = barrier / slack[pair, plane] - h * (g[pair, plane] - slack[pair, plane])
                        hs[pair] += h
                        gs[pair] += n * e
                        gf[r] += n * a
                        gf[k] += n * b
                        C[r, pair] += h * e * a
                        C[k, pair] += h * e * b
                        Q[r, r] += h * a * a
                        Q[k, k] += h * b * b
                        Q[r, k] += h * a * b
                        Q[k, r] += h * a * b
                pair += 1
        if count:
            K[:d, :d] += np.dot(normals.T, np.dot(Q, normals))
            K[:d, d:] += np.dot(normals.T, np.dot(C, F))
            K[d:, d:] += np.dot(F.T, F * hs.reshape(P, 1))
            right[:d, 0] += np.dot(gf, normals)
            right[d:, 0] += np.dot(gs, F)
        K[d:, :d] = K[:d, d:].T
        W, inverse = scaling(M, Z)
        cone_hessian(W, K)
        Minv = np.dot(inverse.T, inverse)
        place = d
        for i in range(d):
            right[i, 0] += 2.0 * barrier * Minv[0, i + 1]
            for k in range(i, d):
                right[place, 0] += barrier * Minv[i + 1, k + 1] * (1.0 if i == k else 2.0)
                place += 1
        right[:, 1] = trace
        for i in range(D):
            K[i, i] *= 1.0 + 1e-12
        step = np.linalg.solve(K, right)
        dy = step[:, 0] - np.dot(trace, step[:, 0]) / np.dot(trace, step[:, 1]) * step[:, 1]
        dM = np.zeros((d + 1, d + 1))
        place = d
        for i in range(d):
            dM[0, i + 1] = dy[i]
            dM[i + 1, 0] = dy[i]
            for k in range(i, d):
                dM[i + 1, k + 1] = dy[place]
                dM[k + 1, i + 1] = dy[place]
                place += 1
        dZ = barrier * Minv - np.dot(W, np.dot(dM, W)) - Z
        dt, dq = np.dot(rows, dy[:d]), np.dot(features, dy[d:])
        cut_slacks(low, high, np.dot(normals, dy[:d]), np.dot(F, dy[d:]), 0.0, change)
        least = np.linalg.eigvalsh(np.dot(inverse, np.dot(dM, inverse.T)))[0]
        ahead = min(1.0, -0.95 / least) if least < 0.0 else 1.0
        zi = np.linalg.inv(np.linalg.cholesky(0.5 * (Z + Z.T)))
        least = np.linalg.eigvalsh(np.dot(zi, np.dot(dZ, zi.T)))[0]
        dual = min(1.0, -0.95 / least) if least < 0.0 else 1.0
        for pair in range(P):
            for plane in range(4):
                if N[pair, plane] > 0.0:
                    ds = change[pair, plane] + g[pair, plane] - slack[pair, plane]
                    dn = (barrier - N[pair, plane] * ds) / slack[pair, plane] - N[pair, plane]
                    if ds < 0.0:
                        ahead = min(ahead, -0.95 * slack[pair, plane] / ds)
                    if dn < 0.0:
                        dual = min(dual, -0.95 * N[pair, plane] / dn)
        for pair in range(P):
            for plane in range(4):
                if N[pair, plane] > 0.0:
                    ds = change[pair, plane] + g[pair, plane] - slack[pair, plane]
                    dn = (barrier - N[pair, plane] * ds) / slack[pair, plane] - N[pair, plane]
                    slack[pair, plane] += ahead * ds
                    N[pair, plane] += dual * dn
        for i in range(m):
            if weights[i] < 0.0:
                width = upper[i] - lower[i]
                unit = 0.5 * s * width
                e1, e2 = -(lower[i] + upper[i]) / width, 2.0 / width
                r1 = (t[i] + dt[i]) / unit - np.log(share[i, 0])
                r2 = -(t[i] + dt[i]) / unit - np.log(share[i, 1])
                r3 = (e2 * (q[i] + dq[i]) + e1 * (t[i] + dt[i])) / unit - np.log(share[i, 2])
                middle = share[i, 0] * r1 + share[i, 1] * r2 + share[i, 2] * r3
                share[i, 0] *= min(max(1.0 + dual * (r1 - middle), 0.1), 10.0)
                share[i, 1] *= min(max(1.0 + dual * (r2 - middle), 0.1), 10.0)
                share[i, 2] *= min(max(1.0 + dual * (r3 - middle), 0.1), 10.0)
                total = share[i, 0] + share[i, 1] + share[i, 2]
                for k in range(3):
                    share[i, k] = max(share[i, k] / total, 1e-12)
        M += ahead * dM
        Z += dual * dZ
        u, U = M[0, 1:].copy(), M[1:, 1:].copy()
        reached = min(ahead, dual)
        ok = ahead > 1e-3 or dual > 1e-3
    return best, best_mean, best_second, best_cuts, best_s, best_mu, atom, used, best_matrix, u, U
