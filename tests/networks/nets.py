"""Random networks of every kind, healthy and degenerate, and a prediction recomputed neuron by neuron."""

from __future__ import annotations

from typing import Any

import numpy as np

from convexnet.networks import ShallowNetwork

KAPPAS = {"relu": 0.0, "leaky": 0.2, "absolute": -1.0}


def plain_predict(net: ShallowNetwork, X: np.ndarray) -> np.ndarray:
    """f(X) of shape (n, k) from the raw arrays, one neuron at a time."""
    V = net.output_weights.reshape(net.n_neurons, -1) if net.n_neurons else np.zeros((0, net.n_outputs))
    total = np.zeros((X.shape[0], net.n_outputs)) + net.intercept
    for w, b, v in zip(net.weights, net.biases, V, strict=True):
        t = np.sum(X * w, axis=1) + b
        if net.activation == "absolute":
            t = np.abs(t)
        else:
            t = np.where(t >= 0, t, (net.negative_slope if net.activation == "leaky" else 0.0) * t)
        total += np.outer(t, v)
    if net.skip is not None:
        total += X @ net.skip.reshape(net.n_features, -1)
    return total


def plain_path_norm(net: ShallowNetwork, bias: str, norm: str) -> float:
    """Path norm from the raw arrays."""
    order = {"l2": 2, "l1": 1}[norm]
    total = 0.0
    for j in range(net.n_neurons):
        u = [*net.weights[j], net.biases[j]] if bias == "penalized" else net.weights[j]
        total += np.linalg.norm(u, order) * np.linalg.norm(np.atleast_1d(net.output_weights[j]))
    return float(total)


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    """max |a - b| / max |b| (absolute when b is zero)."""
    size = np.abs(b).max()
    return float(np.abs(a - b).max() / (size if size > 0 else 1.0))


def random_net(rng: np.random.Generator, d: int, m: int, k: int | None = None, **options: Any) -> ShallowNetwork:
    """A Gaussian network; ``k=None`` for a scalar output."""
    outputs = (m,) if k is None else (m, k)
    biases = np.zeros(m) if options.pop("unbiased", False) else rng.normal(size=m)
    return ShallowNetwork(rng.normal(size=(m, d)), biases, rng.normal(size=outputs), negative_slope=0.2, **options)


def degenerate_net(rng: np.random.Generator, X: np.ndarray, m: int, k: int | None, bias: str, activation: str) -> Any:
    """A network with twins, opposite twins, dead neurons, zero neurons, constants, repeated outputs and wild scales."""
    d = X.shape[1]
    W, V = rng.normal(size=(m, d)), rng.normal(size=(m, k or 1))
    b = np.zeros(m) if bias == "none" else rng.normal(size=m)
    for j in range(m):
        other, kind = rng.integers(m), rng.integers(12)
        if kind == 0:  # twin of another neuron, rescaled
            c = 10.0 ** rng.uniform(-3, 3)
            W[j], b[j], V[j] = c * W[other], c * b[other], V[other] / c * rng.choice([1.0, -0.5])
        elif kind == 1:  # inactive on the data under relu
            W[j] = -X[0] * 1e-3 if bias == "none" else W[j]
            b[j] = 0.0 if bias == "none" else -1.0 - np.abs(X @ W[j]).max()
        elif kind == 2:  # zero in one place or both
            W[j], b[j], V[j] = W[j] * rng.integers(2), 0.0, V[j] * rng.integers(2)
        elif kind == 3:  # a constant
            W[j] = 0.0
        elif kind == 4:  # same output weights as another neuron
            V[j] = abs(rng.normal()) * V[other]
        elif kind == 5:  # badly scaled: input and output weights far apart
            c = 10.0 ** rng.uniform(-8, 8)
            W[j], b[j], V[j] = c * W[j], c * b[j], V[j] / c
        elif kind == 6:  # small or large contribution
            V[j] *= 10.0 ** rng.uniform(-6, 2)
        elif kind == 7:  # mirror image
            W[j], b[j] = -W[other], -b[other]
    skip = rng.normal(size=(d, k or 1)) if rng.integers(2) else None
    scalar = k is None
    return ShallowNetwork(
        W,
        b,
        V[:, 0] if scalar else V,
        intercept=rng.normal() if scalar else rng.normal(size=k),
        skip=skip if skip is None or not scalar else skip[:, 0],
        activation=activation,
        negative_slope=0.2,
    )
