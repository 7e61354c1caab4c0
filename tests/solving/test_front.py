"""Which method the front door takes, that it says so, that it never swaps models, and how every method stops."""

from __future__ import annotations

import json
import time
import warnings
from typing import Any

import numpy as np
import pytest

from convexnet import PatternSet, ShallowNetwork, TrainingProblem, enumerate_patterns, sample_patterns, solve
from convexnet.errors import (
    ConvexNetWarning,
    IncompletePatternsWarning,
    NotCertifiedWarning,
    PatternError,
    ProblemError,
)
from convexnet.networks import GatedNetwork
from convexnet.pricing import enumerable
from convexnet.solvers import Progress
from convexnet.solving import Solution
from convexnet.solving.front import METHODS

STOPPED = {"callback": "callback", "iteration": "iteration_limit", "time": "time_limit"}


def data(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((n, d))
    return X, np.maximum(X[:, 0], 0) - 0.5 * np.abs(X[:, 1]) + 0.1 * generator.standard_normal(n)


def few(**options: Any) -> tuple[TrainingProblem, PatternSet]:
    """All patterns can be listed."""
    problem = TrainingProblem(*data(14, 2), **{"reg": 0.5} | options)
    return problem, enumerate_patterns(problem.extended)


KINDS: dict[str, dict[str, Any]] = {"label_noise": {"norm": "label_noise"}, "threshold": {"activation": "threshold"}}
"""Problems that one method alone treats."""
GENERAL = sorted({*METHODS} - {"label_noise", "threshold", "memorize", "spline"})
"""Methods for several features and any loss."""


def treated(method: str) -> TrainingProblem:
    """A problem for the method."""
    problem = few()[0]
    if method == "spline":
        return problem.with_options(X=problem.X[:, :1])
    return problem.with_options(**{"memorize": {"loss": "interpolation"}, **KINDS}.get(method, {}))


def many(n: int = 60, d: int = 6, **options: Any) -> TrainingProblem:
    """They cannot."""
    problem = TrainingProblem(*data(n, d), **{"reg": 2.0} | options)
    assert not enumerable(problem)
    return problem


def outputs(loss: str = "squared", n: int = 20) -> TrainingProblem:
    X, y = data(n, 2)
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    Y = np.column_stack([y, X[:, 0], -y]) if loss == "squared" else labels
    return TrainingProblem(X, Y, loss=loss, reg=0.5)


def quiet(problem: TrainingProblem, *arguments: Any, **options: Any) -> Solution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvexNetWarning)
        return solve(problem, *arguments, **options)


# --------------------------------------------------------------------------------------------------- what auto picks
def test_listed_patterns_mean_cells() -> None:
    problem, patterns = few()
    for solution in (solve(problem), solve(problem, patterns=patterns), quiet(problem, patterns=patterns.subset([0]))):
        assert solution.method == "cells" and "method cells" in solution.summary()
        assert solution.pricing_gap is None and "heuristic" not in solution.summary()


def test_too_many_patterns_mean_the_relu_solver_and_a_bound_over_all() -> None:
    problem = many(150, 15, reg=0.1)  # out of reach of the searches, however fast the machine
    with pytest.warns(NotCertifiedWarning):
        solution = solve(problem, tol=1e-7, time_limit=1.5)
    certificate = solution.certificate
    assert solution.method == "relu" and solution.patterns is None
    assert isinstance(solution.network, ShallowNetwork)
    assert problem.objective(solution.network) == solution.objective == certificate.upper_bound
    assert certificate.verdict in ("bound", "refuted") and solution.status != "solved"
    assert 0 < certificate.lower_bound <= solution.objective
    assert solution.pricing_gap < certificate.gap
    said = solution.summary() + repr(solution)
    assert said.count("pricing gap (heuristic)") == 2
    assert "optimal" not in said.lower() and "certified" not in said.lower()
    plain = json.loads(json.dumps(solution.to_dict(), allow_nan=False))
    assert plain["pricing_gap_heuristic"] == solution.pricing_gap and plain["patterns"] is None


@pytest.mark.slow
def test_the_relu_solver_is_no_worse_than_a_list_and_far_better_than_its_bound() -> None:
    problem = many()
    relu = quiet(problem, time_limit=10)
    with pytest.warns(IncompletePatternsWarning):
        listed = solve(problem, "cells", time_limit=20)
    assert listed.certificate.verdict == "listed"
    assert relu.objective <= listed.objective * (1 + 1e-7)
    assert max(relu.certificate.lower_bound, listed.certificate.lower_bound) <= relu.objective


