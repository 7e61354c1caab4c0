"""How far certification reaches: the proven gap of the best network found after 1, 10 and 60 s. One JSON object a line.

    python benchmarks/certify.py                                  # all rows, 60 s each, numpy and compiled
    python benchmarks/certify.py --rows "diabetes 5" sonar --seconds 10 --backends numpy --out benchmarks/results

Data are standardised; "5+1" is five features and the bias column, the first columns of the table in its own order; the
synthetic table is a sum of five ReLU neurons with noise. reg is given as a share of the smallest one at which the empty
network is optimal (as far as an ascent finds it). ``concrete``, ``ionosphere`` and ``sonar`` are npz files with X and y
in the folder that the environment variable CONVEXNET_DATA names (default ``../shared/data``); rows whose file is
missing are left out, and said. Pin the threads of BLAS (OMP_NUM_THREADS=1) when timing.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _data import breast_cancer, breast_cancer_components, diabetes, sum_of_neurons, table

from convexnet import TrainingProblem, certify
from convexnet.certificates import Certificate
from convexnet.pricing import price_ascent

Row = tuple[str, Callable[[], tuple[np.ndarray, np.ndarray]], str, float, float | None]
"""Name, data, loss, reg over reg_max, the gap to reach (None: whatever is reached)."""


ROWS: tuple[Row, ...] = (
    ("synthetic 3+1, n 2000", sum_of_neurons, "squared", 0.03, 1e-6),
    ("diabetes 5+1", diabetes(5), "squared", 0.1, 1e-6),
    ("diabetes 7+1", diabetes(7), "squared", 0.3, 2e-4),
    ("diabetes 7+1", diabetes(7), "squared", 0.1, 2e-2),
    ("diabetes 10+1", diabetes(10), "squared", 0.5, 5e-4),
    ("diabetes 10+1", diabetes(10), "squared", 0.3, 7e-4),
    ("diabetes 10+1", diabetes(10), "squared", 0.1, 5e-2),
    ("breast cancer 30+1", breast_cancer, "squared", 0.3, 5e-4),
    ("breast cancer 30+1", breast_cancer, "squared", 0.1, 7e-4),
    ("breast cancer components 9+1", breast_cancer_components, "logistic", 0.1, 1e-6),
    ("concrete 8+1", table("reg_concrete"), "squared", 0.3, None),
    ("concrete 8+1", table("reg_concrete"), "squared", 0.1, None),
    ("ionosphere", table("clf_ionosphere"), "squared", 0.3, None),
    ("sonar", table("clf_sonar"), "squared", 0.3, None),
)


def stated(X: np.ndarray, y: np.ndarray, loss: str, ratio: float) -> TrainingProblem:
    """The problem at a share of the largest useful reg."""
    problem = TrainingProblem(X, y, loss=loss, reg=1.0)
    largest = price_ascent(problem, -problem.gradient(np.zeros(problem.n))).value
    return problem.with_options(reg=ratio * largest)


def gap_after(certificate: Certificate, seconds: float) -> float:
    """Gap of the best network of the whole run to the bound that was proven by then."""
    bounds = [lower for at, _, lower in certificate.history if at <= seconds]
    return 1 - max(bounds, default=0.0) / certificate.upper_bound


def measured(row: Row, backend: str, seconds: float, tol: float) -> dict[str, object]:
    name, load, loss, ratio, wanted = row
    X, y = load()
    problem = stated(X, y, loss, ratio)
    start = time.perf_counter()
    certificate = certify(problem, time_limit=seconds, tol=tol, backend=backend)
    wall = time.perf_counter() - start
    return {
        "row": name, "n": problem.n, "reg_over_reg_max": ratio, "loss": loss, "backend": backend,
        "objective": certificate.upper_bound, "lower_bound": certificate.lower_bound, "gap": certificate.gap,
        "gap_wanted": wanted, "gap_1s": gap_after(certificate, 1), "gap_10s": gap_after(certificate, 10),
        "gap_60s": gap_after(certificate, 60), "verdict": certificate.verdict, "status": certificate.status,
        "method": certificate.method, "nodes": certificate.work.get("nodes"),
        "search_mb": round(certificate.work.get("bytes", 0) / 1e6, 1), "seconds": round(wall, 2),
        "neurons": certificate.network.n_neurons if certificate.network is not None else None,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


def printed_table(records: list[dict[str, object]]) -> str:
    """The table for people: gaps after 1, 10 and 60 s of each backend side by side."""
    head = f"{'row':<30}{'reg':>6}{'wanted':>9}{'backend':>9}{'1 s':>10}{'10 s':>10}{'60 s':>10}{'time':>8}"
    lines = [head + f"{'nodes':>10}{'MB':>7}  verdict", "-" * (len(head) + 26)]
    for r in records:
        wanted = "-" if r["gap_wanted"] is None else f"{r['gap_wanted']:.0e}"
        lines.append(
            f"{r['row']:<30}{r['reg_over_reg_max']:>6}{wanted:>9}{r['backend']:>9}{r['gap_1s']:>10.1e}"
            f"{r['gap_10s']:>10.1e}{r['gap']:>10.1e}{r['seconds']:>8}{r['nodes'] or 0:>10}{r['search_mb']:>7}"
            f"  {r['verdict']} ({r['method']})"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="The reach of certification.")
    parser.add_argument("--rows", nargs="*", default=[""], help="parts of the names of the rows to run")
    parser.add_argument("--regs", nargs="*", type=float, default=[], help="only these shares of reg_max")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit of each certification")
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--backends", nargs="*", default=["numba", "numpy"])
    parser.add_argument("--out", type=Path, help="folder for reach.json")
    options = parser.parse_args()
    records = []
    for row in ROWS:
        chosen = any(part in row[0] for part in options.rows) and (not options.regs or row[3] in options.regs)
        if not chosen:
            continue
        for backend in options.backends:
            try:
                record = measured(row, backend, options.seconds, options.tol)
            except (FileNotFoundError, ImportError) as error:
                print(f"left out: {row[0]}, {backend}: {error}", file=sys.stderr)
                continue
            records.append(record)
            print(json.dumps(record), flush=True)
    print(printed_table(records), file=sys.stderr)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "reach.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
