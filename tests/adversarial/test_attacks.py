"""Forged proofs aimed at single lines of the checkers, and data at the ends of the range of doubles."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers.forgeries import encode, resealed
from helpers.grids import latin

from convexnet import ShallowNetwork, TrainingProblem, enumerate_patterns
from convexnet.certificates import check_exact, check_float, judge
from convexnet.certificates.tolerances import rounding_of_zero
from convexnet.pricing import price_cells, price_cones, price_moment, price_slabs, price_spectral

LEAF = [-1, 0, 0, 0]
CHECKERS = [check_float, check_exact]


def document(X: Any, y: Any, reg: float, nu: Any, proof: dict[str, Any], **options: Any) -> dict[str, Any]:
    """A file without free terms and biases, with recomputed hashes: what it states is true or false by its contents."""
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    weight = options.get("weight")
    W, v = (np.asarray(part, dtype=float) for part in options.get("net", (np.zeros((0, X.shape[1])), np.zeros(0))))
    claim = {
        "loss": {"name": options.get("loss", "squared")}, "reg": float(reg).hex(), "activation": "relu",
        "kappa": 0.0.hex(), "bias": "none", "intercept": False, "skip": False, "norm": "l2",
        "tol": float(options.get("tol", 0.01)).hex(), "n": len(X), "d": X.shape[1], "data_sha256": "",
    }  # fmt: skip
    network = {
        "weights": encode(W, "f8"), "biases": encode(np.zeros(len(v)), "f8"), "output_weights": encode(v, "f8"),
        "intercept": 0.0.hex(), "skip": None,
    }  # fmt: skip
    data = {"X": encode(X, "f8"), "y": encode(y, "f8"), "sample_weight": None}
    if weight is not None:
        data["sample_weight"] = encode(np.asarray(weight, dtype=float), "f8")
    return resealed({
        "format": "convexnet-proof", "version": 1, "claim": claim, "claim_sha256": "", "data": data,
        "network": network, "nu": encode(np.asarray(nu, dtype=float), "f8"), "nu_exact": options.get("exact", []),
        "proof": proof, "claimed": {}, "versions": {},
    })  # fmt: skip


def form(kind: str, sign: int, merged: Any = (), **parts: Any) -> dict[str, Any]:
    return {"kind": kind, "sign": sign, "centre": -1, "merged": list(merged), "dropped": [], **parts}


def line(sign: int, simplex: list[int], g: list[float]) -> dict[str, Any]:
    """Cones in one dimension: two half lines."""
    none = {"leaf": encode(np.zeros(0), "i4"), "row": encode(np.zeros(0), "i4"), "value": encode(np.zeros(0), "f8")}
    return form(
        "cones", sign, simplex=encode(np.array(simplex)[:, None], "i8"), tree=encode(np.array([LEAF, LEAF]), "i1"),
        g=encode(np.array(g)[:, None], "f8"), alpha=none,
    )  # fmt: skip


def verdict(checker: Any, file: dict[str, Any]) -> Any:
    return checker.check_text(json.dumps(file))


@pytest.mark.parametrize("checker", CHECKERS)
def test_an_honest_file_of_this_kind_is_certified(checker: Any) -> None:
    forms = [line(1, [-1, 1], [2.0, 2.0]), line(-1, [-1, 1], [1e-9, -1e-9])]
    file = document([[1.0]], [2.0], 1.0, [2.0], {"kind": "cones", "forms": forms}, net=([[1.0]], [1.0]))
    assert verdict(checker, file).verdict == "certified"


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("short", [1e-2, 1e-4, 1e-8, 1e-12, 1e-15])
def test_vector_that_is_a_little_too_short(checker: Any, short: float) -> None:
    """M = 2; a g that misses its inequality by ever so little proves nothing below 2."""
    forms = [line(1, [-1, 1], [2.0 - short, 0.0]), line(-1, [-1, 1], [1e-9, -1e-9])]
    file = document([[1.0]], [2.0], 1.0, [2.0], {"kind": "cones", "forms": forms}, net=([[1.0]], [1.0]))
    report = verdict(checker, file)
    assert report.pricing_bound >= 2.0
    assert report.lower <= 1.5


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("vertices", [[-(2**63), -(2**63)], [-(2**62), -(2**62)], [-1, -1]])
def test_simplex_whose_sum_wraps_around(checker: Any, vertices: list[int]) -> None:
    """Two vertices on one side: in 64 bits their sum is zero, and the other half line is never looked at."""
    forms = [line(1, vertices, [0.0, 0.0]), line(-1, [-1, 1], [1e-9, -1e-9])]
    file = document([[1.0]], [2.0], 1.0, [2.0], {"kind": "cones", "forms": forms})
    assert verdict(checker, file).verdict == "refuted"


def three_slabs(sign: int, merged: list[Any]) -> dict[str, Any]:
    """u <= -1/2, -1/2 <= u <= 1/2 (empty on the sphere, closed by a product of sides), u >= 1/2."""
    return form(
        "slabs", sign, merged, sweeps=3, tree=encode(np.array([1, 0, 1, 0, 0]), "u1"), a=encode(np.ones((2, 1)), "f8"),
        ends=encode(np.array([[-1.01, -0.5, 1.01], [-0.51, 0.5, 1.01]]), "f8"), u=encode(np.zeros((3, 1)), "f8"),
        matrix=encode(np.ones((3, 1)), "f8"), smoothing=encode(np.ones(3), "f8"),
        mu=encode(np.array([0.5e-99, -0.9e-98, 0.5e-99]), "f8"), counts=encode(np.array([0, 1, 0]), "i4"),
        p=encode(np.array([0]), "u1"), q=encode(np.array([3]), "u1"), value=encode(np.array([1e-98]), "f8"),
    )  # fmt: skip


def test_weight_below_the_flushing_threshold_counts_on_decided_rows() -> None:
    """A sample merged into a row 1e99 times longer leaves a weight of 1e-198, which is no multiplier to be flushed."""
    merged = [[1, 0, 1e-99.hex()]]
    forms = [three_slabs(1, merged), three_slabs(-1, merged)]
    proof = {"kind": "slabs", "forms": forms}
    file = document([[1e99], [1.0]], [0.0, 3e-99], 1e-99, [0.0, 1e-99], proof, weight=[0.0, 1.0], tol=0.5)
    truth = 2.5e-198  # (f - 3e-99)^2 / 2 + 1e-99 f at f = 2e-99
    for checker in CHECKERS:
        assert verdict(checker, file).lower <= truth * (1 + 1e-9)


@pytest.mark.parametrize("checker", CHECKERS)
def test_exact_entry_that_underflows_keeps_its_sign(checker: Any) -> None:
    """-1e-400 lies outside the domain of the hinge loss, though it is zero in double precision."""
    forms = [line(1, [-1, 1], [1.0, 1.0]), line(-1, [-1, 1], [1.0, 1.0])]
    file = document(
        [[1.0], [2.0]], [1.0, 1.0], 0.5, [1.0, 0.0], {"kind": "cones", "forms": forms}, loss="hinge",
        exact=[[1, "-1/1" + "0" * 400]], net=([[1.0]], [1.0]), tol=0.9,
    )  # fmt: skip
    assert verdict(checker, file).verdict in ("refuted", "not proven")


@pytest.mark.parametrize("checker", CHECKERS)
def test_no_cells_at_all(checker: Any) -> None:
    """Rows of zeros have no hyperplanes: M = 0, and the null network is the best."""
    empty = np.zeros(0)
    proof = {
        "kind": "cells", "witnesses": encode(empty.reshape(0, 1), "f8"), "integers": [],
        "counts": encode(empty.reshape(0, 4), "u1"), "rows": encode(empty, "u2"), "values": encode(empty, "f8"),
    }  # fmt: skip
    assert verdict(checker, document([[0.0]], [1.0], 1.0, [1.0], proof)).verdict == "certified"


@pytest.mark.parametrize("checker", CHECKERS)
def test_tiny_reg_makes_no_network_optimal(checker: Any) -> None:
    """With reg = 1e-40 every interpolating network has an objective near zero; this one's is 1000 times the least."""
    forms = [line(1, [-1, 1], [9.0, 9.0]), line(-1, [-1, 1], [9.0, 9.0])]
    net = ([[1.0], [-1.0], [-1.0], [-1.0]], [1.0, -0.5, -1e3, 1e3])
    file = document([[1.0], [-2.0]], [1.0, -1.0], 1e-40, [1.0, -1.0], {"kind": "cones", "forms": forms}, net=net)
    report = verdict(checker, file)
    assert not report.certified
    assert report.gap > 0.9


