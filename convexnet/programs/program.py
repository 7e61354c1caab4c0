"""A convex program with its variables by name, its dual vector and the way back to a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import cvxpy as cp
import numpy as np

from ..errors import InfeasibleError, ProblemError, SolverError
from ..problem import TrainingProblem
from .solver import ProgramStatus, run_solver

__all__ = ["Program"]


@dataclass(eq=False, repr=False)
class Program:
    r"""A CVXPY model of a training problem over listed activation patterns.

    The model minimises ``loss(f, y) + reg * (sum of block norms)`` subject to ``f = (linear map of the blocks)``. All
    its constants are in the units of the data: nothing is rescaled, so constraints on ``variables`` mean what they say.

    Parameters
    ----------
    problem : TrainingProblem
    model : cvxpy.Problem
    variables : dict of str to cvxpy.Variable
        ``f`` (predictions), the blocks (``V`` and ``W``, or ``U``), and ``skip`` and ``intercept`` where they exist.
    reg : cvxpy.Parameter
        Change ``reg.value`` and solve again: the compiled model is reused. Compare such a result with
        ``problem.with_options(reg=...)``.
    fit : cvxpy constraint
        ``f == ...``; its multiplier is the dual vector.
    recovery : callable
        Maps the solved program and a tolerance to a network; called by :meth:`recover`.
    farkas : callable, optional
        Decides whether a vector proves that no network fits the targets.
    constrained : bool
        Whether constraints were added to those of the program.
    status : ProgramStatus or None
        What the last :meth:`solve` returned.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> from convexnet.programs import build_relu
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    >>> program = build_relu(problem, np.array([[1, 0], [1, 0]]))
    >>> str(program.solve())
    'optimal'
    >>> round(program.value, 6), np.round(program.nu(), 6).tolist()
    (0.475, [0.1, 0.2])
    """

    problem: TrainingProblem
    model: Any
    variables: dict[str, Any]
    reg: Any
    fit: Any
    recovery: Callable[[Program, float], Any]
    farkas: Callable[[np.ndarray], bool] | None = None
    constrained: bool = False
    status: ProgramStatus | None = None

    def solve(
        self,
        solver: str = "CLARABEL",
        *,
        tol: float | None = None,
        time_limit: float | None = None,
        verbose: bool = False,
        max_iter: int | None = None,
    ) -> ProgramStatus:
        """Solve the program and return the solver's status; see :func:`convexnet.programs.solver.run_solver`.

        Parameters
        ----------
        solver : {"CLARABEL", "ECOS", "SCS", "HIGHS"}
        tol : float, optional
            Relative gap and feasibility asked of the solver. Default 1e-9 (SCS: 1e-7).
        time_limit : float, optional
            Seconds (not for ECOS).
        max_iter : int, optional

        Raises
        ------
        InfeasibleError
            If no listed network fits the targets (interpolation) or fulfils added constraints. Its ``certificate`` is
            a vector nu with nu . y = 1 and nu . f(X) = 0 for every listed network, when one was found and checked.
        SolverError
            If the solver returned nothing.
        """
        self.status = None
        try:
            self.status = run_solver(
                self.model, solver, tol=tol, time_limit=time_limit, verbose=verbose, max_iter=max_iter
            )
        except InfeasibleError as error:
            raise self._explain() from error
        return self.status

    def _explain(self) -> Exception:
        """The error to raise after the solver called the model infeasible."""
        nu = self._farkas_vector() if self.problem.loss.name == "interpolation" else None
        if nu is not None or (self.problem.loss.name == "interpolation" and self.constrained):
            shown = (
                " The attached nu has nu . y = 1 and is orthogonal to their outputs up to 1e-6 of its terms, so a fit, "
                "if there is one at all, needs an enormous path norm."
            )
            return InfeasibleError(
                "No network with these patterns fits y to working precision. The usual causes are repeated or nearly "
                "repeated rows with different targets, parallel rows without a bias, too few patterns, or added "
                f"constraints. Use loss='squared' to fit approximately.{'' if nu is None else shown}",
                nu,
            )
        if self.constrained:
            return InfeasibleError("The added constraints contradict each other or the cells; drop or loosen them.")
        return SolverError(
            "The solver called the program infeasible without a proof that holds; the data may be too badly scaled for "
            "it. Try another solver or scale the data."
        )

    def _farkas_vector(self) -> np.ndarray | None:
        """The multiplier of the fit as a checked proof that y is out of reach, normalised to nu . y = 1."""
        nu = self.fit.dual_value
        if nu is None or self.farkas is None or not np.isfinite(nu).all():
            return None
        height = float(np.sum(nu * self.problem.y))
        nu = np.asarray(nu) / height if height else np.asarray(nu)
        return nu if height and self.farkas(nu) else None

    @property
    def value(self) -> float:
        """Objective value of the last solve, ``nan`` if a limit left no values."""
        if self.status is None:
            raise ProblemError("The program has no solution yet; call solve() first.")
        value = self.model.value
        return float("nan") if value is None else float(value)

    @property
    def predictions(self) -> np.ndarray:
        """The program's own predictions ``f``, shape (n,) or (n, k)."""
        return self.block("f")

    def block(self, name: str) -> np.ndarray:
        """Return the value of a variable by name.

        Raises
        ------
        ProblemError
            Before :meth:`solve`, or for a name that this program does not have.
        SolverError
            If a limit ended the solver before it had any values.
        """
        if name not in self.variables:
            raise ProblemError(f"This program has no variable {name!r}; it has {', '.join(self.variables)}.")
        if self.status is None:
            raise ProblemError("The program has no solution yet; call solve() first.")
        if self.variables[name].value is None:
            raise SolverError(f"The solver ended ({self.status}) before it had values; allow it more time or steps.")
        return np.asarray(self.variables[name].value, dtype=np.float64)

    def nu(self) -> np.ndarray:
        """Return the dual vector, ``nu = -gradient of the loss`` at the optimal predictions, shaped like y.

        It is made orthogonal to the free columns and then clipped into the domain of the conjugate loss, so for a loss
        with a bounded domain the orthogonality holds up to the solver's accuracy. An added penalty on ``f`` counts as
        part of the loss, and then nu is that of the sum.
        """
        self.block("f")
        if self.fit.dual_value is None:
            raise SolverError("The solver returned no dual values.")
        nu = np.asarray(self.fit.dual_value, dtype=np.float64)
        columns = self.problem.free_columns
        if columns.shape[1]:
            columns = columns / np.maximum(np.abs(columns).max(axis=0), np.finfo(float).tiny)
            nu = nu - columns @ np.linalg.lstsq(columns, nu, rcond=None)[0]
        return self.problem.loss.clip_dual(nu, self.problem.y, self.problem.sample_weight)

    def recover(self, tol: float = 1e-9) -> Any:
        """Return the network of the solution.

        Parameters
        ----------
        tol : float
            Blocks without effect are left out: together they change no prediction by more than ``tol`` times the
            largest ``|f|`` or ``|y|``.
        """
        return self.recovery(self, tol)

    def with_constraints(self, constraints: Iterable[Any]) -> Program:
        """Return the program with further CVXPY constraints on ``variables``; the variables are shared.

        Solving one of two programs that share variables overwrites the values of both.

        Examples
        --------
        Non-negative output weights: without the blocks W every neuron adds to the output.

        >>> import numpy as np
        >>> from convexnet import TrainingProblem
        >>> from convexnet.programs import build_relu
        >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, -2.0], reg=0.5, bias="none")
        >>> program = build_relu(problem, np.array([[1, 0], [1, 0]]))
        >>> signed = program.with_constraints([program.variables["W"] == 0])
        >>> str(signed.solve())
        'optimal'
        >>> bool(np.all(signed.recover().output_weights >= 0))
        True
        """
        added = list(constraints) if isinstance(constraints, Iterable) else [constraints]
        for constraint in added:
            if not isinstance(constraint, cp.Constraint):
                raise ProblemError(f"Constraints must be CVXPY constraints such as V[0] >= 0, got {constraint!r}.")
            if not constraint.is_dcp():
                raise ProblemError(f"The constraint {constraint} is not convex by CVXPY's rules.")
        model = cp.Problem(self.model.objective, [*self.model.constraints, *added])
        return replace(self, model=model, constrained=True, status=None)

    def with_penalty(self, penalty: Any) -> Program:
        """Return the program with a convex CVXPY expression added to its objective; the variables are shared.

        Its value is then no longer ``problem.objective`` of the network.
        """
        objective = cp.Minimize(self.model.objective.args[0] + penalty)
        return replace(self, model=cp.Problem(objective, self.model.constraints), status=None)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}{tuple(variable.shape)}" for name, variable in self.variables.items())
        status = "unsolved" if self.status is None else f"{self.status}, value={self.value:.6g}"
        return f"Program({shapes}; {status})"
