"""Label noise: the convex optimum beside L-BFGS on the explicit penalty and descent with noisy labels. JSON lines.

    python benchmarks/label_noise.py --out benchmarks/results          # about five minutes
    python benchmarks/label_noise.py --parts descent --starts 60

``descent``: eight points in one and two dimensions; excess of the best and the median of 60 random starts over the
certified optimum, with the kink as it is and rounded off less and less.

``sgd``: nothing is penalised; noise on the labels of variance 2 reg / rate, fresh in every step. ``objective``: the
penalised objective of mean iterates over its certified minimum. ``settled``: the penalty of an exact fit near them over
that of the exact fit of smallest penalty, which is certified, too; NaN starts (no exact fit nearby) are counted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import convexnet
from convexnet import TrainingProblem
from convexnet.baselines import label_noise_sgd, train_label_noise
from convexnet.networks import label_noise_penalty

Record = dict[str, Any]
PARTS = ("descent", "sgd")
SEEDS = (0, 1, 2)
STEPS = ((0.01, 100_000), (0.003, 300_000), (0.001, 600_000))


def eight_points(d: int, seed: int) -> TrainingProblem:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((8, d)), rng.standard_normal(8)
    return TrainingProblem(X, y, reg=0.1, norm="label_noise")


def fitted_points(d: int, reg: float) -> TrainingProblem:
    """Points that a network fits exactly at a moderate penalty."""
    rng = np.random.default_rng(0)
    if d == 1:
        x = np.linspace(-1, 1, 6) + 0.05 * rng.standard_normal(6)
        return TrainingProblem(x[:, None], np.sin(3 * x), reg=reg, norm="label_noise")
    X = rng.uniform(-1, 1, (10, 2))
    return TrainingProblem(X, np.abs(X[:, 0]) - X[:, 1] ** 2, reg=reg, norm="label_noise")


def descent(starts: int) -> Iterator[Record]:
    for d in (1, 2):
        for seed in SEEDS:
            problem = eight_points(d, seed)
            solution = convexnet.solve(problem, tol=1e-8)
            network, bound = solution.network, solution.certificate.lower_bound
            own = problem.loss_value(network.predict(problem.X)) + problem.reg * label_noise_penalty(network, problem.X)
            record = {
                "part": "descent", "d": d, "seed": seed, "optimum": solution.objective, "lower_bound": bound,
                "verdict": solution.certificate.verdict, "neurons": solution.size,
                "own_objective_difference": own - solution.objective, "starts": starts,
            }  # fmt: skip
            for name, rounding in (("plain", False), ("rounded", True)):
                runs = train_label_noise(problem, width=60, n_starts=starts, rounding=rounding)
                record[name] = {
                    "best": runs.best_objective, "median": runs.median_objective, "seconds": runs.time,
                    "below_bound": int(np.sum(runs.objectives < bound)),
                    "best_excess": runs.best_objective / bound - 1, "median_excess": runs.median_objective / bound - 1,
                }  # fmt: skip
            yield record


def sgd(starts: int) -> Iterator[Record]:
    for d in (1, 2):
        for reg, steps in STEPS:
            problem = fitted_points(d, reg)
            penalised = convexnet.solve(problem).certificate
            exact = convexnet.solve(problem.with_options(loss="interpolation")).certificate
            runs = label_noise_sgd(problem, width=40, n_starts=starts, max_iter=steps, n_records=10)
            objective, settled = runs.objectives / penalised.lower_bound, runs.settled / exact.lower_bound
            yield {
                "part": "sgd", "d": d, "reg": reg, "steps": steps, "starts": starts, "seconds": runs.time,
                "learning_rate": runs.learning_rate, "noise": runs.noise, "ended": runs.ended,
                "optimum": penalised.upper_bound, "verdicts": [penalised.verdict, exact.verdict],
                "smallest_penalty": exact.upper_bound,
                "objective_first": spread(objective[0]), "objective_last": spread(objective[-1]),
                "settled_first": spread(settled[0]), "settled_last": spread(settled[-1]),
                "settled_best": float(np.nanmin(settled)), "settled_missing": int(np.isnan(settled[-1]).sum()),
            }  # fmt: skip


def spread(values: np.ndarray) -> list[float] | None:
    """Smallest, median and largest of what is known."""
    known = values[np.isfinite(values)]
    return [float(v) for v in (known.min(), np.median(known), known.max())] if known.size else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--starts", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    begin, records = time.perf_counter(), []
    for part in options.parts:
        run, count = (descent, 60) if part == "descent" else (sgd, 6)
        for record in run(options.starts or count):
            records.append(record)
            print(json.dumps(record), flush=True)
    print(json.dumps({"seconds": time.perf_counter() - begin}))
    if options.out is not None:
        (options.out / "label_noise.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