def test_tiny_reg_makes_no_network_optimal_in_judge() -> None:
    problem = TrainingProblem([[1.0], [-2.0]], [1.0, -1.0], reg=1e-40, bias="none")
    wasteful = ShallowNetwork([[1.0], [-1.0], [-1.0], [-1.0]], np.zeros(4), [1.0, -0.5, -1e3, 1e3])
    verdict_ = judge(problem, wasteful, tol=1e-3)
    assert verdict_.verdict != "optimal" or verdict_.upper_bound - verdict_.lower_bound <= 1e-3 * verdict_.upper_bound


def test_zero_rule_follows_each_target() -> None:
    """A sample of weight zero, or one huge target, widens nothing; targets that free terms fit do count as zero."""
    X = np.arange(3.0)[:, None]
    assert rounding_of_zero(TrainingProblem(X, [1e-3, 2e-3, 1e10], reg=1.0, sample_weight=[1.0, 1.0, 0.0])) == 0
    assert rounding_of_zero(TrainingProblem(X, [1.0, -1.0, 1.0], reg=1e-40, bias="none")) == 0
    assert rounding_of_zero(TrainingProblem(X, [5.0, 5.0, 5.0], reg=1.0, bias="free")) > 0


@pytest.mark.parametrize(
    ("exponents", "bias"),
    latin([(-600, -600), (-500, -400), (-660, -330), (-300, -300), (-1000, -60)], ["none", "free"], every=2),
)
def test_bounds_do_not_underflow(exponents: tuple[int, int], bias: str) -> None:
    """Every bound of a scaled problem is at least the scaled truth, even where all products underflow."""
    X, nu = np.array([[1.0, 0.25], [0.5, 1.0], [-1.0, 0.5]]), np.array([1.0, 1.0, -2.0])
    base = TrainingProblem(X, nu, reg=1.0, bias=bias)
    truth = Fraction(price_cells(base, nu, enumerate_patterns(base.extended)).value) * (1 - Fraction(1, 10**9))
    truth *= Fraction(2) ** sum(exponents)
    problem = TrainingProblem(np.ldexp(X, exponents[0]), nu, reg=1.0, bias=bias)
    scaled = np.ldexp(nu, exponents[1])
    patterns = enumerate_patterns(problem.extended)
    results = [
        price_cells(problem, scaled, patterns), price_cells(problem, scaled, patterns, threshold=1e300),
        price_cones(problem, scaled, time_limit=1, node_limit=200, backend="numpy"),
        price_slabs(problem, scaled, time_limit=1, node_limit=20), price_moment(problem, scaled, iterations=5),
        price_spectral(problem, scaled),
    ]  # fmt: skip
    for result in results:
        assert Fraction(result.bound) >= truth, result.method


