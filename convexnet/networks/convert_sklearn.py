"""Networks from scikit-learn's multi-layer perceptrons."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import NetworkError
from .shallow import ShallowNetwork

__all__ = ["check_perceptron", "from_sklearn"]


def from_sklearn(model: Any) -> ShallowNetwork:
    """Return the network of a fitted MLPRegressor or MLPClassifier with one hidden ReLU layer.

    A classifier's network ends before its link: its outputs are logits, one for two classes (positive where
    ``classes_[1]`` is more likely) and one a class for several. The logistic function or softmax behind them belongs
    to the loss.

    Parameters
    ----------
    model : sklearn.neural_network.MLPRegressor or MLPClassifier
        Fitted, ``activation="relu"`` and one hidden layer.

    Raises
    ------
    NetworkError
        For another estimator, one that is not fitted, another activation, several hidden layers, several labels per
        sample, or the Poisson loss.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> model = MLPRegressor(hidden_layer_sizes=[8], solver="lbfgs", random_state=0)
    >>> from_sklearn(model.fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0]))
    ShallowNetwork(neurons=8, features=1, outputs=1, activation='relu')
    """
    check_perceptron(model)
    first, last = (np.asarray(matrix, dtype=np.float64) for matrix in model.coefs_)
    return ShallowNetwork(
        weights=first.T,
        biases=model.intercepts_[0],
        output_weights=last,
        intercept=model.intercepts_[1],
    )


def check_perceptron(model: Any) -> None:
    """Raise NetworkError unless the model is a fitted perceptron with one hidden ReLU layer and a known head."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    name = type(model).__name__
    if hasattr(model, "steps"):
        raise NetworkError(
            f"{name} transforms its inputs first; pass its last step, model[-1], together with the transformed data, "
            "model[:-1].transform(X)."
        )
    if not isinstance(model, (MLPRegressor, MLPClassifier)):
        raise NetworkError(f"Expected a scikit-learn MLPRegressor or MLPClassifier, got {name}.")
    if not hasattr(model, "coefs_"):
        raise NetworkError(f"This {name} is not fitted; call fit first.")
    if len(model.coefs_) != 2:
        raise NetworkError(
            f"This {name} has {len(model.coefs_) - 1} hidden layers; this package certifies networks with exactly one."
        )
    if model.activation != "relu":
        raise NetworkError(f"This {name} has activation={model.activation!r}; only 'relu' can be certified.")
    if model.out_activation_ == "exp":
        raise NetworkError(f"This {name} has the Poisson loss, which this package does not have.")
    if model.out_activation_ == "logistic" and model.n_outputs_ > 1:
        raise NetworkError(
            f"This {name} predicts {model.n_outputs_} labels per sample; only one label per sample can be certified."
        )
