"""Contradictory targets: decided and proven in exact arithmetic, for every activation, bias rule and free term."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convexnet import TrainingProblem
from convexnet.certificates import check_interpolable, find_contradiction
from convexnet.errors import ConvexNetError, InfeasibleError, ProblemError

ACTIVATIONS = ("relu", "absolute", "leaky", "threshold")
BIASES = ("none", "penalized", "free")


def problem_of(X: Any, y: Any, **options: Any) -> TrainingProblem:
    return TrainingProblem(X, y, loss="interpolation", **options)


def random_case(seed: int) -> TrainingProblem | None:
    """Few small integers, so that rows repeat, oppose and vanish often; None where options contradict."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 8)), int(rng.integers(1, 4))
    options: dict[str, Any] = {"bias": BIASES[seed % 3], "activation": ACTIVATIONS[seed // 3 % 4]}
    options["skip"] = bool(rng.integers(2)) and options["activation"] != "threshold"
    if options["bias"] != "free":
        options["intercept"] = bool(rng.integers(2))
    if rng.integers(4) == 0:
        options["sample_weight"] = rng.integers(0, 2, n).astype(float)
    X, y = rng.integers(-2, 3, (n, d)).astype(float), rng.integers(-2, 3, n).astype(float)
    try:
        return problem_of(X, y, **options)
    except ConvexNetError:
        return None


def spanned(problem: TrainingProblem) -> bool:
    """Whether y lies in the span of the outputs of many random neurons, borders of cells included, in floats."""
    rng = np.random.default_rng(0)
    rows = problem.extended
    U = rng.standard_normal((rows.shape[1], 300))
    U = np.column_stack([U, np.zeros(rows.shape[1])])
    # integer directions put zero rows and samples on borders
    U = np.column_stack([U, rng.integers(-2, 3, (rows.shape[1], 300))])
    T = rows @ U
    hidden = 1.0 * (T >= 0) if problem.activation == "threshold" else np.where(T > 0, T, problem.kappa * T)
    keep = np.ones(problem.n, bool) if problem.sample_weight is None else problem.sample_weight > 0
    design = np.column_stack([hidden, problem.free_columns])[keep]
    fit = design @ np.linalg.lstsq(design, problem.y[keep], rcond=1e-10)[0]
    return bool(np.linalg.norm(fit - problem.y[keep]) <= 1e-7)


@pytest.mark.parametrize("block", range(4))
def test_decisions_agree_with_the_span_of_outputs(block: int) -> None:
    found = 0
    for seed in range(60 * block, 60 * block + 60):
        problem = random_case(seed)
        if problem is None or (problem.sample_weight is not None and not problem.sample_weight.any()):
            continue
        vector = find_contradiction(problem)
        assert (vector is None) == spanned(problem), seed
        if vector is not None:
            found += 1
            assert vector.check(problem)
            verify_by_hand(problem, vector)
    assert found >= 5


def verify_by_hand(problem: TrainingProblem, vector: Any) -> None:
    """The claim in small integers, which floats hold exactly: orthogonal to many neurons and not to y."""
    nu = np.array([float(value) for value in vector.exact])
    rng = np.random.default_rng(1)
    U = rng.integers(-3, 4, (problem.extended.shape[1], 200)).astype(float)
    T = problem.extended @ U
    hidden = 1.0 * (T >= 0) if problem.activation == "threshold" else np.where(T > 0, T, problem.kappa * T)
    size = 1e-12 * np.abs(nu).sum() * 50
    assert np.all(np.abs(nu @ hidden) <= size)
    assert not np.any(nu @ problem.free_columns)
    assert nu @ problem.y > 0
    np.testing.assert_allclose(vector.nu, nu / np.abs(nu).max(), rtol=1e-15)


def test_named_cases() -> None:
    parallel = find_contradiction(problem_of([[1.0, 2.0], [3.0, 6.0]], [1.0, 2.0], bias="none"))
    assert parallel is not None
    assert parallel.exact == (3, -1)
    assert find_contradiction(problem_of([[1.0, 2.0], [3.0, 6.0]], [1.0, 3.0], bias="none")) is None
    assert find_contradiction(problem_of([[1.0, 2.0], [3.0, 6.0]], [1.0, 2.0])) is None
    zero = find_contradiction(problem_of([[0.0], [1.0]], [-2.0, 1.0], bias="none"))
    assert zero is not None
    assert zero.exact == (-1, 0)
    # odd parts are linear: f(1) - f(-1) = c, f(2) - f(-2) = 2 c
    antipodal = find_contradiction(problem_of([[1.0], [-1.0], [2.0], [-2.0]], [1.0, 0.0, 2.0, 1.0], bias="none"))
    assert antipodal is not None
    assert len(antipodal.rows) >= 2
    twins = problem_of([[0.1, 0.2]] * 2, [0.3, 0.3 * (1 + 1e-15)])
    assert find_contradiction(twins) is None  # rounding


def test_floats_of_any_size() -> None:
    """Ratios of floats are no floats: the integers stay exact."""
    x = np.array([0.1, 1e-30, 3e20])
    vector = find_contradiction(problem_of([x, 3.0 * np.ldexp(x, 7)], [1.0, 1.0], bias="none"))
    if vector is not None:  # three times a float may be rounded, and then the rows are not parallel
        assert vector.check(problem_of([x, 3.0 * np.ldexp(x, 7)], [1.0, 1.0], bias="none"))
    vector = find_contradiction(problem_of([x, np.ldexp(x, 7)], [1.0, 1.0], bias="none"))
    assert vector is not None
    assert vector.exact == (128, -1)


def test_forged_vectors_do_not_pass() -> None:
    problem = problem_of([[1.0], [2.0], [1.0]], [3.0, 4.0, 5.0])
    vector = find_contradiction(problem)
    assert vector is not None
    assert vector.check(problem)
    for exact in ((1, 0, -1), (0, 0, 0), (-1, 1, 1), (-2, 0, 1), (0, 1, 0), (-1, 0)):
        assert not replace(vector, exact=exact).check(problem), exact
    assert not replace(vector, output=1).check(problem)
    assert not vector.check(problem_of([[1.0], [2.0], [1.5]], [3.0, 4.0, 5.0]))
    assert not vector.check(problem.with_options(sample_weight=[0.0, 1.0, 1.0]))


def test_one_of_several_outputs() -> None:
    Y = np.array([[1.0, 1.0], [2.0, 0.0], [1.0, 3.0]])
    vector = find_contradiction(problem_of([[0.0], [1.0], [0.0]], Y))
    assert vector is not None
    assert vector.output == 1
    assert vector.nu.shape == Y.shape
    assert not vector.nu[:, 0].any()
    assert vector.check(problem_of([[0.0], [1.0], [0.0]], Y))


def test_the_error_carries_the_proof() -> None:
    problem = problem_of([[1.0], [2.0], [1.0]], [3.0, 4.0, 5.0])
    with pytest.raises(InfeasibleError, match="rows 0, 2 of X are repeated with different targets") as caught:
        check_interpolable(problem)
    assert caught.value.proof.check(problem)
    assert float(caught.value.certificate @ problem.y) > 0
    text = caught.value.proof
    assert text.to_dict()["exact"] == ["-1", "0", "1"]
    assert "rational" in text.summary()
    assert "rows=[0, 2]" in repr(text)
    with pytest.raises(ProblemError):
        find_contradiction([[1.0]])  # type: ignore[arg-type]


def test_many_rows_take_no_time() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 5))
    X[-1] = X[7]
    start = time.process_time()
    vector = find_contradiction(problem_of(X, rng.standard_normal(20_000)))
    assert vector is not None
    assert vector.rows.tolist() == [7, 19_999]
    assert time.process_time() - start < 5
