r"""How often random sparse vectors are recovered: every trial is a proof, not the output of a solver."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import as_matrix, check_choice, check_count, check_jobs, check_positive
from ..errors import DataError, ProblemError
from .recovery import SupportChecker, _checked

__all__ = ["RecoveryCurve", "recovery_rate"]

_TRIAL_LIMIT = 60.0
_VERDICTS = ("unique", "refuted", "undecided")

Draw = Callable[[np.random.Generator, int], Any]


@dataclass(frozen=True, eq=False, repr=False)
class RecoveryCurve:
    """Counts of proven outcomes, one column for every sparsity.

    Attributes
    ----------
    sparsities : ndarray of int, shape (S,)
    unique, refuted, undecided : ndarray of int, shape (S,)
        Trials proven to be recovered, proven not to be, and left open.
    status : {"done", "time_limit"}
        After the time limit some trials are missing.
    wall_time : float
    """

    sparsities: np.ndarray
    unique: np.ndarray
    refuted: np.ndarray
    undecided: np.ndarray
    status: str
    wall_time: float

    @property
    def n_trials(self) -> np.ndarray:
        """Trials made at every sparsity."""
        return np.asarray(self.unique + self.refuted + self.undecided)

    @property
    def rate(self) -> np.ndarray:
        """Proven recoveries among the trials; NaN where there were none."""
        trials = self.n_trials
        return np.asarray(np.where(trials > 0, self.unique / np.maximum(trials, 1), np.nan))

    def interval(self, confidence: float = 0.95) -> np.ndarray:
        """Clopper-Pearson interval of the probability of recovery, shape (S, 2); undecided trials widen it.

        Raises
        ------
        ProblemError
            If the confidence does not lie between 0 and 1.
        """
        from scipy.stats import beta

        if not check_positive(confidence, "confidence") < 1:
            raise ProblemError(f"confidence must be below 1, got {confidence!r}.")
        tail, trials = (1 - confidence) / 2, self.n_trials
        low_hits, high_hits = self.unique, self.unique + self.undecided
        with np.errstate(invalid="ignore"):
            low = np.where(low_hits > 0, beta.ppf(tail, low_hits, trials - low_hits + 1), 0.0)
            high = np.where(high_hits < trials, beta.ppf(1 - tail, high_hits + 1, trials - high_hits), 1.0)
        return np.column_stack([low, high])

    def __repr__(self) -> str:
        rates = ", ".join(f"{s}: {rate:.2f}" for s, rate in zip(self.sparsities, self.rate, strict=True))
        return f"RecoveryCurve({rates})"

    def summary(self) -> str:
        """Return a small table for people."""
        lines = [" s   recovered   not   open   95 % interval"]
        for row in zip(self.sparsities, self.unique, self.refuted, self.undecided, self.interval(), strict=True):
            s, yes, no, unknown, (low, high) = row
            lines.append(f"{s:>2}   {yes:>9}   {no:>3}   {unknown:>4}   {low:.3f} to {high:.3f}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as lists; the rate is None where there were no trials."""
        names = ("sparsities", "unique", "refuted", "undecided")
        counts = {name: getattr(self, name).tolist() for name in names}
        rates = [None if math.isnan(rate) else rate for rate in self.rate.tolist()]
        return {**counts, "rate": rates, "status": self.status, "wall_time": self.wall_time}


