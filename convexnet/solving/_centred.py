r"""Data far from the origin: with free biases the norm does not change with the origin, rounding does.

.. math:: f(x) = \sum_j v_j\, \sigma(w_j^\top (x - s) + b_j) + c^\top (x - s) + c_0

is a network of ``x`` with biases ``b_j - w_j' s`` and intercept ``c_0 - c' s``, of the same norm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..certificates.tolerances import largest_residual, rounding_of_objective, rounding_of_zero
from ..certificates.verdict import named_verdict
from ..pricing import dual_bound, feasible_dual, relative_gap
from ..pricing._centre import exact_shift

if TYPE_CHECKING:
    from ..certificates import Certificate
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["centred", "judged_back", "moved_network"]


def centred(problem: TrainingProblem) -> tuple[TrainingProblem, np.ndarray] | None:
    """The same problem with far columns moved to a sample in their middle, exactly, and the shift (d,).

    None where neurons or free terms feel the origin, or no column is far.
    """
    if problem.bias != "free":
        return None
    shift = exact_shift(problem.X)
    if not shift.any():
        return None
    return problem.with_options(X=problem.X - shift), shift


def moved_network(network: ShallowNetwork, shift: np.ndarray) -> ShallowNetwork:
    """The network of ``x - shift`` as one of ``x``."""
    intercept = network.intercept if network.skip is None else network.intercept - float(shift @ network.skip)
    return replace(network, biases=network.biases - network.weights @ shift, intercept=intercept)


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
