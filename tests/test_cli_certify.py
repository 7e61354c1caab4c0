"""``convexnet certify`` and ``convexnet verify``: what is read, what is said, which exit code, and what is refused."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import convexnet
from convexnet import ShallowNetwork, TrainingProblem, cli, cli_certify
from convexnet.datasets import load_npz
from convexnet.errors import DataError
from convexnet.networks import as_shallow

PACKAGE = Path(cli.__file__).resolve().parent
TABLE = ["t.csv", "--target", "y", "--features", "a", "b", "--reg", "0.5"]


@functools.cache
def data_and_network() -> tuple[np.ndarray, np.ndarray, ShallowNetwork]:
    """Samples, targets and the best network for them."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((20, 2)).round(2)
    y = (np.abs(X[:, 0]) - X[:, 1]).round(3)
    return X, y, convexnet.solve(TrainingProblem(X, y, reg=0.5)).network


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with one table as CSV and npz, and networks that are good and bad on it."""
    X, y, network = data_and_network()
    rows = [",".join(map(str, [*x, t, "yes" if t > 0 else "no"])) for x, t in zip(X, y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,y,label", *rows]), encoding="utf-8")
    np.savez(tmp_path / "t.npz", X=X, y=y)
    np.savez(tmp_path / "other.npz", X=X, y=y + 1)
    network.save(tmp_path / "good.npz")
    ShallowNetwork([[1.0, 0.0]], [0.0], [1.0]).save(tmp_path / "bad.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = cli.main(list(words))
    except SystemExit as error:
        code = int(error.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


# ---------------------------------------------------------------------------------------------------------- certify
def test_a_good_network_is_certified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "certify", *TABLE, "--network", "good.npz")
    assert (code, err) == (0, "")
    assert "network   good.npz:" in out and "OPTIMAL" in out
    assert "Proven: no network of any width has an objective below" in out and "globally optimal" in out


def test_a_bad_network_is_refuted_and_the_better_one_saved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["certify", *TABLE, "--network", "bad.npz", "--save-network", "better.npz"]
    code, out, _ = run(capsys, *words)
    assert code == 1 and "REFUTED" in out and "A better network is known" in out and "globally" not in out
    problem = TrainingProblem(*load_npz("t.npz")[:2], reg=0.5)
    assert problem.objective(as_shallow("better.npz")) < problem.objective(as_shallow("bad.npz"))


def test_without_a_network_one_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "certify", "t.npz", "--reg", "0.5", "--json", "--save-network", "found.npz")
    report = json.loads(out)
    assert (code, report["exit_code"], report["certificate"]["verdict"]) == (0, 0, "optimal")
    assert report["problem"]["reg"] == 0.5 and report["table"] == {"name": "t.npz", "n": 20, "d": 2}
    problem = TrainingProblem(*load_npz("t.npz")[:2], reg=0.5)
    assert report["data_hash"] == problem.data_hash
    value = problem.objective(as_shallow("found.npz"))
    assert report["certificate"]["lower_bound"] <= value <= report["certificate"]["upper_bound"] * (1 + 1e-9)


@pytest.mark.parametrize(
    ("options", "reg"),
    [(["--reg", "0.5"], 0.5), (["--alpha", "0.1"], 2.0), (["--ratio", "0.3"], None)],
)
def test_the_strength_has_three_forms(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], reg: Any
) -> None:
    seen = planted(monkeypatch, "bound")
    code, out, _ = run(capsys, "certify", "t.npz", "--tol", "1e-3", "--bias", "free", "--seed", "4", *options)
    problem = seen["problem"]
    assert code == 2 and problem.bias == "free" and problem.intercept and problem.loss.name == "squared"
    assert problem.reg == pytest.approx(0.3 * convexnet.reg_max(problem) if reg is None else reg)
    assert (seen["tol"], seen["random_state"], seen["time_limit"], seen["proof"]) == (1e-3, 4, 60.0, False)
    assert f"{problem.reg:.6g}"[:5] in out


def planted(monkeypatch: pytest.MonkeyPatch, verdict: str) -> dict[str, Any]:
    """Replace the certification by one with a planted verdict; what it was given is recorded."""
    seen: dict[str, Any] = {}

    def certify(problem: Any, network: Any = None, **options: Any) -> Any:
        seen.update(problem=problem, network=network, **options)
        return SimpleNamespace(
            verdict=verdict, summary=lambda: "SUMMARY", lower_bound=1.0, upper_bound=2.0, gap=0.5, tol=options["tol"],
            improved=None, improved_objective=None, network=network, to_dict=lambda: {"gap": float("inf")},
            save=lambda path: Path(path).write_text("{}", encoding="utf-8"),
        )  # fmt: skip

    monkeypatch.setattr("convexnet.solving.certify", certify)
    return seen


@pytest.mark.parametrize(("verdict", "code"), [("optimal", 0), ("refuted", 1), ("bound", 2), ("listed", 2)])
def test_exit_codes_follow_the_verdict(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verdict: str, code: int
) -> None:
    seen = planted(monkeypatch, verdict)
    got, out, _ = run(capsys, "certify", *TABLE, "--out", "p.json", "--json")
    assert got == code and json.loads(out)["certificate"]["gap"] is None
    assert seen["proof"] is True and (folder / "p.json").is_file()


def test_what_the_network_has_the_problem_has(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = planted(monkeypatch, "bound")
    net = ShallowNetwork([[1.0, 0.0]], [0.0], [1.0], 2.0, [1.0, 1.0], activation="leaky", negative_slope=0.2)
    net.save("net.npz")
    code, out, _ = run(capsys, "certify", *TABLE, "--network", "net.npz", "--standardize")
    problem = seen["problem"]
    assert code == 2 and problem.skip and problem.intercept and problem.kappa == 0.2
    assert np.abs(problem.X.mean(axis=0)).max() < 1e-12 and abs(problem.y.mean()) < 1e-12
    assert "free intercept, free linear term" in out and "standardised" in out


def test_two_classes_get_the_logistic_loss(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = planted(monkeypatch, "bound")
    run(capsys, "certify", "t.csv", "--target", "label", "--features", "a", "--reg", "1")
    assert seen["problem"].loss.name == "logistic"
    np.savez("classes.npz", X=[[1.0], [2.0], [3.0]], y=[0, 1, 1], sample_weight=[1.0, 2.0, 1.0])
    run(capsys, "certify", "classes.npz", "--reg", "1")
    assert seen["problem"].loss.name == "logistic" and seen["problem"].sample_weight is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: data"),
        (["t.npz"], "one of the arguments --reg --alpha --ratio is required"),
        (["t.npz", "--reg", "1", "--ratio", "1"], "not allowed with argument"),
        (["t.npz", "--reg", "0"], "--reg: must be a number > 0"),
        (["t.npz", "--reg", "1", "--tol", "2"], "tol"),
        (["t.npz", "--reg", "1", "--target", "y"], "holds X and y"),
        (["t.csv", "--reg", "1"], "needs --target"),
        (["diabetes", "--reg", "1", "--target", "y"], "--target is for CSV files"),
        (["nowhere.npz", "--reg", "1"], "There is no file 'nowhere.npz'"),
        (["good.npz", "--reg", "1"], "lacks X and y"),
        (["t.npz", "--reg", "1", "--network", "nowhere.npz"], "Cannot read the network 'nowhere.npz'"),
        (["t.npz", "--reg", "1", "--network", "t.npz"], "not a network file"),
        (["t.csv", "--target", "y", "--features", "a", "--reg", "1", "--network", "good.npz"], "reads 2 features"),
        (["t.npz", "--reg", "1", "--bias", "none", "--network", "good.npz"], "neuron biases"),
        (["t.npz", "--reg", "1", "--out", "nowhere/p.json"], "there is no folder 'nowhere'"),
        (["t.npz", "--reg", "1", "--loss", "logistic"], "needs labels"),
    ],
)
def test_wrong_usage_exits_with_64_and_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    code, out, err = run(capsys, "certify", *words)
    assert code == 64 and message in err and "Traceback" not in err and "proof" not in out


def test_an_error_of_the_program_is_not_taken_for_a_refutation(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(cli, "run_certify", broken)
    code, _, err = run(capsys, "certify", *TABLE)
    assert code == cli.EXIT_CRASHED == 70 and "planted" in err


@pytest.mark.parametrize("command", ["certify", "verify"])
def test_help_has_an_example_and_the_exit_codes(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run(capsys, command, "--help")
    words = " ".join(out.split())
    assert code == 0 and f"example: convexnet {command}" in words
    assert all(part in words for part in ("Exit codes: 0 certified", "1 refuted", "64 wrong usage"))


# ----------------------------------------------------------------------------------------------------------- verify
@pytest.fixture
def proof(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    code, out, _ = run(capsys, "certify", *TABLE, "--network", "good.npz", "--out", "proof.json")
    assert code == 0 and "check it with: convexnet verify proof.json" in out
    return folder / "proof.json"


def test_a_proof_is_verified_with_and_without_its_data(proof: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "verify", "proof.json")[0] == 0
    assert run(capsys, "verify", "proof.json", "--data", "t.npz")[0] == 0
    assert run(capsys, "verify", "proof.json", "--data", "other.npz")[0] == 1
    code, out, _ = run(capsys, "verify", "proof.json", "--exact", "--json")
    report = json.loads(out)
    assert (code, report["exit_code"]) == (0, 0) and report["lower"] <= report["upper"]


def test_a_changed_proof_does_not_hold(proof: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = proof.read_text(encoding="utf-8")
    document = json.loads(text)
    proof.write_text(text[: len(text) // 2], encoding="utf-8")
    assert run(capsys, "verify", "proof.json")[0] == 64
    changed = json.dumps(document).replace('"squared"', '"absolute"')
    proof.write_text(changed, encoding="utf-8")
    assert run(capsys, "verify", "proof.json")[0] != 0


@pytest.mark.parametrize(
    ("words", "code"), [(["nowhere.json"], 64), (["t.csv"], 64), ([], 64), (["t.csv", "--data", "nowhere.npz"], 64)]
)
def test_unreadable_proofs_are_64(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    got, out, err = run(capsys, "verify", *words)
    assert got == code and (out or err) and "Traceback" not in err


def test_verification_needs_numpy_only(proof: Path) -> None:
    code = """
import sys
from importlib.abc import MetaPathFinder
class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("scipy", "cvxpy", "sklearn", "threadpoolctl", "clarabel", "rich", "pandas", "torch"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from convexnet.cli import main
raise SystemExit(main(["verify", "proof.json", "--data", "t.npz"]))
"""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# -------------------------------------------------------------------------------------------------------- npz tables
def test_npz_tables_are_plain_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    for arrays, message in (
        ({"X": [[1.0]]}, "lacks y"),
        ({"X": [["a"]], "y": [1.0]}, "X holds"),
        ({"X": np.array([[{}]], dtype=object), "y": [1.0]}, "not a readable npz"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=message):
            load_npz(path)
    path.write_text("text", encoding="utf-8")
    with pytest.raises(DataError, match="not a readable npz"):
        load_npz(path)


def test_words_never_claim_more_than_the_verdict() -> None:
    for verdict in ("refuted", "bound", "listed"):
        certificate: Any = SimpleNamespace(
            verdict=verdict, lower_bound=1.0, upper_bound=2.0, gap=0.5, tol=1e-6, improved_objective=1.5
        )
        words = cli_certify._words(certificate)
        assert "optimal" not in words and "better network" in words
