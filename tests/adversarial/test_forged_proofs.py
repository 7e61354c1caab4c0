"""Forged proof files: whatever a checker still accepts must be true of what the file then says."""

from __future__ import annotations

import functools
import json
import math
import warnings
from typing import Any

import numpy as np
import pytest
from certificates.proof_cases import KINDS, small_document
from helpers.forgeries import forgeries, resealed
from helpers.verify import network_objective

from convexnet import ShallowNetwork, TrainingProblem, enumerate_patterns, solve
from convexnet.certificates import check_exact, check_float
from convexnet.errors import ConvexNetError

CASES = [
    ("squared", {"bias": "penalized"}),
    ("squared", {"bias": "free"}),
    ("huber", {"bias": "none", "activation": "leaky", "negative_slope": 0.2}),
    ("logistic", {"bias": "penalized", "intercept": True}),
    ("hinge", {"bias": "free"}),
    ("absolute", {"bias": "none", "norm": "l1", "skip": True}),
    ("interpolation", {"bias": "penalized"}),
]


@functools.cache
def least_known(claim: str) -> float:
    """An upper bound of the optimum of the claim of a file: the best of a solved network and the empty one."""
    c = check_float.read_claim(json.loads(claim), None)
    words = json.loads(claim)["claim"]
    slope = {"negative_slope": c.kappa} if words["activation"] == "leaky" else {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        problem = TrainingProblem(
            c.X, c.y, loss=loss_of(c), reg=c.reg, sample_weight=c.weight, activation=words["activation"], bias=c.bias,
            intercept=c.intercept, skip=c.skip, norm=c.norm, **slope,
        )  # fmt: skip
        empty = ShallowNetwork(
            np.zeros((0, problem.d)), [], [], activation=problem.activation, negative_slope=problem.negative_slope
        )
        best = network_objective(problem, empty)
        try:
            patterns = enumerate_patterns(problem.extended)
            best = min(best, network_objective(problem, solve(problem, patterns=patterns).network))
        except (ConvexNetError, ArithmeticError, ValueError):
            pass
    return best


def loss_of(c: Any) -> Any:
    from convexnet.losses import get_loss

    extra = check_float.LOSSES[c.loss]
    return get_loss(c.loss, **({extra[0]: c.parameter} if extra else {}))


def true_objective(text: str) -> float:
    """Objective of the network in the file, by formulas of the tests."""
    c = check_float.read_claim(json.loads(text), None)
    net = c.network

    class Plain:
        pass

    problem, network = Plain(), Plain()
    vars(problem).update(
        X=c.X, y=c.y, sample_weight=c.weight, reg=c.reg, bias=c.bias, norm=c.norm, loss=loss_of(c),
        activation="leaky", negative_slope=c.kappa,
    )  # fmt: skip
    vars(network).update(net)
    return network_objective(problem, network)


def assert_true(text: str, report: Any, name: str) -> None:
    """What a report of exit code 0 or 2 says must hold."""
    document = json.loads(text)
    claim = json.dumps({**document, "proof": None, "nu_exact": []}, sort_keys=True)
    if not (math.isfinite(report.pricing_bound) and report.kind):
        assert not report.certified, name
        return
    try:
        objective = true_objective(text)
    except check_float.Unproven:  # numbers that only the exact checker can hold
        assert report.checker == "exact", name
        assert report.lower <= report.upper, name
        return
    assert report.upper >= objective * (1 - 1e-9), name
    assert report.lower <= report.upper, name
    misfit = 1e-6 * (1 + abs(objective)) if document["claim"]["loss"]["name"] == "interpolation" else 0.0
    assert report.lower <= least_known(claim) * (1 + 1e-9) + misfit, name
    if report.certified:
        assert report.upper - report.lower <= report.tol * report.upper * (1 + 1e-9), name


def run(
    loss: str, options: dict[str, Any], kind: str, step: int, exact_every: int, first: int = 0
) -> tuple[int, int]:
    """Number of forged files tried and of files still certified (truly, as asserted)."""
    tried = accepted = 0
    original = small_document(loss, kind, **options)
    for index, (name, text) in enumerate(forgeries(json.loads(original))):
        if index % step != first:
            continue
        label = f"{loss} {kind} {name}"
        report = check_float.check_text(text)
        assert report.exit_code in (0, 1, 2, 64), label
        assert report.certified == (report.exit_code == 0), label
        tried += 1
        if report.exit_code in (0, 2):
            assert_true(text, report, label)
            accepted += report.certified
        if index % exact_every == 0:
            exact = check_exact.check_text(text)
            if report.certified and not exact.certified:
                raise AssertionError(f"{label}: certified in floating point only ({exact.lines})")
            if exact.exit_code in (0, 2) and exact.kind:
                assert_true(text, exact, label)
    return tried, accepted


def test_originals_are_certified_or_bounds() -> None:
    for loss, options in CASES:
        for kind in KINDS:
            text = small_document(loss, kind, **options)
            for checker in (check_float, check_exact):
                report = checker.check_text(text)
                assert report.exit_code == (0 if kind == "cells" else report.exit_code)
                assert report.exit_code in (0, 2)
                assert_true(text, report, f"{loss} {kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_forged_files_never_verifies_beyond_the_truth(kind: str) -> None:
    tried = 0
    for loss, options in CASES[:4]:
        # The claim comes first in a file: from one start all kinds meet the same forged claims, each solved once.
        tried += run(loss, options, kind, step=29, exact_every=29, first=len(loss))[0]
    assert tried >= 35


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("loss", "options"), CASES, ids=lambda value: str(value))
def test_no_forged_file_verifies_beyond_the_truth(loss: str, options: dict[str, Any], kind: str) -> None:
    tried, _ = run(loss, options, kind, step=1, exact_every=7)
    assert tried >= 200


# ----------------------------------------------------------------------------------------------- single known forgeries
def forged(kind: str, change: Any, reseal: bool = False, loss: str = "squared", **options: Any) -> tuple[Any, Any]:
    document = json.loads(small_document(loss, kind, **(options or {"bias": "penalized"})))
    change(document)
    text = json.dumps(resealed(document) if reseal else document)
    return check_float.check_text(text), check_exact.check_text(text)


def put(*path: Any) -> Any:
    *where, value = path

    def change(document: dict[str, Any]) -> None:
        for key in where[:-1]:
            document = document[key]
        document[where[-1]] = value

    return change


@pytest.mark.parametrize(
    ("kind", "change", "reseal", "code"),
    [
        ("cells", put("claim", "reg", "0x1p-9"), False, 1),
        ("cells", put("claim", "reg", "-0x1p-9"), True, 1),
        ("cells", put("claim", "tol", "0x1p+0"), True, 1),
        ("cells", put("claim", "bias", "none"), False, 1),
        ("cells", put("claim", "data_sha256", "0" * 64), False, 1),
        ("cells", put("claim", "kappa", "0x1p-2"), True, 1),
        ("cells", put("claim_sha256", "0" * 64), False, 1),
        ("cells", put("network", "intercept", "0x1p+0"), True, 1),
        ("cells", put("version", 2), False, 64),
        ("cells", put("version", True), False, 64),
        ("cells", put("proof", "kind", "cones"), False, 64),
        ("cones", put("proof", "kind", "cells"), False, 64),
        ("cones", put("proof", "kind", "slabs"), False, 1),
        ("cones", put("proof", "forms", []), False, 1),
        ("cones", lambda d: d["proof"]["forms"].pop(), False, 1),
        ("cones", lambda d: d["proof"]["forms"].__setitem__(1, d["proof"]["forms"][0]), False, 1),
        ("moment", put("proof", "forms", 0, "sign", -1), False, None),
        ("moment", put("proof", "forms", 0, "sign", 0), False, 1),
        ("slabs", put("proof", "forms", 0, "sweeps", 0), False, 64),
    ],
)  # fmt: skip
def test_known_forgeries(kind: str, change: Any, reseal: bool, code: int | None) -> None:
    for report in forged(kind, change, reseal):
        assert not report.certified
        assert code is None or report.exit_code == code


def test_all_rows_dropped_prove_nothing() -> None:
    """Rows may be left out only at the price of their size."""

    def drop(document: dict[str, Any]) -> None:
        for form in document["proof"]["forms"]:
            form["merged"], form["dropped"] = [], list(range(document["claim"]["n"]))
            form["tau"] = form["a"] = form["theta"] = {"dtype": "f8", "shape": [0], "data": ""}

    reports = forged("moment", drop)
    honest = forged("moment", lambda d: None)
    for report, other in zip(reports, honest, strict=True):
        assert report.exit_code == 2
        assert report.pricing_bound > 1.2 * other.pricing_bound


def test_free_biases_need_a_sum_of_exactly_zero_and_every_centre() -> None:
    from helpers.forgeries import decode, encode

    def nudge(document: dict[str, Any]) -> None:
        nu = decode(document["nu"])
        nu[0] = np.nextafter(nu[0], 2 * nu[0])
        document["nu"] = encode(nu, "f8")

    assert [r.exit_code for r in forged("cells", nudge, bias="free")] == [1, 1]
    assert [r.exit_code for r in forged("cones", lambda d: d["proof"]["forms"].pop(3), bias="free")] == [1, 1]


def test_a_worse_network_is_not_certified_by_a_good_bound() -> None:
    from helpers.forgeries import decode, encode

    def shrink(document: dict[str, Any]) -> None:
        v = decode(document["network"]["output_weights"])
        document["network"]["output_weights"] = encode(v * 0.99, "f8")

    for report in forged("cells", shrink, reseal=True):
        assert report.exit_code == 2
        assert report.gap > report.tol