def recovery_rate(
    A: Any,
    sparsities: Sequence[int],
    *,
    n_trials: int = 100,
    signs: str = "random",
    draw: Draw | None = None,
    random_state: int | None = 0,
    n_jobs: int | None = None,
    time_limit: float = 600.0,
) -> RecoveryCurve:
    r"""Share of random supports and signs whose vectors are the unique solutions of their l1 programs.

    .. math:: \Pr \big[ \operatorname{argmin} \{ \|x\|_1 : Ax = Az \} = \{z\} \big],
              \qquad |\operatorname{supp} z| = s .

    Whether z is recovered depends on its support and signs alone, so amplitudes are not drawn. Every trial is decided
    by :func:`certify_support`.

    Parameters
    ----------
    A : array (m, N)
    sparsities : list of int
        Between 1 and N.
    n_trials : int
        Per sparsity.
    signs : {"random", "positive"}
    draw : callable, optional
        ``draw(generator, s)`` returns the s column numbers of a trial; uniform without replacement by default.
    random_state : int or None
        Every trial has a stream of its own, so results depend neither on ``n_jobs`` nor on the other sparsities.
    n_jobs : int, optional
        Processes, as in joblib.
    time_limit : float
        Seconds; trials that are not begun by then are left out.

    Raises
    ------
    DataError
        If A is not a finite matrix, or ``draw`` returns no support.
    ProblemError
        If a sparsity or another option is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.random.default_rng(0).standard_normal((10, 20))
    >>> recovery_rate(A, [1, 3, 6], n_trials=20)
    RecoveryCurve(1: 1.00, 3: 0.75, 6: 0.15)
    """
    matrix, start = as_matrix(A, "A"), time.perf_counter()
    sizes = _sizes(sparsities, matrix.shape[1])
    trials, limit = check_count(n_trials, "n_trials"), check_positive(time_limit, "time_limit")
    check_choice(signs, "signs", ("random", "positive"))
    if draw is not None and not callable(draw):
        raise ProblemError("draw must be a function of a generator and a sparsity that returns column numbers.")
    workers = check_jobs(n_jobs)
    seed = None if random_state is None else check_count(random_state, "random_state", minimum=0)
    entropy = np.random.SeedSequence(seed).entropy
    counts = _run(matrix, sizes, trials, entropy, signs, draw, time.time() + limit, workers)
    status = "done" if counts.sum() == trials * len(sizes) else "time_limit"
    return RecoveryCurve(sizes, counts[0], counts[1], counts[2], status, time.perf_counter() - start)


def _sizes(sparsities: Any, count: int) -> np.ndarray:
    """The sparsities as an array, or a ProblemError."""
    try:
        sizes = [check_count(int(s) if isinstance(s, np.integer) else s, "every sparsity") for s in sparsities]
    except TypeError:
        raise ProblemError(f"sparsities must be a list of integers, got {sparsities!r}.") from None
    if not sizes or max(sizes) > count:
        raise ProblemError(f"sparsities must be a non-empty list of integers up to {count}, the number of columns.")
    return np.array(sizes)


def _run(
    A: np.ndarray, sizes: np.ndarray, trials: int, entropy: Any, signs: str, draw: Draw | None, deadline: float,
    n_jobs: int | None,
) -> np.ndarray:  # fmt: skip
    """Verdicts counted, shape (3, S), over all trials begun before the deadline."""
    from joblib import Parallel, delayed, effective_n_jobs

    workers = 1 if n_jobs is None else effective_n_jobs(n_jobs)
    if workers == 1:
        return _trials(A, sizes, range(trials), entropy, signs, draw, deadline)
    parts = [range(start, trials, 4 * workers) for start in range(min(4 * workers, trials))]
    found = Parallel(n_jobs=workers)(delayed(_trials)(A, sizes, part, entropy, signs, draw, deadline) for part in parts)
    return np.asarray(sum(found))


def _trials(
    A: np.ndarray, sizes: np.ndarray, trials: range, entropy: Any, signs: str, draw: Draw | None, deadline: float
) -> np.ndarray:
    """Counts of the verdicts of a few trials at every sparsity, each trial with a random stream of its own."""
    checker, counts = SupportChecker(A), np.zeros((3, len(sizes)), dtype=int)
    for column, s in enumerate(sizes.tolist()):
        for trial in trials:
            left = deadline - time.time()
            if left <= 0:
                return counts
            generator = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(s, trial)))
            support, sigma = _drawn(generator, s, A.shape[1], signs, draw)
            verdict = checker.check(support, sigma, time_limit=min(left, _TRIAL_LIMIT)).verdict
            counts[_VERDICTS.index(verdict), column] += 1
    return counts


def _drawn(
    generator: np.random.Generator, s: int, count: int, signs: str, draw: Draw | None
) -> tuple[np.ndarray, np.ndarray]:
    """Support and signs of a trial."""
    chosen = generator.choice(count, s, replace=False) if draw is None else draw(generator, s)
    if np.shape(chosen) != (s,):
        raise DataError(f"draw must return the {s} column numbers of a support, got {chosen!r}.")
    return _checked(chosen, np.ones(s) if signs == "positive" else generator.choice([-1.0, 1.0], s), count)
