r"""Proof by cells: one witness for each pair of opposite cells, and multipliers for each cell and sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PatternError, ProofFileError
from ..pricing.geometry import CellGeometry
from ..pricing.multipliers import candidates
from ..problem import require_path_norm
from ._proof_text import encode

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["cells_payload"]

_BLOCK = 4096


def cells_payload(
    problem: TrainingProblem, nu: np.ndarray, patterns: PatternSet, *, target: float | None = None
) -> dict[str, Any]:
    r"""Multipliers that bound ``M(nu)`` on every cell, ready for :func:`convexnet.certificates.write_proof`.

    On the cell of a pattern with ``D = diag(2 pattern - I)`` and slopes S,

    .. math:: \pm\nu^\top \sigma(Xu) \le \|\pm X^\top S \nu + X^\top D m\|_* \|u\|, \qquad m \ge 0 .

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.
    nu : ndarray of shape (n,)
    patterns : PatternSet
        All patterns of ``problem.extended``.
    target : float, optional
        Cells that are below this without multipliers get none. Default: the exact ``M(nu)``.

    Raises
    ------
    PatternError
        If the patterns are not complete or belong to other data.

    References
    ----------
    Pilanci and Ergen (2020), dual of the convex program over cells.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem, enumerate_patterns
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    >>> payload = cells_payload(problem, np.array([0.1, 0.2]), enumerate_patterns(problem.extended))
    >>> payload["kind"], payload["witnesses"]["shape"]
    ('cells', [1, 1])
    """
    require_path_norm(problem, "cells_payload")
    from ..pricing.cells import price_cells

    patterns.check(problem.extended)
    if not patterns.proven:
        raise PatternError("A proof by cells needs all activation patterns; use enumerate_patterns without a limit.")
    nu = np.asarray(nu, dtype=np.float64)
    if target is None:
        target = price_cells(problem, nu, patterns).bound
    used = np.flatnonzero(np.any(problem.extended != 0, axis=1))
    half = np.flatnonzero(patterns.patterns[used[0]] > 0) if used.size else np.zeros(0, dtype=int)
    writer = _Multipliers(problem, nu, target)
    for start in range(0, len(half), _BLOCK):
        writer.add(patterns.patterns[:, half[start : start + _BLOCK]].T > 0, used)
    integers = [
        [position, [str(value) for value in patterns.exact_witnesses[cell]]]
        for position, cell in enumerate(half.tolist())
        if cell in patterns.exact_witnesses
    ]
    size = "u2" if problem.n < 65536 else "i4"
    values = np.concatenate([np.zeros(0), *writer.values])
    return {
        "kind": "cells",
        "witnesses": encode(patterns.witnesses[:, half].T),
        "integers": integers,
        "counts": encode(np.concatenate([np.zeros(0, dtype=int), *writer.counts]).reshape(-1, 4), "u1"),
        "rows": encode(np.concatenate([np.zeros(0, dtype=int), *writer.rows]), size),
        # Any multipliers are valid; where no equality is at stake rounding them changes the bound in second order.
        "values": encode(values, "f8" if problem.bias == "free" or problem.norm == "l1" else "f4"),
    }


class _Multipliers:
    """Collects multipliers cell by cell: the cell itself for +nu and -nu, then its antipode."""

    def __init__(self, problem: TrainingProblem, nu: np.ndarray, target: float) -> None:
        self.problem, self.nu, self.target = problem, nu, target
        self.geometry = CellGeometry(problem)
        self.counts: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []
        self.values: list[np.ndarray] = []

    def add(self, active: np.ndarray, used: np.ndarray) -> None:
        """Multipliers of a block of patterns (P, n)."""
        opposite = ~active
        opposite[:, np.setdiff1d(np.arange(active.shape[1]), used)] = True
        counts = np.zeros((len(active), 4), dtype=int)
        plain = np.stack([self._plain(active), self._plain(opposite)], axis=1)
        counts[:, :2][plain[:, 0] > self.target] = -1
        counts[:, 2:][plain[:, 1] > self.target] = -1
        for p, kind in np.argwhere(counts < 0).tolist():
            pattern = (active if kind < 2 else opposite)[p]
            rows, values = self._cell(pattern, self.nu if kind % 2 == 0 else -self.nu)
            counts[p, kind] = len(rows)
            self.rows.append(rows)
            self.values.append(values)
        self.counts.append(counts.ravel())

    def _plain(self, active: np.ndarray) -> np.ndarray:
        """The bound without multipliers: infinite for free biases, whose bias part must vanish."""
        if self.problem.bias == "free":
            return np.full(len(active), np.inf)
        g = np.where(active, self.nu, self.problem.kappa * self.nu) @ self.problem.extended
        return np.linalg.norm(g, np.inf if self.problem.norm == "l1" else 2, axis=1) * (1 + 1e-12)

    def _cell(self, active: np.ndarray, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and multipliers of one cell and sign, in the units of the data."""
        geometry = self.geometry
        g = geometry.rows.T @ np.where(active, nu, self.problem.kappa * nu)
        top = float(np.max(np.abs(g), initial=0.0))
        if not top > 0 or (geometry.free and bool(active.all() or not active.any())):
            return np.zeros(0, dtype=int), np.zeros(0)
        A = np.where(active[geometry.kept], 1.0, -1.0)[:, None] * geometry.unit
        best, chosen = np.inf, np.zeros(len(A))
        limits = geometry._limits(active) if geometry.free else (0.0, 0.0)
        for multipliers, _ in candidates(g / top, A, self.problem.norm, geometry.free):
            bound = geometry._bound(g / top + multipliers @ A, limits)
            if bound < best:
                best, chosen = bound, multipliers
        kept = np.flatnonzero(chosen > 0)
        if len(kept) > 255:
            kept = kept[np.argsort(-chosen[kept])[:255]]
            kept.sort()
        rows = np.flatnonzero(geometry.kept)[kept]
        values = chosen[kept] * top / geometry.sizes[rows]
        if not np.isfinite(values).all():
            raise ProofFileError("A multiplier of a cell is not finite; rescale the data.")
        return rows, values
