"""Whole programs, cell generation, gradient descent and certificates must agree on small problems of every kind."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers.grids import latin
from helpers.random_problems import CONVENTIONS, LOSSES, every_problem, random_problem

from convexnet import solve
from convexnet.baselines import train
from convexnet.certificates import judge
from convexnet.errors import ConvexNetError, ConvexNetWarning
from convexnet.pricing import CellPricer
from convexnet.programs import build_relu


@pytest.mark.parametrize(("loss", "index"), latin(LOSSES, range(len(CONVENTIONS)), every=6))
def test_cell_generation_equals_the_whole_program(loss: str, index: int) -> None:
    problem, patterns = random_problem(loss, seed=index, **CONVENTIONS[index])
    whole = solve(problem, "program", patterns)
    cells = solve(problem, "cells", patterns)
    assert whole.certificate.verdict == cells.certificate.verdict == "optimal"
    assert cells.objective == pytest.approx(whole.objective, rel=1e-7)
    assert cells.certificate.lower_bound <= whole.objective * (1 + 1e-9)
    assert whole.certificate.lower_bound <= cells.objective * (1 + 1e-9)
    assert cells.objective == pytest.approx(problem.objective(cells.network), rel=1e-12)


SMOOTH_ENOUGH = tuple(loss for loss in LOSSES if loss != "interpolation")


@pytest.mark.parametrize(("loss", "index"), latin(SMOOTH_ENOUGH, [0, 1, 2], every=3))
def test_no_gradient_run_is_below_the_bound(loss: str, index: int) -> None:
    problem, patterns = random_problem(loss, seed=100 + index, **CONVENTIONS[index])
    bound = solve(problem, patterns=patterns).certificate.lower_bound
    runs = train(problem, method="lbfgs", width=15, n_starts=5, max_iter=300, random_state=index)
    assert np.min(runs.objectives) >= bound * (1 - 1e-12)


@pytest.mark.slow
def test_every_solver_on_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    """Program value = objective of its network; 50 L-BFGS starts stay above the bound; a table of verified gaps."""
    rows, worst_value, lowest = [], 0.0, np.inf
    for name, problem, patterns in every_problem():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvexNetWarning)
            pricer = CellPricer(problem, patterns)
            gaps = {solver: _verified_gap(problem, patterns, pricer, solver) for solver in ("CLARABEL", "ECOS", "SCS")}
            solution = solve(problem, patterns=patterns)
        bound = solution.certificate.lower_bound
        worst_value = max(worst_value, gaps["CLARABEL"][1])
        margin = np.inf
        if problem.loss.name != "interpolation":
            runs = train(problem, method="lbfgs", width=20, n_starts=50, max_iter=300, random_state=0)
            margin = (np.min(runs.objectives) - bound) / bound
            lowest = min(lowest, margin)
        rows.append((name, {solver: gap for solver, (gap, _) in gaps.items()}, solution.certificate.gap, margin))
        assert solution.certificate.verdict == "optimal", name
        assert gaps["CLARABEL"][0] <= 1e-6, name
    with capsys.disabled():
        print()
        for name, verified, gap, margin in rows:
            shown = "  ".join(f"{solver} {value:8.1e}" for solver, value in verified.items())
            print(f"{name:<44} {shown}  cells {gap:8.1e}  L-BFGS best of 50 above bound {margin:8.1e}")
        print(f"{len(rows)} problems, worst |value - objective| / value with CLARABEL {worst_value:.1e}")
    assert len(rows) >= 40
    assert worst_value <= 1e-7
    assert lowest >= -1e-12


def _verified_gap(problem, patterns, pricer, solver):  # type: ignore[no-untyped-def]
    """Certified gap of a solver's own answer, and relative difference of its value and its network's objective."""
    from convexnet.arrangements import cell_facets

    rows = [cell_facets(patterns, problem.extended, cell) for cell in range(len(patterns))]
    program = build_relu(problem, patterns, cone_rows=rows)
    try:
        program.solve(solver, tol=1e-10 if solver == "CLARABEL" else None)
        network = program.recover()
        certificate = judge(problem, network, patterns=patterns, nu=program.nu(), pricer=pricer)
    except ConvexNetError:
        return np.inf, np.inf
    return certificate.gap, abs(program.value - problem.objective(network)) / abs(program.value)
