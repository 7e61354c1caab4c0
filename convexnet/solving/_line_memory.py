r"""Interpolation on the line: all cells at once, in coordinates in which close samples do no harm.

Between two samples ``x_j, x_{j+1}`` a neuron with its breakpoint there is ``p (x - x_j)_+ + q (x - x_{j+1})_+`` on the
data, ``p, q >= 0``, or the same facing left. Written for the first value, the first slope and the kinks at the samples
instead of the values, the equations have a few entries of size one in each column:

.. math:: \min \sum \| p\,(1, -x_j) + q\,(1, -x_{j+1}) \| \quad \text{s.t.} \quad \text{masses at } x_i = \text{kink}_i
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConvexNetError
from ..networks.shallow import ShallowNetwork
from ._atom_program import fits_closely, network_of

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["LineFit", "dots_fit", "fits_on_line", "line_fit"]

_TOLERANCES = (1e-10, 1e-12)
_UNUSED = 1e-10
_MOST_ENTRIES = 25_000_000
"""Entries of the neurons' values up to which neurons are merged and their amplitudes corrected."""
_NEGLIGIBLE = 1e-6
"""Share of a kink up to which a mass at its sample is left to the others."""


@dataclass(frozen=True, eq=False)
class LineFit:
    """A network that fits and the dual vector (n,) of the program."""

    network: ShallowNetwork
    nu: np.ndarray


def fits_on_line(problem: TrainingProblem) -> bool:
    """Whether the program below states this problem."""
    measured = problem.bias == "free" or (problem.bias == "penalized" and problem.norm == "l2")
    return problem.d == 1 and problem.scalar and measured and problem.kappa < 1


def dots_fit(problem: TrainingProblem, time_limit: float) -> LineFit | None:
    """Free biases: connecting the dots, with as few knots as fit as closely; None where that is not the solution."""
    if problem.bias != "free" or not (problem.skip or problem.kappa == 0):
        return None
    from ..solvers.spline import solve_spline

    try:
        found = solve_spline(problem, time_limit=time_limit)
    except ConvexNetError:
        return None
    networks = [found.sparsest().network, found.network] if problem.skip else [found.network]
    return LineFit(min(networks, key=lambda network: not fits_closely(problem, network)), found.nu)


def line_fit(problem: TrainingProblem, time_limit: float, *, tol: float = _TOLERANCES[0]) -> LineFit | None:
    """Solve the program over all cells; None if the solver returns nothing usable."""
    nodes = _Nodes(problem)
    if len(nodes.x) < 2:
        return None
    pieces = _Pieces(problem, nodes)
    answer = _conic(pieces, nodes.goal, tol, time_limit)
    if answer is None:
        return None
    masses, multipliers = answer
    masses = pieces.exact(_vertex(pieces, masses, nodes.goal), nodes.goal)
    return LineFit(pieces.network(masses, nodes.goal), nodes.dual(multipliers))


class _Nodes:
    """Distinct samples in order, the goal (first value, first slope, kinks), and the way back for dual vectors.

    Samples are in units of a power of two, so that whatever their scale the equations are of size one.
    """

    def __init__(self, problem: TrainingProblem) -> None:
        keep = np.arange(problem.n)
        if problem.sample_weight is not None:
            keep = np.flatnonzero(problem.sample_weight > 0)
        self.n = problem.n
        self.x, first, label = np.unique(problem.X[keep, 0], return_index=True, return_inverse=True)
        self.unit = math.ldexp(1.0, math.frexp(float(np.max(np.abs(self.x))))[1])
        self.x = self.x / self.unit
        self.first = keep[first]
        count = np.bincount(label.ravel())
        self.y = np.bincount(label.ravel(), weights=problem.y[keep]) / count
        self.h = np.diff(self.x)
        slopes = np.diff(self.y) / self.h
        self.goal = np.concatenate([self.y[:1], slopes[:1], np.diff(slopes)])

    def dual(self, multipliers: np.ndarray) -> np.ndarray:
        """The dual vector of the values: the transpose of first value, first slope and kinks."""
        change = np.append(-np.diff(multipliers[1:]), multipliers[-1])  # of the slopes
        change = change / self.h
        values = np.append(0.0, change) - np.append(change, 0.0)
        values[0] += multipliers[0]
        nu = np.zeros(self.n)
        nu[self.first] = values
        return nu


