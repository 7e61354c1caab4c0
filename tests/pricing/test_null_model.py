"""The null model and the largest useful regularisation."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.grids import latin
from helpers.random_problems import CONVENTIONS
from helpers.verify import exact_pricing

from convexnet import ShallowNetwork, TrainingProblem, reg_max, solve
from convexnet.certificates import judge
from convexnet.errors import ProblemError
from convexnet.pricing import enumerable, null_prediction, price_null


def make(loss: str = "squared", **options: object) -> TrainingProblem:
    rng = np.random.default_rng(5)
    y = np.array([1.0, -1, 1, 1, -1, -1, 1]) if loss == "logistic" else rng.standard_normal(7)
    return TrainingProblem(rng.standard_normal((7, 2)), y, loss=loss, reg=1.0, **options)


@pytest.mark.parametrize(("loss", "conventions"), latin(["squared", "huber", "logistic"], CONVENTIONS, every=3))
def test_no_neuron_pays_at_reg_max_and_one_does_below(loss: str, conventions: dict[str, object]) -> None:
    problem = make(loss, **conventions)
    top = reg_max(problem)
    null = problem.loss_value(null_prediction(problem))
    above, below = (solve(problem.with_options(reg=top * factor)) for factor in (1 + 1e-6, 0.7))
    assert above.objective == pytest.approx(null, rel=1e-6)
    assert below.objective < null * (1 - 1e-6)


def test_reg_max_is_the_exact_pricing_value() -> None:
    problem = make(bias="none")
    assert reg_max(problem) == pytest.approx(exact_pricing(problem, problem.y), rel=1e-10)
    free = make(bias="free")
    assert reg_max(free) == pytest.approx(exact_pricing(free, free.y - free.y.mean()), rel=1e-10)


def test_above_reg_max_the_empty_network_is_proven_best() -> None:
    problem = make(bias="none")
    problem = problem.with_options(reg=1.001 * reg_max(problem))
    empty = ShallowNetwork(np.zeros((0, 2)), [], [])
    certificate = judge(problem, empty)
    assert certificate.verdict == "optimal"
    assert certificate.lower_bound == pytest.approx(0.5 * float(problem.y @ problem.y), rel=1e-12)


def test_without_patterns_it_is_an_upper_estimate() -> None:
    rng = np.random.default_rng(6)
    small = make()
    assert price_null(small, None).scope == "all"
    wide = TrainingProblem(rng.standard_normal((40, 10)), rng.standard_normal(40), reg=1.0)
    assert not enumerable(wide)
    assert price_null(wide).method == "singular values"
    several = TrainingProblem(rng.standard_normal((6, 2)), rng.standard_normal((6, 2)), reg=1.0)
    assert reg_max(several) >= price_null(several).value


def test_interpolation_has_none() -> None:
    with pytest.raises(ProblemError, match="Interpolation"):
        reg_max(TrainingProblem([[1.0], [2.0]], [1.0, 2.0], loss="interpolation"))
