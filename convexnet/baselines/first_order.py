"""Adam and stochastic gradient descent with momentum, all starts in one array, with cosine decay of the step size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .starts import INITIAL_PATH, random_starts

if TYPE_CHECKING:
    from .progress import Progress
    from .standard_form import StandardForm

__all__ = ["batches", "cosine", "default_rate", "run_adam", "run_sgd"]

ADAM_RATE = 0.3
MINI_BATCH_ADAM_RATE = 0.06
SGD_RATE = 0.3
SGD_STABILITY = 5.0
"""Largest product of learning rate and curvature; momentum 0.9 is stable on a quadratic up to 38, without noise."""
MOMENTUM = 0.9


def default_rate(form: StandardForm, method: str, batch_size: int) -> float:
    """First learning rate: for Adam a fraction of the size of a starting weight, for SGD limited by the curvature.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> from convexnet.baselines import StandardForm
    >>> form = StandardForm(TrainingProblem([[0.0], [1.0]], [0.0, 1.0], reg=0.1), width=3)
    >>> default_rate(form, "adam", batch_size=2)
    0.3
    """
    if method == "sgd":
        return min(SGD_RATE, SGD_STABILITY / max(curvature(form), 1e-300))
    rate = ADAM_RATE if batch_size >= form.problem.n else MINI_BATCH_ADAM_RATE
    return float(rate * np.sqrt(INITIAL_PATH / form.width))


def curvature(form: StandardForm, iterations: int = 15) -> float:
    """Largest eigenvalue of the Hessian at two starting points, over the loss at zero, by the power method.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> from convexnet.baselines import StandardForm
    >>> form = StandardForm(TrainingProblem([[1.0]], [1.0], reg=1e6, bias="none"), width=3)
    >>> round(curvature(form) / 1e6, 3)  # reg / loss at zero
    2.0
    """
    theta = random_starts(form, 2, seed=0)
    direction = np.random.default_rng(0).standard_normal(theta.shape)
    step = 1e-4
    with np.errstate(all="ignore"):
        for _ in range(iterations):
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            change = form.gradient(theta + step * direction) - form.gradient(theta - step * direction)
            direction = change / (2 * step * form.objective_scale)
    return float(np.nan_to_num(np.max(np.linalg.norm(direction, axis=1))))


def cosine(t: int, steps: int) -> float:
    """Fraction of the learning rate at step t of ``steps``, from 1 down to 0.

    Examples
    --------
    >>> cosine(0, 10), round(cosine(5, 10), 6)
    (1.0, 0.5)
    """
    return float(0.5 * (1 + np.cos(np.pi * t / steps)))


def run_adam(
    form: StandardForm, theta: np.ndarray, progress: Progress, *, rng: np.random.Generator, max_iter: int,
    learning_rate: float, batch_size: int,
) -> np.ndarray:  # fmt: skip
    """Minimise from every row of ``theta`` (overwritten) by Adam; return the updates of each start."""
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    beta1, beta2 = 0.9, 0.999
    for t, rows in enumerate(batches(form.problem.n, batch_size, max_iter, rng)):
        if progress.stop(t, theta):
            return np.full(theta.shape[0], t)
        gradient = form.gradient(theta, rows) / form.objective_scale
        mean += (1 - beta1) * (gradient - mean)
        square += (1 - beta2) * (gradient * gradient - square)
        step = learning_rate * cosine(t, max_iter) / (1 - beta1 ** (t + 1))
        theta -= step * mean / (np.sqrt(square / (1 - beta2 ** (t + 1))) + 1e-12)
    progress.finish(max_iter, theta)
    return np.full(theta.shape[0], max_iter)


def run_sgd(
    form: StandardForm, theta: np.ndarray, progress: Progress, *, rng: np.random.Generator, max_iter: int,
    learning_rate: float, batch_size: int,
) -> np.ndarray:  # fmt: skip
    """Minimise from every row of ``theta`` (overwritten) by SGD with momentum; return the updates of each start."""
    velocity = np.zeros_like(theta)
    for t, rows in enumerate(batches(form.problem.n, batch_size, max_iter, rng)):
        if progress.stop(t, theta):
            return np.full(theta.shape[0], t)
        velocity *= MOMENTUM
        velocity += form.gradient(theta, rows) / form.objective_scale
        theta -= (1 - MOMENTUM) * learning_rate * cosine(t, max_iter) * velocity
    progress.finish(max_iter, theta)
    return np.full(theta.shape[0], max_iter)


def batches(n: int, batch_size: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray | None]:
    """Row indices of ``steps`` mini-batches, epochs shuffled without replacement; None stands for all rows."""
    order, position = np.arange(0), 0
    for _ in range(steps):
        if batch_size >= n:
            yield None
            continue
        if position + batch_size > order.size:
            order, position = rng.permutation(n), 0
        yield order[position : position + batch_size]
        position += batch_size
