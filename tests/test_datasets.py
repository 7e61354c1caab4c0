"""Tables: what is read, what is refused and in which words, and the scale that standardising gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convexnet.datasets import load_csv, load_table, standardized
from convexnet.errors import DataError

GOOD = "a,b,y\n1,2,0.5\n3,4,1.5\n5,6,7\n"


def written(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# --------------------------------------------------------------------------------------------------- shipped tables
@pytest.mark.parametrize(("name", "n", "loss"), [("diabetes", 442, "squared"), ("breast_cancer", 569, "logistic")])
def test_shipped_table_has_two_features_unless_all_are_asked_for(name: str, n: int, loss: str) -> None:
    table, whole = load_table(name), load_table(name, ["all"])
    assert table.X.shape == (n, 2) and table.y.shape == (n,) and table.loss == loss
    assert whole.X.shape[1] == len(whole.features) > 2
    for column, feature in zip(table.X.T, table.features, strict=True):
        assert np.array_equal(column, whole.X[:, whole.features.index(feature)])


def test_classes_are_minus_one_and_one() -> None:
    assert set(load_table("breast_cancer").y) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("name", "features", "words"),
    [
        ("iris", None, "Unknown table 'iris'.*diabetes"),
        ("diabetes", ["bm"], "did you mean 'bmi'"),
        ("diabetes", [], "at least one feature"),
    ],
)
def test_unknown_table_or_feature(name: str, features: list[str] | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_table(name, features)


# -------------------------------------------------------------------------------------------------------- CSV files
@pytest.mark.parametrize("features", [None, ["all"], ["a", "b"], ["a", "b", "a"]])
def test_csv_columns(tmp_path: Path, features: list[str] | None) -> None:
    table = load_csv(written(tmp_path, GOOD), "y", features)
    assert table.features == ("a", "b")
    assert np.array_equal(table.X, [[1, 2], [3, 4], [5, 6]])
    assert np.array_equal(table.y, [0.5, 1.5, 7])
    assert (table.name, table.target, table.loss) == ("t.csv", "y", "squared")


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace(",", " , "),
        GOOD.replace("\n", "\n\n"),
        '"a","b","y"\n"1","2","0.5"\n3,4,1.5\n5,6,7',
    ],
    ids=["byte order mark", "Windows lines", "blanks", "blank lines", "quotes"],
)
def test_csv_dialects_that_read_alike(tmp_path: Path, text: str | bytes) -> None:
    table = load_csv(written(tmp_path, text), "y")
    assert table.features == ("a", "b") and np.array_equal(table.y, [0.5, 1.5, 7])


@pytest.mark.parametrize(
    ("targets", "label", "y"),
    [
        (["no", "yes", "no"], "y (yes is +1, no is -1)", [-1, 1, -1]),
        (["0", "1", "1.0"], "y (1 is +1, 0 is -1)", [-1, 1, 1]),
        (["10", "9", "9"], "y (10 is +1, 9 is -1)", [1, -1, -1]),
        (["-1", "1", "-1"], "y (1 is +1, -1 is -1)", [-1, 1, -1]),
    ],
)
def test_two_values_are_two_classes(tmp_path: Path, targets: list[str], label: str, y: list[float]) -> None:
    text = "a,y\n" + "".join(f"{i},{target}\n" for i, target in enumerate(targets))
    table = load_csv(written(tmp_path, text), "y")
    assert (table.target, table.loss) == (label, "logistic")
    assert np.array_equal(table.y, y)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace(",", ";"), "separated by semicolons"),
        (GOOD.replace(",", "\t"), "separated by tabs"),
        ("", "header line and at least one row"),
        ("a,b,y\n", "header line and at least one row"),
        ("1,2,3\n4,5,6\n", "no column 'y'; its columns are 1, 2, 3"),
        (GOOD.replace("3,4", "3,red"), r"line 3, column 'b': 'red' is not a finite number \(1 of 3 rows"),
        (GOOD.replace("3,4", "3,"), "line 3, column 'b': the cell is empty"),
        (GOOD.replace("3,4", "3,nan"), "line 3, column 'b': 'nan'"),
        (GOOD.replace("3,4", "3,-inf"), "line 3, column 'b': '-inf'"),
        (GOOD.replace("1.5", "NaN"), "line 3, column 'y': 'NaN'"),
        (GOOD.replace("1.5", ""), "line 3, column 'y': the cell is empty"),
        (GOOD.replace("3,4,", "\n3,"), r"line 4: 2 cell\(s\), but the header names 3"),
        (GOOD.replace("3,4", "3,4,4"), r"line 3: 4 cell\(s\), but the header names 3"),
        (GOOD.replace("a,b", "a,a"), "2 columns named 'a'"),
        ("a,y\n1,red\n2,green\n3,blue\n", "column 'y': 'red' is not a finite number"),
        ("a,y\n1,yes\n2,nan\n3,yes\n", "column 'y'"),
        ("a,y\n1,0\n2,\n3,1\n", "column 'y': the cell is empty"),
        ("y\n1\n2\n3\n", "at least one feature"),
        ("grö,y\n1,2\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_csv_that_cannot_be_used_says_where_and_why(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_csv(written(tmp_path, text), "y")


@pytest.mark.parametrize(
    ("target", "features", "words"),
    [
        ("z", None, "no column 'z'; its columns are a, b, y"),
        ("y", ["a", "c"], "no column 'c'"),
        ("y", ["a", "y"], "'y' cannot be a feature as well"),
        ("y", [], "at least one feature"),
    ],
)
def test_wrong_columns(tmp_path: Path, target: str, features: list[str] | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_csv(written(tmp_path, GOOD), target, features)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        load_csv(tmp_path / "nowhere.csv", "y")
    with pytest.raises(DataError, match="Cannot read"):
        load_csv(tmp_path, "y")


def test_columns_that_are_not_used_may_hold_text(tmp_path: Path) -> None:
    assert load_csv(written(tmp_path, GOOD.replace("3,4", "3,red")), "y", ["a"]).X.shape == (3, 1)


# ---------------------------------------------------------------------------------------------------- standardising
def test_standardized_columns_have_mean_zero_and_variance_one() -> None:
    X = np.random.default_rng(0).normal(5, [1e-3, 1, 1e6], size=(50, 3))
    Z = standardized(X)
    assert Z.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert Z.std(axis=0) == pytest.approx(1)


def test_constant_columns_become_zero() -> None:
    assert not standardized(np.full((4, 2), [0.1, 0.0])).any()


def test_standardising_is_the_plain_formula_to_the_last_digit() -> None:
    """The cells of a gridded table depend on the last digits of its standardised columns."""
    X = load_table("diabetes", ["all"]).X
    assert np.array_equal(standardized(X), (X - X.mean(axis=0)) / X.std(axis=0))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_standardising_survives_extreme_scales(scale: float) -> None:
    assert standardized(scale * np.array([0.0, 1.0, 2.0])) == pytest.approx([-np.sqrt(1.5), 0, np.sqrt(1.5)])
