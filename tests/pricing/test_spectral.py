"""Bounds without cells: valid for every activation, bias rule, norm and number of outputs."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.verify import sampled_pricing

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.errors import ProblemError
from convexnet.pricing import feasible_dual, price_cells, price_spectral


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
@pytest.mark.parametrize("activation", ["relu", "leaky", "absolute"])
@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_never_below_the_maximum(outputs: int, bias: str, activation: str, norm: str) -> None:
    rng = np.random.default_rng(0)
    for scale in (1.0, 1e-6, 1e6):
        X = rng.standard_normal((12, 3)) * scale + rng.choice([0.0, 30.0]) * scale
        y = rng.standard_normal((12, outputs))
        problem = TrainingProblem(X, y, reg=1.0, bias=bias, activation=activation, norm=norm, negative_slope=0.6)
        nu = feasible_dual(problem, rng.standard_normal(problem.y.shape) / scale).nu
        result = price_spectral(problem, nu)
        assert result.scope == "all"
        assert result.value <= result.bound
        assert sampled_pricing(problem, nu, count=600) <= result.bound * (1 + 1e-12)


def test_attained_value_belongs_to_the_atom() -> None:
    rng = np.random.default_rng(1)
    problem = TrainingProblem(rng.standard_normal((8, 3)), rng.standard_normal(8), reg=1.0)
    nu = rng.standard_normal(8)
    result = price_spectral(problem, nu)
    assert np.linalg.norm(result.atom) == pytest.approx(1)
    attained = float(nu @ np.maximum(problem.extended @ result.atom, 0))
    assert result.value == pytest.approx(abs(attained))
    assert result.sign == np.sign(attained)


def test_exact_for_one_active_direction_and_weaker_than_cells() -> None:
    problem = TrainingProblem([[3.0], [4.0]], [1.0, 1.0], reg=1.0, bias="none")
    nu = np.array([3.0, 4.0])
    assert price_spectral(problem, nu).bound == pytest.approx(25)
    cells = price_cells(problem, nu, enumerate_patterns(problem.extended))
    assert cells.bound == pytest.approx(25)


def test_underflow_is_no_zero() -> None:
    problem = TrainingProblem(np.full((3, 1), 1e-200), [1.0, 2.0, 3.0], reg=1.0, bias="none")
    assert price_spectral(problem, np.full(3, 1e-50)).bound >= 2e-250
    assert price_spectral(problem, np.full(3, 1e-200)).bound > 0
    assert price_spectral(problem, np.zeros(3)).bound == 0


def test_bad_dual_vectors_are_refused() -> None:
    problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=1.0, bias="free")
    for nu in (np.ones(3), np.array([np.nan, 1.0]), np.ones(2)):
        with pytest.raises(ProblemError):
            price_spectral(problem, nu)
