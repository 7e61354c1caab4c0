"""The front door: known optima, limits, histories, warnings, gated training."""

from __future__ import annotations

import json
import time
import warnings
from functools import cache

import numpy as np
import pytest
from helpers.random_problems import random_problem

from convexnet import (
    PatternSet,
    ShallowNetwork,
    Solution,
    TrainingProblem,
    enumerate_patterns,
    reg_max,
    sample_patterns,
    solve,
)
from convexnet.certificates import judge
from convexnet.errors import ConvexNetWarning, ProblemError
from convexnet.networks import GatedNetwork
from convexnet.solving import generate_cells


def two_features() -> TrainingProblem:
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes()
    X = bunch.data[:, [bunch.feature_names.index(name) for name in ("bmi", "s5")]]
    y = bunch.target
    return TrainingProblem((X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std(), reg=1.0)


@cache
def solved_diabetes(ratio: float) -> tuple[TrainingProblem, PatternSet, Solution]:
    problem = two_features()
    patterns = enumerate_patterns(problem.extended)
    problem = problem.with_options(reg=ratio * reg_max(problem, patterns))
    return problem, patterns, solve(problem, patterns=patterns)


def test_one_neuron_on_a_line() -> None:
    """min 1/2 * 5 (a - 1)^2 + a/2 over one slope a has a = 0.9."""
    problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    solution = solve(problem)
    assert solution.objective == pytest.approx(0.475, rel=1e-9)
    assert solution.size == 1
    np.testing.assert_allclose(solution.network.predict([[1.0]]), [0.9], rtol=1e-7)


def test_a_known_interpolant() -> None:
    """f(x) = |x| through (-1, 1), (1, 1) costs two neurons of norm one each when there is no bias."""
    problem = TrainingProblem([[-1.0], [1.0]], [1.0, 1.0], loss="interpolation", bias="none")
    assert solve(problem).objective == pytest.approx(2.0, rel=1e-8)


def test_planted_optimum() -> None:
    """Targets built from a dual vector and two atoms that touch reg: the network is optimal by construction."""
    generator = np.random.default_rng(5)
    X = generator.standard_normal((12, 2))
    base = TrainingProblem(X, np.zeros(12), reg=1.0, bias="none")
    nu = generator.standard_normal(12)
    from convexnet.pricing import price_cells

    patterns = enumerate_patterns(base.extended)
    priced = price_cells(base, nu, patterns)
    column = np.maximum(base.extended @ priced.atom, 0.0)
    reg = priced.value
    y = nu + 0.7 * priced.sign * column
    problem = TrainingProblem(X, y, reg=reg, bias="none")
    planted = ShallowNetwork(priced.atom[None, :], [0.0], [0.7 * priced.sign])
    solution = solve(problem, patterns=patterns)
    assert solution.objective == pytest.approx(problem.objective(planted), rel=1e-9)


def test_diabetes_to_the_certified_optimum() -> None:
    _, _, solution = solved_diabetes(0.01)
    assert solution.certificate.verdict == "optimal"
    assert solution.certificate.gap <= 1e-6
    assert solution.objective == pytest.approx(117.655692, rel=1e-6)
    assert solution.size == 9
    objectives = [record.objective for record in solution.history]
    bounds = [record.lower_bound for record in solution.history]
    assert objectives == sorted(objectives, reverse=True)
    assert bounds == sorted(bounds)
    assert all(low <= high * (1 + 1e-12) for low, high in zip(bounds, objectives, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ratio", "optimum", "neurons"),
    [(0.3, 173.483422, 2), (0.1, 137.835460, 4), (0.03, 122.513505, 6), (0.003, 113.83562, 40)],
)
def test_diabetes_along_reg(ratio: float, optimum: float, neurons: int) -> None:
    _, _, solution = solved_diabetes(ratio)
    assert solution.certificate.verdict == "optimal"
    assert solution.objective == pytest.approx(optimum, rel=1e-6)
    assert solution.size <= neurons


def test_above_reg_max_no_neuron_pays() -> None:
    problem, patterns = random_problem("squared", seed=8, ratio=1.01, bias="penalized")
    solution = solve(problem, patterns=patterns)
    assert solution.size == 0
    assert solution.objective == pytest.approx(0.5 * float(problem.y @ problem.y), rel=1e-12)
    below = problem.with_options(reg=problem.reg * 0.99 / 1.01)
    assert solve(below, patterns=patterns).size >= 1


@pytest.mark.parametrize("loss", ["squared", "logistic", "absolute", "interpolation"])
def test_a_time_limit_returns_bounds_not_errors(loss: str) -> None:
    problem, patterns = random_problem(loss, seed=9, bias="penalized")
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvexNetWarning)
        solution = solve(problem, patterns=patterns, time_limit=1e-3)
    assert time.perf_counter() - start < 20
    assert np.isfinite(solution.certificate.lower_bound)
    assert solution.certificate.lower_bound <= solution.objective * (1 + 1e-9)


def test_round_limit_is_a_status() -> None:
    problem, patterns = random_problem("squared", seed=10, ratio=0.01, bias="penalized")
    rounds = []
    result = generate_cells(problem, patterns, max_iter=1, tol=1e-15, callback=rounds.append)
    assert result.status == "iteration_limit"
    assert len(result.history) == len(rounds) == 1


def test_an_unreachable_tolerance_stalls_instead_of_spinning() -> None:
    problem, patterns = random_problem("huber", seed=11, bias="penalized")
    result = generate_cells(problem, patterns, tol=1e-18)
    assert result.status in ("stalled", "solved")
    assert len(result.history) < 20


def test_same_seed_same_result() -> None:
    problem, patterns = random_problem("logistic", seed=12, bias="free")
    first, second = (solve(problem, patterns=patterns, random_state=3) for _ in range(2))
    assert first.objective == second.objective
    np.testing.assert_array_equal(first.network.weights, second.network.weights)


def test_gated_is_its_own_problem() -> None:
    problem, patterns = random_problem("squared", seed=13, bias="penalized")
    gated = solve(problem, "gated", patterns)
    relu = solve(problem, patterns=patterns)
    assert isinstance(gated.network, GatedNetwork)
    assert gated.certificate.verdict == "listed"
    assert gated.certificate.gap <= 1e-6
    assert "gated" in gated.certificate.scope
    assert gated.objective <= relu.objective * (1 + 1e-9), "complete gates relax the ReLU problem"
    assert gated.objective == pytest.approx(problem.gated_objective(gated.network), rel=1e-12)


def test_gated_with_several_outputs_and_softmax() -> None:
    generator = np.random.default_rng(14)
    X = generator.standard_normal((15, 2))
    problem = TrainingProblem(X, generator.integers(0, 3, 15), loss="softmax", reg=0.5)
    patterns = sample_patterns(problem.extended, 12, random_state=0)
    solution = solve(problem, "gated", patterns)
    assert solution.certificate.gap <= 1e-6
    with pytest.raises(ProblemError, match="several outputs"):
        solve(problem, "cells")


def test_results_are_plain_data() -> None:
    problem, patterns = random_problem("squared", seed=15, bias="penalized")
    solution = solve(problem, patterns=patterns)
    text = json.dumps(solution.to_dict())
    assert json.loads(text)["certificate"]["verdict"] == "optimal"
    assert "verdict='optimal'" in repr(solution)
    assert f"{solution.objective:.9g}" in solution.summary()


def test_a_better_network_is_judged_by_the_convex_dual_vector() -> None:
    """A slightly worse network: its own residual proves little, the solution's dual vector proves almost everything."""
    problem, patterns, solution = solved_diabetes(0.01)
    best = solution.network
    worse = ShallowNetwork(best.weights, best.biases, best.output_weights * 1.01)
    alone = judge(problem, worse, patterns=patterns)
    helped = judge(problem, worse, patterns=patterns, nu=solution.certificate.nu)
    assert helped.lower_bound >= alone.lower_bound
    excess = (helped.upper_bound - solution.objective) / solution.objective
    assert helped.gap == pytest.approx(excess, rel=0.05, abs=1e-6)
    assert helped.verdict == "refuted"
    assert problem.objective(helped.improved) < helped.upper_bound


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"method": "magic"}, ProblemError),
        ({"tol": 0.0}, ProblemError),
        ({"tol": "small"}, ProblemError),
        ({"time_limit": -1}, ProblemError),
        ({"solver": "MAGIC"}, ProblemError),
    ],
)
def test_wrong_options_have_names(options: dict, error: type[Exception]) -> None:
    problem, patterns = random_problem("squared", seed=16, bias="penalized")
    with pytest.raises(error):
        solve(problem, patterns=patterns, **options)


@pytest.mark.parametrize("solver", ["CLARABEL", "ECOS", "SCS"])
def test_any_conic_solver_serves_the_masters(solver: str) -> None:
    problem, patterns = random_problem("squared", seed=17, bias="penalized")
    solution = solve(problem, patterns=patterns, solver=solver)
    assert solution.certificate.verdict == "optimal"
