"""Interleaved runs in processes of their own, times to a gap, JSON lines and tables."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GAPS = (1e-2, 1e-4, 1e-6)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "BLIS_NUM_THREADS")
_PACKAGES = (
    "numpy", "scipy", "cvxpy", "clarabel", "scs", "ecos", "pyscnn", "torch", "celer", "skglm", "numba",
)  # fmt: skip
Record = dict[str, Any]


class Worker:
    """A process for one solver; started at the first task, and anew after one that hung or died."""

    def __init__(self, kind: str, solver: str, threads: int = 1) -> None:
        self.command = [sys.executable, str(HERE / "_worker.py"), kind, solver]
        self.environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
        self.environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
        self.process: subprocess.Popen[str] | None = None
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the worker

    def run(self, case: str, seconds: float, target: float = -math.inf, **extra: Any) -> Record:
        """Let it run a case; a run that hangs or dies leaves a record that says so."""
        fresh = self.process is None
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self.errors, text=True,
            )  # fmt: skip
        answer = self._answer({"case": case, "seconds": seconds, "target": target, "extra": extra}, 3 * seconds + 180)
        if isinstance(answer, str):
            self.close()
            return {"points": [], "cpu": math.nan, "wall": math.nan, "status": answer}
        return {**answer, "fresh": fresh}

    def _answer(self, task: Record, limit: float) -> Record | str:
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        alarm, started = threading.Timer(limit, self.process.kill), time.monotonic()
        alarm.start()
        try:
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line.startswith("@@"):
                    return json.loads(line[2:])
        except BrokenPipeError:
            pass
        finally:
            alarm.cancel()
        code = self.process.wait()
        self.errors.seek(0)
        last = self.errors.read().strip().splitlines()[-1:]
        if time.monotonic() - started >= limit:
            return f"killed after {limit:.0f} s"
        return " ".join([f"died with exit status {code}:", *last])

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def workers(kind: str, solvers: list[str], threads: int = 1) -> Iterator[dict[str, Worker]]:
    """One worker for each solver, ended at the end."""
    team = {solver: Worker(kind, solver, threads) for solver in solvers}
    try:
        yield team
    finally:
        for worker in team.values():
            worker.close()


def interleaved(
    team: dict[str, Worker], case: str, solvers: list[str], *, seconds: float, target: float, repeats: int, **extra: Any
) -> dict[str, list[Record]]:
    """One run of each solver after the other, then all again; runs of more than 10 s are not repeated."""
    records: dict[str, list[Record]] = {solver: [] for solver in solvers}
    for repeat in range(repeats):
        for solver in solvers:
            if repeat and not records[solver][0]["cpu"] < min(10.0, 0.8 * seconds):
                continue
            aim = -math.inf if solver.startswith("convexnet") else target
            record = team[solver].run(case, seconds, aim, **extra)
            said = f"{solver}: {record['cpu']:.2f} s, {record['status']}"
            print(f"  {time.strftime('%H:%M:%S')} {case}: {said}", file=sys.stderr, flush=True)
            records[solver].append(record)
    return records


def time_to(record: Record, gap: float, bound: float, column: int, *, proven: bool) -> float:
    """Seconds (column 0: CPU, 1: wall) until the gap to ``bound`` is reached, or until the run itself proved it."""
    times = [math.inf]
    for point in record["points"]:
        own = point[3] if proven else (point[2] - bound) / abs(point[2])
        if own is not None and own <= gap:
            times.append(point[column])
    return min(times)


def median_time(records: list[Record], gap: float, bound: float, column: int, *, proven: bool) -> float | None:
    """Median over the repeats, None if a run did not get there."""
    times = [time_to(record, gap, bound, column, proven=proven) for record in records]
    return None if not times or math.inf in times else round(statistics.median(times), 4)


def versions() -> dict[str, str]:
    import convexnet

    found = {"convexnet": convexnet.__version__, "python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def chosen(names: list[str], parts: list[str]) -> list[str]:
    """Names that contain one of the parts; a part that starts with '=' is a whole name."""
    return [name for name in names if any(part[1:] == name if part[:1] == "=" else part in name for part in parts)]


def save(records: list[Record], path: Path | None) -> None:
    """Write the records over those of the same case, solver and threads; others stay."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    new = {_key(record) for record in records}
    kept = [record for record in old if _key(record) not in new] + records
    lines = ",\n".join(json.dumps(record) for record in kept)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _key(record: Record) -> tuple[Any, ...]:
    return (record["case"], record["solver"], record.get("threads", 1))


def shown(value: float | None, digits: int = 2) -> str:
    """Two significant digits, a dash for what was not reached."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}" if value else "0"
