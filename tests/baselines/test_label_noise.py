"""Gradients with the label-noise penalty, explicit and implicit: derivatives, the drift, limits, bad input."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import numpy as np
import pytest

from convexnet import TrainingProblem
from convexnet.baselines import label_noise_sgd, train_label_noise
from convexnet.baselines._label_noise_form import LabelNoiseForm
from convexnet.baselines.noisy_labels import _Descent
from convexnet.errors import ProblemError
from convexnet.networks import label_noise_norms, label_noise_penalty


def draw(n: int = 5, d: int = 2, **options: Any) -> TrainingProblem:
    rng = np.random.default_rng(0)
    options = {"reg": 0.1, "norm": "label_noise", "negative_slope": 0.2, **options}
    return TrainingProblem(rng.standard_normal((n, d)), rng.standard_normal(n), **options)


@pytest.mark.parametrize("activation", ["relu", "leaky", "absolute"])
@pytest.mark.parametrize("rounding", [0.0, 0.3])
def test_gradient_is_the_derivative(activation: str, rounding: float) -> None:
    form = LabelNoiseForm(draw(activation=activation), 4)
    rng = np.random.default_rng(1)
    W, c = form.starts(3, 0)
    _, inner, outer = form.value_and_gradient(W, c, rounding)
    dW, dc, h = rng.standard_normal(W.shape), rng.standard_normal(c.shape), 1e-6
    ahead, behind = (form.value_and_gradient(W + s * dW, c + s * dc, rounding)[0] for s in (h, -h))
    slope = np.sum(inner * dW, axis=(1, 2)) + np.sum(outer * dc, axis=1)
    np.testing.assert_allclose((ahead - behind) / (2 * h), slope, rtol=1e-6)


def test_value_and_penalties_are_those_of_the_network() -> None:
    problem = draw()
    form = LabelNoiseForm(problem, 6)
    W, c = form.starts(2, 3)
    values, (plain, balanced) = form.value_and_gradient(W, c)[0], form.penalties(W, c)
    for s in range(2):
        network = form.network(W[s], c[s])
        penalty = label_noise_penalty(network, problem.X)
        loss = problem.loss_value(network.predict(problem.X))
        assert plain[s] == pytest.approx(penalty) and values[s] == pytest.approx(loss + problem.reg * penalty)
        assert balanced[s] == pytest.approx(label_noise_norms(network, problem.X) @ np.abs(network.output_weights))


def test_one_start_depends_on_its_number_alone() -> None:
    problem = draw()
    many, one = (train_label_noise(problem, width=8, n_starts=k, max_iter=16) for k in (2, 1))
    assert many.objectives[0] == one.objectives[0]
    assert many.objectives[0] == problem.objective(many.networks[0])
    runs = [label_noise_sgd(problem, width=8, n_starts=1, max_iter=50, random_state=4) for _ in range(2)]
    assert np.array_equal(runs[0].penalties, runs[1].penalties)


def test_rounding_the_kink_helps() -> None:
    problem = draw(8, 1)
    plain, rounded = (train_label_noise(problem, width=20, n_starts=3, max_iter=400, rounding=r) for r in (False, True))
    assert rounded.best_objective <= plain.best_objective * (1 + 1e-9)


# -------------------------------------------------------------------------------------------------- noisy labels
def test_noise_balances_a_neuron() -> None:
    """On one point the fits are ``c w = 1`` with penalty ``(c^2 + w^2) / 2``: the noise leads to ``c = w = 1``."""
    problem = TrainingProblem([[1.0]], [1.0], reg=0.02, norm="label_noise", bias="none")
    runs = label_noise_sgd(problem, width=1, n_starts=8, max_iter=4000, learning_rate=0.05, n_records=4)
    fitted = np.isfinite(runs.settled[0]) & np.isfinite(runs.settled[-1])
    assert fitted.any()
    assert np.median(runs.settled[-1][fitted]) == pytest.approx(1.0, abs=0.05)
    assert np.all(runs.settled[-1][fitted] >= 1 - 1e-7)


@pytest.mark.parametrize("batch_size", [pytest.param(None, marks=pytest.mark.slow), 2])
def test_stationary_loss_is_what_the_theory_says(batch_size: int | None) -> None:
    """In equilibrium the noise alone makes the loss about ``reg`` times the penalty (small steps)."""
    problem = TrainingProblem(
        [[-1.5], [-0.5], [0.5], [1.5]], [1.0, -1.0, 1.5, -0.8], reg=1e-3, norm="label_noise", activation="leaky"
    )
    runs = label_noise_sgd(
        problem, width=10, n_starts=6, max_iter=3000, n_records=60, learning_rate=0.01, batch_size=batch_size,
        random_state=1,
    )  # fmt: skip
    late = slice(40, None)
    ratios = np.mean(runs.losses[late], axis=0) / np.mean(problem.reg * runs.penalties[late], axis=0)
    # The starts that are in equilibrium; batches add the noise of sampling the residuals that are left.
    assert 0.8 < np.sort(ratios)[:3].mean() < (1.3 if batch_size is None else 1.9)


def test_results_are_consistent() -> None:
    problem = draw(reg=0.01)
    runs = label_noise_sgd(problem, width=12, n_starts=2, max_iter=200, n_records=4)
    assert runs.steps.tolist() == [0, 50, 100, 150, 200]
    assert runs.ended == "finished" and "label" not in repr(runs).lower()[15:]
    assert runs.learning_rate * runs.noise**2 / 2 == pytest.approx(problem.reg)
    for s, network in enumerate(runs.networks):
        assert problem.objective(network) == pytest.approx(runs.objectives[-1, s])
    for s, network in enumerate(runs.settled_networks):
        if network is not None:
            assert np.max(np.abs(network.predict(problem.X) - problem.y)) <= 2e-8 * np.max(np.abs(problem.y))
            assert label_noise_penalty(network, problem.X) == pytest.approx(runs.settled[-1, s])
    assert "implicit reg" in runs.summary()
    assert len(runs.to_dict()["penalties"]) == 5


def test_divergence_limits_and_callback_are_reported() -> None:
    problem = draw()
    wild = label_noise_sgd(draw(activation="leaky"), width=5, n_starts=2, max_iter=500, learning_rate=1e3)
    assert wild.ended == "diverged" and wild.networks == (None, None)
    start = time.perf_counter()
    late = label_noise_sgd(problem, width=5, n_starts=1, max_iter=10**8, n_records=1, time_limit=0.2)
    assert late.ended == "time limit" and time.perf_counter() - start < 3
    assert label_noise_sgd(problem, width=5, n_starts=1, callback=lambda step, penalties: True).ended == "callback"
    short = train_label_noise(problem, width=40, n_starts=50, time_limit=0.2)
    assert short.ended == "time limit" and np.isfinite(short.objectives).all()


@pytest.mark.parametrize("train", [label_noise_sgd, train_label_noise])
def test_named_errors(train: Any) -> None:
    problem = draw()
    with pytest.raises(ProblemError, match="norm='label_noise'"):
        train(problem.with_options(norm="l2"))
    with pytest.raises(ProblemError, match="squared"):
        train(problem.with_options(loss="interpolation"))
    for option in ("width", "n_starts", "max_iter"):
        with pytest.raises(ProblemError, match=option):
            train(problem, **{option: 0})
    with pytest.raises(ProblemError, match="time_limit"):
        train(problem, time_limit=-1)


def test_named_errors_of_noisy_labels() -> None:
    problem = draw()
    with pytest.raises(ProblemError, match="squared loss"):
        label_noise_sgd(problem.with_options(loss="huber"))
    with pytest.raises(ProblemError, match="sample weights"):
        label_noise_sgd(problem.with_options(sample_weight=np.ones(5)))
    with pytest.raises(ProblemError, match="batch_size"):
        label_noise_sgd(problem, batch_size=6)
    with pytest.raises(ProblemError, match="callback"):
        label_noise_sgd(problem, callback=1)  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match="learning_rate"):
        label_noise_sgd(problem, learning_rate=0)


@pytest.mark.parametrize("where", ["_step", "settle", "callback"])
def test_an_interrupt_keeps_what_was_recorded(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = itertools.count()

    def interrupting(*arguments: Any) -> Any:
        if next(count) == (20 if where == "_step" else 0):
            raise KeyboardInterrupt
        return plain(*arguments) if plain else False

    plain: Any = getattr(_Descent, where, None)
    if plain:
        monkeypatch.setattr(_Descent, where, interrupting)
    runs = label_noise_sgd(
        draw(), width=6, n_starts=2, max_iter=64, n_records=4, callback=None if plain else interrupting
    )
    assert runs.ended == "interrupted"
    assert runs.steps[-1] == {"_step": 20, "settle": 64, "callback": 0}[where]
    assert len(runs.penalties) == len(runs.settled) == len(runs.steps)
    assert np.isfinite(runs.penalties).all() and "interrupted" in runs.summary()
    json.dumps(runs.to_dict(), allow_nan=False)
