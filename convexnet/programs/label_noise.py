"""The ReLU program with the label-noise regulariser: the same cones, costs in output space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from ..errors import PatternError
from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ..pricing._label_noise_cells import GradientCells
from ..pricing.label_noise import check_label_noise
from ..problem import TrainingProblem
from ._blocks import check_indices, gate_factors
from ._label_noise_recovery import label_noise_network, placed
from ._recovery import effective_blocks
from .program import Program
from .relu import _check_rows, _is_farkas

__all__ = ["build_label_noise", "program_of_cells"]


def build_label_noise(
    problem: TrainingProblem,
    patterns: Any,
    *,
    positive: Any = None,
    negative: Any = None,
    cone_rows: Sequence[Any] | None = None,
) -> Program:
    r"""Build the convex program of a two-layer network under the label-noise regulariser, over listed cells.

    .. math::

        \min_{V, W, f}\; L(f, y) + \mathrm{reg} \sum_p \kappa_p \big(\|S_p E v_p\| + \|S_p E w_p\|\big)
        \quad\text{s.t.}\quad f = \sum_p S_p E (v_p - w_p), \quad (2 D_p - I) E v_p \ge 0, \quad (2 D_p - I) E w_p \ge 0

    with the extended rows :math:`E`, :math:`S_p = D_p + \kappa (I - D_p)` and
    :math:`\kappa_p^2 = \sum_i S_{p,ii}^2 \|x_i\|^2`. It is the training problem with the penalty
    :math:`\tfrac{\mathrm{reg}}{2} \sum_i \|\nabla_\theta f(x_i)\|^2`, summed neuron by neuron, after the best rescaling
    of every neuron: ``c sigma(w . x)`` in cell p costs :math:`|c|\, \kappa_p \|S_p E w\|`. The cost is a seminorm where
    :math:`S_p E` has dependent columns; the network takes the shortest vector of the cell with these outputs.

    Parameters
    ----------
    problem : TrainingProblem
        With ``norm="label_noise"``.
    patterns : PatternSet or FacePatterns of ``problem.extended``, or 0/1 array (n, P)
        Points at which a neuron is strictly active; see :func:`convexnet.pricing.price_label_noise` for what is needed
        to cover networks of every width.
    positive, negative : integer arrays, optional
        Patterns that get a block in V (neurons with positive output weight) and in W. Default: all that have outputs.
    cone_rows : P integer arrays, optional
        Rows that bound each cell; the others are implied by them. All rows by default.

    Returns
    -------
    Program
        With variables ``V`` (q, P+), ``W`` (q, P-) and ``f`` (n,).

    Raises
    ------
    ProblemError
        If the problem has another norm.
    PatternError
        If the patterns are empty, not 0/1, belong to other data, or none of them is active anywhere.

    References
    ----------
    De Dios and Bruna (2020) for the regulariser; Pilanci and Ergen (2020) for the cones.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.1, norm="label_noise", bias="none")
    >>> program = build_label_noise(problem, np.array([[1], [1]]))
    >>> str(program.solve())
    'optimal'
    >>> round(program.value, 6), round(problem.objective(program.recover()), 6)
    (0.475, 0.475)
    """
    check_label_noise(problem, "build_label_noise")
    return program_of_cells(GradientCells(problem, patterns), positive, negative, cone_rows)


def program_of_cells(
    cells: GradientCells, positive: Any = None, negative: Any = None, cone_rows: Sequence[Any] | None = None
) -> Program:
    """The program with the weights ``cells.weights``, which may be in other units than the rows."""
    problem, G = cells.problem, cells.G
    if not cells.useful.any():
        raise PatternError("No listed pattern is active at any point, so every network over them is zero.")
    rows = _check_rows(cone_rows, G)
    variables: dict[str, Any] = {"f": cp.Variable(problem.n, name="f")}
    listed: dict[str, np.ndarray] = {}
    penalty: Any = 0.0
    terms: list[Any] = [np.zeros(problem.n)]
    cones: list[Any] = []
    for name, given, sign in (("V", positive, 1.0), ("W", negative, -1.0)):
        listed[name] = chosen = _useful(cells, given, name)
        if chosen.size:
            part = _Blocks(cells, chosen)
            flat = cp.Variable(part.size, name=f"{name} in units of its outputs")
            block = cp.reshape(part.vectors @ flat, (problem.extended.shape[1], len(chosen)), order="F")
            cones.append(part.cones(None if rows is None else [rows[p] for p in chosen]) @ flat >= 0)
            terms.append(sign * (part.outputs @ flat))
            penalty = penalty + part.cost(flat)
            variables[name] = block
    loss, loss_constraints = problem.loss.expression(variables["f"], problem.y, problem.sample_weight)
    reg = cp.Parameter(nonneg=True, name="reg", value=problem.reg)
    fit = variables["f"] == sum(terms)
    model = cp.Problem(cp.Minimize(loss + reg * penalty), [fit, *cones, *loss_constraints])
    recovery = partial(_recover, cells=cells, listed=listed)
    return Program(problem, model, variables, reg, fit, recovery, partial(_is_farkas, problem, G, listed))


def _useful(cells: GradientCells, given: Any, name: str) -> np.ndarray:
    """The patterns asked for; by default those with outputs."""
    if given is None:
        return np.flatnonzero(cells.useful)
    chosen = check_indices(given, len(cells), "positive" if name == "V" else "negative")
    if not cells.useful[chosen].all():
        raise PatternError(f"Pattern {chosen[~cells.useful[chosen]][0]} is active nowhere: leave it out.")
    return chosen


class _Blocks:
    """The vectors of some cells in coordinates of their own: orthonormal for the outputs, then those without output.

    The cost of a block is then a plain length, and no number depends on the units of the columns.
    """

    def __init__(self, cells: GradientCells, chosen: np.ndarray) -> None:
        self.cells, self.chosen = cells, chosen
        self.P, self.r = len(chosen), len(cells.columns)
        self.size = self.P * self.r
        self.seen = np.arange(self.r) < cells.ranks[chosen][:, None]
        self.lift = cells.lift(chosen)

    @property
    def outputs(self) -> Any:
        """The sparse matrix that maps the coordinates to predictions."""
        moved = np.einsum("ij,pjk->ipk", self.cells.rows, self.lift)
        S = gate_factors(self.cells.G[:, self.chosen], self.cells.kappa)
        return sp.csc_array((S[:, :, None] * np.where(self.seen, moved, 0.0)).reshape(len(S), -1))

    @property
    def vectors(self) -> Any:
        """The sparse matrix that maps the coordinates to the vectors, column by column."""
        q = self.cells.problem.extended.shape[1]
        parts = np.zeros((self.P, q, self.r))
        parts[:, self.cells.columns] = self.cells.scale[:, None] * self.lift
        return self._diagonal(parts, np.repeat(np.arange(self.P), q))

    def cones(self, rows: list[np.ndarray] | None) -> Any:
        """The sparse matrix whose products are non-negative inside the cells, rows of unit length."""
        used = np.flatnonzero(self.cells.sizes > 0)
        lists = [used if rows is None else np.intersect1d(rows[p], used) for p in range(self.P)]
        sample, block = np.concatenate(lists), np.repeat(np.arange(self.P), [len(each) for each in lists])
        signs = 2.0 * self.cells.G[sample, self.chosen[block]] - 1
        values = np.einsum("sj,sjk->sk", signs[:, None] * self.cells.rows[sample], self.lift[block])
        lengths = np.linalg.norm(values, axis=1)
        return self._diagonal(values / np.where(lengths > 0, lengths, 1.0)[:, None], block)

    def _diagonal(self, values: np.ndarray, block: np.ndarray) -> Any:
        """Rows of ``r`` numbers, each in the columns of its block."""
        values = values.reshape(-1, self.r)
        columns = block[:, None] * self.r + np.arange(self.r)
        starts = np.arange(len(values) + 1) * self.r
        matrix = sp.csr_array((values.ravel(), columns.ravel(), starts), shape=(len(values), self.size))
        matrix.eliminate_zeros()
        return matrix

    def cost(self, flat: Any) -> Any:
        """``sum_p kappa_p ||S_p E v_p||``: lengths of the coordinates that have outputs."""
        scaled = sp.dia_array((np.where(self.seen, 1.0, 0.0).ravel()[None], [0]), shape=(self.size, self.size))
        lengths = cp.norm(cp.reshape(scaled @ flat, (self.r, self.P), order="F"), 2, axis=0)
        return self.cells.weights[self.chosen] @ lengths


def _recover(program: Program, tol: float, *, cells: GradientCells, listed: dict[str, np.ndarray]) -> ShallowNetwork:
    """Neurons with equal shares of the two parts of their cost; points on a border are made inactive."""
    problem = program.problem
    names = [name for name in ("V", "W") if name in program.variables]
    blocks = np.concatenate([program.block(name) for name in names], axis=1)
    where = np.concatenate([listed[name] for name in names])
    signs = np.concatenate([np.full(len(listed[name]), 1.0 if name == "V" else -1.0) for name in names])
    effect = np.max(np.abs(activate(problem.extended @ blocks, problem.kappa)), axis=0)
    size = max(float(np.max(np.abs(program.predictions))), float(np.max(np.abs(problem.y))))
    kept = np.flatnonzero(effective_blocks(effect, tol * size))
    vectors, factors = placed(cells, where[kept], blocks[:, kept])
    return label_noise_network(problem, vectors, signs[kept] * factors)
