"""From a gated to a ReLU network: each gated block as the difference of two vectors of its cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from ..arrangements import pattern_matrix
from ..errors import NetworkError, PatternError, ProblemError
from ..networks.gated import GatedNetwork
from ..networks.shallow import ShallowNetwork
from ..problem import TrainingProblem, require_path_norm
from ._blocks import column_norms, cone_matrix
from ._recovery import blocks_to_network
from .solver import run_solver

__all__ = ["ConeDecomposition", "decompose_gated"]


@dataclass(frozen=True, eq=False, repr=False)
class ConeDecomposition:
    """A ReLU network with the predictions of a gated one on the data, and what that costs.

    Parameters
    ----------
    network : ShallowNetwork
    norm_before : float
        Group norm of the gated network.
    norm_after : float
        Path norm of ``network``.
    factor : float
        ``norm_after / norm_before``; 1 for a gated network without weights.

    Examples
    --------
    >>> from convexnet import ShallowNetwork
    >>> ConeDecomposition(ShallowNetwork([[1.0]], [0.0], [2.0]), 1.0, 2.0, 2.0)
    ConeDecomposition(neurons=1, norm 1 -> 2, factor=2)
    """

    network: ShallowNetwork
    norm_before: float
    norm_after: float
    factor: float

    def summary(self) -> str:
        """Return a few lines for people."""
        return (
            f"Cone decomposition into {self.network.n_neurons} neurons\n"
            f"  group norm of the gated network  {self.norm_before:.6g}\n"
            f"  path norm of the ReLU network    {self.norm_after:.6g}  ({self.factor:.3g} times)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain Python objects."""
        numbers = {name: getattr(self, name) for name in ("norm_before", "norm_after", "factor")}
        return {"network": self.network.to_dict(), **numbers}

    def __repr__(self) -> str:
        norms = f"norm {self.norm_before:.6g} -> {self.norm_after:.6g}, factor={self.factor:.6g}"
        return f"ConeDecomposition(neurons={self.network.n_neurons}, {norms})"


def decompose_gated(
    problem: TrainingProblem,
    network: GatedNetwork,
    patterns: Any,
    *,
    cone_rows: Sequence[Any] | None = None,
    solver: str = "CLARABEL",
    tol: float | None = None,
) -> ConeDecomposition:
    r"""Write every gated block as a difference of two vectors of its cell, with the smallest sum of norms.

    .. math::

        \min_{v, v'}\; \|v\| + \|v'\| \quad\text{s.t.}\quad v - v' = w_p, \quad
        (2 D_p - I) E v \ge 0, \quad (2 D_p - I) E v' \ge 0

    It is feasible because every cell has an interior. The predictions on X stay the same; the norm may grow a lot, so
    the objective of the result is an upper bound that can be far from the optimum.

    Parameters
    ----------
    problem : TrainingProblem
        With scalar output.
    network : GatedNetwork
        As recovered from ``build_gated(problem, patterns)``: gate p belongs to pattern p.
    patterns : PatternSet of ``problem.extended``
    cone_rows : P integer arrays, optional
        Rows that bound each cell. All rows by default.
    solver, tol
        As in :meth:`Program.solve`.

    Raises
    ------
    ProblemError
        If the problem has several outputs or a free bias.
    NetworkError
        If the network's activation, features or outputs are not those of the problem.
    PatternError
        If the gates of the network are not those of ``patterns``.

    References
    ----------
    Mishkin, Sahiner and Pilanci (2022), "Fast convex optimization for two-layer ReLU networks", Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem, enumerate_patterns
    >>> from convexnet.programs import build_gated
    >>> problem = TrainingProblem([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0], reg=0.1, bias="none")
    >>> patterns = enumerate_patterns(problem.extended)
    >>> program = build_gated(problem, patterns)
    >>> str(program.solve())
    'optimal'
    >>> gated = program.recover()
    >>> result = decompose_gated(problem, gated, patterns)
    >>> np.allclose(result.network.predict(problem.X), gated.predict(problem.X), atol=1e-8), result.factor >= 1
    (True, True)
    """
    require_path_norm(problem, "decompose_gated")
    G = _check(problem, network, patterns)
    W = network.weights if problem.bias == "none" else np.vstack([network.weights, np.asarray(network.biases)])
    used = np.flatnonzero(np.any(W != 0, axis=0))
    rows = None if cone_rows is None else [cone_rows[int(p)] for p in used]
    W, G, interior = W[:, used], G[:, used], np.asarray(patterns.witnesses)[:, used]
    minus = np.zeros_like(W)
    for part in _chunks(used.size, problem.extended.size):
        listed = None if rows is None else rows[part]
        minus[:, part] = _negative_parts(problem, W[:, part], G[:, part], listed, solver, tol)
    minus = _into_cells(problem.extended, W, minus, G, interior)
    result = blocks_to_network(problem, W + minus, minus, float(network.intercept), network.skip, 1e-12)
    before = network.group_norm(problem.bias, problem.norm)
    after = result.path_norm(problem.bias, problem.norm)
    return ConeDecomposition(result, before, after, after / before if before > 0 else 1.0)


