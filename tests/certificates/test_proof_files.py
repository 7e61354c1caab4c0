"""Proof files: both checkers agree on every kind, run alone, and say what is wrong with a file that they refuse."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates.proof_cases import KINDS, payload_of, small_document, small_problem
from helpers.grids import latin
from helpers.random_problems import every_problem

from convexnet import ShallowNetwork, TrainingProblem, enumerate_patterns, solve
from convexnet.certificates import (
    ProofFileError,
    cells_payload,
    check_exact,
    check_float,
    read_proof,
    verify_file,
    write_proof,
)
from convexnet.certificates.proof_file import proof_document
from convexnet.errors import DataError, PatternError

CHECKERS = Path(check_float.__file__).parent
CASES = [
    ("squared", {"bias": "penalized"}), ("huber", {"bias": "free"}), ("logistic", {"bias": "none"}),
    ("hinge", {"bias": "penalized", "intercept": True, "activation": "leaky", "negative_slope": 0.2}),
    ("absolute", {"bias": "free", "skip": True}), ("interpolation", {"bias": "penalized", "activation": "absolute"}),
    ("squared", {"bias": "penalized", "norm": "l1"}), ("logistic", {"bias": "free", "skip": True}),
]  # fmt: skip


def assert_agreement(text: str, optimum: float) -> None:
    rough, exact = check_float.check_text(text), check_exact.check_text(text)
    assert rough.exit_code == exact.exit_code, (rough.lines, exact.lines)
    assert exact.exit_code in (0, 2), exact.lines
    assert rough.lower <= exact.lower <= rough.lower + rough.lower_slack
    assert rough.upper - rough.upper_slack <= exact.upper <= rough.upper
    assert rough.lower_slack <= 1e-8 * max(rough.lower, 1e-3 * rough.upper)
    assert rough.upper_slack <= 1e-10 * rough.upper
    assert exact.pricing_bound <= rough.pricing_bound
    assert exact.lower <= optimum * (1 + 1e-7)


@pytest.mark.parametrize(("case", "kind"), latin(CASES, KINDS, every=2))
def test_the_exact_bound_lies_in_the_interval_of_the_float_checker(
    case: tuple[str, dict[str, Any]], kind: str
) -> None:
    loss, options = case
    problem, _, network, _ = small_problem(loss, **options)
    assert_agreement(small_document(loss, kind, **options), problem.objective(network))


@pytest.mark.slow
def test_agreement_on_every_loss_and_convention() -> None:
    for _name, problem, patterns in every_problem():
        solution = solve(problem, patterns=patterns)
        for kind in KINDS:
            payload = payload_of(kind, problem, patterns, solution.certificate.nu)
            document = proof_document(problem, solution.network, solution.certificate.nu, payload, tol=1e-5)
            assert_agreement(json.dumps(document), solution.objective)


@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
def test_every_kind_bounds_the_exact_pricing_value(bias: str) -> None:
    from convexnet.pricing import price_cells

    problem, patterns, network, _ = small_problem("squared", bias=bias)
    rng = np.random.default_rng(3)
    for _ in range(3):
        nu = np.round(rng.standard_normal(problem.n) * 16) / 16
        nu[0] -= nu.sum()
        value = price_cells(problem, nu, patterns).value
        for kind in KINDS:
            text = json.dumps(proof_document(problem, network, nu, payload_of(kind, problem, patterns, nu)))
            for checker in (check_float, check_exact):
                bound = checker.check_text(text).pricing_bound
                assert bound >= value * (1 - 1e-14)
                assert kind != "cells" or bound <= value * (1 + 1e-6)


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("method", ["moment", "cones", "slabs"])
def test_proofs_of_the_searches(method: str, bias: str, tmp_path: Path) -> None:
    from convexnet import pricing

    problem, _, network, nu = small_problem("squared", seed=2, bias=bias)
    limits = {} if method == "moment" else {"target": problem.reg * (1 + 1e-3), "time_limit": 5.0}
    result = getattr(pricing, f"price_{method}")(problem, nu, proof=True, **limits)
    path = tmp_path / "proof.json"
    write_proof(path, problem, network, nu, result.proof, tol=1e-2)
    for exact in (False, True):
        report = verify_file(path, exact=exact)
        assert report.exit_code == (0 if result.bound <= problem.reg * 1.002 else report.exit_code)
        assert result.value * (1 - 1e-12) <= report.pricing_bound <= result.bound * (1 + 1e-6)


def test_reading_gives_back_problem_network_and_nu(tmp_path: Path) -> None:
    problem, patterns, network, nu = small_problem("huber", bias="free")
    path = tmp_path / "proof.json"
    write_proof(path, problem, network, nu, cells_payload(problem, nu, patterns), claimed={"lower": 0.5, "by": "cells"})
    found = read_proof(path)
    assert found.problem.data_hash == problem.data_hash
    assert found.problem.conventions() == problem.conventions()
    assert found.network.to_dict() == network.to_dict()
    assert np.array_equal(found.nu, nu)
    assert (found.kind, found.tol) == ("cells", 1e-6)
    assert found.claimed == {"lower": (0.5).hex(), "by": "cells"}


@pytest.mark.parametrize("weighted", [False, True])
def test_data_may_stay_outside_the_file(tmp_path: Path, weighted: bool) -> None:
    problem, *_ = small_problem("squared", bias="penalized")
    if weighted:
        problem = problem.with_options(sample_weight=[1.0, 2.0, 0.5, 1.0, 0.0, 3.0, 1.0])
    patterns = enumerate_patterns(problem.extended)
    solution = solve(problem, patterns=patterns)
    nu, path, data = solution.certificate.nu, tmp_path / "proof.json", tmp_path / "data.npz"
    write_proof(path, problem, solution.network, nu, cells_payload(problem, nu, patterns), tol=1e-5, embed_data=False)
    arrays = {"X": problem.X, "y": problem.y} | ({"sample_weight": problem.sample_weight} if weighted else {})
    np.savez(data, **arrays)
    for exact in (False, True):
        assert verify_file(path, exact=exact).exit_code == 64
        assert verify_file(path, data, exact).exit_code == 0
        assert verify_file(path, tuple(arrays.values()), exact).exit_code == 0
        assert verify_file(path, {**arrays, "y": problem.y + 1}, exact).exit_code == 1
        assert verify_file(path, {**arrays, "X": problem.X[1:], "y": problem.y[1:]}, exact).exit_code != 0
    with pytest.raises(DataError):
        verify_file(path, tmp_path / "missing.npz")
    done = run_alone("check_exact.py", tmp_path, str(path), "--data", str(data))
    assert done.returncode == 0, done.stderr


# ----------------------------------------------------------------------------------------------------- running alone
GUARD = """
import sys, runpy
class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in sys.stdlib_module_names and top not in {allowed}:
            raise ImportError("not allowed here: " + name)
