"""``convexnet verify``: check a proof file from scratch, without the program that wrote it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

__all__ = ["add_verify", "run_verify"]

Say = Callable[[str], None]


def add_verify(commands: Any) -> None:
    """Add the command and its options to the subparsers."""
    parser = commands.add_parser(
        "verify",
        help="check a proof file independently of what wrote it",
        description="Check a proof file: everything it claims is computed again from the data, with numpy alone.",
        epilog="example: convexnet verify proof.json --data table.npz. Exit codes: 0 certified, 1 refuted or tampered "
        "with, 2 valid but not proven to its tolerance, 64 wrong usage or an unreadable file.",
    )
    add = parser.add_argument
    add("file", type=Path, help="proof file of: convexnet certify --out FILE")
    add("--data", type=Path, metavar="FILE", help="npz file of X, y (sample_weight) that the proof must be about")
    add("--exact", action="store_true", help="rational arithmetic: slower, and no rounding to argue about")
    add("--json", action="store_true", help="print one JSON object instead of text")


def run_verify(arguments: argparse.Namespace, say: Say) -> tuple[int, dict[str, Any]]:
    """Verify as the parsed command line says; return the exit code and the report as plain data."""
    from .certificates.proof_file import verify_file

    data = None
    if arguments.data is not None:
        from .datasets import load_npz

        data = load_npz(arguments.data)
    report = verify_file(arguments.file, data=data, exact=arguments.exact)
    for line in report.lines:
        say(line)
    return int(report.exit_code), asdict(report) if is_dataclass(report) else dict(vars(report))
