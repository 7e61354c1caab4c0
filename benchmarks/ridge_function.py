"""A ridge function in the plane: networks with free biases and a skip connection beside thin-plate splines.

    python benchmarks/ridge_function.py --out benchmarks/results

Target ``3 (w . x - 0.1)_+``, inputs uniform on the square, noise of deviation 0.2. Every method has its best smoothing
parameter (judged by the target itself, on fresh points), so only the function classes are compared.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import convexnet
from convexnet._versions import versions

SIZES = (20, 40, 80)
NOISE = 0.2
RATIOS = np.geomspace(0.5, 0.01, 9)
SMOOTHINGS = np.geomspace(1e-4, 1e3, 29)
DIRECTION = np.array([1.0, 0.6]) / np.hypot(1.0, 0.6)


def target(X: np.ndarray) -> np.ndarray:
    return 3.0 * np.maximum(X @ DIRECTION - 0.1, 0.0)


def mse(f: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean((f - truth) ** 2))


def network_errors(X: np.ndarray, y: np.ndarray, T: np.ndarray) -> list[tuple[float, int, float]]:
    """(MSE, neurons, certified gap) for each reg."""
    problem = convexnet.TrainingProblem(X, y, reg=1.0, bias="free", skip=True)
    patterns = convexnet.enumerate_patterns(problem.extended)
    top = convexnet.reg_max(problem, patterns)
    found = []
    for ratio in RATIOS:
        solution = convexnet.solve(problem.with_options(reg=float(ratio * top)), patterns=patterns, time_limit=60)
        network = solution.network.reduced(X, "free")
        found.append((mse(network.predict(T), target(T)), network.n_neurons, solution.certificate.gap))
    return found


def thin_plate_errors(X: np.ndarray, y: np.ndarray, T: np.ndarray) -> list[float]:
    from scipy.interpolate import RBFInterpolator

    def fit(smoothing: float) -> Any:
        return RBFInterpolator(X, y, smoothing=smoothing, kernel="thin_plate_spline", degree=1)

    return [mse(fit(smoothing)(T), target(T)) for smoothing in SMOOTHINGS]


def one_draw(n: int, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng([n, seed])
    X = generator.uniform(-1, 1, (n, 2))
    y = target(X) + NOISE * generator.standard_normal(n)
    T = generator.uniform(-1, 1, (4000, 2))
    start = time.process_time()
    networks = network_errors(X, y, T)
    seconds = time.process_time() - start
    best = min(networks)
    return {
        "n": n, "seed": seed, "network": best[0], "neurons": best[1], "worst_gap": max(gap for *_, gap in networks),
        "cpu": seconds / len(networks), "thin_plate": min(thin_plate_errors(X, y, T)),
    }  # fmt: skip


def summarized(draws: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the draws; the ratio is that of the mean errors."""
    mean = {key: float(np.mean([draw[key] for draw in draws])) for key in ("network", "thin_plate", "neurons", "cpu")}
    ratios = [draw["thin_plate"] / draw["network"] for draw in draws]
    return {
        "n": draws[0]["n"], "draws": len(draws), **mean, "ratio": mean["thin_plate"] / mean["network"],
        "wins": sum(ratio > 1 for ratio in ratios), "worst_gap": max(draw["worst_gap"] for draw in draws),
        "versions": versions(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = []
    for n in SIZES:
        found.append(summarized([one_draw(n, seed) for seed in range(options.draws)]))
        print(json.dumps(found[-1]), flush=True)
    if options.out:
        (options.out / "ridge_function.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
