"""Held-out errors of a regularization path: its model traced on the training rows of every fold."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from ._path_models import Tracer

__all__ = ["check_folds", "fold_errors"]

Split = tuple[np.ndarray, np.ndarray]
_CLASSES = ("logistic", "hinge", "softmax")


def check_folds(problem: TrainingProblem, folds: Any, random_state: int) -> list[Split]:
    """Training and test rows of every fold; none without folds.

    Raises
    ------
    ProblemError
        If a fold is empty, names rows that do not exist, or trains on rows that it tests.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0], reg=1.0)
    >>> [len(test) for _, test in check_folds(problem, 2, random_state=0)]
    [2, 2]
    """
    if folds is None:
        return []
    labels = problem.y if problem.scalar else np.argmax(problem.y, axis=1)
    if isinstance(folds, (int, np.integer)) and not isinstance(folds, bool):
        folds = _splitter(problem, int(folds), labels, random_state)
    try:
        splits = list(folds.split(problem.X, labels)) if hasattr(folds, "split") else list(folds)
        if not splits:
            raise ValueError("there are none")
        return [_checked(problem.n, train, test) for train, test in splits]
    except (TypeError, ValueError) as error:
        raise ProblemError(
            f"folds must be a number of folds, a scikit-learn splitter, or (train, test) index arrays ({error})."
        ) from None


def _splitter(problem: TrainingProblem, count: int, labels: np.ndarray, random_state: int) -> Any:
    """Shuffled folds; for classes each with its share of every class, where there are enough of each."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if not 2 <= count <= problem.n:
        raise ProblemError(f"folds must be between 2 and the {problem.n} rows, got {count}.")
    rare = problem.loss.name in _CLASSES and np.unique(labels, return_counts=True)[1].min() >= count
    return (StratifiedKFold if rare else KFold)(count, shuffle=True, random_state=random_state)


def _checked(n: int, train: Any, test: Any) -> Split:
    rows = [np.asarray(part) for part in (train, test)]
    for part in rows:
        if part.ndim != 1 or not part.size or part.dtype.kind not in "iu" or part.min() < 0 or part.max() >= n:
            raise ValueError(f"a fold must hold row numbers between 0 and {n - 1}")
    if np.intersect1d(rows[0], rows[1]).size:
        raise ValueError("a fold tests rows that it trains on")
    return rows[0], rows[1]


def fold_errors(
    trace: Tracer, regs: np.ndarray, splits: list[Split], n_jobs: int, deadline: float, advance: Callable[[], None]
) -> tuple[np.ndarray, bool]:
    """Mean held-out loss (folds, regs) of the models trained on the other rows, NaN where time ran out or an interrupt
    (the second value) came first."""
    from joblib import Parallel, delayed

    workers = min(len(splits), (os.cpu_count() or 1) if n_jobs == -1 else n_jobs)
    waves = math.ceil(len(splits) / workers)
    share = max(deadline - time.perf_counter(), 0.0) / waves
    if workers == 1:
        errors, done = np.full((len(splits), len(regs)), np.nan), False
        for number, (train, test) in enumerate(splits):
            left = max(deadline - time.perf_counter(), 0.0) / (len(splits) - number)
            errors[number], done = _errors(trace, regs, train, test, left)
            if done:
                break
            advance()
        return errors, done
    tasks = [delayed(_errors)(trace, regs, train, test, share) for train, test in splits]
    try:
        rows = list(Parallel(n_jobs=workers)(tasks))
    except KeyboardInterrupt:
        return np.full((len(splits), len(regs)), np.nan), True
    for _ in splits:
        advance()
    return np.array([row for row, _ in rows]), any(interrupted for _, interrupted in rows)


def _errors(
    trace: Tracer, regs: np.ndarray, train: np.ndarray, test: np.ndarray, time_limit: float
) -> tuple[np.ndarray, bool]:
    """Mean held-out loss for each value of reg, scaled by the share of the training rows; whether interrupted."""
    deadline = time.perf_counter() + time_limit
    problem = trace.problem
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    share = float(weight[train].sum() / weight.sum())
    errors = np.full(len(regs), np.nan)
    if weight[test].sum() <= 0 or share <= 0:
        return errors, False
    try:
        part = trace.on_rows(train)
        for index, reg in enumerate(regs):
            remaining = deadline - time.perf_counter()
            if remaining <= 0:
                break
            point = part.point(float(reg) * share, remaining)
            if point.status == "interrupted":
                return errors, True
            predicted = point.network.predict(problem.X[test])
            errors[index] = problem.loss.value(predicted, problem.y[test], weight[test]) / weight[test].sum()
    except KeyboardInterrupt:
        return errors, True
    return errors, False
