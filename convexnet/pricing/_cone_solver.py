r"""The bound on many cones at once: a box-constrained least-norm problem in cone coordinates, by an interior point.

On the cone ``{V l : l >= 0}`` with unit columns, unstable rows T = X V and stable rows summed into L,

.. math:: F(V l) \le b^\top l - \sum_{w_i < 0} |w_i| |T_i l|, \qquad
          b_k = L^\top v_k + \sum_{w_i > 0} w_i |T_{ik}| ,

and the maximum of the right side over ``||V l|| <= 1`` is the least ``||g||`` with ``g . v_k >= b_k - (T' alpha)_k``
and ``|alpha_i| <= |w_i|``. No inverse of V is needed. Every iterate with ``alpha`` in its box gives a valid bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ConeBounds", "least_norm", "reach"]

ITERATIONS = 40
SWEEPS = 40
SHARES = (1.0, 0.5, 0.2, 0.05, 0.01, 1e-3, 1e-4)
"""Multipliers within this share of their bound are moved to it, if the cone's bound allows."""
START, CENTRE = 1.05, 0.05
EARLY = 0.3
"""A cone that must be split anyway is solved until its bound is known to this share of its excess over the cutoff."""


@dataclass(eq=False)
class ConeBounds:
    """Per cone: multipliers ``lam`` (g = V lam) and ``alpha``, and a bound that rounding has not been charged to."""

    lam: np.ndarray
    alpha: np.ndarray
    upper: np.ndarray
    iterations: int


def reach(G: np.ndarray) -> np.ndarray:
    """Per cone ``y >= 0`` with ``G y >= 1``: adding ``V y`` to g raises every ``g . v_k`` by one; inf if unknown."""
    total = G.sum(axis=2)
    smallest = total.min(axis=1)
    short = smallest <= 0.05 * np.sqrt(np.maximum(total.sum(axis=1), 0.0))
    y = np.repeat(1 / np.where(short, 1.0, smallest)[:, None], G.shape[1], axis=1) * (1 + 1e-6)
    wide = np.flatnonzero(short)
    if wide.size:
        y[wide] = _nearest(G[wide])
    return y


def _nearest(G: np.ndarray) -> np.ndarray:
    """Coordinate descent on ``y'Gy/2 - sum y``, y >= 0: V y tends to the shortest c with ``c . v_k >= 1``."""
    y = np.zeros(G.shape[:2])
    for _ in range(SWEEPS):
        for k in range(G.shape[1]):
            y[:, k] = np.maximum(y[:, k] + (1 - np.sum(G[:, k] * y, axis=1)) / G[:, k, k], 0.0)
    worst = np.min(np.matmul(G, y[:, :, None])[:, :, 0], axis=1) - 1e-13 * np.sum(y, axis=1)
    return np.where(worst[:, None] > 0.1, y * (1 + 1e-6) / np.maximum(worst[:, None], 0.1), np.inf)


def least_norm(
    G: np.ndarray, b: np.ndarray, T: np.ndarray, w: np.ndarray, cut: np.ndarray, push: np.ndarray, noise: np.ndarray,
    early: float = EARLY,
) -> ConeBounds:  # fmt: skip
    """Solve a batch; G (C, d, d), b and push (C, d), T (C, m, d), w (C, m) positive, cut and noise (C,)."""
    C, d = b.shape
    result = ConeBounds(np.zeros((C, d)), np.zeros(w.shape), np.full(C, np.inf), 0)
    active = np.arange(C)
    early = early if d > 1 else 0.0
    state = _start(G, b, T, w)
    for iteration in range(ITERATIONS):
        lam, sp, sm = state["lam"], state["sp"], state["sm"]
        alpha = np.clip(0.5 * (sm - sp), -w, w)
        t = np.matmul(T, lam[:, :, None])[:, :, 0]
        Gl = np.matmul(G, lam[:, :, None])[:, :, 0]
        r = Gl - b + np.matmul(alpha[:, None, :], T)[:, 0, :]
        size = np.sqrt(np.maximum(np.sum(lam * Gl, axis=1), 1e-300))
        raised = lam + (np.maximum(np.max(-r, axis=1), 0.0) + noise)[:, None] * push
        upper = np.sqrt(np.sum(raised * np.matmul(G, raised[:, :, None])[:, :, 0], axis=1))
        lower = (np.sum(b * lam, axis=1) - np.sum(w * np.abs(t), axis=1)) / size
        upper[~np.isfinite(upper)] = np.inf
        better = np.flatnonzero(upper < result.upper[active])
        chosen = active[better]
        result.lam[chosen], result.alpha[chosen], result.upper[chosen] = lam[better], alpha[better], upper[better]
        result.iterations += len(active)
        gap = upper - lower
        with np.errstate(invalid="ignore"):
            going = (upper > cut) & ~((lower > cut) & (gap <= early * (upper - cut))) & (gap > 1e-13 * np.abs(upper))
        if iteration == ITERATIONS - 1 or not going.any():
            break
        if going.sum() < 0.8 * len(active):
            active, cut, push, noise = active[going], cut[going], push[going], noise[going]
            G, b, T, w = G[going], b[going], T[going], w[going]
            state = {name: value[going] for name, value in state.items()}
            t, Gl, r, alpha = t[going], Gl[going], r[going], alpha[going]
        _newton(state, G, T, t, r)
    return result


