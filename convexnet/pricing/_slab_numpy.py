"""The bounds of many slab nodes of one form at once, by matrix products: the base install's way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._slab_node import Form, Leaf, Node, Options
from ._slab_rules import quadratic_rows, row_ranges

__all__ = ["bound_nodes", "normal_range", "sphere_maxima", "tighten_rows"]

_EPS = 2.3e-16
_KEPT = ("mean", "second", "cuts", "atom", "s", "mu", "value", "matrix")


@dataclass
class _Batch:
    """B nodes side by side: all rows of the form (decided ones with weight zero), slabs padded to one number."""

    weights: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    base: np.ndarray
    normals: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    second: np.ndarray
    cuts: np.ndarray
    real: np.ndarray


def _pad_slabs(nodes: list[Node], d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slabs of all nodes; the padding ``-2 <= 0 . u <= 2`` always has slack."""
    count = max(len(node.low) for node in nodes)
    normals = np.zeros((len(nodes), count, d))
    low, high = np.full((len(nodes), count), -2.0), np.full((len(nodes), count), 2.0)
    for i, node in enumerate(nodes):
        k = len(node.low)
        normals[i, :k], low[i, :k], high[i, :k] = node.normals, node.low, node.high
    return normals, low, high


def tighten_rows(form: Form, nodes: list[Node], sweeps: int) -> None:
    """Narrow the intervals of the undecided rows of each node, and settle those that no longer change sign."""
    normals, low, high = _pad_slabs(nodes, form.d)
    lower, upper = row_ranges(form.rows, form.norms, normals, low, high, sweeps)
    for node, down, up in zip(nodes, lower, upper, strict=True):
        node.settle(form, down[node.index], up[node.index])


def normal_range(node: Node) -> tuple[float, float]:
    """Range of ``normal . u`` on a node, widened."""
    if not len(node.low):
        return -1.0, 1.0
    lower, upper = row_ranges(node.normal[None], np.ones(1), node.normals[None], node.low[None], node.high[None], 3)
    return max(-1.0, float(lower[0, 0]) - 1e-7), min(1.0, float(upper[0, 0]) + 1e-7)


def bound_nodes(form: Form, nodes: list[Node], options: Options, target: float) -> int:
    """Bound every node from its own state (in place); returns the number of Frank-Wolfe iterations."""
    batch = _gather(form, nodes)
    best, used = _iterate(form, batch, nodes, options, target)
    bounds, stress = _safe_bounds(form, batch, best)
    for i, node in enumerate(nodes):
        k = len(node.low)
        leaf = Leaf(best["mean"][i].copy(), best["second"][i].copy(), float(best["s"][i]), float(best["mu"][i]))
        node.keep(float(bounds[i]), leaf, best["cuts"][i][:, :k, :k], best["atom"][i].copy(), best["matrix"][i],
                  stress[i])  # fmt: skip
        node.mean, node.second = batch.mean[i].copy(), batch.second[i].copy()
    return used


def _gather(form: Form, nodes: list[Node]) -> _Batch:
    """Stack the nodes."""
    normals, low, high = _pad_slabs(nodes, form.d)
    shape, count = (len(nodes), len(form.rows)), low.shape[1]
    weights, lower, upper = np.zeros(shape), -np.ones(shape), np.ones(shape)
    cuts = np.zeros((len(nodes), 4, count, count))
    for i, node in enumerate(nodes):
        weights[i, node.index] = form.weights[node.index]
        lower[i, node.index], upper[i, node.index] = node.lower, node.upper
        k = len(node.low)
        cuts[i, :, :k, :k] = node.dense_cuts()
    base, mean, second = (np.array([getattr(node, name) for node in nodes]) for name in ("base", "mean", "second"))
    return _Batch(weights, lower, upper, base, normals, low, high, mean, second, cuts, _real_pairs(low))


def _real_pairs(low: np.ndarray) -> np.ndarray:
    """Which pairs (earlier, later) of slab sides each plane of the multipliers stands for; padding takes no part."""
    there = low > -1.5
    pairs = there[:, :, None] & there[:, None, :]
    return np.stack([np.triu(pairs, 1), np.triu(pairs, 1), np.triu(pairs), np.triu(pairs, 1)], axis=1)


