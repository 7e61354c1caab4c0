r"""Gradient descent with fresh noise on the labels in every step, whose implicit penalty is the label-noise one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._validation import check_count, check_positive
from ..errors import ProblemError
from ._label_noise_form import LabelNoiseForm, require_label_noise

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["LabelNoiseRuns", "label_noise_sgd"]

_SETTLE = 100
"""Most Gauss-Newton steps from an iterate to an exact fit."""
_CALMING = 20
_SETTLED = 1e-8
"""Largest residual of such a fit, relative to the largest target."""


@dataclass(frozen=True, eq=False, repr=False)
class LabelNoiseRuns:
    r"""Iterates of gradient descent with label noise, from several starts, recorded now and then.

    Attributes
    ----------
    steps : ndarray of shape (T,)
        Numbers of the recorded steps.
    losses : ndarray of shape (T, S)
        Loss on the true labels. In equilibrium the noise alone makes it about ``reg`` times the penalty.
    penalties, balanced : ndarray of shape (T, S)
        :math:`\tfrac12 \sum_i \|\nabla f(x_i)\|^2` of the iterates, as they are and after balancing their neurons.
    objectives : ndarray of shape (T, S)
        ``problem.objective`` of the mean parameters over the second half of the steps since the last record, in which
        the fluctuations cancel; NaN where a start diverged.
    settled : ndarray of shape (T, S)
        The penalty, as it is, of an exact fit near these means, found without noise; NaN where none was reached.
    networks : tuple of ShallowNetwork or None
        The last means, None where a start diverged.
    settled_networks : tuple of ShallowNetwork or None
        The exact fits near them; None where none was reached.
    learning_rate, noise : float
        Step size, and standard deviation of the noise: ``reg = learning_rate * noise^2 / 2``, times n / B for batches.
    time : float
        Seconds.
    seed : int
    ended : str
        ``finished``, ``time limit``, ``callback``, ``diverged`` or ``interrupted``.
    problem : TrainingProblem
    """

    steps: np.ndarray
    losses: np.ndarray
    penalties: np.ndarray
    balanced: np.ndarray
    objectives: np.ndarray
    settled: np.ndarray
    networks: tuple[ShallowNetwork | None, ...]
    settled_networks: tuple[ShallowNetwork | None, ...]
    learning_rate: float
    noise: float
    time: float
    seed: int
    ended: str
    problem: TrainingProblem

    def __repr__(self) -> str:
        return (
            f"LabelNoiseRuns(starts={self.losses.shape[1]}, steps={int(self.steps[-1])}, "
            f"penalty={float(np.median(self.penalties[-1])):.6g}, ended={self.ended!r})"
        )

    def summary(self) -> str:
        """Several lines for people."""
        first, last = self.penalties[0], self.penalties[-1]
        return (
            f"{self!r}\n"
            f"  learning rate {self.learning_rate:.3g}, noise {self.noise:.3g}: implicit reg {self.problem.reg:.6g}\n"
            f"  penalty, median over the starts     {np.median(first):.6g} at first, {np.median(last):.6g} at last\n"
            f"  smallest objective of mean iterates {_smallest(self.objectives[-1])}\n"
            f"  smallest penalty of an exact fit    {_smallest(self.settled[-1])}\n"
            f"  time {self.time:.1f} s, seed {self.seed}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists for JSON; what is not finite becomes None."""
        arrays = {name: getattr(self, name) for name in ("losses", "penalties", "balanced", "objectives", "settled")}
        lists = {name: [[_plain(v) for v in row] for row in array.tolist()] for name, array in arrays.items()}
        return {
            "steps": self.steps.tolist(), **lists, "learning_rate": self.learning_rate, "noise": self.noise,
            "reg": self.problem.reg, "time": self.time, "seed": self.seed, "ended": self.ended,
        }  # fmt: skip


