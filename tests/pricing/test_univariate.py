"""Exact pricing for one feature: against cells, against directions, and its bounds."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet import TrainingProblem, enumerate_patterns, reg_max
from convexnet.errors import ProblemError
from convexnet.networks.activations import activate
from convexnet.pricing import feasible_dual, price_cells, price_univariate, univariate_peaks
from convexnet.pricing._exact_sums import Double, prefix_sums
from convexnet.pricing._exact_sums import product as exact_product

CONVENTIONS = list(product(("relu", "leaky", "absolute"), ("penalized", "free", "none"), ("l2", "l1"), (False, True)))


def _data(seed: int) -> np.ndarray:
    """Spread, gridded, far from the origin, or repeated abscissae."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(int(rng.integers(1, 11))) * 10.0 ** rng.integers(-2, 3)
    return [x, np.round(x * 2) / 2, np.round(x) + 5.0, np.repeat(x, 2)][seed % 4]


def _noise(x: np.ndarray, nu: np.ndarray) -> float:
    return 1e-12 * float(np.abs(nu).sum()) * (1 + float(np.abs(x).max()))


@pytest.mark.parametrize(("activation", "bias", "norm", "skip"), CONVENTIONS)
def test_agrees_with_pricing_all_cells(activation: str, bias: str, norm: str, skip: bool) -> None:
    for seed in range(4):
        x = _data(seed)
        rng = np.random.default_rng(100 + seed)
        problem = TrainingProblem(
            x[:, None], rng.standard_normal(x.size), reg=0.1, activation=activation, bias=bias, norm=norm, skip=skip
        )
        nu = feasible_dual(problem, rng.standard_normal(x.size)).nu
        found, cells = price_univariate(problem, nu), price_cells(problem, nu, enumerate_patterns(problem.extended))
        assert found.bound == pytest.approx(cells.bound, rel=1e-9, abs=_noise(x, nu))
        assert found.value >= found.bound * (1 - 1e-9) - _noise(x, nu)
        assert found.scope == "all"


@pytest.mark.parametrize(("activation", "bias", "norm", "skip"), CONVENTIONS[::5])
def test_several_outputs_are_the_worst_projection(activation: str, bias: str, norm: str, skip: bool) -> None:
    x = _data(0)
    rng = np.random.default_rng(7)
    Y = rng.standard_normal((x.size, 2))
    options = {"reg": 0.1, "activation": activation, "bias": bias, "norm": norm, "skip": skip}
    several = TrainingProblem(x[:, None], Y, **options)
    one = TrainingProblem(x[:, None], Y[:, 0], **options)
    nu = feasible_dual(several, rng.standard_normal(Y.shape)).nu
    found = price_univariate(several, nu)
    angles = np.linspace(0, np.pi, 181)
    worst = max(price_univariate(one, nu @ [math.cos(a), math.sin(a)]).bound for a in angles)
    assert worst * (1 - 1e-12) <= found.bound <= worst * (1 + 1e-3) + _noise(x, nu)


def test_attained_by_its_atom_and_never_exceeded_by_directions() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(40)
    problem = TrainingProblem(x[:, None], x, reg=1.0)
    nu = rng.standard_normal(40)
    found = price_univariate(problem, nu)
    assert np.linalg.norm(found.atom) == pytest.approx(1)
    assert found.sign * (nu @ activate(problem.extended @ found.atom, 0.0)) == pytest.approx(found.value)
    angles = np.linspace(0, 2 * np.pi, 7201)
    values = np.abs(nu @ activate(problem.extended @ np.array([np.cos(angles), np.sin(angles)]), 0.0))
    assert values.max() <= found.bound
    assert values.max() >= found.bound * (1 - 1e-3)


def test_bound_holds_in_exact_arithmetic() -> None:
    """Free biases: the certificate function at the data, in rational numbers, is below the bound and close to it."""
    rng = np.random.default_rng(3)
    x = np.sort(1e6 + rng.random(60))
    problem = TrainingProblem(x[:, None], rng.standard_normal(60), reg=1.0, bias="free")
    nu = feasible_dual(problem, rng.standard_normal(60)).nu
    xs, rs = [Fraction(v) for v in x.tolist()], [Fraction(v) for v in nu.tolist()]
    right = [abs(sum(r * (a - t) for a, r in zip(xs, rs, strict=True) if a > t)) for t in xs]
    left = [abs(sum(r * (t - a) for a, r in zip(xs, rs, strict=True) if a < t)) for t in xs]
    exact = max(right + left)
    bound = Fraction(price_univariate(problem, nu).bound)
    assert exact <= bound <= exact * (1 + Fraction(1, 10**12))


