"""One optimum, five ways: cone program, cell generation, atom generation, fixed dictionary, polyhedral program."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers.grids import latin
from helpers.verify import network_objective

from convexnet import TrainingProblem, enumerate_patterns, reg_max, solve
from convexnet.errors import NotCertifiedWarning
from convexnet.pricing import cell_atoms
from convexnet.programs import build_relu
from convexnet.solvers import generate_atoms, refine_dual, solve_dictionary, solve_polyhedral

MODES = (("interpolation", 0.0), ("squared", 0.3), ("squared", 0.03))


def instance(d: int, mode: tuple[str, float], bias: str, seed: int, norm: str = "l2") -> TrainingProblem:
    rng = np.random.default_rng(1000 * seed + 10 * d + len(bias))
    n = int(rng.integers(6, 15))
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    if mode[0] == "interpolation":
        return TrainingProblem(X, y, loss="interpolation", bias=bias, norm=norm)
    problem = TrainingProblem(X, y, reg=1.0, bias=bias, norm=norm)
    return problem.with_options(reg=mode[1] * reg_max(problem))


@pytest.mark.parametrize(
    ("d", "mode", "bias", "seed"), latin((1, 2), MODES, ("penalized", "free"), range(6), every=5)
)  # 72 instances in all
def test_all_routes_reach_the_same_optimum(d: int, mode: tuple[str, float], bias: str, seed: int) -> None:
    problem = instance(d, mode, bias, seed)
    patterns = enumerate_patterns(problem.extended)
    most = problem.n - (bias == "free")
    program = build_relu(problem, patterns)
    program.solve(tol=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotCertifiedWarning)
        cells = solve(problem, patterns=patterns, tol=1e-8)
    atoms = generate_atoms(problem, patterns, tol=1e-10, time_limit=60)
    fixed = solve_dictionary(problem, cell_atoms(problem, refine_dual(problem, atoms.nu, atoms.network), patterns))
    for value in (cells.objective, atoms.objective, fixed.objective):
        assert value == pytest.approx(program.value, rel=1e-7)
    for result in (atoms, fixed):
        assert result.n_atoms <= most
        assert result.objective == pytest.approx(network_objective(problem, result.network), rel=1e-12)
    assert atoms.lower_bound <= min(program.value * (1 + 1e-7), fixed.objective * (1 + 1e-9))
    assert atoms.gap < 1e-8


@pytest.mark.parametrize(
    ("d", "mode", "bias", "seed"), latin((1, 2), MODES, ("penalized", "free", "none"), range(2), every=3)
)  # 36 instances in all
def test_the_polyhedral_program_is_the_cone_program_of_the_l1_norm(
    d: int, mode: tuple[str, float], bias: str, seed: int
) -> None:
    problem = instance(d + (bias == "none"), mode, bias, seed, norm="l1")
    program = build_relu(problem, enumerate_patterns(problem.extended), cone_rows="facets")
    program.solve(tol=1e-11)
    result = solve_polyhedral(problem)
    assert result.objective == pytest.approx(program.value, rel=1e-8)
    assert result.lower_bound <= program.value * (1 + 1e-9)
    assert result.gap < 1e-6
    assert result.scope == "all"
    assert result.n_atoms <= problem.n - (bias == "free")