def _check(problem: TrainingProblem, network: GatedNetwork, patterns: Any) -> np.ndarray:
    if not problem.scalar or problem.bias == "free":
        raise ProblemError("The cone decomposition needs one output and bias='penalized' or 'none'.")
    if not isinstance(network, GatedNetwork):
        raise NetworkError(f"decompose_gated needs a GatedNetwork, got {type(network).__name__}.")
    if (network.kappa, network.n_features, network.weights.ndim) != (problem.kappa, problem.d, 2):
        raise NetworkError("The gated network's activation, features or outputs are not those of the problem.")
    if not hasattr(patterns, "witnesses"):
        raise PatternError("decompose_gated needs a PatternSet: its witnesses are interior points of the cells.")
    G = pattern_matrix(problem.extended, patterns)
    if network.n_gates != G.shape[1] or np.any(network.gate_patterns(problem.X) != G):
        raise PatternError("The gates of the network are not those of the patterns; pass the set it was built with.")
    return G


def _chunks(count: int, entries: int) -> list[slice]:
    """Slices of 0..count-1 whose models hold about 10,000 numbers: faster than one model for each or for all blocks."""
    size = max(1, 10_000 // entries)
    return [slice(start, start + size) for start in range(0, count, size)]


def _negative_parts(
    problem: TrainingProblem, W: np.ndarray, G: np.ndarray, rows: list[Any] | None, solver: str, tol: float | None
) -> np.ndarray:
    """Solve for the listed v' at once, each block scaled to a unit w_p: small blocks as accurate as large ones."""
    size = np.linalg.norm(W, axis=0)
    unit = W / size
    C = cone_matrix(problem.extended, G, rows)
    V = cp.Variable(W.shape, name="minus")
    flat = cp.vec(V, order="F")
    cones = [C @ flat >= 0, C @ flat >= -(C @ unit.ravel(order="F"))]
    objective = column_norms(V, problem) + column_norms(V + unit, problem)
    run_solver(cp.Problem(cp.Minimize(objective), cones), solver, tol=tol)
    return np.asarray(V.value) * size


def _into_cells(E: np.ndarray, W: np.ndarray, minus: np.ndarray, G: np.ndarray, interior: np.ndarray) -> np.ndarray:
    """Move v' along the interior point until v' and w + v' lie in the closed cell."""
    signs = 2.0 * G - 1.0
    depth = signs * (E @ interior)
    lowest = np.minimum(signs * (E @ minus), signs * (E @ (W + minus)))
    depth, lowest = depth[np.any(E != 0, axis=1)], lowest[np.any(E != 0, axis=1)]
    step = np.max(np.where(lowest < 0, -lowest / np.maximum(depth, np.finfo(float).tiny), 0.0), axis=0, initial=0.0)
    return minus + interior * step