def _start(G: np.ndarray, b: np.ndarray, T: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
    """A point along the middle of the cone, so long that the d inequalities hold there, centred in the box."""
    d = b.shape[1]
    total = np.maximum(G.sum(axis=2), 0.05)
    middle = np.sum(T, axis=2)
    signed = np.matmul((w * np.sign(middle))[:, None, :], T)[:, 0, :]
    largest = np.max(np.abs(b), axis=1) + 1e-30
    need = np.maximum(np.max((b - signed) / total, axis=1), 1e-2 * largest)[:, None]
    lam = np.repeat(START * need, d, axis=1)
    beta = np.maximum(lam * total - b + signed, 1e-2 * largest[:, None])
    mu = np.sum(lam * beta, axis=1, keepdims=True) / d * CENTRE
    t = START * need * middle
    root = mu + np.sqrt(mu * mu + (t * w) ** 2)
    # The smaller slack comes from the product sp * sm = w^2 - alpha^2, free of cancellation.
    large = w + w * w * np.abs(t) / root
    small = 2 * mu * w * w / root / large
    sp, sm = np.where(t > 0, small, large), np.where(t > 0, large, small)
    return {"lam": lam, "beta": beta, "sp": sp, "sm": sm, "ap": mu / sp, "am": mu / sm}


def _newton(state: dict[str, np.ndarray], G: np.ndarray, T: np.ndarray, t: np.ndarray, r: np.ndarray) -> None:
    """One predictor-corrector step, in place."""
    lam, beta, sp, sm, ap, am = (state[name] for name in ("lam", "beta", "sp", "sm", "ap", "am"))
    d, count = lam.shape[1], lam.shape[1] + 2 * sp.shape[1]
    D = 1 / (ap / sp + am / sm)
    H = G + np.matmul((T * D[:, :, None]).transpose(0, 2, 1), T)
    H[:, np.arange(d), np.arange(d)] += beta / lam
    jacobi = 1 / np.sqrt(H[:, np.arange(d), np.arange(d)])
    H *= jacobi[:, :, None] * jacobi[:, None, :]
    H[:, np.arange(d), np.arange(d)] += 1e-15
    inverse = np.linalg.inv(H)
    inverse *= jacobi[:, :, None] * jacobi[:, None, :]

    def direction(box: np.ndarray, cone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Changes of lam and alpha for the complementarity terms ``c+/s+ - c-/s-`` and ``c_lam / lam``."""
        q = t - ap + am - box
        right = -(r - beta) - np.matmul((D * q)[:, None, :], T)[:, 0, :] + cone
        dlam = np.matmul(inverse, right[:, :, None])[:, :, 0]
        return dlam, D * (np.matmul(T, dlam[:, :, None])[:, :, 0] + q)

    mu = (np.sum(lam * beta, axis=1) + np.sum(sp * ap, axis=1) + np.sum(sm * am, axis=1)) / count
    dlam, dalpha = direction(am - ap, -beta)
    dbeta = -beta - beta * dlam / lam
    dap, dam = -ap + ap * dalpha / sp, -am - am * dalpha / sm
    step = _longest((lam, dlam), (beta, dbeta), (sp, -dalpha), (sm, dalpha), (ap, dap), (am, dam))[:, None]
    after = np.sum((lam + step * dlam) * (beta + step * dbeta), axis=1)
    after += np.sum((sp - step * dalpha) * (ap + step * dap), axis=1)
    after += np.sum((sm + step * dalpha) * (am + step * dam), axis=1)
    goal = (mu * np.minimum(after / count / mu, 1.0) ** 3)[:, None]
    cone = goal / lam - beta - dlam * dbeta / lam
    plus, minus = goal / sp - ap + dap * dalpha / sp, goal / sm - am - dam * dalpha / sm
    dlam, dalpha = direction(plus - minus, cone)
    dbeta, dap, dam = cone - beta * dlam / lam, plus + ap * dalpha / sp, minus - am * dalpha / sm
    step = 0.99 * _longest((lam, dlam), (beta, dbeta), (sp, -dalpha), (sm, dalpha), (ap, dap), (am, dam))[:, None]
    lam += step * dlam
    beta += step * dbeta
    sp -= step * dalpha
    sm += step * dalpha
    ap += step * dap
    am += step * dam


def _longest(*pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Largest step up to one that keeps all variables positive."""
    worst = np.full(len(pairs[0][0]), -1.0)
    for value, change in pairs:
        if value.shape[1]:
            worst = np.minimum(worst, np.min(change / value, axis=1))
    return -1 / worst