def test_where_cells_are_few_the_relu_solver_is_proven_over_all_of_them() -> None:
    problem, patterns = few()
    best = solve(problem).objective
    for solution in (quiet(problem, "relu"), quiet(problem, "relu", patterns)):
        assert solution.method == "relu" and solution.patterns is not None
        assert solution.objective == pytest.approx(best, rel=1e-7)
        assert solution.certificate.gap <= 1e-5 and solution.certificate.method.endswith("cells")


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_several_outputs_are_trained_with_a_bound(loss: str) -> None:
    problem = outputs(loss)
    solution = quiet(problem, time_limit=3, tol=1e-4)
    assert solution.method == "relu" and solution.pricing_gap is not None
    assert problem.objective(solution.network) == solution.objective
    assert 0 <= solution.certificate.lower_bound <= solution.objective
    gated = solve(problem, "gated", enumerate_patterns(problem.extended), tol=1e-5)
    assert gated.certificate.lower_bound <= solution.objective, "complete gates relax the ReLU problem"
    with pytest.raises(ProblemError, match="several outputs"):
        solve(problem, patterns=enumerate_patterns(problem.extended))
    for method in ("cells", "program"):
        with pytest.raises(ProblemError, match="several outputs"):
            solve(problem, method)


def test_losses_and_norms_that_only_programs_treat_still_train() -> None:
    problem = many(n=24, norm="l1", loss="absolute", reg=1.0)
    solution = quiet(problem, time_limit=1)
    assert solution.method in ("cells", "relu")
    assert 0 <= solution.certificate.lower_bound <= solution.objective
    X, y = data(24, 6)
    assert quiet(TrainingProblem(X, y, loss="interpolation"), time_limit=1).method == "memorize (atoms)"


# ------------------------------------------------------------------------------------------------------- gated methods
@pytest.mark.parametrize("loss", ["squared", "logistic", "huber", "absolute", "hinge"])
def test_gated_says_which_solver_and_both_agree(loss: str) -> None:
    X, y = data(16, 3)
    y = np.sign(y) if loss in ("logistic", "hinge") else y
    problem = TrainingProblem(X, y, loss=loss, reg=0.5)
    patterns = sample_patterns(problem.extended, 12, random_state=0)
    fast, conic = (solve(problem, method, patterns) for method in ("gated", "gated_program"))
    assert conic.method == "gated (program)"
    assert (fast.method == "gated (program)") == (loss in ("absolute", "hinge"))
    for solution in (fast, conic):
        assert isinstance(solution.network, GatedNetwork)
        assert solution.certificate.verdict == "listed" and solution.status == "solved"
        assert "gated" in solution.certificate.scope
        assert solution.objective == pytest.approx(problem.gated_objective(solution.network), rel=1e-12)
    gaps = fast.certificate.gap + conic.certificate.gap
    assert abs(fast.objective - conic.objective) <= (gaps + 1e-12) * conic.objective


@pytest.mark.parametrize("group", ["nuclear", "frobenius"])
def test_group_norms_reach_the_solver_and_its_certificate(group: str) -> None:
    problem = outputs()
    patterns = sample_patterns(problem.extended, 10, random_state=0)
    fast, conic = (solve(problem, method, patterns, group=group) for method in ("gated", "gated_program"))
    assert fast.certificate.conventions["group"] == group
    assert fast.objective == pytest.approx(problem.gated_objective(fast.network, group), rel=1e-12)
    assert fast.objective == pytest.approx(conic.objective, rel=3e-6)


@pytest.mark.parametrize("kind", ["plain", *KINDS])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_methods_refuse_problems_of_another_kind(method: str, kind: str) -> None:
    if kind == (method if method in KINDS else "plain") and method in (*GENERAL, *KINDS):
        return
    with pytest.raises(ProblemError, match=r"method=|treats"):
        solve(few()[0].with_options(**KINDS.get(kind, {})), method)


@pytest.mark.parametrize("method", [*KINDS, "spline"])
def test_problems_of_another_kind_find_their_method(method: str) -> None:
    solution = solve(treated(method))
    assert solution.method == method and solution.certificate.verdict == "optimal"
    assert solution.objective == solution.problem.objective(solution.network)


