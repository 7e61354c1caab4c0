r"""The label-noise program over a few (cell, sign) pairs, in units of one, and networks with few neurons from it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InaccurateSolutionWarning, InfeasibleError
from ..losses import HuberLoss
from ..networks.activations import activate
from ..networks.label_noise import label_noise_norms
from ..networks.reduce import reduce_amplitudes
from ..networks.shallow import ShallowNetwork
from ..pricing._label_noise_cells import GradientCells
from ..programs._label_noise_recovery import label_noise_network, placed
from ..programs._recovery import effective_blocks
from ..programs.label_noise import program_of_cells
from ..solvers._amplitudes import amplitudes
from .master import Pair

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["LabelNoiseMaster", "MasterPoint"]

_DUST = 1e-10
"""Neurons are left out while all of them together change no prediction by more than this share of the largest."""


@dataclass(frozen=True, eq=False)
class MasterPoint:
    """Solved program: its network, dual vectors worth pricing, the limit that ended it."""

    network: ShallowNetwork
    duals: list[np.ndarray]
    limit: str


class LabelNoiseMaster:
    """Builds and solves the program over any pairs of cells."""

    def __init__(self, problem: TrainingProblem, cells: GradientCells, solver: str, max_iter: int | None) -> None:
        self.problem, self.cells, self.solver, self.max_iter = problem, cells, solver, max_iter
        self.scaled, self._y, self._columns, self._weight = _in_units(problem, cells)

    def solve(self, pairs: list[Pair], tol: float, time_limit: float) -> MasterPoint:
        """Solve the program over ``pairs``.

        Raises
        ------
        InfeasibleError, SolverError
            As the program does.
        """
        positive = [cell for cell, sign in pairs if sign > 0]
        negative = [cell for cell, sign in pairs if sign < 0]
        used = np.unique(positive + negative)
        scaled = GradientCells(self.scaled, self.cells.G[:, used])
        scaled.weights = self.cells.weights[used] / self._weight
        program = program_of_cells(
            scaled, np.searchsorted(used, positive).astype(int), np.searchsorted(used, negative).astype(int),
            [self.cells.walls(cell) for cell in used.tolist()],
        )  # fmt: skip
        with warnings.catch_warnings():
            # Bounds are recomputed from whatever the solver returns, so its own doubts are not passed on.
            warnings.simplefilter("ignore", InaccurateSolutionWarning)
            limit = None if self.solver == "ECOS" else max(time_limit, 0.05)
            try:
                status = program.solve(self.solver, tol=tol, time_limit=limit, max_iter=self.max_iter)
            except InfeasibleError as error:
                nu = None if error.certificate is None else np.asarray(error.certificate) / self._y
                raise InfeasibleError(str(error), nu) from None
        parts = [program.block(name) for name, chosen in (("V", positive), ("W", negative)) if chosen]
        vectors = np.concatenate(parts, axis=1) * (self._y / self._columns)[:, None]
        where = np.array(positive + negative)
        signs = np.repeat([1.0, -1.0], [len(positive), len(negative)])
        network = self._network(where, vectors, signs)
        duals = [program.nu() * self._dual_unit()]
        if self.problem.loss.name == "interpolation":
            duals.insert(0, self._tightened(duals[0], network))
        return MasterPoint(network, duals, str(status) if "limit" in str(status) else "")

    def _tightened(self, nu: np.ndarray, network: ShallowNetwork) -> np.ndarray:
        """The nearest dual vector at which every neuron of the network has the value ``reg`` a unit of cost."""
        c = network.output_weights
        values = np.sign(c) * network.hidden(self.problem.X)
        costs = label_noise_norms(network, self.problem.X, self.problem.bias)
        columns = values / np.where(costs > 0, costs, 1.0)
        heavy = np.abs(c) * costs > 1e-9 * float(np.max(np.abs(c) * costs, initial=0.0))
        for _ in range(2):
            missing = self.problem.reg - columns[:, heavy].T @ nu
            nu = nu + np.linalg.lstsq(columns[:, heavy].T, missing, rcond=None)[0]
        return nu

    def _dual_unit(self) -> float:
        """Size of the dual vector of the scaled problem in that of the original one."""
        name = self.problem.loss.name
        return self._y if name in ("squared", "huber") else self._weight if name == "interpolation" else 1.0

    def _network(self, where: np.ndarray, vectors: np.ndarray, signs: np.ndarray) -> ShallowNetwork:
        """Few neurons, inside their cells, that make the predictions of the program."""
        problem, cells = self.problem, self.cells
        outputs = activate(problem.extended @ vectors, problem.kappa)
        size = max(float(np.max(np.abs(outputs @ signs))), float(np.max(np.abs(problem.y))))
        kept = np.flatnonzero(effective_blocks(np.max(np.abs(outputs), axis=0), _DUST * size))
        moved, factors = placed(cells, where[kept], vectors[:, kept])
        alive = factors > 0
        moved, factors, signs = moved[:, alive], factors[alive], signs[kept][alive]
        costs = cells.lengths(where[kept][alive], moved)
        best = label_noise_network(problem, moved, signs * factors)
        hidden = activate(problem.extended @ moved, problem.kappa) / costs
        for shares in self._better_shares(hidden, signs, costs * factors):
            used = np.flatnonzero(shares > 0)
            found = label_noise_network(problem, moved[:, used], signs[used] * shares[used] / costs[used])
            best = found if problem.objective(found) <= problem.objective(best) * (1 + 1e-9) else best
        return best

    def _better_shares(self, hidden: np.ndarray, signs: np.ndarray, shares: np.ndarray) -> Iterator[np.ndarray]:
        """The cost of each neuron when few are left, and when it is optimised for these neurons."""
        problem = self.problem
        if not len(shares):
            return
        few = reduce_amplitudes(hidden, signs[:, None], shares, np.zeros((problem.n, 0)))
        yield few
        used = np.flatnonzero(few > 0)
        if problem.loss.name == "interpolation" and used.size:
            fitted = few.copy()
            for _ in range(2):
                missing = problem.y - hidden @ (signs * fitted)
                fitted[used] += np.linalg.lstsq(hidden[:, used] * signs[used], missing, rcond=None)[0]
            if fitted.min() >= 0:
                yield fitted
        if problem.loss.smooth and used.size:
            polished = np.zeros_like(few)
            polished[used] = amplitudes(problem, hidden[:, used] * signs[used], few[used], np.zeros(0))[0]
            yield polished


def _in_units(problem: TrainingProblem, cells: GradientCells) -> tuple[TrainingProblem, float, np.ndarray, float]:
    """The problem with targets and columns of size about one, and the powers of two: of y, columns, and weights.

    Neither outputs nor cones depend on the units of the columns; the weights of the cells are those of the data.
    """
    name = problem.loss.name
    y = _power(problem.y) if name in ("squared", "huber", "absolute", "interpolation") else 1.0
    columns = np.array([_power(column) for column in problem.extended.T])
    weight = _power(cells.weights)
    changes: dict[str, object] = {"X": problem.X / columns[: problem.d], "y": problem.y / y}
    if name != "interpolation":
        changes["reg"] = problem.reg * weight / (y if name in ("squared", "huber") else 1.0)
    if isinstance(problem.loss, HuberLoss):
        changes["loss"] = HuberLoss(problem.loss.delta / y)
    return problem.with_options(**changes), y, columns, weight


def _power(values: np.ndarray) -> float:
    """The power of two nearest above the size of the values, 1 for zeros."""
    top = float(np.max(np.abs(values), initial=0.0))
    return 2.0 ** math.ceil(math.log2(top)) if top > 0 else 1.0
