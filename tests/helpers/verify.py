"""Recompute every claim of a certificate or solution from the raw data, by formulas of its own.

Nothing here calls the code under test: objective, dual value, domain, pricing maximum, gap, verdict and fingerprint are
written out again, sums that must be exact are taken in rational arithmetic.
"""

from __future__ import annotations

import hashlib
import json
import math
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from helpers.arrangement_bruteforce import cells_bruteforce

__all__ = [
    "dual_value",
    "exact_pricing",
    "network_objective",
    "sampled_pricing",
    "verify_certificate",
    "verify_solution",
]

KAPPA = {"relu": 0.0, "absolute": -1.0}
VERDICTS = ("optimal", "bound", "refuted", "listed")


def sigma(t: np.ndarray, kappa: float) -> np.ndarray:
    return np.where(t >= 0, t, kappa * t)


def network_objective(problem: Any, network: Any) -> float:
    """Loss plus reg times path norm, from the parameters."""
    f = predictions(problem, network)
    norm = path_norm(problem, network)
    return loss_value(problem, f) + problem.reg * norm


def predictions(problem: Any, network: Any) -> np.ndarray:
    hidden = sigma(problem.X @ network.weights.T + network.biases, kappa_of(problem))
    f = hidden @ network.output_weights + network.intercept
    return f if network.skip is None else f + problem.X @ network.skip


def kappa_of(problem: Any) -> float:
    return KAPPA.get(problem.activation, problem.negative_slope)


def path_norm(problem: Any, network: Any) -> float:
    u = network.weights
    if problem.bias == "penalized":
        u = np.column_stack([u, network.biases])
    inner = np.abs(u).sum(axis=1) if problem.norm == "l1" else np.sqrt((u**2).sum(axis=1))
    outer = np.abs(network.output_weights)
    if outer.ndim > 1:
        outer = np.sqrt((outer**2).sum(axis=1))
    return float(inner @ outer)


def loss_value(problem: Any, f: np.ndarray) -> float:
    y, name = problem.y, problem.loss.name
    w = np.ones(len(y)) if problem.sample_weight is None else problem.sample_weight
    r = f - y
    if name == "softmax":
        top = f.max(axis=1)
        terms = top + np.log(np.exp(f - top[:, None]).sum(axis=1)) - (y * f).sum(axis=1)
        return float(w @ terms)
    if name == "interpolation":
        counted = w > 0
        return 0.0 if np.max(np.abs(r[counted])) <= problem.loss.tol * (np.max(np.abs(y)) or 1.0) else math.inf
    terms = {
        "squared": lambda: r**2 / 2,
        "absolute": lambda: np.abs(r),
        "huber": lambda: huber(np.abs(r), problem.loss.delta),
        "logistic": lambda: np.logaddexp(0, -y * f),
        "hinge": lambda: np.maximum(0, 1 - y * f),
    }[name]()
    return float(np.sum(w @ terms))


def huber(r: np.ndarray, delta: float) -> np.ndarray:
    return np.where(r <= delta, r**2 / 2, delta * r - delta**2 / 2)


def dual_value(problem: Any, nu: np.ndarray, scale: float = 1.0, misfit: float = 0.0) -> float:
    """``-L*(-scale nu)`` of the exact product, rational where the formula is; minus infinity outside the domain."""
    y, name = problem.y.ravel(), problem.loss.name
    k = problem.n_outputs
    w = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    weight = [Fraction(v) for v in np.repeat(w, k).tolist()]
    q = [Fraction(scale) * Fraction(v) for v in np.ravel(nu).tolist()]
    t = [Fraction(v) for v in y.tolist()]
    if any(wi == 0 and qi != 0 for wi, qi in zip(weight, q, strict=True)):
        return -math.inf
    if name == "softmax":
        return softmax_dual(q, t, weight, k)
    if name in ("logistic", "hinge"):
        shares = [qi * ti for qi, ti in zip(q, t, strict=True)]
        if any(not 0 <= s <= wi for s, wi in zip(shares, weight, strict=True)):
            return -math.inf
        if name == "hinge":
            return down(sum(shares))
        return math.fsum(float(wi) * entropy(s / wi) for s, wi in zip(shares, weight, strict=True) if wi)
    if name in ("absolute", "huber"):
        top = Fraction(1) if name == "absolute" else Fraction(problem.loss.delta)
        if any(abs(qi) > top * wi * (1 + Fraction(1, 2**50)) for qi, wi in zip(q, weight, strict=True)):
            return -math.inf
    total = sum(qi * ti for qi, ti in zip(q, t, strict=True))
    if name in ("squared", "huber"):
        total -= sum(qi * qi / (2 * wi) for qi, wi in zip(q, weight, strict=True) if wi)
    if name == "interpolation":
        total -= Fraction(misfit) * sum(abs(qi) for qi in q)
    return down(total)


