"""The unit of the targets and inputs must not matter: certified at any size, and the optimum scales as it should."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.grids import latin
from helpers.random_problems import CONVENTIONS, random_problem

from convexnet import TrainingProblem, solve
from convexnet.losses import HuberLoss
from convexnet.solving.scaling import in_units_of_one

LOSSES = ("squared", "huber", "absolute", "interpolation")


def stretched(problem: TrainingProblem, y: float) -> tuple[TrainingProblem, float]:
    """The same problem with targets times ``y``, and the factor of its optimum."""
    name = problem.loss.name
    changes: dict[str, object] = {"y": problem.y * y}
    if name in ("squared", "huber"):
        changes["reg"] = problem.reg * y
    if name == "huber":
        changes["loss"] = HuberLoss(y)
    return problem.with_options(**changes), y**2 if name in ("squared", "huber") else y


@pytest.mark.parametrize(("loss", "index", "y"), latin(LOSSES, [0, 1, 4], [1e6, 3e-6], every=3))
def test_targets_of_any_size(loss: str, index: int, y: float) -> None:
    problem, _ = random_problem(loss, seed=60 + index, **CONVENTIONS[index])
    large, factor = stretched(problem, y)
    solution = solve(large)
    assert solution.certificate.verdict == "optimal"
    assert solution.objective == pytest.approx(factor * solve(problem).objective, rel=1e-6)


@pytest.mark.parametrize(("loss", "bias"), latin([*LOSSES, "logistic", "hinge"], ["free", "none"], every=2))
def test_small_inputs_and_large_targets(loss: str, bias: str) -> None:
    problem, _ = random_problem(loss, seed=70, bias=bias)
    large, factor = stretched(problem, 1e6 if loss in LOSSES else 1.0)
    reg = {} if loss == "interpolation" else {"reg": large.reg * 1e-4}
    solution = solve(large.with_options(X=large.X * 1e-4, **reg))
    assert solution.certificate.verdict == "optimal"
    expected = factor * solve(problem).objective * (1e4 if loss == "interpolation" else 1.0)
    assert solution.objective == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("index", range(len(CONVENTIONS)))
def test_units_are_exact(index: int) -> None:
    problem, _ = random_problem("squared", seed=80 + index, **CONVENTIONS[index])
    problem = problem.with_options(X=problem.X * 1e-3, y=problem.y * 1e5)
    scaled, units = in_units_of_one(problem)
    assert np.max(np.abs(scaled.y)) <= 1
    np.testing.assert_array_equal(scaled.y * units.y, problem.y)
    np.testing.assert_array_equal(scaled.X * units.X, problem.X)
    assert (units.X != 1) == (problem.bias != "penalized")
    network = solve(scaled).network
    back = units.restore(network, problem)
    np.testing.assert_allclose(back.predict(problem.X), units.y * network.predict(scaled.X), rtol=1e-9, atol=1e-6)
    assert problem.objective(back) == pytest.approx(units.y**2 * scaled.objective(network), rel=1e-9)
