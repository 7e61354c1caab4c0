"""Runs of a whole regularization path of the gated program: 50 values of reg, each started from the one before.

This package proves a gap of 1e-6 at every point. The peers are given its lower bounds: scnn goes on at a value of reg
until its objective is within 1e-6 of the bound, celer runs the whole path at one tolerance, tighter and tighter, until
all points are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from _data import find_case
from _gated_runs import Task
from _gated_runs import build as build_gated
from _gated_runs import warm_up as warm_up_gated
from _peers import materialised, path_celer, path_scnn
from _stopwatch import Stopwatch

N_REGS, LARGEST, SMALLEST, GAP = 50, 0.9, 0.005, 1e-6


class PathTask:
    """The case at ``reg_max``, the values of reg, and the bounds if they are known already."""

    def __init__(self, base: Task, bounds: list[float] | None) -> None:
        self.base, self.bounds = base, bounds
        self.regs = base.problem.reg * np.geomspace(LARGEST, SMALLEST, N_REGS)

    def at(self, reg: float) -> Task:
        return Task(self.base.case, self.base.problem.with_options(reg=float(reg)), self.base.patterns)


def build(case: str, bounds: list[float] | None = None) -> PathTask:
    assert find_case(case).ratio == 1.0
    return PathTask(build_gated(case), bounds)


def warm_up(solver: str) -> None:
    warm_up_gated(solver.split(",")[0])


def run_path(task: PathTask, watch: Stopwatch) -> list[float]:
    from convexnet import regularization_path

    watch.start()
    path = regularization_path(
        task.base.problem, task.regs, model="gated", patterns=task.base.patterns, tol=GAP, group=task.base.case.group,
        time_limit=3 * watch.seconds,
    )  # fmt: skip
    watch.stop()
    watch.note["bounds"] = [point.lower_bound for point in path.points]
    return [point.gap for point in path.points]


def run_cold(task: PathTask, watch: Stopwatch) -> list[float]:
    """Every value of reg from zero."""
    from convexnet.solvers import solve_gated

    problems = [task.base.problem.with_options(reg=float(reg)) for reg in task.regs]
    watch.start()
    return [solve_gated(problem, task.base.patterns, group=task.base.case.group, tol=GAP).gap for problem in problems]


def run_celer(task: PathTask, watch: Stopwatch) -> list[float]:
    design, spent, gaps = materialised(task.base.problem.extended, task.base.gates), 0.0, [math.inf]
    for power in range(3, 11):
        watch.reset()
        watch.start()
        solutions = path_celer(task.base.problem, design, task.regs, 10.0**-power)
        watch.stop()
        spent += watch.cpu
        gaps = [excess(task, i, blocks) for i, blocks in enumerate(solutions)]
        watch.note["tolerance"] = 10.0**-power
        if max(gaps) <= GAP or spent > watch.seconds:
            break
    return gaps


def run_scnn(task: PathTask, watch: Stopwatch) -> list[float]:
    tasks = [task.at(reg) for reg in task.regs]
    assert task.bounds is not None
    targets = [bound / (1 - GAP) for bound in task.bounds]
    problems, objectives = [one.problem for one in tasks], [one.objective for one in tasks]
    values = path_scnn(problems, task.base.gates, objectives, targets, watch)
    return [(value - bound) / value for value, bound in zip(values, task.bounds, strict=False)]


def excess(task: PathTask, index: int, blocks: np.ndarray) -> float:
    assert task.bounds is not None
    value = task.at(task.regs[index]).objective(blocks)
    return (value - task.bounds[index]) / value


def check(task: PathTask, gaps: list[float], watch: Stopwatch) -> dict[str, Any]:
    return {"points": len(gaps), "largest_gap": max(gaps), "within": sum(gap <= GAP * (1 + 1e-9) for gap in gaps)}


RUNS: dict[str, Callable[[PathTask, Stopwatch], list[float]]] = {
    "convexnet": run_path,
    "convexnet, cold": run_cold,
    "celer": run_celer,
    "scnn": run_scnn,
}