def softmax_dual(q: list[Fraction], t: list[Fraction], weight: list[Fraction], k: int) -> float:
    terms = []
    for start in range(0, len(q), k):
        row = slice(start, start + k)
        if weight[start] == 0:
            continue
        shares = [ti - qi / weight[start] for ti, qi in zip(t[row], q[row], strict=True)]
        if min(shares) < 0 or abs(sum(shares) - 1) > Fraction(1, 2**48):
            return -math.inf
        terms += [-float(weight[start]) * float(s) * math.log(s) for s in shares if s > 0]
    return math.fsum(terms)


def entropy(share: Fraction) -> float:
    p = float(min(share, 1 - share))
    return 0.0 if p == 0 else -p * math.log(p) - (1 - p) * math.log1p(-p)


def down(value: Fraction) -> float:
    """A float not above the exact value."""
    number = float(value)
    return number if Fraction(number) <= value else math.nextafter(number, -math.inf)


def pricing_rows(problem: Any) -> np.ndarray:
    """The rows that neurons see; with free biases about the median, which changes no maximum but the rounding."""
    if problem.bias == "none":
        return problem.X
    shift = np.median(problem.X, axis=0) if problem.bias == "free" else 0.0
    return np.column_stack([problem.X - shift, np.ones(problem.n)])


def attained(problem: Any, rows: np.ndarray, nu: np.ndarray, U: np.ndarray) -> float:
    """Largest ``||nu' sigma(rows u)|| / ||u||`` over the columns u."""
    w = U[:-1] if problem.bias == "free" else U
    norms = np.abs(w).sum(axis=0) if problem.norm == "l1" else np.sqrt((w**2).sum(axis=0))
    usable = norms > 1e-9 * np.sqrt((U**2).sum(axis=0))
    if not usable.any():
        return 0.0
    scores = nu.T @ sigma(rows @ (U[:, usable] / norms[usable]), kappa_of(problem))
    return float(np.max(np.abs(scores) if nu.ndim == 1 else np.sqrt((scores**2).sum(axis=0))))


def sampled_pricing(problem: Any, nu: np.ndarray, count: int = 4000, seed: int = 0) -> float:
    """A lower bound of M(nu): random directions, kinks of the bias, and four rounds of search near the best."""
    rng = np.random.default_rng(seed)
    rows = pricing_rows(problem)
    scale = np.abs(rows).max(axis=0)
    U = rng.standard_normal((rows.shape[1], count))
    U[:, ::2] /= np.where(scale > 0, scale, 1.0)[:, None]
    best = 0.0
    for width in (1e-1, 1e-3, 1e-5, 1e-7):
        if problem.bias == "free":
            U[-1] = -np.einsum("ij,ji->i", rows[rng.integers(0, len(rows), U.shape[1]), :-1], U[:-1])
        values = single_values(problem, rows, nu, U)
        order = np.argsort(-values)[:20]
        best = max(best, float(values[order[0]]))
        near = np.repeat(U[:, order], 30, axis=1)
        U = np.concatenate([U[:, order], near + width * np.abs(near) * rng.standard_normal(near.shape)], axis=1)
    return max(best, attained(problem, rows, nu, U))


def single_values(problem: Any, rows: np.ndarray, nu: np.ndarray, U: np.ndarray) -> np.ndarray:
    w = U[:-1] if problem.bias == "free" else U
    norms = np.abs(w).sum(axis=0) if problem.norm == "l1" else np.sqrt((w**2).sum(axis=0))
    scores = nu.T @ sigma(rows @ U, kappa_of(problem))
    sizes = np.abs(scores) if nu.ndim == 1 else np.sqrt((scores**2).sum(axis=0))
    return np.divide(sizes, norms, out=np.zeros_like(sizes), where=norms > 0)


def exact_pricing(problem: Any, nu: np.ndarray) -> float:
    """M(nu) of a scalar output, up to rounding: the maximum over all points where it can be attained.

    On a cell the function is linear, so its maximum over an l2 ball is attained where the gradient is projected onto
    the null space of some of the rows; over an l1 ball at a vertex of the rows and coordinate planes together. All
    such points are evaluated, whichever cell they lie in. For tiny problems only.
    """
    rows = pricing_rows(problem)
    q = rows.shape[1]
    if problem.norm == "l1":
        planes = np.eye(q)[: q - 1] if problem.bias == "free" else np.eye(q)
        points = [null for S in subsets(np.concatenate([rows, planes]), q - 1, q - 1) for null in null_space(S, q).T]
        points = [p for p in points if np.any(p)]
    else:
        points = list(projected_gradients(problem, rows, nu))
    if not points:
        return 0.0
    U = np.column_stack(points)
    return attained(problem, rows, nu, np.concatenate([U, -U], axis=1))


