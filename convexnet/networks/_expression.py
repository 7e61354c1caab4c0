"""What a graph of layers computes, read step by step: an affine map, or one hidden layer of neurons."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import NetworkError
from .shallow import ShallowNetwork

__all__ = ["Expression"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Expression:
    """The value x A + c + sigma(x W + b) V at some place of a graph, for a row x of inputs.

    ``None`` stands for what has not appeared: A = identity (``linear`` of the raw input), no hidden layer. Every step
    returns a new expression or raises NetworkError; identities are kept apart from matrices, so that weights that no
    step changes arrive bit by bit.
    """

    linear: Array | None = None
    has_input: bool = True
    constant: Array | float = 0.0
    weights: Array | None = None
    biases: Array | None = None
    outputs: Array | None = None
    kappa: float = 0.0

    @property
    def width(self) -> int | None:
        """Number of columns, where known."""
        if self.weights is not None:
            return int((self.weights if self.outputs is None else self.outputs).shape[1])
        if self.linear is not None:
            return int(self.linear.shape[1])
        return int(np.size(self.constant)) if np.ndim(self.constant) else None

    def times(self, matrix: Array) -> Expression:
        """The product with a matrix (p, q) from the right."""
        if matrix.ndim != 2 or (self.width is not None and self.width != matrix.shape[0]):
            raise NetworkError(f"A linear layer of shape {matrix.shape} does not fit {self.width} incoming values.")
        constant = np.broadcast_to(self.constant, (matrix.shape[0],)) @ matrix if np.any(self.constant) else 0.0
        linear = matrix if self.linear is None else self.linear @ matrix
        outputs = None if self.weights is None else matrix if self.outputs is None else self.outputs @ matrix
        return replace(self, linear=linear if self.has_input else None, constant=constant, outputs=outputs)

    def plus(self, constant: Array) -> Expression:
        """The sum with a number, or with one number a column."""
        values = np.asarray(constant, dtype=np.float64)
        if values.ndim and values.size == values.shape[-1]:
            values = values.reshape(-1 if values.size > 1 else ())
        if values.ndim > 1 or (values.ndim == 1 and self.width not in (None, values.size)):
            raise NetworkError(f"A constant of shape {np.shape(constant)} does not fit {self.width} values a row.")
        return replace(self, constant=self.constant + values if np.any(self.constant) else values)

    def scaled(self, factor: Array) -> Expression:
        """The product with a number, or with one number a column."""
        values = np.asarray(factor, dtype=np.float64)
        if values.size == 1:
            values = values.reshape(())
            if self.width is None:
                raise NetworkError("Inputs are rescaled by one number before the first layer of known width.")
            values = np.full(self.width, values)
        return self.times(np.diag(values.reshape(-1)))

    def added(self, other: Expression) -> Expression:
        """The sum of two values of one graph: hidden layers stand side by side, as in a skip connection."""
        raw = any(e.has_input and e.linear is None for e in (self, other))
        if raw or self.width != other.width:
            raise NetworkError("Two values of different or unknown width are added; a skip needs a linear layer.")
        one, two = self._written_out(), other._written_out()
        if one.weights is not None and two.weights is not None and one.kappa != two.kappa:
            raise NetworkError("Two hidden layers with different activations are added; one activation is needed.")
        linear = one.linear if two.linear is None else two.linear if one.linear is None else one.linear + two.linear
        pairs = [(e.weights, e.biases, e.outputs) for e in (one, two) if e.weights is not None]
        return Expression(
            linear=linear,
            has_input=one.has_input or two.has_input,
            constant=one.constant + two.constant,
            weights=np.concatenate([w for w, _, _ in pairs], axis=1) if pairs else None,
            biases=np.concatenate([b for _, b, _ in pairs]) if pairs else None,
            outputs=np.concatenate([v for _, _, v in pairs]) if pairs else None,
            kappa=one.kappa if one.weights is not None else two.kappa,
        )

    def activated(self, kappa: float) -> Expression:
        """sigma of it: the hidden layer, of which there can be one."""
        if self.weights is not None:
            raise NetworkError("The network has more than one hidden layer; this package certifies exactly one.")
        if self.linear is None:
            raise NetworkError("An activation is applied to the raw inputs; a linear layer is needed before it.")
        biases = np.zeros(self.linear.shape[1]) + self.constant
        return Expression(has_input=False, weights=self.linear, biases=biases, kappa=kappa)

    def network(self) -> ShallowNetwork:
        """The network of this value as the output of the graph."""
        if self.weights is None or self.biases is None:
            raise NetworkError("The network has no hidden layer; needed are Linear, activation, Linear.")
        if self.outputs is None:
            raise NetworkError("The network ends with its activation; needed are Linear, activation, Linear.")
        activation, slope = named_slope(self.kappa)
        return ShallowNetwork(
            weights=self.weights.T,
            biases=self.biases,
            output_weights=self.outputs,
            intercept=np.zeros(self.outputs.shape[1]) + self.constant,
            skip=self.linear,
            activation=activation,
            negative_slope=slope,
        )

    def _written_out(self) -> Expression:
        """The same with the identity behind the hidden layer as a matrix."""
        if self.weights is None or self.outputs is not None:
            return self
        return replace(self, outputs=np.eye(self.weights.shape[1]))


def named_slope(slope: float) -> tuple[str, float]:
    """Activation and negative slope of max(t, slope t)."""
    if 0 < slope < 1:
        return "leaky", slope
    if slope in (0.0, -1.0):
        return ("relu" if slope == 0 else "absolute"), 0.01
    raise NetworkError(f"LeakyReLU has negative_slope={slope}; it must lie in (0, 1).")
