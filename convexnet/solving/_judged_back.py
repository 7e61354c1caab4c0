"""What is proven about centred data (:mod:`convexnet.solvers._centred`) is proven about the data as given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..certificates._listed import named_verdict
from ..certificates.tolerances import largest_residual, rounding_of_objective, rounding_of_zero
from ..pricing import dual_bound, feasible_dual, relative_gap

if TYPE_CHECKING:
    from ..certificates import Certificate
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["judged_back"]


def judged_back(
    problem: TrainingProblem, inner: TrainingProblem, network: ShallowNetwork, certificate: Certificate
) -> Certificate | None:
    """The certificate of the moved network, from what was proven of the centred problem; None if it does not carry.

    Both problems have the same networks' values on the samples, so a dual vector has the same domain, value and price.
    """
    point = feasible_dual(inner, certificate.nu)
    if not np.array_equal(point.nu, certificate.nu):
        return None
    objective = problem.objective(network)
    misfit = largest_residual(problem, network.predict(problem.X), objective)
    lower, scale = dual_bound(inner, point, certificate.pricing_bound, misfit=misfit)
    zero = rounding_of_zero(problem)
    upper = objective if objective <= zero else objective + rounding_of_objective(problem, network, objective)
    gap = relative_gap(upper, lower, zero)
    verdict, scope = named_verdict(gap, None, certificate.tol, certificate.n_patterns)
    return replace(
        certificate, verdict=verdict, scope=scope, upper_bound=objective, lower_bound=lower, gap=gap, scale=scale,
        misfit=misfit, improved=None, improved_objective=None, data_hash=problem.data_hash, network=network,
        problem=problem, proof=None,
    )  # fmt: skip