def subsets(rows: np.ndarray, smallest: int, largest: int) -> list[np.ndarray]:
    return [rows[list(S)] for size in range(smallest, largest + 1) for S in combinations(range(len(rows)), size)]


def null_space(S: np.ndarray, q: int) -> np.ndarray:
    """Orthonormal null vectors, the empty set's included; (q, 0) where there is none or, for lines, more than one."""
    if len(S) == 0:
        return np.eye(q)
    lengths = np.linalg.norm(S, axis=1)
    S = S[lengths > 0] / lengths[lengths > 0, None]
    if len(S) == 0:
        return np.eye(q)
    _, values, right = np.linalg.svd(S)
    return right[int(np.sum(values > 1e-10)) :].T


def projected_gradients(problem: Any, rows: np.ndarray, nu: np.ndarray) -> Any:
    q = rows.shape[1]
    spaces = [null_space(S, q) for S in subsets(rows, 0, q - 1)]
    for bits in cells_bruteforce(pattern_rows(problem)):
        gate = np.where(np.array(bits) > 0, 1.0, kappa_of(problem))
        g = rows.T @ (gate * nu)
        for B in spaces:
            if not B.shape[1]:
                continue
            inner = B[:-1] if problem.bias == "free" else B
            point = B @ (np.linalg.pinv(inner.T @ inner, rcond=1e-10) @ (B.T @ g))
            if np.linalg.norm(point) > 1e-9 * np.linalg.norm(g):
                yield point / np.linalg.norm(point)


def pattern_rows(problem: Any) -> np.ndarray:
    return problem.X if problem.bias == "none" else np.column_stack([problem.X, np.ones(problem.n)])


def data_fingerprint(problem: Any) -> str:
    digest = hashlib.sha256()
    arrays = [problem.X, problem.y] + ([] if problem.sample_weight is None else [problem.sample_weight])
    for array in arrays:
        digest.update(str(tuple(array.shape)).encode())
        digest.update(np.ascontiguousarray(array).astype("<f8").tobytes())
    return digest.hexdigest()


def verify_certificate(problem: Any, network: Any, certificate: Any, *, exhaustive: bool = False) -> None:
    """Assert every claim of a certificate about a :class:`ShallowNetwork`.

    ``exhaustive`` replaces the sampled check of ``M(nu)`` by :func:`exact_pricing` (scalar output, tiny data).
    """
    c = certificate
    assert c.data_hash == data_fingerprint(problem)
    assert c.conventions["reg"] == problem.reg
    assert c.conventions["kappa"] == kappa_of(problem)
    for name in ("activation", "bias", "norm", "skip", "intercept"):
        assert c.conventions[name] == getattr(problem, name), name
    assert c.conventions["loss"]["name"] == problem.loss.name
    objective = network_objective(problem, network)
    assert c.upper_bound == objective or math.isclose(c.upper_bound, objective, rel_tol=1e-10, abs_tol=1e-300)
    verify_bound(problem, c, exhaustive)
    verify_misfit(problem, network, c)
    verify_verdict(problem, c)
    json.dumps(c.to_dict(), default=str)


def verify_bound(problem: Any, c: Any, exhaustive: bool) -> None:
    """The lower bound follows from nu: domain, free columns, ``scale * M(nu) <= reg``, dual value."""
    nu, scale = np.asarray(c.nu), c.scale
    assert nu.shape == problem.y.shape
    assert np.isfinite(nu).all()
    assert scale >= 0
    verify_free_columns(problem, nu)
    value = exact_pricing(problem, nu) if exhaustive else sampled_pricing(problem, nu)
    tiny = 1e-12 * float(np.sum(np.abs(nu))) * float(np.max(np.abs(pricing_rows(problem))))
    assert value <= c.pricing_bound * (1 + 1e-12) + tiny
    if math.isinf(c.lower_bound):
        assert problem.loss.name == "interpolation"
        assert c.pricing_bound == 0
        assert float(np.sum(nu * problem.y)) > 0
        return
    assert Fraction(scale) * Fraction(c.pricing_bound) <= Fraction(problem.reg)
    exact = dual_value(problem, nu, scale, c.misfit)
    assert c.lower_bound <= exact + 1e-15 * abs(exact) or c.lower_bound == 0.0
    assert c.lower_bound >= exact - 1e-9 * (abs(exact) + abs(scale) * float(np.sum(np.abs(nu * problem.y))))


