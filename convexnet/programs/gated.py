"""The gated program: fixed gates and no cones, a group lasso for one output and a nuclear-norm problem for several."""

from __future__ import annotations

from functools import partial
from typing import Any

import cvxpy as cp
import numpy as np

from ..arrangements import pattern_matrix
from ..errors import PatternError
from ..networks.gated import GatedNetwork
from ..pricing.gated import check_groups
from ..problem import TrainingProblem, require_path_norm
from ._blocks import column_norms, fit_matrix, free_terms, gate_factors, is_orthogonal
from ._recovery import effective_blocks
from .program import Program

__all__ = ["build_gated"]


def build_gated(problem: TrainingProblem, patterns: Any, *, group: str = "nuclear") -> Program:
    r"""Build the convex program of a gated network over listed patterns.

    .. math::

        \min_{U, f}\; L(f, Y) + \mathrm{reg} \sum_p \|U_p\| \quad\text{s.t.}\quad f = \sum_p S_p E U_p,
        \qquad U_p \in \mathbb{R}^{q \times k}

    For one output :math:`\|U_p\|` is the problem's norm of a vector. For k outputs it is, with ``group="nuclear"``,
    the gauge of :math:`\{u v^\top : \|u\| \le 1, \|v\|_2 \le 1\}`: the nuclear norm (exact for any number of
    gated neurons per gate), or the sum of the l2 norms of the rows if ``problem.norm`` is ``"l1"``.
    ``group="frobenius"`` is a different, smaller regulariser. Over a complete list of patterns the program is a
    relaxation of the training problem, weaker with Frobenius groups; over a subset its value is no bound at all.

    Parameters
    ----------
    problem : TrainingProblem
        One or several outputs, any loss; ``bias`` "penalized" or "none".
    patterns : PatternSet of ``problem.extended``, or 0/1 array (n, P)
        The witnesses of a PatternSet become the gates; a raw array gives a value but no network.
    group : {"nuclear", "frobenius"}

    Returns
    -------
    Program
        With variables ``U``, of shape (q, P) for one output and (P q, k), the blocks on top of each other, for several;
        ``f``; ``skip`` and ``intercept`` where the problem has them.

    Raises
    ------
    ProblemError
        For a free bias (the columns D_p 1 would be free and fit any targets), or Frobenius groups with the l1 norm.
    PatternError
        If the patterns are empty, not 0/1, belong to other data, or a witness does not reproduce its pattern.

    References
    ----------
    Mishkin, Sahiner and Pilanci (2022), "Fast convex optimization for two-layer ReLU networks"; Sahiner et al. (2021)
    for several outputs.

    Examples
    --------
    >>> from convexnet import TrainingProblem, enumerate_patterns
    >>> problem = TrainingProblem([[-1.0], [1.0]], [1.0, 1.0], reg=0.1, bias="none")
    >>> program = build_gated(problem, enumerate_patterns(problem.extended))
    >>> str(program.solve())
    'optimal'
    >>> network = program.recover()
    >>> round(program.value, 6), round(problem.gated_objective(network), 6)
    (0.19, 0.19)
    """
    require_path_norm(problem, "build_gated")
    check_groups(problem, group)
    G = pattern_matrix(problem.extended, patterns)
    gates = _gates(problem, patterns, G) if hasattr(patterns, "witnesses") else None
    q, P = problem.extended.shape[1], G.shape[1]
    shape, outputs = ((q, P), (problem.n,)) if problem.scalar else ((P * q, problem.n_outputs), problem.y.shape)
    U, f = cp.Variable(shape, name="U"), cp.Variable(outputs, name="f")
    free, free_fit = free_terms(problem)
    matrix = fit_matrix(problem.extended, gate_factors(G, problem.kappa))
    fit = f == sum([matrix @ (cp.vec(U, order="F") if problem.scalar else U), *free_fit])
    loss, constraints = problem.loss.expression(f, problem.y, problem.sample_weight)
    reg = cp.Parameter(nonneg=True, name="reg", value=problem.reg)
    model = cp.Problem(cp.Minimize(loss + reg * _penalty(problem, U, P, group)), [fit, *constraints])
    farkas = partial(_is_farkas, problem, matrix)
    return Program(problem, model, {"f": f, "U": U, **free}, reg, fit, partial(_recover, gates), farkas)


def _gates(problem: TrainingProblem, patterns: Any, G: np.ndarray) -> np.ndarray:
    """The witnesses, checked to reproduce the patterns in floating point."""
    wrong = np.any((problem.extended @ patterns.witnesses >= 0) != (G == 1), axis=0)
    if wrong.any():
        p = int(np.flatnonzero(wrong)[0])
        raise PatternError(
            f"{int(wrong.sum())} cell(s), the first being {p}, are too thin for a gate in floating point; leave them "
            "out with patterns.subset(...)."
        )
    return np.asarray(patterns.witnesses)


def _penalty(problem: TrainingProblem, U: Any, P: int, group: str) -> Any:
    """Sum of the group norms; only the nuclear norm needs an atom per gate."""
    if problem.scalar:
        return column_norms(U, problem)
    if problem.norm == "l1":
        return cp.sum(cp.norm(U, 2, axis=1))
    q = U.shape[0] // P
    if group == "frobenius":
        return cp.sum(cp.norm(cp.reshape(U, (P, q * U.shape[1]), order="C"), 2, axis=1))
    return cp.sum(cp.hstack([cp.normNuc(U[p * q : (p + 1) * q]) for p in range(P)]))


def _recover(gates: np.ndarray | None, program: Program, tol: float) -> GatedNetwork:
    if gates is None:
        raise PatternError("Raw patterns have no gates to build a network from; pass a PatternSet to build_gated.")
    problem, P = program.problem, gates.shape[1]
    q, k = problem.extended.shape[1], problem.n_outputs
    blocks = program.block("U")
    blocks = blocks[:, :, None] if problem.scalar else np.moveaxis(blocks.reshape(P, q, k), 0, 1)
    scale = tol * float(max(np.max(np.abs(program.predictions)), np.max(np.abs(problem.y))))
    kept = effective_blocks(np.abs(np.einsum("nq,qpk->pnk", problem.extended, blocks)).max(axis=(1, 2)), scale)
    blocks = np.where(kept[None, :, None], blocks, 0.0)
    if problem.scalar:
        blocks = blocks[:, :, 0]
    outputs = blocks.shape[1:]
    return GatedNetwork(
        gates,
        blocks[: problem.d],
        np.zeros(outputs) if problem.bias == "none" else blocks[-1],
        intercept=program.block("intercept") if "intercept" in program.variables else 0.0,
        skip=program.block("skip") if "skip" in program.variables else None,
        activation=problem.activation,
        negative_slope=problem.negative_slope,
    )


def _is_farkas(problem: TrainingProblem, matrix: Any, nu: np.ndarray) -> bool:
    """Whether nu is orthogonal to everything the gates and the free columns can produce."""
    return is_orthogonal(matrix, nu) and is_orthogonal(problem.free_columns, nu)
