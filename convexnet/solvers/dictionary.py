r"""The l1 program over a given dictionary of neurons, with at most n of them in the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..pricing._dictionary import as_dictionary, check_atomic
from ..problem import check_problem, require_path_norm
from ._centred import as_given
from ._column_generation import Atoms, generate_columns
from ._dictionary_master import LINEAR
from ._dictionary_result import DictionaryResult
from ._dictionary_runs import finished, refuse_unreachable
from ._monitor import started
from ._oracles import ListOracle, no_atoms
from .result import Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["solve_dictionary"]

_MAX_NEW = 60


def solve_dictionary(
    problem: TrainingProblem,
    directions: Any,
    *,
    signs: Any = None,
    tol: float = 1e-8,
    time_limit: float = 600.0,
    max_iter: int = 1000,
    callback: Callable[[Progress], object] | None = None,
    verbose: bool = False,
) -> DictionaryResult:
    r"""Choose amplitudes of given neurons: the l1 program over a dictionary.

    .. math:: \min_{z, c}\; L(A z + F c, y) + \mathrm{reg} \sum_s \|u_s\| |z_s| , \qquad
              A_{is} = \sigma(x_i^\top u_s)

    Interpolation, absolute and hinge loss: a linear program (dual simplex of HiGHS). Squared, Huber and logistic loss:
    a lasso, over a working set that grows by pricing the whole dictionary. Either way the answer has at most ``n - rank
    F`` atoms, and a lower bound over the dictionary comes from a dual vector priced over all of it.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.
    directions : array-like of shape (q, S), CellAtoms or RefinedRays
        Neurons as columns (bias last, if the problem has one), of any length, e.g. from
        :func:`convexnet.pricing.cell_atoms`.
    signs : array-like of shape (S,), optional
        1 or -1 where ``z_s`` must have that sign, 0 where it is free. Default: those of ``CellAtoms``, else all free.
    tol : float
        Relative gap over the dictionary at which to stop.
    time_limit : float
        Seconds.
    max_iter : int
        Most programs solved.
    callback : callable, optional
        Called with a :class:`Progress` after each; returning True stops.
    verbose : bool
        Print one line for each.

    Returns
    -------
    DictionaryResult
        With scope "dictionary". ``convexnet.certify(problem, result.network, nu=result.nu)`` bounds all networks.

    Raises
    ------
    InfeasibleError
        Interpolation with a dictionary that cannot fit the targets; its ``certificate`` is a vector nu with
        ``nu . y > 0`` and no positive product with the outputs of an atom, in any sign that it may have.
    DataError
        If the directions are not finite, have another number of rows than ``problem.extended`` has columns, or one has
        norm zero (a constant belongs to the intercept) or beyond 1e-300 to 1e300.
    ProblemError
        For several outputs, or an option out of range.

    References
    ----------
    J. de Dios and J. Bruna, "On sparsity in overparametrised shallow ReLU networks", arXiv 2006.10225 (2020);
    Q. Huangfu and J. A. J. Hall, "Parallelizing the dual revised simplex method", 2018 (HiGHS).

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], loss="interpolation")
    >>> dictionary = np.array([[1.0, -1.0, 1.0, -1.0], [0.0, 2.0, -1.0, 1.0]])  # knots at 0, 2, 1 and 1
    >>> result = solve_dictionary(problem, dictionary)
    >>> result.status, round(result.objective, 9), result.n_atoms
    ('solved', 3.828427125, 2)
    >>> result.coefficients.round(9).tolist()
    [1.0, 0.0, -2.0, 0.0]
    """
    check_problem(problem)
    require_path_norm(problem, "solve_dictionary")
    check_atomic(problem, "solve_dictionary")
    monitor = started(tol, time_limit, max_iter, callback, verbose)
    table, norms, wanted = as_dictionary(problem, directions, signs)
    atoms = _signed_atoms(table, norms, wanted)
    oracle = ListOracle(problem, atoms, _MAX_NEW)
    linear = problem.loss.name in LINEAR
    best = generate_columns(problem, oracle, atoms if linear else no_atoms(problem), monitor)
    if best.infeasible:
        refuse_unreachable(problem, oracle.columns, bool(wanted.any()))
    kind = "linear program" if linear else "lasso"
    return finished(as_given(problem), best, monitor, f"{kind} over {len(norms)} given neurons", "dictionary", norms)


def _signed_atoms(table: np.ndarray, norms: np.ndarray, wanted: np.ndarray) -> Atoms:
    """Atoms of norm one, twice where the sign is free."""
    positive, negative = np.flatnonzero(wanted >= 0), np.flatnonzero(wanted <= 0)
    index = np.concatenate([positive, negative])
    return Atoms((table / norms)[:, index], np.repeat([1.0, -1.0], [len(positive), len(negative)]), index)
