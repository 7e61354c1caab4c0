"""The l1 program over a given dictionary of neurons as a CVXPY model."""

from __future__ import annotations

from functools import partial
from typing import Any

import cvxpy as cp
import numpy as np

from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ..pricing._dictionary import as_dictionary, check_atomic
from ..problem import TrainingProblem, check_problem, require_path_norm
from ._blocks import free_terms, is_orthogonal
from ._recovery import blocks_to_network, free_values
from .program import Program

__all__ = ["build_dictionary"]


def build_dictionary(problem: TrainingProblem, directions: Any, *, signs: Any = None) -> Program:
    r"""Build the l1 program over given neurons: amplitudes are the variables, directions are fixed.

    .. math::

        \min_{z, c, f}\; L(f, y) + \mathrm{reg} \sum_s \|u_s\| |z_s|
        \quad\text{s.t.}\quad f = A z + F c, \qquad A_{is} = \sigma(x_i^\top u_s)

    It is a linear program for interpolation, absolute and hinge loss (solver HIGHS), a lasso for the squared loss.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output; any norm of the directions that ``problem.norm`` names ("l2" or "l1").
    directions : array-like of shape (q, S), CellAtoms or RefinedRays
        Neurons as columns (bias last, if the problem has one), of any length.
    signs : array-like of shape (S,), optional
        1 or -1 where ``z_s`` must have that sign, 0 where it is free. Default: those of ``CellAtoms``, else all free.

    Returns
    -------
    Program
        With variables ``z`` (S,), ``f`` (n,), and ``skip`` and ``intercept`` where they exist.

    Raises
    ------
    ProblemError
        If the problem has several outputs or neurons without a norm of their own, or ``signs`` are none.
    DataError
        If the directions are not finite, have another number of rows than ``problem.extended`` has columns, or one has
        norm zero.

    References
    ----------
    J. de Dios and J. Bruna, "On sparsity in overparametrised shallow ReLU networks", arXiv 2006.10225 (2020).

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], loss="interpolation")
    >>> program = build_dictionary(problem, [[1.0, -1.0, 1.0], [0.0, 2.0, -1.0]])  # knots at 0, 2 and 1
    >>> str(program.solve("HIGHS"))
    'optimal'
    >>> round(program.value, 6), program.recover().n_neurons
    (3.828427, 2)
    """
    check_problem(problem)
    require_path_norm(problem, "build_dictionary")
    check_atomic(problem, "build_dictionary")
    table, norms, wanted = as_dictionary(problem, directions, signs)
    atoms = activate(problem.extended @ table, problem.kappa)
    z = cp.Variable(table.shape[1], name="z")
    variables: dict[str, Any] = {"z": z, "f": cp.Variable(problem.n, name="f")}
    free, free_fit = free_terms(problem)
    variables.update(free)
    loss, constraints = problem.loss.expression(variables["f"], problem.y, problem.sample_weight)
    reg = cp.Parameter(nonneg=True, name="reg", value=problem.reg)
    fit = variables["f"] == sum([atoms @ z, *free_fit])
    held = [cp.multiply(wanted[wanted != 0], z[np.flatnonzero(wanted)]) >= 0] if wanted.any() else []
    model = cp.Problem(cp.Minimize(loss + reg * (norms @ cp.abs(z))), [fit, *held, *constraints])
    return Program(
        problem, model, variables, reg, fit, partial(_recover, table), partial(_is_farkas, problem, atoms, wanted)
    )


def _recover(table: np.ndarray, program: Program, tol: float) -> ShallowNetwork:
    """Neurons ``|z_s| u_s`` with the sign of ``z_s``; amplitudes without effect are left out."""
    z = program.block("z")
    intercept, skip = free_values(program)
    positive, negative = table[:, z > 0] * z[z > 0], table[:, z < 0] * -z[z < 0]
    return blocks_to_network(program.problem, positive, negative, intercept, skip, tol)


def _is_farkas(problem: TrainingProblem, atoms: np.ndarray, wanted: np.ndarray, nu: np.ndarray) -> bool:
    """Whether nu . f(X) <= 0 for every network of the dictionary, up to 1e-6 of the size of its terms."""
    products = nu @ atoms
    size = np.linalg.norm(atoms, axis=0) * np.linalg.norm(nu)
    worst = np.where(wanted == 0, np.abs(products), wanted * products)
    return bool(np.all(worst <= 1e-6 * size)) and is_orthogonal(problem.free_columns, nu)
