r"""The label-noise cost of a network: the size of its parameter gradient, what label noise in SGD penalises."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import check_choice
from ..errors import NetworkError
from ._arrays import check_input, row_norms
from ._signs import exact_signs
from .shallow import ShallowNetwork

__all__ = ["label_noise_norms", "label_noise_penalty"]


def label_noise_norms(network: ShallowNetwork, X: Any, bias: str = "penalized") -> np.ndarray:
    r"""Return ``||S_j X w_j|| kappa_j`` for every neuron, shape (m,): its label-noise cost per unit of ``|c_j|``.

    .. math:: \kappa_j = \Big(\sum_i \sigma'(x_i^\top w_j)^2 \|x_i\|^2\Big)^{1/2}, \qquad \sigma'(0) = \kappa,

    with rows ``x_i`` that end in a one for ``bias="penalized"``. The balanced penalty of neuron ``c sigma(w . x)`` is
    ``|c|`` times this number: the minimum over ``g > 0`` of :func:`label_noise_penalty` at ``(g w, c / g)``. Which
    samples are active is decided in exact arithmetic.

    Parameters
    ----------
    network : ShallowNetwork
        One output.
    X : array-like of shape (n, d)
    bias : {"penalized", "none"}
        Whether the neurons' biases are parameters.

    Raises
    ------
    NetworkError
        For several outputs, or biases that are not zero with ``bias="none"``.

    References
    ----------
    Blanc, Gupta, Valiant and Valiant (2020), "Implicit regularization for deep neural networks driven by an
    Ornstein-Uhlenbeck like process"; de Dios and Bruna (2020), arXiv 2006.10225.

    Examples
    --------
    >>> net = ShallowNetwork([[3.0]], [0.0], [1.0])
    >>> label_noise_norms(net, [[1.0], [-1.0]], bias="none")
    array([3.])
    """
    rows, hidden, slopes = _parts(network, X, bias)
    return row_norms(hidden.T) * _slope_sizes(rows, slopes)


def label_noise_penalty(network: ShallowNetwork, X: Any, bias: str = "penalized") -> float:
    r"""Return ``1/2 sum_i ||grad f(x_i)||^2`` over the neurons' parameters, before any rescaling of the neurons.

    .. math:: \tfrac12 \sum_j \big(\|\sigma(X w_j)\|^2 + c_j^2 \kappa_j^2\big)

    An intercept or a skip connection adds a constant, which is left out. Never below ``|c| @ label_noise_norms``.

    Raises
    ------
    NetworkError
        As :func:`label_noise_norms`.

    Examples
    --------
    >>> net = ShallowNetwork([[3.0]], [0.0], [1.0])
    >>> label_noise_penalty(net, [[1.0], [-1.0]], bias="none")
    5.0
    """
    rows, hidden, slopes = _parts(network, X, bias)
    amplitudes = network.output_weights * _slope_sizes(rows, slopes)
    return 0.5 * float(np.sum(hidden**2) + np.sum(amplitudes**2))


def _parts(network: ShallowNetwork, X: Any, bias: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows that neurons see, sigma and sigma' (n, m)."""
    check_choice(bias, "bias", ("penalized", "none"))
    if network.output_weights.ndim > 1:
        raise NetworkError("The label-noise cost is defined here for one output.")
    if bias == "none" and np.any(network.biases):
        raise NetworkError("bias='none' but some bias is not zero; pass bias='penalized'.")
    data = check_input(X, network.n_features)
    rows = data if bias == "none" else np.column_stack([data, np.ones(len(data))])
    signs = exact_signs(data, network.weights, network.biases)
    slopes = np.where(signs > 0, 1.0, network.kappa)
    # On the exact side of the kink; a point on the kink contributes nothing.
    hidden = np.where(signs == 0, 0.0, slopes * network.preactivations(data))
    return rows, hidden, slopes


def _slope_sizes(rows: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """kappa_j, shape (m,)."""
    return row_norms(slopes.T * row_norms(rows))
