r"""From a dual vector to a dictionary: one unit atom for each cell and sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PatternError, ProblemError
from ..networks.activations import activate
from ..problem import require_path_norm
from .geometry import CellGeometry
from .spectral import check_dual, direction_norms

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["CellAtoms", "cell_atoms"]


@dataclass(frozen=True, eq=False)
class CellAtoms:
    """Unit atoms of a dual vector, best first.

    Attributes
    ----------
    directions : ndarray of shape (q, S)
        Neurons of norm one (bias last, if the problem has one), each in its closed cell.
    signs : ndarray of int, shape (S,)
        Sign of ``nu . sigma(X u)``: of the output weight that the atom is good for.
    values : ndarray of shape (S,)
        ``|nu . sigma(X u)|``, attained.
    cells : ndarray of int, shape (S,)
        Index of the cell in the patterns.
    """

    directions: np.ndarray
    signs: np.ndarray
    values: np.ndarray
    cells: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        best = f", largest value {self.values[0]:.6g}" if len(self) else ""
        return f"CellAtoms(atoms={len(self)}, cells={len(np.unique(self.cells))}{best})"

    def above(self, threshold: float) -> CellAtoms:
        """Return the atoms whose value is at least ``threshold``."""
        keep = self.values >= threshold
        return CellAtoms(self.directions[:, keep], self.signs[keep], self.values[keep], self.cells[keep])

    def summary(self) -> str:
        """Return one line for people."""
        positive = int((self.signs > 0).sum())
        return f"{self!r}: {positive} of positive and {len(self) - positive} of negative sign."

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {name: getattr(self, name).tolist() for name in ("directions", "signs", "values", "cells")}


def cell_atoms(
    problem: TrainingProblem, nu: np.ndarray, patterns: PatternSet, *, threshold: float = 0.0
) -> CellAtoms:
    r"""Return the best unit atom of each cell and sign: the projection of ``+-X^T S_p nu`` on the cell, normalised.

    .. math:: \theta_{p,\pm} = \arg\max \{ \pm \nu^\top S_p X u : (2 D_p - I) X u \ge 0,\ \|u\| \le 1 \}

    With the l2 norm it is unique wherever the maximum is positive, and an optimal network has at most one neuron in
    each cell and sign: if ``nu`` is an optimal dual vector, its neurons are among these atoms, and training becomes a
    linear program or lasso over them (:func:`convexnet.solvers.solve_dictionary`).

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.
    nu : ndarray of shape (n,)
        Orthogonal to the problem's free columns.
    patterns : PatternSet
        Patterns of ``problem.extended``.
    threshold : float
        Atoms whose value is not above it are left out; 0 keeps every atom with a positive value.

    Returns
    -------
    CellAtoms

    Raises
    ------
    PatternError
        If the patterns are empty or belong to other data.
    ProblemError
        If the problem has several outputs, or ``nu`` has another shape, is not finite, or has a non-zero sum with free
        biases.

    References
    ----------
    J. de Dios and J. Bruna, "On sparsity in overparametrised shallow ReLU networks", arXiv 2006.10225 (2020):
    one atom per cell; J. J. Moreau (1962) for the projection.

    Examples
    --------
    >>> from convexnet import TrainingProblem, enumerate_patterns
    >>> problem = TrainingProblem([[-1.0], [1.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> atoms = cell_atoms(problem, problem.y, enumerate_patterns(problem.extended))
    >>> atoms
    CellAtoms(atoms=5, cells=5, largest value 2.23607)
    """
    require_path_norm(problem, "cell_atoms")
    if not problem.scalar:
        raise ProblemError("Atoms of cells need a scalar output; state one problem per output.")
    if len(patterns) == 0:
        raise PatternError("The pattern set is empty; list or sample at least one activation pattern.")
    patterns.check(problem.extended)
    check_dual(problem, nu)
    geometry = CellGeometry(problem)
    rays = _RayAtoms(problem, nu, patterns)
    found: list[tuple[float, int, int, np.ndarray]] = []
    for cell, pattern in enumerate(patterns.patterns.T):
        for sign in (1, -1):
            priced = geometry.price(pattern, sign * nu)
            if priced.bound <= threshold:
                continue
            value = sign * float(nu @ activate(problem.extended @ priced.direction, problem.kappa))
            # Where the projection is zero up to rounding, its direction lies in another cell.
            value = value if value <= priced.bound * (1 + 1e-9) else 0.0
            on_ray, direction = rays.best(cell, sign)
            if on_ray > value * (1 + 1e-12):  # badly scaled columns: rays are accurate where a projection is not
                value = on_ray
            else:
                direction = priced.direction
            if value > threshold and value > 1e-9 * priced.bound:
                found.append((value, sign, cell, direction))
    found.sort(key=lambda atom: (-atom[0], atom[2], -atom[1]))
    directions = np.array([atom[3] for atom in found]).reshape(len(found), problem.extended.shape[1]).T
    values, signs, cells = (np.array([atom[k] for atom in found]) for k in range(3))
    return CellAtoms(directions, signs.astype(int), values.astype(float), cells.astype(int))


class _RayAtoms:
    """The best extreme ray of each cell and sign, where rays are known."""

    def __init__(self, problem: TrainingProblem, nu: np.ndarray, patterns: PatternSet) -> None:
        self.rays = patterns.rays
        self._nothing = np.zeros(problem.extended.shape[1])
        if self.rays is None:
            return
        directions = self.rays.directions
        norms = direction_norms(problem, directions)
        self.flat = norms <= 1e-9 * np.linalg.norm(directions, axis=0)
        self.directions = directions / np.where(self.flat, 1.0, norms)
        outputs = problem.extended @ self.directions
        self.scores = np.stack([nu @ activate(outputs, problem.kappa), nu @ activate(-outputs, problem.kappa)])

    def best(self, cell: int, sign: int) -> tuple[float, np.ndarray]:
        """Value and direction; zero where there is none."""
        if self.rays is None:
            return 0.0, self._nothing
        part = slice(int(self.rays.cell_ptr[cell]), int(self.rays.cell_ptr[cell + 1]))
        index, turn = self.rays.ray_index[part], self.rays.ray_sign[part]
        values = np.where(self.flat[index], 0.0, sign * self.scores[(turn < 0).astype(int), index])
        if not len(values):
            return 0.0, self._nothing
        k = int(np.argmax(values))
        return max(float(values[k]), 0.0), self.directions[:, index[k]] * float(turn[k])
