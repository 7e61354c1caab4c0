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


TABLES = {
    "gated": lambda: times(GATED, "gated"), "outputs": lambda: times(OUTPUTS, "outputs"), "memory": memory,
    "large": large, "relu": relu, "path": path,
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
