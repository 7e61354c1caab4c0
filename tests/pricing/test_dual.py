"""Dual points: exact feasibility, bounds rounded down, degenerate boxes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from helpers.verify import dual_value, verify_bound, verify_free_columns
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet import TrainingProblem, solve
from convexnet.errors import ProblemError
from convexnet.pricing import DualPoint, dual_bound, feasible_dual

FREE_TERMS = ({"intercept": True}, {"bias": "free"}, {"skip": True}, {"bias": "free", "skip": True})
LOSSES = ("squared", "huber", "absolute", "hinge", "logistic", "interpolation")


def make(loss: str, seed: int = 0, n: int = 9, scale: float = 1.0, **options: object) -> TrainingProblem:
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) % 3 == 0, -1.0, 1.0) if loss in ("hinge", "logistic") else rng.standard_normal(n) * scale
    reg = {} if loss == "interpolation" else {"reg": 0.3}
    return TrainingProblem(rng.standard_normal((n, 2)), y, loss=loss, **reg, **options)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weights", [None, "zeros"])
@pytest.mark.parametrize("free", FREE_TERMS)
def test_points_are_feasible(loss: str, weights: str | None, free: dict[str, object]) -> None:
    rng = np.random.default_rng(1)
    weight = None if weights is None else np.array([0, 1, 2, 0.5, 1, 1, 3, 0, 1.0])
    for seed, scale in enumerate((1.0, 1e-7, 1e6)):
        problem = make(loss, seed, scale=scale, sample_weight=weight, **free)
        nu = feasible_dual(problem, rng.standard_normal(9) * scale).nu
        assert problem.loss.in_domain(nu, problem.y, weight)
        verify_free_columns(problem, nu)
        if not problem.skip:
            assert sum(Fraction(v) for v in nu.tolist()) == 0
        if weight is not None:
            assert not nu[weight == 0].any()


@pytest.mark.parametrize("weights", [None, "zeros", "tiny", "sevenths"])
@pytest.mark.parametrize("free", [{"bias": "free"}, {"intercept": True}])
@pytest.mark.parametrize("sharp", [0.1, 1.0, 30.0])
def test_softmax_points_have_rows_and_columns_of_sum_zero(weights: str | None, free: dict, sharp: float) -> None:
    rng = np.random.default_rng(2)
    weight = {
        None: None, "zeros": np.array([0, 1, 2, 0.5, 1, 1, 3, 0, 1.0]), "tiny": np.r_[1e-20, np.ones(8)],
        "sevenths": rng.integers(1, 9, 9) / 7,
    }[weights]  # fmt: skip
    X, y = rng.standard_normal((9, 2)), np.arange(9) % 3
    problem = TrainingProblem(X, y, loss="softmax", reg=0.3, sample_weight=weight, **free)
    nu = -problem.gradient(sharp * rng.standard_normal((9, 3)))
    point = feasible_dual(problem, nu)
    assert problem.loss.in_domain(point.nu, problem.y, weight)
    assert np.any(point.nu)
    for sums in (point.nu, point.nu.T):
        assert all(sum(map(Fraction, line.tolist())) == 0 for line in sums)
    assert np.array_equal(feasible_dual(problem, point.nu).nu, point.nu)
    bound = dual_bound(problem, point, float(np.abs(point.nu).sum()) * 10)[0]
    assert 0 <= bound <= problem.loss_value(np.zeros((9, 3)))


def test_softmax_points_move_little_when_the_intercepts_are_optimal() -> None:
    y = np.arange(12) % 3
    problem = TrainingProblem(np.arange(12.0)[:, None], y, loss="softmax", reg=0.3, bias="free")
    nu = problem.y - 1 / 3
    assert np.allclose(feasible_dual(problem, nu).nu, nu, atol=1e-8)


def test_nearest_point_is_kept_when_it_is_feasible_already() -> None:
    problem = make("squared", bias="free")
    nu = np.array([1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 0.25, -0.25, 0.0])
    assert np.array_equal(feasible_dual(problem, nu).nu, nu)


@settings(max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6).map(lambda v: round(v, 6)), min_size=2, max_size=12))
def test_sums_vanish_exactly(values: list[float]) -> None:
    problem = TrainingProblem(np.arange(len(values))[:, None], np.array(values), reg=1.0, bias="free")
    nu = feasible_dual(problem, np.array(values)).nu
    assert sum(Fraction(v) for v in nu.tolist()) == 0
    centred = np.array(values) - np.mean(values)
    assert np.max(np.abs(nu - centred)) <= 1e-9 * np.max(np.abs(values), initial=1e-300)


def test_infeasible_boxes_fall_back_to_zero() -> None:
    """All labels equal: with an intercept only nu = 0 sums to zero."""
    problem = TrainingProblem([[0.0], [1.0]], [1.0, 1.0], loss="hinge", reg=1.0, bias="free")
    assert not feasible_dual(problem, np.ones(2)).nu.any()


@pytest.mark.parametrize(
    "X", [np.zeros((4, 2)), np.ones((4, 2)), np.outer(np.arange(4.0), [1, 2]), np.eye(4), np.array([[1e-9, 1e9]] * 4)]
)
def test_degenerate_skip_columns(X: np.ndarray) -> None:
    for bias in ("none", "free"):
        problem = TrainingProblem(X, [1.0, -2.0, 0.5, 3.0], reg=1.0, bias=bias, skip=True)
        point = feasible_dual(problem, problem.y)
        verify_free_columns(problem, point.nu)
        assert point.slack <= 1e-9 * np.max(np.abs(point.nu), initial=0.0)


@pytest.mark.parametrize("size", [1.0, 1e-100, 1e-170, 1e-250])
def test_tiny_entries_are_not_orthogonal_by_underflow(size: float) -> None:
    """With a scale as large as 1 / size, a residual that underflows would become a wrong bound."""
    X = np.array([[1.0, 0.0], [-1.0, 0.0], [-1.0, 1.0], [-1.0, 0.0], [0.0, 2.0]])
    problem = TrainingProblem(X, [-1.0, 1.0, 1.0, 1.0, -1.0], loss="hinge", reg=0.01, skip=True)
    point = feasible_dual(problem, np.array([0.0, 0.0, 0.0, 0.0, -size]))
    verify_free_columns(problem, point.nu)


@pytest.mark.parametrize("rounding", [0.0, -8.3e-17, 1e-14])
def test_vectors_at_a_corner_of_the_box_are_kept(rounding: float) -> None:
    """All entries but one are at their bounds, orthogonal to the free columns up to a rounding that none can absorb."""
    X = np.array([-1.0, 1.0, 1.0, -1.0, 3.0, 2.0, 0.0])[:, None]
    y = np.array([-0.3, -0.7, 0.5, -0.4, -0.3, 0.7, 0.2])
    problem = TrainingProblem(X, y, loss="absolute", reg=0.1, bias="free", skip=True)
    corner = np.array([rounding, -1.0, 1.0, -1.0, -1.0, 1.0, 1.0])
    point = feasible_dual(problem, corner)
    assert point.nu == pytest.approx(corner, abs=1e-9)
    assert problem.loss.in_domain(point.nu, problem.y, None)
    verify_free_columns(problem, point.nu)


def test_hinge_vectors_at_a_corner_of_the_box_are_kept() -> None:
    X = [[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    problem = TrainingProblem(X, [1.0, -1, -1, 1, -1, -1], loss="hinge", reg=0.1, skip=True)
    corner = np.array([2.9e-32, -0.1, -8e-32, 1.0, 4.4e-32, -1.0])
    point = feasible_dual(problem, corner)
    assert point.nu == pytest.approx(corner, abs=1e-9)
    assert problem.loss.in_domain(point.nu, problem.y, None)
    verify_free_columns(problem, point.nu)


def test_columns_that_only_dropped_samples_see_do_not_matter() -> None:
    X = np.array([[0.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [0.0, 0.3], [1.0, 0.0]])
    weight = np.array([3.0, 3.0, 0.0, 2.0, 2.0, 0.0])
    problem = TrainingProblem(X, [0, 0, 0, -2.0, -1.0, 0], reg=0.1, bias="free", skip=True, sample_weight=weight)
    nu = np.random.default_rng(0).standard_normal(6)
    point = feasible_dual(problem, nu)
    assert np.linalg.norm(point.nu) > 0.1
    assert not point.nu[[2, 5]].any()
    verify_free_columns(problem, point.nu)


def test_skip_slack_is_charged() -> None:
    problem = make("squared", skip=True)
    point = feasible_dual(problem, problem.y)
    assert point.rows.size == 2
    assert 0 < point.slack < 1e-12
    charged = dual_bound(problem, point, 1.0)[0]
    assert charged <= dual_bound(problem, DualPoint(point.nu, point.rows[:0], 0.0), 1.0)[0]
    assert point.pricing_slack(problem) >= point.slack * np.linalg.norm(problem.extended[point.rows], axis=1).sum()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e5])
def test_bounds_are_rounded_down(loss: str, scale: float) -> None:
    for seed in range(5):
        problem = make(loss, seed, scale=scale)
        point = feasible_dual(problem, np.random.default_rng(seed).standard_normal(9) * scale)
        for pricing_bound in (1e-3, 0.37, 11.0):
            bound, s = dual_bound(problem, point, pricing_bound * scale)
            assert Fraction(s) * Fraction(pricing_bound * scale) <= Fraction(problem.reg)
            exact = dual_value(problem, point.nu, s)
            assert bound <= exact + (1e-15 * abs(exact) if loss == "logistic" else 0)
            assert bound >= 0


@pytest.mark.parametrize("pricing_bound", [math.inf, math.nan, -1.0])
def test_useless_pricing_bounds_give_zero(pricing_bound: float) -> None:
    problem = make("squared")
    assert dual_bound(problem, feasible_dual(problem, problem.y), pricing_bound) == (0.0, 0.0)


def test_a_smaller_pricing_bound_gives_a_larger_lower_bound() -> None:
    problem = make("squared")
    point = feasible_dual(problem, problem.y)
    bounds = [dual_bound(problem, point, M)[0] for M in (8.0, 4.0, 2.0, 1.0, 0.5)]
    assert bounds == sorted(bounds)


def test_misfit_of_interpolation() -> None:
    """``reg * path norm >= s nu . f``, and f may differ from y by the misfit in every entry."""
    problem = make("interpolation")
    point = feasible_dual(problem, problem.y)
    exact, scale = dual_bound(problem, point, 2.0)
    loose, _ = dual_bound(problem, point, 2.0, misfit=1e-3)
    assert loose == pytest.approx(exact - scale * 1e-3 * np.abs(point.nu).sum(), rel=1e-12)
    assert loose <= dual_value(problem, point.nu, scale, 1e-3)
    assert dual_bound(problem, point, 0.0) == (math.inf, math.inf)
    assert dual_bound(problem, point, 0.0, misfit=100.0)[0] == 0


def test_a_tiny_pricing_bound_is_not_zero() -> None:
    problem = make("interpolation")
    scale = dual_bound(problem, feasible_dual(problem, problem.y), 5e-324)[1]
    assert math.isfinite(scale)


@pytest.mark.parametrize("nu", [np.ones(3), np.full(9, np.nan), np.ones((9, 1))])
def test_bad_vectors_are_refused(nu: np.ndarray) -> None:
    with pytest.raises(ProblemError, match="finite and of shape"):
        feasible_dual(make("squared"), nu)


def test_several_outputs_with_free_terms() -> None:
    rng = np.random.default_rng(3)
    for options in ({"bias": "free"}, {"skip": True}, {"intercept": True, "loss": "huber"}):
        problem = TrainingProblem(rng.standard_normal((8, 2)), rng.standard_normal((8, 3)), reg=1.0, **options)
        point = feasible_dual(problem, rng.standard_normal((8, 3)))
        assert point.nu.any()
        verify_free_columns(problem, point.nu)
        bound, scale = dual_bound(problem, point, 2.0)
        assert 0 <= bound <= dual_value(problem, point.nu, scale)


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e7, 1.7e9])
def test_far_data_cost_no_more_than_near_ones(shift: float) -> None:
    """The change that makes the equalities exact, solved for in rational arithmetic, is within the slack."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((15, 1)) + shift
    problem = TrainingProblem(x, rng.standard_normal(15), reg=0.1, bias="free", skip=True)
    point = feasible_dual(problem, problem.y)
    assert point.nu.any() and point.slack <= 1e-14
    assert point.pricing_slack(problem) <= 1e-12
    nu, columns = [Fraction(v) for v in point.nu.tolist()], [Fraction(v) for v in x[:, 0].tolist()]
    total, moment = sum(nu), sum(a * b for a, b in zip(nu, columns, strict=True))
    i, j = point.rows.tolist()
    first = (total * columns[j] - moment) / (columns[i] - columns[j])
    assert max(abs(first), abs(-total - first)) <= Fraction(point.slack)


@pytest.mark.parametrize("loss", ["squared", "interpolation"])
def test_free_biases_are_certified_far_from_the_origin(loss: str) -> None:
    rng = np.random.default_rng(8)
    x, y = rng.uniform(-1e4, 1e4, (20, 1)) + 1.7e9, rng.standard_normal(20)
    reg = {} if loss == "interpolation" else {"reg": 100.0}
    certificate = solve(TrainingProblem(x, y, loss=loss, bias="free", skip=True, **reg)).certificate
    assert certificate.verdict == "optimal"
    verify_bound(certificate.problem, certificate, exhaustive=False)
