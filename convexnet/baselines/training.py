"""Gradient training of a training problem from random starts, for comparison with convex solutions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_choice, check_count, check_positive
from .._versions import versions
from ..errors import ProblemError
from ..problem import require_path_norm
from .first_order import default_rate, run_adam, run_sgd
from .progress import Callback, Progress
from .quasi_newton import run_lbfgs
from .runs import TrainingRuns
from .standard_form import StandardForm
from .starts import random_starts

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["BACKENDS", "METHODS", "train"]

METHODS = ("lbfgs", "adam", "sgd")
BACKENDS = ("numpy", "torch")
SGD_BATCH = 64


def train(
    problem: TrainingProblem,
    *,
    method: str = "lbfgs",
    width: int = 100,
    n_starts: int = 8,
    max_iter: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    random_state: int | None = 0,
    time_limit: float | None = None,
    backend: str = "numpy",
    callback: Callback | None = None,
) -> TrainingRuns:
    r"""Train networks of a fixed width by gradients on the weight-decay form of the problem.

    .. math:: \min_{u_j, v_j}\; L\Big(\sum_{j=1}^m \sigma(X u_j) v_j^\top,\, Y\Big)
              + \tfrac{\mathrm{reg}}{2} \sum_{j=1}^m \big(\|u_j\|^2 + \|v_j\|_2^2\big)

    with the problem's own bias rule and neuron norm; intercept and skip connection are not penalised. Balancing the
    neurons afterwards never increases the objective, and each returned network is balanced and measured by
    ``problem.objective``. The value of a trained network is an upper bound, with no statement about better networks.

    Parameters
    ----------
    problem : TrainingProblem
    method : {"lbfgs", "adam", "sgd"}
        L-BFGS with restarts (one start after the other); Adam; gradient descent with momentum 0.9. The last two decay
        the learning rate to zero by a cosine and train all starts together. Kinks of activation, loss and norm: L-BFGS
        (numpy) rounds them off less and less and ends on the objective itself; the others use subgradients.
    width : int
        Number m of hidden neurons.
    n_starts : int
    max_iter : int, optional
        Iterations of L-BFGS per start (default 2000) or parameter updates (Adam 3000; with mini-batches and SGD 6000).
    learning_rate : float, optional
        First learning rate of Adam or SGD. Both run on data standardised inside (the objective is unchanged), so that
        one value serves data of any scale. Default for Adam: 0.3 times the size of a starting weight (0.06 times with
        mini-batches); for SGD: 0.3, less where the curvature at a start demands it.
    batch_size : int, optional
        Samples per update, drawn without replacement in shuffled epochs. Default: all for Adam, 64 for SGD.
    random_state : int or None
        Seed; None draws one, recorded in the result.
    time_limit : float, optional
        Seconds; when they are over, the best networks so far are returned.
    backend : {"numpy", "torch"}
        ``torch`` runs the optimizers of PyTorch on the same objective (automatic differentiation, float64, CPU).
    callback : callable, optional
        ``callback(iteration, objectives)`` every 50 iterations, with the best objective of each start so far (L-BFGS:
        starts not yet trained show the value at their starting point). Return True to end the training.

    Returns
    -------
    TrainingRuns

    Raises
    ------
    ProblemError
        For the interpolation loss, an unknown option, or an option the method does not have.
    MissingExtraError
        If ``backend="torch"`` and PyTorch is not installed.

    References
    ----------
    Kingma and Ba (2015), "Adam"; Loshchilov and Hutter (2017) for the cosine decay; Liu and Nocedal (1989) for L-BFGS;
    Neyshabur, Tomioka and Srebro (2015) for weight decay as path norm.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> from convexnet.baselines import train
    >>> problem = TrainingProblem([[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> runs = train(problem, method="adam", width=20, n_starts=4, max_iter=500)
    >>> round(runs.best_objective, 3) <= round(runs.median_objective, 3)
    True
    """
    require_path_norm(problem, "train")
    check_choice(method, "method", METHODS)
    check_choice(backend, "backend", BACKENDS)
    form = StandardForm(problem, check_count(width, "width"))
    options = _options(form, method, max_iter, learning_rate, batch_size)
    limit = None if time_limit is None else check_positive(time_limit, "time_limit")
    if callback is not None and not callable(callback):
        raise ProblemError(f"callback must be callable as callback(iteration, objectives), got {callback!r}.")
    seed = _seed(random_state)
    started = time.perf_counter()
    theta = random_starts(form, check_count(n_starts, "n_starts"), seed)
    progress = Progress(form, theta, limit, callback)
    with np.errstate(all="ignore"):
        iterations = _runner(method, backend)(form, theta, progress, rng=np.random.default_rng([seed, 1]), **options)
    return _result(form, progress, iterations, method, backend, seed, options, time.perf_counter() - started)


def _options(
    form: StandardForm, method: str, max_iter: int | None, learning_rate: float | None, batch_size: int | None
) -> dict[str, Any]:
    """The method's options with defaults filled in."""
    if method == "lbfgs":
        for name, value in (("learning_rate", learning_rate), ("batch_size", batch_size)):
            if value is not None:
                raise ProblemError(f"method='lbfgs' has no {name}; pass method='adam' or 'sgd' to set it.")
        return {"max_iter": 2000 if max_iter is None else check_count(max_iter, "max_iter")}
    n = form.problem.n
    if batch_size is None:
        batch_size = n if method == "adam" else min(n, SGD_BATCH)
    elif check_count(batch_size, "batch_size") > n:
        raise ProblemError(f"batch_size is {batch_size}, but the problem has {n} samples.")
    full_adam = method == "adam" and batch_size == n
    if max_iter is None:
        max_iter = 3000 if full_adam else 6000
    if learning_rate is None:
        learning_rate = default_rate(form, method, batch_size)
    return {
        "max_iter": check_count(max_iter, "max_iter"),
        "learning_rate": check_positive(learning_rate, "learning_rate"),
        "batch_size": int(batch_size),
    }


def _seed(random_state: int | None) -> int:
    if random_state is None:
        return int(np.random.default_rng().integers(2**63))
    return check_count(random_state, "random_state", minimum=0)


def _runner(method: str, backend: str) -> Callable[..., np.ndarray]:
    if backend == "torch":
        from .torch_backend import TORCH_RUNNERS

        return TORCH_RUNNERS[method]
    runners: dict[str, Callable[..., np.ndarray]] = {"lbfgs": run_lbfgs, "adam": run_adam, "sgd": run_sgd}
    return runners[method]


def _result(
    form: StandardForm, progress: Progress, iterations: np.ndarray, method: str, backend: str, seed: int,
    options: dict[str, Any], seconds: float,
) -> TrainingRuns:  # fmt: skip
    """Networks of the best iterates, measured anew; a start that diverged keeps its place with objective inf."""
    networks = tuple(
        None if lost else form.network(row) for row, lost in zip(progress.best, progress.diverged, strict=True)
    )
    objectives = np.array([np.inf if net is None else form.problem.objective(net) for net in networks])
    objectives.setflags(write=False)
    return TrainingRuns(
        method, backend, form.width, networks, objectives, iterations, seconds, seed,
        ended=progress.ended or "finished", options=options, versions=versions(),
    )  # fmt: skip
