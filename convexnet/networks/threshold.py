"""A network of threshold neurons as plain read-only arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import NetworkError
from ._arrays import as_intercept, as_parameter, check_input, expect_shape
from ._signs import exact_signs

__all__ = ["ThresholdNetwork"]


@dataclass(frozen=True, eq=False, repr=False)
class ThresholdNetwork:
    """The function f(x) = sum_j a_j 1[x . w_j + b_j >= 0] + c_0.

    Only the amplitudes are penalised, by ``sum_j |a_j|``: the function does not change when (w_j, b_j) is scaled. The
    sign of ``x . w_j + b_j`` is that of exact arithmetic on the stored numbers, so that samples on a hyperplane count
    as active whatever the rounding.

    Parameters
    ----------
    weights : array (m, d)
    biases : array (m,)
    output_weights : array (m,)
        The amplitudes a_j.
    intercept : float

    Raises
    ------
    NetworkError
        If shapes contradict each other or an entry is NaN or infinite.

    References
    ----------
    Ergen, Gulluk, Lacotte and Pilanci (2023), "Globally optimal training of neural networks with threshold activation
    functions".

    Examples
    --------
    >>> net = ThresholdNetwork([[1.0], [-1.0]], [0.0, 0.0], [2.0, 1.0])
    >>> net
    ThresholdNetwork(neurons=2, features=1)
    >>> net.predict([[-3.0], [0.0], [3.0]])
    array([1., 3., 2.])
    >>> net.path_norm()
    3.0
    """

    weights: np.ndarray
    biases: np.ndarray
    output_weights: np.ndarray
    intercept: float = 0.0

    def __post_init__(self) -> None:
        weights = as_parameter(self.weights, "weights", (2,))
        m, d = weights.shape
        if d == 0:
            raise NetworkError("weights has no columns; a network needs at least one input feature.")
        output = as_parameter(self.output_weights, "output_weights", (1, 2))
        if output.ndim == 2 and output.shape[1] == 1:
            output = output[:, 0]
        fields = {
            "weights": weights,
            "biases": expect_shape(as_parameter(self.biases, "biases", (1,)), "biases", (m,)),
            "output_weights": expect_shape(output, "output_weights", (m,)),
            "intercept": as_intercept(self.intercept, ()),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and unpickle through the constructor, so that the arrays stay validated and read-only."""
        return ThresholdNetwork, (self.weights, self.biases, self.output_weights, self.intercept)

    @property
    def n_neurons(self) -> int:
        """The number m of hidden neurons."""
        return int(self.weights.shape[0])

    @property
    def n_features(self) -> int:
        """The number d of input features."""
        return int(self.weights.shape[1])

    @property
    def n_outputs(self) -> int:
        """Always 1."""
        return 1

    def activation_patterns(self, X: Any) -> np.ndarray:
        """Return 1[X W^T + b >= 0] as uint8, shape (n, m), decided in exact arithmetic.

        Raises
        ------
        DataError
            If X is not a finite matrix with ``n_features`` columns.
        """
        data = check_input(X, self.n_features)
        return (exact_signs(data, self.weights, self.biases) >= 0).astype(np.uint8)

    def predict(self, X: Any) -> np.ndarray:
        """Return f(X), shape (n,).

        Raises
        ------
        DataError
            If X is not a finite matrix with ``n_features`` columns.
        """
        return self.activation_patterns(X) @ self.output_weights + self.intercept

    def path_norm(self) -> float:
        """Return ``sum_j |a_j|``."""
        return float(np.sum(np.abs(self.output_weights)))

    def pruned(self) -> ThresholdNetwork:
        """Return the same function without neurons of amplitude zero."""
        used = self.output_weights != 0
        return ThresholdNetwork(self.weights[used], self.biases[used], self.output_weights[used], self.intercept)

    def summary(self) -> str:
        """Return a few lines for people."""
        unused = int(np.sum(self.output_weights == 0))
        return f"{self!r}\n  sum of |amplitudes|  {self.path_norm():.6g}\n  zero amplitudes      {unused}"

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments as lists and numbers, ready for JSON."""
        names = ("weights", "biases", "output_weights", "intercept")
        return {name: np.asarray(getattr(self, name)).tolist() for name in names}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an npz file; see :func:`convexnet.networks.io.save`."""
        from .io import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ThresholdNetwork:
        """Read a network written by :meth:`save`; see :func:`convexnet.networks.io.load_threshold`."""
        from .io import load_threshold

        return load_threshold(path)

    def __repr__(self) -> str:
        return f"ThresholdNetwork(neurons={self.n_neurons}, features={self.n_features})"
