r"""Heuristic pricing: many directions climb the sphere at once, the best are finished exactly in their cell."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError
from ..networks._arrays import row_norms
from ..networks.activations import activate, activate_derivative
from ..problem import require_path_norm
from ._climb import climb_form
from .forms import PricingForm
from .result import PricingResult
from .spectral import check_dual, direction_norms

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["AscentResult", "attained_value", "climb", "local_maxima", "price_ascent"]

_STEPS = np.array([1.0, 0.3, 0.1, 0.03])
_ROUNDS = 40
_SAME = 1e-4
_ENTRIES = 2_000_000
"""Most entries of a response matrix; fewer directions are used for more samples."""


@dataclass(frozen=True, eq=False, repr=False)
class AscentResult(PricingResult):
    """A :class:`PricingResult` with all the local maxima that were met.

    Attributes
    ----------
    atoms : ndarray of shape (q, A)
        Distinct neurons of norm one (bias last, if the problem has one), best first.
    values : ndarray of shape (A,)
    signs : ndarray of int, shape (A,)
        Sign of ``nu . sigma(X atom)``, whose size is the value.
    """

    atoms: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    signs: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))


def price_ascent(
    problem: TrainingProblem,
    nu: np.ndarray,
    *,
    n_starts: int = 128,
    random_state: Any = 0,
    starts: np.ndarray | None = None,
    target: float | None = None,
    time_limit: float | None = None,
    max_atoms: int = 8,
) -> AscentResult:
    r"""Look for directions of large ``|nu . sigma(X u)|``, ``||u|| = 1``; no bound (it is infinite), scalar outputs.

    Each start moves towards the normalised gradient of its cell, over the best of four step lengths; with a free bias
    the bias is optimised exactly for every direction. The best directions are finished by a convex-concave procedure
    that ends at a local maximum, kinks included.

    Parameters
    ----------
    problem : TrainingProblem
    nu : ndarray of shape (n,)
        Orthogonal to the problem's free columns.
    n_starts : int
        Directions for each sign of nu: gradients, data rows and random ones. Fewer where n is very large.
    random_state : int or numpy Generator
    starts : ndarray of shape (q, R), optional
        Further start directions, e.g. the current neurons (with a free bias the last row is ignored).
    target : float, optional
        Only local maxima above it are listed in ``atoms``. The status is then ``violated`` if there are any.
    time_limit : float, optional
        Seconds.
    max_atoms : int
        Most local maxima to list.

    Raises
    ------
    ProblemError
        For several outputs; if ``nu`` has another shape, is not finite, or has a non-zero sum with free biases.

    References
    ----------
    Yuille and Rangarajan (2003) for the convex-concave procedure; Bach (2017), section 3, for the pricing problem.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [1.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> result = price_ascent(problem, problem.y)
    >>> round(result.value, 4), result.bound
    (2.2361, inf)
    """
    require_path_norm(problem, "price_ascent")
    started = time.perf_counter()
    atoms, signs, values, rounds = _search(
        problem, nu, starts, n_starts, random_state, np.inf if time_limit is None else started + time_limit, max_atoms
    )
    late = time_limit is not None and time.perf_counter() - started > time_limit
    value = float(values[0]) if values.size else 0.0
    atom = atoms[:, 0] if values.size else np.zeros(problem.extended.shape[1])
    sign = int(signs[0]) if values.size else 1
    listed = values > (-np.inf if target is None else target)
    status = "violated" if target is not None and value > target else "time_limit" if late else "done"
    work = {"iterations": float(rounds), "seconds": time.perf_counter() - started}
    return AscentResult(
        value, np.inf, "all", "sphere ascent", atom, sign, status=status, work=work,
        atoms=atoms[:, listed], values=values[listed], signs=signs[listed],
    )  # fmt: skip


def local_maxima(
    problem: TrainingProblem,
    nu: np.ndarray,
    *,
    starts: np.ndarray | None = None,
    n_starts: int = 256,
    threshold: float = 0.0,
    max_atoms: int = 8,
    random_state: Any = 0,
    time_limit: float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct local maxima above ``threshold``, best first: atoms (q, A), signs (A,), values (A,); see price_ascent.

    Raises
    ------
    ProblemError
        As :func:`price_ascent`.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [-1.0]], [1.0, 1.0], reg=0.1, bias="none")
    >>> atoms, signs, values = local_maxima(problem, np.array([2.0, 1.0]))
    >>> atoms.tolist(), signs.tolist(), values.tolist()
    ([[1.0, -1.0]], [1, 1], [2.0, 1.0])
    """
    require_path_norm(problem, "local_maxima")
    result = price_ascent(
        problem, nu, n_starts=n_starts, random_state=random_state, starts=starts, target=threshold,
        time_limit=time_limit, max_atoms=max_atoms,
    )  # fmt: skip
    return result.atoms, result.signs, result.values


def attained_value(problem: TrainingProblem, nu: np.ndarray, atoms: np.ndarray) -> tuple[np.ndarray, float, int]:
    """The best column of ``atoms`` (q, R) scaled to norm one, its value ``|nu . sigma(X u)|`` and the sign."""
    atoms, scores = _scored(problem, nu, atoms)
    if not scores.size:
        return np.zeros(problem.extended.shape[1]), 0.0, 1
    best = int(np.argmax(np.abs(scores)))
    return atoms[:, best], abs(float(scores[best])), 1 if scores[best] >= 0 else -1


def climb(form: PricingForm, direction: np.ndarray) -> np.ndarray:
    """Move a direction of a form to a local maximum of the form on the unit sphere; its value never decreases.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> from convexnet.pricing import pricing_forms
    >>> problem = TrainingProblem([[3.0, 0.0], [0.0, 4.0]], [1.0, 1.0], reg=1.0, bias="none")
    >>> form = pricing_forms(problem, np.array([1.0, 1.0]))[0]
    >>> climb(form, np.array([1.0, 0.1])).round(6).tolist()
    [0.6, 0.8]
    """
    return climb_form(form.linear, form.rows, form.weights, direction)


def _scored(problem: TrainingProblem, nu: np.ndarray, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of usable norm scaled to norm one, and ``nu . sigma(X u)`` of each."""
    sizes = direction_norms(problem, atoms)
    usable = np.isfinite(sizes) & (sizes > 0)
    atoms = atoms[:, usable] / sizes[usable]
    return atoms, nu @ activate(problem.extended @ atoms, problem.kappa)


def _search(
    problem: TrainingProblem, nu: np.ndarray, starts: np.ndarray | None, n_starts: int, random_state: Any,
    deadline: float, max_atoms: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:  # fmt: skip
    """Climb with both signs; return distinct atoms, signs, values and the number of rounds."""
    check_dual(problem, nu)
    if not problem.scalar:
        raise ProblemError("price_ascent is for scalar outputs; price_outputs combines its results for several.")
    rows = problem.X if problem.bias == "free" else problem.extended
    # Centred data give the same value for free biases and lose no digits far from the origin.
    rows = rows - rows.mean(axis=0) if problem.bias == "free" else rows
    generator = np.random.default_rng(random_state)
    count = int(max(4, min(n_starts, _ENTRIES // problem.n)))
    found, rounds = [], 0
    for sign in (1, -1):
        directions = _starts(rows, sign * nu, starts, count, generator)
        sphere = _Sphere(problem, rows, sign * nu)
        directions, steps = sphere.climb(directions, deadline)
        rounds += steps
        found.append(sphere.finish(directions, 2 * max_atoms, deadline))
    atoms, scores = _scored(problem, nu, np.concatenate(found, axis=1))
    kept = _distinct(activate(problem.extended @ atoms, problem.kappa), np.abs(scores), np.sign(scores), max_atoms)
    kept = kept[np.abs(scores[kept]) > 0]
    return atoms[:, kept], np.where(scores[kept] < 0, -1, 1), np.abs(scores[kept]), rounds


def _starts(
    rows: np.ndarray, r: np.ndarray, given: np.ndarray | None, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Unit start directions as columns: given ones, gradients, data rows of large weight, Gaussian ones."""
    d = rows.shape[1]
    parts = [rows.T @ np.column_stack([r, np.maximum(r, 0), np.minimum(r, 0)])]
    parts.append(-parts[0])
    heavy = np.argsort(-np.abs(r) * row_norms(rows))[: count // 4]
    parts += [rows[heavy].T * np.where(r[heavy] < 0, -1.0, 1.0)]
    scale = np.sqrt(np.mean(rows**2, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    random = generator.standard_normal((d, max(count - 6 - len(heavy), 1)))
    # Half of them in the coordinates of the data, half in whitened ones.
    random[:, ::2] /= scale[:, None]
    parts.append(random)
    if given is not None:
        parts.append(np.asarray(given, dtype=np.float64).reshape(np.shape(given)[0], -1)[:d])
    directions = np.concatenate(parts, axis=1)
    norms = np.linalg.norm(directions, axis=0)
    usable = np.isfinite(norms) & (norms > 0)
    return directions[:, usable] / norms[usable]


class _Sphere:
    """``r . sigma(X u)`` for many unit directions at once; with a free bias the best bias for each."""

    def __init__(self, problem: TrainingProblem, rows: np.ndarray, r: np.ndarray) -> None:
        self.problem, self.rows, self.r, self.kappa = problem, rows, r, problem.kappa
        self.free = problem.bias == "free"

    def values(self, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of responses T (n, R) of the weights, and the sample whose kink the bias puts at zero."""
        if not self.free:
            return self.r @ activate(T, self.kappa), np.zeros(T.shape[1], dtype=int)
        order = np.argsort(T, axis=0)
        t, r = np.take_along_axis(T, order, axis=0), self.r[order]
        mass, moment = np.cumsum(r, axis=0), np.cumsum(r * t, axis=0)
        above = moment[-1] - moment - t * (mass[-1] - mass)
        scores = above + self.kappa * (moment - t * mass)
        best = np.argmax(scores, axis=0)
        columns = np.arange(T.shape[1])
        return scores[best, columns], order[best, columns]

    def gradient(self, T: np.ndarray, kinks: np.ndarray) -> np.ndarray:
        """Gradient of the cell that each response lies in."""
        shift = T[kinks, np.arange(T.shape[1])] if self.free else 0.0
        slopes = self.r[:, None] * activate_derivative(T - shift, self.kappa)
        gradient = self.rows.T @ slopes
        return gradient - self.rows[kinks].T * slopes.sum(axis=0) if self.free else gradient

    def climb(self, U: np.ndarray, deadline: float) -> tuple[np.ndarray, int]:
        """Best of four steps towards the gradient for every column, until none gains."""
        T = self.rows @ U
        values, kinks = self.values(T)
        moving = np.arange(U.shape[1])
        rounds = 0
        while moving.size and rounds < _ROUNDS and time.perf_counter() < deadline:
            rounds += 1
            G = self.gradient(T[:, moving], kinks[moving])
            sizes = np.linalg.norm(G, axis=0)
            G /= np.where(sizes > 0, sizes, 1.0)
            TG = self.rows @ G
            before = values[moving].copy()
            U0, T0 = U[:, moving], T[:, moving]
            for step in _STEPS:
                candidate = (1 - step) * U0 + step * G
                norms = np.maximum(np.linalg.norm(candidate, axis=0), 1e-12)
                TC = ((1 - step) * T0 + step * TG) / norms
                scores, at = self.values(TC)
                better = np.flatnonzero(scores > values[moving])
                chosen = moving[better]
                U[:, chosen], T[:, chosen] = candidate[:, better] / norms[better], TC[:, better]
                values[chosen], kinks[chosen] = scores[better], at[better]
            gain = values[moving] - before
            moving = moving[gain > 1e-6 * np.abs(values[moving])]
        return U, rounds

    def finish(self, U: np.ndarray, count: int, deadline: float) -> np.ndarray:
        """The best distinct columns, moved to local maxima; as neurons of the problem."""
        T = self.rows @ U
        values, kinks = self.values(T)
        shift = T[kinks, np.arange(len(kinks))] if self.free else 0.0
        kept = _distinct(activate(T - shift, self.kappa), values, np.ones_like(values), count)
        neurons = []
        for column in kept:
            u, kink = U[:, column], int(kinks[column])
            for _ in range(4 if self.free else 1):
                if time.perf_counter() > deadline:
                    break
                u = self._climb_one(u, kink)
                _, again = self.values((self.rows @ u)[:, None])
                if int(again[0]) == kink:
                    break
                kink = int(again[0])
            neurons.append(np.append(u, -float(self.problem.X[kink] @ u)) if self.free else u)
        return np.column_stack(neurons) if neurons else np.zeros((self.problem.extended.shape[1], 0))

    def _climb_one(self, u: np.ndarray, kink: int) -> np.ndarray:
        rows = self.rows - self.rows[kink] if self.free else self.rows
        linear = 0.5 * (1 + self.kappa) * (self.r @ rows)
        used = np.any(rows != 0, axis=1) & (self.r != 0)
        return climb_form(linear, rows[used], 0.5 * (1 - self.kappa) * self.r[used], u)


def _distinct(responses: np.ndarray, values: np.ndarray, signs: np.ndarray, count: int) -> np.ndarray:
    """Indices of the best columns whose responses differ in direction (or in sign), best first."""
    norms = np.linalg.norm(responses, axis=0)
    units = responses / np.where(norms > 0, norms, 1.0)
    kept: list[int] = []
    for column in np.argsort(-values, kind="stable").tolist():
        if len(kept) >= count:
            break
        cosines = units[:, kept].T @ units[:, column]
        if not np.any((cosines > 1 - _SAME) & (signs[kept] == signs[column])):
            kept.append(column)
    return np.array(kept, dtype=int)
