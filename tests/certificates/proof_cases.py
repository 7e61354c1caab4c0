"""Small proof files of every kind, shared by the tests of proof files."""

from __future__ import annotations

import functools
import json
import warnings
from typing import Any

import numpy as np
from helpers.proofs import cones_proof, moment_proof, slabs_proof

from convexnet import TrainingProblem, enumerate_patterns, reg_max, solve
from convexnet.certificates import cells_payload
from convexnet.certificates.proof_file import proof_document
from convexnet.errors import ConvexNetError

__all__ = ["KINDS", "payload_of", "small_document", "small_problem"]

KINDS = ("cells", "moment", "cones", "slabs")


@functools.cache
def _solved(loss: str, seed: int, options: tuple[tuple[str, Any], ...]) -> tuple[TrainingProblem, Any, Any, np.ndarray]:
    """A problem in two or three dimensions with ties and a repeated sample, its patterns, a solution and its nu."""
    rng = np.random.default_rng(seed)
    n = 7
    X = np.round(rng.standard_normal((n, 2)) * 4) / 4 + 0.0
    X[1] = X[0]
    X[2] = -2 * X[3]
    y = np.round(rng.standard_normal(n) * 8) / 8
    if loss in ("logistic", "hinge"):
        y = np.where(np.arange(n) % 2, 1.0, -1.0)
    if loss == "interpolation":
        y[1] = y[0]
    reg = {} if loss == "interpolation" else {"reg": 1.0}
    problem = TrainingProblem(X, y, loss=loss, **reg, **dict(options))
    patterns = enumerate_patterns(problem.extended)
    if reg:
        try:
            problem = problem.with_options(reg=0.2 * reg_max(problem, patterns))
        except ConvexNetError:
            problem = problem.with_options(reg=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = solve(problem, patterns=patterns)
    return problem, patterns, solution.network, solution.certificate.nu


def small_problem(loss: str, seed: int = 0, **options: Any) -> tuple[TrainingProblem, Any, Any, np.ndarray]:
    return _solved(loss, seed, tuple(sorted(options.items())))


def payload_of(kind: str, problem: TrainingProblem, patterns: Any, nu: np.ndarray) -> dict[str, Any]:
    if kind == "cells":
        return cells_payload(problem, nu, patterns)
    if kind == "cones":
        return cones_proof(problem, nu, depth=3)
    return moment_proof(problem, nu, steps=30) if kind == "moment" else slabs_proof(problem, nu, depth=2)


@functools.cache
def small_document(loss: str, kind: str, seed: int = 0, **options: Any) -> str:
    problem, patterns, network, nu = small_problem(loss, seed, **options)
    return json.dumps(proof_document(problem, network, nu, payload_of(kind, problem, patterns, nu), tol=1e-5))
