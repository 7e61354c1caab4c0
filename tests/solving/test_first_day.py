"""What people try on the first day: grids, many features, wrong arguments, degenerate null models."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import convexnet
from convexnet import ShallowNetwork, TrainingProblem, reg_max, solve
from convexnet.baselines import train
from convexnet.certificates import judge
from convexnet.errors import ConvexNetWarning, ProblemError
from convexnet.pricing import enumerable


def data(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.standard_normal((n, d)), generator.standard_normal(n)


def test_many_rows_on_a_grid_are_listed_completely() -> None:
    X, noise = data(2000, 2)
    X = np.round(X)
    problem = TrainingProblem(X, np.abs(X[:, 0]) - X[:, 1] + 0.1 * noise, reg=10.0)
    assert solve(problem).certificate.verdict == "optimal"


@pytest.mark.parametrize(
    "shape", [(18, 30), *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(27, 6), (17, 12), (19, 11)])]
)
def test_too_many_cells_fall_back_to_a_list(shape: tuple[int, int]) -> None:
    problem = TrainingProblem(*data(*shape), reg=0.5)
    assert not enumerable(problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvexNetWarning)
        solution = solve(problem, "cells")
    verdict, method = solution.certificate.verdict, solution.certificate.method
    assert verdict == "listed" or (verdict == "optimal" and "cells" not in method), "proven by a search or not at all"
    assert reg_max(problem) > 0
    best = train(problem, method="lbfgs", width=30, n_starts=2, max_iter=200).best_objective
    assert solution.certificate.lower_bound <= min(best, solution.objective) * (1 + 1e-12)


def test_few_rows_with_many_features_are_proven() -> None:
    problem = TrainingProblem(*data(9, 20), reg=0.5)
    assert solve(problem).certificate.verdict == "optimal"


@pytest.mark.parametrize(
    "problem",
    [
        TrainingProblem(np.full((6, 1), 3.0), data(6, 1)[1], bias="free", reg=1.0),
        TrainingProblem(np.eye(4), [1.0, 2.0, 3.0, 4.0], bias="none", skip=True, reg=1.0),
        TrainingProblem(data(20, 2)[0], data(20, 2)[0] @ [1.0, 2.0] + 3, bias="free", skip=True, reg=1.0),
        TrainingProblem([[1.0], [2.0]], [0.0, 0.0], reg=1.0),
    ],
)
def test_nothing_left_to_fit_means_reg_max_zero(problem: TrainingProblem) -> None:
    assert reg_max(problem) == 0.0
    solution = solve(problem)
    assert solution.certificate.verdict == "optimal"
    assert solution.size == 0


def test_nearly_repeated_rows_are_not_called_impossible() -> None:
    """One neuron with its kink at the first sample, or one facing left: weights of 1e9."""
    x = np.array([1.0, 1.0 + 1e-9])
    problem = TrainingProblem(x[:, None], [0.0, 1.0], loss="interpolation")
    solution = solve(problem)
    assert solution.objective == pytest.approx(math.sqrt(2) / (x[1] - x[0]), rel=1e-6)
    assert solution.certificate.gap <= 1e-6


def test_result_and_certificate_speak_of_one_network() -> None:
    generator = np.random.default_rng(1)
    X = generator.standard_normal((23, 1)) * 1e-4
    y = np.where(generator.random(23) < 0.5, 1.0, -1.0)
    problem = TrainingProblem(X, y, loss="logistic", bias="free", activation="leaky", reg=1.0)
    problem = problem.with_options(reg=0.01 * reg_max(problem))
    solution = solve(problem)
    assert problem.objective(solution.network) == solution.objective == solution.certificate.upper_bound
    assert solution.certificate.verdict == "optimal"


@pytest.mark.parametrize(
    "call",
    [
        lambda p: solve((p.X, p.y)),
        lambda p: solve(p.X, p.y),
        lambda p: solve(p, max_iter="a"),
        lambda p: solve(p, max_iter=0),
        lambda p: solve(p, callback=5),
        lambda p: solve(p, random_state=-1),
        lambda p: solve(p, solver="FOO"),
        lambda p: solve(p, tol=5),
        lambda p: judge(p, ShallowNetwork([[1.0, 0.0]], [0.0], [1.0]), nu="abc"),
        lambda p: judge("problem", ShallowNetwork([[1.0, 0.0]], [0.0], [1.0])),
    ],
)
def test_slips_get_a_named_error(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ProblemError):
        call(TrainingProblem(*data(8, 2), reg=0.5))


def test_slips_with_constraints_get_a_named_error() -> None:
    import cvxpy as cp

    from convexnet.programs import build_relu

    problem = TrainingProblem(*data(8, 2), reg=0.5)
    program = build_relu(problem, convexnet.enumerate_patterns(problem.extended))
    V = program.variables["V"]
    program.with_constraints(V[0] >= 0)
    for wrong in (["x"], [cp.norm(V, "fro") >= 1]):
        with pytest.raises(ProblemError):
            program.with_constraints(wrong)
