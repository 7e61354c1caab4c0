"""The command line: ``convexnet demo``.

Exit codes: 0 the network is optimal within the tolerance, 2 the bound does not reach it, 64 wrong usage or data.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import __version__
from .errors import ConvexNetError, ConvexNetWarning

__all__ = ["main"]

EXIT_OPTIMAL, EXIT_NOT_PROVEN, EXIT_USAGE = 0, 2, 64


class _Parser(argparse.ArgumentParser):
    """argparse exits with 2 on wrong usage, which here means "not proven"."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="convexnet", description="Train small ReLU networks by convex optimization, with proofs.")
    parser.add_argument("--version", action="version", version=f"convexnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="train on a real table, prove the result, compare with SGD, Adam and L-BFGS",
        description="Train a two-layer ReLU network on a table by convex optimization, prove how good it is, and show "
        "where gradient descent ends on the same objective.",
        epilog="examples: convexnet demo; convexnet demo --data breast_cancer; "
        "convexnet demo --data table.csv --target price --features area age",
    )
    demo.add_argument("--data", default="diabetes", help="diabetes, breast_cancer, or a CSV file with a header line")
    demo.add_argument("--target", help="target column of a CSV file")
    demo.add_argument("--features", nargs="+", help="feature columns (default: two named ones; all for a CSV file)")
    demo.add_argument("--loss", help="squared, logistic, huber, absolute or hinge (default: what suits the target)")
    demo.add_argument("--ratio", type=float, default=0.01, help="reg divided by the largest useful reg (default 0.01)")
    demo.add_argument("--tol", type=float, default=1e-6, help="relative gap to prove (default 1e-6)")
    demo.add_argument("--time-limit", type=float, default=600.0, help="seconds for the convex solve (default 600)")
    demo.add_argument("--width", type=int, default=100, help="neurons of the gradient-trained networks (default 100)")
    demo.add_argument("--starts", type=int, default=4, help="random starts of each gradient method (default 4)")
    demo.add_argument("--seed", type=int, default=0, help="seed of everything random (default 0)")
    demo.add_argument("--picture", type=Path, help="where to save a picture (default: convexnet_demo.png, if possible)")
    demo.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Examples
    --------
    >>> main(["demo", "--json", "--data", "nowhere.csv", "--target", "y"])
    64
    """
    arguments = _parser().parse_args(argv)
    if not arguments.json:
        print(f"convexnet {__version__}: one table, one training objective, four ways to train, one proof", flush=True)
    try:
        from .demo import run_demo

        with warnings.catch_warnings():
            # The demo says in words what these warnings say.
            warnings.simplefilter("ignore", ConvexNetWarning)
            report = run_demo(arguments, say=_silent if arguments.json else _say)
    except ConvexNetError as error:
        print(f"convexnet: {type(error).__name__}: {error}", file=sys.stderr)
        return EXIT_USAGE
    if arguments.json:
        print(json.dumps(report, indent=1))
    return EXIT_OPTIMAL if report["solution"]["certificate"]["verdict"] == "optimal" else EXIT_NOT_PROVEN


def _say(text: str = "") -> None:
    print(text, flush=True)


def _silent(text: str = "") -> None:
    """Say nothing: the JSON object on standard output must stand alone."""


if __name__ == "__main__":
    sys.exit(main())
