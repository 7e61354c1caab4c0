"""A network with one hidden layer as plain read-only arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import NetworkError
from ._arrays import (
    as_intercept,
    as_parameter,
    as_skip,
    check_activation,
    check_input,
    check_norm,
    expect_shape,
    row_norms,
)
from ._many import hidden_sums
from .activations import activate

__all__ = ["ShallowNetwork"]


@dataclass(frozen=True, eq=False, repr=False)
class ShallowNetwork:
    """The function f(x) = sum_j sigma(x . w_j + b_j) v_j + c_0 + x . c, sigma(t) = max(t, kappa t).

    All arrays are stored as read-only float64 copies. An output axis of length one is dropped, so that a scalar
    network always predicts arrays of shape (n,).

    Parameters
    ----------
    weights : array (m, d)
        One hidden neuron w_j per row; m = 0 is the affine model, given as shape (0, d).
    biases : array (m,)
    output_weights : array (m,) or (m, k)
        v_j, a number for one output or a row of k numbers.
    intercept : float or array (k,)
        c_0; a number is repeated for every output.
    skip : None, array (d,) or (d, k)
        The free linear term c.
    activation : {"relu", "leaky", "absolute"}
    negative_slope : float
        kappa of the leaky activation, in (0, 1).

    Raises
    ------
    NetworkError
        If shapes contradict each other, an entry is NaN or infinite, or the activation is unknown.

    Examples
    --------
    >>> net = ShallowNetwork([[1.0, 0.0], [0.0, -2.0]], [0.0, 1.0], [3.0, -1.0])
    >>> net
    ShallowNetwork(neurons=2, features=2, outputs=1, activation='relu')
    >>> net.predict([[2.0, 0.0], [-1.0, -1.0]])
    array([ 5., -3.])
    >>> round(net.path_norm(), 6)
    5.236068
    """

    weights: np.ndarray
    biases: np.ndarray
    output_weights: np.ndarray
    intercept: Any = 0.0
    skip: np.ndarray | None = None
    activation: str = "relu"
    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        check_activation(self.activation, self.negative_slope)
        weights = as_parameter(self.weights, "weights", (2,))
        m, d = weights.shape
        if d == 0:
            raise NetworkError("weights has no columns; a network needs at least one input feature.")
        output = as_parameter(self.output_weights, "output_weights", (1, 2))
        if output.ndim == 2 and output.shape[1] == 1:
            output = output[:, 0]
        outputs = output.shape[1:]
        fields = {
            "weights": weights,
            "biases": expect_shape(as_parameter(self.biases, "biases", (1,)), "biases", (m,)),
            "output_weights": expect_shape(output, "output_weights", (m, *outputs)),
            "intercept": as_intercept(self.intercept, outputs),
            "skip": as_skip(self.skip, d, outputs),
            "negative_slope": float(self.negative_slope),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and unpickle through the constructor, so that the arrays stay validated and read-only."""
        return ShallowNetwork, tuple(getattr(self, name) for name in self.__dataclass_fields__)

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
        """The number k of outputs; 1 when predictions have shape (n,)."""
        return 1 if self.output_weights.ndim == 1 else int(self.output_weights.shape[1])

    @property
    def kappa(self) -> float:
        """The slope of the activation on the negative half line."""
        return check_activation(self.activation, self.negative_slope)

    def preactivations(self, X: Any) -> np.ndarray:
        """Return X W^T + b, shape (n, m)."""
        return check_input(X, self.n_features) @ self.weights.T + self.biases

    def hidden(self, X: Any) -> np.ndarray:
        """Return sigma(X W^T + b), shape (n, m)."""
        return activate(self.preactivations(X), self.kappa)

    def predict(self, X: Any) -> np.ndarray:
        """Return f(X), shape (n,) for a scalar output and (n, k) otherwise.

        Raises
        ------
        DataError
            If X is not a finite matrix with ``n_features`` columns.
        """
        data = check_input(X, self.n_features)
        values = hidden_sums(data, self.weights, self.biases, self.output_weights, self.kappa) + self.intercept
        return values if self.skip is None else values + data @ self.skip

    def activation_patterns(self, X: Any) -> np.ndarray:
        """Return 1[X W^T + b >= 0] as uint8, shape (n, m): column j is the pattern of neuron j."""
        return (self.preactivations(X) >= 0).astype(np.uint8)

    def neuron_norms(self, bias: str = "penalized", norm: str = "l2") -> np.ndarray:
        """Return the neuron norms, shape (m,): ||(w_j, b_j)|| for a penalized bias, ||w_j|| for "free" and "none".

        Parameters
        ----------
        bias : {"penalized", "free", "none"}
        norm : {"l2", "l1"}

        Raises
        ------
        NetworkError
            If ``bias="none"`` and some bias is not zero.
        ProblemError
            For an unknown option.
        """
        check_norm(bias, norm, self.biases)
        rows = np.column_stack([self.weights, self.biases]) if bias == "penalized" else self.weights
        return row_norms(rows, norm)

    def output_norms(self) -> np.ndarray:
        """Return ``||v_j||_2`` (``|v_j|`` for a scalar output), shape (m,)."""
        return row_norms(self.output_weights.reshape(self.n_neurons, self.n_outputs))

    def path_norm(self, bias: str = "penalized", norm: str = "l2") -> float:
        """Return sum_j ||u_j|| ||v_j||_2, the value of the weight decay after balancing."""
        return float(self.neuron_norms(bias, norm) @ self.output_norms())

    def weight_decay(self, bias: str = "penalized", norm: str = "l2") -> float:
        """Return 1/2 sum_j (||u_j||^2 + ||v_j||^2), never below the path norm."""
        return float(0.5 * (np.sum(self.neuron_norms(bias, norm) ** 2) + np.sum(self.output_norms() ** 2)))

    def balanced(self, bias: str = "penalized", norm: str = "l2") -> ShallowNetwork:
        """Return the same function with ||u_j|| = ||v_j||; see :func:`convexnet.networks.merge.balanced`."""
        from .merge import balanced

        return balanced(self, bias, norm)

    def merged(self, bias: str = "penalized", X: Any = None, norm: str = "l2") -> ShallowNetwork:
        """Return a network with parallel neurons (with X: neurons of one closed cell) added up.

        See :func:`convexnet.networks.merge.merged`.
        """
        from .merge import merged

        return merged(self, bias, X, norm)

    def pruned(self, tol: float = 0.0) -> ShallowNetwork:
        """Return the network without its negligible neurons; see :func:`convexnet.networks.merge.pruned`."""
        from .merge import pruned

        return pruned(self, tol)

    def reduced(self, X: Any, bias: str = "penalized", norm: str = "l2", free: str | None = None) -> ShallowNetwork:
        """Return a network with the same outputs on X and at most rank <= n k neurons.

        See :func:`convexnet.networks.reduce.reduced`.
        """
        from .reduce import reduced

        return reduced(self, X, bias, norm, free)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an npz file; see :func:`convexnet.networks.io.save`."""
        from .io import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ShallowNetwork:
        """Read a network written by :meth:`save`; see :func:`convexnet.networks.io.load`."""
        from .io import load

        return load(path)

    def to_torch(self) -> Any:
        """Return a float64 torch module of the same function; see :func:`convexnet.networks.to_torch`."""
        from .convert_torch import to_torch

        return to_torch(self)

    @classmethod
    def from_torch(cls, module: Any) -> ShallowNetwork:
        """Read a torch module with one hidden layer; see :func:`convexnet.networks.from_torch`."""
        from .convert_torch import from_torch

        return from_torch(module)

    def to_onnx(self, path: str | os.PathLike[str] | None = None, dtype: str = "float64") -> Any:
        """Return an ONNX model of the same function, written to ``path``; see :func:`convexnet.networks.to_onnx`."""
        from .convert_onnx import to_onnx

        return to_onnx(self, path, dtype)

    @classmethod
    def from_onnx(cls, model: Any) -> ShallowNetwork:
        """Read an ONNX file or model with one hidden layer; see :func:`convexnet.networks.from_onnx`."""
        from .convert_onnx import from_onnx

        return from_onnx(model)

    @classmethod
    def from_sklearn(cls, model: Any) -> ShallowNetwork:
        """Read a fitted scikit-learn perceptron; see :func:`convexnet.networks.from_sklearn`."""
        from .convert_sklearn import from_sklearn

        return from_sklearn(model)

    def summary(self) -> str:
        """Return a few lines for people."""
        skip = "no skip connection" if self.skip is None else "skip connection"
        return (
            f"{self!r}\n"
            f"  path norm (penalized bias)  {self.path_norm():.6g}\n"
            f"  path norm (free bias)       {self.path_norm('free'):.6g}\n"
            f"  weight decay                {self.weight_decay():.6g}\n"
            f"  intercept                   {self.intercept}, {skip}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments as lists, numbers and strings, ready for JSON."""
        return {
            "weights": self.weights.tolist(),
            "biases": self.biases.tolist(),
            "output_weights": self.output_weights.tolist(),
            "intercept": np.asarray(self.intercept).tolist(),
            "skip": None if self.skip is None else self.skip.tolist(),
            "activation": self.activation,
            "negative_slope": self.negative_slope,
        }

    def __repr__(self) -> str:
        return (
            f"ShallowNetwork(neurons={self.n_neurons}, features={self.n_features}, "
            f"outputs={self.n_outputs}, activation={self.activation!r})"
        )
