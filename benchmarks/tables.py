"""Write the tables of docs/benchmarks.rst from the JSON files in benchmarks/results.

    python benchmarks/tables.py           # prints what would change
    python benchmarks/tables.py --write
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from _data import GATED, LARGE, MEMORY, OUTPUTS, PATH, RELU
from _race import GAPS, shown
from relu import SHARES

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.rst"
Record = dict[str, Any]
Rows = list[list[str]]


def records(name: str, cases: tuple[Any, ...]) -> list[Record]:
    """Records of a file in the order of the cases; within a case in that of the file, this package first."""
    path = HERE / "results" / f"{name}.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    order = [case.name for case in cases]
    found = [record for record in found if record["case"] in order]
    return sorted(found, key=lambda record: (order.index(record["case"]), not record["solver"].startswith("convexnet")))


def csv_table(head: list[str], rows: Rows) -> str:
    """A csv-table directive."""
    lines = [".. csv-table::", "   :header: " + ", ".join(f'"{cell}"' for cell in head), ""]
    return "\n".join([*lines, *("   " + ", ".join(f'"{cell}"' for cell in row) for row in rows)])


def times(cases: tuple[Any, ...], name: str) -> str:
    """Seconds to each gap, and how many times longer than this package's default at the smallest gap."""
    rows: Rows = []
    own: dict[str, float | None] = {}
    for record in records(name, cases):
        cpu = [record[f"cpu_{gap:.0e}"] for gap in GAPS]
        base = own.setdefault(record["case"], cpu[-1])
        ratio = f"{shown(cpu[-1] / base)}" if cpu[-1] and base else beyond(record, base)
        if failed(record):
            continue
        cells = [shown(value) for value in cpu]
        rows.append([record["case"], record["solver"], *cells, shown(record[f"wall_{GAPS[-1]:.0e}"]), ratio])
    return csv_table(["case", "solver", "1e-2", "1e-4", "1e-6", "wall, 1e-6", "ratio"], rows)


def failed(record: Record) -> bool:
    return not record["status"].startswith(("ok", "killed"))


def beyond(record: Record, base: float | None) -> str:
    """A lower bound on the ratio of a run that did not get there in its time."""
    return f"> {shown(record['seconds'] / base)}" if base and record["seconds"] > base else "-"


def memory() -> str:
    rows = [
        [record["case"], record["solver"], str(record["grown_mb"]), shown(record["cpu_1e-06"])]
        for record in records("gated", MEMORY)
        if "grown_mb" in record and not failed(record)
    ]
    return csv_table(["case", "solver", "MB", "CPU s to 1e-6"], rows)


def large() -> str:
    rows = [
        [record["case"], record["solver"], str(record["threads"]), *(shown(record[f"wall_{gap:.0e}"]) for gap in GAPS),
         str(record.get("grown_mb", "-"))]
        for record in records("gated", LARGE)
    ]  # fmt: skip
    return csv_table(["case", "solver", "threads", "wall 1e-2", "wall 1e-4", "wall 1e-6", "MB"], rows)


def relu() -> str:
    rows = [
        [record["case"], record["solver"], *(shown(record[f"cpu_{share:.0e}"]) for share in SHARES),
         f"{record['objective']:.6f}", f"{max(0.0, record['excess']):.1e}", str(record["neurons"]),
         shown(record["cpu"])]
        for record in records("relu", RELU)
        if "objective" in record
    ]  # fmt: skip
    shares = [f"{share:.0e}" for share in SHARES]
    return csv_table(["case", "solver", *shares, "objective", "excess", "neurons", "CPU s"], rows)


def path() -> str:
    rows = [
        [record["solver"], shown(record["cpu"]), shown(record["wall"]), f"{record['within']} of 50"]
        for record in records("path", PATH)
        if "within" in record
    ]
    return csv_table(["solver", "CPU s", "wall s", "points within 1e-6"], rows)


def splines() -> str:
    """Errors over those of the linear spline; judged by the truth, by folds and, for scipy, by its own rule."""
    rows = [
        [record["target"], str(record["n"]), *(f"{record[f'{method}_{judge}_ratio']:.2f}" for judge in ("oracle", "cv")
         for method in ("cubic", "kernel")), f"{record['cubic_gcv_ratio']:.2f}", f"{record['knots_oracle']:.0f}",
         f"{record['knots_cv']:.0f}"]
        for record in stored("spline_comparison")
    ]  # fmt: skip
    head = ["cubic, oracle", "kernel, oracle", "cubic, folds", "kernel, folds", "cubic, scipy's GCV"]
    return csv_table(["target", "n", *head, "knots, oracle", "knots, folds"], rows)


def spline_times() -> str:
    """Milliseconds, gap and knots of solve_spline; how much longer CVXPY's model takes and what it returns."""
    found = stored("spline")
    peers = {(r["n"], r["grid"], r["share"]): r for r in found if r["solver"] != "convexnet"}
    rows = []
    for record in (r for r in found if r["solver"] == "convexnet" and r["n"] >= 1000):
        peer = peers.get((record["n"], record["grid"], record["share"]))
        ended = "-" if peer is None else "failed" if peer["excess"] is None else f"{peer['excess']:.0e}"
        rows.append([
            f"{record['n']:,}".replace(",", " "), record["grid"], f"{record['share']:g}", f"{1e3 * record['cpu']:.0f}",
            f"{record['gap']:.0e}", str(record["knots"]), "-" if peer is None else f"{peer['ratio']:.0f}", ended,
        ])  # fmt: skip
    return csv_table(["n", "grid", "reg", "CPU ms", "gap", "knots", "CVXPY, ratio", "CVXPY, excess"], rows)


def ridge() -> str:
    rows = [
        [str(record["n"]), f"{record['network']:.4f}", f"{record['thin_plate']:.4f}", f"{record['ratio']:.2f}",
         f"{record['wins']} of {record['draws']}", f"{record['neurons']:.1f}", f"{record['worst_gap']:.0e}"]
        for record in stored("ridge_function")
    ]  # fmt: skip
    head = ["n", "network, MSE", "thin plate, MSE", "ratio", "network better", "neurons", "largest proven gap"]
    return csv_table(head, rows)


def arrangement_lp() -> str:
    """CPU seconds of each route and how many times faster than the textbook program of its case it is."""
    rows = [
        [record["case"], record["route"], shown(record["cpu"]), f"{record['ratio']:.1f}", str(record["neurons"])]
        for record in stored("arrangement_lp")
    ]
    return csv_table(["case", "route", "CPU s", "times faster", "neurons"], rows)


def stored(name: str) -> list[Record]:
    """All records of a file."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


TABLES = {
    "gated": lambda: times(GATED, "gated"), "outputs": lambda: times(OUTPUTS, "outputs"), "memory": memory,
    "large": large, "relu": relu, "path": path,
    "arrangement_lp": arrangement_lp,
    "splines": splines, "spline_times": spline_times, "ridge": ridge,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        mark = re.compile(rf"(\.\. begin {name}\n).*?(\.\. end {name}\n)", re.DOTALL)
        body = table()
        print(body, end="\n\n")
        text = mark.sub(lambda match, body=body: f"{match[1]}\n{body}\n\n{match[2]}", text)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
