"""A process that runs one solver on the cases it is told on standard input; answers with one JSON object a line.

Started by the programs here, one for each solver, so that imports and compilation are paid once and no solver sees
what another left behind.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import time
import traceback
from typing import Any

from _stopwatch import Stopwatch, memory_now, memory_peak

MODULES = {"gated": "_gated_runs", "relu": "_relu_runs", "path": "_path_runs"}


def measured(kind: str, case: str, solver: str, watch: Stopwatch, extra: dict[str, Any]) -> dict[str, Any]:
    """Build the case, run, and check what came out, off the clock."""
    module = importlib.import_module(MODULES[kind])
    base, started = memory_now(), time.perf_counter()
    task = module.build(case, **extra)
    built = time.perf_counter() - started
    try:
        outcome = module.RUNS[solver](task, watch)
        watch.stop()
        peak = memory_peak()
        status, checked = "ok", module.check(task, outcome, watch)
    except Exception as error:  # a peer may fail in any way; the row says so
        watch.stop()
        peak = memory_peak()
        status, checked = f"{type(error).__name__}: {str(error)[:200]}", {}
        checked["traceback"] = traceback.format_exc()[-600:]
    return {
        "points": thinned(watch.points), "status": status, "build_seconds": round(built, 3), **watch.note, **checked,
        "cpu": round(watch.cpu, 4), "wall": round(watch.wall, 4),
        "base_mb": round(base), "peak_mb": round(peak),
    }  # fmt: skip


def thinned(points: list[list[float | None]]) -> list[list[float | None]]:
    """Keep the points that improve on all earlier ones (objective or proven gap)."""
    kept, best, gap = [], math.inf, math.inf
    for point in points:
        if point[2] < best or (point[3] is not None and point[3] < gap):
            kept.append(point)
            best = min(best, point[2])
            gap = gap if point[3] is None else min(gap, point[3])
    return kept


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=MODULES)
    parser.add_argument("solver")
    options = parser.parse_args()
    importlib.import_module(MODULES[options.kind]).warm_up(options.solver)
    for line in sys.stdin:
        task = json.loads(line)
        watch = Stopwatch(task["seconds"], task["target"])
        record = measured(options.kind, task["case"], options.solver, watch, task["extra"])
        print("\n@@" + json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
