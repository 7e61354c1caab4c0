"""One input variable: time and proven gap of solve_spline, beside CVXPY with Clarabel. JSON lines.

    OMP_NUM_THREADS=1 python benchmarks/spline.py --out benchmarks/results

Squared loss, free biases, skip connection: total variation of the derivative. Grids: even, random, pairs of points
1e-9 apart, clusters of twenty points within 1e-6. reg is a share of the smallest reg without kinks. Runs take turns;
the median counts. CVXPY's time is that of building, compiling and solving its model (values at the abscissae, the l1
norm of the slope differences). Excess is relative to the proven lower bound.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from convexnet import TrainingProblem
from convexnet.solvers import solve_spline

GRIDS = ("even", "random", "pairs", "clusters")
SHARES = (1e-4, 1e-2, 0.5)
Record = dict[str, Any]


def abscissae(n: int, grid: str, rng: np.random.Generator) -> np.ndarray:
    if grid == "even":
        return np.arange(n) / n
    if grid == "random":
        return np.sort(rng.random(n))
    if grid == "pairs":
        half = np.sort(rng.random(n // 2))
        return np.sort(np.concatenate([half, half + 1e-9]))
    centres = rng.random(n // 20)
    return np.sort(np.repeat(centres, 20) + 1e-6 * rng.standard_normal(n))


def problem_of(n: int, grid: str, share: float) -> TrainingProblem:
    rng = np.random.default_rng(0)
    x = abscissae(n, grid, rng)
    y = np.sin(8 * np.pi * x**2) + 0.15 * rng.standard_normal(n)
    t = x - x.mean()
    r = y - y.mean() - t * ((t @ y) / (t @ t))
    top = float(np.abs(np.cumsum(np.cumsum(r)[:-1] * np.diff(x))).max())
    return TrainingProblem(x[:, None], y, reg=share * top, bias="free", skip=True)


def by_clarabel(problem: TrainingProblem) -> Record:
    """CVXPY's model, solved at Clarabel's default tolerances."""
    import cvxpy as cp

    x, begun = problem.X[:, 0], time.process_time()
    theta = cp.Variable(problem.n)
    slopes = cp.multiply(cp.diff(theta), 1 / np.diff(x))
    loss = 0.5 * cp.sum_squares(theta - problem.y)
    program = cp.Problem(cp.Minimize(loss + problem.reg * cp.norm1(cp.diff(slopes))))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program.solve(solver=cp.CLARABEL)
        found = {"objective": float(program.value), "status": program.status,
                 "solver_seconds": program.solver_stats.solve_time}  # fmt: skip
    except cp.error.SolverError as error:
        found = {"objective": None, "status": f"failed: {str(error)[:60]}", "solver_seconds": None}
    return {"cpu": time.process_time() - begun, **found}


def by_spline(problem: TrainingProblem) -> Record:
    begun = time.process_time()
    result = solve_spline(problem)
    return {
        "cpu": time.process_time() - begun, "objective": result.objective, "status": result.status, "gap": result.gap,
        "lower_bound": result.lower_bound, "knots": result.n_neurons, "method": result.method,
        "iterations": result.iterations, "sparsest": result.sparsest().n_neurons,
    }  # fmt: skip


def race(n: int, grid: str, share: float, repeats: int, peer: bool) -> list[Record]:
    """Runs in turn on one case; the median time of each solver, and the ratio to this package."""
    problem = problem_of(n, grid, share)
    own, other = [], []
    for _ in range(repeats):
        own.append(by_spline(problem))
        if peer:
            other.append(by_clarabel(problem))
    base = statistics.median(record["cpu"] for record in own)
    lines = []
    for name, runs in (("convexnet", own), ("cvxpy clarabel", other)):
        if not runs:
            continue
        cpu, objective = statistics.median(record["cpu"] for record in runs), runs[0]["objective"]
        excess = None if objective is None else objective / own[0]["lower_bound"] - 1
        lines.append({"n": n, "grid": grid, "share": share, "solver": name, **runs[0], "cpu": cpu,
                      "ratio": cpu / base, "excess": excess})  # fmt: skip
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 100, 1000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warm = problem_of(100, "random", 0.1)
    by_spline(warm), by_clarabel(warm)
    lines = []
    for n in options.sizes:
        for grid in GRIDS if n >= 40 else ("even", "random", "pairs"):
            for share in SHARES:
                for line in race(n, grid, share, options.repeats, peer=n in (1000, 10_000)):
                    print(json.dumps(line), flush=True)
                    lines.append(line)
    if options.out is not None:
        target = options.out / "spline.json"
        target.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
