"""ReLU training over all activation patterns: objective against time, beside L-BFGS and the peer. JSON lines.

    python benchmarks/relu.py                                       # 40 CPU seconds each at most, ten minutes
    python benchmarks/relu.py --cases diabetes cancer --peers L-BFGS "scnn" --seconds 10

Excess is ``(objective - best) / best`` over the best objective known (on record or met in this run), for every network
measured by ``TrainingProblem.objective``: no certificate, and the pricing gap beside it is heuristic. scnn solves the
problem over sampled cones, another one: its row shows the best ReLU network among its iterates. L-BFGS gets as long as
this package took. CPU seconds, one BLAS thread, in turn; one run each.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

from _data import RELU, ReluCase
from _race import Record, Worker, chosen, interleaved, save, shown, time_to, versions, workers

SHARES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
PEERS = ("L-BFGS, plain", "L-BFGS, kinks rounded", "scnn, 200 cones", "scnn, 1000 cones")
USUAL = PEERS[:3]


def race(case: ReluCase, solvers: list[str], team: dict[str, Worker], seconds: float) -> list[Record]:
    """All solvers on one case, and how far each got; L-BFGS gets the time that this package took."""
    runs = interleaved(team, case.name, solvers[:1], seconds=seconds, target=-math.inf, repeats=1)
    own = max(1.0, min(runs[solvers[0]][0]["cpu"], seconds))
    for solver in solvers[1:]:
        given = own if solver.startswith("L-BFGS") else seconds
        runs |= interleaved(team, case.name, [solver], seconds=given, target=-math.inf, repeats=1)
    met = [record["objective"] for records in runs.values() for record in records if "objective" in record]
    best = min([*met, math.inf if case.best is None else case.best])
    return [summary(case, solver, records[0], best, seconds) for solver, records in runs.items()]


def summary(case: ReluCase, solver: str, record: Record, best: float, seconds: float) -> Record:
    """One line of the results; a time is None where the share was not reached."""
    times = {}
    for share in SHARES:
        for column, clock in enumerate(("cpu", "wall")):
            time = time_to(record, share, best, column, proven=False)
            times[f"{clock}_{share:.0e}"] = time if math.isfinite(time) else None
    keys = ("status", "solver_status", "objective", "neurons", "pricing_gap", "starts", "rounds", "iterations")
    return {
        "case": case.name, "solver": solver, "ratio": case.ratio, "seconds": seconds, "best": best,
        "best_on_record": case.best, "excess": record.get("objective", math.nan) / best - 1, **times,
        "cpu": record["cpu"], "wall": record["wall"], **{key: record[key] for key in keys if key in record},
        "versions": versions(),
    }  # fmt: skip


def printed(records: list[Record]) -> str:
    head = f"{'case':<22}{'solver':<24}" + "".join(f"{share:>8.0e}" for share in SHARES)
    lines = [head + f"{'objective':>13}{'excess':>10}{'neurons':>9}{'CPU':>7}  status", "-" * (len(head) + 48)]
    for record in records:
        cells = "".join(f"{shown(record[f'cpu_{share:.0e}']):>8}" for share in SHARES)
        objective = f"{record['objective']:>13.6f}" if "objective" in record else f"{'-':>13}"
        line = f"{record['case']:<22}{record['solver']:<24}{cells}{objective}{record['excess']:>10.1e}"
        status = record.get("solver_status", record["status"])
        lines.append(line + f"{record.get('neurons', ''):>9}{record['cpu']:>7.1f}  {status[:60]}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=[""], help="parts of the names; '=NAME' for a whole name")
    parser.add_argument("--peers", nargs="*", default=list(USUAL), help="parts of the names of the peers; none")
    parser.add_argument("--seconds", type=float, default=40.0, help="CPU seconds for each run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for relu.json; lines of the same case are replaced")
    options = parser.parse_args()
    solvers = ["convexnet", *chosen(list(PEERS), options.peers)]
    known = {case.name: case for case in RELU}
    records: list[Record] = []
    with workers("relu", solvers, options.threads) as team:
        for name in chosen(list(known), options.cases):
            new = race(known[name], solvers, team, options.seconds)
            for record in new:
                print(json.dumps(record), flush=True)
            records += new
            save(new, options.out and options.out / "relu.json")
    print(printed(records), file=sys.stderr)


if __name__ == "__main__":
    main()
