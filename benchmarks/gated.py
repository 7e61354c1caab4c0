"""Time to a relative gap of the gated program: this package, CVXPY's solvers, and the peers. One JSON object a line.

    python benchmarks/gated.py                                   # beside scnn and celer; the small cases beside all
    python benchmarks/gated.py --cases diabetes cancer --peers skglm --ours convexnet "convexnet fista"
    python benchmarks/gated.py --cases memory --peers celer skglm --repeats 1        # peak memory
    python benchmarks/gated.py --cases 100000 --peers none --threads 2 --repeats 1

A gap is certified for this package: its own bound at that moment. For the others, who prove none, the objective of
their iterate (measured by this package, clock held) is compared with the best lower bound that this package proved, a
favour to them. Each solver has a process of its own and makes a tiny call first; they run in turn, one BLAS thread
each. Not timed: drawing the gates and, for celer and skglm, writing out the design. Timed: building and compiling
CVXPY's model. Seconds are CPU seconds, except where wall is said; medians over the repeats. MB is what a fresh process
grew by at its peak. Cases and gates: ``_data.py``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

from _data import GATED, LARGE, MEMORY, OUTPUTS, GatedCase
from _race import GAPS, Record, Worker, chosen, interleaved, median_time, save, shown, versions, workers

PEERS = ("scnn", "celer", "skglm", "cvxpy clarabel", "cvxpy ecos", "cvxpy scs")
USUAL = ("scnn", "celer")
"""Peers of the larger cases, unless others are asked for; the small cases see all."""
SMALL = 300
"""CVXPY's solvers are asked for cases with at most so many gates."""


def solvers_for(case: GatedCase, ours: list[str], peers: list[str] | None) -> list[str]:
    """Who can do this case at all, and is asked to."""
    small = case.n_gates <= SMALL
    if peers is None:
        peers = list(PEERS) if small or case.loss == "logistic" else list(USUAL)
    able = [peer for peer in peers if small or not peer.startswith("cvxpy")]
    if case in OUTPUTS:
        able = [peer for peer in able if peer in ("cvxpy clarabel", "cvxpy scs") and case.n_gates < 100]
    if case.loss == "logistic":
        able = [peer for peer in able if peer not in ("scnn", "celer")]
    return [*ours, *able]


def race(case: GatedCase, solvers: list[str], team: dict[str, Worker], options: argparse.Namespace) -> list[Record]:
    """All solvers on one case, with the bound that holds for all."""
    reference = {} if case in LARGE else team["reference"].run(case.name, options.seconds)
    bound = reference.get("lower_bound", -math.inf)
    target = bound / (1 - GAPS[-1]) if bound > 0 else -math.inf
    if case in (*MEMORY, *LARGE):
        for worker in team.values():
            worker.close()
    runs = interleaved(team, case.name, solvers, seconds=options.seconds, target=target, repeats=options.repeats)
    finals = [record.get("lower_bound", -math.inf) for records in runs.values() for record in records]
    bound = max(bound, *finals)
    return [summary(case, solver, records, bound, options) for solver, records in runs.items()]


def summary(
    case: GatedCase, solver: str, records: list[Record], bound: float, options: argparse.Namespace
) -> Record:  # fmt: skip
    """One line of the results."""
    first, proven = records[0], solver.startswith("convexnet")
    alone = case in (*MEMORY, *LARGE) and first.get("fresh")
    times = {
        f"{clock}_{gap:.0e}": median_time(records, gap, bound, column, proven=proven)
        for column, clock in enumerate(("cpu", "wall")) for gap in GAPS
    }  # fmt: skip
    if proven:
        times |= {f"cpu_reached_{gap:.0e}": median_time(records, gap, bound, 0, proven=False) for gap in GAPS}
    keys = ("status", "solver_status", "method", "iterations", "size", "objective", "gap", "build_seconds")
    return {
        "case": case.name, "solver": solver, "gates": case.n_gates, "loss": case.loss, "group": case.group,
        "ratio": case.ratio, "threads": options.threads, "repeats": len(records), "seconds": options.seconds,
        "bound": bound, **times, **{key: first[key] for key in keys if key in first},
        **({"grown_mb": first["peak_mb"] - first["base_mb"]} if alone else {}), "versions": versions(),
    }  # fmt: skip


def printed(records: list[Record]) -> str:
    """The table for people: CPU seconds and, against the first solver, ratios at the smallest gap."""
    head = f"{'case':<42}{'solver':<17}" + "".join(f"{gap:>9.0e}" for gap in GAPS) + f"{'wall':>9}{'ratio':>8}"
    lines = [head + f"{'MB':>7}  status", "-" * (len(head) + 20)]
    base: dict[str, float | None] = {}
    for record in records:
        times = [record[f"cpu_{gap:.0e}"] for gap in GAPS]
        own = base.setdefault(record["case"], times[-1])
        ratio = times[-1] / own if own and times[-1] else None
        cells = "".join(f"{shown(time):>9}" for time in times)
        line = f"{record['case']:<42}{record['solver']:<17}{cells}{shown(record[f'wall_{GAPS[-1]:.0e}']):>9}"
        lines.append(line + f"{shown(ratio):>8}{record.get('grown_mb', ''):>7}  {record['status'][:60]}")
    return "\n".join(lines)


def parsed(description: str, peers: tuple[str, ...], name: str) -> argparse.Namespace:
    """The options that the programs share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cases", nargs="*", default=[""], help="parts of the names; '=NAME' for a whole name")
    parser.add_argument("--peers", nargs="*", help="parts of the names of the peers; none")
    parser.add_argument("--ours", nargs="*", default=["convexnet"], help="solvers of this package; convexnet fista")
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds for each run")
    parser.add_argument("--repeats", type=int, default=3, help="runs; those of more than 10 s are not repeated")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help=f"folder for {name}.json; lines of the same case are replaced")
    options = parser.parse_args()
    if options.peers is not None:
        options.peers = chosen(list(peers), options.peers)
    return options


def measure(cases: list[GatedCase], options: argparse.Namespace, name: str) -> None:
    """Race, print and save case by case."""
    records: list[Record] = []
    with workers("gated", ["reference", *options.ours, *PEERS], options.threads) as team:
        for case in cases:
            new = race(case, solvers_for(case, options.ours, options.peers), team, options)
            for record in new:
                print(json.dumps(record), flush=True)
            records += new
            save(new, options.out and options.out / f"{name}.json")
    print(printed(records), file=sys.stderr)


def main() -> None:
    options = parsed(__doc__.splitlines()[0], PEERS, "gated")
    known = {case.name: case for case in (*GATED, *LARGE, *MEMORY)}
    usual = [case.name for case in GATED]
    names = usual if options.cases == [""] else chosen(list(known), options.cases)
    measure([known[name] for name in names], options, "gated")


if __name__ == "__main__":
    main()
