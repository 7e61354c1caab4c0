r"""Why no network interpolates: a Farkas vector, found and checked in exact arithmetic on the floats as given.

The outputs of all networks on the data span a known space. Rows that are parallel up to sign share a line; on a line a
neuron is ``(1 + kappa)/2 t + (1 - kappa)/2 |t|``, and the functions ``|p . u|`` of distinct lines ``p`` are linearly
independent. So the span is that of one vector of lengths for each line (its even part), the columns of X (the common
odd part) and the free columns, and a vector orthogonal to these but not to the targets proves that none fits. The
threshold activation tells apart the rays, not the lengths, of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrangements._reduction import merge_parallel
from ..errors import InfeasibleError
from ..problem import check_problem

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["FarkasVector", "check_interpolable", "find_contradiction"]

_ROUNDING = 1e-9
"""Targets that contradict each other by no more than this share of the largest count as equal."""
_LISTED = 4

Row = list[Fraction]


@dataclass(frozen=True, eq=False)
class FarkasVector:
    r"""Integers ``nu`` with ``nu . f(X) = 0`` for every network of every width, and ``nu . y > 0``.

    Attributes
    ----------
    exact : tuple of int
        Entries of ``nu``, one a sample.
    output : int
        The column of the targets that is contradicted (0 for a target vector).
    nu : ndarray of shape (n,) or (n, k)
        ``exact`` scaled to largest entry one and rounded, zero for the other outputs.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0], [1.0]], [3.0, 4.0, 5.0], loss="interpolation")
    >>> vector = find_contradiction(problem)
    >>> vector.exact, vector.check(problem)
    ((-1, 0, 1), True)
    """

    exact: tuple[int, ...]
    output: int
    nu: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The samples whose targets contradict each other."""
        return np.flatnonzero([value != 0 for value in self.exact])

    def check(self, problem: TrainingProblem) -> bool:
        """Verify the claim from the raw data in rational arithmetic, by formulas of its own."""
        check_problem(problem)
        if len(self.exact) != problem.n or not self.rows.size or not 0 <= self.output < problem.n_outputs:
            return False
        weight = problem.sample_weight
        if weight is not None and np.any(weight[self.rows] == 0):
            return False
        target = problem.y if problem.scalar else problem.y[:, self.output]
        nu = [Fraction(value) for value in self.exact]
        used = self.rows.tolist()
        conflict = sum((nu[i] * Fraction(float(target[i])) for i in used), Fraction(0))
        rows = [_fractions(problem.extended[i]) for i in used]
        free = [_fractions(problem.free_columns[i]) for i in used]
        values = [nu[i] for i in used]
        if problem.activation == "threshold":
            orthogonal = _rays_cancel(values, rows)
        else:
            odd = problem.kappa == -1 or _vanishes(values, rows)
            orthogonal = odd and (problem.kappa == 1 or _even_parts_vanish(values, rows))
        return conflict > 0 and orthogonal and _vanishes(values, free)

    def explain(self, problem: TrainingProblem) -> str:
        """One sentence about the rows at fault."""
        rows = self.rows
        shown = ", ".join(str(i) for i in rows[:_LISTED]) + (", ..." if len(rows) > _LISTED else "")
        if len(rows) == 1:
            return f"row {shown} of X is zero, where every network without bias is zero, but its target is not"
        if np.all(problem.extended[rows] == problem.extended[rows[0]]):
            return f"rows {shown} of X are repeated with different targets"
        kind = "are parallel" if len(rows) == 2 else "are tied by parallel and opposite rows"
        return f"rows {shown} of X {kind}, but their targets are not"

    def __repr__(self) -> str:
        return f"FarkasVector(rows={self.rows.tolist()}, output={self.output})"

    def summary(self) -> str:
        """One line for people."""
        return (
            f"nu with {len(self.rows)} non-zero entries: orthogonal to the outputs of every network on the data, "
            "but not to the targets; checked in rational arithmetic."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists; the integers as text, for they may be long."""
        return {"exact": [str(value) for value in self.exact], "output": self.output, "rows": self.rows.tolist()}


def find_contradiction(problem: TrainingProblem) -> FarkasVector | None:
    r"""Find a Farkas vector of an interpolation problem, or None if some network fits the targets.

    .. math:: \nu^\top f(X) = 0 \ \text{for all networks } f, \qquad \nu^\top y > 0

    Decided for the floats as given, whatever activation, bias rule and free terms; contradictions of less than 1e-9 of
    the size of the targets count as rounding. Without parallel or zero rows the answer takes milliseconds.

    Parameters
    ----------
    problem : TrainingProblem
        Its loss does not matter.

    Raises
    ------
    ProblemError
        If it is no TrainingProblem.

    References
    ----------
    Farkas' lemma; the odd and even parts of a ReLU layer are elementary.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> find_contradiction(TrainingProblem([[1.0], [2.0]], [1.0, 3.0], loss="interpolation")) is None
    True
    >>> find_contradiction(TrainingProblem([[1.0], [2.0]], [1.0, 3.0], loss="interpolation", bias="none")).exact
    (-2, 1)
    """
    check_problem(problem)
    search = _Search(problem)
    outputs = problem.y[:, None] if problem.scalar else problem.y
    for output, target in enumerate(outputs.T):
        exact = search.contradiction(target)
        if exact is not None:
            nu = np.zeros(outputs.shape)
            top = max(abs(value) for value in exact)
            nu[:, output] = [float(Fraction(value, top)) for value in exact]
            return FarkasVector(exact, output, nu[:, 0] if problem.scalar else nu)
    return None


def check_interpolable(problem: TrainingProblem) -> None:
    """Raise InfeasibleError, with an exactly checked Farkas vector, if no network of any width fits the targets.

    Raises
    ------
    InfeasibleError
        Its ``proof`` is the :class:`FarkasVector`.
    ProblemError
        If the problem is no TrainingProblem.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> check_interpolable(TrainingProblem([[1.0], [1.0]], [0.0, 1.0], loss="interpolation"))
    Traceback (most recent call last):
        ...
    convexnet.errors.InfeasibleError: No network of any width interpolates these targets: rows 0, 1 of X ...
    """
    found = find_contradiction(problem)
    if found is None:
        return
    if not found.check(problem):  # pragma: no cover - the search and the check agree, or neither is believed
        return
    raise InfeasibleError(
        f"No network of any width interpolates these targets: {found.explain(problem)}. The attached vector proves it "
        "(checked in rational arithmetic); average the targets of equal rows, or train with loss='squared'.",
        found.nu,
        proof=found,
    )


class _Search:
    """Differences of rows in which the even parts cancel; what is left must vanish with the targets' differences."""

    def __init__(self, problem: TrainingProblem) -> None:
        keep = np.arange(problem.n)
        if problem.sample_weight is not None:
            keep = np.flatnonzero(problem.sample_weight > 0)
        self.problem, self.keep, self.scaled = problem, keep, True
        self.odd = problem.kappa != -1 and problem.activation != "threshold"
        self.differences = list(self._differences())

    def _differences(self) -> Iterator[dict[int, Fraction]]:
        """Sparse vectors that span what is orthogonal to the even parts."""
        problem, rows = self.problem, self.problem.extended[self.keep]
        if problem.kappa == 1:
            yield from ({int(i): Fraction(1)} for i in self.keep)
            return
        _, group, orient = merge_parallel(rows)
        if problem.activation == "threshold":  # 1[t >= 0] tells no lengths, is one on zero rows, and unrelated at -t
            group, self.scaled = np.where(group < 0, 0, 1 + 2 * group + (orient < 0)), False
        yield from ({int(i): Fraction(1)} for i in self.keep[group < 0])
        order = np.argsort(group, kind="stable")
        first = -1
        for position in order[group[order] >= 0]:
            if first < 0 or group[position] != group[first]:
                first = int(position)
                continue
            a, b = self._length(first), self._length(int(position))
            yield {int(self.keep[first]): -b, int(self.keep[position]): a}

    def _length(self, position: int) -> Fraction:
        """Length of a row in the units of its line (parallel rows have their largest entry in the same place)."""
        row = self.problem.extended[self.keep[position]]
        if not self.scaled:
            return Fraction(1)
        return Fraction(float(np.max(np.abs(row))))

    def contradiction(self, target: np.ndarray) -> tuple[int, ...] | None:
        """Combine differences until one vanishes on every network but not on the targets."""
        limit = Fraction(float(np.max(np.abs(target[self.keep]), initial=0.0))) * Fraction(_ROUNDING)
        pivots: list[tuple[int, Row, dict[int, Fraction]]] = []
        for difference in self.differences:
            combined = dict(difference)
            rest = self._response(difference)
            for column, row, source in pivots:
                if rest[column]:
                    factor = rest[column] / row[column]
                    rest = [r - factor * s for r, s in zip(rest, row, strict=True)]
                    for index, value in source.items():
                        combined[index] = combined.get(index, Fraction(0)) - factor * value
            column = next((k for k, value in enumerate(rest) if value), -1)
            if column >= 0:
                pivots.append((column, rest, combined))
                continue
            conflict = sum((v * Fraction(float(target[i])) for i, v in combined.items()), Fraction(0))
            if abs(conflict) > limit * sum(abs(v) for v in combined.values()):
                return self._integers(combined, conflict < 0)
        return None

    def _response(self, difference: dict[int, Fraction]) -> Row:
        """What the odd part and the free columns make of a difference."""
        problem = self.problem
        total = [Fraction(0)] * (problem.extended.shape[1] + problem.free_columns.shape[1])
        for i, value in difference.items():
            odd = problem.extended[i] if self.odd else np.zeros(problem.extended.shape[1])
            for k, entry in enumerate([*odd.tolist(), *problem.free_columns[i].tolist()]):
                total[k] += value * Fraction(entry)
        return total

    def _integers(self, combined: dict[int, Fraction], flip: bool) -> tuple[int, ...]:
        """Coprime integers in the ratios of the fractions."""
        common = math.lcm(*(value.denominator for value in combined.values()))
        whole = {i: int(value * common) for i, value in combined.items()}
        divisor = math.gcd(*whole.values()) * (-1 if flip else 1)
        return tuple(whole.get(i, 0) // divisor for i in range(self.problem.n))


def _fractions(values: np.ndarray) -> Row:
    return [Fraction(value) for value in values.tolist()]


def _vanishes(nu: Row, rows: list[Row]) -> bool:
    """Whether ``sum_i nu_i row_i = 0``."""
    sums = (sum((v * row[k] for v, row in zip(nu, rows, strict=True)), Fraction(0)) for k in range(len(rows[0])))
    return not any(sums)


def _even_parts_vanish(nu: Row, rows: list[Row]) -> bool:
    """Whether ``sum_i nu_i |x_i . u| = 0`` for every u: the lengths on each line cancel."""
    totals: dict[tuple[Fraction, ...], Fraction] = {}
    for value, row in zip(nu, rows, strict=True):
        lead = next((entry for entry in row if entry), Fraction(0))
        if lead:
            line = tuple(entry / lead for entry in row)
            totals[line] = totals.get(line, Fraction(0)) + value * abs(lead)
    return not any(totals.values())


def _rays_cancel(nu: Row, rows: list[Row]) -> bool:
    """Whether ``sum_i nu_i 1[x_i . u >= 0] = 0`` for every u: the entries on each ray cancel."""
    totals: dict[tuple[Fraction, ...], Fraction] = {}
    for value, row in zip(nu, rows, strict=True):
        lead = next((abs(entry) for entry in row if entry), Fraction(1))
        ray = tuple(entry / lead for entry in row)
        totals[ray] = totals.get(ray, Fraction(0)) + value
    return not any(totals.values())
