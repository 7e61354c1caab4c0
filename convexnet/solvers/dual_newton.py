r"""Newton's method on the optimality conditions of the l1 program: a dual vector to rounding, from a good network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..pricing import feasible_dual
from ..pricing._dictionary import check_atomic
from ..pricing.multipliers import candidates
from ..problem import check_problem, require_path_norm
from ._dictionary_master import LINEAR

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["refine_dual"]

_STEPS = 15
_SOLVED, _ROUNDING, _FITTED, _NEAR = 1e-10, 1e-14, 1e-6, 1e-2


def refine_dual(problem: TrainingProblem, nu: np.ndarray, network: ShallowNetwork) -> np.ndarray:
    r"""Make a dual vector as accurate as rounding allows, given a nearly optimal network (l2 norm).

    .. math:: \sum_p z_p\, a_p(\nu) + F c = y - r(\nu) , \qquad h_p(\nu) = \mathrm{reg} , \qquad F^\top \nu = 0

    is solved by Newton's method over the pairs p of a cell and a sign that the network uses, where :math:`h_p(\nu) =
    \max\{\pm\nu^\top S_p X u\}` over the face of the cell on which its best atom lies and :math:`a_p = \nabla h_p`; on
    the samples only where nu is not held by a bound of the loss. The residual r is nu over the sample weight for the
    squared loss, zero for interpolation, absolute and hinge loss. A dual vector that is right to 1e-5 bounds the
    optimum to 1e-10, but the atoms of the cells inherit its error to first order.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output, ``norm="l2"``; for the Huber and logistic losses ``nu`` is returned as it is.
    nu : ndarray of shape (n,)
    network : ShallowNetwork
        Nearly optimal.

    Returns
    -------
    ndarray of shape (n,)
        In the domain of the loss and orthogonal to the free columns; ``nu`` itself where the steps do not converge.

    Raises
    ------
    ProblemError
        For the l1 norm, several outputs, or a ``nu`` of another shape.
    NetworkError
        If the network is outside the class of the problem.

    References
    ----------
    Newton's method on the optimality conditions of a convex program; the gradient of the norm of a projection: J. J.
    Moreau (1962).

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> from convexnet.solvers import generate_atoms
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], loss="interpolation")
    >>> result = generate_atoms(problem, tol=1e-4)
    >>> nu = refine_dual(problem, result.nu, result.network)
    >>> round(float(nu @ problem.y), 9)
    3.535533906
    """
    check_problem(problem)
    require_path_norm(problem, "refine_dual")
    check_atomic(problem, "refine_dual")
    problem.check_network(network)
    start = feasible_dual(problem, nu).nu
    found = refined(problem, start, network)
    moved = float(np.max(np.abs(found.nu - start))) / (float(np.max(np.abs(start))) or 1.0)
    # far away the equations of the pairs in use hold for vectors that other pairs exclude
    return found.nu if found.residual <= _SOLVED and moved <= _NEAR else start


def refined(problem: TrainingProblem, nu: np.ndarray, network: ShallowNetwork) -> RefinedDual:
    """Newton's method for the network with its twins merged and, where that fails, for the network as it is."""
    best = RefinedDual(nu, np.zeros((problem.extended.shape[1], 0)), np.zeros(0), np.inf)
    if problem.loss.name not in (*LINEAR, "squared") or problem.norm != "l2" or not network.n_neurons:
        return best
    for candidate in (network.merged(problem.bias, problem.X), network):
        found = _newton(problem, nu, candidate)
        best = found if found.residual < best.residual else best
        if best.residual <= _SOLVED:
            break
    return RefinedDual(feasible_dual(problem, best.nu).nu, best.directions, best.signs, best.residual)


@dataclass(frozen=True, eq=False)
class RefinedDual:
    """A dual vector, the best atoms of the pairs in use at it, and the residual of the optimality conditions."""

    nu: np.ndarray
    directions: np.ndarray
    signs: np.ndarray
    residual: float


def _newton(problem: TrainingProblem, nu: np.ndarray, network: ShallowNetwork) -> RefinedDual:
    pairs, z = _pairs(problem, network)
    signs = np.array([pair.sign for pair in pairs])
    best = RefinedDual(nu, np.zeros((problem.extended.shape[1], 0)), np.zeros(0), np.inf)
    c = np.append(np.zeros(0) if network.skip is None or not problem.skip else network.skip, network.intercept)
    c = np.append(np.zeros(problem.d if problem.skip and network.skip is None else 0), c)[: _rank(problem)]
    free, nu = _split(problem, nu, network)
    since = 0
    for _ in range(_STEPS):
        terms = [_term(problem, pair, nu) for pair in pairs]
        known = [term for term in terms if term is not None]
        if len(known) < len(terms):
            break
        step = _step(problem, nu, z, c, known, free)
        since += 1
        if step.residual < best.residual:
            since = 0 if step.residual < 0.5 * best.residual else since
            best = RefinedDual(nu, np.column_stack([term.atom for term in known]), signs, step.residual)
        if since > 3 or step.residual <= _ROUNDING:
            break
        nu, z, c = nu + step.nu, z + step.z, c + step.c
    return best


def _rank(problem: TrainingProblem) -> int:
    return int(problem.free_columns.shape[1])


@dataclass(frozen=True, eq=False)
class _Pair:
    """Slopes S_p (n,) and sign of a neuron's cell."""

    gate: np.ndarray
    signed: np.ndarray
    sign: float


@dataclass(frozen=True, eq=False)
class _Term:
    """Value h, gradient a (n,), Hessian (n, n) and best atom (q,) of the pricing function of one pair."""

    value: float
    gradient: np.ndarray
    hessian: np.ndarray
    atom: np.ndarray


@dataclass(frozen=True, eq=False)
class _Step:
    """Newton step of the dual vector, amplitudes and free coefficients; the residual before it."""

    nu: np.ndarray
    z: np.ndarray
    c: np.ndarray
    residual: float


def _pairs(problem: TrainingProblem, network: ShallowNetwork) -> tuple[list[_Pair], np.ndarray]:
    """The distinct pairs of a network and the amplitude of each."""
    active = network.preactivations(problem.X) >= 0
    signs = np.where(network.output_weights > 0, 1.0, -1.0)
    sizes = network.neuron_norms(problem.bias) * network.output_norms()
    pairs: dict[tuple[bytes, float], _Pair] = {}
    amplitudes: dict[tuple[bytes, float], float] = {}
    for on, sign, size in zip(active.T, signs.tolist(), sizes.tolist(), strict=True):
        key = (on.tobytes(), sign)
        pairs[key] = _Pair(np.where(on, 1.0, problem.kappa), np.where(on, 1.0, -1.0), sign)
        amplitudes[key] = amplitudes.get(key, 0.0) + size
    return list(pairs.values()), np.array(list(amplitudes.values()))


def _split(problem: TrainingProblem, nu: np.ndarray, network: ShallowNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Samples that the network fits exactly, and nu with the bound of the loss where it does not."""
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    if problem.loss.name in ("interpolation", "squared"):
        return weight > 0, nu
    # absolute: the sign of what is missing; hinge: y where the margin is missed, zero where it is exceeded
    missing = problem.y - network.predict(problem.X)
    fitted = np.abs(missing) <= _FITTED * float(np.max(np.abs(problem.y)))
    beyond = np.sign(missing) if problem.loss.name == "absolute" else problem.y * (missing * problem.y > 0)
    return fitted & (weight > 0), np.where(fitted, nu, weight * beyond)


def _term(problem: TrainingProblem, pair: _Pair, nu: np.ndarray) -> _Term | None:
    """Value, gradient and Hessian on the face that holds the best atom; None where it has none."""
    rows = problem.extended
    sizes = np.linalg.norm(rows, axis=1)
    kept = sizes > 0
    A = (pair.signed[:, None] * rows / np.where(kept, sizes, 1.0)[:, None])[kept]
    mapped = pair.sign * pair.gate[:, None] * rows  # h = max nu' mapped u over the cell
    g = mapped.T @ nu
    top = float(np.max(np.abs(g)))
    if not top > 0:
        return None
    free = problem.bias == "free"
    if free and (np.all(pair.signed > 0) or np.all(pair.signed < 0)):
        face = np.eye(rows.shape[1])
    else:
        multipliers = candidates(g / top, A, "l2", free)
        m = multipliers[-2][0] if len(multipliers) > 1 else multipliers[0][0]
        face = _null_space(A[m > 1e-9 * float(np.max(m, initial=0.0))])
    metric = face[:-1].T @ face[:-1] if free else np.eye(face.shape[1])
    inverse = np.linalg.pinv(metric, rcond=1e-10, hermitian=True)
    M = mapped @ face  # (n, k)
    t = inverse @ (M.T @ nu)
    value = float(np.sqrt(max(float((M.T @ nu) @ t), 0.0)))
    if not value > 0:
        return None
    gradient = M @ t / value
    hessian = (M @ inverse @ M.T - np.outer(gradient, gradient)) / value
    return _Term(value, gradient, hessian, face @ t / value)


def _null_space(rows: np.ndarray) -> np.ndarray:
    """Orthonormal basis (q, k) of the vectors orthogonal to all rows."""
    if not len(rows):
        return np.eye(rows.shape[1])
    _, s, vt = np.linalg.svd(rows)
    return vt[int(np.sum(s > 1e-9 * s[0])) :].T


def _step(
    problem: TrainingProblem, nu: np.ndarray, z: np.ndarray, c: np.ndarray, terms: list[_Term], free: np.ndarray
) -> _Step:
    """One step, the least one where the system is singular (several optimal amplitudes or dual vectors)."""
    F = problem.free_columns
    A = np.column_stack([term.gradient for term in terms])
    scale = float(np.max(np.abs(problem.y))) or 1.0
    soft = np.zeros(problem.n)
    if problem.loss.name == "squared":  # the residual is nu over the weight
        soft[free] = 1.0 if problem.sample_weight is None else 1.0 / problem.sample_weight[free]
    fit = (problem.y - A @ z - F @ c - soft * nu)[free]
    tight = problem.reg - np.array([term.value for term in terms])
    residual = max(_largest(fit) / scale, _largest(tight) / problem.reg)
    H = np.zeros((problem.n, problem.n))
    for amplitude, term in zip(z, terms, strict=True):
        H += max(float(amplitude), 0.0) * term.hessian
    rest = np.column_stack([A, F])[free]
    H += np.diag(soft)
    matrix = np.block([[H[np.ix_(free, free)], rest], [rest.T, np.zeros((rest.shape[1], rest.shape[1]))]])
    row = 1.0 / np.maximum(np.max(np.abs(matrix), axis=1, initial=0.0), 1e-300)
    move = np.linalg.lstsq(matrix * row[:, None], np.concatenate([fit, tight, -F.T @ nu]) * row, rcond=1e-12)[0]
    step, count = np.zeros(problem.n), int(free.sum())
    step[free] = move[:count]
    return _Step(step, move[count : count + len(terms)], move[count + len(terms) :], residual)


def _largest(values: np.ndarray) -> float:
    return float(np.max(np.abs(values), initial=0.0))
