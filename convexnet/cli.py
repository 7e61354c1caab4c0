"""The command line: ``convexnet demo``, ``convexnet certify`` and ``convexnet verify``.

Exit codes: 0 the network is certified optimal within the tolerance, 1 it is refuted (or a proof file does not hold), 2
the bound does not reach the tolerance, 64 wrong usage, data or an unreadable file, 70 an error in this program, 130
interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import __version__
from .cli_certify import add_certify, run_certify
from .cli_verify import add_verify, run_verify
from .errors import ConvexNetError, ConvexNetWarning

__all__ = ["main"]

EXIT_OPTIMAL, EXIT_REFUTED, EXIT_NOT_PROVEN = 0, 1, 2
EXIT_USAGE, EXIT_CRASHED, EXIT_INTERRUPTED, EXIT_NO_READER = 64, 70, 130, 141
LOSSES = ("squared", "logistic", "huber", "absolute", "hinge")


class _Parser(argparse.ArgumentParser):
    """argparse exits with 2 on wrong usage, which here means "not proven"."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}\nRun '{self.prog} --help' to see what can be given.\n")


def _positive(text: str) -> float:
    """A finite number > 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number > 0, got {text!r}")
    return number


def _integer(minimum: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not text.strip().lstrip("+-").isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"must be an integer >= {minimum}, got {text!r}")
        return int(text)

    return integer


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="convexnet", description="Train small ReLU networks by convex optimization, with proofs.")
    parser.add_argument("--version", action="version", version=f"convexnet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    demo = commands.add_parser(
        "demo",
        help="train on a real table, prove the result, compare with SGD, Adam and L-BFGS",
        description="Train a two-layer ReLU network on a table by convex optimization, prove how good it is, and show "
        "where gradient descent ends on the same objective.",
        epilog="examples: convexnet demo; convexnet demo --data breast_cancer; "
        "convexnet demo --data table.csv --target price --features area age. "
        "Exit codes: 0 proven optimal, 2 not proven, 64 wrong usage or data, 130 interrupted.",
    )
    add = demo.add_argument
    add("--data", default="diabetes", help="diabetes, breast_cancer, or a CSV file with a header line")
    add("--target", metavar="COLUMN", help="target column of a CSV file; a column of two values means two classes")
    add("--features", nargs="+", metavar="COLUMN", help="feature columns (default: two named ones; all of a CSV file)")
    add("--loss", choices=LOSSES, help="default: logistic for two classes, else squared")
    add("--ratio", type=_positive, default=0.01, help="reg divided by the largest useful reg (default 0.01)")
    add("--tol", type=_positive, default=1e-6, help="relative gap to prove (default 1e-6)")
    add("--time-limit", type=_positive, default=600.0, help="seconds for the convex solve (default 600)")
    add("--width", type=_integer(1), default=100, help="neurons of the gradient-trained networks (default 100)")
    add("--starts", type=_integer(1), default=4, help="random starts of each gradient method (default 4)")
    add("--seed", type=_integer(0), default=0, help="seed of everything random (default 0)")
    add("--picture", type=Path, metavar="FILE", help="save a picture there (default: convexnet_demo.png, if possible)")
    add("--json", action="store_true", help="print one JSON object instead of text; no picture unless asked for")
    add_certify(commands, _positive, _integer(0))
    add_verify(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Examples
    --------
    >>> main(["demo", "--json", "--data", "nowhere.csv", "--target", "y"])
    64
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    try:
        return {"demo": _demo, "certify": _certify, "verify": _verify}[arguments.command](arguments)
    except ConvexNetError as error:
        print(f"convexnet: {type(error).__name__}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("convexnet: interrupted; whatever bounds are shown above hold.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except Exception:
        # Python would end with 1, which here means that something has been refuted.
        traceback.print_exc()
        return EXIT_CRASHED


def _reader_gone() -> int:
    """The reader (head, less) has left; standard output is pointed elsewhere so that Python can close it quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_NO_READER


def _demo(arguments: argparse.Namespace) -> int:
    if not arguments.json:
        print(f"convexnet {__version__}: one table, one training objective, four ways to train, one proof", flush=True)
    from .demo import run_demo

    with warnings.catch_warnings():
        # The demo says in words what these warnings say.
        warnings.simplefilter("ignore", ConvexNetWarning)
        report = run_demo(arguments, say=_silent if arguments.json else _say)
    if arguments.json:
        print(json.dumps(_plain(report), indent=1, allow_nan=False))
    return EXIT_OPTIMAL if report["solution"]["certificate"]["verdict"] == "optimal" else EXIT_NOT_PROVEN


def _certify(arguments: argparse.Namespace) -> int:
    if not arguments.json:
        print(f"convexnet {__version__}: one network, one objective, one bound for networks of any width", flush=True)
    with warnings.catch_warnings():
        # The verdict says in words what these warnings say.
        warnings.simplefilter("ignore", ConvexNetWarning)
        code, report = run_certify(arguments, say=_silent if arguments.json else _say)
    if arguments.json:
        print(json.dumps(_plain({"exit_code": code, **report}), indent=1, allow_nan=False))
    return code


def _verify(arguments: argparse.Namespace) -> int:
    code, report = run_verify(arguments, say=_silent if arguments.json else _say)
    if arguments.json:
        print(json.dumps(_plain({"exit_code": code, **report}), indent=1, allow_nan=False))
    return code


def _plain(value: Any) -> Any:
    """The same with None for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _say(text: str = "") -> None:
    print(text, flush=True)


def _silent(text: str = "") -> None:
    """Say nothing: the JSON object on standard output must stand alone."""


if __name__ == "__main__":
    sys.exit(main())
