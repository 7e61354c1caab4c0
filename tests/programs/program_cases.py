"""Small training problems with complete pattern lists, and an independent check of a dual vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from convexnet.arrangements import enumerate_patterns
from convexnet.problem import TrainingProblem

SCALAR_LOSSES = ("squared", "logistic", "huber", "absolute", "hinge", "interpolation")
LABELS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0])


def small_problem(loss: str = "squared", seed: int = 0, **options: Any) -> TrainingProblem:
    """Seven points in the plane; the labels are not linearly separable."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((7, 2))
    y = LABELS if loss in ("logistic", "hinge") else np.sin(3 * X[:, 0]) + X[:, 1]
    reg = {} if loss == "interpolation" else {"reg": 0.1}
    return TrainingProblem(X, y, **{"loss": loss, "negative_slope": 0.1, **reg, **options})


def vector_problem(loss: str = "squared", **options: Any) -> TrainingProblem:
    """Six points in the plane with two real targets, or three classes for softmax."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((6, 2))
    y = np.arange(6) % 3 if loss == "softmax" else np.column_stack([np.sin(3 * X[:, 0]), X[:, 0] * X[:, 1]])
    reg = {} if loss == "interpolation" else {"reg": 0.3}
    return TrainingProblem(X, y, **{"loss": loss, **reg, **options})


def patterns_of(problem: TrainingProblem) -> Any:
    return enumerate_patterns(problem.extended)


def dual_ratio(problem: TrainingProblem, nu: np.ndarray, count: int = 20_000) -> float:
    """Largest ``|nu . sigma(E u)| / ||u||`` over random directions: at most reg if nu is dual feasible."""
    rng = np.random.default_rng(5)
    U = rng.standard_normal((problem.extended.shape[1], count))
    if problem.norm == "l1":
        U[:, ::2] *= rng.random((len(U), U[:, ::2].shape[1])) < 0.5
    T = problem.extended @ U
    gains = np.abs(nu @ np.maximum(T, problem.kappa * T))
    norms = np.linalg.norm(U[:-1] if problem.bias == "free" else U, 1 if problem.norm == "l1" else 2, axis=0)
    return float(np.max(gains[norms > 1e-3] / norms[norms > 1e-3]))
