"""``convexnet certify``: how far a network can at most be from the best one on a table, with a proof file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._printing import rounded_down
from .datasets import load_csv, load_npz, load_table, standardized
from .errors import DataError, NetworkError, ProblemError

if TYPE_CHECKING:
    from .certificates import Certificate
    from .networks import ShallowNetwork
    from .problem import TrainingProblem

__all__ = ["EXIT_CODES", "add_certify", "run_certify"]

Say = Callable[[str], None]
EXIT_CODES = {"optimal": 0, "refuted": 1}
"""By verdict; every other one is 2, not proven."""
_BIASES = {"penalized": "penalised biases", "free": "free biases", "none": "no biases"}
LOSSES = ("squared", "logistic", "huber", "absolute", "hinge", "softmax")


def add_certify(commands: Any, positive: Callable[[str], float], integer: Callable[[str], int]) -> None:
    """Add the command and its options to the subparsers."""
    parser = commands.add_parser(
        "certify",
        help="bound how far a network can be from the best one of any width, and write a proof",
        description="Certify a network, however it was trained, on the objective loss + reg * path norm of a table: "
        "prove a lower bound for networks of any width, and say how far the network can at most be from it. Without "
        "--network the best network found is certified.",
        epilog="example: convexnet certify table.csv --target y --network net.onnx --loss squared --reg 0.5 --bias "
        "free --out proof.json. Exit codes: 0 certified to the tolerance, 1 refuted (a better network was found), 2 "
        "not proven, 64 wrong usage or data, 130 interrupted.",
    )
    add = parser.add_argument
    add("data", help="diabetes, breast_cancer, a CSV file with a header line, or an npz file of X, y (sample_weight)")
    add("--target", metavar="COLUMN", help="target column of a CSV file; a column of two values means two classes")
    add("--features", nargs="+", metavar="COLUMN", help="feature columns, or: all (default: two named ones; CSV: all)")
    add("--standardize", action="store_true", help="standardise the features, and targets that are no classes")
    add("--network", type=Path, metavar="FILE", help="npz (saved here), onnx, or pt (a torch state dict)")
    add("--loss", choices=LOSSES, help="default: logistic for two classes, else squared; a sum over the rows")
    strength = parser.add_mutually_exclusive_group(required=True)
    strength.add_argument("--reg", type=positive, help="weight of the path norm beside the summed loss")
    strength.add_argument("--alpha", type=positive, help="weight beside the mean loss: reg = alpha * rows")
    strength.add_argument("--ratio", type=positive, help="reg divided by the largest useful reg (that is found)")
    add("--bias", choices=("penalized", "free", "none"), default="penalized", help="neuron biases (default penalized)")
    add("--intercept", action="store_true", help="a free output bias (default: only if the network or the bias has it)")
    add("--activation", choices=("relu", "leaky", "absolute"), help="default: that of the network, else relu")
    add("--tol", type=positive, default=1e-6, help="relative gap to prove (default 1e-6)")
    add("--time-limit", type=positive, default=60.0, help="seconds (default 60)")
    add("--seed", type=integer, default=0, help="seed of everything random (default 0)")
    add("--out", type=Path, metavar="FILE", help="write the proof there, for: convexnet verify FILE")
    add("--save-network", type=Path, metavar="FILE", help="write the best known network there (npz)")
    add("--json", action="store_true", help="print one JSON object instead of text")


def run_certify(arguments: argparse.Namespace, say: Say) -> tuple[int, dict[str, Any]]:
    """Certify as the parsed command line says; return the exit code and everything found as plain data."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # the matrices are too small for more threads, which then only wait for each other
        return _run(arguments, say)


def _run(arguments: argparse.Namespace, say: Say) -> tuple[int, dict[str, Any]]:
    from .certificates.tolerances import check_tolerance
    from .solving import certify

    check_tolerance(arguments.tol)
    for path in (arguments.out, arguments.save_network):
        _check_folder(path)
    network = None if arguments.network is None else _network(arguments)
    problem, name = _problem(arguments, network, say)
    if network is not None:
        problem.check_network(network)
        say(f"network   {arguments.network}: {network.n_neurons} neurons, objective {problem.objective(network):.9g}")
    certificate = certify(
        problem, network, time_limit=arguments.time_limit, tol=arguments.tol, random_state=arguments.seed,
        proof=arguments.out is not None, callback=_reporter(say),
    )  # fmt: skip
    say("proof     " + _indented(certificate.summary()).lstrip())
    say("in words  " + _indented(_words(certificate)).lstrip())
    _save(certificate, network, arguments, say)
    found = {
        "table": {"name": name, "n": problem.n, "d": problem.d}, "data_hash": problem.data_hash,
        "problem": problem.conventions(), "certificate": certificate.to_dict(),
        "out": None if arguments.out is None else str(arguments.out),
    }  # fmt: skip
    return EXIT_CODES.get(certificate.verdict, 2), found


def _check_folder(path: Path | None) -> None:
    if path is not None and not path.parent.is_dir():
        raise ProblemError(f"{path}: there is no folder {str(path.parent)!r}; create it first.")


def _network(arguments: argparse.Namespace) -> ShallowNetwork:
    from .networks import as_shallow

    try:
        return as_shallow(arguments.network, activation=arguments.activation or "relu")
    except OSError as error:
        raise NetworkError(f"Cannot read the network {str(arguments.network)!r}: {error.strerror or error}.") from None