def test_gap_is_that_of_the_exact_objective() -> None:
    """At 1e13 from the origin predictions carry errors of 1e-3: the gap holds what they may hide."""
    offset = 1e13
    problem = TrainingProblem(offset + np.arange(4.0)[:, None], [0.0, 1.0, 2.0, 3.5], reg=0.05, bias="free")
    net = ShallowNetwork([[0.9871]], [-0.9871 * offset], [1.0])
    exact = Fraction(0)
    for x, y in zip(problem.X[:, 0].tolist(), problem.y.tolist(), strict=True):
        z = Fraction(net.weights[0, 0]) * Fraction(x) + Fraction(net.biases[0])
        exact += (max(z, Fraction(0)) - Fraction(y)) ** 2 / 2
    exact += Fraction(0.05) * Fraction(0.9871)
    c = judge(problem, net)
    assert c.gap >= (exact - Fraction(c.lower_bound)) / exact * (1 - Fraction(1, 10**9))


@pytest.mark.parametrize("checker", CHECKERS)
def test_chain_of_slabs_that_would_take_hours(checker: Any) -> None:
    """A path of 20,000 slabs fits in a file of a megabyte; its ranges would take minutes per thousand."""
    count = 20_000
    forms = [
        form(
            "slabs", sign, sweeps=9, tree=encode(np.array([1, 0] * count + [0]), "u1"),
            a=encode(np.ones((count, 1)), "f8"), ends=encode(np.tile([-2.0, -1.5, 2.0], (count, 1)), "f8"),
            u=encode(np.zeros((count + 1, 1)), "f8"), matrix=encode(np.ones((count + 1, 1)), "f8"),
            smoothing=encode(np.ones(count + 1), "f8"), mu=encode(np.zeros(count + 1), "f8"),
            counts=encode(np.zeros(count + 1), "i4"), p=encode(np.zeros(0), "u1"), q=encode(np.zeros(0), "u1"),
            value=encode(np.zeros(0), "f8"),
        )
        for sign in (1, -1)
    ]  # fmt: skip
    file = document([[1.0]], [2.0], 1.0, [2.0], {"kind": "slabs", "forms": forms})
    assert verdict(checker, file).verdict in ("unreadable", "refuted")


