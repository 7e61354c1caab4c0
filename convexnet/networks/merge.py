"""Rewriting a network without data or a solver: balance, merge and prune its neurons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_positive
from ._arrays import check_input, row_norms
from .activations import activate

if TYPE_CHECKING:
    from .shallow import ShallowNetwork

__all__ = ["balanced", "merged", "pruned"]

# Two unit directions that differ by a few roundings are the same direction.
_SAME = 8 * np.finfo(np.float64).eps


def balanced(network: ShallowNetwork, bias: str = "penalized", norm: str = "l2") -> ShallowNetwork:
    """Return the same function on R^d with ||u_j|| = ||v_j||_2 for every neuron.

    Since sigma(c t) = c sigma(t) for c > 0, (u_j, v_j) becomes (c u_j, v_j / c) with c = sqrt(||v_j|| / ||u_j||);
    then the weight decay equals the path norm. Neurons that contribute nothing anywhere are removed. A neuron with
    ||u_j|| = 0 and a bias (a constant, possible for ``bias="free"``) is kept as it is.

    Parameters
    ----------
    network : ShallowNetwork
    bias : {"penalized", "free", "none"}
    norm : {"l2", "l1"}

    Raises
    ------
    NetworkError
        If ``bias="none"`` and some bias is not zero.

    Examples
    --------
    >>> from convexnet.networks import ShallowNetwork
    >>> net = ShallowNetwork([[4.0]], [0.0], [9.0]).balanced()
    >>> net.weights, net.output_weights
    (array([[6.]]), array([6.]))
    """
    network = pruned(network)
    norms, out = network.neuron_norms(bias, norm), network.output_norms()
    move = norms > 0
    root = np.sqrt(norms) * np.sqrt(out)
    inner, outer = np.where(move, norms, 1.0), np.where(move, out, 1.0)
    scale = np.where(move, root, 1.0)
    return replace(
        network,
        weights=network.weights / inner[:, None] * scale[:, None],
        biases=network.biases / inner * scale,
        output_weights=(network.output_weights.T / outer * scale).T,
    )


def pruned(network: ShallowNetwork, tol: float = 0.0) -> ShallowNetwork:
    """Return the network without its negligible neurons.

    Dropped are neurons that are zero on all of R^d, and those with ||(w_j, b_j)|| ||v_j|| <= ``tol`` times the largest
    such product. The prediction at x moves by at most ||(x, 1)|| times the sum of the dropped products.

    Parameters
    ----------
    network : ShallowNetwork
    tol : float >= 0
        Relative threshold; 0 keeps the function unchanged.

    Raises
    ------
    ProblemError
        If ``tol`` is negative or not a number.

    Examples
    --------
    >>> from convexnet.networks import ShallowNetwork
    >>> ShallowNetwork([[1.0], [1.0], [0.0]], [0.0, 0.0, -1.0], [1e-9, 1.0, 5.0]).pruned(1e-6)
    ShallowNetwork(neurons=1, features=1, outputs=1, activation='relu')
    """
    tol = check_positive(tol, "tol", allow_zero=True)
    out = network.output_norms()
    constant_zero = ~network.weights.any(axis=1) & (activate(network.biases, network.kappa) == 0)
    keep = (out > 0) & ~constant_zero
    if tol > 0 and keep.any():
        products = np.where(keep, network.neuron_norms() * out, 0.0)
        keep &= products > tol * products.max()
    return _select(network, keep)


def merged(network: ShallowNetwork, bias: str = "penalized", X: Any = None, norm: str = "l2") -> ShallowNetwork:
    """Return a balanced network in which neurons that act as one are one.

    Always: neurons whose (w_j, b_j) are positively parallel (for the absolute value: parallel) are added up, which
    changes the function nowhere. With ``X``: two neurons of one closed cell, i.e. sigma is linear along the segment
    between them on every row of X, and with positively parallel output weights, are replaced by
    u = sum_j ||v_j|| u_j, which changes no output on X. The path norm cannot grow (triangle inequality).

    Parameters
    ----------
    network : ShallowNetwork
    bias : {"penalized", "free", "none"}
        Rule of the final balancing.
    X : None or array (n, d)
        The data whose cells count.
    norm : {"l2", "l1"}
        Norm of the final balancing.

    Raises
    ------
    DataError
        If X has the wrong number of features.
    NetworkError
        If ``bias="none"`` and some bias is not zero.

    References
    ----------
    Y. Wang, J. Lacotte, M. Pilanci, "The hidden convex optimization landscape of regularized two-layer ReLU networks",
    ICLR 2022.

    Examples
    --------
    >>> from convexnet.networks import ShallowNetwork
    >>> net = ShallowNetwork([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0]], [0.0, 0.0, 0.0], [1.0, 1.0, 2.0])
    >>> net.merged().n_neurons, net.merged(X=[[1.0, 0.5], [-1.0, -3.0]]).n_neurons
    (2, 1)
    """
    network = _merge_parallel(pruned(network))
    if X is not None:
        network = _merge_cells(network, check_input(X, network.n_features))
    return balanced(network, bias, norm)


def _select(network: ShallowNetwork, keep: np.ndarray) -> ShallowNetwork:
    """Keep the neurons of a boolean mask or an index array."""
    arrays = {name: getattr(network, name)[keep] for name in ("weights", "biases", "output_weights")}
    return replace(network, **arrays)


def _rebuilt(network: ShallowNetwork, rows: np.ndarray, outputs: np.ndarray) -> ShallowNetwork:
    """Replace all neurons: rows (m', d + 1) of (w, b) and output weights (m', k)."""
    outputs = outputs[:, 0] if network.output_weights.ndim == 1 else outputs
    return replace(network, weights=rows[:, :-1], biases=rows[:, -1], output_weights=outputs)


def _parallel_groups(rows: np.ndarray, lines: bool = False) -> list[np.ndarray]:
    """Index groups of nonzero rows with the same direction (or, with ``lines``, the same or the opposite one)."""
    directions = rows / np.abs(rows).max(axis=1, keepdims=True)
    groups, rest = [], np.arange(rows.shape[0])
    while rest.size:
        first, others = directions[rest[0]], directions[rest]
        same = np.abs(others - first).max(axis=1) <= _SAME
        if lines:
            same |= np.abs(others + first).max(axis=1) <= _SAME
        groups.append(rest[same])
        rest = rest[~same]
    return groups


def _merge_parallel(network: ShallowNetwork) -> ShallowNetwork:
    """Add up the output weights of neurons with one direction; expects a pruned network."""
    rows = np.column_stack([network.weights, network.biases])
    outputs = network.output_weights.reshape(network.n_neurons, network.n_outputs)
    groups = _parallel_groups(rows, lines=network.kappa == -1)
    if len(groups) == network.n_neurons:
        return network
    new_rows, new_outputs = rows[[g[0] for g in groups]], outputs[[g[0] for g in groups]]
    peaks = np.abs(rows).max(axis=1)
    for i, g in enumerate(groups):
        if g.size > 1:
            new_rows[i] = rows[g[0]] / peaks[g[0]]
            new_outputs[i] = _sum_or_zero(peaks[g, None] * outputs[g])
    return pruned(_rebuilt(network, new_rows, new_outputs))


def _sum_or_zero(terms: np.ndarray) -> np.ndarray:
    """Sum over the first axis; a sum that is only rounding is zero."""
    total = terms.sum(axis=0)
    return np.where(np.abs(total) <= _SAME * np.abs(terms).max(), 0.0, total)


def _cell_signs(network: ShallowNetwork, X: np.ndarray) -> np.ndarray:
    """Signs of X W^T + b as int8 (n, m), 0 where the value is within rounding of zero."""
    values = network.preactivations(X)
    size = np.abs(X) @ np.abs(network.weights).T + np.abs(network.biases)
    rounding = (X.shape[1] + 2) * np.finfo(np.float64).eps * size
    return (np.sign(values) * (np.abs(values) > rounding)).astype(np.int8)


def _merge_cells(network: ShallowNetwork, X: np.ndarray) -> ShallowNetwork:
    """Add up the neurons of each closed cell that have positively parallel output weights; expects a pruned network."""
    rows = np.column_stack([network.weights, network.biases])
    outputs = network.output_weights.reshape(network.n_neurons, network.n_outputs)
    signs = _cell_signs(network, X)
    new_rows, new_outputs = [], []
    for same_output in _parallel_groups(outputs):
        unit = outputs[same_output[0]] / row_norms(outputs[same_output[:1]])[0]
        for members, flips in _cell_groups(signs[:, same_output], both=network.kappa == -1):
            index = same_output[members]
            if index.size == 1:
                new_rows.append(rows[index[0]])
                new_outputs.append(outputs[index[0]])
            else:
                new_rows.append((flips * row_norms(outputs[index])) @ rows[index])
                new_outputs.append(unit)
    if len(new_rows) == network.n_neurons:
        return network
    return _rebuilt(network, np.array(new_rows), np.array(new_outputs))


def _cell_groups(signs: np.ndarray, both: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split columns of signs into groups without a row of opposite signs; ``both``: after flipping whole columns.

    Columns without zeros can only join equal columns, so the search over groups is for columns with zeros alone.
    """
    cells: list[np.ndarray] = []
    members: list[list[tuple[int, int]]] = []
    exact: dict[bytes, int] = {}
    for j in np.argsort(np.count_nonzero(signs == 0, axis=0), kind="stable"):
        column = signs[:, j]
        flip = -1 if both and column.any() and column[np.flatnonzero(column)[0]] < 0 else 1
        column = flip * column
        found, turn = exact.get(column.tobytes()), 1
        if found is None and cells and not column.all():
            found, turn = _fitting_cell(np.array(cells), column, both)
        if found is None:
            found = len(cells)
            cells.append(column)
            members.append([])
        else:
            cells[found] = np.where(cells[found] == 0, turn * column, cells[found])
        exact.setdefault(cells[found].tobytes(), found)
        members[found].append((int(j), turn * flip))
    return [(np.array([j for j, _ in group]), np.array([f for _, f in group], dtype=float)) for group in members]


def _fitting_cell(cells: np.ndarray, column: np.ndarray, both: bool) -> tuple[int | None, int]:
    """Index of the first cell that the column (or, with ``both``, its negative) does not contradict, and the sign."""
    for turn in (1, -1) if both else (1,):
        fits = np.flatnonzero(~((cells * (turn * column)) < 0).any(axis=1))
        if fits.size:
            return int(fits[0]), turn
    return None, 1
