"""One door for all trainers."""

from __future__ import annotations

import sys
from typing import Any

from ..errors import ProblemError
from .objective import TranslatedObjective
from .sklearn_objectives import perceptron_objective
from .torch_training import TorchTraining, torch_objective

__all__ = ["objective_of"]


def objective_of(trained: Any, X: Any, y: Any, *, sample_weight: Any = None) -> TranslatedObjective:
    """Return the objective by which a network was trained, as a training problem and in words.

    Parameters
    ----------
    trained : sklearn.neural_network.MLPRegressor or MLPClassifier, or TorchTraining
        A fitted scikit-learn perceptron knows its loss and its penalty; a torch module does not, so its criterion and
        optimizer come along: ``TorchTraining(module, criterion, optimizer)``.
    X : array-like (n, d)
        The rows it was trained on, as the network saw them (after any scaling).
    y : array-like (n,) or (n, k)
        Their targets, or their classes as the trainer knew them.
    sample_weight : array-like (n,), optional
        The weights passed to ``fit``; for torch they belong to the criterion.

    Returns
    -------
    TranslatedObjective

    Raises
    ------
    NoObjectiveError
        If the trainer minimises no objective of the form loss + weight decay: decoupled decay (AdamW), no decay at
        all, a held-out part of the rows.
    NetworkError
        If the network is outside the class of this package.
    ProblemError, DataError
        For a loss or an option that has no counterpart here, and for data that do not fit.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [1.0, 0.0, 1.0, 1.5]
    >>> model = MLPRegressor(hidden_layer_sizes=[20], solver="lbfgs", alpha=0.1, random_state=0).fit(X, y)
    >>> ours = objective_of(model, X, y)
    >>> ours.problem
    TrainingProblem(n=4, d=1, outputs=1, loss='squared', reg=0.1, activation='relu', bias='free', intercept=True)
    >>> print(ours.statement[0])
    MLPRegressor (lbfgs) minimises 1/n * 1/2 * sum (f(x) - y)^2 + alpha/(2n) * (the squares of all weights), alpha = 0.1; biases are not penalised.
    """  # noqa: E501
    if isinstance(trained, TorchTraining):
        if sample_weight is not None:
            raise ProblemError("sample_weight is for scikit-learn; torch weighs samples in its criterion.")
        return torch_objective(trained, X, y)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(trained, torch.nn.Module):
        raise ProblemError(
            "A torch module does not know what it was trained by; pass TorchTraining(module, criterion, optimizer)."
        )
    if not hasattr(trained, "get_params"):
        raise ProblemError(
            f"Cannot read an objective from {type(trained).__name__}; pass a fitted MLPRegressor or MLPClassifier, or "
            "TorchTraining(module, criterion, optimizer), or state the problem yourself: TrainingProblem(X, y, ...)."
        )
    return perceptron_objective(trained, X, y, sample_weight)