@pytest.mark.parametrize("checker", CHECKERS)
def test_fractions_that_fill_the_memory(checker: Any) -> None:
    n = 100
    exact = [[i, f"1/{10**3900 + 2 * i + 1}"] for i in range(n)]
    forms = [line(1, [-1, 1], [2.0, 2.0]), line(-1, [-1, 1], [1.0, 1.0])]
    file = document(np.ones((n, 1)), np.ones(n), 1.0, np.zeros(n), {"kind": "cones", "forms": forms}, exact=exact)
    assert verdict(checker, file).exit_code in (2, 64)


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("path", ["/dev/zero", "/dev", "no such file"])
def test_what_is_no_file_is_unreadable(checker: Any, path: str) -> None:
    assert checker.check_file(path).exit_code == 64


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("value", [-1e-98, -1e-30])
def test_product_of_sides_with_a_negative_multiplier(checker: Any, value: float) -> None:
    forms = [three_slabs(sign, []) for sign in (1, -1)]
    for entry in forms:
        entry["value"] = encode(np.array([value]), "f8")
        entry["mu"] = encode(np.array([1e-99, 2 * abs(value), 1e-99]), "f8")
    proof = {"kind": "slabs", "forms": forms}
    file = document([[1e99], [1.0]], [0.0, 3e-99], 1e-99, [0.0, 1e-99], proof, weight=[0.0, 1.0])
    assert not verdict(checker, file).certified
    assert verdict(checker, file).pricing_bound == np.inf


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize(("row", "value"), [(0, 3.0), (0, -3.0), (0, 1.01), (1, 0.0), (-1, 0.0)])
def test_alpha_outside_its_interval(checker: Any, row: int, value: float) -> None:
    forms = [line(1, [-1, 1], [2.0, 2.0]), line(-1, [-1, 1], [1e-9, -1e-9])]
    alpha = {"leaf": encode(np.zeros(1), "i4"), "row": encode(np.array([row]), "i4")}
    forms[1]["alpha"] = {**alpha, "value": encode(np.array([value]), "f8")}
    file = document([[1.0]], [2.0], 1.0, [2.0], {"kind": "cones", "forms": forms}, net=([[1.0]], [1.0]))
    assert verdict(checker, file).verdict == "refuted"


MOMENTS = {"tau": [1.0], "a": [-1.0], "theta": [0.0], "mu": 1.0}
BAD_MOMENTS = [
    {"tau": [-1.0]}, {"tau": [0.0]}, {"a": [-1.001]}, {"a": [1.5]}, {"theta": [-0.1]}, {"a": [-0.6], "theta": [0.5]},
    {"a": [0.0], "theta": [1.01]},
]  # fmt: skip


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("change", [{}, *BAD_MOMENTS], ids=str)
def test_moment_multipliers_outside_their_domain(checker: Any, change: dict[str, list[float]]) -> None:
    parts = {**MOMENTS, **change}
    own = {name: encode(np.array(parts[name]), "f8") for name in ("tau", "a", "theta")}
    none = encode(np.zeros(0), "f8")
    forms = [
        form("moment", 1, tau=own["tau"], a=none, theta=none, mu=1.0.hex()),
        form("moment", -1, tau=none, a=own["a"], theta=own["theta"], mu=1e-9.hex()),
    ]
    file = document([[1.0]], [2.0], 1.0, [2.0], {"kind": "moment", "forms": forms}, net=([[1.0]], [1.0]))
    assert (verdict(checker, file).verdict == "refuted") == bool(change)


@pytest.mark.parametrize("apart", [9e-14, 5e-14, 2e-14, 1e-12])
def test_nearly_parallel_rows_are_charged(apart: float) -> None:
    """Merging x and x + apart e leaves nothing of sigma(x u) - sigma((x + apart e) u), which attains ``apart``."""
    problem = TrainingProblem([[1.0, 0.0], [1.0, apart]], [1.0, 1.0], reg=1.0, bias="none")
    nu = np.array([1.0, -1.0])
    cones = price_cones(problem, nu, time_limit=2, node_limit=500, backend="numpy")
    for result in (cones, price_moment(problem, nu, iterations=5)):
        assert result.bound >= apart, result.method
