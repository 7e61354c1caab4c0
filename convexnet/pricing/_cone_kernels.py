"""The bound on one cone in plain loops, to be compiled: the mathematics of ``_cone_solver`` for a single cone.

The functions are ordinary Python (numpy arrays and loops only); ``_cone_compile`` puts compiled versions in their
place. T, row-major, holds one vertex a row, so that the loops over rows of the data run over contiguous memory.
"""

from __future__ import annotations

import math

__all__ = ["EARLY", "SOLVER_KERNELS", "certified", "cone_reach", "gram", "least_norm_one", "listed"]

SOLVER_KERNELS = (
    "gram", "cholesky", "solve_triangles", "cone_reach", "start_point", "longest_step", "least_norm_one",
    "certified", "sparsified", "listed",
)  # fmt: skip
ITERATIONS = 40
EARLY = 0.3
SWEEPS = 40
START, CENTRE = 1.05, 0.05
SHARES = (1.0, 0.5, 0.2, 0.05, 0.01, 1e-3, 1e-4)
"""Multipliers within this share of their bound are moved to it, if the cone's bound allows."""


def gram(d, V, G):  # type: ignore[no-untyped-def]
    """Inner products of the cone's unit vertices."""
    for k in range(d):
        for j in range(k + 1):
            total = 0.0
            for c in range(d):
                total += V[k, c] * V[j, c]
            G[k, j] = total
            G[j, k] = total


def cholesky(d, H, scale):  # type: ignore[no-untyped-def]
    """Lower factor of H scaled to unit diagonal, in place; False where a pivot is not positive."""
    for k in range(d):
        if not H[k, k] > 0.0:
            return False
        scale[k] = 1.0 / math.sqrt(H[k, k])
    for k in range(d):
        for j in range(k):
            H[k, j] *= scale[k] * scale[j]
        H[k, k] = 1.0 + 1e-15
    for k in range(d):
        for j in range(k):
            total = H[k, j]
            for c in range(j):
                total -= H[k, c] * H[j, c]
            H[k, j] = total * H[j, j]
        total = H[k, k]
        for c in range(k):
            total -= H[k, c] * H[k, c]
        if not total > 1e-17:
            return False
        # The diagonal holds reciprocals, so that substitution multiplies.
        H[k, k] = 1.0 / math.sqrt(total)
    return True


def solve_triangles(d, H, scale, x):  # type: ignore[no-untyped-def]
    """Solve with the factor of :func:`cholesky`, in place."""
    for k in range(d):
        total = x[k] * scale[k]
        for c in range(k):
            total -= H[k, c] * x[c]
        x[k] = total * H[k, k]
    for k in range(d - 1, -1, -1):
        total = x[k]
        for c in range(k + 1, d):
            total -= H[c, k] * x[c]
        x[k] = total * H[k, k]
    for k in range(d):
        x[k] *= scale[k]


def cone_reach(d, G, y):  # type: ignore[no-untyped-def]
    """``y >= 0`` with ``G y >= 1``: adding ``V y`` to g raises every ``g . v_k`` by one; returns whether it exists."""
    smallest, square = math.inf, 0.0
    for k in range(d):
        total = 0.0
        for j in range(d):
            total += G[k, j]
        smallest = min(smallest, total)
        square += total
    if square > 0.0 and smallest > 0.05 * math.sqrt(square):
        for k in range(d):
            y[k] = (1 + 1e-6) / smallest
        return True
    # Coordinate descent on y'Gy/2 - sum y: V y tends to the shortest c with c . v_k >= 1.
    for k in range(d):
        y[k] = 0.0
    for _ in range(SWEEPS):
        for k in range(d):
            total = 1.0
            for j in range(d):
                total -= G[k, j] * y[j]
            y[k] = max(y[k] + total / G[k, k], 0.0)
    size, worst = 0.0, math.inf
    for k in range(d):
        total = 0.0
        for j in range(d):
            total += G[k, j] * y[j]
        worst = min(worst, total)
        size += y[k]
    worst -= 1e-13 * size
    for k in range(d):
        y[k] *= (1 + 1e-6) / max(worst, 0.1)
    return worst > 0.1


def start_point(d, m, G, b, T, w, lam, beta, t, work):  # type: ignore[no-untyped-def]
    """A point along the middle of the cone, so long that the d inequalities hold there, centred in the box."""
    sp, sm, ap, am, signed = work[0], work[1], work[2], work[3], work[4]
    for i in range(m):
        t[i] = 0.0
    for k in range(d):
        for i in range(m):
            t[i] += T[k, i]
    for i in range(m):
        signed[i] = w[i] if t[i] > 0.0 else -w[i]
    largest, need = 0.0, 0.0
    for k in range(d):
        largest = max(largest, abs(b[k]))
        total, inner = 0.0, 0.0
        for i in range(m):
            total += signed[i] * T[k, i]
        for j in range(d):
            inner += G[k, j]
        inner = max(inner, 0.05)
        need = max(need, (b[k] - total) / inner)
        lam[k] = inner
        beta[k] = total - b[k]
    largest += 1e-30
    each = START * max(need, 1e-2 * largest)
    mu = 0.0
    for k in range(d):
        beta[k] = max(each * lam[k] + beta[k], 1e-2 * largest)
        lam[k] = each
        mu += each * beta[k] * CENTRE / d
    for i in range(m):
        t[i] *= each
        root = mu + math.sqrt(mu * mu + (t[i] * w[i]) ** 2)
        large = w[i] + w[i] * w[i] * abs(t[i]) / root
        # The smaller slack comes from the product sp * sm = w^2 - alpha^2, free of cancellation.
        small = 2 * mu * w[i] * w[i] / root / large
        sp[i] = small if t[i] > 0 else large
        sm[i] = large if t[i] > 0 else small
        ap[i] = mu / sp[i]
        am[i] = mu / sm[i]


