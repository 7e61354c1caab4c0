"""Runs of ReLU training: this package, L-BFGS, and scnn's augmented Lagrangian over sampled cones.

Every network is measured by ``TrainingProblem.objective``. scnn draws its own cones, and its iterates violate them a
little; what is measured is the ReLU network with their weights, ``sum_p sigma(X v_p) - sigma(X w_p)``, which is
feasible by itself, and the best one met counts. ``reg`` is a share of the smallest reg at which the empty network is
optimal, as far as an ascent from 512 points finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from _data import RELU, ReluCase, sum_of_neurons
from _peers import fit_scnn_relu, scnn_gates
from _stopwatch import Stopwatch

from convexnet import ShallowNetwork, TrainingProblem

Task = TrainingProblem


@dataclass
class Best:
    """The best network so far."""

    problem: TrainingProblem
    objective: float = np.inf
    network: ShallowNetwork | None = None

    def offer(self, directions: np.ndarray, signs: np.ndarray) -> float:
        """Measure neurons given as rows, scaled by their amplitudes."""
        if not np.isfinite(directions).all():
            return np.inf
        used = np.any(directions != 0, axis=1)
        network = ShallowNetwork(directions[used], np.zeros(int(used.sum())), signs[used])
        value = self.problem.objective(network)
        if value < self.objective:
            self.objective, self.network = value, network
        return value


def build(case: str) -> Task:
    return next(known for known in RELU if known.name == case).build()


def warm_up(solver: str) -> None:
    X, y = sum_of_neurons()
    tiny = ReluCase("warm-up", lambda: (X[:40], y[:40]), 0.1)
    RUNS[solver](tiny.build(), Stopwatch(2.0))


def run_convexnet(problem: Task, watch: Stopwatch) -> ShallowNetwork:
    from convexnet.solvers import solve_relu

    watch.start()
    result = solve_relu(
        problem, time_limit=3 * watch.seconds, callback=lambda progress: watch.point(progress.objective, progress.gap)
    )
    watch.stop()
    watch.point(result.objective, result.pricing_gap)
    watch.note.update(
        solver_status=result.status, pricing_gap=result.pricing_gap, rounds=result.iterations, starts=result.n_starts
    )
    return result.network


def run_baseline(problem: Task, watch: Stopwatch) -> ShallowNetwork:
    """``convexnet.baselines.train``: L-BFGS with kinks rounded off first, eight starts of width 100."""
    from convexnet.baselines import train

    def seen(iteration: int, objectives: np.ndarray) -> bool:
        return watch.point(float(np.min(objectives)))

    watch.start()
    runs = train(problem, method="lbfgs", width=100, time_limit=3 * watch.seconds, callback=seen)
    watch.stop()
    watch.point(runs.best_objective)
    return runs.best


def run_plain(problem: Task, watch: Stopwatch) -> ShallowNetwork:
    """scipy's L-BFGS on balanced weights of width 100 as it comes, one random start after the other."""
    from scipy.optimize import minimize

    X, reg, width, best = problem.extended, problem.reg, 100, Best(problem)
    q, generator = X.shape[1], np.random.default_rng(0)

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        U, v = theta[: width * q].reshape(width, q), theta[width * q :]
        Z = X @ U.T
        hidden = np.maximum(Z, 0)
        fit = hidden @ v
        slope = problem.gradient(fit)
        dU = ((Z > 0) * np.outer(slope, v)).T @ X + reg * U
        dv = hidden.T @ slope + reg * v
        return problem.loss_value(fit) + reg / 2 * (theta @ theta), np.concatenate([dU.ravel(), dv])

    def seen(theta: np.ndarray) -> None:
        with watch.held():
            U, v = theta[: width * q].reshape(width, q), theta[width * q :]
            best.offer(np.abs(v)[:, None] * U, np.sign(v))
            if watch.point(best.objective):
                raise StopIteration

    watch.start()
    while watch.cpu <= watch.seconds:
        start = generator.standard_normal((width, q + 1)) * np.append(np.full(q, q**-0.5), width**-0.5)
        theta = np.concatenate([start[:, :q].ravel(), start[:, q]])
        minimize(value, theta, jac=True, method="L-BFGS-B", callback=seen, options={"maxiter": 3000, "maxfun": 10**6})
        with watch.held():
            if watch.point(best.objective):
                break
    watch.stop()
    assert best.network is not None
    return best.network


def run_scnn(problem: Task, watch: Stopwatch, *, n_gates: int) -> ShallowNetwork:
    best = Best(problem)

    def measure(V: np.ndarray, W: np.ndarray) -> float:
        signs = np.concatenate([np.ones(len(V)), -np.ones(len(W))])
        return best.offer(np.vstack([V, W]), signs)

    if problem.loss.name != "squared":
        raise NotImplementedError("scnn has the squared loss only")
    fit_scnn_relu(problem, scnn_gates(problem, n_gates), measure, watch)
    assert best.network is not None
    return best.network


def check(problem: Task, network: ShallowNetwork, watch: Stopwatch) -> dict[str, Any]:
    return {"objective": problem.objective(network), "neurons": network.n_neurons}


RUNS: dict[str, Callable[[Task, Stopwatch], ShallowNetwork]] = {
    "convexnet": run_convexnet,
    "L-BFGS, kinks rounded": run_baseline,
    "L-BFGS, plain": run_plain,
    "scnn, 200 cones": partial(run_scnn, n_gates=200),
    "scnn, 1000 cones": partial(run_scnn, n_gates=1000),
}
