"""The cone search in plain loops, to be compiled: pop, split and bound one cone after the other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ._cone_kernels import EARLY, certified, cone_reach, gram, least_norm_one, listed

__all__ = ["LOOP_KERNELS", "entry", "search_loop"]

LOOP_KERNELS = (
    "heap_push", "heap_pop", "row_products", "stable_rows", "choose_edge", "attained_value", "note_payload",
    "bound_cone", "search_loop",
)  # fmt: skip
EXACT = 2.0**53

# Places in the integer and float counters that the compiled loop shares with its caller.
FREE, VERTICES, HEAP, NODES, ITERATIONS, BEST_FORM, CONES, PAYLOADS, ENTRIES = range(9)
BEST, CLOSED, STUCK = range(3)


def heap_push(keys, slots, size, key, slot):  # type: ignore[no-untyped-def]
    """Insert into a binary heap whose smallest key comes first."""
    place = size
    while place > 0:
        above = (place - 1) // 2
        if keys[above] <= key:
            break
        keys[place], slots[place] = keys[above], slots[above]
        place = above
    keys[place], slots[place] = key, slot


def heap_pop(keys, slots, size):  # type: ignore[no-untyped-def]
    """Remove the first entry of a heap of ``size`` entries and return its slot."""
    first = slots[0]
    last = size - 1
    key, slot = keys[last], slots[last]
    place = 0
    while True:
        below = 2 * place + 1
        if below >= last:
            break
        if below + 1 < last and keys[below + 1] < keys[below]:
            below += 1
        if keys[below] >= key:
            break
        keys[place], slots[place] = keys[below], slots[below]
        place = below
    keys[place], slots[place] = key, slot
    return first


def row_products(d, count, m, index, rows, V, X, T):  # type: ignore[no-untyped-def]
    """``T[k, i] = x_i . v_k`` for the listed rows and ``count`` vertices."""
    for i in range(m):
        for c in range(d):
            X[c, i] = rows[index[i], c]
    for k in range(count):
        for i in range(m):
            T[k, i] = V[k, 0] * X[0, i]
        for c in range(1, d):
            each = V[k, c]
            for i in range(m):
                T[k, i] += each * X[c, i]


def stable_rows(d, m, T, column, low, high):  # type: ignore[no-untyped-def]
    """Smallest and largest product of each row over the cone's vertices."""
    first = column[0]
    for i in range(m):
        low[i] = T[first, i]
        high[i] = T[first, i]
    for k in range(1, d):
        at = column[k]
        for i in range(m):
            value = T[at, i]
            low[i] = value if value < low[i] else low[i]
            high[i] = value if value > high[i] else high[i]


def attained_value(d, m, mp, lam, b, T, w, P, wp, size):  # type: ignore[no-untyped-def]
    """The form at the relaxed maximiser; P holds ``lam_k T_ki`` of the convex rows."""
    value = 0.0
    for k in range(d):
        value += b[k] * lam[k]
    for i in range(mp):
        total, together = 0.0, 0.0
        for k in range(d):
            total += abs(P[k, i])
            together += P[k, i]
        value -= wp[i] * (total - abs(together))
    for i in range(m):
        total = 0.0
        for k in range(d):
            total += lam[k] * T[k, i]
        value -= w[i] * abs(total)
    return value / size if size > 0.0 else -math.inf


def choose_edge(d, mp, lam, G, P, wp, length, split):  # type: ignore[no-untyped-def]
    """Edge to split and exponents: where interpolating the convex rows costs most at the relaxed maximiser."""
    best, total = -1.0, 1e-300
    split[0] = -2
    for k in range(d):
        total += lam[k]
    for a in range(d):
        for b in range(a + 1, d):
            shift = round(math.log2(length[b] / length[a]))
            i, j = max(shift, 0), max(-shift, 0)
            if not length[a] * 2.0**i + length[b] * 2.0**j < EXACT:
                continue
            score = 0.0
            left, right = 1.0 / (lam[a] + 1e-300), 1.0 / (lam[b] + 1e-300)
            for row in range(mp):
                x, y = P[a, row] * left, P[b, row] * right
                score += wp[row] * (abs(x) + abs(y) - abs(x + y))
            score /= left + right
            width = max(1.0 - G[a, b], 1e-17)
            score += 1e-12 * total * width * (1e-3 + lam[a] * lam[b] / total**2)
            if score > best:
                best = score
                split[0], split[1], split[2], split[3] = a, b, i, j