def longest_step(d, m, lam, dlam, beta, dbeta, work, dalpha):  # type: ignore[no-untyped-def]
    """Largest step up to one that keeps all variables positive."""
    sp, sm, ap, am, dap, dam = work[0], work[1], work[2], work[3], work[4], work[5]
    worst = -1.0
    for k in range(d):
        worst = min(worst, dlam[k] / lam[k], dbeta[k] / beta[k])
    for i in range(m):
        x = dalpha[i]
        low = -abs(x) / (sp[i] if x > 0.0 else sm[i])
        first = dap[i] * am[i] < dam[i] * ap[i]
        other = (dap[i] if first else dam[i]) / (ap[i] if first else am[i])
        low = low if low < other else other
        worst = low if low < worst else worst
    return -1.0 / worst


def least_norm_one(d, m, G, b, T, w, cut, push, noise, early, lam, alpha, work, small, H):  # type: ignore[no-untyped-def]
    """Solve one cone: the best ``lam`` and ``alpha`` met are left in place; returns (bound, iterations)."""
    sp, sm, ap, am, dap, dam = work[0], work[1], work[2], work[3], work[4], work[5]
    D, q, t, dalpha, now, box = work[6], work[7], work[8], work[9], work[10], work[11]
    x, beta, dlam, dbeta, r, cone, scale = small[0], small[1], small[2], small[3], small[4], small[5], small[6]
    start_point(d, m, G, b, T, w, x, beta, t, work)
    best = math.inf
    early = early if d > 1 else 0.0
    count = d + 2 * m
    for iteration in range(ITERATIONS):
        for i in range(m):
            t[i] = 0.0
            value = 0.5 * (sm[i] - sp[i])
            value = value if value < w[i] else w[i]
            now[i] = value if value > -w[i] else -w[i]
        square, lower, violation = 0.0, 0.0, 0.0
        for k in range(d):
            each = x[k]
            total = 0.0
            for i in range(m):
                t[i] += each * T[k, i]
                total += now[i] * T[k, i]
            product = 0.0
            for j in range(d):
                product += G[k, j] * x[j]
            square += each * product
            lower += b[k] * each
            r[k] = product - b[k] + total
            violation = max(violation, -r[k])
        for i in range(m):
            lower -= w[i] * abs(t[i])
        size = math.sqrt(max(square, 1e-300))
        lower /= size
        raise_by, total = violation + noise, 0.0
        for k in range(d):
            cone[k] = x[k] + raise_by * push[k]
        for k in range(d):
            for j in range(d):
                total += G[k, j] * cone[j] * cone[k]
        upper = math.sqrt(max(total, 0.0))
        if upper < best:
            best = upper
            lam[:d] = x[:d]
            alpha[:m] = now[:m]
        gap = upper - lower
        if not (upper > cut and not (lower > cut and gap <= early * (upper - cut)) and gap > 1e-13 * abs(upper)):
            return best, iteration + 1
        for i in range(m):
            D[i] = 1.0 / (ap[i] / sp[i] + am[i] / sm[i])
        for k in range(d):
            for i in range(m):
                q[i] = D[i] * T[k, i]
            total = 0.0
            for i in range(m):
                total += q[i] * t[i]
            dlam[k] = -r[k] - total
            for j in range(k + 1):
                total = G[k, j]
                for i in range(m):
                    total += q[i] * T[j, i]
                H[k, j] = total
            H[k, k] += beta[k] / x[k]
        if not cholesky(d, H, scale):
            return best, iteration + 1
        solve_triangles(d, H, scale, dlam)
        for i in range(m):
            q[i] = t[i]
        for k in range(d):
            for i in range(m):
                q[i] += dlam[k] * T[k, i]
        mu = 0.0
        for k in range(d):
            dbeta[k] = -beta[k] - beta[k] * dlam[k] / x[k]
            mu += x[k] * beta[k]
        for i in range(m):
            value = D[i] * q[i]
            dalpha[i] = value
            dap[i] = -ap[i] + ap[i] * value / sp[i]
            dam[i] = -am[i] - am[i] * value / sm[i]
            mu += sp[i] * ap[i] + sm[i] * am[i]
        step = longest_step(d, m, x, dlam, beta, dbeta, work, dalpha)
        after = 0.0
        for k in range(d):
            after += (x[k] + step * dlam[k]) * (beta[k] + step * dbeta[k])
        for i in range(m):
            after += (sp[i] - step * dalpha[i]) * (ap[i] + step * dap[i])
            after += (sm[i] + step * dalpha[i]) * (am[i] + step * dam[i])
        goal = mu / count * min(after / mu, 1.0) ** 3
        for i in range(m):
            plus = goal / sp[i] - ap[i] + dap[i] * dalpha[i] / sp[i]
            minus = goal / sm[i] - am[i] - dam[i] * dalpha[i] / sm[i]
            dap[i] = plus
            dam[i] = minus
            box[i] = t[i] - ap[i] + am[i] - plus + minus
            q[i] = D[i] * box[i]
        for k in range(d):
            total = 0.0
            for i in range(m):
                total += q[i] * T[k, i]
            cone[k] = goal / x[k] - beta[k] - dlam[k] * dbeta[k] / x[k]
            dlam[k] = beta[k] - r[k] - total + cone[k]
        solve_triangles(d, H, scale, dlam)
        for k in range(d):
            dbeta[k] = cone[k] - beta[k] * dlam[k] / x[k]
            for i in range(m):
                box[i] += dlam[k] * T[k, i]
        for i in range(m):
            value = D[i] * box[i]
            dalpha[i] = value
            dap[i] += ap[i] * value / sp[i]
            dam[i] -= am[i] * value / sm[i]
        step = 0.99 * longest_step(d, m, x, dlam, beta, dbeta, work, dalpha)
        for k in range(d):
            x[k] += step * dlam[k]
            beta[k] += step * dbeta[k]
        for i in range(m):
            sp[i] -= step * dalpha[i]
            sm[i] += step * dalpha[i]
            ap[i] += step * dap[i]
            am[i] += step * dam[i]
    return best, ITERATIONS


