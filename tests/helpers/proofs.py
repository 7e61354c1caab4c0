"""Proof payloads by the plainest means (fixed subdivisions, formulas), independent of the searches of the package."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import lsq_linear

from convexnet.pricing.forms import PricingForm, pricing_forms

__all__ = ["cones_proof", "moment_proof", "slabs_proof"]


def moment_proof(problem: Any, nu: np.ndarray, steps: int = 60) -> dict[str, Any]:
    """Multipliers of the moment relaxation by Frank-Wolfe on the moments (u, U)."""
    return {"kind": "moment", "forms": [_moment_form(form, steps) for form in pricing_forms(problem, nu)]}


def cones_proof(problem: Any, nu: np.ndarray, depth: int = 6) -> dict[str, Any]:
    """A fan over the simplex, each cone halved ``depth`` times along its longest edge."""
    return {"kind": "cones", "forms": [_cones_form(form, depth) for form in pricing_forms(problem, nu)]}


def slabs_proof(problem: Any, nu: np.ndarray, depth: int = 3) -> dict[str, Any]:
    """Slabs along the coordinate axes in turn, each cut in the middle."""
    return {"kind": "slabs", "forms": [_slabs_form(form, depth) for form in pricing_forms(problem, nu)]}


# ------------------------------------------------------------------------------------------------------------ moment
def _moment_form(form: PricingForm, steps: int) -> dict[str, Any]:
    X, w = form.rows, form.weights
    h = np.linalg.norm(X, axis=1)
    plus, minus = w > 0, w < 0
    t, q = np.zeros(len(w)), h**2 / max(X.shape[1], 1)
    best: tuple[float, dict[str, Any]] = (np.inf, {})
    for step in range(steps):
        tau = np.sqrt(np.maximum(q[plus], 1e-10 * h[plus] ** 2))
        scores = np.stack([t, -t, q / h])[:, minus] / (0.05 * h[minus] / (1 + step / 10))
        p = np.exp(scores - scores.max(axis=0, initial=-np.inf))
        p /= p.sum(axis=0)
        a, theta = (p[0] - p[1]) * (1 - 1e-12), p[2] * (1 - 1e-12)
        A = (X[plus].T * (w[plus] / (2 * tau))) @ X[plus] + (X[minus].T * (w[minus] * theta / h[minus])) @ X[minus]
        b = form.linear + (w[minus] * a) @ X[minus]
        mu, value, u = trust_region(A, b, 0.0)
        total = value + 0.5 * float(w[plus] @ tau)
        if total < best[0]:
            best = (total, {"tau": tau, "a": a, "theta": theta, "mu": mu})
        share = 2 / (step + 2)
        t, q = (1 - share) * t + share * (X @ u), (1 - share) * q + share * (X @ u) ** 2
    return best[1]


def trust_region(A: np.ndarray, b: np.ndarray, floor: float) -> tuple[float, float, np.ndarray]:
    """``min_{mu >= floor, mu > lmax} mu + b' (mu I - A)^-1 b / 4`` by bisection: mu, value, maximiser."""
    lam, Q = np.linalg.eigh(A)
    c = Q.T @ b / 2
    low = max(floor, float(lam[-1])) + 1e-9 * (1 + float(np.max(np.abs(lam))))
    high = low + float(np.linalg.norm(c)) + 1.0
    for _ in range(200):
        mid = 0.5 * (low + high)
        low, high = (mid, high) if np.sum((c / (mid - lam)) ** 2) > 1 else (low, mid)
    u = Q @ (c / (high - lam))
    if np.linalg.norm(u) < 1:
        u = u + Q[:, -1] * np.sqrt(1 - u @ u)
    return high, high + float(np.sum(c**2 / (high - lam))), u / np.linalg.norm(u)


# ------------------------------------------------------------------------------------------------------------- cones
def _cones_form(form: PricingForm, depth: int) -> dict[str, Any]:
    q = form.rows.shape[1]
    simplex = np.vstack([-np.ones(q, dtype=int), np.eye(q, dtype=int)])
    tree: list[Any] = []
    G: list[np.ndarray] = []
    alpha: list[tuple[int, int, float]] = []
    for k in range(q + 1):
        _grow(form, np.delete(simplex, k, axis=0), depth, tree, G, alpha)
    return {"simplex": simplex, "tree": tree, "leaves": {"g": np.array(G).reshape(-1, q), "alpha": alpha}}


