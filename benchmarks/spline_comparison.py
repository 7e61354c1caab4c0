"""Sparse linear splines beside cubic smoothing splines and kernel ridge regression on three functions.

    python benchmarks/spline_comparison.py --out benchmarks/results

Two judges choose each method's smoothing parameter: ``oracle``, the truth itself, so that only the function classes
are compared; ``cv``, five interleaved folds of the sample, the same for every method. ``gcv`` is what scipy's smoothing
spline chooses by itself, given x in units of the mean spacing: its search runs over (0, n) on a linear scale, so on x
in [0, 1] it smooths everything away, which would be no comparison. Kernel ridge chooses its bandwidth as well.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _targets import TARGETS, Sample, sample

from convexnet import get_loss
from convexnet._versions import versions
from convexnet.estimators import spline_path
from convexnet.estimators._spline_path import alpha_grid

DRAWS = {100: 40, 1000: 8}
COUNT, FOLDS = 49, 5
LAMBDAS = np.geomspace(1e-12, 1.0, COUNT)
BANDWIDTHS = np.geomspace(0.005, 0.5, 9)
RIDGES = np.geomspace(1e-6, 1e2, 33)


def tv_alphas(data: Sample) -> np.ndarray:
    return alpha_grid(COUNT, 1e-5, data.x, data.y, np.ones(data.x.size), get_loss("squared"))


def tv(x: np.ndarray, y: np.ndarray, points: np.ndarray, alphas: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    path = spline_path(x, y, alphas=alphas)
    assert path.gaps.max() < 1e-8
    return np.array([spline(points) for spline in path.splines]), list(path.n_knots)


def cubic(x: np.ndarray, y: np.ndarray, points: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """The minimisers of ``sum (y - f)^2 + lam int f''^2``; conditions that scipy refuses are skipped."""
    from scipy.interpolate import make_smoothing_spline

    values = np.full((COUNT, points.size), np.inf)
    for row, lam in enumerate(LAMBDAS):
        try:
            values[row] = make_smoothing_spline(x, y, lam=lam)(points)
        except (ValueError, np.linalg.LinAlgError):
            continue
    return values, list(LAMBDAS)


def kernel_ridge(x: np.ndarray, y: np.ndarray, points: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """Gaussian kernel, targets centred; one eigendecomposition serves all ridges of a bandwidth."""
    values, labels, mean = [], [], y.mean()
    for width in BANDWIDTHS:
        kernel = np.exp(-((x[:, None] - x) ** 2) / (2 * width**2))
        eigenvalues, vectors = np.linalg.eigh(kernel)
        across = np.exp(-((points[:, None] - x) ** 2) / (2 * width**2)) @ vectors
        scores = vectors.T @ (y - mean)
        for ridge in RIDGES:
            values.append(mean + across @ (scores / (np.maximum(eigenvalues, 0) + ridge)))
            labels.append((float(width), float(ridge)))
    return np.array(values), labels


METHODS: dict[str, Callable[..., tuple[np.ndarray, list[Any]]]] = {"tv": tv, "cubic": cubic, "kernel": kernel_ridge}


def judged(method: str, data: Sample) -> dict[str, Any]:
    """Errors with the setting that the truth prefers and with the one that interleaved folds prefer."""
    fit, start = METHODS[method], time.process_time()
    alphas = tv_alphas(data) if method == "tv" else np.zeros(0)
    values, labels = fit(data.x, data.y, data.grid, alphas)
    errors = np.mean((values - data.truth) ** 2, axis=1)
    place = np.arange(data.x.size) % FOLDS
    held_out = np.zeros(len(errors))
    for fold in range(FOLDS):
        rows, out = place != fold, place == fold
        guesses, _ = fit(data.x[rows], data.y[rows], data.x[out], alphas)
        held_out += np.sum((guesses - data.y[out]) ** 2, axis=1)
    best, chosen = int(np.argmin(errors)), int(np.argmin(held_out))
    edge = method != "kernel" and best in (0, len(errors) - 1)
    found = {"oracle": float(errors[best]), "cv": float(errors[chosen]), "edge": edge}
    if method == "tv":
        found |= {"knots_oracle": int(labels[best]), "knots_cv": int(labels[chosen])}
    if method == "cubic":
        found["gcv"] = gcv(data)
    return {**found, "cpu": time.process_time() - start}


def gcv(data: Sample) -> float:
    """scipy's own choice, x in units of the mean spacing."""
    from scipy.interpolate import make_smoothing_spline

    scale = (data.x.size - 1) / np.ptp(data.x)
    return data.error(make_smoothing_spline(data.x * scale, data.y)(data.grid * scale))


def summarized(target: str, n: int, draws: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Mean errors, and their ratios to those of the linear spline with the same judge; also how often it wins."""
    def mean(method: str, key: str) -> float:
        return float(np.mean([draw[method][key] for draw in draws]))

    record: dict[str, Any] = {"target": target, "n": n, "draws": len(draws)}
    for judge in ("oracle", "cv"):
        record[f"tv_{judge}"] = mean("tv", judge)
        record[f"knots_{judge}"] = mean("tv", f"knots_{judge}")
        for method in ("cubic", "kernel"):
            record[f"{method}_{judge}"] = mean(method, judge)
            record[f"{method}_{judge}_ratio"] = record[f"{method}_{judge}"] / record[f"tv_{judge}"]
            record[f"{method}_{judge}_wins"] = sum(draw["tv"][judge] < draw[method][judge] for draw in draws)
    record["cubic_gcv_ratio"] = mean("cubic", "gcv") / record["tv_cv"]
    record["at_edge_of_grid"] = sum(draw[method]["edge"] for draw in draws for method in draw)
    record["versions"] = versions()
    record["cpu"] = {method: mean(method, "cpu") for method in METHODS}
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(DRAWS))
    parser.add_argument("--draws", type=int, help="samples of each size; default: 40 of 100 points, 8 of 1000")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = []
    for n in options.sizes:
        for target in TARGETS:
            samples = [sample(target, n, seed) for seed in range(options.draws or DRAWS.get(n, 8))]
            found.append(summarized(target, n, [{name: judged(name, data) for name in METHODS} for data in samples]))
            print(json.dumps(found[-1]), flush=True)
    if options.out:
        (options.out / "spline_comparison.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
