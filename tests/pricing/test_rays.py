"""Pricing of the l1 norm over rays: the maximum over all points where it can be attained, with its rounding covered."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from helpers.grids import latin
from helpers.verify import exact_pricing, sampled_pricing

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.errors import ProblemError
from convexnet.pricing import RayPricer, feasible_dual, price_cells, price_rays


def make(seed: int, n: int = 7, **options: object) -> tuple[TrainingProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    problem = TrainingProblem(
        rng.standard_normal((n, 2)), rng.standard_normal(n), reg=1.0, norm="l1", negative_slope=0.3, **options
    )
    return problem, feasible_dual(problem, rng.standard_normal(n)).nu


@pytest.mark.parametrize(
    ("bias", "activation", "seed"),
    latin(("penalized", "free", "none"), ("relu", "leaky", "absolute"), range(3), every=3),
)
def test_value_is_the_maximum(bias: str, activation: str, seed: int) -> None:
    problem, nu = make(seed, bias=bias, activation=activation)
    result = price_rays(problem, nu)
    expected = exact_pricing(problem, nu)
    assert result.scope == "all"
    assert result.value == pytest.approx(expected, rel=1e-10)
    assert expected <= result.bound * (1 + 1e-13)
    assert result.bound <= result.value * (1 + 1e-9)
    cells = price_cells(problem, nu, enumerate_patterns(problem.extended))
    assert result.value == pytest.approx(cells.value, rel=1e-9)
    output = np.maximum(problem.extended @ result.atom, problem.kappa * (problem.extended @ result.atom))
    assert result.sign * (nu @ output) == pytest.approx(result.value, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_bound_holds_for_exact_rays(scale: float) -> None:
    """In rationals: no ray has a larger value than the bound."""
    rng = np.random.default_rng(4)
    X = rng.standard_normal((8, 1)) * scale + 3 * scale
    problem = TrainingProblem(X, rng.standard_normal(8), reg=1.0, norm="l1")
    for nu in rng.standard_normal((5, 8)):
        bound = price_rays(problem, nu).bound
        rows = [(Fraction(float(x)), Fraction(1)) for x in X[:, 0]]
        lines = [(b, -a) for a, b in [*rows, (Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))]]
        for u in [(s * a, s * b) for a, b in lines for s in (1, -1)]:
            products = [x * u[0] + c * u[1] for x, c in rows]
            value = sum(Fraction(float(v)) * p for v, p in zip(nu, products, strict=True) if p > 0)
            assert abs(value) <= Fraction(bound) * (abs(u[0]) + abs(u[1]))


def test_many_rays_are_priced_in_blocks() -> None:
    problem, nu = make(0, n=30)
    pricer = RayPricer(problem)
    whole = pricer.scores(nu)
    pricer._table = None
    assert np.allclose(pricer.scores(nu), whole, rtol=1e-12, atol=1e-12)
    assert pricer.price(nu).bound >= sampled_pricing(problem, nu)
    assert np.allclose(pricer.lengths[1], np.linalg.norm(np.maximum(-problem.extended @ pricer.directions, 0), axis=0))


def test_zero_and_bad_dual_vectors() -> None:
    problem, _ = make(1)
    assert price_rays(problem, np.zeros(7)).bound == 0
    for bad in (np.zeros(3), np.full(7, np.nan)):
        with pytest.raises(ProblemError, match="nu must be finite"):
            price_rays(problem, bad)
    free, _ = make(1, bias="free")
    with pytest.raises(ProblemError, match="sum to zero"):
        price_rays(free, np.ones(7))


def test_other_problems_are_refused() -> None:
    X = np.eye(2)
    with pytest.raises(ProblemError, match="l1 norm only"):
        RayPricer(TrainingProblem(X, [1.0, 2.0], reg=1.0))
    with pytest.raises(ProblemError, match="scalar output"):
        RayPricer(TrainingProblem(X, X, reg=1.0, norm="l1"))
