"""A regularization path of 50 gated programs (diabetes, 1000 gates), gap 1e-6 at each: this package and peers.

    python benchmarks/path.py
    python benchmarks/path.py --peers celer --seconds 30 --repeats 1

CPU seconds for everything, one BLAS thread, in turn, medians over the repeats; how the peers are timed: ``_path_runs``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from _data import PATH
from _race import Record, chosen, interleaved, save, versions, workers

OURS, PEERS = ("convexnet", "convexnet, cold"), ("celer", "scnn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", nargs="*", default=list(PEERS), help="parts of the names of the peers; none")
    parser.add_argument("--seconds", type=float, default=120.0, help="CPU seconds for each run")
    parser.add_argument("--repeats", type=int, default=3, help="runs; those of more than 10 s are not repeated")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for path.json; lines of the same case are replaced")
    options = parser.parse_args()
    solvers = [*OURS, *chosen(list(PEERS), options.peers)]
    records: list[Record] = []
    with workers("path", solvers, options.threads) as team:
        for case in PATH:
            bounds = team["convexnet"].run(case.name, options.seconds).get("bounds")
            runs = interleaved(
                team, case.name, solvers, seconds=options.seconds, target=0.0, repeats=options.repeats, bounds=bounds
            )
            records += [summary(case.name, solver, found) for solver, found in runs.items()]
    for record in records:
        record["versions"] = versions()
        print(json.dumps(record), flush=True)
        line = f"{record['case']:<16}{record['solver']:<18}{record['cpu']:>8.2f} s CPU{record['wall']:>8.2f} s wall"
        print(f"{line}  within 1e-6: {record.get('within')} of 50  {record['status'][:60]}", file=sys.stderr)
    save(records, options.out and options.out / "path.json")


def summary(case: str, solver: str, runs: list[Record]) -> Record:
    keys = ("status", "points", "within", "largest_gap", "tolerance")
    clocks = {clock: statistics.median(run[clock] for run in runs) for clock in ("cpu", "wall")}
    return {
        "case": case, "solver": solver, **clocks, "repeats": len(runs),
        **{key: runs[-1][key] for key in keys if key in runs[-1]},
    }  # fmt: skip


if __name__ == "__main__":
    main()
