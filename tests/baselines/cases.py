"""Problems shared by the tests of gradient training."""

from __future__ import annotations

from functools import cache

import numpy as np

from convexnet import TrainingProblem

# Squared loss, penalised bias, diabetes features bmi and s5: reg / reg_max -> optimum to a relative gap of 1e-6.
DIABETES_OPTIMA = {0.3: 173.483422, 0.1: 137.835460, 0.03: 122.513505, 0.01: 117.655692, 0.003: 113.83562}


@cache
def diabetes_rows() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    X, y = data.data[:, [2, 8]], data.target
    return (X - X.mean(0)) / X.std(0), (y - y.mean()) / y.std()


@cache
def diabetes_reg_max() -> float:
    """Largest |y . relu([X 1] u)| over unit u, by ascent from many directions."""
    X, y = diabetes_rows()
    rows = np.column_stack([X, np.ones(len(X))])
    U = np.random.default_rng(0).standard_normal((3, 2000))
    best = 0.0
    for sign in (1.0, -1.0):
        W = U
        for _ in range(50):
            W = rows.T @ ((rows @ W > 0) * (sign * y)[:, None])
            W = W / np.maximum(np.linalg.norm(W, axis=0), 1e-300)
        best = max(best, float(np.max(sign * (y @ np.maximum(rows @ W, 0)))))
    return best


def diabetes(ratio: float) -> TrainingProblem:
    return TrainingProblem(*diabetes_rows(), reg=ratio * diabetes_reg_max())


def small_problem(
    loss: str = "squared", *, outputs: int = 1, weighted: bool = False, reg: float = 0.3, **options: object
) -> TrainingProblem:
    """Nine samples whose two features have different scales and means."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((9, 2)) * [3.0, 0.1] + [1.0, 5.0]
    y: np.ndarray = rng.standard_normal((9, outputs)).squeeze()
    if loss in ("logistic", "hinge"):
        y = np.where(y > 0, 1.0, -1.0)
    if loss == "softmax":
        y = np.array([0, 1, 2, 0, 1, 2, 1, 1, 0])
    weight = rng.random(9) if weighted else None
    return TrainingProblem(X, y, loss=loss, reg=reg, sample_weight=weight, **options)
