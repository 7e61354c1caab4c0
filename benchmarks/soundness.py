"""Soundness: every bound on M(nu), and every lower bound of the objective, against exact enumeration on random data.

Each instance is drawn to be awkward: ties, duplicate and parallel rows, zero rows, constant columns, grids, more
features than samples, dual vectors with zeros, at the bounds of their domain, or of a trained network. A bound below
the attained maximum, or a lower bound above an attained objective, is a failure. Failures are printed, then a summary.

    python benchmarks/soundness.py --instances 10000 --jobs 2
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convexnet import ShallowNetwork, TrainingProblem, enumerate_patterns
from convexnet.errors import ConvexNetWarning
from convexnet.networks.activations import activate
from convexnet.pricing import (
    CellPricer,
    PricingResult,
    dual_bound,
    feasible_dual,
    price_cones,
    price_moment,
    price_slabs,
    price_spectral,
)

LOSSES = ("squared", "logistic", "huber", "absolute", "hinge", "interpolation")
BIASES = ("penalized", "free", "none")
ACTIVATIONS = ("relu", "relu", "leaky", "absolute")
_EPS = float(np.finfo(np.float64).eps)
_MOST_CELLS = 4000

Bound = Callable[[TrainingProblem, np.ndarray, float], PricingResult]
"""Takes a problem, a dual vector and a target; returns a pricing result."""


def bounds(backend: str = "numpy") -> dict[str, Bound]:
    """Every bound on M(nu) that needs no list of cells, the searches once to the end and once cut short."""

    def cones(nodes: int) -> Bound:
        return lambda problem, nu, target: price_cones(
            problem, nu, target=target, node_limit=nodes, time_limit=2.0, backend=backend
        )

    def slabs(nodes: int) -> Bound:
        return lambda problem, nu, target: price_slabs(
            problem, nu, target=target, node_limit=nodes, time_limit=2.0, backend=backend
        )

    return {
        "singular values": lambda problem, nu, target: price_spectral(problem, nu),
        "moment": lambda problem, nu, target: price_moment(problem, nu, target=target, iterations=25),
        "cones": cones(4000),
        "cones, few nodes": cones(12),
        "slabs": slabs(24),
        "slabs, few nodes": slabs(4),
    }


@dataclass
class Outcome:
    """What one instance showed."""

    seed: int
    description: str
    truth: float
    failures: list[str] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------- instances
def random_data(generator: np.random.Generator) -> np.ndarray:
    """A matrix with n in 3..40 and d in 1..4, small enough that all cells can be listed."""
    d = int(generator.integers(1, 5))
    most = {1: 41, 2: 41, 3: 25, 4: 13}[d]
    n = int(generator.integers(3, most))
    kind = generator.choice(["normal", "grid", "signs", "duplicates", "parallel", "low rank", "scaled", "constant"])
    X = generator.standard_normal((n, d))
    if kind == "grid":
        X = generator.integers(-2, 3, (n, d)) * float(generator.choice([1.0, 0.1, 1 / 3]))
    elif kind == "signs":
        X = generator.choice([-1.0, 1.0], (n, d))
    elif kind == "duplicates":
        X = X[generator.integers(0, max(1, n // 2), n)]
    elif kind == "parallel":
        X = X[generator.integers(0, max(1, n // 2), n)] * generator.choice([-2.0, -1.0, 0.3, 1.0, 3.0], (n, 1))
    elif kind == "low rank":
        X = generator.standard_normal((n, 1)) @ generator.standard_normal((1, d))
    elif kind == "scaled":
        X = X * 10.0 ** generator.integers(-3, 4, d)
    elif kind == "constant":
        X[:, 0] = float(generator.choice([0.0, 1.0, -2.5]))
    if generator.random() < 0.15:
        X[generator.integers(0, n, 2)] = 0.0
    return np.ascontiguousarray(X)


def random_instance(seed: int) -> TrainingProblem:
    """A problem of any scalar loss, bias rule and activation."""
    generator = np.random.default_rng(seed)
    X = random_data(generator)
    loss = str(generator.choice(LOSSES))
    y = generator.standard_normal(len(X)) if generator.random() < 0.7 else np.round(generator.standard_normal(len(X)))
    if loss in ("logistic", "hinge"):
        y = np.where(generator.random(len(X)) < 0.5, -1.0, 1.0)
        y[:2] = 1.0, -1.0
    weights = generator.integers(0, 3, len(X)).astype(float) if generator.random() < 0.1 else None
    if weights is not None and not weights.any():
        weights = None
    return TrainingProblem(
        X, y, loss=loss, reg=None if loss == "interpolation" else float(10.0 ** generator.uniform(-2, 1)),
        bias=str(generator.choice(BIASES)), activation=str(generator.choice(ACTIVATIONS)), sample_weight=weights,
        negative_slope=float(generator.uniform(0, 0.9)), intercept=True if generator.random() < 0.15 else None,
        norm="l1" if generator.random() < 0.05 else "l2",
    )  # fmt: skip


def random_dual(problem: TrainingProblem, generator: np.random.Generator) -> np.ndarray:
    """Any vector, or minus the gradient at some network, with zeros and ties now and then."""
    if generator.random() < 0.4:
        network = random_network(problem, generator)
        nu = -problem.gradient(network.predict(problem.X)) if problem.loss.name != "interpolation" else problem.y
    else:
        nu = generator.standard_normal(problem.n) * float(10.0 ** generator.uniform(-2, 2))
    if generator.random() < 0.3:
        nu = np.where(generator.random(problem.n) < 0.4, 0.0, nu)
    return np.round(nu, 1) if generator.random() < 0.2 else nu


def random_network(problem: TrainingProblem, generator: np.random.Generator) -> ShallowNetwork:
    """One to four neurons of the problem's class, of no particular quality."""
    m = int(generator.integers(1, 5))
    biases = np.zeros(m) if problem.bias == "none" else generator.standard_normal(m)
    return ShallowNetwork(
        generator.standard_normal((m, problem.d)), biases, 0.3 * generator.standard_normal(m),
        activation=problem.activation, negative_slope=problem.negative_slope,
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- checks
def check_instance(seed: int, backend: str = "numpy", names: tuple[str, ...] = ()) -> Outcome | None:
    """Compare every bound (or those named) with the exact value; None if the instance has too many cells to list."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvexNetWarning)
        problem = random_instance(seed)
        generator = np.random.default_rng([seed, 1])
        try:
            patterns = enumerate_patterns(problem.extended, max_cells=_MOST_CELLS)
        except ValueError:
            return None
        point = feasible_dual(problem, random_dual(problem, generator))
        exact = CellPricer(problem, patterns).price(point.nu)
        truth = max(exact.value, _sampled(problem, point.nu, generator))
        outcome = Outcome(seed, repr(problem), truth)
        objective = _attained(problem, generator)
        for name, bound in bounds(backend).items():
            if name in names or not names:
                _check_bound(outcome, name, bound, problem, point, objective)
        return outcome


def _check_bound(
    outcome: Outcome, name: str, bound: Bound, problem: TrainingProblem, point: Any, objective: float
) -> None:
    start = time.perf_counter()
    truth = outcome.truth
    result = bound(problem, point.nu, truth * (1 + 1e-9))
    outcome.seconds[name] = time.perf_counter() - start
    sizes = np.linalg.norm(problem.extended, axis=1)
    far = max(1.0, float(np.linalg.norm(result.atom)))  # a far bias cancels in the sum, its rounding does not
    rounding = 4 * (problem.n + problem.d + 2) * _EPS * float(np.abs(point.nu) @ sizes) * far
    if not result.bound >= truth - rounding:
        outcome.failures.append(f"{name}: bound {result.bound!r} < M {truth!r}")
    if not result.value <= result.bound:
        outcome.failures.append(f"{name}: value {result.value!r} > bound {result.bound!r}")
    if problem.norm == "l2":
        reached = abs(float(point.nu @ activate(problem.extended @ result.atom, problem.kappa)))
        if result.value > reached + rounding:
            outcome.failures.append(f"{name}: value {result.value!r} is not attained by its atom ({reached!r})")
    lower = dual_bound(problem, point, result.bound + point.pricing_slack(problem))[0]
    if lower > objective * (1 + 1e-12):
        outcome.failures.append(f"{name}: lower bound {lower!r} > objective {objective!r}")
    outcome.ratios[name] = result.bound / truth if truth > 0 else 1.0


def _sampled(problem: TrainingProblem, nu: np.ndarray, generator: np.random.Generator) -> float:
    """A second opinion on M(nu): the best of a few hundred random directions."""
    directions = generator.standard_normal((problem.extended.shape[1], 300))
    part = directions[:-1] if problem.bias == "free" else directions
    directions /= np.linalg.norm(part, 1 if problem.norm == "l1" else 2, axis=0)
    responses = np.abs(nu @ activate(problem.extended @ directions, problem.kappa))
    sizes = np.abs(nu) @ (np.linalg.norm(problem.extended, axis=1)[:, None] * np.linalg.norm(directions, axis=0))
    return float(np.max(responses - 4 * (problem.n + problem.d + 2) * _EPS * sizes))


def _attained(problem: TrainingProblem, generator: np.random.Generator) -> float:
    """Best objective among some networks: random ones with refitted amplitude, and the null model."""
    best = math.inf
    if problem.loss.name == "interpolation":
        return best
    for _ in range(5):
        network = random_network(problem, generator)
        for scale in (0.0, 0.1, 0.5, 1.0, 2.0):
            scaled = ShallowNetwork(
                network.weights, network.biases, scale * network.output_weights, activation=problem.activation,
                negative_slope=problem.negative_slope,
            )  # fmt: skip
            best = min(best, problem.objective(scaled))
    return best


def run(seeds: range, jobs: int = 1, backend: str = "numpy") -> Iterator[Outcome]:
    """Outcomes of the instances that could be enumerated."""
    if jobs == 1:
        outcomes: Iterator[Outcome | None] = (check_instance(seed, backend) for seed in seeds)
    else:
        from joblib import Parallel, delayed

        parallel = Parallel(n_jobs=jobs, return_as="generator", batch_size=20)
        outcomes = parallel(delayed(check_instance)(seed, backend) for seed in seeds)
    yield from (outcome for outcome in outcomes if outcome is not None)


def main() -> int:
    """Check the instances asked for and print a summary; exit status 1 after any failure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--backend", choices=("numpy", "numba"), default="numpy", help="of the searches")
    arguments = parser.parse_args()
    ratios: dict[str, list[float]] = {name: [] for name in bounds()}
    seconds: Counter[str] = Counter()
    failures, count, start = 0, 0, time.perf_counter()
    for outcome in run(range(arguments.first, 2**62), arguments.jobs, arguments.backend):
        count += 1
        failures += len(outcome.failures)
        for name, ratio in outcome.ratios.items():
            ratios[name].append(ratio)
            seconds[name] += outcome.seconds[name]
        if outcome.failures:
            print(json.dumps({"seed": outcome.seed, "problem": outcome.description, "failures": outcome.failures}))
            sys.stdout.flush()
        if count >= arguments.instances:
            break
    summary = {
        name: {
            "median": round(float(np.median(values)), 9), "90 %": round(float(np.quantile(values, 0.9)), 9),
            "largest": round(float(np.max(values)), 6),
            "within 1e-6": round(float(np.mean(np.less(values, 1 + 1e-6))), 4),
            "seconds": round(seconds[name], 1),
        }
        for name, values in ratios.items()
    }  # fmt: skip
    print(json.dumps({
        "instances": count, "failures": failures, "seconds": round(time.perf_counter() - start, 1),
        "bound divided by M(nu)": summary,
    }))  # fmt: skip
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