def note_payload(cone, d, g, m, index, alpha, counts, payload, pg, pend, prow, palpha):  # type: ignore[no-untyped-def]
    """Keep the multipliers of one cone for the proof."""
    at, entry = counts[PAYLOADS], counts[ENTRIES]
    for i in range(m):
        prow[entry + i] = index[i]
        palpha[entry + i] = alpha[i]
    pg[at, :d] = g[:d]
    pend[at] = entry + m
    payload[cone] = at
    counts[PAYLOADS], counts[ENTRIES] = at + 1, entry + m


def bound_cone(  # type: ignore[no-untyped-def]
    d, m, index, column, corner, T, V, rows, weights, stable, light, mass, slack, relative, cutoff, lengths,
    linear, bits, split, first, values, counts, direction, form, buffers, Tn, Tp, work, small, square, proof,
):  # fmt: skip
    """Bound one cone; fills its linear part, bit mask and split, and returns (own bound, unstable negative rows)."""
    wn, wp, alpha, low, high = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4]
    lam, b, g, near = small[7], small[8], small[9], small[10]
    Vc, G, H = square[0], square[1], square[2]
    stable_rows(d, m, T, column, low, high)
    mn, mp = 0, 0
    bits[:] = 0
    for i in range(m):
        row = index[i]
        if low[i] > stable[row]:
            for c in range(d):
                linear[c] += weights[row] * rows[row, c]
        elif high[i] < -stable[row]:
            for c in range(d):
                linear[c] -= weights[row] * rows[row, c]
        else:
            local = row - first
            bits[local >> 3] |= np.uint8(1 << (local & 7))
            if weights[row] > 0.0:
                wp[mp] = weights[row]
                for k in range(d):
                    Tp[k, mp] = T[column[k], i]
                mp += 1
            elif -weights[row] * stable[row] > light:
                wn[mn] = -weights[row]
                buffers[5, mn] = local
                for k in range(d):
                    Tn[k, mn] = T[column[k], i]
                mn += 1
    for k in range(d):
        total = 0.0
        for c in range(d):
            Vc[k, c] = V[column[k], c]
            total += linear[c] * Vc[k, c]
        for i in range(mp):
            total += wp[i] * abs(Tp[k, i])
        b[k] = total
        near[k] = lengths[corner[k]]
    gram(d, Vc, G)
    push, own = small[11], math.inf
    if cone_reach(d, G, push):
        _, steps = least_norm_one(
            d, mn, G, b, Tn, wn, cutoff - slack, push, 2.0 * relative * mass, EARLY, lam, alpha, work, small,
            H,
        )  # fmt: skip
        own = certified(d, mn, lam, alpha, Vc, b, Tn, push, mass, relative, g, small[0]) + slack
        counts[ITERATIONS] += steps
        if proof and own <= cutoff:
            own = listed(
                d, mn, G, b, Tn, wn, cutoff - slack, push, relative, mass, lam, alpha, work, small, H, Vc, buffers
            ) + slack  # fmt: skip
    else:
        for k in range(d):
            lam[k] = 1.0
            g[k] = 0.0
    counts[NODES] += 1
    size = 0.0
    for k in range(d):
        size += g[k] * g[k]
        for i in range(mp):
            Tp[k, i] *= lam[k]
    size = math.sqrt(size)
    value = attained_value(d, mn, mp, lam, b, Tn, wn, Tp, wp, size)
    if value > values[BEST]:
        values[BEST] = value
        counts[BEST_FORM] = form
        for c in range(d):
            direction[c] = g[c] / size
    if own > cutoff:
        choose_edge(d, mp, lam, G, Tp, wp, near, split)
    return own, mn


