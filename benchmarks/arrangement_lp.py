"""The l1 program in the plane, five routes to one optimum: seconds, and their ratio to the textbook cone program.

The textbook program has the cone rows of all samples for every cell. CPU seconds of one process, everything included
from the listed cells on (building the model, too); the routes take turns, the smallest of the repeats counts.

    OMP_NUM_THREADS=1 python benchmarks/arrangement_lp.py --out benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from convexnet import PatternSet, TrainingProblem, enumerate_patterns, reg_max, solve
from convexnet.errors import ConvexNetWarning
from convexnet.pricing import cell_atoms
from convexnet.programs import build_relu
from convexnet.solvers import generate_atoms, refine_dual, solve_dictionary, solve_polyhedral

TOL = 1e-7
Outcome = tuple[float, int, float | None]
"""Objective, neurons, relative gap (None where the route proves none)."""


def problem_of(n: int, loss: str, norm: str = "l2") -> TrainingProblem:
    """Gaussian inputs and targets; a tenth of the largest useful reg."""
    rng = np.random.default_rng(n)
    X, y = rng.standard_normal((n, 2)), rng.standard_normal(n)
    if loss == "interpolation":
        return TrainingProblem(X, y, loss=loss, norm=norm)
    problem = TrainingProblem(X, y, reg=1.0, norm=norm)
    return problem.with_options(reg=0.1 * reg_max(problem))


def textbook(problem: TrainingProblem, patterns: PatternSet) -> Outcome:
    return cone(problem, patterns, None)


def facets(problem: TrainingProblem, patterns: PatternSet) -> Outcome:
    return cone(problem, patterns, "facets")


def cone(problem: TrainingProblem, patterns: PatternSet, rows: str | None) -> Outcome:
    program = build_relu(problem, patterns, cone_rows=rows)
    program.solve(tol=1e-8)
    return program.value, program.recover().n_neurons, None


def cells(problem: TrainingProblem, patterns: PatternSet) -> Outcome:
    solution = solve(problem, patterns=patterns, tol=TOL)
    return solution.objective, solution.size, solution.certificate.gap


def atoms(problem: TrainingProblem, patterns: PatternSet) -> Outcome:
    result = generate_atoms(problem, patterns, tol=TOL)
    return result.objective, result.n_atoms, result.gap


def fixed(problem: TrainingProblem, patterns: PatternSet) -> Callable[[TrainingProblem, PatternSet], Outcome]:
    """The dictionary of an optimal dual vector, which is given: a crossover, not an algorithm."""
    best = generate_atoms(problem, patterns, tol=1e-9)
    nu = refine_dual(problem, best.nu, best.network)

    def run(problem: TrainingProblem, patterns: PatternSet) -> Outcome:
        result = solve_dictionary(problem, cell_atoms(problem, nu, patterns))
        return result.objective, result.n_atoms, None

    return run


def rays(problem: TrainingProblem, patterns: PatternSet) -> Outcome:
    result = solve_polyhedral(problem, tol=TOL)
    return result.objective, result.n_atoms, result.gap


def measured(
    problem: TrainingProblem, patterns: PatternSet, routes: dict[str, Callable[..., Outcome]], repeats: int
) -> list[dict[str, Any]]:
    """One record a route."""
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    found: dict[str, Outcome] = {}
    for _ in range(repeats):
        for name, route in routes.items():
            start = time.process_time()
            found[name] = route(problem, patterns)
            seconds[name].append(time.process_time() - start)
    first = next(iter(routes))
    return [
        {
            "case": f"n={problem.n}, {problem.loss.name}, {problem.norm}",
            "route": name,
            "cpu": round(min(seconds[name]), 4),
            "ratio": round(min(seconds[first]) / min(seconds[name]), 2),
            "objective": found[name][0],
            "excess": found[name][0] / min(value for value, _, _ in found.values()) - 1,
            "neurons": found[name][1],
            "gap": found[name][2],
            "cells": len(patterns),
        }
        for name in routes
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 40])
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvexNetWarning)
    records = []
    for n in options.sizes:
        for loss in ("interpolation", "squared"):
            problem = problem_of(n, loss)
            patterns = enumerate_patterns(problem.extended)
            routes = {"textbook": textbook, "facet rows": facets, "cell generation": cells, "atom generation": atoms}
            routes["fixed dictionary (nu given)"] = fixed(problem, patterns)
            sharp = problem_of(n, loss, "l1")
            runs = [(problem, routes), (sharp, {"textbook": textbook, "facet rows": facets, "extreme rays": rays})]
            for each, chosen in runs:
                for record in measured(each, patterns, chosen, options.repeats):
                    print(json.dumps(record), flush=True)
                    records.append(record)
    if options.out:
        (options.out / "arrangement_lp.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
