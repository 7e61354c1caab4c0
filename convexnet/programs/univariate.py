"""Programs for one feature with O(n) entries: total variation of the slope, no skip connection, penalised biases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cvxpy as cp
import numpy as np

from ..errors import ProblemError
from ..networks.linear_spline import LinearSpline
from ..networks.no_skip import no_skip_network
from ..networks.shallow import ShallowNetwork
from ..problem import TrainingProblem, check_problem, require_path_norm
from ._blocks import free_terms
from ._recovery import blocks_to_network, free_values
from .program import Program

__all__ = ["build_univariate"]


def build_univariate(problem: TrainingProblem) -> Program:
    r"""Build the exact program of all networks of one variable, in function space.

    With free biases the variables are the values at the distinct abscissae. With their slopes s and
    :math:`\mathrm{TV} = \sum_i |s_{i+1} - s_i|`,

    .. math::

        \min_\theta L(\theta, y) + \mathrm{reg} \cdot
        \begin{cases} \mathrm{TV} & \text{with a skip connection} \\
        \max(\mathrm{TV}, (\mathrm{TV} + |s_1 + s_{m-1}|)/2) & \text{without} \end{cases}

    With penalised biases there is one pair ``z = (w, b)`` for each arc of breakpoints between neighbouring abscissae,
    direction and sign,

    .. math::

        \min_z L(f, y) + \mathrm{reg} \sum \|z\|
        \quad\text{s.t.}\quad w \ge 0,\quad w x_j + b \le 0 \le w x_{j+1} + b,

    and f is made of prefix sums of ``w`` and ``b``. All three have as many non-zeros as samples, up to a factor.

    Parameters
    ----------
    problem : TrainingProblem
        One feature, one output, ReLU, biases.

    Returns
    -------
    Program
        With variables ``f`` (n,) and ``theta`` (m,), or ``f`` and the blocks ``Z0`` ... ``Z3`` (2, m + 1), and ``skip``
        and ``intercept`` where they exist.

    Raises
    ------
    ProblemError
        For other problems.

    References
    ----------
    Savarese, Evron, Soudry and Srebro (2019); Parhi and Nowak (2021); Boursier and Flammarion (2023).

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1, bias="free", skip=True)
    >>> program = build_univariate(problem)
    >>> str(program.solve())
    'optimal'
    >>> network = program.recover()
    >>> round(program.value, 6), round(problem.objective(network), 6), network.n_neurons
    (0.17, 0.17, 1)
    """
    check_problem(problem)
    require_path_norm(problem, "build_univariate")
    if problem.d != 1 or not problem.scalar or problem.activation != "relu" or problem.bias == "none":
        raise ProblemError("build_univariate is for one feature, one output, ReLU and biases; use build_relu.")
    return _free(problem) if problem.bias == "free" else _penalised(problem)


def _program(
    problem: TrainingProblem, variables: dict[str, Any], value: Any, penalty: Any, cones: list[Any],
    recover: Callable[[Program, float], ShallowNetwork],
) -> Program:  # fmt: skip
    """A Program of loss plus reg times penalty."""
    f = cp.Variable(problem.n, name="f")
    loss, constraints = problem.loss.expression(f, problem.y, problem.sample_weight)
    reg = cp.Parameter(nonneg=True, name="reg", value=problem.reg)
    fit = f == value
    model = cp.Problem(cp.Minimize(loss + reg * penalty), [fit, *cones, *constraints])
    return Program(problem, model, {"f": f, **variables}, reg, fit, recover)


def _free(problem: TrainingProblem) -> Program:
    nodes, node_of = np.unique(problem.X[:, 0], return_inverse=True)
    theta = cp.Variable(nodes.size, name="theta")
    penalty: Any = cp.Constant(0.0)
    if nodes.size > 1:
        slopes = cp.multiply(1 / np.diff(nodes), cp.diff(theta))
        penalty = cp.norm1(cp.diff(slopes)) if nodes.size > 2 else penalty
        if not problem.skip:
            penalty = cp.maximum(penalty, 0.5 * (penalty + cp.abs(slopes[0] + slopes[-1])))

    def recover(program: Program, tol: float) -> ShallowNetwork:
        values = program.block("theta")
        return LinearSpline.from_values(nodes, values).to_network() if problem.skip else no_skip_network(nodes, values)

    return _program(problem, {"theta": theta}, theta[node_of], penalty, [], recover)


def _running_sums(Z: Any, m: int, family: int) -> tuple[Any, list[Any]]:
    """Sums of the columns up to each node, or beyond it, as variables: each equation has three terms."""
    sums = cp.Variable((2, m))
    if family == 0:
        return sums, [sums[:, 0] == Z[:, 0], sums[:, 1:] - sums[:, :-1] == Z[:, 1:m]]
    return sums, [sums[:, -1] == Z[:, m], sums[:, :-1] - sums[:, 1:] == Z[:, 1:m]]


def _penalised(problem: TrainingProblem) -> Program:
    nodes, node_of = np.unique(problem.X[:, 0], return_inverse=True)
    m = nodes.size
    variables: dict[str, Any] = {}
    values: Any = np.zeros(m)
    cones: list[Any] = []
    penalty: Any = cp.Constant(0.0)
    # Opening to the left or to the right is the same up to a line.
    families = (0,) if problem.skip and problem.intercept else (0, 1)
    for name, family, sign in ((f"Z{2 * k + (s < 0)}", k, s) for k in families for s in (1, -1)):
        Z = cp.Variable((2, m + 1), name=name)
        variables[name] = Z
        w, b = Z[0], Z[1]
        cones += [w >= 0, cp.multiply(nodes, w[:m]) + b[:m] >= 0, cp.multiply(nodes, w[1:]) + b[1:] <= 0]
        penalty = penalty + cp.sum(cp.norm(Z, 2 if problem.norm == "l2" else 1, axis=0))
        sums, running = _running_sums(Z, m, family)
        cones += running
        values = values + (sign if family == 0 else -sign) * (cp.multiply(nodes, sums[0]) + sums[1])
    free, terms = free_terms(problem)

    def recover(program: Program, tol: float) -> ShallowNetwork:
        V, W = ([program.block(f"Z{i}") for i in pair if f"Z{i}" in variables] for pair in ((0, 2), (1, 3)))
        positive, negative = (np.column_stack([part[0], *(-z for z in part[1:])]) for part in (V, W))
        intercept, skip = free_values(program)
        return blocks_to_network(problem, positive, negative, intercept, skip, tol)

    return _program(problem, {**variables, **free}, values[node_of] + sum(terms), penalty, cones, recover)
