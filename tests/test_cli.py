"""The command line: exit codes, plain words, valid JSON, and errors that arrive before any work is done."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from convexnet import cli, demo
from convexnet._printing import rounded_down
from convexnet.errors import ConvexNetError

PACKAGE = Path(cli.__file__).resolve().parent
QUICK = ["--starts", "1", "--width", "8"]


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short gradient training, for tests that are not about its networks."""
    monkeypatch.setattr(demo, "compare", functools.partial(demo.compare, max_iter=100))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with a small table: 14 rows, two useful features, six of noise, two classes."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((14, 8)).round(2)
    rows = np.column_stack([X, (np.abs(X[:, 0]) - X[:, 1]).round(3), X[:, 0] > X[:, 1]])
    header = ",".join([*"abcdefgh", "y", "label"])
    lines = [",".join([*map(repr, row[:-1].tolist()), "yes" if row[-1] else "no"]) for row in rows]
    (tmp_path / "t.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``convexnet WORDS``."""
    try:
        code = cli.main(list(words))
    except SystemExit as error:
        code = int(error.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


# ---------------------------------------------------------------------------------------------------- what is proven
def test_two_features_are_proven_optimal_and_said_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "demo", "--data", "t.csv", "--target", "y", "--features", "a", "b", *QUICK)
    assert (code, err) == (0, "")
    assert out.startswith("convexnet ")
    assert "Proven: no two-layer ReLU network, however wide, has an objective below" in out
    assert "globally optimal" in out
    for method in ("convex", "sgd", "adam", "lbfgs"):
        assert f"\n          {method} " in out


@pytest.mark.usefixtures("brief")
def test_many_features_are_not_called_optimal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 8))
    lines = [",".join(map(repr, [*row, abs(row[0]) - row[1]])) for row in X.tolist()]
    (folder / "wide.csv").write_text("\n".join([",".join([*"abcdefgh", "y"]), *lines]), encoding="utf-8")
    code, out, err = run(capsys, "demo", "--data", "wide.csv", "--target", "y", *QUICK)
    assert (code, err) == (2, "")
    assert "too many to list them all" in out
    assert "Not proven: that this network is optimal" in out
    assert ">= optimum >=" not in out, "on the way its bounds are heuristic"
    assert "Proven for networks of any width: no objective below" in out
    assert "globally optimal" not in out and "certified optimum" not in out


@pytest.mark.usefixtures("brief")
def test_an_unreachable_tolerance_ends_in_a_bound_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data", "t.csv", "--target", "y", "--features", "a", "b", "--tol", "1e-18", *QUICK]
    code, out, err = run(capsys, "demo", *options)
    assert (code, err) == (2, "")
    assert "Not proven: that this network is optimal to 1e-18." in out
    assert "Proven for networks of any width: no objective below" in out


@pytest.mark.usefixtures("brief")
def test_two_words_as_target_are_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "demo", "--data", "t.csv", "--target", "label", "--features", "a", "b", *QUICK)
    assert code == 0
    assert "label (yes is +1, no is -1)" in out
    assert "min logistic loss" in out


@pytest.mark.usefixtures("brief")
def test_any_file_name_is_read_as_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "t.csv").rename(folder / "t.txt")
    assert run(capsys, "demo", "--data", "t.txt", "--target", "y", "--features", "a", *QUICK)[0] == 0


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("n", [2, 3])
def test_very_short_tables_work(folder: Path, capsys: pytest.CaptureFixture[str], n: int) -> None:
    lines = ["a,b,y", "1,2,3", "2,5,1", "4,4,4"]
    (folder / "short.csv").write_text("\n".join(lines[: n + 1]), encoding="utf-8")
    code, out, err = run(capsys, "demo", "--data", "short.csv", "--target", "y", *QUICK)
    assert (code, err) == (0, "")
    assert f"short.csv: {n} rows" in out


