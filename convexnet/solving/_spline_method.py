"""The method for data of one feature: an exact solver whatever the loss, the bias rule and the free terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import PatternError, ProblemError
from ..pricing import CellPricer
from ..problem import require_path_norm
from ..solvers._monitor import started
from ..solvers.spline import spline_result
from ._certified import certified
from ._line_training import covers_line
from .cell_generation import Generated

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem
    from ._certified import Options
    from .solution import Solution

__all__ = ["solve_spline_method"]

_SHARE = 0.9
"""Of the time limit: the verdict needs some too."""


def solve_spline_method(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    """Train on one feature by the exact solver and certify the network over all widths.

    Raises
    ------
    ProblemError
        For more features or outputs, the threshold activation, or label-noise norms.
    PatternError
        If the patterns are not complete.
    """
    require_path_norm(problem, "method='spline'")
    if not covers_line(problem):
        raise ProblemError("method='spline' is for one feature and one output; use method='auto'.")
    if patterns is not None and not patterns.proven:
        raise PatternError("method='spline' trains over all activation patterns; leave patterns out, or use 'cells'.")
    limit = _SHARE * options.remaining()
    found = spline_result(problem, started(min(1e-10, 0.1 * options.tol), limit, options.max_iter, options.callback))
    pricer = None if patterns is None else CellPricer(problem, patterns)
    status = "solved" if found.gap <= options.tol else found.status
    generated = Generated(found.network, found.nu, status, found.history)
    return certified(problem, patterns, pricer, generated, "spline", options)
