"""Memorization: seconds, gaps, norms and neurons on diabetes and on random labels. One JSON list.

    python benchmarks/memorization.py --out benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes

from convexnet import memorize
from convexnet.errors import InfeasibleError, NotCertifiedWarning

SCALINGS = ("standardised", "scaled", "raw")
SIZES = {1: (10, 30, 100, 300), 2: (10, 30, 100), 3: (10, 20)}
Record = dict[str, Any]


def diabetes(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Body mass index and s5 of the 442 patients."""
    bunch = load_diabetes(scaled=kind == "scaled")
    X, y = bunch.data[:, [2, 8]], bunch.target
    return ((X - X.mean(axis=0)) / X.std(axis=0) if kind == "standardised" else X), y


def measured(X: np.ndarray, y: np.ndarray, **names: Any) -> Record:
    """One memorization, by the clock and by processor time."""
    options = {key: names[key] for key in ("bias", "skip") if key in names}
    start, used = time.perf_counter(), time.process_time()
    try:
        result = memorize(X, y, **options)
    except InfeasibleError as error:
        proof: Any = error.proof
        found = {"error": "InfeasibleError", "rows": proof.rows.tolist()}
    else:
        found = {
            "norm": result.path_norm, "gap": result.gap, "neurons": result.n_neurons, "status": result.status,
            "method": result.method, "rounds": len(result.history), "largest_residual": result.largest_residual,
        }  # fmt: skip
    seconds = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
    return {**names, "n": len(y), **found, **seconds}


def records() -> list[Record]:
    """Diabetes in three scalings (100 distinct rows, then all), then random labels on Gaussian inputs."""
    found = []
    for kind in SCALINGS:
        X, y = diabetes(kind)
        distinct = np.unique(X, axis=0, return_index=True)[1]
        for seed in range(3):
            rows = np.random.default_rng(seed).permutation(distinct)[:100]
            found.append(measured(X[rows], y[rows], data="diabetes", scaling=kind, seed=seed))
        found.append(measured(X, y, data="diabetes", scaling=kind))
    for d, sizes in SIZES.items():
        rng = np.random.default_rng(7)
        X, labels = rng.standard_normal((max(sizes), d)), rng.choice([-1.0, 1.0], max(sizes))
        for n in sizes:
            for options in ({}, {"bias": "free", "skip": True}):
                found.append(measured(X[:n], labels[:n], data="random labels", features=d, **options))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for memorization.json")
    folder = parser.parse_args().out
    warnings.simplefilter("ignore", NotCertifiedWarning)
    found = records()
    for record in found:
        print(json.dumps(record))
    if folder is not None:
        (folder / "memorization.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
