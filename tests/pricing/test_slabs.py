"""Slab branch and bound: never below the truth, limits kept, resumable, and every leaf verified anew."""

import time

import numpy as np
import pytest

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.errors import ProblemError
from convexnet.pricing import SlabSearch, feasible_dual, price_cells, price_slabs
from convexnet.pricing._slab_rules import quadratic_rows, row_ranges
from convexnet.pricing.forms import pricing_forms


def random_problem(seed, bias=None, kappa=None):
    """Small data with ties, zero rows, duplicates and zero residuals."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(3, 10)), int(rng.integers(1, 4))
    X = rng.standard_normal((n, d)) if seed % 2 else rng.integers(-2, 3, (n, d)).astype(float)
    X[rng.random(n) < 0.1] = 0.0
    X[-1] = X[0] * (1 if seed % 3 else -2)
    bias = bias or ("penalized", "free", "none")[seed % 3]
    activation = {None: "relu", -1.0: "absolute"}.get(kappa, "leaky")
    options = {"negative_slope": kappa} if activation == "leaky" else {}
    y = rng.standard_normal(n)
    problem = TrainingProblem(X, y, reg=0.1, bias=bias, activation=activation, **options)
    nu = y.copy()
    nu[rng.random(n) < 0.15] = 0.0
    return problem, feasible_dual(problem, nu).nu


def verify_payload(problem, nu, payload):
    """Re-prove the bounds of all forms from the payload alone, in plain dense linear algebra."""
    bounds = []
    for form, part in zip(pricing_forms(problem, nu), payload["forms"], strict=True):
        rows, norms, d = form.rows, np.linalg.norm(form.rows, axis=1), form.rows.shape[1]
        walker = iter(part["tree"])
        worst, seen = -np.inf, []

        def leaf(index, slabs, lower, upper, side, form=form, part=part, rows=rows, d=d, seen=seen):
            seen.append(index)
            data = part["leaves"]
            u, U = data["u"][index], np.zeros((d, d))
            U[np.triu_indices(d)] = data["U"][index]
            U = U + np.triu(U, 1).T
            free = side == 0
            x, w = rows[free], form.weights[free]
            t, q = x @ u, np.sum((x @ U) * x, axis=1)
            c2, c1, c0 = quadratic_rows(w > 0, t, q, lower[free], upper[free], data["s"][index])
            grid = lower[free] + np.linspace(0, 1, 41)[:, None] * (upper[free] - lower[free])
            excess = (c2 * grid**2 + c1 * grid + c0 - np.abs(grid)) * np.sign(w)
            assert np.all(excess >= -1e-9 * (1 + np.abs(grid)).max(initial=1))
            A = (x * (w * c2)[:, None]).T @ x
            b = form.linear + (form.weights * side) @ rows + (w * c1) @ x
            constant = w @ c0
            start = data["cut_start"]
            sides = [item for a, low, high in slabs for item in ((a, -low), (-a, high))]
            for k in range(start[index], start[index + 1]):
                (a, e), (c, f) = sides[data["cut_p"][k]], sides[data["cut_q"][k]]
                value = data["cut_value"][k]
                assert value >= 0 and data["cut_p"][k] != data["cut_q"][k]
                A = A + 0.5 * value * (np.outer(a, c) + np.outer(c, a))
                b, constant = b + value * (e * c + f * a), constant + value * e * f
            gap = data["mu"][index] * np.eye(d) - A
            assert np.linalg.eigvalsh(gap)[0] > 0
            return constant + data["mu"][index] + b @ np.linalg.solve(gap, b) / 4

        def visit(slabs, lower, upper, side, form=form, part=part, rows=rows, norms=norms, walker=walker, leaf=leaf):
            item = next(walker)
            if not isinstance(item, list):
                return leaf(item, slabs, lower, upper, side)
            a, low, middle, high = (part["splits"][key][item[0]] for key in ("a", "low", "middle", "high"))
            inside = (-1.0, 1.0)
            if slabs:
                normals = np.array([slab[0] for slab in slabs])[None]
                ends = np.array([slab[1:] for slab in slabs]).T
                down, up = row_ranges(a[None], np.ones(1), normals, ends[:1], ends[1:])
                inside = (max(-1.0, down[0, 0]), min(1.0, up[0, 0]))
            assert low <= inside[0] + 1e-12 and high >= inside[1] - 1e-12
            worst = -np.inf
            for ends in ((low, middle), (middle, high)):
                path = [*slabs, (a, *ends)]
                normals, bounds = np.array([slab[0] for slab in path])[None], np.array([slab[1:] for slab in path]).T
                down, up = row_ranges(rows, norms, normals, bounds[:1], bounds[1:], part["sweeps"])
                below, above = np.maximum(lower, down[0]), np.minimum(upper, up[0])
                crossed = below > above
                below, above = np.where(crossed, lower, below), np.where(crossed, upper, above)
                now = np.where(side != 0, side, np.where(below >= 0, 1.0, np.where(above <= 0, -1.0, 0.0)))
                worst = max(worst, visit(path, below, above, now))
            return worst

        worst = visit([], -norms, norms.copy(), np.zeros(len(rows)))
        assert sorted(seen) == list(range(len(part["leaves"]["mu"])))
        assert next(walker, None) is None
        assert worst + form.slack <= part["bound"] * (1 + 1e-12) + 1e-12
        bounds.append(part["bound"])
    return max(bounds)


def test_quadratics_lie_on_the_right_side():
    rng = np.random.default_rng(0)
    low, high = -rng.random(4000) - 1e-3, rng.random(4000) + 1e-3
    t = low + rng.random(4000) * (high - low) + 0.1 * rng.standard_normal(4000)
    q = t * t + rng.random(4000) ** 4
    grid = low + np.linspace(0, 1, 101)[:, None] * (high - low)
    for convex in (True, False):
        c2, c1, c0 = quadratic_rows(np.full(4000, convex), t, q, low, high, np.full(1, 0.01))
        excess = c2 * grid**2 + c1 * grid + c0 - np.abs(grid)
        assert np.all(excess >= -1e-9) if convex else np.all(excess <= 1e-9)


def test_ranges_hold_on_sampled_directions():
    rng = np.random.default_rng(1)
    for d in (1, 2, 3, 6):
        u = rng.standard_normal((d, 20_000))
        u /= np.linalg.norm(u, axis=0)
        rows, normals = rng.standard_normal((30, d)), rng.standard_normal((4, d))
        normals /= np.linalg.norm(normals, axis=1)[:, None]
        centre = u[:, 0]
        low, high = normals @ centre - 0.3 * rng.random(4), normals @ centre + 0.3 * rng.random(4)
        norms = np.linalg.norm(rows, axis=1)
        lower, upper = row_ranges(rows, norms, normals[None], low[None], high[None])
        inside = np.all((normals @ u >= low[:, None]) & (normals @ u <= high[:, None]), axis=0)
        values = rows @ u[:, inside]
        assert inside.any()
        assert np.all(values <= upper[0][:, None] + 1e-12) and np.all(values >= lower[0][:, None] - 1e-12)


@pytest.mark.parametrize("seed", range(9))
def test_bounds_against_exact_cells(seed):
    problem, nu = random_problem(seed, kappa=(None, -1.0, 0.3)[seed // 3])
    truth = price_cells(problem, nu, enumerate_patterns(problem.extended))
    result = price_slabs(problem, nu, node_limit=40, backend="numpy", proof=True)
    assert result.bound >= truth.value * (1 - 1e-12) - 1e-300
    assert result.value <= truth.bound * (1 + 1e-12) and result.value <= result.bound
    assert result.proof is not None
    verified = verify_payload(problem, nu, result.proof)
    assert verified >= truth.value * (1 - 1e-12)
    assert max(verified, 0) <= max(result.bound, 0) * (1 + 1e-8) + 1e-12


def test_bound_converges_to_the_truth():
    problem, nu = random_problem(5, bias="penalized")
    truth = price_cells(problem, nu, enumerate_patterns(problem.extended)).value
    result = price_slabs(problem, nu, target=1.005 * truth, backend="numpy", time_limit=20)
    assert result.status == "target" and result.bound <= 1.005 * truth


def test_limits_and_resumption():
    rng = np.random.default_rng(3)
    problem = TrainingProblem(rng.standard_normal((60, 6)), rng.standard_normal(60), reg=1.0)
    search = SlabSearch(problem, problem.y, backend="numpy")
    first = search.run(node_limit=20)
    assert first.status == "node_limit" and first.work["nodes"] <= 24
    began = time.perf_counter()
    second = search.run(time_limit=0.6)
    assert second.status == "time_limit" and time.perf_counter() - began < 1.8
    assert second.bound <= first.bound and second.work["nodes"] > first.work["nodes"]
    assert search.run(target=second.bound * 1.01).status == "target"
    assert search.run(target=0.5 * second.value, stop_at_violation=True).status == "violated"
    small = price_slabs(problem, problem.y, memory_limit=20_000, backend="numpy", time_limit=5)
    assert small.status == "memory_limit" and small.work["bytes"] < 400_000
    assert small.bound >= second.value


def test_responses_attain_the_relaxed_value():
    rng = np.random.default_rng(4)
    problem = TrainingProblem(rng.standard_normal((40, 5)), rng.standard_normal(40), reg=1.0)
    search = SlabSearch(problem, problem.y, backend="numpy")
    result = search.run(node_limit=30)
    columns = search.responses(5)
    assert columns.shape == (40, 5)
    assert np.all(problem.y @ columns <= result.bound * 1.05) and np.all(problem.y @ columns >= 0.5 * result.value)


def test_extreme_sizes_do_not_matter():
    problem, nu = random_problem(1, bias="none")
    result = price_slabs(problem, nu, node_limit=30, backend="numpy")
    small = problem.with_options(reg=0.1)
    scaled = price_slabs(small, np.ldexp(nu, -300), node_limit=30, backend="numpy")
    assert np.isclose(np.ldexp(scaled.bound, 300), result.bound, rtol=1e-9)
    zero = price_slabs(problem, 0 * nu, node_limit=10, backend="numpy")
    assert zero.bound == 0 and zero.status == "done"


def test_bad_input():
    problem, nu = random_problem(2)
    with pytest.raises(ProblemError):
        price_slabs(problem, nu[:-1])
    with pytest.raises(ProblemError):
        price_slabs(problem, nu, backend="fortran")
    with pytest.raises(ProblemError):
        price_slabs(problem, nu, target=np.nan)