@pytest.mark.parametrize(("activation", "bias", "norm", "skip"), CONVENTIONS[::2])
def test_peaks_are_unit_atoms_with_their_values(activation: str, bias: str, norm: str, skip: bool) -> None:
    x = _data(1)
    problem = TrainingProblem(x[:, None], x, reg=0.1, activation=activation, bias=bias, norm=norm, skip=skip)
    nu = feasible_dual(problem, np.random.default_rng(5).standard_normal(x.size)).nu
    directions, signs, values = univariate_peaks(problem, nu)
    scores = nu @ activate(problem.extended @ directions, problem.kappa)
    np.testing.assert_allclose(scores, signs * values, rtol=1e-9, atol=_noise(x, nu))
    if values.size:
        assert values[0] == pytest.approx(price_univariate(problem, nu).bound, rel=1e-9, abs=_noise(x, nu))
    assert univariate_peaks(problem, nu, limit=1)[1].size <= 1
    assert univariate_peaks(problem, nu, threshold=1e9)[0].shape == (problem.extended.shape[1], 0)


def test_metamorphic() -> None:
    rng = np.random.default_rng(1)
    x, nu = rng.standard_normal(30), rng.standard_normal(30)
    bound = price_univariate(TrainingProblem(x[:, None], x, reg=1.0), nu).bound
    order = rng.permutation(30)
    assert price_univariate(TrainingProblem(x[order, None], x, reg=1.0), nu[order]).bound == pytest.approx(bound)
    assert price_univariate(TrainingProblem(-x[:, None], x, reg=1.0), -nu).bound == pytest.approx(bound)
    assert price_univariate(TrainingProblem(x[:, None], x, reg=1.0), 1e-200 * nu).bound == pytest.approx(1e-200 * bound)
    twice = TrainingProblem(np.repeat(x, 2)[:, None], np.repeat(x, 2), reg=1.0)
    assert price_univariate(twice, 0.5 * np.repeat(nu, 2)).bound == pytest.approx(bound)


def test_nothing_reaches_rows_that_are_zero() -> None:
    problem = TrainingProblem(np.zeros((2, 1)), [1.0, 2.0], reg=1.0, bias="none")
    assert price_univariate(problem, np.array([1.0, -3.0])).bound == 0
    free = TrainingProblem([[2.0]], [1.0], reg=1.0, bias="free")
    assert price_univariate(free, np.zeros(1)).bound == 0


def test_reg_max_is_exact_and_fast_for_many_samples() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 20_000)
    problem = TrainingProblem(x[:, None], np.sin(9 * x), reg=1.0, bias="free", skip=True)
    largest = reg_max(problem)
    few = TrainingProblem(x[:200, None], np.sin(9 * x[:200]), reg=1.0, bias="free", skip=True)
    assert largest > 10 * reg_max(few)
    assert reg_max(few) == pytest.approx(reg_max(few, enumerate_patterns(few.extended)), rel=1e-9)


def test_bad_input_is_named() -> None:
    plane = TrainingProblem(np.eye(2), [1.0, 2.0], reg=1.0)
    line = TrainingProblem([[0.0], [1.0]], [1.0, 2.0], reg=1.0)
    with pytest.raises(ProblemError, match="one feature"):
        price_univariate(plane, np.ones(2))
    for nu in (np.ones(3), np.array([np.nan, 1.0]), np.ones((2, 1))):
        with pytest.raises(ProblemError, match="finite and of shape"):
            price_univariate(line, nu)
    with pytest.raises(ProblemError, match="sum to zero"):
        price_univariate(line.with_options(bias="free"), np.ones(2))
    with pytest.raises(ProblemError, match="one output"):
        univariate_peaks(TrainingProblem([[0.0], [1.0]], np.eye(2), reg=1.0), np.eye(2))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=20))
def test_prefix_sums_are_nearly_exact(pairs: list[tuple[float, float]]) -> None:
    a, b = (np.array([pair[i] for pair in pairs], dtype=np.float64) for i in (0, 1))
    sums = prefix_sums(exact_product(a, b)) if pairs else prefix_sums(Double(a, a))
    total, size = Fraction(0), Fraction(0)
    for index, (u, v) in enumerate([(0.0, 0.0), *pairs]):
        total, size = total + Fraction(u) * Fraction(v), size + abs(Fraction(u) * Fraction(v))
        found = Fraction(float(sums.high[index])) + Fraction(float(sums.low[index]))
        assert abs(found - total) <= size * Fraction(1, 10**29) + Fraction(1, 10**300)
