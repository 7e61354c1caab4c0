"""Complete enumeration of activation patterns: cells, seconds, peak memory. One JSON object a line."""

from __future__ import annotations

import json
import resource
import time

import numpy as np
from sklearn.datasets import load_diabetes

from convexnet import enumerate_patterns
from convexnet.arrangements import cover_count, exact_rank
from convexnet.datasets import standardized


def with_ones(X: np.ndarray) -> np.ndarray:
    return np.column_stack([X, np.ones(len(X))])


def cases() -> dict[str, np.ndarray]:
    bunch = load_diabetes()
    columns = [bunch.feature_names.index(name) for name in ("bmi", "s5")]
    scaled = bunch.data[:, columns]
    raw = load_diabetes(scaled=False).data[:, columns]
    decimals = np.round(raw * np.array([10.0, 1e4]))
    axis = np.arange(20.0)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    generator = np.random.default_rng(0)
    return {
        "diabetes, scaled floats": with_ones(scaled),
        "diabetes, standardised": with_ones(standardized(scaled)),
        "diabetes, decimals as integers": with_ones(decimals),
        "grid 20 x 20": with_ones(grid),
        "generic rank 4, n = 60": generator.standard_normal((60, 4)),
        "generic rank 5, n = 30": generator.standard_normal((30, 5)),
    }


if __name__ == "__main__":
    for name, X in cases().items():
        start = time.perf_counter()
        patterns = enumerate_patterns(X)
        record = {
            "case": name,
            "n": len(X),
            "cells": len(patterns),
            "cover_bound": cover_count(len(X), exact_rank(X)),
            "proof": patterns.proof,
            "seconds": round(time.perf_counter() - start, 3),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        print(json.dumps(record), flush=True)
