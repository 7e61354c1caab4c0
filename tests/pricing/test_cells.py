"""Pricing over cells against the exact maximum on tiny data, plain or nasty."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from helpers.grids import latin
from helpers.nasty_data import KINDS, nasty_data
from helpers.verify import exact_pricing, sampled_pricing
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.arrangements import sample_patterns
from convexnet.errors import PatternError, ProblemError
from convexnet.pricing import CellPricer, feasible_dual, price_cell, price_cells

BIASES = ("penalized", "free", "none")
NORMS = ("l2", "l1")
ACTIVATIONS = ("relu", "leaky", "absolute")


def make(X: np.ndarray, **options: object) -> TrainingProblem:
    return TrainingProblem(X, np.linspace(-1, 1, len(X)), **{"reg": 1.0, "negative_slope": 0.3, **options})


@pytest.mark.parametrize(("kind", "bias", "norm"), latin(list(KINDS), BIASES, NORMS, every=4))
def test_bound_holds_on_nasty_data(kind: str, bias: str, norm: str) -> None:
    X = nasty_data(kind)
    for seed, activation in enumerate(ACTIVATIONS):
        problem = make(X, bias=bias, norm=norm, activation=activation)
        nu = feasible_dual(problem, np.random.default_rng(seed).standard_normal(len(X))).nu
        result = price_cells(problem, nu, enumerate_patterns(problem.extended))
        truth = sampled_pricing(problem, nu, count=600)
        assert result.value <= result.bound < np.inf
        assert truth <= result.bound * (1 + 1e-12)


@pytest.mark.parametrize(
    ("kind", "bias", "norm"), latin([*KINDS[:6], "offset"], BIASES, NORMS, every=3)
)
def test_bound_and_value_are_exact(kind: str, bias: str, norm: str) -> None:
    X = nasty_data(kind, seed=4)
    for seed, activation in enumerate(ACTIVATIONS):
        problem = make(X, bias=bias, norm=norm, activation=activation)
        nu = feasible_dual(problem, np.random.default_rng(seed).standard_normal(len(X))).nu
        result = price_cells(problem, nu, enumerate_patterns(problem.extended))
        truth = exact_pricing(problem, nu)
        assert result.bound == pytest.approx(truth, rel=1e-9)
        assert result.value == pytest.approx(truth, rel=1e-9)


@settings(max_examples=40)
@given(
    X=st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=1, max_size=5),
    nu=st.lists(st.integers(-4, 4), min_size=5, max_size=5),
    bias=st.sampled_from(BIASES),
    norm=st.sampled_from(NORMS),
    activation=st.sampled_from(ACTIVATIONS),
)
def test_small_integers(X: list[list[int]], nu: list[int], bias: str, norm: str, activation: str) -> None:
    problem = make(np.array(X, dtype=float), bias=bias, norm=norm, activation=activation)
    point = feasible_dual(problem, np.array(nu[: len(X)], dtype=float))
    result = price_cells(problem, point.nu, enumerate_patterns(problem.extended))
    truth = exact_pricing(problem, point.nu)
    assert truth <= result.bound * (1 + 1e-12)
    assert result.bound == pytest.approx(truth, rel=1e-8, abs=1e-9)
    assert result.value <= result.bound


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("norm", NORMS)
def test_the_screen_by_rays_changes_no_result(bias: str, norm: str) -> None:
    rng = np.random.default_rng(7)
    problem = make(rng.standard_normal((12, 2)), bias=bias, norm=norm, activation="leaky")
    nu = feasible_dual(problem, rng.standard_normal(12)).nu
    cells = enumerate_patterns(problem.extended)
    with_rays = price_cells(problem, nu, cells)
    without = price_cells(problem, nu, dataclasses.replace(cells, rays=None))
    assert with_rays.bound == pytest.approx(without.bound, rel=1e-10)
    assert with_rays.value == pytest.approx(without.value, rel=1e-10)


@pytest.mark.parametrize("bias", BIASES)
def test_every_cell_is_below_the_maximum(bias: str) -> None:
    rng = np.random.default_rng(8)
    problem = make(rng.standard_normal((8, 2)), bias=bias)
    nu = feasible_dual(problem, rng.standard_normal(8)).nu
    cells = enumerate_patterns(problem.extended)
    best = max(price_cell(problem, pattern, s * nu).bound for pattern in cells.patterns.T for s in (1, -1))
    assert best == pytest.approx(price_cells(problem, nu, cells).bound, rel=1e-10)


def test_a_subset_claims_listed_cells_only_and_never_more_than_all() -> None:
    rng = np.random.default_rng(9)
    problem = make(rng.standard_normal((10, 2)))
    cells = enumerate_patterns(problem.extended)
    nu = rng.standard_normal(10)
    everything = price_cells(problem, nu, cells)
    listed = cells.subset(np.arange(0, len(cells), 5))
    part = price_cells(problem, nu, listed)
    best = max(price_cell(problem, pattern, s * nu).bound for pattern in listed.patterns.T for s in (1, -1))
    assert part.bound == pytest.approx(best, rel=1e-10)
    assert best < 0.99 * everything.bound
    assert (everything.scope, part.scope) == ("all", "listed")
    assert "listed" in part.method


@pytest.mark.parametrize("option", [{"threshold": 1.5}, {"max_refined": 1}, {"threshold": 0.7, "max_refined": 3}])
def test_early_stops_leave_a_valid_bound(option: dict[str, float]) -> None:
    rng = np.random.default_rng(10)
    problem = make(rng.standard_normal((9, 2)), bias="free")
    cells = enumerate_patterns(problem.extended)
    for _ in range(5):
        nu = feasible_dual(problem, rng.standard_normal(9)).nu
        assert price_cells(problem, nu, cells, **option).bound >= exact_pricing(problem, nu) * (1 - 1e-12)


def test_a_passed_deadline_leaves_a_valid_bound() -> None:
    rng = np.random.default_rng(11)
    problem = make(rng.standard_normal((9, 2)))
    pricer = CellPricer(problem, enumerate_patterns(problem.extended))
    nu = rng.standard_normal(9)
    assert pricer.price(nu, deadline=0.0).bound >= exact_pricing(problem, nu) * (1 - 1e-12)


def test_scales_with_nu() -> None:
    rng = np.random.default_rng(12)
    for bias in BIASES:
        problem = make(rng.standard_normal((7, 2)), bias=bias)
        cells = enumerate_patterns(problem.extended)
        nu = feasible_dual(problem, rng.standard_normal(7)).nu
        whole = price_cells(problem, nu, cells).bound
        for scale in (2.0**-300, 2.0**300, -1.0):
            assert price_cells(problem, scale * nu, cells).bound == pytest.approx(abs(scale) * whole, rel=1e-10)


def test_zero_dual_vector() -> None:
    for bias in BIASES:
        problem = make(nasty_data("plain"), bias=bias)
        assert price_cells(problem, np.zeros(6), enumerate_patterns(problem.extended)).bound == 0


def test_underflow_is_no_zero() -> None:
    """A bound of zero would leave the dual scale free, so it must mean that every product is exactly zero."""
    problem = make(nasty_data("plain") * 1e-200, bias="none")
    assert price_cells(problem, np.full(6, 1e-150), enumerate_patterns(problem.extended)).bound > 0
    zero = make(np.zeros((3, 2)), bias="none")
    assert price_cells(zero, np.ones(3), enumerate_patterns(zero.extended)).bound == 0


@pytest.mark.parametrize("nu", [np.ones(5), np.array([1.0, np.nan, 0, 0, 0, 0]), np.full(6, np.inf), np.ones((6, 1))])
def test_bad_dual_vectors_are_refused(nu: np.ndarray) -> None:
    problem = make(nasty_data("plain"))
    with pytest.raises(ProblemError, match="finite and of shape"):
        price_cells(problem, nu, enumerate_patterns(problem.extended))


def test_free_biases_need_a_zero_sum() -> None:
    problem = make(nasty_data("plain"), bias="free")
    with pytest.raises(ProblemError, match="sum to zero"):
        price_cells(problem, np.ones(6), enumerate_patterns(problem.extended))


def test_foreign_and_empty_patterns_are_refused() -> None:
    problem = make(nasty_data("plain"))
    other = enumerate_patterns(make(nasty_data("plain", seed=1)).extended)
    with pytest.raises(PatternError, match="other data"):
        price_cells(problem, np.ones(6), other)
    with pytest.raises(PatternError, match="empty"):
        price_cells(problem, np.ones(6), enumerate_patterns(problem.extended).subset([]))
    with pytest.raises(PatternError, match="scalar"):
        CellPricer(TrainingProblem(problem.X, np.ones((6, 2)), reg=1.0), enumerate_patterns(problem.extended))


def test_sampled_patterns_without_rays() -> None:
    rng = np.random.default_rng(13)
    problem = make(rng.standard_normal((9, 2)))
    sampled = sample_patterns(problem.extended, 10, random_state=0)
    cells = enumerate_patterns(problem.extended)
    index = {column.tobytes(): p for p, column in enumerate(cells.patterns.T.copy())}
    same = cells.subset([index[column.tobytes()] for column in sampled.patterns.T.copy()])
    nu = rng.standard_normal(9)
    assert price_cells(problem, nu, sampled).bound == pytest.approx(price_cells(problem, nu, same).bound, rel=1e-6)
