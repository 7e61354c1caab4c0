"""Small random problems over every scalar loss, bias rule and activation, with all of their activation patterns."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from convexnet import PatternSet, TrainingProblem, enumerate_patterns, reg_max
from convexnet.errors import ConvexNetError, LabelsMappedWarning

LOSSES = ("squared", "logistic", "huber", "absolute", "hinge", "interpolation")
CONVENTIONS: tuple[dict[str, Any], ...] = (
    {"bias": "penalized"},
    {"bias": "free"},
    {"bias": "none"},
    {"bias": "penalized", "intercept": True, "activation": "leaky", "negative_slope": 0.2},
    {"bias": "free", "skip": True},
    {"bias": "none", "activation": "absolute"},
    {"bias": "penalized", "norm": "l1"},
    {"bias": "free", "activation": "leaky", "negative_slope": 0.3},
)


def random_problem(
    loss: str, seed: int, ratio: float = 0.2, **conventions: Any
) -> tuple[TrainingProblem, PatternSet]:
    """A problem of rank at most 3 with 6 to 13 samples, reg at ``ratio`` of the largest useful one."""
    generator = np.random.default_rng(seed)
    n = int(generator.integers(6, 14))
    d = 3 if conventions.get("bias") == "none" else 2
    X = generator.standard_normal((n, d))
    y = generator.standard_normal(n)
    if loss in ("logistic", "hinge"):
        y = np.where(generator.permutation(n) < n // 2, -1.0, 1.0)
    reg = None if loss == "interpolation" else 1.0
    problem = TrainingProblem(X, y, loss=loss, reg=reg, **conventions)
    patterns = enumerate_patterns(problem.extended)
    if loss != "interpolation":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LabelsMappedWarning)
            problem = problem.with_options(reg=ratio * _largest(problem, patterns))
    return problem, patterns


def _largest(problem: TrainingProblem, patterns: PatternSet) -> float:
    try:
        return reg_max(problem, patterns)
    except ConvexNetError:  # a separable fit by the free terms has no optimum
        return 0.5


def every_problem() -> Iterator[tuple[str, TrainingProblem, PatternSet]]:
    """Name, problem and complete patterns for each loss and convention: 48 problems."""
    for seed, (loss, conventions) in enumerate(product(LOSSES, CONVENTIONS)):
        problem, patterns = random_problem(loss, seed, **conventions)
        yield f"{loss}-{'-'.join(str(v) for v in conventions.values())}", problem, patterns
