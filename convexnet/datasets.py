"""Small tables: those that scikit-learn ships, and CSV files, standardised on request."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import DataError

__all__ = ["Table", "load_csv", "load_table", "standardized"]

_SHIPPED = {
    "diabetes": ("bmi", "s5"),
    "breast_cancer": ("mean concave points", "worst radius"),
}


@dataclass(frozen=True, eq=False)
class Table:
    """A table of features and a target.

    Attributes
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    features : tuple of str
    target : str
    name : str
    loss : str
        The loss that suits the target: ``logistic`` for -1/+1, else ``squared``.
    """

    X: np.ndarray
    y: np.ndarray
    features: tuple[str, ...]
    target: str
    name: str
    loss: str

    def __repr__(self) -> str:
        return f"Table({self.name!r}, n={len(self.y)}, features={list(self.features)}, target={self.target!r})"


def load_table(name: str, features: Sequence[str] | None = None) -> Table:
    """Load a table that scikit-learn ships, raw, with two features unless others are named.

    Parameters
    ----------
    name : {"diabetes", "breast_cancer"}
    features : sequence of str, optional
        Column names; ``["all"]`` takes every column.

    Raises
    ------
    DataError
        If the table or a feature is unknown.

    Examples
    --------
    >>> load_table("diabetes")
    Table('diabetes', n=442, features=['bmi', 's5'], target='disease progression')
    """
    if name not in _SHIPPED:
        raise DataError(f"Unknown table {name!r}; choose one of {', '.join(_SHIPPED)} or pass the path of a CSV file.")
    from sklearn import datasets

    bunch = datasets.load_diabetes() if name == "diabetes" else datasets.load_breast_cancer()
    names = [str(column) for column in bunch.feature_names]
    chosen = _chosen(names, _SHIPPED[name] if features is None else features, name)
    X = np.asarray(bunch.data, dtype=float)[:, [names.index(feature) for feature in chosen]]
    if name == "diabetes":
        return Table(X, np.asarray(bunch.target, dtype=float), chosen, "disease progression", name, "squared")
    return Table(X, 2.0 * bunch.target - 1.0, chosen, "benign (+1) or malignant (-1)", name, "logistic")


def load_csv(path: str | Path, target: str, features: Sequence[str] | None = None) -> Table:
    """Read a CSV file with a header line; a target with two values is mapped to -1/+1.

    Parameters
    ----------
    path : str or Path
    target : str
        Name of the target column.
    features : sequence of str, optional
        Names of the feature columns; default: all others.

    Raises
    ------
    DataError
        If the file is missing, has no rows, lacks a column, or holds text or gaps in a feature.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = path.write_text("a,b,y\\n1,2,0.5\\n3,4,1.5\\n5,6,7\\n")
    >>> load_csv(path, "y")
    Table('t.csv', n=3, features=['a', 'b'], target='y')
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = [row for row in csv.reader(handle) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read {path}: {error}.") from None
    if len(rows) < 2:
        raise DataError(f"{path.name} needs a header line and at least one row.")
    header = [cell.strip() for cell in rows[0]]
    chosen = _chosen(header, [h for h in header if h != target] if features is None else features, path.name)
    if target not in header:
        raise DataError(f"{path.name} has no column {target!r}; its columns are {', '.join(header)}.")
    if target in chosen:
        raise DataError(f"The target {target!r} cannot be a feature as well.")
    X = np.column_stack([_column(rows, header, feature, path.name) for feature in chosen])
    y, loss = _target(rows, header, target, path.name)
    return Table(X, y, chosen, target, path.name, loss)


def standardized(array: np.ndarray) -> np.ndarray:
    """Subtract column means and divide by column standard deviations (ddof 0); constant columns become zero.

    Examples
    --------
    >>> standardized(np.array([1.0, 2.0, 3.0])).round(6)
    array([-1.224745,  0.      ,  1.224745])
    """
    array = np.asarray(array, dtype=float)
    spread = array.std(axis=0)
    constant = spread <= 1e-12 * np.abs(array).max(axis=0, initial=0.0)
    return np.where(constant, 0.0, (array - array.mean(axis=0)) / np.where(constant, 1.0, spread))


def _chosen(known: Sequence[str], wanted: Sequence[str], table: str) -> tuple[str, ...]:
    if list(wanted) == ["all"]:
        return tuple(known)
    missing = [feature for feature in wanted if feature not in known]
    if missing:
        raise DataError(f"{table} has no column {missing[0]!r}; its columns are {', '.join(known)}.")
    if not wanted:
        raise DataError("Name at least one feature.")
    return tuple(dict.fromkeys(wanted))


def _column(rows: list[list[str]], header: list[str], name: str, table: str) -> np.ndarray:
    place, values = header.index(name), []
    for number, row in enumerate(rows[1:], start=2):
        try:
            values.append(float(row[place]))
        except (ValueError, IndexError):
            shown = row[place] if place < len(row) else "missing"
            raise DataError(
                f"{table}, row {number}, column {name!r}: {shown!r} is not a number; drop or fill such rows first."
            ) from None
    return np.array(values)


def _target(rows: list[list[str]], header: list[str], name: str, table: str) -> tuple[np.ndarray, str]:
    raw = [row[header.index(name)].strip() if header.index(name) < len(row) else "" for row in rows[1:]]
    if "" in raw:
        raise DataError(f"{table}, column {name!r}: {raw.count('')} row(s) have no target; drop them first.")
    levels = sorted(set(raw))
    if len(levels) == 2:
        return np.array([1.0 if value == levels[1] else -1.0 for value in raw]), "logistic"
    return _column(rows, header, name, table), "squared"
