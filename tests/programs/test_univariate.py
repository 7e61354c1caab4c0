"""Programs in function space against the cone program over all cells, and against their networks."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.grids import latin

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.errors import ProblemError
from convexnet.programs import build_relu, build_univariate

LOSSES = ("squared", "logistic", "absolute", "interpolation")


@pytest.mark.parametrize(
    ("loss", "bias", "norm", "skip", "intercept"),
    latin(LOSSES, ("penalized", "free"), ("l2", "l1"), (False, True), (False, True), every=4),
)
def test_equals_the_cone_program(loss: str, bias: str, norm: str, skip: bool, intercept: bool) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 11))
        x = rng.standard_normal(n) * 2
        x = x if seed or loss == "interpolation" else np.round(x)
        y = np.sin(3 * x) + 3 * seed * x
        y = np.where(rng.random(n) < 0.5, 1.0, -1.0) if loss == "logistic" else y
        options = {} if loss == "interpolation" else {"reg": 0.1}
        problem = TrainingProblem(
            x[:, None], y, loss=loss, bias=bias, norm=norm, skip=skip, intercept=intercept or bias == "free", **options
        )
        program = build_univariate(problem)
        program.solve()
        cones = build_relu(problem, enumerate_patterns(problem.extended))
        cones.solve()
        assert program.value == pytest.approx(cones.value, rel=1e-6, abs=1e-7)
        assert problem.objective(program.recover()) == pytest.approx(program.value, rel=1e-6, abs=1e-7)


def test_size_is_linear_in_the_samples() -> None:
    x = np.linspace(-1, 1, 400)
    for options in ({}, {"bias": "free"}, {"bias": "free", "skip": True}):
        program = build_univariate(TrainingProblem(x[:, None], np.abs(x), reg=0.1, **options))
        data, _, _ = program.model.get_problem_data("CLARABEL")
        assert data["A"].nnz < 80 * 400


def test_other_problems_are_refused() -> None:
    plane = TrainingProblem(np.eye(2), [1.0, 2.0], reg=1.0)
    for problem in (plane, TrainingProblem([[1.0]], [1.0], reg=1.0, bias="none")):
        with pytest.raises(ProblemError, match="one feature"):
            build_univariate(problem)
    with pytest.raises(ProblemError, match="ReLU"):
        build_univariate(TrainingProblem([[1.0]], [1.0], reg=1.0, activation="absolute"))
    with pytest.raises(ProblemError, match="TrainingProblem"):
        build_univariate("no problem")