@pytest.mark.usefixtures("brief")
def test_constant_column_is_harmless(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["a,b,y", *(f"{i},7,{abs(i - 3)}" for i in range(8))]
    (folder / "flat.csv").write_text("\n".join(lines), encoding="utf-8")
    assert run(capsys, "demo", "--data", "flat.csv", "--target", "y", *QUICK)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("data", ["diabetes", "breast_cancer"])
def test_shipped_tables_are_solved_to_global_optimality(
    folder: Path, capsys: pytest.CaptureFixture[str], data: str
) -> None:
    code, out, err = run(capsys, "demo", "--data", data, "--json")
    report = strict_json(out)
    certificate = report["solution"]["certificate"]
    assert (code, err, certificate["verdict"]) == (0, "", "optimal")
    assert certificate["gap"] <= 1e-6
    rows = {row["method"]: row for row in report["comparison"]["rows"]}
    assert all(row["best"] >= certificate["lower_bound"] for row in rows.values())
    if data == "diabetes":
        assert report["solution"]["patterns"]["P"] == 184_988
        assert certificate["upper_bound"] == pytest.approx(117.65569, abs=1e-4)


@pytest.mark.usefixtures("brief")
# ------------------------------------------------------------------------------------------------------------- JSON
@pytest.mark.parametrize("tol", ["1e-6", "1e-18"])
def test_json_is_valid_alone_on_standard_output(folder: Path, capsys: pytest.CaptureFixture[str], tol: str) -> None:
    options = ["--data", "t.csv", "--target", "y", "--features", "a", "b", "--tol", tol, "--json", *QUICK]
    code, out, err = run(capsys, "demo", *options)
    report = strict_json(out)
    certificate = report["solution"]["certificate"]
    assert (code, err) == (0 if tol == "1e-6" else 2, "")
    assert (certificate["verdict"] == "optimal") == (tol == "1e-6")
    assert report["table"] == {"name": "t.csv", "features": ["a", "b"], "target": "y", "n": 14}
    assert certificate["lower_bound"] <= certificate["upper_bound"]
    assert [row["method"] for row in report["comparison"]["rows"]] == ["convex", "sgd", "adam", "lbfgs"]
    assert report["picture"] is None and not list(folder.glob("*.png"))


def test_what_json_does_not_know_becomes_null() -> None:
    value = {"a": [1.0, float("inf"), (float("nan"), "x")], "b": {"c": -float("inf"), "d": None, "e": True}}
    assert cli._plain(value) == {"a": [1.0, None, [None, "x"]], "b": {"c": None, "d": None, "e": True}}


def test_a_printed_bound_is_never_above_the_bound() -> None:
    rng = np.random.default_rng(0)
    for value in rng.standard_normal(200) * 10.0 ** rng.integers(-30, 30, 200):
        shown = Decimal(rounded_down(float(value)))
        assert shown <= Decimal(float(value)) <= shown + abs(Decimal(float(value))) * Decimal("1e-8")


# ---------------------------------------------------------------------------------------------------- wrong usage
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "COMMAND"),
        (["sovle"], "invalid choice: 'sovle'"),
        (["demo", "--wrong"], "unrecognized arguments: --wrong"),
        (["demo", "--ratio", "0"], "--ratio: must be a number > 0, got '0'"),
        (["demo", "--ratio", "nan"], "--ratio: must be a number > 0"),
        (["demo", "--ratio", "much"], "--ratio: must be a number > 0"),
        (["demo", "--tol", "-1e-6"], "--tol"),
        (["demo", "--time-limit", "inf"], "--time-limit: must be a number > 0"),
        (["demo", "--starts", "0"], "--starts: must be an integer >= 1, got '0'"),
        (["demo", "--width", "1.5"], "--width: must be an integer >= 1"),
        (["demo", "--seed", "-1"], "--seed: must be an integer >= 0"),
        (["demo", "--loss", "softmax"], "invalid choice: 'softmax'"),
        (["demo", "--data", "nowhere.csv", "--target", "y"], "There is no file 'nowhere.csv'"),
        (["demo", "--data", "iris"], "Unknown table 'iris'"),
        (["demo", "--data", "t.csv"], "needs --target"),
        (["demo", "--data", "t.csv", "--target", "yy"], "did you mean 'y'"),
        (["demo", "--data", "t.csv", "--target", "y", "--features", "label"], "is not a finite number"),
        (["demo", "--data", "t.csv", "--target", "y", "--features", "a", "--loss", "logistic"], "needs labels"),
        (["demo", "--target", "bmi"], "--target is for CSV files"),
        (["demo", "--features", "bm"], "did you mean 'bmi'"),
        (["demo", "--picture", "nowhere/p.png"], "there is no folder 'nowhere'"),
    ],
)
def test_wrong_usage_exits_with_64_and_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    code, out, err = run(capsys, *words)
    assert code == 64
    assert message in err
    assert "Traceback" not in err and "activation patterns" not in out


