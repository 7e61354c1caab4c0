"""Small tables: those that scikit-learn ships, CSV files and arrays in npz files, standardised on request."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import DataError

__all__ = ["Table", "load_csv", "load_npz", "load_table", "standardized"]

_SHIPPED = {
    "diabetes": ("bmi", "s5"),
    "breast_cancer": ("mean concave points", "worst radius"),
}
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, eq=False)
class Table:
    """A table of features and a target.

    Attributes
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    features : tuple of str
    target : str
        Its name, and for two classes which one is +1.
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
    """Read a comma-separated file with a header line; a target with two values is mapped to -1/+1.

    Parameters
    ----------
    path : str or Path
        UTF-8 text, with or without a byte order mark.
    target : str
        Name of the target column. Of two values the larger (of two words, the later in the alphabet) becomes +1.
    features : sequence of str, optional
        Names of the feature columns; default, or ``["all"]``: all others.

    Raises
    ------
    DataError
        If the file is missing, not comma-separated text, has no rows, lacks a column or has it twice, or holds text,
        gaps, NaN or infinite values in a column that is used. The message names line and column.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = path.write_text("a,b,y\\n1,2,0.5\\n3,4,1.5\\n5,6,7\\n")
    >>> load_csv(path, "y")
    Table('t.csv', n=3, features=['a', 'b'], target='y')
    """
    path = Path(path)
    header, rows = _read(path)
    others = [column for column in header if column != target]
    everything = features is None or list(features) == ["all"]
    _check_known(header, [target], path.name)
    chosen = _chosen(header, others if everything or features is None else features, path.name)
    if target in chosen:
        raise DataError(f"The target {target!r} cannot be a feature as well.")
    for name in (target, *chosen):
        if header.count(name) > 1:
            raise DataError(f"{path.name} has {header.count(name)} columns named {name!r}; rename all but one.")
    X = np.column_stack([_numbers(rows, header.index(name), name, path.name) for name in chosen])
    y, label, loss = _target(rows, header.index(target), target, path.name)
    return Table(X, y, chosen, label, path.name, loss)


def load_npz(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read X, y and, if stored, sample_weight from an npz file of plain arrays.

    Parameters
    ----------
    path : str or Path
        As written by ``numpy.savez(path, X=X, y=y)``.

    Raises
    ------
    DataError
        If the file is missing, is no npz file of plain numbers, or lacks X or y.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "t.npz"
    >>> np.savez(path, X=[[1.0], [2.0]], y=[0.0, 1.0])
    >>> X, y, sample_weight = load_npz(path)
    >>> X.shape, sample_weight is None
    ((2, 1), True)
    """
    path = Path(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(f"There is no file {str(path)!r}.") from None
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on damaged bytes
        raise DataError(f"{path.name} is not a readable npz file of plain arrays ({error}).") from None
    missing = [name for name in ("X", "y") if name not in arrays]
    if missing:
        raise DataError(f"{path.name} lacks {' and '.join(missing)}; write it with numpy.savez(path, X=X, y=y).")
    for name in ("X", "y", "sample_weight"):
        if name in arrays and arrays[name].dtype.kind not in "fiub":
            raise DataError(f"{path.name}: {name} holds {arrays[name].dtype} values, not numbers.")
    return arrays["X"], arrays["y"], arrays.get("sample_weight")


def standardized(array: np.ndarray) -> np.ndarray:
    """Subtract column means and divide by column standard deviations (ddof 0); constant columns become zero.

    Examples
    --------
    >>> standardized(np.array([1.0, 2.0, 3.0])).round(6)
    array([-1.224745,  0.      ,  1.224745])
    """
    array = np.asarray(array, dtype=float)
    # Dividing by a power of two changes no digit, and keeps the squares of very large and very small columns in range.
    array = np.ldexp(array, -np.frexp(np.abs(array).max(axis=0, initial=0.0))[1])
    spread = array.std(axis=0)
    constant = spread <= 1e-12 * np.abs(array).max(axis=0, initial=0.0)
    return np.where(constant, 0.0, (array - array.mean(axis=0)) / np.where(constant, 1.0, spread))


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (line number, cells) of every row that is not blank, as many cells as the header names."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except FileNotFoundError:
        raise DataError(f"There is no file {str(path)!r}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path.name} is not UTF-8 text; save it again as 'CSV UTF-8'.") from None
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"Cannot read {str(path)!r}: {reason}.") from None
    lines = [(number, row) for number, row in lines if any(row)]
    if len(lines) < 2:
        raise DataError(f"{path.name} needs a header line and at least one row.")
    header = lines[0][1]
    _check_separator(header, path.name)
    for number, row in lines[1:]:
        if len(row) != len(header):
            raise DataError(
                f"{path.name}, line {number}: {len(row)} cell(s), but the header names {len(header)}; "
                "look for missing or extra commas."
            )
    return header, lines[1:]


def _check_separator(header: list[str], table: str) -> None:
    found = [word for mark, word in _SEPARATORS.items() if len(header) == 1 and mark in header[0]]
    if found:
        raise DataError(
            f"{table} seems to be separated by {found[0]}; save it with commas between the cells and points in the "
            "decimals."
        )


def _check_known(known: Sequence[str], wanted: Sequence[str], table: str) -> None:
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise DataError(f"{table} has no column {name!r}{hint}; its columns are {', '.join(known)}.")


def _chosen(known: Sequence[str], wanted: Sequence[str], table: str) -> tuple[str, ...]:
    if list(wanted) == ["all"]:
        return tuple(known)
    _check_known(known, wanted, table)
    if not wanted:
        raise DataError(f"{table}: name at least one feature.")
    return tuple(dict.fromkeys(wanted))


def _number(text: str) -> float:
    """The number that a cell holds, or NaN."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _numbers(rows: list[tuple[int, list[str]]], place: int, name: str, table: str) -> np.ndarray:
    values = np.array([_number(row[place]) for _, row in rows])
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        line, row = rows[bad[0]]
        what = "the cell is empty" if not row[place] else f"{row[place]!r} is not a finite number"
        raise DataError(
            f"{table}, line {line}, column {name!r}: {what} ({bad.size} of {len(rows)} rows are affected). Drop or "
            "fill these rows, encode text as numbers, or choose other columns."
        )
    return values


def _target(rows: list[tuple[int, list[str]]], place: int, name: str, table: str) -> tuple[np.ndarray, str, str]:
    """Targets, their label and the loss that suits them: two values become -1/+1."""
    raw = [row[place] for _, row in rows]
    numbers = [_number(text) for text in raw]
    words = sorted(set(raw))
    if np.isfinite(numbers).all():
        low, high = min(numbers), max(numbers)
        if low < high and set(numbers) == {low, high}:
            return np.where(np.array(numbers) == high, 1.0, -1.0), _classes(name, f"{high:g}", f"{low:g}"), "logistic"
    elif len(words) == 2 and not np.isfinite(numbers).any() and not {"", "nan"} & {word.lower() for word in words}:
        return np.where(np.array(raw) == words[1], 1.0, -1.0), _classes(name, words[1], words[0]), "logistic"
    return _numbers(rows, place, name, table), name, "squared"


def _classes(name: str, high: str, low: str) -> str:
    return f"{name} ({high} is +1, {low} is -1)"
