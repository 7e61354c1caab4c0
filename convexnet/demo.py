"""The demo: a real table goes in, a network with a proof and a comparison come out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._validation import check_positive
from .arrangements import PatternSet, enumerate_patterns
from .datasets import Table, load_csv, load_table, standardized
from .errors import MissingExtraError, ProblemError
from .networks import ShallowNetwork
from .pricing import enumerable, price_null
from .problem import TrainingProblem
from .solving import Comparison, Round, Solution, compare, solve

if TYPE_CHECKING:
    from .certificates import Certificate

__all__ = ["run_demo"]

Say = Callable[[str], None]


def run_demo(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Run the demo described by the parsed command line; return everything that was found as plain data."""
    check_positive(arguments.ratio, "--ratio")
    table = _table(arguments)
    problem = _problem(table, arguments.loss)
    say(f"data      {table.name}: {problem.n} rows, features {', '.join(table.features)} -> {table.target}")
    say("          features standardised" + (", target too" if table.loss == "squared" else ""))
    patterns = _patterns(problem, say)
    top = price_null(problem, patterns)
    largest = top.bound if patterns is not None else top.value
    problem = problem.with_options(reg=arguments.ratio * largest)
    say(f"problem   min {problem.loss.name} loss + reg * path norm, reg = {arguments.ratio:g} * {largest:.6g}")
    say(f"convex    {'all cells' if patterns is not None else 'sampled cells'}; objective and lower bound meet:")
    solution = solve(
        problem, patterns=patterns, tol=arguments.tol, time_limit=arguments.time_limit,
        random_state=arguments.seed, callback=_reporter(say),
    )  # fmt: skip
    say(f"          {solution.size} neurons, objective {solution.objective:.7g}, {solution.wall_time:.1f} s")
    say("gradient  the same objective from random starts:")
    comparison = compare(
        problem, solution, width=arguments.width, n_starts=arguments.starts, random_state=arguments.seed
    )
    say(_indented(comparison.summary()))
    say("proof     " + _indented(solution.certificate.summary()).lstrip())
    say("in words  " + _indented(_words(solution, comparison)).lstrip())
    picture = _picture(problem, solution, comparison, table, arguments.picture)
    say(f"picture   {picture if picture else 'none: install matplotlib with pip install convexnet[plot]'}")
    return {
        "table": {"name": table.name, "features": list(table.features), "target": table.target, "n": problem.n},
        "reg_ratio": arguments.ratio, "reg_max": largest, "solution": solution.to_dict(),
        "comparison": comparison.to_dict(), "picture": picture,
    }  # fmt: skip


def _table(arguments: argparse.Namespace) -> Table:
    if Path(arguments.data).suffix.lower() == ".csv":
        if not arguments.target:
            raise ProblemError("A CSV file needs --target COLUMN.")
        return load_csv(arguments.data, arguments.target, arguments.features)
    return load_table(arguments.data, arguments.features)


def _problem(table: Table, loss: str | None) -> TrainingProblem:
    y = standardized(table.y) if table.loss == "squared" else table.y
    return TrainingProblem(standardized(table.X), y, loss=loss or table.loss, reg=1.0)


def _patterns(problem: TrainingProblem, say: Say) -> PatternSet | None:
    if not enumerable(problem):
        say("patterns  too many to list all of them in memory: the result will be a bound, not a proof of optimality")
        return None
    start = time.perf_counter()
    patterns = enumerate_patterns(problem.extended)
    say(f"patterns  {len(patterns):,} activation patterns, all of them (proof: {patterns.proof}), "
        f"{time.perf_counter() - start:.1f} s")  # fmt: skip
    return patterns


def _reporter(say: Say) -> Callable[[Round], None]:
    def report(record: Round) -> None:
        say(f"          {record.seconds:6.1f} s   {record.objective:.8g} >= optimum over these cells >= "
            f"{record.lower_bound:.8g}")  # fmt: skip

    return report


def _indented(text: str) -> str:
    return "\n".join("          " + line for line in text.splitlines())


def _words(solution: Solution, comparison: Comparison) -> str:
    certificate = solution.certificate
    lines = [_claim(certificate)]
    trained = [row for row in comparison.rows if row.method != "convex"]
    if trained and certificate.verdict == "optimal":
        best = min(trained, key=lambda row: row.excess_best)
        lines.append(
            f"The best gradient run ({best.method}) ends {best.excess_best:.1e} above the proven bound, "
            f"with {best.width} neurons instead of {solution.size}."
        )
    return "\n".join(lines)


def _claim(certificate: Certificate) -> str:
    gap = f"{certificate.gap:.1e}"
    if certificate.verdict == "optimal":
        return f"No two-layer network of any width has an objective lower by more than {gap} of this one: proven."
    if certificate.verdict == "listed":
        return (
            f"Among networks with the {certificate.n_patterns} sampled patterns none is better by more than "
            f"{certificate.listed_gap:.1e}; over all networks only the bound {certificate.lower_bound:.6g} is proven."
        )
    return f"Optimality is not proven. Proven: no network has an objective below {certificate.lower_bound:.6g}."


def _picture(
    problem: TrainingProblem, solution: Solution, comparison: Comparison, table: Table, path: Path | None
) -> str | None:
    """Save a picture where matplotlib is installed; a missing matplotlib is an error only if a path was asked for."""
    try:
        import matplotlib
    except ImportError:
        if path is not None:
            raise MissingExtraError("--picture needs matplotlib: pip install 'convexnet[plot]'.") from None
        return None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from .plotting import plot_comparison, plot_network

    path = path or Path("convexnet_demo.png")
    columns = 2 if problem.d == 2 else 1
    figure, axes = plt.subplots(1, columns, figsize=(6 * columns, 4.5), layout="constrained", squeeze=False)
    if columns == 2 and isinstance(solution.network, ShallowNetwork):
        plot_network(problem, solution.network, axes[0, 0], features=table.features)
    plot_comparison(comparison, axes[0, -1])
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise ProblemError(f"Cannot write {path}: {error}.") from None
    finally:
        plt.close(figure)
    return str(path)
