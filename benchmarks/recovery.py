"""Sensing matrices of hyperplane arrangements: coherence, null-space constants, recovery rates. One JSON object a line.

    python benchmarks/recovery.py --out benchmarks/results
    python benchmarks/recovery.py --table          # the tables of docs/theory/sensing.rst from the file
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from convexnet import TrainingProblem, enumerate_patterns, reg_max, solve
from convexnet.sparse import (
    arrangement_dictionary,
    coherence_floor,
    juditsky_nemirovski,
    mutual_coherence,
    recovery_rate,
)

SPARSITIES = (1, 2, 3, 4, 5, 6)
DRAWS, TRIALS = 5, 40
CASES = (  # features, samples, atoms
    *((1, n, "centre") for n in (10, 20, 40, 80)),
    *((2, n, "centre") for n in (8, 15, 20)),
    (3, 10, "centre"),
    (1, 20, "dual"), (2, 15, "dual"), (2, 20, "dual"),
    (1, 20, "random"), (2, 15, "random"), (2, 20, "random"),
    (1, 20, "Gaussian"), (2, 15, "Gaussian"), (2, 20, "Gaussian"),
)  # fmt: skip
RESULTS = Path(__file__).resolve().parent / "results" / "recovery.json"
Record = dict[str, Any]


def data(d: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian samples with a column of ones, and targets of a network of three neurons plus noise."""
    rng = np.random.default_rng([seed, n, d])
    X = np.column_stack([rng.standard_normal((n, d)), np.ones(n)])
    y = np.maximum(X @ rng.standard_normal((d + 1, 3)), 0) @ rng.standard_normal(3)
    return X, y + 0.1 * rng.standard_normal(n)


