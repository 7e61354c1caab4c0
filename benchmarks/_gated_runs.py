"""Runs of the gated program: this package, CVXPY's solvers, and the peers. Each records objectives on the way.

The peers' clocks stand still while their iterates are measured by this package's objective. A solver that is asked for
an accuracy and returns one solution is called with tolerances 1e-1, 1e-2, ... anew (clock at zero), until the objective
is within the target: what it needs for a gap is the time of its fastest call that reached it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from _data import GatedCase, find_case, sum_of_neurons
from _peers import fit_celer, fit_scnn_gated, fit_skglm, materialised
from _stopwatch import Stopwatch

from convexnet import GatedNetwork, TrainingProblem
from convexnet.arrangements import PatternSet, pattern_matrix
from convexnet.pricing import dual_bound, feasible_dual, price_gated, relative_gap

TOLERANCES = tuple(10.0**-power for power in range(1, 13))


@dataclass
class Task:
    """A built case, and its gates as numbers where they are asked for."""

    case: GatedCase
    problem: TrainingProblem
    patterns: PatternSet

    @cached_property
    def gates(self) -> np.ndarray:
        return pattern_matrix(self.problem.extended, self.patterns).astype(np.float64)

    def _some(self, used: np.ndarray) -> np.ndarray:
        """Columns of the gates, without writing out the others."""
        if "gates" in vars(self):
            return self.gates[:, used]
        return pattern_matrix(self.problem.extended, self.patterns)[:, used].astype(np.float64)

    def fit(self, blocks: np.ndarray) -> np.ndarray:
        """Predictions of blocks (q, P) or (q, P, k); gates without weights are skipped."""
        used = np.flatnonzero(np.any(blocks.reshape(len(blocks), blocks.shape[1], -1) != 0, axis=(0, 2)))
        gates, rows = self._some(used), self.problem.extended
        if blocks.ndim == 2:
            return np.einsum("nq,nq->n", rows, gates @ blocks[:, used].T)
        outputs = [np.einsum("nq,nq->n", rows, gates @ blocks[:, used, k].T) for k in range(blocks.shape[2])]
        return np.column_stack(outputs)

    def objective(self, blocks: np.ndarray) -> float:
        """Loss plus reg times the group norms, as ``gated_objective``."""
        if not np.isfinite(blocks).all():
            return math.inf
        if blocks.ndim == 2 or self.case.group == "frobenius":
            norms = np.linalg.norm(blocks.reshape(len(blocks), blocks.shape[1], -1), axis=(0, 2)).sum()
        else:
            used = np.moveaxis(blocks, 1, 0)[np.any(blocks != 0, axis=(0, 2))]
            norms = np.linalg.svd(used, compute_uv=False).sum() if len(used) else 0.0
        return self.problem.loss_value(self.fit(blocks)) + self.problem.reg * float(norms)


def build(case: str) -> Task:
    found = find_case(case)
    return Task(found, *found.build())


def warm_up(solver: str) -> None:
    """A tiny case: imports, and compilation where a peer compiles."""
    X, y = sum_of_neurons()
    tiny = GatedCase("warm-up", lambda: (X[:40], y[:40]), 5, 0.1)
    RUNS[solver](Task(tiny, *tiny.build()), Stopwatch(5.0))
    if solver == "skglm":
        signs = GatedCase("warm-up", lambda: (X[:40], np.sign(y[:40])), 5, 0.1, "logistic")
        RUNS[solver](Task(signs, *signs.build()), Stopwatch(5.0))


def run_convexnet(task: Task, watch: Stopwatch, *, method: str = "auto", tol: float = 1e-6) -> np.ndarray:
    from convexnet.solvers import solve_gated

    limit = 3 * watch.seconds
    watch.start()
    result = solve_gated(
        task.problem, task.patterns, group=task.case.group, method=method, tol=tol, time_limit=limit,
        callback=lambda progress: watch.point(progress.objective, progress.gap),
    )  # fmt: skip
    watch.stop()
    watch.point(result.objective, result.gap)
    watch.note.update(solver_status=result.status, method=result.method, iterations=result.iterations)
    watch.note.update(nu=result.nu, proven_gap=result.gap, size=result.size)
    return result.blocks


def run_reference(task: Task, watch: Stopwatch) -> np.ndarray:
    """The lower bound for everybody; not timed."""
    return run_convexnet(task, watch, tol=1e-9)


def run_program(task: Task, watch: Stopwatch, *, solver: str) -> np.ndarray:
    """CVXPY's model of this package, building and compiling included."""
    from convexnet.programs import build_gated

    def call(tol: float) -> np.ndarray:
        program = build_gated(task.problem, task.patterns, group=task.case.group)
        options = {} if solver == "ECOS" else {"time_limit": watch.seconds}
        program.solve(solver, tol=tol, **options)
        U = program.variables["U"].value
        if task.problem.scalar:
            return U
        q = task.problem.extended.shape[1]
        return np.moveaxis(U.reshape(-1, q, task.problem.n_outputs), 0, 1)

    return tightened(task, watch, call, TOLERANCES[1:9:2] if solver != "SCS" else TOLERANCES[1:7])


