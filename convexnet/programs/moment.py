r"""Semidefinite programs of the moment relaxation: one pricing form, or the whole relaxed training problem."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from ..errors import InfeasibleError, ProblemError, SolverError
from ..networks._arrays import row_norms
from ..problem import TrainingProblem, require_path_norm
from ._blocks import free_terms
from .solver import ProgramStatus, run_solver

__all__ = ["JointMoment", "JointMomentSolution", "MomentProgram", "build_joint_moment", "build_moment"]

_LARGEST = 20_000_000
"""Most entries ``n q (q + 1) / 2`` of the map from U to ``x_i' U x_i``: beyond it the model does not fit in memory."""


@dataclass(eq=False, repr=False)
class MomentProgram:
    """The moment relaxation of one pricing form as a CVXPY model.

    Attributes
    ----------
    form : PricingForm
    model : cvxpy.Problem
    variables : dict of str to cvxpy.Variable
        ``moments``, the symmetric matrix [[1, u'], [u, U]], and ``bent``, the relaxed ``|a_i . u|``.
    constraints : dict of str to cvxpy constraint
    status : ProgramStatus or None
    """

    form: Any
    model: Any
    variables: dict[str, Any]
    constraints: dict[str, Any]
    status: ProgramStatus | None = None

    def solve(
        self, solver: str = "CLARABEL", *, tol: float | None = None, time_limit: float | None = None
    ) -> ProgramStatus:
        """Solve the program; see :func:`convexnet.programs.solver.run_solver`.

        Raises
        ------
        SolverError
            If the solver returned nothing.
        """
        self.status = run_solver(self.model, solver, tol=tol, time_limit=time_limit)
        return self.status

    @property
    def value(self) -> float:
        """The solver's value: information, not a bound."""
        if self.status is None:
            raise ProblemError("The program has no solution yet; call solve() first.")
        return float("nan") if self.model.value is None else float(self.model.value)

    def recover(self) -> dict[str, Any]:
        """Multipliers ``tau``, ``a``, ``theta``, ``mu`` of the solution.

        :func:`convexnet.pricing.certified_moment` turns them into a bound that does not rest on the solver.
        """
        moments = _solved(self.variables["moments"])
        form, convex = self.form, self.form.weights > 0
        sizes = row_norms(form.rows)
        q = np.einsum("ij,ij->i", form.rows @ moments[1:, 1:], form.rows)
        tau = np.sqrt(np.maximum(q[convex], 1e-14 * sizes[convex] ** 2))
        parts = [_dual(self.constraints, name, int(np.sum(~convex))) for name in ("above", "below", "curved")]
        strength = np.maximum(-form.weights[~convex], np.finfo(np.float64).tiny)
        shares = np.maximum(np.stack(parts), 0.0) / strength
        shares /= np.maximum(shares.sum(axis=0), 1.0)
        mu = float(np.asarray(self.constraints["sphere"].dual_value).reshape(-1)[0])
        return {"tau": tau, "a": shares[0] - shares[1], "theta": shares[2], "mu": mu}


def build_moment(form: Any) -> MomentProgram:
    r"""Build the moment relaxation of ``max c . u + sum_i w_i |a_i . u|`` over the unit sphere.

    .. math::

        \max_{u, U, s}\; c^\top u + \sum_i w_i s_i \quad\text{s.t.}\quad
        \begin{pmatrix} 1 & u^\top \\ u & U \end{pmatrix} \succeq 0, \quad \mathrm{tr}\, U = 1, \quad
        s_i^2 \le a_i^\top U a_i \;(w_i > 0), \quad
        s_i \ge \pm a_i^\top u,\; \frac{a_i^\top U a_i}{\|a_i\|} \;(w_i < 0)

    Parameters
    ----------
    form : PricingForm
        One of :func:`convexnet.pricing.pricing_forms`.

    Returns
    -------
    MomentProgram

    Raises
    ------
    ProblemError
        If the form is too large for a semidefinite program; the Frank-Wolfe method of ``price_moment`` is not.

    References
    ----------
    Shor (1987) and Lasserre (2001) for the lift; the scalar terms are Jensen's inequality.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> from convexnet.pricing import certified_moment, pricing_forms
    >>> problem = TrainingProblem([[3.0, 0.0], [0.0, 4.0]], [1.0, 1.0], reg=1.0, bias="none")
    >>> form = pricing_forms(problem, np.array([1.0, 1.0]))[0]
    >>> program = build_moment(form)
    >>> str(program.solve())
    'optimal'
    >>> round(certified_moment(form, program.recover()), 5)
    5.0
    """
    rows, weights = form.rows, form.weights
    n, d = rows.shape
    moments = cp.Variable((d + 1, d + 1), symmetric=True, name="moments")
    bent = cp.Variable(max(n, 1), name="bent")
    u = moments[0, 1:]
    constraints: dict[str, Any] = {
        "psd": moments >> 0, "one": moments[0, 0] == 1, "sphere": cp.trace(moments[1:, 1:]) == 1,
    }  # fmt: skip
    objective = form.linear @ u
    if n:
        objective = objective + weights @ bent
        q = squares_map(rows) @ cp.vec(moments[1:, 1:], order="F")
        up, down = np.flatnonzero(weights > 0), np.flatnonzero(weights < 0)
        if up.size:
            constraints["root"] = cp.SOC(1 + q[up], cp.vstack([2 * bent[up], 1 - q[up]]), axis=0)
        if down.size:
            t = rows[down] @ u
            constraints["above"] = bent[down] >= t
            constraints["below"] = bent[down] >= -t
            constraints["curved"] = bent[down] >= cp.multiply(1 / row_norms(rows[down]), q[down])
    else:
        constraints["unused"] = bent == 0
    model = cp.Problem(cp.Maximize(objective), list(constraints.values()))
    return MomentProgram(form, model, {"moments": moments, "bent": bent}, constraints)


