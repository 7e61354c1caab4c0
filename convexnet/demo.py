"""The demo: a real table goes in, a network with a proof and a comparison come out."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._printing import rounded_down
from .arrangements import PatternSet, enumerate_patterns
from .certificates.tolerances import check_tolerance
from .datasets import Table, load_csv, load_table, standardized
from .errors import DataError, MissingExtraError, ProblemError
from .networks import ShallowNetwork
from .pricing import enumerable, price_null
from .problem import TrainingProblem
from .solvers import Progress
from .solving import Comparison, Solution, compare, solve

if TYPE_CHECKING:
    from .certificates import Certificate

__all__ = ["run_demo"]

Say = Callable[[str], None]
_DEFAULT_PICTURE = Path("convexnet_demo.png")


def run_demo(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Run the demo described by the parsed command line; return everything that was found as plain data.

    Linear algebra keeps to one thread: its matrices are too small for more, which then only wait for each other.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _run(arguments, say)


def _run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    _check_picture(arguments.picture)
    check_tolerance(arguments.tol)
    table = _table(arguments)
    problem = _problem(table, arguments.loss)
    say(f"data      {table.name}: {problem.n} rows, features {', '.join(table.features)} -> {table.target}")
    say("          features standardised" + (", target too" if table.loss == "squared" else ""))
    patterns = _patterns(problem, say)
    top = price_null(problem, patterns)
    largest = top.bound if patterns is not None else top.value
    problem = problem.with_options(reg=arguments.ratio * largest)
    say(f"problem   min {problem.loss.name} loss + reg * path norm, reg = {arguments.ratio:g} * {largest:.6g}")
    say("convex    " + ("over networks of any width: objective reached >= optimum >= proven bound"
                        if patterns is not None else "objective reached so far"))  # fmt: skip
    solution = solve(
        problem, patterns=patterns, tol=arguments.tol, time_limit=arguments.time_limit,
        random_state=arguments.seed, callback=_reporter(say, proven=patterns is not None),
    )  # fmt: skip
    say(f"          {solution.size} neurons, objective {solution.objective:.9g}, {solution.wall_time:.1f} s")
    say("gradient  training on the same objective from random starts")
    comparison = compare(
        problem, solution, width=arguments.width, n_starts=arguments.starts, random_state=arguments.seed
    )
    say(_indented(comparison.summary()))
    say("proof     " + _indented(solution.certificate.summary()).lstrip())
    say("in words  " + _indented(_words(solution, comparison)).lstrip())
    picture = _picture(problem, solution, comparison, table, arguments, say)
    return {
        "table": {"name": table.name, "features": list(table.features), "target": table.target, "n": problem.n},
        "reg_ratio": arguments.ratio, "reg_max": largest, "reg_max_exact": patterns is not None,
        "solution": solution.to_dict(), "comparison": comparison.to_dict(), "picture": picture,
    }  # fmt: skip


def _table(arguments: argparse.Namespace) -> Table:
    path = Path(arguments.data)
    if path.suffix.lower() == ".csv" or path.is_file():
        if not arguments.target:
            raise ProblemError("A CSV file needs --target COLUMN.")
        return load_csv(path, arguments.target, arguments.features)
    table = load_table(arguments.data, arguments.features)
    if arguments.target:
        raise ProblemError(f"--target is for CSV files; {table.name} always predicts {table.target}.")
    return table


def _problem(table: Table, loss: str | None) -> TrainingProblem:
    """The training problem on standardised columns; ``reg`` follows once its scale is known."""
    X = standardized(table.X)
    y = standardized(table.y) if table.loss == "squared" else table.y
    if not X.any():
        raise DataError(f"{table.name}: the features do not vary over the {len(X)} row(s): nothing to learn from.")
    if not y.any():
        raise DataError(f"{table.name}: the target {table.target!r} is the same in all rows: nothing to learn.")
    return TrainingProblem(X, y, loss=loss or table.loss, reg=1.0)


def _patterns(problem: TrainingProblem, say: Say) -> PatternSet | None:
    if not enumerable(problem):
        say("patterns  too many to list them all: a fast solver trains over all of them without a list, and a search")
        say("          afterwards bounds what networks of any width can reach")
        return None
    start = time.perf_counter()
    patterns = enumerate_patterns(problem.extended)
    say(f"patterns  {len(patterns):,} activation patterns, all of them (proof: {patterns.proof}), "
        f"{time.perf_counter() - start:.1f} s")  # fmt: skip
    return patterns


def _reporter(say: Say, proven: bool) -> Callable[[Progress], None]:
    """One line a step; without all patterns its lower bound holds for a part of the networks or is heuristic."""

    def report(record: Progress) -> None:
        bound = f" >= optimum >= {rounded_down(record.lower_bound)}" if proven else ""
        say(f"          {record.seconds:6.1f} s   {record.objective:.9g}{bound}")

    return report


def _indented(text: str) -> str:
    return "\n".join("          " + line for line in text.splitlines())


def _words(solution: Solution, comparison: Comparison) -> str:
    """What is proven, what is not, and where the gradient runs ended, in plain sentences."""
    last = "All this is about the training objective on these rows; new data are another question."
    return "\n".join([*_claim(solution.certificate), _beside(solution, comparison), last])


def _claim(certificate: Certificate) -> list[str]:
    bound = rounded_down(certificate.lower_bound)
    if certificate.verdict == "optimal":
        return [
            f"Proven: no two-layer ReLU network, however wide, has an objective below {bound}.",
            f"The network found is within {certificate.gap:.1e} (relative) of that: globally optimal to that accuracy.",
        ]
    everyone = f"Proven for networks of any width: no objective below {bound} (relative gap {certificate.gap:.2g})."
    if certificate.verdict == "listed":
        return [
            "Not proven: that this network is the best of all.",
            f"Proven: among networks with the {certificate.n_patterns} sampled activation patterns none is better by "
            f"more than {certificate.listed_gap:.1e}.",
            everyone,
        ]
    found = " A better network is known." if certificate.verdict == "refuted" else ""
    return [f"Not proven: that this network is optimal to {certificate.tol:.0e}.{found}", everyone]


def _beside(solution: Solution, comparison: Comparison) -> str:
    """The best gradient run against the convex solution."""
    best = min((row for row in comparison.rows if row.method != "convex"), key=lambda row: row.best)
    if not math.isfinite(best.best):
        return "Every gradient run diverged."
    difference = (best.best - solution.objective) / max(abs(solution.objective), 1e-300)
    neurons = f"with {best.width} neurons instead of {solution.size}"
    if difference > solution.certificate.tol:
        return f"The best gradient run ({best.method}) ends {difference:.1e} (relative) higher, {neurons}."
    if difference >= -solution.certificate.tol:
        return f"The best gradient run ({best.method}) reaches the same objective {neurons}, without a proof."
    reason = ": it uses patterns outside the sample" if solution.certificate.verdict == "listed" else ""
    return f"The best gradient run ({best.method}) ends {-difference:.1e} (relative) lower, {neurons}{reason}."


def _check_picture(path: Path | None) -> None:
    """A picture that was asked for must be possible, before anything is computed."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise ProblemError(f"--picture {path}: there is no folder {str(path.parent)!r}; create it first.")
    plt = _pyplot()
    if plt is None:
        raise MissingExtraError("--picture needs matplotlib: pip install 'convexnet[plot]'.")
    figure = plt.figure()
    known = figure.canvas.get_supported_filetypes()
    plt.close(figure)
    if path.suffix[1:].lower() not in known:
        raise ProblemError(f"--picture {path}: the name must end in one of {', '.join('.' + kind for kind in known)}.")