def run_celer(task: Task, watch: Stopwatch) -> np.ndarray:
    design = materialised(task.problem.extended, task.gates)
    return tightened(task, watch, partial(fit_celer, task.problem, design))


def run_skglm(task: Task, watch: Stopwatch) -> np.ndarray:
    design = materialised(task.problem.extended, task.gates)
    return tightened(task, watch, partial(fit_skglm, task.problem, design))


def tightened(
    task: Task, watch: Stopwatch, call: Callable[[float], np.ndarray], tolerances: tuple[float, ...] = TOLERANCES
) -> np.ndarray:
    """Fresh calls at tighter and tighter tolerances until the target, or all the seconds together, are reached."""
    spent, best = 0.0, np.zeros((task.problem.extended.shape[1], task.gates.shape[1]))
    value = math.inf
    for tol in tolerances:
        watch.reset()
        watch.start()
        blocks = call(tol)
        watch.stop()
        objective = task.objective(blocks)
        over = watch.point(objective)
        spent += watch.cpu
        if objective < value:
            value, best = objective, blocks
        if over or spent > watch.seconds:
            break
    watch.note["cpu_of_all_calls"] = round(spent, 3)
    return best


def run_scnn(task: Task, watch: Stopwatch) -> np.ndarray:
    return fit_scnn_gated(task.problem, task.gates, task.objective, watch)


def check(task: Task, blocks: np.ndarray, watch: Stopwatch) -> dict[str, Any]:
    """Objective of the network by ``gated_objective`` and the bound that its own residual proves."""
    problem, group = task.problem, task.case.group
    network = GatedNetwork(gates=task.patterns.witnesses, weights=blocks)
    objective = problem.gated_objective(network, group)
    nu = watch.note.pop("nu", None)
    nu = -problem.gradient(task.fit(blocks)) if nu is None else nu
    point = feasible_dual(problem, nu)
    bound, _ = dual_bound(problem, point, price_gated(problem, point.nu, task.patterns, group=group).bound)
    return {"objective": objective, "lower_bound": bound, "gap": relative_gap(objective, bound)}


RUNS: dict[str, Callable[[Task, Stopwatch], np.ndarray]] = {
    "convexnet": run_convexnet,
    "convexnet fista": partial(run_convexnet, method="fista"),
    "reference": run_reference,
    "scnn": run_scnn,
    "celer": run_celer,
    "skglm": run_skglm,
    "cvxpy clarabel": partial(run_program, solver="CLARABEL"),
    "cvxpy ecos": partial(run_program, solver="ECOS"),
    "cvxpy scs": partial(run_program, solver="SCS"),
}
