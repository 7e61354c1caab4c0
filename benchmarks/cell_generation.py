"""Cell generation to a certified gap of 1e-6 on two features of diabetes along reg. One JSON object a line."""

from __future__ import annotations

import json
import time

from convexnet import TrainingProblem, enumerate_patterns, reg_max, solve
from convexnet.datasets import load_table, standardized

RATIOS = (0.3, 0.1, 0.03, 0.01, 0.003)

if __name__ == "__main__":
    table = load_table("diabetes")
    problem = TrainingProblem(standardized(table.X), standardized(table.y), reg=1.0)
    patterns = enumerate_patterns(problem.extended)
    largest = reg_max(problem, patterns)
    for ratio in RATIOS:
        start = time.perf_counter()
        solution = solve(problem.with_options(reg=ratio * largest), patterns=patterns)
        record = {
            "reg_over_reg_max": ratio,
            "objective": solution.objective,
            "gap": solution.certificate.gap,
            "verdict": solution.certificate.verdict,
            "neurons": solution.size,
            "rounds": len(solution.history),
            "seconds": round(time.perf_counter() - start, 3),
        }
        print(json.dumps(record), flush=True)
