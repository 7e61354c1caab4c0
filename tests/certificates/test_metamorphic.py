"""Changes of the data that must change nothing, or everything by a known factor."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from certificates.cases import solve_quietly
from helpers.verify import exact_pricing

from convexnet import TrainingProblem, enumerate_patterns, reg_max
from convexnet.certificates import Certificate
from convexnet.pricing import feasible_dual, price_cells, price_spectral

BIASES = ("penalized", "free", "none")
N = 8


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, 2)), rng.standard_normal(N)


def rotation(seed: int = 1) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((2, 2)))[0]


ORDER = np.random.default_rng(2).permutation(N)
Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
SAME: dict[str, tuple[Change, tuple[str, ...], tuple[str, ...]]] = {
    "rows permuted": (lambda X, y: (X[ORDER], y[ORDER]), BIASES, ("l2", "l1")),
    "columns permuted": (lambda X, y: (X[:, ::-1], y), BIASES, ("l2", "l1")),
    "columns negated": (lambda X, y: (X * [1.0, -1.0], y), BIASES, ("l2", "l1")),
    "X rotated": (lambda X, y: (X @ rotation(), y), BIASES, ("l2",)),
    "X moved": (lambda X, y: (X + np.array([3.0, -1.0]), y), ("free",), ("l2", "l1")),
    "y negated": (lambda X, y: (X, -y), BIASES, ("l2", "l1")),
    "y moved": (lambda X, y: (X, y + 7.0), ("free",), ("l2", "l1")),
    "zero column added": (lambda X, y: (np.column_stack([X, np.zeros(N)]), y), BIASES, ("l2", "l1")),
}
# Each change meets each norm by default with one bias, taking turns.
CASES = [
    pytest.param(
        change, bias, norm, id=f"{name}-{bias}-{norm}",
        marks=pytest.mark.slow if bias != biases[(turn + (norm == "l1")) % len(biases)] else (),
    )
    for turn, (name, (change, biases, norms)) in enumerate(SAME.items())
    for bias in biases
    for norm in norms
]  # fmt: skip


@functools.cache
def unchanged(bias: str, norm: str = "l2") -> tuple[Certificate, float]:
    """Certificate and ``reg_max`` of the problem before any change."""
    problem = TrainingProblem(*data(), reg=0.2, bias=bias, norm=norm)
    return solve_quietly(problem).certificate, reg_max(problem)


@pytest.mark.parametrize(("change", "bias", "norm"), CASES)
def test_same_optimum_and_reg_max(change: Change, bias: str, norm: str) -> None:
    X, y = data()
    first, largest = unchanged(bias, norm)
    second = TrainingProblem(*change(X, y), reg=0.2, bias=bias, norm=norm)
    assert_same_optimum(first, second)
    assert reg_max(second) == pytest.approx(largest, rel=1e-9)


def assert_same_optimum(one: Certificate, second: TrainingProblem, factor: float = 1.0) -> None:
    """Both certified intervals hold the same optimum (times ``factor``)."""
    two = solve_quietly(second).certificate
    assert one.verdict == two.verdict == "optimal"
    assert factor * one.lower_bound <= two.upper_bound * (1 + 1e-12)
    assert two.lower_bound <= factor * one.upper_bound * (1 + 1e-12)


@pytest.mark.parametrize("c", [1e-3, 7.0, 1e3])
def test_scaling_x_and_reg_without_bias(c: float) -> None:
    X, y = data()
    for bias in ("none", "free"):
        assert_same_optimum(unchanged(bias)[0], TrainingProblem(c * X, y, reg=0.2 * c, bias=bias))


@pytest.mark.parametrize("t", [1e-3, 5.0, 1e3])
@pytest.mark.parametrize("bias", BIASES)
def test_scaling_y_and_reg_with_squared_loss(t: float, bias: str) -> None:
    X, y = data()
    assert_same_optimum(unchanged(bias)[0], TrainingProblem(X, t * y, reg=0.2 * t, bias=bias), factor=t**2)


@pytest.mark.parametrize("loss", ["squared", "huber", "absolute", "logistic", "hinge"])
def test_repeated_rows_are_sample_weights(loss: str) -> None:
    X, y = data()
    if loss in ("logistic", "hinge"):
        y = np.where(np.arange(N) % 2, 1.0, -1.0)
    weights = np.array([2.0, 1, 3, 1, 0, 2, 1, 1])
    repeated = np.repeat(np.arange(N), weights.astype(int))
    first = TrainingProblem(X[repeated], y[repeated], loss=loss, reg=0.2)
    second = TrainingProblem(X, y, loss=loss, reg=0.2, sample_weight=weights)
    assert_same_optimum(solve_quietly(first).certificate, second)


@pytest.mark.parametrize("bias", BIASES)
def test_pricing_of_repeated_rows_adds_up(bias: str) -> None:
    X, _ = data()
    repeated = np.repeat(np.arange(N), 2)
    single = TrainingProblem(X, np.zeros(N), reg=1.0, bias=bias)
    double = TrainingProblem(X[repeated], np.zeros(2 * N), reg=1.0, bias=bias)
    nu = feasible_dual(single, np.random.default_rng(3).standard_normal(N)).nu
    split = feasible_dual(double, np.repeat(nu, 2) / 2).nu
    bounds = [price_cells(p, v, enumerate_patterns(p.extended)).bound for p, v in ((single, nu), (double, split))]
    assert bounds[1] == pytest.approx(bounds[0], rel=1e-10)
    assert price_spectral(double, split).bound >= bounds[0] * (1 - 1e-12)


def test_leaky_and_absolute_are_relu_and_linear_parts() -> None:
    """``sigma(t) = (1+k)/2 t + (1-k)/2 |t|``: with nu orthogonal to X, M scales with (1-k)/2."""
    X, _ = data()
    base = {"reg": 1.0, "bias": "none"}
    nu = np.linalg.svd(X.T)[2][-1]
    relu, leaky, absolute = (
        exact_or_priced(TrainingProblem(X, np.zeros(N), activation=name, negative_slope=0.2, **base), nu)
        for name in ("relu", "leaky", "absolute")
    )
    assert leaky == pytest.approx(0.8 * relu, rel=1e-9)
    assert absolute == pytest.approx(2 * relu, rel=1e-9)


def exact_or_priced(problem: TrainingProblem, nu: np.ndarray) -> float:
    bound = price_cells(problem, nu, enumerate_patterns(problem.extended)).bound
    assert bound == pytest.approx(exact_pricing(problem, nu), rel=1e-9)
    return bound


def test_smaller_class_has_a_larger_optimum() -> None:
    """No bias within penalised bias within penalised bias and intercept; l2 norms are below l1 norms."""
    X, y = data()
    options = [{"bias": "none"}, {}, {"intercept": True}, {"intercept": True, "skip": True}]
    solutions = [solve_quietly(TrainingProblem(X, y, reg=0.2, **chosen)).certificate for chosen in options]
    for larger, smaller in itertools.pairwise(solutions):
        assert smaller.lower_bound <= larger.upper_bound
    l2, l1 = (solve_quietly(TrainingProblem(X, y, reg=0.2, norm=norm)).certificate for norm in ("l2", "l1"))
    assert l2.lower_bound <= l1.upper_bound


def test_more_samples_cost_more() -> None:
    X, y = data()
    part, whole = (solve_quietly(TrainingProblem(X[:n], y[:n], reg=0.2)).certificate for n in (5, N))
    assert part.lower_bound <= whole.upper_bound
