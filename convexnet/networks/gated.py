"""A network whose gates are fixed directions: the model class of the gated (cone-free) programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import check_choice
from ..errors import NetworkError, ProblemError
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

__all__ = ["GatedNetwork"]


@dataclass(frozen=True, eq=False, repr=False)
class GatedNetwork:
    """The function f(x) = sum_p s_p(x) (x . w_p + b_p) + c_0 + x . c with s_p(x) = 1 where x . g_p >= 0, else kappa.

    Parameters
    ----------
    gates : array (d, P), or (d + 1, P) when the gates have a bias
        One direction g_p per column; with d + 1 rows the last entry is added to x . g_p.
    weights : array (d, P) or (d, P, k)
        w_p, one column per gate and, for k outputs, one slice per output.
    biases : array (P,) or (P, k), optional
        b_p; zero when left out.
    intercept : float or array (k,)
    skip : None, array (d,) or (d, k)
    activation : {"relu", "leaky", "absolute"}
    negative_slope : float
        kappa of the leaky activation.

    Raises
    ------
    NetworkError
        If shapes contradict each other, an entry is NaN or infinite, or the activation is unknown.

    Examples
    --------
    >>> net = GatedNetwork(gates=[[1.0, -1.0]], weights=[[2.0, 3.0]], biases=[0.5, 0.0])
    >>> net
    GatedNetwork(gates=2, features=1, outputs=1, activation='relu')
    >>> net.predict([[1.0], [-1.0]])
    array([ 2.5, -3. ])
    >>> round(net.group_norm(), 6)
    5.061553
    """

    gates: np.ndarray
    weights: np.ndarray
    biases: np.ndarray | None = None
    intercept: Any = 0.0
    skip: np.ndarray | None = None
    activation: str = "relu"
    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        check_activation(self.activation, self.negative_slope)
        gates = as_parameter(self.gates, "gates", (2,))
        weights = as_parameter(self.weights, "weights", (2, 3))
        if weights.ndim == 3 and weights.shape[2] == 1:
            weights = weights[:, :, 0]
        d, P = weights.shape[:2]
        outputs = weights.shape[2:]
        if d == 0:
            raise NetworkError("weights has no rows; a network needs at least one input feature.")
        if gates.shape not in ((d, P), (d + 1, P)):
            raise NetworkError(f"gates must have shape {(d, P)}, or {(d + 1, P)} with a gate bias, got {gates.shape}.")
        biases = np.zeros((P, *outputs)) if self.biases is None else self.biases
        biases = as_parameter(biases, "biases", (1, 2))
        if outputs == () and biases.shape == (P, 1):
            biases = biases[:, 0]
        fields = {
            "gates": gates,
            "weights": weights,
            "biases": expect_shape(biases, "biases", (P, *outputs)),
            "intercept": as_intercept(self.intercept, outputs),
            "skip": as_skip(self.skip, d, outputs),
            "negative_slope": float(self.negative_slope),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and unpickle through the constructor, so that the arrays stay validated and read-only."""
        return GatedNetwork, tuple(getattr(self, name) for name in self.__dataclass_fields__)

    @property
    def n_gates(self) -> int:
        """The number P of gates."""
        return int(self.gates.shape[1])

    @property
    def n_features(self) -> int:
        """The number d of input features."""
        return int(self.weights.shape[0])

    @property
    def n_outputs(self) -> int:
        """The number k of outputs; 1 when predictions have shape (n,)."""
        return 1 if self.weights.ndim == 2 else int(self.weights.shape[2])

    @property
    def has_gate_bias(self) -> bool:
        """Whether the last row of ``gates`` is a bias."""
        return self.gates.shape[0] == self.n_features + 1

    @property
    def kappa(self) -> float:
        """The value of a closed gate."""
        return check_activation(self.activation, self.negative_slope)

    def gate_patterns(self, X: Any) -> np.ndarray:
        """Return 1[x . g_p >= 0] as uint8, shape (n, P)."""
        data = check_input(X, self.n_features)
        values = data @ self.gates[: self.n_features]
        if self.has_gate_bias:
            values = values + self.gates[-1]
        return (values >= 0).astype(np.uint8)

    def predict(self, X: Any) -> np.ndarray:
        """Return f(X), shape (n,) for a scalar output and (n, k) otherwise.

        Raises
        ------
        DataError
            If X is not a finite matrix with ``n_features`` columns.
        """
        data = check_input(X, self.n_features)
        factors = np.where(self.gate_patterns(data) == 1, 1.0, self.kappa)
        W, b = self._blocks()
        columns = [np.sum(factors * (data @ W[:, :, c] + b[:, c]), axis=1) for c in range(self.n_outputs)]
        values = columns[0] if self.weights.ndim == 2 else np.column_stack(columns)
        values = values + self.intercept
        return values if self.skip is None else values + data @ self.skip

    def group_norm(self, bias: str = "penalized", norm: str = "l2", group: str = "nuclear") -> float:
        """Return the regulariser sum_p ||W_p|| over the gates, W_p = (w_p, b_p) for a penalized bias, else w_p.

        One output: the l2 or l1 norm of the vector. Several outputs: W_p is a matrix with one column per output and
        ``group="nuclear"`` is the gauge of {u v^T : ||u|| <= 1, ||v||_2 <= 1}, i.e. the nuclear norm for ``norm="l2"``
        and the sum of the l2 norms of the rows for ``norm="l1"``; ``group="frobenius"`` (``norm="l2"`` only) is the
        smaller Frobenius norm.

        Parameters
        ----------
        bias : {"penalized", "free", "none"}
        norm : {"l2", "l1"}
        group : {"nuclear", "frobenius"}

        Raises
        ------
        NetworkError
            If ``bias="none"`` and some bias is not zero.
        ProblemError
            For an unknown option, or Frobenius groups with the l1 norm and several outputs.
        """
        W, b = self._blocks()
        check_norm(bias, norm, b)
        check_choice(group, "group", ("nuclear", "frobenius"))
        blocks = np.moveaxis(np.concatenate([W, b[None]]) if bias == "penalized" else W, 1, 0)
        if self.n_gates == 0:
            return 0.0
        if self.n_outputs == 1:
            return float(row_norms(blocks[:, :, 0], norm).sum())
        if norm == "l1":
            if group == "frobenius":
                raise ProblemError("group='frobenius' needs norm='l2'; with norm='l1' pass group='nuclear'.")
            return float(row_norms(blocks.reshape(-1, self.n_outputs)).sum())
        if group == "frobenius":
            return float(row_norms(blocks.reshape(self.n_gates, -1)).sum())
        return float(np.linalg.svd(blocks, compute_uv=False).sum())

    def _blocks(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (d, P, k) and biases (P, k) with the output axis restored."""
        d, P, k = self.n_features, self.n_gates, self.n_outputs
        return self.weights.reshape(d, P, k), np.asarray(self.biases).reshape(P, k)

    def summary(self) -> str:
        """Return a few lines for people."""
        W, b = self._blocks()
        unused = int(np.sum(~(np.any(W, axis=(0, 2)) | np.any(b, axis=1))))
        norm = f"  group norm (penalized bias)  {self.group_norm():.6g}"
        return f"{self!r}\n{norm}\n  gates with zero weights      {unused}"

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments as lists, numbers and strings, ready for JSON."""
        names = ("gates", "weights", "biases", "intercept")
        arrays = {name: np.asarray(getattr(self, name)).tolist() for name in names}
        skip = None if self.skip is None else self.skip.tolist()
        return {**arrays, "skip": skip, "activation": self.activation, "negative_slope": self.negative_slope}

    def __repr__(self) -> str:
        return (
            f"GatedNetwork(gates={self.n_gates}, features={self.n_features}, "
            f"outputs={self.n_outputs}, activation={self.activation!r})"
        )
