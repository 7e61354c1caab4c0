"""Caratheodory reduction: the same outputs on the data with at most rank many neurons and no larger path norm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError
from ._arrays import check_input, row_norms
from .activations import activate
from .merge import balanced

if TYPE_CHECKING:
    from .shallow import ShallowNetwork

__all__ = ["FREE_TERMS", "reduce_amplitudes", "reduced"]

FREE_TERMS = ("intercept", "skip", "linear")
_EPS = np.finfo(np.float64).eps
_FREE_RANK = 1e-7


def reduced(
    network: ShallowNetwork, X: Any, bias: str = "penalized", norm: str = "l2", free: str | None = None
) -> ShallowNetwork:
    """Return a balanced network with the same outputs on X, no larger path norm and few neurons.

    With unit neurons ||u_j|| = ||v_j|| = 1 and amplitudes a_j the output on X is sum_j a_j c_j,
    c_j = vec(sigma(X u_j) v_j^T), and the path norm is sum_j a_j. While the c_j are linearly dependent, the amplitudes
    move along a null vector of them along which sum_j a_j does not grow, until one of them is zero. At most
    rank[c_1 .. c_m] <= n k neurons remain (for vector outputs rank(sigma(XU)) rank(V) bounds the rank). With free terms
    F the moves are made modulo span F and F is refitted; at most k (n - rank F) neurons remain, where singular values
    of F (columns scaled to length one) below 1e-7 of the largest do not count.

    Constant neurons of ``bias="free"`` (w_j = 0) cost nothing and become part of the intercept first. Off the data
    the function changes.

    Parameters
    ----------
    network : ShallowNetwork
    X : array (n, d)
    bias : {"penalized", "free", "none"}
    norm : {"l2", "l1"}
    free : {None, "intercept", "skip", "linear"}
        Terms that may change because the problem does not penalise them: none, F = [1], F = [X 1], or F = [X] (a skip
        connection in a problem without intercept).

    Returns
    -------
    ShallowNetwork
        Outputs on X agree up to rounding relative to the largest contribution a_j ||c_j||.

    Raises
    ------
    DataError
        If X has the wrong number of features.
    NetworkError
        If ``bias="none"`` and some bias is not zero.
    ProblemError
        For an unknown option.

    References
    ----------
    S. Rosset, G. Swirszcz, N. Srebro, J. Zhu, "l1 regularization in infinite dimensional feature spaces", COLT 2007
    (finitely many atoms suffice, by Caratheodory's theorem on convex cones).

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet.networks import ShallowNetwork
    >>> rng = np.random.default_rng(0)
    >>> X, net = rng.normal(size=(4, 2)), ShallowNetwork(rng.normal(size=(30, 2)), np.zeros(30), rng.normal(size=30))
    >>> small = net.reduced(X)
    >>> small.n_neurons <= 4, bool(np.allclose(small.predict(X), net.predict(X))), small.path_norm() <= net.path_norm()
    (True, True, True)
    """
    data = check_input(X, network.n_features)
    F = _free_matrix(data, free)
    Q, T = _free_basis(F)
    network = _constants_to_intercept(balanced(network, bias, norm), bias, norm)
    if network.n_neurons == 0:
        return network
    norms, out = network.neuron_norms(bias, norm), network.output_norms()
    rows = np.column_stack([network.weights, network.biases]) / norms[:, None]
    V = network.output_weights.reshape(network.n_neurons, network.n_outputs) / out[:, None]
    hidden = activate(data @ rows[:, :-1].T + rows[:, -1], network.kappa)
    before = norms * out
    after = reduce_amplitudes(hidden, V, before, Q)
    change = _refit(F, Q, T, hidden @ ((before - after)[:, None] * V))
    return _assemble(network, rows, V, after, change, free)


def _free_matrix(X: np.ndarray, free: str | None) -> np.ndarray:
    """The free columns F, shape (n, q)."""
    ones = np.ones((X.shape[0], 1))
    table = {None: ones[:, :0], "intercept": ones, "skip": np.column_stack([X, ones]), "linear": X}
    if not (free is None or isinstance(free, str)) or free not in table:
        raise ProblemError(f"free must be None or one of {', '.join(map(repr, FREE_TERMS))}, got {free!r}.")
    return table[free]


def _free_basis(F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal basis Q (n, r) of span F and coefficients T (q, r) with F T = Q.

    Nearly dependent directions are left out: their coefficients would be huge and would cancel in every prediction.
    """
    lengths = row_norms(F.T)
    scale = np.where(lengths > 0, lengths, 1.0)
    U, s, Vt = np.linalg.svd(F / scale, full_matrices=False)
    rank = int(np.sum(s > _FREE_RANK * s[0])) if s.size else 0
    return U[:, :rank], (Vt[:rank] / s[:rank, None]).T / scale[:, None]


def _refit(F: np.ndarray, Q: np.ndarray, T: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Coefficients (q, k) of the free columns that replace what the neurons no longer produce, refined once."""
    coefficients = T @ (Q.T @ missing)
    return coefficients + T @ (Q.T @ (missing - F @ coefficients))


def _constants_to_intercept(network: ShallowNetwork, bias: str, norm: str) -> ShallowNetwork:
    """Move neurons of norm zero, which are constants sigma(b_j) v_j, into the intercept."""
    constant = network.neuron_norms(bias, norm) == 0
    if not constant.any():
        return network
    shift = activate(network.biases[constant], network.kappa) @ network.output_weights[constant]
    return replace(
        network,
        weights=network.weights[~constant],
        biases=network.biases[~constant],
        output_weights=network.output_weights[~constant],
        intercept=network.intercept + shift,
    )


def reduce_amplitudes(hidden: np.ndarray, V: np.ndarray, amplitudes: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """New amplitudes >= 0 with the same outputs modulo span Q; works on columns of unit length."""
    lengths = row_norms(hidden.T)
    new = np.zeros_like(amplitudes)
    live = np.flatnonzero(lengths > 0)
    if live.size == 0:
        return new
    lengths = lengths[live]
    unit = _modulo(hidden[:, live] / lengths, Q)
    columns = np.einsum("ij,jc->icj", unit, V[live]).reshape(-1, live.size)
    size = max(columns.shape)
    if columns.shape[0] > columns.shape[1]:
        columns = np.linalg.qr(columns, mode="r")
    start = amplitudes[live] * lengths
    moved = _extreme_amplitudes(columns, start, 1.0 / lengths, size * _EPS)
    new[live] = _polished(columns, start, moved, 1.0 / lengths) / lengths
    return new


def _modulo(columns: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Project the columns onto the orthogonal complement of span Q (twice, against rounding)."""
    for _ in range(2 if Q.shape[1] else 0):
        columns = columns - Q @ (Q.T @ columns)
    return columns


def _extreme_amplitudes(columns: np.ndarray, amplitudes: np.ndarray, costs: np.ndarray, rtol: float) -> np.ndarray:
    """Run the moves on a window of columns: what is left of it, plus the next ones, until all have been seen."""
    amplitudes = amplitudes.copy()
    window = max(columns.shape[0], 32)
    left = np.zeros(0, dtype=np.intp)
    for start in range(0, amplitudes.size, window):
        index = np.concatenate([left, np.arange(start, min(start + window, amplitudes.size))])
        amplitudes[index] = _moves(_null_space(columns[:, index], rtol), amplitudes[index], costs[index])
        left = index[amplitudes[index] > 0]
    return amplitudes


def _null_space(columns: np.ndarray, rtol: float) -> np.ndarray:
    """Orthonormal basis of the null space, shape (m, m - rank); unit columns set the scale of the threshold."""
    _, s, Vt = np.linalg.svd(columns, full_matrices=True)
    return Vt[int(np.sum(s > rtol * max(s[0], 1.0))) :].T


def _moves(null: np.ndarray, amplitudes: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Move along null vectors of steepest descent of the cost; each move makes one amplitude zero.

    A Householder reflection keeps the basis orthonormal while the coordinate of that amplitude is eliminated from it.
    """
    amplitudes = amplitudes.copy()
    while null.shape[1]:
        step = _descent(null, costs)
        falling = np.flatnonzero(step < -16 * _EPS * np.abs(step).max())
        ratios = amplitudes[falling] / -step[falling]
        hit = falling[np.argmin(ratios)]
        amplitudes = np.maximum(amplitudes + ratios.min() * step, 0.0)
        amplitudes[hit] = 0.0
        null = _eliminate(null, hit)
    return amplitudes


def _descent(null: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """A null vector with a negative entry along which the cost falls, or stays if no null vector changes it."""
    slope = null.T @ costs
    if np.linalg.norm(slope) > 1e-13 * np.linalg.norm(costs):
        step = -(null @ slope)
        return step if step.min() < 0 else -step
    step = null[:, 0] if null[:, 0] @ costs <= 0 else -null[:, 0]
    return step if step.min() < 0 else -step


def _eliminate(null: np.ndarray, row: int) -> np.ndarray:
    """Orthonormal basis of the null vectors that vanish at ``row``: reflect that row to e_1, drop the first column."""
    v = null[row].copy()
    length = np.linalg.norm(v)
    if length > 0:
        v[0] += np.copysign(length, v[0])
        null = null - np.outer(null @ v, (2.0 / (v @ v)) * v)
    null = null[:, 1:]
    null[row] = 0.0
    return null


def _polished(columns: np.ndarray, start: np.ndarray, moved: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Least-squares correction of the rounding of the moves, kept only if it helps and costs nothing."""
    left = np.flatnonzero(moved > 0)
    for _ in range(2):
        residual = columns @ (start - moved)
        if left.size == 0 or not residual.any():
            break
        trial = moved.copy()
        trial[left] += np.linalg.lstsq(columns[:, left], residual, rcond=None)[0]
        closer = np.linalg.norm(columns @ (start - trial)) < np.linalg.norm(residual)
        if not closer or trial.min() < 0 or costs @ trial > costs @ start:
            break
        moved = trial
    return moved


def _assemble(
    network: ShallowNetwork, rows: np.ndarray, V: np.ndarray, amplitudes: np.ndarray, free: np.ndarray, kind: str | None
) -> ShallowNetwork:
    """Balanced network from unit neurons, amplitudes and the change of the free terms."""
    left = np.flatnonzero(amplitudes > 0)
    root = np.sqrt(amplitudes[left])[:, None]
    outputs = V[left] * root
    d, intercept, skip = network.n_features, network.intercept, network.skip
    if network.output_weights.ndim == 1:
        outputs, free = outputs[:, 0], free[:, 0]
    if kind in ("intercept", "skip"):
        intercept = intercept + free[-1]
    if kind in ("skip", "linear"):
        skip = free[:d] if skip is None else skip + free[:d]
    return replace(
        network,
        weights=rows[left, :-1] * root,
        biases=rows[left, -1] * root[:, 0],
        output_weights=outputs,
        intercept=intercept,
        skip=skip,
    )
