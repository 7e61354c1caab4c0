"""Forged inputs give an error or a valid bound; forged certificates are caught by recomputation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from certificates.cases import random_network, solved
from helpers.verify import verify_certificate

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.certificates import Certificate, judge
from convexnet.errors import SolverError
from convexnet.pricing import dual_bound, feasible_dual
from convexnet.programs import build_relu

LOSSES = ("squared", "huber", "absolute", "logistic", "hinge", "interpolation")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1.0, 1e3, 1e12, 1e200])
def test_any_dual_vector_gives_a_valid_bound(loss: str, scale: float) -> None:
    """Also far outside the domain of the conjugate."""
    problem, patterns, solution = solved(loss)
    for seed in range(2):
        nu = scale * np.random.default_rng(seed).standard_normal(problem.n)
        certificate = judge(problem, solution.network, patterns=patterns, nu=nu)
        verify_certificate(problem, solution.network, certificate)
        assert 0 <= certificate.lower_bound <= solution.objective * (1 + 1e-12)


def test_dual_vectors_of_the_wrong_sum_are_projected() -> None:
    rng = np.random.default_rng(0)
    problem = TrainingProblem(rng.standard_normal((8, 2)), rng.standard_normal(8), reg=0.1, bias="free")
    network = random_network(problem)
    certificate = judge(problem, network, nu=np.full(8, 5.0) + problem.y)
    verify_certificate(problem, network, certificate, exhaustive=True)


def test_sampled_patterns_that_are_called_complete_need_a_proof() -> None:
    problem, patterns, solution = solved()
    part = dataclasses.replace(patterns.subset(np.arange(0, len(patterns), 7)), complete=True)
    certificate = judge(problem, solution.network, patterns=part)
    assert certificate.listed_lower_bound is not None
    assert certificate.lower_bound <= solution.objective
    verify_certificate(problem, solution.network, certificate)


def test_edited_patterns_are_not_believed_to_be_complete() -> None:
    """The seal of the enumeration does not fit a part of its patterns, nor patterns of other data."""
    rng = np.random.default_rng(1)
    problem = TrainingProblem(rng.standard_normal((7, 2)), rng.standard_normal(7), reg=0.05)
    patterns = enumerate_patterns(problem.extended)
    network = random_network(problem)
    honest = judge(problem, network, patterns=patterns)
    part = patterns.subset(np.argsort(np.abs(honest.nu @ np.maximum(problem.extended @ patterns.witnesses, 0)))[:20])
    other = enumerate_patterns(problem.extended + np.array([1.0, 0.0, 0.0]))
    forgeries = (
        dataclasses.replace(part, complete=True, proof="vertex-enumeration"),
        dataclasses.replace(part, complete=True, proof="vertex-enumeration", seal=patterns.seal),
        dataclasses.replace(other, data_hash=patterns.data_hash),
    )
    assert patterns.proven
    for forged in forgeries:
        assert not forged.proven
        certificate = judge(problem, network, patterns=forged)
        assert certificate.verdict != "optimal"
        assert certificate.lower_bound <= honest.lower_bound
        verify_certificate(problem, network, certificate)


def raised(c: Certificate) -> dict[str, Any]:
    return {"lower_bound": c.lower_bound * 1.01, "gap": max(0.0, 1 - 1.01 * c.lower_bound / c.upper_bound)}


FORGERIES: dict[str, Callable[[Certificate], dict[str, Any]]] = {
    "higher bound": raised,
    "smaller objective": lambda c: {"upper_bound": c.upper_bound * 0.99},
    "nu scaled up": lambda c: {"nu": c.nu * 1.01},
    "one entry of nu changed": lambda c: {"nu": c.nu + 0.1 * np.eye(len(c.nu))[0]},
    "nu of another shape": lambda c: {"nu": c.nu[:-1]},
    "NaN in nu": lambda c: {"nu": c.nu * np.nan},
    "larger scale": lambda c: {"scale": c.scale * 1.01},
    "smaller pricing bound": lambda c: {"pricing_bound": c.pricing_bound * 0.99, "scale": c.scale / 0.99},
    "other reg": lambda c: {"conventions": c.conventions | {"reg": 2.0}},
    "other bias rule": lambda c: {"conventions": c.conventions | {"bias": "none"}},
    "other data": lambda c: {"data_hash": "0" * 64},
    "bound called optimal": lambda c: {"verdict": "optimal" if c.verdict != "optimal" else "bound"},
    "refuted by nothing": lambda c: {"verdict": "refuted", "improved": None},
    "listed without a list": lambda c: {"verdict": "listed"},
    "gap of zero": lambda c: {"gap": 0.0},
}


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("good", [True, False])
def test_forged_certificates_are_caught(name: str, good: bool) -> None:
    problem, patterns, solution = solved()
    network = solution.network if good else random_network(problem)
    certificate = judge(problem, network, patterns=patterns, nu=solution.certificate.nu)
    assert (certificate.verdict == "optimal") == good
    verify_certificate(problem, network, certificate)
    forged = dataclasses.replace(certificate, **FORGERIES[name](certificate))
    if name == "gap of zero" and good:
        forged = dataclasses.replace(forged, lower_bound=certificate.lower_bound * 0.9)
    with pytest.raises(AssertionError):
        verify_certificate(problem, network, forged)


def test_edited_weights_are_caught() -> None:
    problem, _, solution = solved()
    with pytest.raises(AssertionError):
        verify_certificate(problem, random_network(problem), solution.certificate)


@pytest.mark.parametrize("max_iter", [1, 3, 6, 9, 12])
@pytest.mark.parametrize("loss", ["squared", "logistic", "absolute"])
def test_a_solver_that_stopped_early_proves_no_more_than_it_should(loss: str, max_iter: int) -> None:
    problem, patterns, solution = solved(loss)
    program = build_relu(problem, patterns)
    try:
        program.solve(max_iter=max_iter)
        network, nu = program.recover(), program.nu()
    except SolverError as error:  # no values at all, and said by name
        assert str(error)
        return
    certificate = judge(problem, network, patterns=patterns, nu=nu)
    verify_certificate(problem, network, certificate)
    assert certificate.lower_bound <= solution.objective * (1 + 1e-12)
    point = feasible_dual(problem, nu)
    assert dual_bound(problem, point, certificate.pricing_bound)[0] <= solution.objective * (1 + 1e-12)