def _grow(form: PricingForm, V: np.ndarray, depth: int, tree: list, G: list, alpha: list) -> None:
    """Append the subtree of the cone with rows V in preorder."""
    q = len(V)
    if depth == 0 or q == 1:
        g, multipliers = _leaf(form, V.astype(float))
        alpha += [(len(G), int(i), float(multipliers[i])) for i in np.flatnonzero(form.weights < 0)]
        tree.append(len(G))
        G.append(g)
        return
    units = V / np.linalg.norm(V, axis=1)[:, None]
    gram = units @ units.T + 3 * np.eye(q)
    a, b = (int(v) for v in np.unravel_index(int(np.argmin(gram)), gram.shape))
    ratio = round(float(np.log2(np.linalg.norm(V[a]) / np.linalg.norm(V[b]))))
    i, j = max(-ratio, 0), max(ratio, 0)
    tree.append([a, b, i, j])
    fresh = V[a] * 2**i + V[b] * 2**j
    for place in (a, b):
        child = V.copy()
        child[place] = fresh
        _grow(form, child, depth - 1, tree, G, alpha)


def _leaf(form: PricingForm, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``min ||pbar - sum alpha_i x_i + sum beta_k z_k||`` as a least-squares problem in a box."""
    w, X = form.weights, form.rows
    plus, minus = w > 0, w < 0
    p = np.abs(V @ X[plus].T) @ w[plus] + V @ form.linear
    inverse = np.linalg.inv(V)  # columns z_k with z_k . v_k = 1
    pbar = inverse @ p
    M = np.column_stack([-X[minus].T, inverse / np.linalg.norm(inverse, axis=0)])
    limits = np.abs(w[minus])
    low, high = np.append(-limits, np.zeros(len(V))), np.append(limits, np.full(len(V), np.inf))
    answer = lsq_linear(M, -pbar, bounds=(low, np.maximum(high, low + 1e-300)), tol=1e-12, lsmr_tol=None)
    alpha = np.zeros(len(w))
    alpha[minus] = np.clip(answer.x[: len(limits)], -limits, limits)
    return pbar + M @ np.append(alpha[minus], np.maximum(answer.x[len(limits) :], 0.0)), alpha


# ------------------------------------------------------------------------------------------------------------- slabs
def _slabs_form(form: PricingForm, depth: int) -> dict[str, Any]:
    q = form.rows.shape[1]
    splits: dict[str, list] = {"a": [], "low": [], "middle": [], "high": []}
    leaves: dict[str, list] = {"u": [], "U": [], "s": [], "rho": [], "mu": []}
    tree: list[Any] = []
    _cut(form, [(-1.0, 1.0)] * q, [], depth, tree, splits, leaves)
    arrays = {name: np.array(values).reshape((-1, q) if name == "a" else -1) for name, values in splits.items()}
    counts = [len(rho) for rho in leaves["rho"]]
    stacked = {name: np.array(values) for name, values in leaves.items() if name != "rho"}
    stacked["cut_start"] = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    stacked["cut_p"] = np.array([2 * k for count in counts for k in range(count)], dtype=int)
    stacked["cut_q"] = stacked["cut_p"] + 1
    stacked["cut_value"] = np.concatenate([np.zeros(0), *leaves["rho"]])
    return {"tree": tree, "splits": arrays, "leaves": stacked}


def _cut(form: PricingForm, box: list, path: list, depth: int, tree: list, splits: dict, leaves: dict) -> None:
    q = len(box)
    if depth == 0:
        tree.append(len(leaves["u"]))
        _slab_leaf(form, box, path, leaves)
        return
    axis = depth % q
    low, high = box[axis][0] - 1e-9, box[axis][1] + 1e-9
    middle = 0.5 * (low + high)
    tree.append([len(splits["low"])])
    splits["a"].append(np.eye(q)[axis])
    for name, value in (("low", low), ("middle", middle), ("high", high)):
        splits[name].append(value)
    for part in ((low, middle), (middle, high)):
        smaller = [*box]
        smaller[axis] = part
        _cut(form, smaller, [*path, (axis, *part)], depth - 1, tree, splits, leaves)


def _slab_leaf(form: PricingForm, box: list, path: list, leaves: dict) -> None:
    """State: the middle of the box, with its size as spread; mu from the size of everything."""
    q = len(box)
    u = np.array([0.5 * (low + high) for low, high in box])
    spread = np.array([(high - low) ** 2 / 12 for low, high in box])
    U = np.outer(u, u) + np.diag(spread)
    U /= np.trace(U)
    size = float(np.abs(form.weights) @ np.sum(form.rows**2, axis=1) + np.linalg.norm(form.linear))
    leaves["u"].append(u)
    leaves["U"].append(U[np.triu_indices(q)])
    leaves["s"].append(0.02)
    leaves["rho"].append(np.full(len(path), 0.3 * size / max(len(path), 1)))
    leaves["mu"].append(size)