def verify_free_columns(problem: Any, nu: np.ndarray) -> None:
    for column in np.atleast_2d(nu.T):
        exact = [Fraction(v) for v in column.tolist()]
        if problem.intercept and not problem.skip:
            assert sum(exact) == 0
        if problem.skip:
            for x in [*problem.X.T, *([np.ones(problem.n)] if problem.intercept else [])]:
                total = abs(sum(a * Fraction(b) for a, b in zip(exact, x.tolist(), strict=True)))
                assert float(total) <= 1e-9 * float(np.max(np.abs(column))) * float(np.linalg.norm(x))


def verify_misfit(problem: Any, network: Any, c: Any) -> None:
    if problem.loss.name != "interpolation" or not math.isfinite(c.upper_bound):
        assert c.misfit == 0
        return
    counted = np.ones(problem.n, bool) if problem.sample_weight is None else problem.sample_weight > 0
    residual = float(np.max(np.abs(predictions(problem, network) - problem.y)[counted]))
    assert abs(c.misfit - residual) <= 1e-6 * residual + 1e-13 * float(np.max(np.abs(problem.y)))


def rounding_noise(problem: Any) -> float:
    """Largest objective that counts as zero: predictions within 1024 roundings (2.3e-13) of the largest target."""
    error = 1024 * (1 + 1e-9) * np.finfo(float).eps * float(np.max(np.abs(problem.y)))
    weight = problem.n_outputs * (problem.n if problem.sample_weight is None else float(problem.sample_weight.sum()))
    sizes = {"squared": error**2 / 2, "huber": error**2 / 2, "absolute": error, "hinge": error}
    return weight * sizes.get(problem.loss.name, 0.0)


def verify_verdict(problem: Any, c: Any) -> None:
    assert c.verdict in VERDICTS
    assert 0 < c.tol < 1
    if math.isfinite(c.upper_bound) and math.isfinite(c.lower_bound):
        nothing = c.gap == 0 and c.upper_bound <= rounding_noise(problem)
        # The gap also holds the rounding error of the objective.
        assert nothing or -1e-14 <= c.gap - max(0.0, 1 - c.lower_bound / c.upper_bound) <= 1e-6
        assert c.lower_bound <= c.upper_bound * (1 + 1e-9)
    if not math.isfinite(c.upper_bound):
        assert c.gap == math.inf
    assert (c.verdict == "optimal") == (c.gap <= c.tol)
    if c.verdict == "listed":
        assert c.listed_gap is not None
        assert c.listed_gap <= c.tol < c.gap
        assert "listed" in c.scope
    if c.listed_lower_bound is not None:
        assert c.listed_lower_bound >= c.lower_bound
    if c.verdict == "refuted":
        assert c.improved is not None
        assert c.improved_objective < c.upper_bound * (1 - c.tol)
    if c.improved is not None:
        assert network_objective(problem, c.improved) < c.upper_bound
        assert math.isclose(network_objective(problem, c.improved), c.improved_objective, rel_tol=1e-10)
    if c.verdict != "optimal":
        text = " ".join([repr(c), c.summary(), c.scope, c.verdict]).lower()
        assert "optim" not in text
        assert "global" not in text


def verify_solution(problem: Any, solution: Any, *, exhaustive: bool = False) -> None:
    """Assert every claim of a solution whose network is a :class:`ShallowNetwork`."""
    c = solution.certificate
    verify_certificate(problem, solution.network, c, exhaustive=exhaustive)
    assert solution.objective == c.upper_bound
    assert solution.size == len(solution.network.weights)
    rows = pattern_rows(problem)
    listed = solution.patterns
    assert listed is None or listed.data_hash == hashlib.sha256(str(rows.shape).encode() + rows.tobytes()).hexdigest()
    if solution.status == "solved":
        assert c.verdict in ("optimal", "listed")
    if c.verdict not in ("optimal", "listed"):
        assert "optim" not in (repr(solution) + solution.summary()).lower()
    objectives = [record.objective for record in solution.history]
    bounds = [record.lower_bound for record in solution.history]
    assert objectives == sorted(objectives, reverse=True)
    assert bounds == sorted(bounds)
    if (listed is None or listed.complete) and math.isfinite(c.upper_bound) and c.misfit == 0:
        assert all(bound <= c.upper_bound * (1 + 1e-9) for bound in bounds)
