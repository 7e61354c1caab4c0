"""One table of bad and unusual input: each row works to a certified result or raises a named error that advises."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from helpers.grids import latin

from convexnet import TrainingProblem, enumerate_patterns, reg_max, sample_patterns, solve
from convexnet.baselines import train
from convexnet.certificates import judge
from convexnet.errors import (
    ClassLabelsWarning,
    ConvexNetError,
    DataError,
    LabelsMappedWarning,
    NetworkError,
    PatternError,
    ProblemError,
    TooManyCellsError,
)
from convexnet.networks import ShallowNetwork

X = np.array([[0.0, 1.0], [1.0, -1.0], [2.0, 0.5], [-1.0, 2.0], [0.5, 0.5], [3.0, -2.0]])
Y = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])


def changed(array: np.ndarray, index: Any, value: float) -> np.ndarray:
    copy = array.copy()
    copy[index] = value
    return copy


REFUSED = {
    "NaN in X": ((changed(X, (2, 1), np.nan), Y), {}, DataError, r"X has 1 NaN .*index \(2, 1\).*impute"),
    "inf in X": ((changed(X, (0, 0), np.inf), Y), {}, DataError, "infinite"),
    "NaN in y": ((X, changed(Y, 3, np.nan)), {}, DataError, r"y has 1 NaN"),
    "inf in y": ((X, changed(Y, 3, -np.inf)), {}, DataError, "infinite"),
    "y longer": ((X, np.append(Y, 1.0)), {}, DataError, "7 row"),
    "y shorter": ((X, Y[:-1]), {}, DataError, "5 row"),
    "1-D X": ((X[:, 0], Y), {}, DataError, r"reshape\(-1, 1\)"),
    "3-D X": ((X[None], Y), {}, DataError, "2-D"),
    "y of shape (1, n)": ((X, Y[None]), {}, DataError, "ravel"),
    "strings in X": ((X.astype(str), Y), {}, DataError, "number"),
    "strings in y": ((X, np.array(["a", "b"] * 3)), {}, DataError, "number"),
    "object X": ((np.array([["a", None]] * 6, dtype=object), Y), {}, DataError, "number"),
    "complex X": ((X + 1j, Y), {}, DataError, "complex"),
    "ragged X": (([[1.0], [1.0, 2.0]], [1.0, 2.0]), {}, DataError, "ragged"),
    "three labels for logistic": ((X, [0, 1, 2, 0, 1, 2]), {"loss": "logistic"}, DataError, "softmax"),
    "labels 1/2 for hinge": ((X, [1, 2, 1, 2, 1, 2]), {"loss": "hinge"}, DataError, "-1"),
    "reg negative": ((X, Y), {"reg": -1.0}, ProblemError, "> 0"),
    "reg zero": ((X, Y), {"reg": 0.0}, ProblemError, "> 0"),
    "reg NaN": ((X, Y), {"reg": np.nan}, ProblemError, "> 0"),
    "reg a string": ((X, Y), {"reg": "0.1"}, ProblemError, "number"),
    "reg left out": ((X, Y), {"reg": None}, ProblemError, "required"),
    "no samples": ((np.zeros((0, 2)), np.zeros(0)), {}, DataError, "empty"),
    "no features": ((np.zeros((6, 0)), Y), {}, DataError, "empty"),
    "unknown loss": ((X, Y), {"loss": "cubic"}, ProblemError, "squared"),
    "unknown activation": ((X, Y), {"activation": "tanh"}, ProblemError, "relu"),
    "unknown bias": ((X, Y), {"bias": True}, ProblemError, "penalized"),
    "negative weights": ((X, Y), {"sample_weight": [-1.0] + [1.0] * 5}, DataError, ">= 0"),
    "weights of another length": ((X, Y), {"sample_weight": [1.0]}, DataError, "shape"),
    "huge entries": ((X * 1e200, Y), {}, DataError, "rescale"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_data_is_refused_by_name(name: str) -> None:
    data, options, error, advice = REFUSED[name]
    with pytest.raises(error, match=advice):
        TrainingProblem(*data, **{"reg": 0.1, **options})


ACCEPTED = {
    "integers": (np.round(X).astype(int), Y),
    "lists": (X.tolist(), Y.tolist()),
    "float32": (X.astype(np.float32), Y.astype(np.float32)),
    "Fortran order": (np.asfortranarray(X), Y),
    "y as a column": (X, Y[:, None]),
    "one sample": (X[:1], Y[:1]),
    "one zero sample": (np.zeros((1, 2)), np.zeros(1)),
    "constant column": (np.column_stack([X, np.full(6, 3.0)]), Y),
    "zero column": (np.column_stack([X[:, :1], np.zeros(6)]), Y),
    "all zero X": (np.zeros((6, 2)), Y),
    "all zero y": (X, np.zeros(6)),
    "duplicate rows": (np.vstack([X, X]), np.append(Y, -Y)),
    "antipodal rows": (np.vstack([X, -X]), np.append(Y, Y)),
    "duplicate columns": (np.column_stack([X[:, 0], X[:, 0]]), Y),
    "fewer samples than features": (np.random.default_rng(0).standard_normal((3, 8)), Y[:3]),
    "badly scaled columns": (X * np.array([1e-6, 1e5]), Y),
    "booleans": (X > 0, Y > 0),
}


@pytest.mark.parametrize(("name", "bias"), latin(list(ACCEPTED), ["penalized", "free", "none"], every=3))
def test_unusual_data_is_solved(name: str, bias: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClassLabelsWarning)
        problem = TrainingProblem(*ACCEPTED[name], reg=0.1, bias=bias)
    solution = solve(problem)
    certificate = solution.certificate
    assert certificate.verdict == "optimal", certificate
    assert certificate.lower_bound <= solution.objective * (1 + 1e-9) + 1e-15


def test_read_only_arrays_and_frames() -> None:
    frozen = X.copy()
    frozen.setflags(write=False)
    reference = solve(TrainingProblem(frozen, Y, reg=0.1)).objective
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b"])
    assert solve(TrainingProblem(frame, pandas.Series(Y), reg=0.1)).objective == reference


def test_labels_are_mapped_or_questioned_aloud() -> None:
    with pytest.warns(LabelsMappedWarning, match="-1/"):
        TrainingProblem(X, [0, 1, 0, 1, 0, 1], loss="logistic", reg=0.1)
    with pytest.warns(ClassLabelsWarning, match="softmax"):
        TrainingProblem(np.tile(X, (2, 1)), [0, 1, 2] * 4, reg=0.1)


def test_patterns_zero_too_many_or_of_other_data() -> None:
    problem = TrainingProblem(X, Y, reg=0.1)
    with pytest.raises(ProblemError):
        sample_patterns(problem.extended, 0)
    with pytest.raises(TooManyCellsError, match="sample_patterns"):
        enumerate_patterns(np.random.default_rng(0).standard_normal((500, 12)))
    wrong = enumerate_patterns(problem.X)
    for call in (solve, reg_max):
        with pytest.raises(PatternError, match="ones"):
            call(problem, patterns=wrong)
    with pytest.raises(PatternError, match="ones"):
        judge(problem, ShallowNetwork([[1.0, 0.0]], [0.0], [1.0]), patterns=wrong)


NETWORKS = {
    "another width of input": ShallowNetwork([[1.0]], [0.0], [1.0]),
    "several outputs": ShallowNetwork([[1.0, 0.0]], [0.0], [[1.0, 2.0]]),
    "another activation": ShallowNetwork([[1.0, 0.0]], [0.0], [1.0], activation="absolute"),
    "an intercept": ShallowNetwork([[1.0, 0.0]], [0.0], [1.0], intercept=1.0),
    "a skip connection": ShallowNetwork([[1.0, 0.0]], [0.0], [1.0], skip=[1.0, 0.0]),
    "no network": "a file name",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_outside_the_class_are_refused(name: str) -> None:
    problem = TrainingProblem(X, Y, reg=0.1)
    with pytest.raises(NetworkError):
        judge(problem, NETWORKS[name])  # type: ignore[arg-type]


@pytest.mark.parametrize("call", [solve, train])
def test_every_refusal_is_one_of_ours(call: Any) -> None:
    with pytest.raises(ConvexNetError):
        call(TrainingProblem(X, Y, reg=0.1), time_limit=float("nan"))