def squares_map(rows: np.ndarray) -> np.ndarray:
    """Matrix (n, q^2) that maps vec(U) to ``x_i' U x_i``."""
    n, d = rows.shape
    if n * d * (d + 1) // 2 > _LARGEST:
        raise ProblemError(
            f"A semidefinite program with {n} rows of {d} entries needs too much memory; use price_moment, or "
            "joint_dual(problem), which need none."
        )
    return (rows[:, :, None] * rows[:, None, :]).reshape(n, d * d)


def _dual(constraints: Mapping[str, Any], name: str, size: int) -> np.ndarray:
    """Multipliers of a constraint, zeros where the program has none."""
    if name not in constraints:
        return np.zeros(size)
    value = constraints[name].dual_value
    return np.zeros(size) if value is None else np.asarray(value, dtype=np.float64).reshape(size)


def _solved(variable: Any) -> np.ndarray:
    if variable.value is None:
        raise SolverError("The semidefinite solver ended before it had values; allow it more time or another solver.")
    return np.asarray(variable.value, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class JointMomentSolution:
    """Solution of the relaxed training problem.

    Attributes
    ----------
    nu : ndarray of shape (n,)
        Minus the loss gradient at the relaxed predictions, in the domain of the conjugate loss. Its moment bound is
        about ``reg``; ``price_moment(problem, nu, states=states)`` makes a rigorous bound of it.
    value : float
        The solver's value of the relaxation: about the lower bound that ``nu`` proves, but no bound by itself.
    predictions : ndarray of shape (n,)
    states : dict of sign to (u, U)
        Normalised moments of both signs.
    status : ProgramStatus
    seconds : float
    """

    nu: np.ndarray
    value: float
    predictions: np.ndarray
    states: dict[int, tuple[np.ndarray, np.ndarray]]
    status: ProgramStatus
    seconds: float

    def __repr__(self) -> str:
        return f"JointMomentSolution(value={self.value:.9g}, status={self.status!s}, seconds={self.seconds:.3g})"


@dataclass(eq=False, repr=False)
class JointMoment:
    """The relaxed training problem as a CVXPY model; see :func:`build_joint_moment`.

    Attributes
    ----------
    problem : TrainingProblem
    model : cvxpy.Problem
    variables : dict of str to cvxpy.Variable
        ``f``, ``moments+`` and ``moments-`` ([[m, u'], [u, U]] of each output sign), ``z+``, ``z-``, free terms.
    fit : cvxpy constraint
    unit : float
        The rows were divided by it, and reg with them; the values are those of the data.
    """

    problem: TrainingProblem
    model: Any
    variables: dict[str, Any]
    fit: Any
    unit: float

    def solve(
        self, solver: str = "CLARABEL", *, tol: float | None = 1e-8, time_limit: float | None = None
    ) -> JointMomentSolution:
        """Solve the program and recover the dual vector and the moments.

        Raises
        ------
        SolverError
            If the solver returned nothing, or a limit ended it before it had values.
        """
        started = time.perf_counter()
        try:
            status = run_solver(self.model, solver, tol=tol, time_limit=time_limit)
        except InfeasibleError:
            raise SolverError("The solver called the relaxation infeasible; scale the data or reg.") from None
        return self.recover(status, time.perf_counter() - started)

    def recover(self, status: ProgramStatus, seconds: float = 0.0) -> JointMomentSolution:
        """The dual vector and the moments of the solved model."""
        problem = self.problem
        predictions = _solved(self.variables["f"])
        if problem.loss.smooth:
            nu = -problem.gradient(predictions)
        else:
            nu = np.asarray(self.fit.dual_value, dtype=np.float64)
        states = {}
        for sign, name in ((1, "moments+"), (-1, "moments-")):
            matrix = _solved(self.variables[name])
            states[sign] = self._normalised(matrix)
        nu = problem.loss.clip_dual(nu, problem.y, problem.sample_weight)
        return JointMomentSolution(nu, float(self.model.value), predictions, states, status, seconds)

    def _normalised(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moments of the weights (without a free bias) for amplitude one, inside the unit ball."""
        q = len(matrix) - 1
        kept = q - 1 if self.problem.bias == "free" else q
        mass = float(matrix[0, 0])
        if mass <= 1e-9 * max(1.0, float(np.max(np.abs(matrix)))):
            return np.zeros(kept), np.eye(kept) / kept
        u, U = matrix[0, 1 : 1 + kept] / mass, matrix[1 : 1 + kept, 1 : 1 + kept] / mass
        spread = max(float(np.trace(U)), float(u @ u), 1e-12)
        return (u / spread**0.5, U / spread) if spread > 1 else (u, U)


def build_joint_moment(problem: TrainingProblem) -> JointMoment:
    r"""Build the moment relaxation of the whole training problem: a semidefinite program whose dual vector is its best.

    For each output sign, moments ``[[m, u'], [u, U]]`` of neurons with total amplitude m, and responses z in R^n:

    .. math::

        \min\; L(z^+ - z^-, y) + \mathrm{reg}\,(m^+ + m^-) \quad\text{s.t.}\quad
        \begin{pmatrix} m & u^\top \\ u & U \end{pmatrix} \succeq 0,\; \mathrm{tr}\,U = m,\quad
        s^2 \le m\, q,\quad s \ge \pm t,\; q_i / \|x_i\| ,

    where ``t = X u``, ``q_i = x_i' U x_i`` and ``z = (1+kappa)/2 t + (1-kappa)/2 s``. Every network gives a feasible
    point of the same value, so the optimum is a lower bound; ``nu = -grad L`` satisfies both moment bounds with reg and
    its dual value equals the optimum. With a free bias the moments are those of ``(w, b)`` with ``||w|| = 1`` and
    ``|b| <= max ||x_i||`` on centred data: valid, but loose; bound its nu by ``price_moment``.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.

    Returns
    -------
    JointMoment

    Raises
    ------
    ProblemError
        For several outputs, or if the program would be too large.

    References
    ----------
    Shor (1987), Lasserre (2001); Pilanci and Ergen (2020) for the problem that is relaxed.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    >>> solution = build_joint_moment(problem).solve()
    >>> round(solution.value, 5), solution.nu.round(4).tolist()
    (0.475, [0.1, 0.2])
    """
    require_path_norm(problem, "build_joint_moment")
    if not problem.scalar:
        raise ProblemError("The joint moment program is for scalar outputs; price_outputs bounds several.")
    rows, sizes, unit, reach = _inputs(problem)
    reg = problem.reg / unit
    f = cp.Variable(problem.n, name="f")
    variables: dict[str, Any] = {"f": f}
    constraints: list[Any] = []
    terms: list[Any] = []
    squares = squares_map(rows)
    mass: Any = 0.0
    for sign, name in ((1.0, "+"), (-1.0, "-")):
        block, response, conditions = _sign_block(problem, rows, sizes, squares, reach, name)
        variables[f"moments{name}"], variables[f"z{name}"] = block, response
        constraints += conditions
        terms.append(sign * response)
        mass = mass + block[0, 0]
    free, free_fit = free_terms(problem)
    variables.update(free)
    loss, conditions = problem.loss.expression(f, problem.y, problem.sample_weight)
    fit = f == sum(terms + free_fit)
    model = cp.Problem(cp.Minimize(loss + reg * mass), [fit, *constraints, *conditions])
    return JointMoment(problem, model, variables, fit, unit)


def _inputs(problem: TrainingProblem) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Rows of size at most one, their largest response on the ball, the unit, and the reach of a free bias."""
    if problem.bias != "free":
        unit = float(np.max(row_norms(problem.extended))) or 1.0
        rows = problem.extended / unit
        return rows, row_norms(rows), unit, 0.0
    centred = problem.X - problem.X.mean(axis=0)
    unit = float(np.max(row_norms(centred))) or 1.0
    rows = np.column_stack([centred / unit, np.ones(problem.n)])
    reach = 1.0
    return rows, row_norms(rows[:, :-1]) + reach, unit, reach


def _sign_block(
    problem: TrainingProblem, rows: np.ndarray, sizes: np.ndarray, squares: np.ndarray, reach: float, name: str
) -> tuple[Any, Any, list[Any]]:
    """Moments, response and constraints of one output sign."""
    n, d = rows.shape
    kappa = problem.kappa
    block = cp.Variable((d + 1, d + 1), symmetric=True, name=f"moments{name}")
    bent = cp.Variable(n, name=f"bent{name}")
    m, u, U = block[0, 0], block[0, 1:], block[1:, 1:]
    t, q = rows @ u, squares @ cp.vec(U, order="F")
    conditions = [block >> 0, bent >= t, bent >= -t]
    used = np.flatnonzero(sizes > 0)
    conditions.append(bent[used] >= cp.multiply(1 / sizes[used], q[used]))
    conditions.append(cp.SOC(m + q, cp.vstack([2 * bent, m - q]), axis=0))
    if problem.bias == "free":
        conditions += [cp.trace(U[:-1, :-1]) == m, U[-1, -1] <= reach**2 * m]
    else:
        conditions.append(cp.trace(U) == m)
    return block, 0.5 * (1 + kappa) * t + 0.5 * (1 - kappa) * bent, conditions