def _pyplot() -> Any:
    """matplotlib.pyplot without a window, or None where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _picture(
    problem: TrainingProblem, solution: Solution, comparison: Comparison, table: Table, arguments: argparse.Namespace,
    say: Say,
) -> str | None:  # fmt: skip
    """Save a picture where matplotlib is installed; failing is an error only if a picture was asked for."""
    path: Path = arguments.picture or _DEFAULT_PICTURE
    if arguments.json and arguments.picture is None:
        return None
    plt = _pyplot()
    if plt is None:
        say("picture   none: install matplotlib with pip install 'convexnet[plot]'")
        return None
    figure = _figure(plt, problem, solution, comparison, table)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        if arguments.picture is not None:
            raise ProblemError(f"Cannot write {path}: {error.strerror}.") from None
        say(f"picture   none: cannot write {path} here ({error.strerror}); name another place with --picture")
        return None
    finally:
        plt.close(figure)
    say(f"picture   {path}")
    return str(path)


def _figure(plt: Any, problem: TrainingProblem, solution: Solution, comparison: Comparison, table: Table) -> Any:
    """The network over its two features, if there are two, beside the excess of every method."""
    from .plotting import plot_comparison, plot_network

    columns = 2 if problem.d == 2 else 1
    figure, axes = plt.subplots(1, columns, figsize=(6 * columns, 5), layout="constrained", squeeze=False)
    if columns == 2 and isinstance(solution.network, ShallowNetwork):
        plot_network(problem, solution.network, axes[0, 0], features=[f"{f} (standardised)" for f in table.features])
    plot_comparison(comparison, axes[0, -1])
    return figure
