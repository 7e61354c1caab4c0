"""Data of the benchmarks: real tables, synthetic ones, and the gated programs that several programs measure.

Files with X and y are looked for in the folder that the environment variable CONVEXNET_DATA names (default
``../shared/data``). Everything is deterministic, so that every process builds the same problem with the same gates.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convexnet import TrainingProblem, sample_patterns
from convexnet.arrangements import PatternSet
from convexnet.datasets import standardized
from convexnet.pricing import price_ascent, price_gated

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("CONVEXNET_DATA", HERE.parent.parent / "shared" / "data"))
Loader = Callable[[], tuple[np.ndarray, np.ndarray]]


def sum_of_neurons() -> tuple[np.ndarray, np.ndarray]:
    """2000 rows, 3 features: a sum of five ReLU neurons with noise, standardised."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((2000, 3))
    hidden = np.maximum(np.column_stack([X, np.ones(2000)]) @ generator.standard_normal((5, 4)).T, 0)
    y = hidden @ generator.choice([-1.0, 1.0], 5) + 0.1 * generator.standard_normal(2000)
    return standardized(X), standardized(y)


def diabetes(features: int = 10) -> Loader:
    def load() -> tuple[np.ndarray, np.ndarray]:
        from sklearn.datasets import load_diabetes

        bunch = load_diabetes()
        return standardized(bunch.data[:, :features]), standardized(bunch.target)

    return load


def breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    return standardized(bunch.data), standardized(bunch.target.astype(float))


def breast_cancer_components() -> tuple[np.ndarray, np.ndarray]:
    """The nine leading principal components of the standardised features, with their own variances; labels -1, +1."""
    X, y = breast_cancer()
    return X @ np.linalg.svd(X, full_matrices=False)[2][:9].T, np.sign(y)


def cancer_signs() -> tuple[np.ndarray, np.ndarray]:
    X, y = breast_cancer()
    return X, np.sign(y)


def table(name: str) -> Loader:
    def load() -> tuple[np.ndarray, np.ndarray]:
        X, y = _stored(name)
        return standardized(X), standardized(y)

    return load


def classes(name: str) -> Loader:
    """Standardised features and class codes."""

    def load() -> tuple[np.ndarray, np.ndarray]:
        X, y = _stored(name)
        return standardized(X), y.astype(int)

    return load


