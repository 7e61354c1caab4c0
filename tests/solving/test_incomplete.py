"""With a part of the patterns nothing may be called optimal, and the bound over all networks stays below the truth."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers.grids import latin
from helpers.random_problems import CONVENTIONS, random_problem

from convexnet import TrainingProblem, sample_patterns, solve
from convexnet._printing import rounded_down
from convexnet.errors import ConvexNetWarning, IncompletePatternsWarning, InfeasibleError, PatternError

LOSSES = ("squared", "logistic", "huber", "absolute", "hinge")


@pytest.mark.parametrize(("loss", "index", "fraction"), latin(LOSSES, [0, 1, 2, 5], [0.1, 0.25, 0.5], every=6))
def test_a_part_of_the_patterns_alone_never_makes_a_network_optimal(loss: str, index: int, fraction: float) -> None:
    problem, patterns = random_problem(loss, seed=40 + index, **CONVENTIONS[index])
    optimum = solve(problem, patterns=patterns)
    assert optimum.certificate.verdict == "optimal"
    generator = np.random.default_rng(index)
    part = patterns.subset(generator.permutation(len(patterns))[: max(1, int(fraction * len(patterns)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvexNetWarning)
        solution = solve(problem, patterns=part, time_limit=2.0)
    certificate = solution.certificate
    if certificate.verdict == "optimal":  # proven by a search over all directions, not by the list
        assert certificate.method in ("cones", "slabs", "moment relaxation")
        assert certificate.upper_bound <= optimum.objective * (1 + 2e-6)
    else:
        said = certificate.summary() + repr(certificate) + certificate.scope + repr(solution) + solution.summary()
        assert "optimal" not in said.lower() and "global" not in said.lower()
    assert 0 < certificate.lower_bound <= optimum.objective * (1 + 1e-9)
    assert rounded_down(certificate.lower_bound) in certificate.summary()
    assert certificate.upper_bound >= optimum.certificate.lower_bound * (1 - 1e-9)
    if certificate.verdict == "listed":
        assert certificate.listed_gap <= certificate.tol


def diabetes(features: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    X = X[:, features]
    return (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()


@pytest.mark.slow
@pytest.mark.parametrize("reg", [60.0, 31.0, 5.0])
def test_all_of_diabetes_over_sampled_patterns(reg: float) -> None:
    X, y = diabetes()
    problem = TrainingProblem(X, y, reg=reg)
    patterns = sample_patterns(problem.extended, 100, random_state=0)
    solution = solve(problem, patterns=patterns)
    certificate = solution.certificate
    assert len(patterns) == 100
    assert certificate.verdict == "listed"
    assert certificate.listed_gap <= 1e-6
    assert 0 < certificate.lower_bound < certificate.upper_bound
    print(f"reg {reg}: listed gap {certificate.listed_gap:.1e}, {solution.wall_time:.1f} s")


def test_many_features_choose_patterns_and_say_so() -> None:
    X, y = diabetes(slice(0, 6))
    problem = TrainingProblem(X[:150], y[:150], reg=20.0)
    with pytest.warns(IncompletePatternsWarning, match="judged over these"):
        solution = solve(problem, "cells")
    assert solution.certificate.verdict == "listed"
    assert not solution.patterns.complete


def test_patterns_of_other_data_are_refused() -> None:
    problem, patterns = random_problem("squared", seed=1, bias="penalized")
    other = problem.with_options(X=problem.X + 1)
    with pytest.raises(PatternError, match="other data"):
        solve(other, patterns=patterns)
    with pytest.raises(PatternError, match="empty"):
        solve(problem, patterns=patterns.subset(np.zeros(0, dtype=int)))
    with pytest.raises(PatternError, match="PatternSet"):
        solve(problem, patterns=patterns.patterns)  # type: ignore[arg-type]


def test_interpolation_over_too_few_patterns_is_infeasible_with_a_farkas_vector() -> None:
    problem, patterns = random_problem("interpolation", seed=3, bias="penalized")
    few = patterns.subset([0])
    with pytest.raises(InfeasibleError) as caught:
        solve(problem, patterns=few)
    nu = np.asarray(caught.value.certificate)
    gate = few.patterns[:, 0].astype(float)
    assert nu @ problem.y > 1e-3 * np.linalg.norm(nu)
    assert np.max(np.abs(problem.extended.T @ (gate * nu))) <= 1e-8 * np.linalg.norm(nu)


def test_contradictory_interpolation_is_infeasible() -> None:
    problem = TrainingProblem([[0.0], [1.0], [1.0]], [0.0, 1.0, 2.0], loss="interpolation")
    with pytest.raises(InfeasibleError, match="repeated"):
        solve(problem)