def matrices(d: int, n: int, atoms: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit columns, and outputs of unit neurons (for Gaussian columns the same)."""
    X, y = data(d, n, seed)
    patterns = enumerate_patterns(X)
    rng = np.random.default_rng([seed, n, d, 7])
    if atoms == "Gaussian":
        A = rng.standard_normal((n, len(patterns) - 1))
        return A / np.linalg.norm(A, axis=0), A / np.linalg.norm(A, axis=0)
    if atoms == "random":
        rays = [patterns.rays.of(p) for p in range(len(patterns))]
        directions = np.column_stack([rays_of @ rng.exponential(size=rays_of.shape[1]) for rays_of in rays])
        A = np.maximum(X @ (directions / np.linalg.norm(directions, axis=0)), 0)
        A = A[:, A.any(axis=0)]
        return A / np.linalg.norm(A, axis=0), A
    nu = None
    if atoms == "dual":
        problem = TrainingProblem(X[:, :-1], y, reg=1.0)
        problem = TrainingProblem(X[:, :-1], y, reg=0.02 * reg_max(problem))
        nu = solve(problem).certificate.nu
    found = arrangement_dictionary(X, patterns, nu=nu)
    return found.matrix, found.outputs


def separated(A: np.ndarray) -> Any:
    """Supports without two columns of correlation above 0.9, by rejection; the last draw where none is found."""
    near = np.abs(A.T @ A) > 0.9
    np.fill_diagonal(near, False)

    def draw(generator: np.random.Generator, s: int) -> np.ndarray:
        chosen: list[int] = []
        for column in generator.permutation(len(near)):
            if not near[column, chosen].any():
                chosen.append(int(column))
            if len(chosen) == s:
                break
        rest = [column for column in generator.permutation(len(near)) if column not in chosen]
        return np.array(chosen + rest[: s - len(chosen)])

    return draw


def measure(d: int, n: int, atoms: str) -> Record:
    """One case: the worst and the best over the draws, and pooled rates."""
    start, rows = time.process_time(), []
    rates = {name: np.zeros((3, len(SPARSITIES)), dtype=int) for name in ("unit", "outputs", "separated")}
    for seed in range(DRAWS):
        unit, outputs = matrices(d, n, atoms, seed)
        coherence, gamma = mutual_coherence(unit), juditsky_nemirovski(unit, 1)
        weighted = juditsky_nemirovski(outputs, 1)
        floor = 0.0 if atoms == "Gaussian" else coherence_floor(data(d, n, seed)[0])
        rows.append((unit.shape[1], coherence, gamma, weighted, floor))
        for name, matrix, draw in (
            ("unit", unit, None), ("outputs", outputs, None), ("separated", unit, separated(unit)),
        ):  # fmt: skip
            curve = recovery_rate(matrix, SPARSITIES, n_trials=TRIALS, draw=draw, random_state=seed)
            rates[name] += np.array([curve.unique, curve.refuted, curve.undecided])
    return {
        "case": f"{d}-D n={n}, {atoms}", "atoms": [row[0] for row in rows],
        "floor": min(row[4] for row in rows),
        "coherence": [min(row[1].lower for row in rows), max(row[1].upper for row in rows)],
        "nearest": float(np.median([np.median(row[1].nearest) for row in rows])),
        "gamma": [min(row[2].lower for row in rows), max(row[2].upper for row in rows)],
        "certified": max(row[2].certified_sparsity for row in rows),
        "refuted": sparsest([row[2].refuted_sparsity for row in rows]),
        "gamma_outputs": [min(row[3].lower for row in rows), max(row[3].upper for row in rows)],
        "certified_outputs": max(row[3].certified_sparsity for row in rows),
        "refuted_outputs": sparsest([row[3].refuted_sparsity for row in rows]),
        "trials": DRAWS * TRIALS,
        **{f"rate_{name}": (counts[0] / counts.sum(axis=0)).round(4).tolist() for name, counts in rates.items()},
        "undecided": int(sum(counts[2].sum() for counts in rates.values())),
        "cpu": round(time.process_time() - start, 1),
    }  # fmt: skip


def sparsest(values: list[int | None]) -> int | None:
    """The largest: what is refuted on every draw; None if on some draw nothing is."""
    return None if None in values else max(value for value in values if value is not None)


def guarantees(records: list[Record]) -> list[str]:
    """Rows of the first table: what is proven for all supports."""
    return [
        f'   "{r["case"]}", {shown(r["atoms"])}, {r["floor"]:.3f}, {1 - r["coherence"][0]:.1e}, {r["nearest"]:.4f}, '
        f"{r['gamma'][0]:.3f} - {r['gamma'][1]:.3f}, {r['certified']}, {r['refuted'] or '-'}, "
        f"{r['gamma_outputs'][0]:.3f} - {r['gamma_outputs'][1]:.3f}"
        for r in records
    ]


def shown(counts: list[int]) -> str:
    """One number, or a range."""
    return str(counts[0]) if min(counts) == max(counts) else f"{min(counts)} - {max(counts)}"


def rates(records: list[Record]) -> list[str]:
    """Rows of the second table: how often single cases are recovered."""
    return [
        f'   "{r["case"]}", {label}, ' + ", ".join(f"{rate:.2f}" for rate in r[f"rate_{name}"])
        for r in records
        for name, label in (("unit", "unit columns"), ("separated", "separated"), ("outputs", "unit neurons"))
        if not (name == "outputs" and "Gaussian" in r["case"]) and (name != "separated" or "n=20, centre" in r["case"])
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--resume", action="store_true", help="keep the cases that the file holds")
    options = parser.parse_args()
    if options.table:
        records = json.loads(RESULTS.read_text(encoding="utf-8"))
        print("\n".join([*guarantees(records), "", *rates(records)]))
        return
    records = json.loads(RESULTS.read_text(encoding="utf-8")) if options.resume else []
    for case in CASES[len(records) :]:
        records.append(measure(*case))
        print(json.dumps(records[-1]), flush=True)
        if options.out:
            text = json.dumps(records, indent=1)
            (options.out / "recovery.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
