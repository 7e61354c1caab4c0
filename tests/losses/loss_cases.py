"""Losses with random targets, weights, and dual vectors from inside their domains, shared by the tests of this room."""

from __future__ import annotations

import numpy as np

from convexnet.losses import Loss, get_loss

CASES = {
    "squared": ("squared", {}, False),
    "squared-outputs": ("squared", {}, True),
    "huber": ("huber", {"delta": 0.7}, False),
    "huber-outputs": ("huber", {"delta": 0.7}, True),
    "absolute": ("absolute", {}, False),
    "absolute-outputs": ("absolute", {}, True),
    "interpolation": ("interpolation", {}, False),
    "interpolation-outputs": ("interpolation", {}, True),
    "logistic": ("logistic", {}, False),
    "logistic-outputs": ("logistic", {}, True),
    "hinge": ("hinge", {}, False),
    "hinge-outputs": ("hinge", {}, True),
    "softmax": ("softmax", {}, True),
}
WEIGHTS = ("unit", "random", "zeros")


def make_case(name: str, seed: int, n: int = 7, k: int = 3) -> tuple[Loss, np.ndarray]:
    """The loss called ``name`` and prepared random targets."""
    loss_name, parameters, several = CASES[name]
    rng = np.random.default_rng(seed)
    shape = (n, k) if several else (n,)
    loss = get_loss(loss_name, **parameters)
    if loss_name == "softmax":
        return loss, loss.prepare_targets(np.concatenate([np.arange(k), rng.integers(0, k, n - k)]), n)
    if loss_name in ("logistic", "hinge"):
        return loss, loss.prepare_targets(rng.choice([-1.0, 1.0], shape), n)
    return loss, loss.prepare_targets(rng.normal(size=shape), n)


def make_weight(kind: str, seed: int, n: int = 7) -> np.ndarray | None:
    """Unit weights (None), positive ones, or positive ones of which the first and fourth are zero."""
    if kind == "unit":
        return None
    weight = np.random.default_rng(seed + 1000).uniform(0.1, 3.0, n)
    if kind == "zeros":
        weight[[0, 3]] = 0.0
    return weight


def dual_point(loss: Loss, y: np.ndarray, weight: np.ndarray | None, seed: int) -> np.ndarray:
    """A random dual vector of the domain, often with entries on its boundary."""
    nu = np.random.default_rng(seed + 2000).normal(size=y.shape)
    return loss.clip_dual(nu, y, weight)
