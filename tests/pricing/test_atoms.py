"""One unit atom for each cell and sign: inside its cell, the best there, and the only best."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.grids import latin

from convexnet import TrainingProblem, enumerate_patterns, sample_patterns
from convexnet.errors import PatternError, ProblemError
from convexnet.pricing import CellAtoms, cell_atoms, feasible_dual, price_cell, price_cells


def make(seed: int, **options: object) -> tuple[TrainingProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    problem = TrainingProblem(rng.standard_normal((8, 2)), rng.standard_normal(8), reg=1.0, **options)
    return problem, feasible_dual(problem, rng.standard_normal(8)).nu


@pytest.mark.parametrize(
    ("bias", "activation", "norm"),
    latin(("penalized", "free", "none"), ("relu", "leaky", "absolute"), ("l2", "l1"), every=4),
)
def test_atoms_are_the_maxima_of_their_cells(bias: str, activation: str, norm: str) -> None:
    problem, nu = make(5, bias=bias, activation=activation, norm=norm)
    patterns = enumerate_patterns(problem.extended)
    atoms = cell_atoms(problem, nu, patterns)
    assert len(set(zip(atoms.cells.tolist(), atoms.signs.tolist(), strict=True))) == len(atoms)
    assert np.all(np.diff(atoms.values) <= 0)
    penalised = atoms.directions[:-1] if bias == "free" else atoms.directions
    assert np.allclose(np.linalg.norm(penalised, 1 if norm == "l1" else 2, axis=0), 1)
    pre = problem.extended @ atoms.directions
    outputs = np.maximum(pre, problem.kappa * pre)
    assert np.allclose(atoms.signs * (nu @ outputs), atoms.values, rtol=1e-10)
    sides = 2.0 * patterns.patterns[:, atoms.cells] - 1
    assert np.min(sides * pre) > -1e-7 * np.abs(pre).max()
    assert atoms.values[0] == pytest.approx(price_cells(problem, nu, patterns).value, rel=1e-9)
    found = {(c, s): v for c, s, v in zip(atoms.cells, atoms.signs, atoms.values, strict=True)}
    for cell, pattern in enumerate(patterns.patterns.T):
        for sign in (1, -1):
            best = price_cell(problem, pattern, sign * nu).bound
            assert found.get((cell, sign), 0.0) == pytest.approx(best, rel=1e-8, abs=1e-8)


def test_threshold_and_sub_lists() -> None:
    problem, nu = make(6)
    patterns = enumerate_patterns(problem.extended)
    every = cell_atoms(problem, nu, patterns)
    few = cell_atoms(problem, nu, patterns, threshold=float(every.values[4]))
    assert len(few) == 4
    assert len(every.above(float(every.values[4]))) == 5
    part = cell_atoms(problem, nu, patterns.subset([0, 3]))
    assert set(part.cells.tolist()) <= {0, 1}
    sampled = sample_patterns(problem.extended, 10, random_state=0)
    assert sampled.rays is None
    assert len(cell_atoms(problem, nu, sampled)) > 0


def test_no_atoms_for_a_zero_dual_vector_and_for_dead_data() -> None:
    problem, _ = make(7)
    nothing = cell_atoms(problem, np.zeros(8), enumerate_patterns(problem.extended))
    assert len(nothing) == 0
    assert nothing.directions.shape == (3, 0)
    dead = TrainingProblem(np.zeros((3, 2)), [1.0, 2.0, 3.0], reg=1.0, bias="none")
    assert len(cell_atoms(dead, dead.y, enumerate_patterns(dead.extended))) == 0


def test_badly_scaled_columns_keep_their_atoms() -> None:
    rng = np.random.default_rng(8)
    X = rng.standard_normal((7, 2)) * [1e-6, 1e6]
    problem = TrainingProblem(X, rng.standard_normal(7), reg=1.0)
    patterns = enumerate_patterns(problem.extended)
    atoms = cell_atoms(problem, problem.y, patterns)
    assert atoms.values[0] == pytest.approx(price_cells(problem, problem.y, patterns).value, rel=1e-9)


def test_printing() -> None:
    problem, nu = make(6)
    atoms = cell_atoms(problem, nu, enumerate_patterns(problem.extended))
    assert isinstance(atoms, CellAtoms)
    assert "\n" not in repr(atoms)
    assert f"{int((atoms.signs > 0).sum())} of positive" in atoms.summary()
    assert len(atoms.to_dict()["values"]) == len(atoms)


def test_bad_input_is_refused() -> None:
    problem, nu = make(6)
    patterns = enumerate_patterns(problem.extended)
    with pytest.raises(PatternError, match="empty"):
        cell_atoms(problem, nu, patterns.subset([]))
    with pytest.raises(PatternError, match="belong to"):
        cell_atoms(problem, nu, enumerate_patterns(problem.X))
    with pytest.raises(ProblemError, match="nu must be finite"):
        cell_atoms(problem, nu[:3], patterns)
    vector = TrainingProblem(problem.X, np.ones((8, 2)), reg=1.0)
    with pytest.raises(ProblemError, match="scalar output"):
        cell_atoms(vector, nu, patterns)
