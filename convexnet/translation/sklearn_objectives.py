"""The objectives of scikit-learn's perceptrons, as their source computes them (``_multilayer_perceptron.py``)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._validation import as_sample_weight
from ..errors import DataError, NoObjectiveError, ProblemError
from ..networks.convert_sklearn import check_perceptron, from_sklearn
from ..problem import TrainingProblem
from .objective import TranslatedObjective

__all__ = ["perceptron_objective"]

_TERMS = {
    "squared": "1/2 * sum (f(x) - y)^2",
    "logistic": "sum log(1 + exp(-y f(x))), y = -1 or +1",
    "softmax": "sum (cross-entropy of the softmax of f(x))",
}
_SAME_LOSS = 1e-3
"""Relative distance between the model's own final loss and ours that float32 and rounding explain."""


def perceptron_objective(model: Any, X: Any, y: Any, sample_weight: Any = None) -> TranslatedObjective:
    """Return the objective of a fitted MLPRegressor or MLPClassifier; see :func:`objective_of`.

    With the batch mean of the loss and ``alpha / (2 * batch size)`` times the squared weights in every step, the
    average step over an epoch of ``b`` batches descends ``1/n sum loss + alpha/2 * mean(1 / batch size) * squares``,
    so ``reg = alpha * n * mean(1 / batch size)``: ``alpha`` for full batches (lbfgs), about ``b * alpha`` otherwise.
    """
    check_perceptron(model)
    name = type(model).__name__
    _check_rows(model, name)
    loss, targets = _targets(model, y)
    sizes = _batch_sizes(model, len(targets))
    weights = as_sample_weight(sample_weight, len(targets))
    if weights is not None and len(sizes) > 1:
        raise ProblemError(
            f"{name} with sample weights in {len(sizes)} batches divides each batch by its own sum of weights, so its "
            "objective changes from step to step; train with solver='lbfgs' or batch_size=len(X)."
        )
    total = float(len(targets) if weights is None else weights.sum())
    shares = total * float(np.mean([1.0 / size for size in sizes])) if len(sizes) > 1 else 1.0
    reg = float(model.alpha) * shares
    problem = TrainingProblem(X, targets, loss=loss, reg=reg, sample_weight=weights, bias="free")
    made = TranslatedObjective(
        problem=problem,
        statement=_statement(model, name, loss, weights is not None, sizes, problem),
        caveats=(),
        factor=total,
        penalties={"hidden weights": reg, "output weights": reg},
    )
    caveats = tuple(_caveats(model, made, sizes))
    return TranslatedObjective(made.problem, made.statement, caveats, made.factor, made.penalties)


def _check_rows(model: Any, name: str) -> None:
    """Refuse models whose objective is not one of loss on all rows plus weight decay."""
    if model.early_stopping and model.solver != "lbfgs":
        raise NoObjectiveError(
            f"{name} was trained with early_stopping=True: a random part of the rows was held out and training ended "
            "before its objective was small. State the problem of the rows it saw yourself, TrainingProblem(X_train, "
            "y_train, reg=alpha, bias='free'), or train with early_stopping=False."
        )
    if not model.alpha > 0:
        raise NoObjectiveError(
            f"{name} was trained with alpha={model.alpha!r}: without weight decay wide networks fit as closely as the "
            "data allow, and there is nothing to certify. Train with alpha > 0."
        )


def _targets(model: Any, y: Any) -> tuple[str, np.ndarray]:
    """The loss of this package and targets in its code."""
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if not hasattr(model, "classes_"):
        return "squared", values
    classes = np.asarray(model.classes_)
    codes = np.searchsorted(classes, values) if values.ndim == 1 else np.zeros(0, dtype=int)
    if values.ndim != 1 or not np.array_equal(classes[np.minimum(codes, len(classes) - 1)], values):
        raise DataError(f"y must hold the classes of the model, one a row: {', '.join(map(str, classes[:8]))}.")
    if len(classes) == 2:
        return "logistic", np.where(codes == 1, 1.0, -1.0)
    return "softmax", np.eye(len(classes))[codes]


def _batch_sizes(model: Any, n: int) -> list[int]:
    """The sizes of the batches of one epoch."""
    if model.solver == "lbfgs":
        return [n]
    size = min(200, n) if model.batch_size == "auto" else min(int(model.batch_size), n)
    return [min(size, n - start) for start in range(0, n, size)]


def _statement(
    model: Any, name: str, loss: str, weighted: bool, sizes: list[int], problem: TrainingProblem
) -> tuple[str, ...]:
    n, size = ("n", "n") if len(sizes) == 1 else ("n", "B")
    term = _TERMS[loss] + (", each term times its sample weight" if weighted else "")
    n = "(sum of the sample weights)" if weighted else n
    size = n if size == "n" else size
    sentences = [
        f"{name} ({model.solver}) minimises 1/{n} * {term} + alpha/(2{'' if size in 'nB' else ' * '}{size}) * (the "
        f"squares of all weights), alpha = {model.alpha:g}; biases are not penalised."
    ]
    if len(sizes) > 1:
        sentences.append(
            f"Here B is the batch size ({sizes[0]}), not n: the penalty is divided by the rows of a batch, so "
            f"{len(sizes)} batches an epoch make it {problem.reg / model.alpha:g} times as strong."
        )
    if loss != "squared":
        link = "logistic function" if loss == "logistic" else "softmax"
        sentences.append(f"The {link} at the end of the classifier belongs to the loss; f(x) are the logits before it.")
    strength = "alpha" if len(sizes) == 1 else "alpha * n * (mean of 1/B)"
    times = problem.n if problem.sample_weight is None else float(problem.sample_weight.sum())
    sentences.append(
        f"Times {n} = {times:g} that is the {loss} loss + "
        f"reg/2 * squares with reg = {strength} = {problem.reg:g}, free neuron biases and a free output bias: the "
        "objective of TrainingProblem once each neuron is balanced, and never below it before."
    )
    return tuple(sentences)


def _caveats(model: Any, made: TranslatedObjective, sizes: list[int]) -> list[str]:
    found = []
    if len(sizes) > 1:
        found.append(
            "The objective of minibatch training is that of its average step; single steps see one batch"
            + ("." if model.shuffle else ", and with shuffle=False the rows of a smaller last batch weigh more.")
        )
    if made.problem.n_outputs > 1 and made.problem.loss.name == "squared":
        found.append(
            "With several outputs the loss that scikit-learn prints is averaged over them, while its gradients are "
            "those of the sum; the sum is meant here."
        )
    elif model.solver == "lbfgs":
        ours = made.trainer_objective(from_sklearn(model))
        if not math.isclose(ours, float(model.loss_), rel_tol=_SAME_LOSS):
            found.append(
                f"The model ended with loss_ = {float(model.loss_):.6g}, on these rows it has {ours:.6g}: they do not "
                "seem to be the rows it was trained on, scaled as they were."
            )
    return found