def _stored(name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as file:
        X, y = np.asarray(file["X"], dtype=float), np.asarray(file["y"], dtype=float)
    return X[:, np.ptp(X, axis=0) > 0], y


def digits(target: str) -> Loader:
    """Pixels that vary; ``parity`` (odd +1, even -1), ``classes`` (codes) or ``one-hot``."""

    def load() -> tuple[np.ndarray, np.ndarray]:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        X = bunch.data[:, np.ptp(bunch.data, axis=0) > 0]
        kinds = {"parity": np.where(bunch.target % 2 == 1, 1.0, -1.0), "one-hot": np.eye(10)[bunch.target]}
        return X, kinds.get(target, bunch.target)

    return load


def teacher(n: int, d: int, neurons: int = 10) -> Loader:
    """Normal rows, a random ReLU network of a few neurons, output of variance one and noise of deviation 0.1."""

    def load() -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        X = generator.standard_normal((n, d))
        directions, signs = generator.standard_normal((d, neurons)), generator.choice([-1.0, 1.0], neurons)
        y = np.maximum(X @ directions, 0) @ signs
        return X, y / y.std() + 0.1 * generator.standard_normal(n)

    return load


def forest_like(n: int) -> Loader:
    """54 features as in the forest cover table: ten correlated heights and distances, 4 + 40 indicators; labels."""

    def load() -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        numbers = generator.standard_normal((n, 10)) @ generator.standard_normal((10, 10))
        areas = np.eye(4)[generator.choice(4, n, p=[0.45, 0.05, 0.44, 0.06])]
        soils = np.eye(40)[generator.choice(40, n, p=0.9 * generator.dirichlet(np.full(40, 0.5)) + 0.1 / 40)]
        X = np.column_stack([numbers, areas, soils])
        bent = np.maximum(standardized(numbers) @ generator.standard_normal((10, 8)), 0)
        score = bent @ generator.standard_normal(8) + soils @ generator.standard_normal(40)
        return X, np.where(score > np.median(score), 1.0, -1.0)

    return load


def with_constant(X: np.ndarray) -> np.ndarray:
    return np.column_stack([X, np.ones(len(X))])


def unit_columns(X: np.ndarray) -> np.ndarray:
    return X / np.linalg.norm(X, axis=0)


@dataclass(frozen=True)
class GatedCase:
    """A gated program: the columns of X, a constant one among them where ``constant``, have length one.

    ``ratio`` is reg over the smallest reg at which zero is optimal for these gates.
    """

    name: str
    load: Loader
    n_gates: int
    ratio: float
    loss: str = "squared"
    constant: bool = True
    group: str = "frobenius"

    def build(self) -> tuple[TrainingProblem, PatternSet]:
        X, y = self.load()
        problem = TrainingProblem(
            unit_columns(with_constant(X) if self.constant else X), y, loss=self.loss, reg=1.0, bias="none"
        )
        patterns = sample_patterns(problem.extended, self.n_gates, random_state=0)
        nu = -problem.gradient(np.zeros_like(problem.y))
        largest = price_gated(problem, nu, patterns, group=self.group).value
        return problem.with_options(reg=self.ratio * largest), patterns


GATED = (
    GatedCase("small: diabetes .05, 50 gates", diabetes(), 50, 0.05),
    GatedCase("small: diabetes .05, 200 gates", diabetes(), 200, 0.05),
    GatedCase("diabetes .05", diabetes(), 1000, 0.05),
    GatedCase("diabetes .005", diabetes(), 1000, 0.005),
    GatedCase("breast cancer .01", cancer_signs, 1000, 0.01),
    GatedCase("digits parity .01", digits("parity"), 500, 0.01),
    GatedCase("teacher 1000x50 .01", teacher(1000, 50), 500, 0.01, constant=False),
    GatedCase("forest-like 5000x54 .01", forest_like(5000), 500, 0.01, constant=False),
    GatedCase("teacher 20000x20 .02", teacher(20000, 20), 500, 0.02, constant=False),
    GatedCase("breast cancer .01, logistic", cancer_signs, 1000, 0.01, "logistic"),
    GatedCase("digits parity .02, logistic", digits("parity"), 500, 0.02, "logistic"),
)
LARGE = (GatedCase("teacher 100000x100 .05", teacher(100_000, 100), 1000, 0.05, constant=False),)
MEMORY = (GatedCase("memory: teacher 2000x20 .05, 5000 gates", teacher(2000, 20), 5000, 0.05, constant=False),)
OUTPUTS = tuple(
    GatedCase(f"{name} .02, {n_gates} gates, {group}", load, n_gates, 0.02, loss, True, group)
    for name, load, n_gates, loss in (
        ("vehicle softmax", classes("clf_vehicle"), 30, "softmax"),
        ("vehicle softmax", classes("clf_vehicle"), 300, "softmax"),
        ("vowel softmax", classes("clf_vowel"), 300, "softmax"),
        ("digits squared", digits("one-hot"), 300, "squared"),
        ("digits softmax", digits("classes"), 300, "softmax"),
    )
    for group in ("frobenius", "nuclear")
)
PATH = (GatedCase("diabetes path", diabetes(), 1000, 1.0),)


@dataclass(frozen=True)
class ReluCase:
    """ReLU training of any width; ``best`` is the lowest objective that is known, None if none is on record."""

    name: str
    load: Loader
    ratio: float
    best: float | None = None
    constant: bool = True

    def build(self) -> TrainingProblem:
        X, y = self.load()
        problem = TrainingProblem(unit_columns(with_constant(X) if self.constant else X), y, reg=1.0, bias="none")
        largest = price_ascent(problem, -problem.gradient(np.zeros(problem.n)), n_starts=512).value
        return problem.with_options(reg=self.ratio * largest)


RELU = (
    ReluCase("diabetes .05", diabetes(), 0.05, 114.626883),
    ReluCase("digits parity .05", digits("parity"), 0.05, 306.997556),
    ReluCase("breast cancer .05", cancer_signs, 0.05, 76.017256),
    ReluCase("teacher 2000x20 .02", teacher(2000, 20), 0.02, None, constant=False),
)


def find_case(name: str) -> GatedCase:
    return next(case for case in (*GATED, *LARGE, *MEMORY, *OUTPUTS, *PATH) if case.name == name)