def certified(d, m, lam, alpha, V, b, T, push, mass, relative, g, right):  # type: ignore[no-untyped-def]
    """``||g||`` of a vector g that satisfies the d inequalities whatever the rounding of both sides; else inf."""
    for k in range(d):
        total = b[k]
        for i in range(m):
            total -= alpha[i] * T[k, i]
        right[k] = total
    for _ in range(3):
        square = 0.0
        for c in range(d):
            total = 0.0
            for k in range(d):
                total += lam[k] * V[k, c]
            g[c] = total
            square += total * total
        size = math.sqrt(square)
        error = relative * (mass + size)
        missing = -math.inf
        for k in range(d):
            left = 0.0
            for c in range(d):
                left += V[k, c] * g[c]
            missing = max(missing, right[k] - left)
        if missing + error <= 0.0:
            return size * (1.0 + relative) if size < math.inf else math.inf
        for k in range(d):
            lam[k] += (max(missing, 0.0) + 2.0 * error) * push[k]
    return math.inf


def sparsified(  # type: ignore[no-untyped-def]
    d, m, lam, alpha, V, b, T, w, push, mass, relative, g, right, goal, t, trial, held,
):  # fmt: skip
    """Move as many multipliers to ``+-w_i``, where they need not be listed, as keep the bound below the goal.

    Returns how many are left to be listed; m where nothing was changed.
    """
    for i in range(m):
        t[i] = 0.0
        for k in range(d):
            t[i] += lam[k] * T[k, i]
    held[:d] = lam[:d]
    for share in SHARES:
        left = 0
        for i in range(m):
            if abs(alpha[i]) >= (1.0 - share) * w[i]:
                trial[i] = w[i] if t[i] >= 0.0 else -w[i]
            else:
                trial[i] = alpha[i]
                left += 1
        lam[:d] = held[:d]
        if certified(d, m, lam, trial, V, b, T, push, mass, relative, g, right) <= goal:
            alpha[:m] = trial[:m]
            return left
    lam[:d] = held[:d]
    return m


def listed(  # type: ignore[no-untyped-def]
    d, m, G, b, T, w, goal, push, relative, mass, lam, alpha, work, small, H, V, buffers,
):  # fmt: skip
    """Multipliers of a closed cone with few entries to be listed: solved on to full accuracy where need be."""
    g, right, held, keep, first = small[9], small[0], small[12], small[13], buffers[6]
    left = sparsified(d, m, lam, alpha, V, b, T, w, push, mass, relative, g, right, goal, work[0], work[1], held)
    if left > d + 2:
        keep[:d] = lam[:d]
        first[:m] = alpha[:m]
        least_norm_one(d, m, G, b, T, w, 0.0, push, 2.0 * relative * mass, 0.0, lam, alpha, work, small, H)
        again = sparsified(d, m, lam, alpha, V, b, T, w, push, mass, relative, g, right, goal, work[0], work[1], held)
        if again >= left:
            lam[:d] = keep[:d]
            alpha[:m] = first[:m]
    return certified(d, m, lam, alpha, V, b, T, push, mass, relative, g, right)
