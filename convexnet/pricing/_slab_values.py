"""What a direction attains, and what the relaxation of a node takes for the response of a neuron."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..networks._arrays import row_norms
from ..networks.activations import activate
from ._slab_node import Node
from ._slab_rules import quadratic_rows, row_ranges
from .forms import PricingForm

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["attained", "relaxed_response"]


def attained(
    problem: TrainingProblem, nu: np.ndarray, form: PricingForm, direction: np.ndarray
) -> tuple[float, np.ndarray, int]:
    """``|nu . sigma(X atom)|``, rounded down, of the neuron of a direction, with atom and sign."""
    if len(direction) != form.rows.shape[1]:  # no direction of this form was looked at
        direction = np.eye(form.rows.shape[1])[0]
    norm = float(np.linalg.norm(direction))
    unit = direction / norm if norm > 0 else direction
    atom = form.atom(problem, unit)
    data = problem.X if form.centre < 0 else problem.X - problem.X[form.centre]
    rows = problem.extended if form.centre < 0 else data
    value = math.fsum(nu * activate(rows @ unit, problem.kappa))
    rounding = 4 * (rows.shape[1] + 4) * 2.3e-16 * float(np.abs(nu) @ row_norms(rows))
    return max(0.0, abs(value) - rounding), atom, 1 if value >= 0 else -1


def relaxed_response(problem: TrainingProblem, nu: np.ndarray, form: PricingForm, node: Node) -> np.ndarray:
    """Mean response ``sign * E sigma(x_i . u)`` that a node's relaxation allows each sample at its state."""
    rows = problem.extended if form.centre < 0 else problem.X - problem.X[form.centre]
    norms, r = row_norms(rows), form.sign * nu
    t, q = rows @ node.mean, np.einsum("ij,jk,ik->i", rows, node.second, rows)
    lower, upper = -norms, norms
    if len(node.low):
        ranges = row_ranges(rows, norms, node.normals[None], node.low[None], node.high[None])
        lower, upper = np.maximum(lower, ranges[0][0]), np.minimum(upper, ranges[1][0])
    undecided = (lower < 0) & (upper > 0)
    lower, upper = np.where(undecided, lower, -1.0), np.where(undecided, upper, 1.0)
    c2, c1, c0 = quadratic_rows(r > 0, t, q, lower, upper, np.full(1, 1e-4))
    size = np.where(undecided, c2 * q + c1 * t + c0, np.abs(t))
    return form.sign * (0.5 * (1 + problem.kappa) * t + 0.5 * (1 - problem.kappa) * size)
