"""Problems and networks shared by the tests of certificates."""

from __future__ import annotations

import functools
import warnings

import numpy as np

from convexnet import PatternSet, ShallowNetwork, Solution, TrainingProblem, enumerate_patterns, solve
from convexnet.errors import ConvexNetWarning

__all__ = ["plane_problem", "random_network", "solve_quietly", "solved"]


def plane_problem(loss: str = "squared", seed: int = 0, n: int = 10, **options: object) -> TrainingProblem:
    """Points in the plane; labels that no line separates."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    y = np.sin(3 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(n)
    if loss in ("logistic", "hinge"):
        y = np.where(np.arange(n) % 2, 1.0, -1.0)
    reg = {} if loss == "interpolation" else {"reg": 0.1}
    return TrainingProblem(X, y, **{"loss": loss, **reg, **options})


def random_network(problem: TrainingProblem, width: int = 3, seed: int = 0) -> ShallowNetwork:
    rng = np.random.default_rng(seed)
    biases = np.zeros(width) if problem.bias == "none" else rng.standard_normal(width)
    shape = (width,) if problem.scalar else (width, problem.n_outputs)
    return ShallowNetwork(
        rng.standard_normal((width, problem.d)), biases, rng.standard_normal(shape),
        activation=problem.activation, negative_slope=problem.negative_slope,
    )  # fmt: skip


def solve_quietly(problem: TrainingProblem, patterns: PatternSet | None = None, **options: object) -> Solution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvexNetWarning)
        return solve(problem, patterns=patterns, **options)


@functools.cache
def solved(loss: str = "squared") -> tuple[TrainingProblem, PatternSet, Solution]:
    """The plane problem with all of its patterns and its solution."""
    problem = plane_problem(loss)
    patterns = enumerate_patterns(problem.extended)
    return problem, patterns, solve(problem, patterns=patterns)