def search_loop(  # type: ignore[no-untyped-def]
    count, goal, tol, floor, stop, d, rows, weights, stable, start, linears, mass, slack, relative,
    vertices, lengths, key, form, corner, linear, mask, split, free, heap_keys, heap_slots,
    proof, cone, tree, payload, root, pg, pend, prow, palpha, counts, values, direction,
):  # fmt: skip
    """Split up to ``count`` cones, best first; ends early where room, work or doubt runs out."""
    widest = 1
    for f in range(len(start) - 1):
        widest = max(widest, start[f + 1] - start[f])
    index, column = np.empty(widest, np.int64), np.empty(d, np.int64)
    X, T = np.empty((d, widest)), np.empty((d + 1, widest))
    Tn, Tp, work, buffers = np.empty((d, widest)), np.empty((d, widest)), np.empty((12, widest)), np.empty((7, widest))
    small, square, V = np.zeros((14, d)), np.empty((3, d, d)), np.empty((d + 1, d))
    points, ids = np.empty(d + 1, np.int64), np.empty(d, np.int32)
    inherited, own_linear = np.empty(d), np.empty(d)
    bits, edge = np.empty(mask.shape[1], np.uint8), np.empty(4, np.int64)
    for _ in range(count):
        best = values[BEST]
        cutoff = max(goal, max(best, 0.0) * (1.0 + tol) + floor)
        if counts[HEAP] == 0 or -heap_keys[0] <= cutoff or (stop and best > goal):
            break
        if counts[FREE] < d + 1 or counts[VERTICES] >= len(lengths):
            break
        if proof and (
            counts[CONES] + d + 1 > len(tree)
            or counts[PAYLOADS] + d + 1 > len(pend)
            or counts[ENTRIES] + (d + 1) * widest > len(prow)
        ):
            break
        slot = heap_pop(heap_keys, heap_slots, counts[HEAP])
        counts[HEAP] -= 1
        f, parent_key = form[slot], key[slot]
        first, m = start[f], 0
        is_root = split[slot, 0] == -1
        if is_root:
            for k in range(d + 1):
                points[k] = k
            for i in range(first, start[f + 1]):
                index[m] = i
                m += 1
            inherited[:] = linears[f]
        else:
            for k in range(d):
                points[k] = corner[slot, k]
            a, b = split[slot, 0], split[slot, 1]
            new = counts[VERTICES]
            counts[VERTICES] += 1
            total = 0.0
            for c in range(d):
                # Exact: the result is an integer below 2^53.
                value = (vertices[points[a], c] * 2.0 ** split[slot, 2]
                         + vertices[points[b], c] * 2.0 ** split[slot, 3])  # fmt: skip
                vertices[new, c] = value
                total += value * value
            lengths[new] = math.sqrt(total)
            points[d] = new
            for byte in range(mask.shape[1]):
                word = mask[slot, byte]
                if word:
                    for bit in range(8):
                        if (word >> bit) & 1:
                            index[m] = first + 8 * byte + bit
                            m += 1
            inherited[:] = linear[slot]
        free[counts[FREE]] = slot
        counts[FREE] += 1
        for k in range(d + 1):
            for c in range(d):
                V[k, c] = vertices[points[k], c] / lengths[points[k]]
        row_products(d, d + 1, m, index, rows, V, X, T)
        children = d + 1 if is_root else 2
        child = counts[CONES]
        if proof:
            counts[CONES] += children
            for number in range(children):
                tree[child + number, 4] = -1
                payload[child + number] = -1
                if not is_root:
                    payload[child + number] = payload[cone[slot]]
            if is_root:
                root[f] = child
                parent_key = math.inf
            else:
                for k in range(4):
                    tree[cone[slot], k] = split[slot, k]
                tree[cone[slot], 4] = child
        for number in range(children):
            place = 0
            for k in range(d):
                if is_root:
                    place += 1 if k == number else 0
                    column[k] = place
                    place += 1
                else:
                    column[k] = k
            if not is_root:
                column[a if number == 0 else b] = d
            for k in range(d):
                ids[k] = points[column[k]]
            own_linear[:] = inherited
            edge[0] = -2
            best = values[BEST]
            cutoff = max(goal, max(best, 0.0) * (1.0 + tol) + floor)
            light = 1e-18 * (3 * d + 16) * 1.2e-16 * mass[f]
            own, mn = bound_cone(
                d, m, index, column, ids, T, V, rows, weights, stable, light, mass[f], slack[f], relative, cutoff,
                lengths, own_linear, bits, edge, first, values, counts, direction, f, buffers, Tn, Tp, work, small,
                square, proof,
            )  # fmt: skip
            if proof and own <= parent_key:
                note_payload(child + number, d, small[9], mn, buffers[5], buffers[2], counts, payload, pg, pend, prow,
                             palpha)  # fmt: skip
            bound = min(own, parent_key)
            if bound <= max(cutoff, values[BEST]) or edge[0] < 0:
                values[CLOSED] = max(values[CLOSED], bound)
                if bound > max(cutoff, values[BEST]):
                    values[STUCK] = max(values[STUCK], bound)
                continue
            counts[FREE] -= 1
            at = free[counts[FREE]]
            key[at], form[at] = bound, f
            corner[at, :] = ids
            linear[at, :] = own_linear
            mask[at, :] = bits
            for k in range(4):
                split[at, k] = edge[k]
            if proof:
                cone[at] = child + number
            heap_push(heap_keys, heap_slots, counts[HEAP], -bound, at)
            counts[HEAP] += 1


def entry(version: int) -> Callable[..., None]:
    """:func:`search_loop` bound to a version of the sources, which becomes part of the key of the compiler's cache."""

    def cone_search(*arguments):  # type: ignore[no-untyped-def]
        if version >= 0:
            search_loop(*arguments)

    return cone_search