def label_noise_sgd(
    problem: TrainingProblem,
    *,
    width: int = 60,
    n_starts: int = 8,
    max_iter: int = 100_000,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    n_records: int = 20,
    random_state: int = 0,
    time_limit: float | None = None,
    callback: Callable[[int, np.ndarray], object] | None = None,
) -> LabelNoiseRuns:
    r"""Descend the squared loss with noise on the labels, fresh in every step; nothing is penalised explicitly.

    .. math:: \theta \leftarrow \theta - \eta\, \frac{n}{B} \sum_{i \in \mathrm{batch}}
              \big(f(x_i) - y_i - s\, \xi_i\big) \nabla f(x_i), \qquad \xi_i \sim N(0, 1)

    Near an exact fit the residuals fluctuate with variance :math:`\eta s^2 / 2` along every direction that the loss
    sees, which moves the parameters as if :math:`\tfrac{\eta s^2}{4} \sum_i \|\nabla f(x_i)\|^2` were part of the
    loss (small :math:`\eta`; full batches, else n / B times as much). The noise is chosen such that this is the penalty
    of ``problem``: :math:`s^2 = 2\, \mathrm{reg}\, B / (n \eta)`. Whether the iterates come close to the minimum is
    for a lower bound to say.

    Parameters
    ----------
    problem : TrainingProblem
        With ``norm="label_noise"``, the squared loss and no sample weights; ``reg`` sets the noise.
    width, n_starts : int
    max_iter : int
        Steps.
    learning_rate : float, optional
        Default: a fifth of the inverse of the largest sum of squared gradients at a start.
    batch_size : int, optional
        Samples per step, drawn with replacement. Default: all, each once.
    n_records : int
        Records, evenly spaced, besides that of the starts.
    random_state : int
    time_limit : float, optional
        Seconds of descent; settling the recorded iterates takes as long again at most.
    callback : callable, optional
        ``callback(step, penalties)`` at every record; True ends the descent.

    Returns
    -------
    LabelNoiseRuns
        An interrupt from the keyboard ends the descent: what was recorded so far is returned, not settled.

    Raises
    ------
    ProblemError
        If the problem has another norm or loss, sample weights, or an option is invalid.

    References
    ----------
    Blanc, Gupta, Valiant and Valiant (2020), "Implicit regularization for deep neural networks driven by an
    Ornstein-Uhlenbeck like process"; Damian, Ma and Lee (2021), "Label noise SGD provably prefers flat global
    minimizers".

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0], reg=0.01, norm="label_noise")
    >>> runs = label_noise_sgd(problem, width=10, n_starts=2, max_iter=2000, n_records=4)
    >>> runs.penalties.shape, bool(runs.penalties[-1].max() < runs.penalties[0].max())
    ((5, 2), True)
    """
    _check(problem, batch_size, callback)
    form = LabelNoiseForm(problem, check_count(width, "width"))
    steps, records = check_count(max_iter, "max_iter"), check_count(n_records, "n_records")
    seed = check_count(random_state, "random_state", minimum=0)
    limit = math.inf if time_limit is None else check_positive(time_limit, "time_limit")
    W, c = form.starts(check_count(n_starts, "n_starts"), seed)
    if learning_rate is None:
        rate = 0.1 / float(np.max(form.penalties(W, c)[0]))
    else:
        rate = check_positive(learning_rate, "learning_rate")
    run = _Descent(form, W, c, rate, batch_size, np.random.default_rng([seed, 1]))
    begin = time.perf_counter()
    with np.errstate(all="ignore"):
        marks = np.unique(np.linspace(0, steps, records + 1).astype(int))
        try:
            ended = run.all_steps(marks, begin + limit, callback)
            settled = run.settle(0.0 if ended == "interrupted" else time.perf_counter() + limit)
        except KeyboardInterrupt:
            ended, settled = "interrupted", run.settle(0.0)
        return run.result(ended, settled, time.perf_counter() - begin, seed)


