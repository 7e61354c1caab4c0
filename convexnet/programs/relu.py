"""The ReLU program (leaky ReLU and absolute value alike): cones for every listed cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import cvxpy as cp
import numpy as np

from .._validation import check_choice
from ..arrangements import PatternSet, cell_facets, pattern_matrix
from ..errors import PatternError, ProblemError
from ..networks.shallow import ShallowNetwork
from ..problem import TrainingProblem, require_path_norm
from ._blocks import (
    check_indices,
    column_norms,
    cone_matrix,
    fit_matrix,
    free_terms,
    gate_factors,
    is_orthogonal,
)
from ._recovery import blocks_to_network, free_values
from .program import Program

__all__ = ["build_relu"]


def build_relu(
    problem: TrainingProblem,
    patterns: Any,
    *,
    positive: Any = None,
    negative: Any = None,
    cone_rows: Sequence[Any] | str | None = None,
) -> Program:
    r"""Build the convex program of a two-layer network with scalar output over listed cells.

    .. math::

        \min_{V, W, f}\; L(f, y) + \mathrm{reg} \sum_p \big(\|v_p\| + \|w_p\|\big)
        \quad\text{s.t.}\quad f = \sum_p S_p E (v_p - w_p), \quad (2 D_p - I) E v_p \ge 0, \quad (2 D_p - I) E w_p \ge 0

    with the extended rows :math:`E` (n, q), :math:`D_p = \mathrm{diag}(G_p)` and
    :math:`S_p = D_p + \kappa (I - D_p)`. With ``bias="free"`` the norms leave out the last row of V and W. Over a
    complete list of patterns the optimal value is that of the training problem with every width; over a subset it is
    an upper bound.

    Parameters
    ----------
    problem : TrainingProblem
        With scalar output.
    patterns : PatternSet of ``problem.extended``, or 0/1 array (n, P)
    positive, negative : integer arrays, optional
        Patterns that get a block in V (neurons with positive output weight) and in W; all by default. An empty array
        leaves that variable out.
    cone_rows : "facets" or P integer arrays, optional
        Rows that bound each cell; the others are implied by them. All rows by default. ``"facets"`` finds them for a
        PatternSet: about four rows a cell for two features and a bias, which builds and solves several times faster.

    Returns
    -------
    Program
        With variables ``V`` (q, P+), ``W`` (q, P-), ``f`` (n,), and ``skip`` and ``intercept`` where they exist.

    Raises
    ------
    ProblemError
        If the problem has several outputs.
    PatternError
        If the patterns are empty, not 0/1, or belong to other data.

    References
    ----------
    Pilanci and Ergen (2020), "Neural networks are convex regularizers", Theorem 1.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [1.0]], [1.0, 1.0], reg=0.1, bias="none")
    >>> program = build_relu(problem, np.array([[0, 1], [1, 0]]))
    >>> str(program.solve())
    'optimal'
    >>> network = program.recover()
    >>> network.n_neurons, round(program.value, 6), round(problem.objective(network), 6)
    (2, 0.19, 0.19)
    """
    require_path_norm(problem, "build_relu")
    if not problem.scalar:
        raise ProblemError("The ReLU program is exact for one output only; use build_gated, or one problem per output.")
    G = pattern_matrix(problem.extended, patterns)
    P = G.shape[1]
    listed = {"V": check_indices(positive, P, "positive"), "W": check_indices(negative, P, "negative")}
    rows = _facets(problem, patterns, cone_rows) if isinstance(cone_rows, str) else _check_rows(cone_rows, G)
    variables: dict[str, Any] = {"f": cp.Variable(problem.n, name="f")}
    penalty: Any = 0.0
    terms: list[Any] = [np.zeros(problem.n)]
    cones: list[Any] = []
    for (name, cells), sign in zip(listed.items(), (1.0, -1.0), strict=True):
        if len(cells):
            block = cp.Variable((problem.extended.shape[1], len(cells)), name=name)
            fit, cone = _block_parts(problem, G[:, cells], None if rows is None else [rows[p] for p in cells], block)
            variables[name] = block
            terms.append(sign * fit)
            cones.append(cone)
            penalty = penalty + column_norms(block, problem)
    free, free_fit = free_terms(problem)
    variables.update(free)
    loss, loss_constraints = problem.loss.expression(variables["f"], problem.y, problem.sample_weight)
    reg = cp.Parameter(nonneg=True, name="reg", value=problem.reg)
    fit = variables["f"] == sum(terms + free_fit)
    model = cp.Problem(cp.Minimize(loss + reg * penalty), [fit, *cones, *loss_constraints])
    farkas = partial(_is_farkas, problem, G, listed)
    return Program(problem, model, variables, reg, fit, _recover, farkas)


def _block_parts(problem: TrainingProblem, G: np.ndarray, rows: list[Any] | None, block: Any) -> tuple[Any, Any]:
    """The predictions of one variable and its cone constraint, each a single sparse matrix times vec(block)."""
    E = problem.extended
    flat = cp.vec(block, order="F")
    return fit_matrix(E, gate_factors(G, problem.kappa)) @ flat, cone_matrix(E, G, rows) @ flat >= 0


def _facets(problem: TrainingProblem, patterns: Any, cone_rows: str) -> list[np.ndarray]:
    """The facet rows of every cell."""
    check_choice(cone_rows, "cone_rows", ("facets",))
    if not isinstance(patterns, PatternSet):
        raise PatternError("cone_rows='facets' needs a PatternSet; pass the list of rows, or None for all rows.")
    return [cell_facets(patterns, problem.extended, cell) for cell in range(len(patterns))]


def _check_rows(cone_rows: Sequence[Any] | None, G: np.ndarray) -> list[np.ndarray] | None:
    if cone_rows is None:
        return None
    n, P = G.shape
    rows = [np.asarray(r) if np.size(r) else np.zeros(0, dtype=np.intp) for r in cone_rows]
    if len(rows) != P or any(r.ndim != 1 or r.dtype.kind not in "iu" for r in rows):
        raise PatternError(f"cone_rows must list one 1-D integer array per pattern ({P}), got {len(rows)} entries.")
    if any(r.size and (r.min() < 0 or r.max() >= n) for r in rows):
        raise PatternError(f"cone_rows must hold row numbers 0..{n - 1}.")
    return rows


def _recover(program: Program, tol: float) -> ShallowNetwork:
    empty = np.zeros((program.problem.extended.shape[1], 0))
    V, W = (program.block(name) if name in program.variables else empty for name in ("V", "W"))
    intercept, skip = free_values(program)
    return blocks_to_network(program.problem, V, W, intercept, skip, tol)


def _is_farkas(problem: TrainingProblem, G: np.ndarray, listed: dict[str, np.ndarray], nu: np.ndarray) -> bool:
    """Whether nu . f(X) <= 0 for every network of the program, up to 1e-6 of the size of its terms."""
    from scipy.optimize import nnls

    E = problem.extended
    scale = float(np.abs(nu) @ np.linalg.norm(E, axis=1))
    if not is_orthogonal(problem.free_columns, nu):
        return False
    for name, sign in (("V", 1.0), ("W", -1.0)):
        for p in listed[name]:
            A = E * (2.0 * G[:, p] - 1.0)[:, None]
            gain = sign * E.T @ (gate_factors(G[:, p], problem.kappa) * nu)
            if nnls(A.T, -gain)[1] > 1e-6 * scale:
                return False
    return True