@pytest.mark.parametrize(
    ("rows", "message"),
    [(["1,2,3"], "do not vary over the 1 row"), (["1,2,3", "1,2,4", "1,2,9"], "do not vary"),
     (["1,2,3", "2,5,3", "4,4,3"], "target 'y' is the same in all rows")],
)  # fmt: skip
def test_nothing_to_learn_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], rows: list[str], message: str
) -> None:
    (folder / "poor.csv").write_text("\n".join(["a,b,y", *rows]), encoding="utf-8")
    code, _, err = run(capsys, "demo", "--data", "poor.csv", "--target", "y")
    assert code == 64 and message in err


def test_help_names_every_option_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "demo", "--help")
    assert code == 0
    for option in ("--data", "--target", "--features", "--loss", "--ratio", "--tol", "--time-limit", "--json"):
        assert f"\n  {option}" in out
    assert "Exit codes: 0 proven optimal, 2 not proven" in " ".join(out.split())


# ------------------------------------------------------------------------------------------- interruptions and pipes
def test_interruption_is_one_line_and_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_demo", interrupted)
    code, _, err = run(capsys, "demo")
    assert code == 130
    assert err.startswith("convexnet: interrupted") and err.count("\n") == 1


def test_reader_that_leaves_early_sees_no_traceback(folder: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "convexnet.cli",
        "demo",
        "--data",
        "t.csv",
        "--target",
        "y",
        "--features",
        "a",
        *QUICK,
    ]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("convexnet ")
        process.stdout.close()
        errors = process.stderr.read()
    assert errors == ""
    assert process.returncode == 141


def test_the_first_line_waits_for_no_heavy_import(folder: Path) -> None:
    code = """
import sys
from convexnet.cli import main
class Out:
    heavy = None
    def write(self, text):
        if self.heavy is None:
            self.heavy = {"cvxpy", "scipy", "sklearn", "matplotlib"} & set(sys.modules)
    def flush(self): pass
sys.stdout = Out()
main(["demo", "--data", "nowhere.csv", "--target", "y"])
sys.__stdout__.write(repr(sys.stdout.heavy and sorted(sys.stdout.heavy)))
"""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "set()", done.stdout + done.stderr


def test_linear_algebra_keeps_to_one_thread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More threads make the small products of the demo several times slower on a busy machine."""
    threads: list[int] = []

    def record(*_: Any) -> dict[str, Any]:
        threads.extend(library["num_threads"] for library in threadpool_info())
        return {"solution": {"certificate": {"verdict": "optimal"}}}

    monkeypatch.setattr(demo, "_run", record)
    with threadpool_limits(2):
        assert cli.main(["demo", "--data", "t.csv"]) == 0
    assert set(threads) <= {1}


# ---------------------------------------------------------------------------------------------------------- pictures
@pytest.mark.extra
@pytest.mark.parametrize("features", [["a"], ["a", "b"]])
def test_picture_is_saved_where_asked(folder: Path, capsys: pytest.CaptureFixture[str], features: list[str]) -> None:
    pytest.importorskip("matplotlib")
    options = ["--data", "t.csv", "--target", "y", "--features", *features, "--picture", "p.svg", *QUICK]
    code, out, _ = run(capsys, "demo", *options)
    assert code == 0 and "picture   p.svg" in out
    assert (folder / "p.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")


@pytest.mark.extra
def test_picture_of_an_unknown_kind_is_refused_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = run(capsys, "demo", "--picture", "p.docx")
    assert code == 64 and "must end in one of" in err and "activation patterns" not in out


@pytest.mark.extra
def test_a_default_picture_that_cannot_be_saved_costs_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    (folder / "convexnet_demo.png").mkdir()
    code, out, err = run(capsys, "demo", "--data", "t.csv", "--target", "y", "--features", "a", *QUICK)
    assert (code, err) == (0, "")
    assert "picture   none: cannot write convexnet_demo.png" in out


@pytest.mark.usefixtures("brief")
def test_a_missing_matplotlib_is_named_only_if_a_picture_was_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_pyplot", lambda: None)
    options = ["--data", "t.csv", "--target", "y", "--features", "a", *QUICK]
    code, out, _ = run(capsys, "demo", *options)
    assert code == 0 and "install matplotlib with pip install 'convexnet[plot]'" in out
    code, _, err = run(capsys, "demo", *options, "--picture", "p.png")
    assert code == 64 and "MissingExtraError" in err


def test_errors_of_the_package_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise ConvexNetError("what happened, and what to do")

    monkeypatch.setattr(demo, "run_demo", failing)
    assert run(capsys, "demo")[::2] == (64, "convexnet: ConvexNetError: what happened, and what to do\n")