@pytest.mark.parametrize("method", GENERAL)
def test_no_method_swaps_one_model_for_the_other(method: str) -> None:
    problem, patterns = few()
    solution = quiet(problem, method, patterns)
    gated = method.startswith("gated")
    assert isinstance(solution.network, GatedNetwork if gated else ShallowNetwork)
    assert solution.method.split()[0] == method.removesuffix("_program") or method == "program"
    best = solve(problem).objective
    assert solution.objective <= best * (1 + 1e-6) if gated else solution.objective >= best * (1 - 1e-6)


# ------------------------------------------------------------------------------------------------------------ stopping
@pytest.mark.parametrize("how", sorted(STOPPED))
@pytest.mark.parametrize(
    "method",
    ["relu", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cells", "gated", "program", "gated_program"))],
)
def test_stopped_early_means_bounds_and_a_reason(method: str, how: str) -> None:
    problem = many(n=80)
    patterns = None if method == "relu" else sample_patterns(problem.extended, 60, random_state=0)
    options: dict[str, Any] = {
        "callback": {"callback": lambda record: True}, "iteration": {"max_iter": 1}, "time": {"time_limit": 0.01},
    }[how]  # fmt: skip
    start = time.perf_counter()
    solution = quiet(problem, method, patterns, tol=1e-9, **{"time_limit": 5.0} | options)
    assert time.perf_counter() - start < 15
    certificate = solution.certificate
    assert 0 <= certificate.lower_bound <= solution.objective * (1 + 1e-12)
    assert solution.message
    measure = problem.gated_objective if method.startswith("gated") else problem.objective
    assert solution.objective == pytest.approx(measure(solution.network), rel=1e-12)
    once = method in ("program", "gated_program")
    if not (how == "callback" and once):  # a program reports once, when it is done
        assert solution.status in {STOPPED[how], "solved", "not_proven", "stalled"}
    if how == "callback" and not once:
        assert solution.status == "callback" and len(solution.history) >= 1


@pytest.mark.parametrize("method", ["cells", "relu", "gated", "gated_program", "program"])
def test_callbacks_get_records_and_verbose_prints_them(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    problem, patterns = few()
    records: list[Progress] = []
    solution = quiet(problem, method, patterns, callback=records.append, verbose=True)
    assert records and all(isinstance(record, Progress) for record in records)
    assert records[-1].objective >= solution.objective * (1 - 1e-9)
    assert [record.seconds for record in records] == sorted(record.seconds for record in records)
    printed = capsys.readouterr().out
    assert printed.count("objective") == len(records)
    assert ("pricing gap (heuristic)" in printed) == (method == "relu")
    assert ("lower bound" in printed) == (method != "relu")


def test_silent_unless_verbose(capfd: pytest.CaptureFixture[str]) -> None:
    for method in METHODS:
        quiet(treated(method), method)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_an_interrupt_after_the_first_round_keeps_the_best_so_far() -> None:
    problem, patterns = few(reg=0.05)

    def interrupt(record: Progress) -> None:
        raise KeyboardInterrupt

    solution = quiet(problem, "cells", patterns, callback=interrupt, tol=1e-12)
    assert solution.status in ("interrupted", "solved")
    assert 0 <= solution.certificate.lower_bound <= solution.objective


@pytest.mark.parametrize("method", ["relu", "gated"])
def test_the_same_seed_gives_the_same_network(method: str) -> None:
    problem = many(n=24)
    first, second = (quiet(problem, method, random_state=3, time_limit=20, tol=1e-5) for _ in range(2))
    if method == "relu":
        # The search for a bound, which the clock ends, polishes the network further, within the tolerance asked for.
        assert first.objective == pytest.approx(second.objective, rel=1e-5)
        return
    assert first.objective == second.objective
    np.testing.assert_array_equal(first.network.weights, second.network.weights)


# ------------------------------------------------------------------------------------------------------------ refusals
def test_lists_are_refused_where_they_mean_nothing() -> None:
    problem, patterns = few()
    with pytest.raises(PatternError, match="all activation patterns"):
        solve(problem, "relu", patterns.subset([0, 1]))
    with pytest.raises(ProblemError, match="free"):
        solve(problem.with_options(bias="free"), "gated")
    with pytest.raises(ProblemError, match="group"):
        solve(problem, "gated", group="magic")
