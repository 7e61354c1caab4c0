"""certify for threshold neurons and label noise: the judge that fits, better networks named, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convexnet import ShallowNetwork, TrainingProblem, certify, solve
from convexnet.certificates import ProofFileError
from convexnet.errors import NetworkError, PatternError, ProblemError
from convexnet.networks import ThresholdNetwork
from convexnet.pricing import threshold_patterns

KINDS: dict[str, dict[str, Any]] = {
    "label_noise": {"norm": "label_noise"}, "threshold": {"activation": "threshold"}
}  # fmt: skip


def made(kind: str, **options: Any) -> TrainingProblem:
    rng = np.random.default_rng(4)
    options = {"reg": 0.1, **KINDS[kind], **options}
    return TrainingProblem(rng.standard_normal((6, 2)), rng.standard_normal(6), **options)


def poor(kind: str) -> Any:
    made_by = ThresholdNetwork if kind == "threshold" else ShallowNetwork
    return made_by([[1.0, 0.0]], [0.0], [0.3])


@pytest.mark.parametrize("kind", KINDS)
def test_certify_uses_the_judge_of_the_problem(kind: str) -> None:
    problem, seen = made(kind), []
    best = solve(problem)
    certificate = certify(problem, callback=lambda *state: seen.append(state))
    assert certificate.verdict == "optimal"
    assert certificate.upper_bound == pytest.approx(best.objective, rel=1e-6)
    assert seen and all(len(state) == 3 for state in seen)
    assert certify(problem, best.network, nu=best.certificate.nu).verdict == "optimal"
    network = poor(kind)
    refuted = certify(problem, network)
    assert refuted.verdict == "refuted" and refuted.upper_bound == problem.objective(network)
    assert refuted.improved_objective == problem.objective(refuted.improved)  # type: ignore[arg-type]
    assert refuted.lower_bound <= refuted.improved_objective * (1 + 1e-12)
    assert refuted.lower_bound == pytest.approx(best.objective, rel=1e-6)
    assert "better network" in refuted.summary()
    json.dumps(refuted.to_dict(), default=lambda value: value.tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_interpolation_and_given_patterns(kind: str) -> None:
    assert certify(made(kind, loss="interpolation", reg=None)).verdict == "optimal"
    if kind == "threshold":
        problem = made(kind)
        assert certify(problem, patterns=threshold_patterns(problem)).verdict == "optimal"


@pytest.mark.parametrize("kind", KINDS)
def test_what_they_refuse(kind: str) -> None:
    problem, other = made(kind), "label_noise" if kind == "threshold" else "threshold"
    with pytest.raises(ProblemError, match="leave method out"):
        certify(problem, method="cells")
    with pytest.raises(ProblemError, match="leave proof out"):
        certify(problem, proof=True)
    with pytest.raises(ProblemError, match="shape"):
        certify(problem, nu=[1.0])
    with pytest.raises(PatternError):
        certify(problem, patterns="all")  # type: ignore[arg-type]
    with pytest.raises(NetworkError):
        certify(problem, poor(other) if kind == "threshold" else ThresholdNetwork([[1.0]], [0.0], [1.0]))


@pytest.mark.parametrize("kind", KINDS)
def test_saving_names_what_has_no_proof_format(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ProofFileError, match=f"Certificate.save has no proof format.*judge_{kind}"):
        solve(made(kind)).certificate.save(tmp_path / "proof.json")
    assert not list(tmp_path.iterdir())
