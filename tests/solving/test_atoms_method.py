"""Atom generation behind the front door: certified solutions for both norms, honest scopes."""

from __future__ import annotations

import time

import numpy as np
import pytest
from helpers.grids import latin
from helpers.random_problems import random_problem
from helpers.verify import verify_solution

from convexnet import sample_patterns, solve
from convexnet.errors import PatternError
from convexnet.solving._atoms_method import solve_atom_network
from convexnet.solving._certified import Options


def options(**changes: object) -> Options:
    given = {"tol": 1e-6, "time_limit": 60.0, "max_iter": None, "solver": "CLARABEL", "random_state": 0,
             "callback": None, "group": "nuclear", "start": time.perf_counter()}  # fmt: skip
    return Options(**{**given, **changes})


@pytest.mark.parametrize(
    ("loss", "conventions"),
    latin(("squared", "hinge", "interpolation"), ({"bias": "penalized"}, {"bias": "free"}, {"norm": "l1"}), every=3),
)
def test_solutions_hold(loss: str, conventions: dict) -> None:
    problem, patterns = random_problem(loss, 7, **conventions)
    solution = solve_atom_network(problem, patterns, options())
    assert solution.status == "solved"
    assert solution.method == "atoms"
    verify_solution(problem, solution)
    cells = solve(problem, patterns=patterns)
    assert solution.objective == pytest.approx(cells.objective, rel=3e-6)


def test_partial_lists_and_limits() -> None:
    problem, _ = random_problem("squared", 8)
    few = sample_patterns(problem.extended, 9, random_state=0)
    solution = solve_atom_network(problem, few, options())
    assert solution.certificate.verdict in ("listed", "optimal")
    verify_solution(problem, solution)
    with pytest.raises(PatternError, match="l1 norm"):
        solve_atom_network(problem.with_options(norm="l1"), few, options())
    seen: list[object] = []
    short = solve_atom_network(problem, few, options(callback=lambda progress: bool(seen.append(progress)) or True))
    assert len(seen) == 1
    assert np.isfinite(short.objective)
