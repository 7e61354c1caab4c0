"""From the blocks of a gated solver to a network, its objective, and a proven lower bound over the same gates."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrangements import PatternSet, pattern_matrix
from ..errors import PatternError
from ..networks._arrays import row_norms
from ..networks.gated import GatedNetwork
from ..pricing import dual_bound, feasible_dual, price_gated, relative_gap
from ..pricing.gated import check_groups
from .result import GatedResult

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from ._monitor import Monitor

__all__ = ["Found", "GatedCase"]

_CHUNK_ENTRIES = 4_000_000
"""Entries of a table of rows times gates that are held as floats at a time."""


@dataclass(frozen=True)
class Found:
    """What a method hands back: weights, coefficients of the free columns, a dual vector, counts."""

    blocks: np.ndarray
    free: np.ndarray
    nu: np.ndarray
    work: Mapping[str, float] = field(default_factory=dict)


class GatedCase:
    """A gated program: problem, gates and group norm, checked once.

    ``shared`` holds what a method computes from the gates alone, for the next value of reg.

    Raises
    ------
    ProblemError, PatternError
        As :func:`convexnet.programs.build_gated`.
    """

    def __init__(self, problem: TrainingProblem, patterns: Any, group: str = "nuclear") -> None:
        check_groups(problem, group)
        self.problem, self.patterns, self.group = problem, patterns, group
        self.gates = pattern_matrix(problem.extended, patterns)
        self.rows = problem.extended
        self.directions = np.asarray(patterns.witnesses) if isinstance(patterns, PatternSet) else None
        if self.directions is not None:
            _check_directions(self.rows, self.directions, self.gates)
        self.shared: dict[str, Any] = {}

    def at(self, problem: TrainingProblem) -> GatedCase:
        """The case of a problem that differs in reg only."""
        case = copy.copy(self)
        case.problem = problem
        return case

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Shape of the blocks: (q, P) or (q, P, k)."""
        return (self.rows.shape[1], self.gates.shape[1], *self.problem.y.shape[1:])

    def fit(self, blocks: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Predictions at the samples."""
        P = self.gates.shape[1]
        used = np.flatnonzero(np.any(blocks.reshape(len(blocks), P, -1), axis=(0, 2)))
        weights = blocks[:, used].reshape(len(blocks), len(used), self.problem.n_outputs)
        kappa, values = self.problem.kappa, np.zeros((self.problem.n, weights.shape[2]))
        step = max(1, _CHUNK_ENTRIES // max(len(used), 1))
        for first in range(0, self.problem.n, step):
            part = slice(first, first + step)
            factors = kappa + (1 - kappa) * self.gates[part, used]
            for output, columns in enumerate(np.moveaxis(weights, 2, 0)):
                values[part, output] = np.einsum("iq,iq->i", factors @ columns.T, self.rows[part])
        return values.reshape(self.problem.y.shape) + self.problem.free_columns @ free

    def penalty(self, blocks: np.ndarray) -> float:
        """Sum of the group norms of the blocks."""
        if self.problem.scalar:
            return float(row_norms(blocks.T, self.problem.norm).sum())
        each = np.moveaxis(blocks, 1, 0)
        if self.problem.norm == "l1":
            return float(row_norms(each.reshape(-1, each.shape[2])).sum())
        if self.group == "frobenius":
            return float(row_norms(each.reshape(len(each), -1)).sum())
        return float(np.linalg.svd(each, compute_uv=False).sum())

    def objective(self, blocks: np.ndarray, free: np.ndarray) -> float:
        """The gated objective, ``problem.gated_objective(network, group)`` up to rounding."""
        return self.problem.loss_value(self.fit(blocks, free)) + self.problem.reg * self.penalty(blocks)

    def bound(self, nu: np.ndarray) -> tuple[float, np.ndarray]:
        """A proven lower bound of the gated objective from any finite dual vector, and the vector behind it."""
        point = feasible_dual(self.problem, nu)
        priced = price_gated(self.problem, point.nu, self.gates, group=self.group).bound
        lower, _ = dual_bound(self.problem, point, priced + point.pricing_slack(self.problem))
        return lower, point.nu

    def network(self, blocks: np.ndarray, free: np.ndarray) -> GatedNetwork | None:
        """The network with these blocks; None for raw patterns."""
        if self.directions is None:
            return None
        problem = self.problem
        skip = free[: problem.d] if problem.skip else None
        return GatedNetwork(
            self.directions,
            blocks[: problem.d],
            None if problem.bias == "none" else blocks[-1],
            intercept=free[-1] if problem.intercept else np.zeros(problem.y.shape[1:]),
            skip=skip,
            activation=problem.activation,
            negative_slope=problem.negative_slope,
        )

    def result(self, found: Found, monitor: Monitor, method: str) -> GatedResult:
        """Measure what a method found, bound it from below, and wrap up."""
        network = self.network(found.blocks, found.free)
        objective = self.objective(found.blocks, found.free)
        lower, nu = self.bound(found.nu)
        gap = relative_gap(objective, lower)
        status = monitor.status or "stalled"
        if gap <= monitor.tol:
            status = "solved"
        elif status == "solved":
            status = "stalled"
        return GatedResult(
            network=network, blocks=found.blocks, free=found.free, objective=objective, lower_bound=lower, gap=gap,
            nu=nu, status=status, method=method, iterations=monitor.iteration, history=tuple(monitor.history),
            wall_time=monitor.seconds, problem=self.problem, group=self.group, work=dict(found.work),
        )  # fmt: skip


def _check_directions(rows: np.ndarray, directions: np.ndarray, gates: np.ndarray) -> None:
    """The gates of the network must reproduce the patterns in floating point."""
    step = max(1, _CHUNK_ENTRIES // gates.shape[1])
    wrong = np.zeros(gates.shape[1], dtype=bool)
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        wrong |= np.any((rows[part] @ directions >= 0) != (gates[part] == 1), axis=0)
    if wrong.any():
        raise PatternError(
            f"{int(wrong.sum())} cell(s), the first being {int(np.flatnonzero(wrong)[0])}, are too thin for a gate in "
            "floating point; leave them out with patterns.subset(...)."
        )
