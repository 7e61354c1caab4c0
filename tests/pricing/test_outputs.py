"""Vector outputs: bounds put together from scalar ones are never below the maximum, and meet it for few outputs."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.verify import sampled_pricing

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.errors import ProblemError
from convexnet.pricing import (
    PricingResult,
    feasible_dual,
    price_ascent,
    price_cells,
    price_moment,
    price_outputs,
    price_spectral,
)


def random_outputs(seed: int, k: int, bias: str, **options: str) -> tuple[TrainingProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((9, 2)), rng.standard_normal((9, k))
    problem = TrainingProblem(X, Y, reg=0.1, bias=bias, **options)
    return problem, feasible_dual(problem, Y).nu


@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_a_direction_of_the_outputs_that_only_rounding_fills(bias: str) -> None:
    rng = np.random.default_rng(3)
    problem = TrainingProblem(rng.standard_normal((30, 2)), rng.integers(0, 5, 30), loss="softmax", reg=0.1, bias=bias)
    N = feasible_dual(problem, -problem.gradient(rng.standard_normal((30, 5)))).nu
    result = price_outputs(problem, N, time_limit=5)
    assert sampled_pricing(problem, N, count=2000) <= result.bound < 4 * result.value


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("bias", ["none", "penalized", "free"])
@pytest.mark.parametrize("activation", ["relu", "absolute"])
def test_exact_scalar_prices_give_the_maximum(k: int, bias: str, activation: str) -> None:
    problem, N = random_outputs(k, k, bias, activation=activation)
    patterns = enumerate_patterns(problem.extended)
    result = price_outputs(problem, N, lambda scalar, nu: price_cells(scalar, nu, patterns), tol=1e-4)
    sampled = sampled_pricing(problem, N, count=2000)
    assert sampled <= result.bound
    assert result.value == pytest.approx(result.bound, rel=2e-4)
    assert result.value >= sampled * (1 - 1e-5)
    response = np.maximum(problem.extended @ result.atom, -problem.extended @ result.atom if problem.kappa else 0)
    assert np.linalg.norm(N.T @ response) == pytest.approx(result.value)


@pytest.mark.parametrize("pricer", [None, price_spectral])
@pytest.mark.parametrize("k", [2, 3, 6])
def test_any_scalar_bound_gives_a_valid_bound(pricer: object, k: int) -> None:
    for bias in ("penalized", "free"):
        problem, N = random_outputs(10 + k, k, bias)
        result = price_outputs(problem, N, pricer, node_limit=2 * k, n_starts=8)
        assert sampled_pricing(problem, N, count=500) <= result.bound
        assert result.value <= result.bound
        assert result.scope == "all"


def test_softmax_and_rank_one_outputs() -> None:
    rng = np.random.default_rng(4)
    problem = TrainingProblem(rng.standard_normal((12, 2)), np.arange(12) % 3, loss="softmax", reg=0.1)
    N = feasible_dual(problem, -problem.gradient(np.zeros((12, 3)))).nu
    result = price_outputs(problem, N, node_limit=12)
    assert sampled_pricing(problem, N, count=500) <= result.bound
    column = rng.standard_normal(9)
    problem, _ = random_outputs(5, 2, "none")
    single = price_outputs(problem, np.outer(column, [3.0, 4.0]), node_limit=4)
    scalar = TrainingProblem(problem.X, column, reg=1.0, bias="none")
    assert single.value == pytest.approx(5 * price_ascent(scalar, column).value)
    assert single.bound == pytest.approx(5 * price_moment(scalar, column).bound, rel=1e-3)
    assert price_outputs(problem, np.zeros((9, 2))).bound == 0


def test_limits_targets_and_listed_scope() -> None:
    problem, N = random_outputs(6, 3, "penalized")
    free = price_outputs(problem, N, node_limit=30)
    assert price_outputs(problem, N, target=2 * free.bound).status == "target"
    assert price_outputs(problem, N, target=0.5 * free.value, stop_at_violation=True).status == "violated"
    late = price_outputs(problem, N, time_limit=0.0)
    assert late.status == "time_limit"
    assert free.value <= late.bound < np.inf
    listed = price_outputs(problem, N, lambda scalar, nu: PricingResult(1.0, 9.0, "listed", "test", np.zeros(3), 1))
    assert listed.scope == "listed"


def test_bad_input_is_refused() -> None:
    problem, N = random_outputs(7, 2, "free")
    scalar = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=1.0)
    for bad, vector in ((problem, N[:, 0]), (problem, N + 1), (problem, N * np.nan), (scalar, np.ones(2))):
        with pytest.raises(ProblemError):
            price_outputs(bad, vector)