def _problem(arguments: argparse.Namespace, network: ShallowNetwork | None, say: Say) -> tuple[TrainingProblem, str]:
    """The training problem of the command line; what the network has, the problem has."""
    from .problem import TrainingProblem

    X, y, weight, loss, name = _data(arguments)
    options: dict[str, Any] = {"activation": arguments.activation or "relu"}
    if network is not None:
        options = {"activation": network.activation, "negative_slope": network.negative_slope}
        options["skip"] = network.skip is not None and bool(np.any(network.skip))
    intercept = arguments.intercept or (network is not None and bool(np.any(network.intercept)))
    options["intercept"] = True if intercept else None
    problem = TrainingProblem(
        X, y, loss=arguments.loss or loss, reg=1.0, sample_weight=weight, bias=arguments.bias, **options
    )
    reg, said = _strength(arguments, problem)
    problem = problem.with_options(reg=reg)
    say(f"data      {name}: {problem.n} rows, {problem.d} feature(s)" + (", standardised" * arguments.standardize))
    terms = ", " + _BIASES[problem.bias] + ", free intercept" * problem.intercept + ", free linear term" * problem.skip
    say(f"problem   min {problem.loss.name} loss + reg * path norm, reg = {said}, {problem.activation}{terms}")
    return problem, name


def _data(arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, str, str]:
    """X, y, sample weights, the loss that suits the targets, and a name."""
    path = Path(arguments.data)
    weight = None
    if path.suffix.lower() == ".npz":
        if arguments.target or arguments.features:
            raise ProblemError("--target and --features are for tables with named columns; an npz file holds X and y.")
        X, y, weight = load_npz(path)
        loss = "logistic" if y.ndim == 1 and len(np.unique(y)) == 2 and set(np.unique(y)) <= {-1, 0, 1} else "squared"
        name = path.name
    elif path.suffix.lower() == ".csv" or path.is_file():
        if not arguments.target:
            raise ProblemError("A CSV file needs --target COLUMN.")
        table = load_csv(path, arguments.target, arguments.features)
        X, y, loss, name = table.X, table.y, table.loss, table.name
    else:
        table = load_table(arguments.data, arguments.features)
        if arguments.target:
            raise ProblemError(f"--target is for CSV files; {table.name} always predicts {table.target}.")
        X, y, loss, name = table.X, table.y, table.loss, table.name
    if arguments.standardize:
        X = standardized(X)
        y = standardized(y) if loss == "squared" and (arguments.loss or loss) != "softmax" else y
    if not np.any(y):
        raise DataError(f"{name}: all targets are zero: nothing to learn.")
    return X, y, weight, loss, name


def _strength(arguments: argparse.Namespace, problem: TrainingProblem) -> tuple[float, str]:
    """reg, and how it came about."""
    if arguments.reg is not None:
        return arguments.reg, f"{arguments.reg:.9g}"
    if arguments.alpha is not None:
        return arguments.alpha * problem.n, f"alpha * rows = {arguments.alpha * problem.n:.9g}"
    top = _largest(problem)
    if not top > 0:
        raise DataError("The model without neurons fits the targets: there is no largest useful reg; pass --reg.")
    return arguments.ratio * top, f"{arguments.ratio:g} * {top:.9g} = {arguments.ratio * top:.9g}"


def _largest(problem: TrainingProblem) -> float:
    """The largest useful reg where all cells can be listed, else the largest value of a neuron that is found."""
    from .pricing import enumerable, feasible_dual, null_prediction, price_ascent, price_null

    if not problem.scalar or enumerable(problem):
        priced = price_null(problem)
        return priced.bound if problem.scalar else priced.value
    nu = feasible_dual(problem, -problem.gradient(null_prediction(problem))).nu
    return price_ascent(problem, nu).value


def _words(certificate: Certificate) -> str:
    """What is proven, in plain sentences."""
    bound, gap = rounded_down(certificate.lower_bound), certificate.gap
    lines = [f"Proven: no network of any width has an objective below {bound}."]
    if certificate.verdict == "optimal":
        lines.append(f"The network is within {gap:.1e} (relative) of that: globally optimal to that accuracy.")
    else:
        lines.append(f"The network is at most {gap:.2g} (relative) above that; {certificate.tol:.0e} was asked for.")
    if certificate.improved_objective is not None and certificate.improved_objective < certificate.upper_bound:
        excess = (certificate.upper_bound - certificate.improved_objective) / certificate.upper_bound
        lines.append(f"A better network is known: it is {excess:.2g} (relative) lower.")
    return "\n".join(lines)


def _save(certificate: Certificate, network: ShallowNetwork | None, arguments: argparse.Namespace, say: Say) -> None:
    if arguments.save_network is not None:
        best = certificate.improved or network or certificate.network
        if best is None:
            raise ProblemError("--save-network: no network was found within the time limit.")
        _written(lambda: best.save(arguments.save_network), arguments.save_network)
        say(f"network   the best one known is in {arguments.save_network}")
    if arguments.out is not None:
        _written(lambda: certificate.save(arguments.out), arguments.out)
        say(f"saved     {arguments.out} ({arguments.out.stat().st_size / 1e6:.3g} MB); check it with: "
            f"convexnet verify {arguments.out}")  # fmt: skip


def _written(write: Callable[[], object], path: Path) -> None:
    try:
        write()
    except OSError as error:
        raise ProblemError(f"Cannot write {path}: {error.strerror or error}.") from None


def _reporter(say: Say) -> Callable[[float, float, float], None]:
    def report(seconds: float, objective: float, lower: float) -> None:
        say(f"          {seconds:6.1f} s   best known {objective:.9g} >= optimum >= {rounded_down(lower)}")

    return report


def _indented(text: str) -> str:
    return "\n".join("          " + line for line in text.splitlines())