def _check(problem: TrainingProblem, batch_size: int | None, callback: object) -> None:
    require_label_noise(problem, "label_noise_sgd")
    if problem.loss.name != "squared" or problem.sample_weight is not None:
        raise ProblemError(
            "label_noise_sgd descends the squared loss without sample weights, for which the implicit penalty of label "
            f"noise is known; got loss={problem.loss.name!r}."
        )
    if batch_size is not None and check_count(batch_size, "batch_size") > problem.n:
        raise ProblemError(f"batch_size is {batch_size}, but the problem has {problem.n} samples.")
    if callback is not None and not callable(callback):
        raise ProblemError(f"callback must be callable as callback(step, penalties), got {callback!r}.")


class _Record(NamedTuple):
    """Number of steps, parameters there, and their mean over the second half of the steps since the last record."""

    step: int
    now: tuple[np.ndarray, np.ndarray]
    mean: tuple[np.ndarray, np.ndarray]


class _Descent:
    """State of the descent: parameters of all starts and what was recorded."""

    def __init__(
        self, form: LabelNoiseForm, W: np.ndarray, c: np.ndarray, rate: float, batch: int | None,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.form, self.W, self.c, self.rate, self.batch, self.rng = form, W, c, rate, batch, rng
        share = 1.0 if batch is None else batch / form.problem.n
        self.noise = math.sqrt(2 * form.problem.reg * share / rate)
        self.kept: list[_Record] = []

    def all_steps(
        self, marks: np.ndarray, deadline: float, callback: Callable[[int, np.ndarray], object] | None
    ) -> str:
        """Steps up to every mark, a record at each; why the descent ended."""
        step = 0
        for mark in marks.tolist():
            first, ended = (step + mark) // 2, ""
            total = (np.zeros_like(self.W), np.zeros_like(self.c))
            try:
                while step < mark and not ended:
                    self._step(self._noise())
                    step += 1
                    if step > first:
                        total = (total[0] + self.W, total[1] + self.c)
                    if step % 64 == 0 and time.perf_counter() > deadline:
                        ended = "time limit"
            except KeyboardInterrupt:
                ended = "interrupted"
            count = max(step - first, 0)
            mean = (self.W, self.c) if count == 0 else (total[0] / count, total[1] / count)
            self.kept.append(_Record(step, (self.W, self.c), mean))
            if ended:
                return ended
            penalties = self.form.penalties(self.W, self.c)[0]
            if not np.isfinite(penalties).any():
                return "diverged"
            if callback is not None and callback(step, penalties) is True:
                return "callback"
        return "finished"

    def _noise(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Noise on the labels, and how often each sample counts in this step."""
        S, n = len(self.W), self.form.problem.n
        if self.batch is None:
            return self.noise * self.rng.standard_normal((S, n)), None
        counts = self.rng.multinomial(self.batch, np.full(n, 1 / n), size=S).astype(float)
        # Repeated draws of one sample carry independent noise.
        spread = np.divide(1.0, np.sqrt(counts), out=np.zeros_like(counts), where=counts > 0)
        return self.noise * spread * self.rng.standard_normal((S, n)), counts * (n / self.batch)

    def _step(self, draw: tuple[np.ndarray, np.ndarray | None]) -> None:
        """One step of all starts, on new arrays."""
        xi, counts = draw
        E = self.form.E
        T = self.W @ E.T
        slopes = np.where(T > 0, 1.0, self.form.problem.kappa)
        T *= slopes
        residual = np.matmul(self.c[:, None, :], T)[:, 0] - self.form.problem.y - xi
        if counts is not None:
            residual *= counts
        outer = np.matmul(T, residual[:, :, None])[:, :, 0]
        slopes *= residual[:, None, :]
        inner = np.matmul(slopes, E) * self.c[:, :, None]
        self.W, self.c = self.W - self.rate * inner, self.c - self.rate * outer

    def settle(self, deadline: float) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Every recorded mean moved to an exact fit nearby, and which of them got there."""
        W = np.concatenate([record.mean[0] for record in self.kept])
        c = np.concatenate([record.mean[1] for record in self.kept])
        y, S = self.form.problem.y, len(self.W)
        tolerance = _SETTLED * max(float(np.max(np.abs(y))), 1e-300)
        for _ in range(_SETTLE):
            missing = y - self.form.predict(W, c)
            if np.all(np.abs(missing) <= tolerance) or time.perf_counter() > deadline:
                break
            W, c = self._closer(*self._calmed(W, c))
        fits = np.max(np.abs(y - self.form.predict(W, c)), axis=1) <= tolerance
        return [(W[k : k + S], c[k : k + S], fits[k : k + S]) for k in range(0, len(W), S)]

    def _calmed(self, W: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A few steps of noise-free descent, which pass the kinks that stop Gauss-Newton steps."""
        rate = 0.1 / float(np.nanmax(self.form.penalties(W, c)[0], initial=1e-300))
        quiet = _Descent(self.form, W, c, min(rate, 1e300), None, self.rng)
        for _ in range(_CALMING):
            quiet._step((np.zeros((1, self.form.problem.n)), None))
        return quiet.W, quiet.c

    def _closer(self, W: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The shortest change of the parameters that fits to first order, halved until the residual shrinks."""
        E, missing = self.form.E, self.form.problem.y - self.form.predict(W, c)
        H, slopes, _ = self.form.hidden(W)
        scaled = c[:, :, None] * slopes
        gram = np.matmul(scaled.transpose(0, 2, 1), scaled) * (E @ E.T) + np.matmul(H.transpose(0, 2, 1), H)
        gram[~np.isfinite(gram).all(axis=(1, 2))] = 0.0
        alpha = np.matmul(np.linalg.pinv(gram, rcond=1e-12, hermitian=True), np.nan_to_num(missing)[:, :, None])
        inner, outer = (scaled * alpha.transpose(0, 2, 1)) @ E, np.matmul(H, alpha)[:, :, 0]
        size, share = np.linalg.norm(missing, axis=1), np.ones(len(W))
        for _ in range(6):
            rest = self.form.problem.y - self.form.predict(W + share[:, None, None] * inner, c + share[:, None] * outer)
            share = np.where(np.linalg.norm(rest, axis=1) < (1 - 1e-3 * share) * size, share, share / 2)
        return W + share[:, None, None] * inner, c + share[:, None] * outer

    def result(self, ended: str, settled: list[tuple[Any, Any, Any]], seconds: float, seed: int) -> LabelNoiseRuns:
        """What was recorded."""
        form, problem = self.form, self.form.problem
        both = [form.penalties(*record.now) for record in self.kept]
        exact = [np.where(fits, form.penalties(W, c)[0], np.nan) for W, c, fits in settled]
        losses = [[problem.loss_value(f) for f in form.predict(*record.now)] for record in self.kept]
        means = [_networks(form, *record.mean) for record in self.kept]
        W, c, fits = settled[-1]
        fitted = _networks(form, W, c)
        return LabelNoiseRuns(
            steps=np.array([record.step for record in self.kept]),
            losses=np.array(losses),
            penalties=np.array([plain for plain, _ in both]),
            balanced=np.array([balanced for _, balanced in both]),
            objectives=np.array([[np.nan if net is None else problem.objective(net) for net in row] for row in means]),
            settled=np.array(exact),
            networks=means[-1],
            settled_networks=tuple(net if fit else None for net, fit in zip(fitted, fits, strict=True)),
            learning_rate=self.rate,
            noise=self.noise,
            time=seconds,
            seed=seed,
            ended=ended,
            problem=problem,
        )


def _networks(form: LabelNoiseForm, W: np.ndarray, c: np.ndarray) -> tuple[ShallowNetwork | None, ...]:
    """The networks of all starts, None for those that diverged."""
    finite = np.isfinite(W).all(axis=(1, 2)) & np.isfinite(c).all(axis=1)
    return tuple(form.network(W[s], c[s]) if finite[s] else None for s in range(len(W)))


def _smallest(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{float(known.min()):.6g}" if known.size else "none reached"


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
