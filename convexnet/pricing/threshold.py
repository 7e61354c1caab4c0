r"""Pricing for the threshold activation: the largest correlation of a dual vector with an activation pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import PatternSet, enumerate_patterns, face_patterns, has_positive_direction, pattern_matrix
from ..arrangements.faces import FacePatterns
from ..errors import PatternError, ProblemError
from ..networks._signs import exact_signs
from .result import PricingResult, Violator
from .spectral import check_dual

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["ThresholdPricer", "check_threshold", "price_threshold", "threshold_direction", "threshold_patterns"]

_EPS = float(np.finfo(np.float64).eps)
_CHUNK = 1 << 22
"""Entries of the pattern matrix converted to floats at once."""


def check_threshold(problem: TrainingProblem, what: str) -> None:
    """Raise ProblemError unless the problem has threshold neurons."""
    if problem.activation != "threshold":
        raise ProblemError(
            f"{what} treats threshold neurons only; state the problem with activation='threshold', "
            f"not {problem.activation!r}."
        )


def threshold_patterns(
    problem: TrainingProblem, *, max_cells: int = 5_000_000, time_limit: float | None = None
) -> PatternSet | FacePatterns:
    """List every pattern ``1[X u >= 0]`` of ``problem.extended``: cells, and faces where no direction is positive.

    With a bias the cells have them all. Without one the pattern of a lower-dimensional face can be that of no cell, for
    example that of ``u = 0`` where the data contain x and -x.

    Raises
    ------
    TooManyCellsError
        If there may be more than ``max_cells`` cells or faces, or the time ran out.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> options = {"reg": 0.1, "activation": "threshold"}
    >>> len(threshold_patterns(TrainingProblem([[1.0], [-1.0]], [1.0, 1.0], bias="none", **options)))
    3
    >>> len(threshold_patterns(TrainingProblem([[1.0], [-1.0]], [1.0, 1.0], **options)))
    4
    """
    check_threshold(problem, "threshold_patterns")
    if has_positive_direction(problem.extended):
        return enumerate_patterns(problem.extended, max_cells=max_cells, time_limit=time_limit)
    return face_patterns(problem.extended, max_faces=max_cells, time_limit=time_limit)


def price_threshold(
    problem: TrainingProblem, nu: np.ndarray, patterns: PatternSet | FacePatterns | np.ndarray | None = None,
    *, threshold: float = 0.0, max_violators: int = 0,
) -> PricingResult:  # fmt: skip
    r"""Bound the largest correlation of ``nu`` with the outputs of one threshold neuron.

    .. math:: M(\nu) = \max_u |\nu^\top 1[X u \ge 0]| = \max_p |\nu^\top G_p|

    Parameters
    ----------
    problem : TrainingProblem
        With ``activation="threshold"``.
    nu : ndarray of shape (n,)
        Orthogonal to the free columns of the problem.
    patterns : PatternSet, FacePatterns or 0/1 array (n, P), optional
        Of ``problem.extended``; see :func:`threshold_patterns`. Without them the bound over all subsets of the samples,
        ``max(sum nu_+, sum nu_-)``, exact where the rows are independent.
    threshold : float
        Patterns above it count as violators.
    max_violators : int
        Most of them to report.

    Returns
    -------
    PricingResult
        ``atom`` is zero: the pattern itself is what counts, and the violators name it. ``scope`` is ``"all"`` where
        the list is proven to hold every pattern.

    Raises
    ------
    ProblemError
        If the problem has another activation, or ``nu`` has another shape or is not finite.
    PatternError
        If the patterns are empty or belong to other data.

    References
    ----------
    Ergen, Gulluk, Lacotte and Pilanci (2023), "Globally optimal training of neural networks with threshold activation
    functions".

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [0.0], [1.0]], [1.0, -1.0, 1.0], reg=0.1, activation="threshold")
    >>> round(price_threshold(problem, problem.y, threshold_patterns(problem)).bound, 9)
    1.0
    >>> price_threshold(problem, problem.y).bound > 1.9
    True
    """
    if patterns is not None:
        return ThresholdPricer(problem, patterns).price(nu, threshold=threshold, max_violators=max_violators)
    check_threshold(problem, "price_threshold")
    check_dual(problem, nu)
    bound, nothing = _subsets(np.asarray(nu, dtype=np.float64)), np.zeros(problem.extended.shape[1])
    return PricingResult(0.0, bound, "all", "all subsets of the samples", nothing, 1)


def threshold_direction(
    problem: TrainingProblem, patterns: PatternSet | FacePatterns, index: int
) -> np.ndarray | None:
    """A direction (q,) in floats that has pattern ``index`` exactly, or None if none is known."""
    if isinstance(patterns, FacePatterns):
        return patterns.direction(index)
    u = patterns.witnesses[:, index]
    signs = exact_signs(problem.extended, u[None], np.zeros(1))[:, 0]
    return u if np.array_equal(signs >= 0, patterns.patterns[:, index] == 1) else None


def _subsets(nu: np.ndarray) -> float:
    """``max(sum nu_+, sum nu_-)``, rounded up."""
    size = float(np.sum(np.abs(nu)))
    return max(float(np.sum(np.maximum(nu, 0))), float(np.sum(np.maximum(-nu, 0)))) + (len(nu) + 4) * _EPS * size


class ThresholdPricer:
    """Prices many dual vectors over the same patterns.

    Attributes
    ----------
    G : (n, P) uint8
    complete : whether the patterns are proven to be those of all neurons.
    """

    def __init__(self, problem: TrainingProblem, patterns: PatternSet | FacePatterns | np.ndarray) -> None:
        check_threshold(problem, "Threshold pricing")
        self.problem, self.patterns = problem, patterns
        if isinstance(patterns, FacePatterns):
            patterns.check(problem.extended)
            if not patterns.closed:
                raise PatternError("Threshold neurons are active on their hyperplane: pass face_patterns(closed=True).")
            self.G = patterns.patterns
            self.complete = patterns.proven
        else:
            self.G = pattern_matrix(problem.extended, patterns)
            self.complete = isinstance(patterns, PatternSet) and patterns.proven and self._has_all_active()

    def _has_all_active(self) -> bool:
        """Whether some cell is active everywhere: every face then shares its pattern with a cell."""
        return bool(np.any(np.all(self.G == 1, axis=0)))

    def __len__(self) -> int:
        return int(self.G.shape[1])

    def scores(self, nu: np.ndarray) -> np.ndarray:
        """``nu . G_p`` for all patterns, (P,)."""
        step = max(1, _CHUNK // len(self.G))
        parts = [nu @ self.G[:, start : start + step].astype(np.float64) for start in range(0, len(self), step)]
        return np.concatenate(parts)

    def price(self, nu: np.ndarray, *, threshold: float = 0.0, max_violators: int = 0) -> PricingResult:
        """Price one dual vector; see :func:`price_threshold`."""
        check_dual(self.problem, nu)
        nu = np.asarray(nu, dtype=np.float64)
        scores = self.scores(nu)
        best = int(np.argmax(np.abs(scores)))
        value = float(np.abs(scores[best]))
        noise = (self.problem.n + 4) * _EPS * float(np.sum(np.abs(nu)))
        everything = _subsets(nu)
        name = f"{len(self)} {'patterns' if self.complete else 'listed patterns'}"
        return PricingResult(
            max(value - noise, 0.0), min(value + noise, everything), "all" if self.complete else "listed", name,
            np.zeros(self.problem.extended.shape[1]), 1 if scores[best] >= 0 else -1,
            self._violators(scores, threshold, max_violators),
        )  # fmt: skip

    def _violators(self, scores: np.ndarray, threshold: float, most: int) -> tuple[Violator, ...]:
        sizes = np.abs(scores)
        above = np.flatnonzero(sizes > threshold) if most else np.zeros(0, dtype=int)
        if len(above) > most:
            above = above[np.argpartition(-sizes[above], most)[:most]]
        ordered = above[np.argsort(-sizes[above], kind="stable")]
        return tuple(Violator(int(p), 1 if scores[p] > 0 else -1, float(sizes[p])) for p in ordered)
