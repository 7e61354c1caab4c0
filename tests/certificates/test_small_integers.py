"""Integer data of all sorts against the whole convex program written out over exactly enumerated sign patterns."""

from __future__ import annotations

import numpy as np
import pytest
from certificates.cases import random_network, solve_quietly
from helpers.reference import reference_optimum
from helpers.verify import verify_certificate, verify_solution
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet import TrainingProblem
from convexnet.certificates import judge

OPTIONS = st.fixed_dictionaries(
    {
        "bias": st.sampled_from(["penalized", "free", "none"]),
        "norm": st.sampled_from(["l2", "l1"]),
        "activation": st.sampled_from(["relu", "leaky", "absolute"]),
        "negative_slope": st.just(0.25),
        "skip": st.booleans(),
    }
)
ROWS = st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.integers(-3, 3)), min_size=1, max_size=4)


def check(rows: list[tuple[int, int, int]], loss: str, reg: float, options: dict[str, object]) -> None:
    table = np.array(rows, dtype=float)
    y = np.where(table[:, 2] > 0, 1.0, -1.0) if loss in ("hinge", "logistic") else table[:, 2]
    problem = TrainingProblem(table[:, :2], y, loss=loss, reg=reg, **options)
    optimum = reference_optimum(problem)
    slack = 1e-7 * (1 + abs(optimum) + float(np.sum(np.abs(y))))
    solution = solve_quietly(problem)
    verify_solution(problem, solution, exhaustive=True)
    certificate = solution.certificate
    assert certificate.lower_bound <= optimum + slack
    assert certificate.upper_bound >= optimum - slack
    if certificate.verdict == "optimal":
        assert certificate.upper_bound <= optimum * (1 + 1e-6) + slack
    network = random_network(problem)
    rough = judge(problem, network)
    verify_certificate(problem, network, rough, exhaustive=True)
    assert rough.lower_bound <= optimum + slack


@settings(max_examples=15)
@given(ROWS, st.sampled_from(["squared", "absolute", "hinge", "huber"]), st.sampled_from([0.125, 0.5, 2.0]), OPTIONS)
def test_certified_interval_holds_the_optimum(
    rows: list[tuple[int, int, int]], loss: str, reg: float, options: dict[str, object]
) -> None:
    check(rows, loss, reg, options)


@pytest.mark.slow
@settings(max_examples=250)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=6),
    st.sampled_from(["squared", "absolute", "hinge", "huber", "logistic"]),
    st.sampled_from([0.01, 0.125, 0.5, 2.0]),
    OPTIONS,
)
def test_many_certified_intervals(
    rows: list[tuple[int, int, int]], loss: str, reg: float, options: dict[str, object]
) -> None:
    check(rows, loss, reg, options)
