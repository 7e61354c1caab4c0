"""Refutation by example, and certificates of the gated program."""

from __future__ import annotations

import numpy as np
import pytest
from certificates.cases import plane_problem, random_network, solved

from convexnet import ShallowNetwork, TrainingProblem, enumerate_patterns, solve
from convexnet.certificates import certify_gated
from convexnet.certificates.improve import improve
from convexnet.errors import PatternError, ProblemError
from convexnet.networks import GatedNetwork
from convexnet.pricing import feasible_dual, price_cells, price_spectral


@pytest.mark.parametrize("scale", [(1.0, 1.0), (1e-4, 1e6), (1e6, 1e-4)])
@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
def test_a_priced_neuron_lowers_the_objective_at_any_scale(scale: tuple[float, float], bias: str) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((8, 2)) * scale[0], rng.standard_normal(8) * scale[1]
    problem = TrainingProblem(X, y, reg=1.0, bias=bias)
    nu = feasible_dual(problem, y).nu
    pricing = price_cells(problem, nu, enumerate_patterns(problem.extended))
    problem = problem.with_options(reg=0.5 * pricing.value)
    empty = ShallowNetwork(np.zeros((0, 2)), [], [], intercept=y.mean() if bias == "free" else 0.0)
    better = improve(problem, empty, [pricing])
    assert better is not None
    assert problem.objective(better) < 0.999 * problem.objective(empty)


def test_several_outputs_are_improved() -> None:
    rng = np.random.default_rng(1)
    problem = TrainingProblem(rng.standard_normal((8, 2)), rng.standard_normal((8, 3)), reg=0.1)
    empty = ShallowNetwork(np.zeros((0, 2)), [], np.zeros((0, 3)))
    better = improve(problem, empty, [price_spectral(problem, problem.y)])
    assert better is not None
    assert problem.objective(better) < problem.objective(empty)


def test_nothing_better_than_the_best() -> None:
    problem, patterns, solution = solved()
    pricing = price_cells(problem, solution.certificate.nu, patterns)
    found = improve(problem, solution.network, [pricing])
    assert found is None or problem.objective(found) >= solution.objective * (1 - 1e-9)
    interpolation, _, fitted = solved("interpolation")
    assert improve(interpolation, fitted.network, [pricing]) is None


def test_networks_outside_every_domain_are_left_alone() -> None:
    problem, patterns, solution = solved()
    wild = ShallowNetwork(np.full((1, 2), 1e200), [0.0], [1e200])
    with np.errstate(all="ignore"):
        assert improve(problem, wild, [price_cells(problem, solution.certificate.nu, patterns)]) is None


def gated_problem() -> tuple[TrainingProblem, GatedNetwork]:
    problem = plane_problem()
    return problem, solve(problem, method="gated", patterns=enumerate_patterns(problem.extended)).network


def test_gated_bounds_speak_of_gated_networks() -> None:
    problem, network = gated_problem()
    patterns = enumerate_patterns(problem.extended)
    certificate = certify_gated(problem, network, patterns, problem.y)
    assert certificate.lower_bound <= certificate.upper_bound
    assert "gated" in certificate.scope
    assert "any width" not in certificate.summary()
    best = solve(problem, method="gated", patterns=patterns).certificate
    assert best.verdict == "listed"
    assert best.gap <= 1e-6
    assert "optim" not in (best.summary() + repr(best)).lower()
    assert best.lower_bound <= solve(problem).objective


def test_gated_arguments() -> None:
    problem, network = gated_problem()
    patterns = enumerate_patterns(problem.extended)
    with pytest.raises(PatternError):
        certify_gated(problem, network, enumerate_patterns(problem.X), problem.y)
    with pytest.raises(ProblemError, match="tol"):
        certify_gated(problem, network, patterns, problem.y, tol=2.0)
    free = TrainingProblem(problem.X, problem.y, reg=0.1, bias="free")
    with pytest.raises(ProblemError, match="free"):
        certify_gated(free, network, enumerate_patterns(free.extended), problem.y - problem.y.mean())


def test_random_networks_are_refuted_or_bounded() -> None:
    problem, patterns, _ = solved()
    for seed in range(5):
        network = random_network(problem, width=seed, seed=seed)
        pricing = price_cells(problem, -problem.gradient(network.predict(problem.X)), patterns)
        better = improve(problem, network, [pricing])
        assert better is not None  # its own residual prices above reg: a descent direction
        assert problem.objective(better) < problem.objective(network)