class _Pieces:
    """Two masses for each interval, direction and sign, and for the affine functions of one sign on the data.

    Piece k is the neuron ``p U_k + q W_k`` with rays ``U_k, W_k`` (2, K); ``columns`` are its equations.
    """

    def __init__(self, problem: TrainingProblem, nodes: _Nodes) -> None:
        from scipy import sparse

        self.problem, x = problem, nodes.x
        n, kappa = len(x), problem.kappa
        left, right = np.arange(n - 1), np.arange(1, n)
        start, end = np.stack([left, left]).ravel(), np.stack([right, right]).ravel()
        facing = np.repeat([1.0, -1.0], n - 1)
        node = np.stack([start, end])  # (2, K)
        rays = np.stack([np.broadcast_to(facing, node.shape), -facing * x[node]])  # (2 coordinates, 2 masses, K)
        one_sided = [np.array([[1.0, -1.0], [-x[0], x[-1]]])] if problem.bias == "penalized" else []
        if one_sided and kappa not in (0.0, -1.0):
            one_sided.append(-one_sided[0])
        rays = np.concatenate([rays, *(u[:, :, None] for u in one_sided)], axis=2)
        responses = self._responses(x, rays, kappa)
        rows, values = self._kinks(node, n, kappa)
        count = rays.shape[2]
        self.rays = np.concatenate([rays, rays], axis=2)
        self.unit = nodes.unit
        # What is paid for: weights in the units of the data, the whole of size one.
        coordinates = 1 if problem.bias == "free" else 2
        weights = np.array([1.0, nodes.unit])[:coordinates] / (max(nodes.unit, 1.0) if coordinates == 2 else 1.0)
        self.costs = self.rays[:coordinates] * weights[:, None, None]
        self.signs = np.repeat([1.0, -1.0], count)
        blocks = []
        for mass in (0, 1):
            kinks = sparse.csc_matrix((values[mass], (rows[mass], np.arange(node.shape[1]))), shape=(n, count))
            heads = sparse.vstack([sparse.csc_matrix(responses[:, mass]), sparse.csc_matrix((n - 2, count))])
            blocks.append(kinks + heads)
        both = sparse.hstack([sparse.hstack([block, -block]) for block in blocks])
        self.columns: Any = both.tocsc()
        self.free = self._free_columns(n, float(x[0]))
        self.n_kinked = node.shape[1]
        self.node = np.concatenate([node, np.full((2, count - node.shape[1]), -1)], axis=1)
        self.node = np.concatenate([self.node, self.node], axis=1)

    def _responses(self, x: np.ndarray, rays: np.ndarray, kappa: float) -> np.ndarray:
        """First value and first slope (2, 2 masses, K) of each ray."""
        w, b = rays
        first, second = w * x[0] + b, w * x[1] + b
        first = np.where(np.abs(first) <= 0, 0.0, first)
        outputs = [np.where(t > 0, t, kappa * t) for t in (first, second)]
        middle = 0.5 * (first + second)
        slope = np.where(middle > 0, w, kappa * w)
        return np.stack([outputs[0], slope])

    def _kinks(self, node: np.ndarray, n: int, kappa: float) -> tuple[np.ndarray, np.ndarray]:
        """Row and size of the kink of each mass; none at the first and the last sample."""
        inside = (node > 0) & (node < n - 1)
        return np.where(inside, node + 1, 0), np.where(inside, 1.0 - kappa, 0.0)

    def _free_columns(self, n: int, first: float) -> np.ndarray:
        """Skip connection and intercept in the coordinates of the goal."""
        problem, columns = self.problem, []
        if problem.skip:
            column = np.zeros(n)
            column[:2] = first, 1.0
            columns.append(column)
        if problem.intercept:
            columns.append(np.eye(n)[0])
        return np.column_stack(columns) if columns else np.zeros((n, 0))

    def exact(self, masses: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Masses at every inner sample that sum to its kink to rounding, negligible ones left to the others."""
        K = len(self.signs)
        masses, signs = np.maximum(masses, 0.0).ravel(), np.concatenate([self.signs, self.signs])
        kappa, node = self.problem.kappa, self.node.ravel()
        order = np.argsort(node, kind="stable")
        ends = np.searchsorted(node[order], np.arange(len(goal)))
        for i in range(2, len(goal)):
            where = order[ends[i - 1] : ends[i]]
            own = masses[where] * signs[where]
            kink = goal[i] / (1 - kappa)
            small = np.abs(own) <= _NEGLIGIBLE * max(float(np.max(np.abs(own), initial=0.0)), abs(kink))
            own = np.where(small, 0.0, own)
            excess = float(own.sum()) - kink
            matching = signs[where] * kink > 0
            best = int(np.argmax(np.where(matching, np.abs(own), -1.0)))
            own[best] = own[best] - excess if (own[best] - excess) * kink >= 0 else own[best]
            masses[where] = np.abs(own)
        return masses.reshape(2, K)

    def network(self, masses: np.ndarray, goal: np.ndarray) -> ShallowNetwork:
        """The neurons, merged, with the free terms that make first value and slope exact."""
        from ._atom_program import refitted

        problem = self.problem
        used = masses.sum(axis=0) > 0
        u = np.einsum("cmk,mk->ck", self.rays[:, :, used], masses[:, used])
        rest = goal[:2] - (self.columns[:2] @ masses.ravel())
        free = np.zeros(self.free.shape[1])
        if self.free.shape[1]:
            free = np.linalg.lstsq(self.free[:2], rest, rcond=None)[0]
        u[0] /= self.unit
        if problem.skip:
            free[0] /= self.unit
        network = network_of(problem, u, self.signs[used], free)
        if problem.n * network.n_neurons > _MOST_ENTRIES:
            return network
        return refitted(problem, network.merged(problem.bias, problem.X, problem.norm))


def _conic(
    pieces: _Pieces, goal: np.ndarray, tol: float, time_limit: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Masses and multipliers of the equations by an interior point method."""
    import clarabel
    from scipy import sparse

    began = time.perf_counter()
    n, K = len(goal), len(pieces.signs)
    f = pieces.free.shape[1]
    size = float(np.max(np.abs(goal))) or 1.0
    lengths = 2 * K
    total = lengths + f + K
    equations = sparse.hstack([pieces.columns, sparse.csc_matrix(pieces.free), sparse.csc_matrix((n, K))])
    positive = sparse.hstack([-sparse.identity(lengths), sparse.csc_matrix((lengths, f + K))])
    coordinates = len(pieces.costs)
    cone = _cone_rows(pieces.costs, f)
    A = sparse.vstack([equations, positive, cone]).tocsc()
    b = np.concatenate([goal / size, np.zeros(lengths + (1 + coordinates) * K)])
    cost = np.concatenate([np.zeros(lengths + f), np.ones(K)])
    cones = [clarabel.ZeroConeT(n), clarabel.NonnegativeConeT(lengths)]
    cones += [clarabel.SecondOrderConeT(1 + coordinates)] * K
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.time_limit = max(time_limit - (time.perf_counter() - began), 0.05)
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tol
    solution = clarabel.DefaultSolver(sparse.csc_matrix((total, total)), cost, A, b, cones, settings).solve()
    z, multipliers = np.array(solution.x), -np.array(solution.z[:n])
    if not (np.isfinite(z).all() and np.isfinite(multipliers).all()):
        return None
    return z[:lengths] * size, multipliers


def _vertex(pieces: _Pieces, masses: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The same pieces, their shapes kept and their sizes a vertex of the linear program: as few as equations."""
    from scipy import sparse
    from scipy.optimize import linprog

    K = len(pieces.signs)
    shape = np.maximum(masses, 0.0).reshape(2, K)
    norms = np.linalg.norm(np.einsum("cmk,mk->ck", pieces.costs, shape), axis=0)
    used = np.flatnonzero(norms > _UNUSED * np.sum(norms))
    shape = shape[:, used] / norms[used]
    columns = sum(pieces.columns[:, m * K + used] @ sparse.diags(shape[m]) for m in (0, 1))
    size, f = float(np.max(np.abs(goal))) or 1.0, pieces.free.shape[1]
    answer = linprog(
        np.append(np.ones(len(used)), np.zeros(f)), A_eq=sparse.hstack([columns, sparse.csc_matrix(pieces.free)]),
        b_eq=goal / size, bounds=[(0, None)] * len(used) + [(None, None)] * f, method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    if answer.x is None or answer.status != 0:
        return masses
    vertex = np.zeros((2, K))
    vertex[:, used] = shape * (answer.x[: len(used)] * size)
    return vertex


def _cone_rows(rays: np.ndarray, free: int) -> Any:
    """Rows ``-(t_k, p_k U_k + q_k W_k)`` of the cones, one after the other; shape ((1 + c) K, 3 K + free)."""
    from scipy import sparse

    coordinates, _, K = rays.shape
    step = 1 + coordinates
    rows, columns, values = [np.arange(K) * step], [2 * K + free + np.arange(K)], [-np.ones(K)]
    for c in range(coordinates):
        for mass in (0, 1):
            rows.append(np.arange(K) * step + 1 + c)
            columns.append(mass * K + np.arange(K))
            values.append(-rays[c, mass])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csc_matrix(entries, shape=(step * K, 3 * K + free))
