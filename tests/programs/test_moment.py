"""Semidefinite programs of the moment relaxation: their multipliers prove what the programs say."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers.grids import latin

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.errors import InaccurateSolutionWarning, ProblemError
from convexnet.pricing import (
    certified_moment,
    dual_bound,
    feasible_dual,
    joint_dual,
    price_cells,
    price_moment,
    pricing_forms,
)
from convexnet.programs import build_joint_moment, build_moment

LOSSES = ("squared", "logistic", "huber", "absolute", "hinge")
pytestmark = pytest.mark.filterwarnings("ignore::convexnet.errors.InaccurateSolutionWarning")


def random_problem(loss: str, seed: int, **options: object) -> TrainingProblem:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((10, 2)), rng.standard_normal(10)
    y = np.where(y > 0, 1.0, -1.0) if loss in ("logistic", "hinge") else y
    return TrainingProblem(X, y, loss=loss, reg=0.3, **options)


@pytest.mark.parametrize("activation", ["relu", "leaky", "absolute"])
@pytest.mark.parametrize("bias", ["none", "penalized", "free"])
def test_program_and_frank_wolfe_agree_at_fixed_nu(activation: str, bias: str) -> None:
    problem = random_problem("squared", 1, activation=activation, bias=bias, negative_slope=0.3)
    nu = feasible_dual(problem, problem.y).nu
    exact = price_cells(problem, nu, enumerate_patterns(problem.extended))
    bounds = []
    for form in pricing_forms(problem, nu)[:4]:
        program = build_moment(form)
        program.solve()
        bound = certified_moment(form, program.recover())
        assert bound >= program.value - 1e-6
        assert bound == pytest.approx(program.value, rel=1e-4, abs=1e-4)
        bounds.append(bound)
    if bias != "free":
        assert max(bounds) * (1 + 1e-9) >= exact.value
        assert price_moment(problem, nu).bound == pytest.approx(max(bounds), rel=1e-3)


@pytest.mark.parametrize(
    ("loss", "kind"), latin(LOSSES, [("relu", "penalized"), ("leaky", "none"), ("absolute", "none")], every=2)
)
def test_joint_program_returns_the_best_nu(loss: str, kind: tuple[str, str]) -> None:
    activation, bias = kind
    problem = random_problem(loss, 2, activation=activation, bias=bias, negative_slope=0.2)
    solution = build_joint_moment(problem).solve()
    point = feasible_dual(problem, solution.nu)
    pricing = price_moment(problem, point.nu, states=solution.states, tol=1e-5)
    assert pricing.bound <= problem.reg * (1 + 1e-3)
    bound, _ = dual_bound(problem, point, pricing.bound)
    assert bound <= solution.value * (1 + 1e-6)
    assert bound >= solution.value * (1 - 1e-3)
    assert joint_dual(problem).bound >= solution.value * (1 - 2e-3)


@pytest.mark.parametrize("options", [{"bias": "free"}, {"bias": "free", "skip": True}, {"intercept": True}])
def test_joint_program_with_free_terms_is_a_valid_relaxation(options: dict[str, object]) -> None:
    problem = random_problem("squared", 3, **options)
    solution = build_joint_moment(problem).solve()
    point = feasible_dual(problem, solution.nu)
    patterns = enumerate_patterns(problem.extended)
    exact = price_cells(problem, point.nu, patterns).bound
    bound, _ = dual_bound(problem, point, exact + point.pricing_slack(problem))
    # The relaxation is below the exact dual value of its own nu; that value is below every network's.
    assert solution.value <= bound * (1 + 1e-5)


def test_badly_scaled_rows_do_no_harm() -> None:
    base = random_problem("squared", 4, bias="none")
    scaled = TrainingProblem(base.X * 1e5, base.y, reg=base.reg * 1e5, bias="none")
    expected = build_joint_moment(base).solve().value
    assert build_joint_moment(scaled).solve().value == pytest.approx(expected, rel=1e-5)


def test_errors() -> None:
    with pytest.raises(ProblemError, match="scalar"):
        build_joint_moment(TrainingProblem([[1.0], [2.0]], [[1.0, 0.0], [0.0, 1.0]], reg=1.0))
    rng = np.random.default_rng(0)
    wide = TrainingProblem(rng.standard_normal((400, 400)), np.zeros(400), reg=1.0)
    with pytest.raises(ProblemError, match="joint_dual"):
        build_joint_moment(wide)
    program = build_moment(pricing_forms(random_problem("squared", 5), np.arange(10.0))[0])
    with pytest.raises(ProblemError, match="solve"):
        _ = program.value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InaccurateSolutionWarning)
        assert str(program.solve()) in ("optimal", "inaccurate")
