"""The torch backend: same objective, same gradients, same networks."""

from __future__ import annotations

import numpy as np
import pytest
from baselines.cases import small_problem

from convexnet.baselines import StandardForm, train
from convexnet.baselines.starts import random_starts
from convexnet.errors import ProblemError
from convexnet.losses import SquaredLoss

pytestmark = pytest.mark.extra
torch = pytest.importorskip("torch")

CASES = [(loss, 1) for loss in ("squared", "huber", "absolute", "logistic", "hinge")] + [("softmax", 3), ("squared", 3)]


@pytest.mark.parametrize(("loss", "outputs"), CASES)
@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_gradients_agree_with_automatic_differentiation(loss: str, outputs: int, bias: str, norm: str) -> None:
    from convexnet.baselines.torch_backend import TorchForm

    for activation in ("relu", "leaky", "absolute"):
        problem = small_problem(
            loss, outputs=outputs, bias=bias, norm=norm, activation=activation, skip=True, weighted=True
        )
        form = StandardForm(problem, 4)
        theta = random_starts(form, 3, seed=0)
        for rows in (None, np.array([0, 3, 7])):
            parameters = torch.tensor(theta, requires_grad=True)
            values = TorchForm(form).values(parameters, rows)
            values.sum().backward()
            np.testing.assert_allclose(parameters.grad.numpy(), form.gradient(theta, rows), rtol=1e-9, atol=1e-10)
            if rows is None:
                np.testing.assert_allclose(values.detach().numpy(), form.values(theta), rtol=1e-12)


@pytest.mark.parametrize("method", ["adam", "sgd"])
@pytest.mark.parametrize("batch_size", [4, 9])
def test_optimizers_take_the_same_steps(method: str, batch_size: int) -> None:
    problem = small_problem()
    options = {"method": method, "width": 8, "n_starts": 2, "max_iter": 60, "batch_size": batch_size}
    ours, theirs = (train(problem, backend=backend, **options) for backend in ("numpy", "torch"))
    np.testing.assert_allclose(theirs.objectives, ours.objectives, rtol=1e-8)
    assert theirs.backend == "torch"
    assert theirs.objectives[0] == problem.objective(theirs.networks[0])


def test_lbfgs_reaches_nearly_the_same_value() -> None:
    """Without the rounding of kinks torch's L-BFGS stalls a little earlier."""
    problem = small_problem()
    ours, theirs = (
        train(problem, backend=backend, width=20, n_starts=3, max_iter=500) for backend in ("numpy", "torch")
    )
    assert theirs.best_objective == pytest.approx(ours.best_objective, rel=1e-2)
    assert np.all(theirs.iterations <= 500)


@pytest.mark.parametrize("method", ["adam", "sgd", "lbfgs"])
def test_time_limit(method: str) -> None:
    runs = train(small_problem(), method=method, backend="torch", n_starts=2, max_iter=10**7, time_limit=0.3)
    assert runs.ended in ("time limit", "finished" if method == "lbfgs" else "time limit")
    assert np.all(np.isfinite(runs.objectives))


def test_a_loss_unknown_to_torch_is_refused() -> None:
    class Own(SquaredLoss):
        name = "own"

    with pytest.raises(ProblemError, match="backend='numpy'"):
        train(small_problem(Own()), backend="torch", method="adam", max_iter=5)
