"""Dual norms of gate blocks: equal to the definition, rounded up, at any scale of the data."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from convexnet import TrainingProblem
from convexnet.errors import PatternError, ProblemError
from convexnet.pricing import price_gated


def exact_squares(problem: TrainingProblem, nu: np.ndarray, gates: np.ndarray) -> list[Fraction]:
    """Exact squares of the Euclidean dual norms of all gates (one output)."""
    rows = [[Fraction(float(x)) for x in row] for row in problem.extended]
    found = []
    for gate in gates.T:
        factors = [Fraction(1) if g else Fraction(float(problem.kappa)) for g in gate]
        terms = [f * Fraction(float(v)) for f, v in zip(factors, nu, strict=True)]
        found.append(sum(sum(t * row[j] for t, row in zip(terms, rows, strict=True)) ** 2 for j in range(len(rows[0]))))
    return found


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-165, 1.0), (1e-90, 1e-75), (1e90, 1e60), (1e80, 1e-90)])
@pytest.mark.parametrize("activation", ["relu", "leaky"])
def test_bound_is_above_the_exact_value_and_close(scales: tuple[float, float], activation: str) -> None:
    rng = np.random.default_rng(0)
    X, nu = scales[0] * rng.standard_normal((7, 3)), scales[1] * rng.standard_normal(7)
    problem = TrainingProblem(X, np.ones(7), reg=1.0, bias="none", activation=activation)
    gates = rng.integers(0, 2, (7, 9)).astype(np.uint8)
    result = price_gated(problem, nu, gates)
    top = max(exact_squares(problem, nu, gates))
    assert Fraction(result.bound) ** 2 >= top
    assert Fraction(result.bound) ** 2 <= top * Fraction(1 + 1e-12)
    assert result.value <= result.bound


@pytest.mark.parametrize("group", ["nuclear", "frobenius"])
@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_several_outputs_follow_the_definition(group: str, norm: str) -> None:
    rng = np.random.default_rng(1)
    problem = TrainingProblem(rng.standard_normal((6, 3)), rng.standard_normal((6, 2)), reg=1.0, norm=norm)
    gates, nu = rng.integers(0, 2, (6, 5)), rng.standard_normal((6, 2))
    if norm == "l1" and group == "frobenius":
        with pytest.raises(ProblemError, match="norm='l2'"):
            price_gated(problem, nu, gates, group=group)
        return
    blocks = [problem.extended.T @ (gate[:, None] * nu) for gate in gates.T]
    order = "fro" if group == "frobenius" else 2
    sizes = [np.linalg.norm(b, order) if norm == "l2" else np.linalg.norm(b, axis=1).max() for b in blocks]
    assert price_gated(problem, nu, gates, group=group).value == pytest.approx(max(sizes), rel=1e-13)


def test_refusals() -> None:
    problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=1.0)
    with pytest.raises(PatternError, match="shape"):
        price_gated(problem, problem.y, np.ones((3, 2)))
    with pytest.raises(PatternError, match="0 and 1"):
        price_gated(problem, problem.y, np.full((2, 1), 2))
    with pytest.raises(ProblemError, match="bias='free'"):
        price_gated(problem.with_options(bias="free"), problem.y, np.ones((2, 1)))
