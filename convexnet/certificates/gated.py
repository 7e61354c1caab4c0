r"""Certificates of the gated program: duality gaps over its gates, never statements about ReLU networks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .._versions import versions
from ..errors import ProblemError
from ..networks.gated import GatedNetwork
from ..pricing import dual_bound, feasible_dual, price_gated, relative_gap
from .certificate import Certificate
from .tolerances import check_tolerance, largest_residual

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["certify_gated"]


def certify_gated(
    problem: TrainingProblem,
    network: GatedNetwork,
    patterns: PatternSet,
    nu: Any,
    *,
    tol: float = 1e-6,
    group: str = "nuclear",
) -> Certificate:
    r"""Duality gap of the gated program over the listed gates.

    Feasibility of the dual is ``max_p ||X^T S_p nu||_* <= reg`` with the dual of the block norm: Euclidean (l2) or
    maximum norm (l1) for one output, spectral or Frobenius norm for several.

    Raises
    ------
    PatternError
        If the patterns belong to other data.
    ProblemError
        For a free bias: the gates then fit any targets at no cost, and no positive bound exists.

    References
    ----------
    Mishkin, Sahiner and Pilanci (2022), gated ReLU as a group lasso.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem, enumerate_patterns, solve
    >>> problem = TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> solve(problem, method="gated", patterns=enumerate_patterns(problem.extended)).certificate.verdict
    'listed'
    """
    start = time.perf_counter()
    if problem.bias == "free":
        raise ProblemError("Gated programs have no bound with bias='free': their gates fit any targets at no cost.")
    tol = check_tolerance(tol)
    patterns.check(problem.extended)
    objective = problem.gated_objective(network, group)
    point = feasible_dual(problem, nu)
    bound = price_gated(problem, point.nu, patterns, group=group).bound + point.pricing_slack(problem)
    misfit = largest_residual(problem, network.predict(problem.X), objective)
    lower, scale = dual_bound(problem, point, bound, misfit=misfit)
    gap = relative_gap(objective, lower)
    return Certificate(
        verdict="listed" if gap <= tol else "bound",
        upper_bound=objective,
        lower_bound=lower,
        gap=gap,
        tol=tol,
        scope=f"gated networks over {len(patterns)} listed gates",
        bound_class=f"gated nets, {len(patterns)} gates",
        nu=point.nu,
        scale=scale,
        pricing_bound=bound,
        method=f"{len(patterns)} gates",
        n_patterns=len(patterns),
        misfit=misfit,
        conventions=problem.conventions() | {"group": group},
        data_hash=problem.data_hash,
        wall_time=time.perf_counter() - start,
        versions=versions(),
    )