sys.meta_path.insert(0, Guard())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_alone(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of a checker in a folder of its own, isolated, with nothing but the standard library (and numpy)."""
    folder = folder / program.removesuffix(".py")
    folder.mkdir(exist_ok=True)
    (folder / program).write_text((CHECKERS / program).read_text(encoding="utf-8"), encoding="utf-8")
    code = GUARD.replace("{allowed}", "{'numpy'}" if "float" in program else "set()")
    command = [sys.executable, "-I", "-c", code, program, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("program", ["check_float.py", "check_exact.py"])
def test_a_checker_runs_as_a_single_file(program: str, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_text(small_document("squared", "cells", bias="penalized"), encoding="utf-8")
    done = run_alone(program, tmp_path, str(path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["certified"] is True
    damaged = tmp_path / "damaged.json"
    damaged.write_text(path.read_text(encoding="utf-8").replace('"penalized"', '"none"'), encoding="utf-8")
    assert run_alone(program, tmp_path, str(damaged)).returncode == 1
    for arguments in ((), ("missing.json",), (str(path), "--data", "missing.npz"), (str(path), "--wrong")):
        done = run_alone(program, tmp_path, *arguments)
        assert done.returncode == 64
        assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------------------------ refused writing
def test_writing_refuses_what_the_format_does_not_hold() -> None:
    problem, patterns, network, nu = small_problem("squared", bias="penalized")
    payload = cells_payload(problem, nu, patterns)
    with pytest.raises(ProofFileError, match="proof=True"):
        proof_document(problem, network, nu, None)  # type: ignore[arg-type]
    with pytest.raises(ProofFileError, match="shape"):
        proof_document(problem, network, nu[1:], payload)
    with pytest.raises(ProofFileError, match="forms"):
        proof_document(problem, network, nu, {"kind": "cones", "forms": []})
    with pytest.raises(ProofFileError, match="no file format"):
        proof_document(problem, network, nu, {"kind": "moment", "forms": [{"kind": "x"}, {"kind": "x"}]})
    with pytest.raises(ProofFileError, match="does not fit"):
        proof_document(problem, network, nu, {"kind": "moment", "forms": [{}, {}]})
    with pytest.raises(PatternError, match="all activation patterns"):
        cells_payload(problem, nu, patterns.subset(np.arange(3)))
    several = TrainingProblem(problem.X, np.column_stack([problem.y, problem.y]), reg=1.0)
    wide = ShallowNetwork(np.zeros((0, 2)), [], np.zeros((0, 2)))
    with pytest.raises(ProofFileError, match="scalar outputs"):
        proof_document(several, wide, np.zeros_like(several.y), payload)


def test_reading_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    with pytest.raises(DataError):
        read_proof(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ProofFileError, match="keys"):
        read_proof(path)


# ---------------------------------------------------------------------------------------------------- rounding bounds
def test_lemma_2_inflation_exceeds_what_rounding_took() -> None:
    """``inflate`` against sums in integers, on numbers of many sizes."""
    from fractions import Fraction

    rng = np.random.default_rng(0)
    for k in (1, 3, 50, 1000):
        values = np.abs(rng.standard_normal(k)) * 2.0 ** rng.integers(-30, 30, k)
        exact = sum(Fraction(v) for v in values.tolist())
        assert Fraction(float(check_float.inflate(float(np.cumsum(values)[-1]), k))) >= exact
        assert Fraction(float(check_float.norms_up(values))) ** 2 >= sum(Fraction(v) ** 2 for v in values.tolist())


def test_gamma_covers_its_definition() -> None:
    from fractions import Fraction

    for k in (1, 7, 10**3, 10**6, 10**11):
        assert Fraction(check_float.gamma(k)) >= Fraction(k, 2**53 - k)


def test_lemma_3_quadratic_bound_is_above_the_exact_value_and_close() -> None:
    from fractions import Fraction

    rng = np.random.default_rng(1)
    for q in (1, 2, 5):
        for spread in (0.0, 8.0):
            M = rng.standard_normal((q, q)) * 2.0 ** (spread * rng.standard_normal(q))
            A, b = M @ M.T, rng.standard_normal(q)
            A = 0.5 * (A + A.T)
            mu = float(np.linalg.eigvalsh(A)[-1]) * 1.01
            zero = np.zeros(1)
            bound, slack = check_float.quadratic_bound(A[None], zero, b[None], zero, zero, np.array([mu]))
            exact = [[Fraction(mu * (i == j)) - Fraction(A[i, j]) for j in range(q)] for i in range(q)]
            unit = 2**1100
            S = [[int(v * unit) for v in row] for row in exact]
            value = check_exact.bordered(S, [int(Fraction(v) * unit) for v in b.tolist()])
            assert value is not None
            truth = Fraction(mu) + value / unit / 4
            assert 0 <= Fraction(float(bound[0])) - truth <= Fraction(float(slack[0])) * 2
            assert float(slack[0]) <= 1e-7 * float(truth)


def test_constants_of_the_slabs_are_bounds_and_tight() -> None:
    """``w |t| <= +-(k2 t^2 + k1 t) + constant`` on a fine grid, equality somewhere."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        w = rng.standard_normal(1)
        k2, k1 = np.abs(rng.standard_normal(1)) * rng.integers(0, 2), rng.standard_normal(1)
        low, high = -np.abs(rng.standard_normal(1)), np.abs(rng.standard_normal(1))
        constant = float(check_float.constants(w, k2, k1, low, high)[0])
        t = np.concatenate([np.linspace(low[0], high[0], 4001), [0.0]])
        excess = w[0] * np.abs(t) - np.sign(w[0]) * (k2[0] * t**2 + k1[0] * t)
        assert float(excess.max()) <= constant + 1e-15
        assert constant - float(excess.max()) <= 1e-5


def test_reach_bounds_every_direction_of_a_node() -> None:
    rng = np.random.default_rng(4)
    u = rng.standard_normal((4, 20000))
    u /= np.linalg.norm(u, axis=0)
    a = rng.standard_normal((1, 3, 4))
    a /= np.linalg.norm(a, axis=2, keepdims=True)
    low, high = np.array([[-0.2, 0.1, -0.5]]), np.array([[0.3, 0.6, 0.0]])
    inside = np.all((a[0] @ u >= low[0][:, None]) & (a[0] @ u <= high[0][:, None]), axis=0)
    rows = rng.standard_normal((1, 5, 4))
    empty = np.zeros((1, 0))
    part = check_float.Slabs(np.zeros(1, int), a, low, high, empty, empty)
    bound = check_float.reach(rows, part, 3)[0]
    best = (rows[0] @ u[:, inside]).max(axis=1)
    assert inside.sum() > 100
    assert np.all(best <= bound)
    assert np.all(bound < np.linalg.norm(rows[0], axis=1) + 1e-12)


def test_regions_count_the_cells_of_special_positions() -> None:
    for rows in ([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-2.0, -2.0]], [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1.5]],
                 [[1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 0.5, 0.25], [3.0, 3.0, 3.5, 4.25]]):  # fmt: skip
        E = np.array(rows, dtype=float)
        cells = len(enumerate_patterns(E))
        assert check_float.regions(E) == cells
        assert check_exact.regions(check_exact.float_integers(E.tolist())[0]) == cells


def test_log1p_exp_and_entropy_are_rounded_the_safe_way() -> None:
    from decimal import Decimal, localcontext
    from fractions import Fraction

    with localcontext() as context:
        context.prec = 80
        for t in (-690.0, -40.0, -1.0, 0.0, 0.3, 30.0):
            true = Fraction((1 + Decimal(t).exp()).ln())
            above = check_exact.log1p_exp_up(Fraction(t))
            assert true <= above <= true * (1 + Fraction(1, 10**12)) + Fraction(1, 10**50)
        for q in (1e-12, 0.1, 0.5, 0.999):
            p = Decimal(q)
            true = Fraction(-p * p.ln() - (1 - p) * (1 - p).ln())
            below = check_exact.entropy_down(Fraction(q))
            assert true * (1 - Fraction(1, 10**12)) <= below <= true
    q = np.linspace(0.001, 0.999, 400)
    exact = [float(check_exact.entropy_down(Fraction(v))) for v in q.tolist()]
    assert np.max(np.abs(check_float.entropy(q) / exact - 1)) < check_float.LIBM / 16
    assert math.isclose(float(check_float.entropy(np.array([0.5]))[0]), math.log(2))
