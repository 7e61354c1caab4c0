"""Random starting points: balanced neurons whose kinks lie in the data, sized for the targets."""

from __future__ import annotations

import numpy as np

from .standard_form import RESIDUAL_LOSSES, StandardForm

__all__ = ["INITIAL_PATH", "random_starts"]

INITIAL_PATH = 3.0
"""Path norm of a starting network in standardised coordinates, shared by its neurons."""


def random_starts(form: StandardForm, n_starts: int, seed: int) -> np.ndarray:
    r"""Return ``n_starts`` random networks as the rows of an (n_starts, form.size) array.

    Directions are Gaussian on the standardised data, every second neuron with its kink near a sample,
    ``|u_j| |v_j| = INITIAL_PATH / m``, output weights have random directions, and the free part is the least-squares
    fit of the targets (zero for losses of a margin). Start ``s`` depends on the seed and on ``s`` alone, not on how
    many others there are.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> form = StandardForm(TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1), width=5)
    >>> theta = random_starts(form, 3, seed=0)
    >>> bool(np.array_equal(theta[:2], random_starts(form, 2, seed=0)))
    True
    """
    theta = np.empty((n_starts, form.size))
    for row, child in zip(theta, np.random.SeedSequence(seed).spawn(n_starts), strict=True):
        _fill(form, row, np.random.default_rng(child))
    return theta


def _fill(form: StandardForm, row: np.ndarray, rng: np.random.Generator) -> None:
    """Draw one start into ``row``; each neuron is balanced in the problem's own norms."""
    U, V, z = form.split(row[None, :])
    U[0] = rng.standard_normal(U.shape[1:])
    if form.problem.bias != "none":
        through = form.Z[rng.integers(form.problem.n, size=U[0, ::2].shape[0]), :-1]
        through += 0.3 * rng.standard_normal(through.shape)
        U[0, ::2, -1] = -np.sum(U[0, ::2, :-1] * through, axis=1)
    V[0] = rng.standard_normal(V.shape[1:])
    U /= np.linalg.norm(U, axis=2, keepdims=True)
    V /= np.linalg.norm(V, axis=2, keepdims=True)
    inputs, outputs = form.norms(row[None, :])
    # u / t and v * t with t^2 = ||u|| / ||v|| are balanced; neurons with a small penalised part only nearly so.
    t = np.sqrt(np.maximum(inputs, 0.3 * np.median(inputs)) / outputs)[:, :, None]
    size = np.sqrt(INITIAL_PATH / form.width)
    U *= size / t
    V *= size * t
    z[0] = _fit(form) if form.Q.shape[1] else 0.0


def _fit(form: StandardForm) -> np.ndarray:
    """Free part of the start: the targets' projection on the free columns, or zero."""
    problem = form.problem
    if problem.loss.name not in RESIDUAL_LOSSES:
        return np.zeros((form.Q.shape[1], form.n_outputs))
    return form.Q.T @ problem.y.reshape(problem.n, -1) / (problem.n * form.scale)