def _multipliers(batch: _Batch, mean: np.ndarray, second: np.ndarray, step: float) -> np.ndarray:
    """Multipliers of all products of two slab sides at the state of the slabs (see ``_slab_kernels``)."""
    low, high, width = batch.low, batch.high, batch.high - batch.low
    rate = 4 * step / (width[:, :, None] * width[:, None, :])
    one, two = mean[:, :, None], mean[:, None, :]
    lr, lk, hr, hk = low[:, :, None], low[:, None, :], high[:, :, None], high[:, None, :]
    slack = np.stack([
        second - lr * two - lk * one + lr * lk, second - hr * two - hk * one + hr * hk,
        -second + lr * two + hk * one - lr * hk, -second + hr * two + lk * one - hr * lk,
    ], axis=1)  # fmt: skip
    return np.where(batch.real, np.maximum(0, batch.cuts - rate[:, None] * slack), 0.0)


def _cut_quadratics(batch: _Batch, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constant, slopes and (symmetric) pairs of the weighted products in terms of the slab values."""
    low, high = batch.low, batch.high
    n0, n1, n2, n3 = (cuts[:, i] for i in range(4))
    lr, lk, hr, hk = low[:, :, None], low[:, None, :], high[:, :, None], high[:, None, :]
    constant = np.sum(n0 * lr * lk + n1 * hr * hk - n2 * lr * hk - n3 * hr * lk, axis=(1, 2))
    slopes = np.sum(n2 * lr + n3 * hr - n0 * lr - n1 * hr, axis=1)
    slopes += np.sum(n2 * hk + n3 * lk - n0 * lk - n1 * hk, axis=2)
    total = n0 + n1 - n2 - n3
    return constant, slopes, 0.5 * (total + np.swapaxes(total, 1, 2))


def _assemble(
    form: Form, batch: _Batch, t: np.ndarray, q: np.ndarray, s: np.ndarray, cuts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Matrix, half slope, constant and magnitude of the quadratic that bounds each node."""
    c2, c1, c0 = (batch.weights * c for c in quadratic_rows(batch.weights > 0, t, q, batch.lower, batch.upper, s))
    constant, slopes, pairs = _cut_quadratics(batch, cuts)
    turned = np.swapaxes(batch.normals, 1, 2)
    matrix = (c2 @ form.products).reshape(len(t), form.d, form.d) + turned @ pairs @ batch.normals
    half = 0.5 * (batch.base + c1 @ form.rows + (slopes[:, None, :] @ batch.normals)[:, 0])
    size = np.sum((np.abs(c2) * form.norms + np.abs(c1)) * form.norms + np.abs(c0), axis=1)
    size += np.sum(cuts, axis=(1, 2, 3))
    return matrix, half, constant + np.sum(c0, axis=1), size


def _iterate(
    form: Form, batch: _Batch, nodes: list[Node], options: Options, target: float
) -> tuple[dict[str, np.ndarray], int]:
    """Frank-Wolfe on all nodes until each is below the target or no longer gains; keeps each node's best state."""
    mean, second = batch.mean.copy(), batch.second.copy()
    t, q = mean @ form.rows.T, second.reshape(len(nodes), -1) @ form.products.T
    st = (batch.normals @ mean[:, :, None])[:, :, 0]
    sq = batch.normals @ second @ np.swapaxes(batch.normals, 1, 2)
    size = len(nodes)
    start = (mean, second, batch.cuts, np.zeros_like(mean), np.full(size, options.s0), np.zeros(size),
             np.full(size, np.inf), np.zeros_like(second))  # fmt: skip
    best = {name: array.copy() for name, array in zip(_KEPT, start, strict=True)}
    last, step = np.full(len(nodes), np.inf), options.rate * options.scale
    for j in range(options.limit):
        s = options.s0 / (1 + options.decay * j)
        cuts = _multipliers(batch, st, sq, step)
        if j % options.every == options.every - 1:
            batch.cuts = cuts.copy()
        matrix, half, constant, _ = _assemble(form, batch, t, q, np.array(s), cuts)
        value, mu, x = sphere_maxima(matrix, half)
        value = value + constant
        better = value < best["value"]
        now = (mean, second, cuts, x, np.full(len(nodes), s), mu, value, matrix)
        for name, array in zip(_KEPT, now, strict=True):
            best[name][better] = array[better]
        if j % options.pause == options.pause - 1:
            gained = last - best["value"] >= options.progress * (best["value"] - target)
            last = best["value"].copy()
            if not np.any(gained & (last > target)):
                break
        if np.all(best["value"] <= target):
            break
        g = 2.0 / (j + 2 + options.offset)
        tx, sx = x @ form.rows.T, (batch.normals @ x[:, :, None])[:, :, 0]
        t, q = t + g * (tx - t), q + g * (tx * tx - q)
        st, sq = st + g * (sx - st), sq + g * (sx[:, :, None] * sx[:, None, :] - sq)
        mean, second = mean + g * (x - mean), second + g * (x[:, :, None] * x[:, None, :] - second)
    batch.mean, batch.second = mean, second
    return best, (j + 1) * len(nodes)


def sphere_maxima(matrix: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bound, multiplier and maximiser of ``2 half . u + u' matrix u`` over the sphere, for B problems at once."""
    values, vectors = np.linalg.eigh(matrix)
    inner = (half[:, None, :] @ vectors)[:, 0]
    top, size = values[:, -1], np.linalg.norm(half, axis=1)
    scale = np.abs(values).max(axis=1) + size + 1e-14  # forms have size 1
    # At this mu the norm is at least 1 (then Newton's steps rise to the root), or the top eigenvector fills it up.
    mu = top + np.maximum(np.abs(inner[:, -1]), 1e-9 * scale)
    for _ in range(30):
        gap = mu[:, None] - values
        terms = (inner / gap) ** 2
        norm = np.sqrt(np.sum(terms, axis=1))
        if np.all(norm < 1 + 1e-7):
            break
        slope = np.sum(terms / gap, axis=1)
        step = norm * norm * (norm - 1) / np.maximum(slope, 1e-300)
        mu = mu + np.where(norm > 1 + 1e-7, step, 0.0)
    gap = mu[:, None] - values
    part = inner / gap
    square = np.sum(part**2, axis=1)
    extra = np.sqrt(np.maximum(0, 1 - square + part[:, -1] ** 2)) * np.where(part[:, -1] < 0, -1.0, 1.0)
    part[:, -1] = np.where(square < 1 - 1e-6, extra, part[:, -1])
    x = (vectors @ part[:, :, None])[:, :, 0]
    return mu + np.sum(inner**2 / gap, axis=1), mu, x / np.linalg.norm(x, axis=1)[:, None]


def _safe_bounds(form: Form, batch: _Batch, best: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the kept states with all rounding charged, and curvatures (see ``_slab_loops.node_bound``)."""
    count = len(best["mu"])
    t, q = best["mean"] @ form.rows.T, best["second"].reshape(count, -1) @ form.products.T
    matrix, half, constant, size = _assemble(form, batch, t, q, best["s"][:, None], best["cuts"])
    c2 = quadratic_rows(batch.weights > 0, t, q, batch.lower, batch.upper, best["s"][:, None])[0]
    stress = (np.maximum(batch.weights * c2, 0.0) @ form.products).reshape(matrix.shape)
    bounds = np.full(count, np.inf)
    for i in range(count):
        factor = _lifted_factor(matrix[i], best["mu"], i)
        if factor is None:
            continue
        z = np.linalg.solve(factor, half[i])
        square, spread = float(z @ z), float(np.sum(factor**2))
        trace = float(np.sum(np.abs(matrix[i].diagonal())) + form.d * abs(best["mu"][i]))
        margin = 4 * _EPS * (len(form.rows) + 2 * batch.low.shape[1] ** 2 + form.d + 40) * (4 * size[i] + form.mass)
        margin += 4 * _EPS * (form.d + 4) * (trace + spread + 2 * np.sqrt(spread * square) + square)
        bounds[i] = constant[i] + best["mu"][i] + square + margin
    return bounds, stress


def _lifted_factor(matrix: np.ndarray, mu: np.ndarray, i: int) -> np.ndarray | None:
    """Cholesky factor of ``mu_i I - matrix``; raises mu_i a little where it is not above the spectrum."""
    lift = 1e-12 * (float(np.max(np.abs(matrix.diagonal()))) + abs(float(mu[i])))
    for _ in range(8):
        try:
            return np.linalg.cholesky(mu[i] * np.eye(len(matrix)) - matrix)
        except np.linalg.LinAlgError:
            mu[i] += lift
            lift *= 10
    return None
