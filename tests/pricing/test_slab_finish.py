"""The exact end of the slab search: valid bounds on parts of nodes, the maximum itself once all rows are decided."""

from __future__ import annotations

import numpy as np
import pytest

from convexnet import TrainingProblem
from convexnet.pricing import pricing_forms
from convexnet.pricing._slab_finish import Finisher, concave_bound, finish
from convexnet.pricing._slab_node import Form, Node
from convexnet.pricing._slab_numpy import tighten_rows


def cap_node(seed: int, d: int = 3, n: int = 25, width: float = 0.1) -> tuple[Form, Node]:
    """A random form and the node around one direction, a few slabs of a given width."""
    generator = np.random.default_rng(seed)
    problem = TrainingProblem(generator.standard_normal((n, d)), generator.standard_normal(n), reg=1.0, bias="none")
    form = Form(pricing_forms(problem, problem.y)[0])
    node = Node(0, form)
    centre = generator.standard_normal(d)
    centre /= np.linalg.norm(centre)
    for normal in np.linalg.qr(np.column_stack([centre, generator.standard_normal((d, d - 1))]))[0].T:
        node.normal = normal * (1.0 if normal @ centre >= 0 else -1.0)
        node = node.child(float(node.normal @ centre) - width, min(1.0, float(node.normal @ centre) + width))
        node.mean = centre
    tighten_rows(form, [node], 3)
    return form, node


def inside(form: Form, node: Node, seed: int, count: int = 40_000) -> np.ndarray:
    """F at random unit directions of the node."""
    generator = np.random.default_rng([seed, 1])
    u = node.mean[:, None] + 0.2 * generator.standard_normal((form.d, count))
    u /= np.linalg.norm(u, axis=0)
    heights = node.normals @ u
    kept = u[:, np.all((heights >= node.low[:, None]) & (heights <= node.high[:, None]), axis=0)]
    return form.linear @ kept + form.weights @ np.abs(form.rows @ kept)


@pytest.mark.parametrize("seed", range(12))
def test_closes_a_node_exactly_above_its_maximum(seed: int) -> None:
    form, node = cap_node(seed)
    values = inside(form, node, seed)
    assert values.size > 100
    top = float(values.max())
    assert not finish(form, node, top - 1e-6, 2000).closed
    low, high = top, top + 1.0
    for _ in range(25):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if finish(form, node, middle, 2000).closed else (middle, high)
    # What it can close is the maximum over the part of the ball between the planes, hardly above that of the sphere.
    assert high <= top + 0.05 * abs(top) + 0.02


def test_every_step_of_the_bound_is_valid() -> None:
    form, node = cap_node(3)
    rows, weights = form.rows[node.index], form.weights[node.index]
    convex = weights > 0
    lower, upper = node.lower[convex], node.upper[convex]
    slope, offset = (upper + lower) / (upper - lower), -2 * upper * lower / (upper - lower)
    linear = node.base + (weights[convex] * slope) @ rows[convex]
    sides, ends = np.vstack([node.normals, -node.normals]), np.concatenate([node.high, -node.low])
    top = float(inside(form, node, 3).max())
    for steps in (1, 2, 5, 40):
        curved = (rows[~convex], -weights[~convex])
        constant = float(weights[convex] @ offset)
        value, beta, _ = concave_bound(linear, constant, *curved, sides, ends, node.mean, -1.0, steps)
        assert value >= top - 1e-12
        assert np.all(beta >= 0)


def test_a_node_is_attempted_once_and_failures_have_a_price() -> None:
    form, node = cap_node(1)
    finisher = Finisher()
    assert finisher.attempt(form, node, -10.0) is not None
    assert finisher.attempt(form, node, 10.0) is None
    assert finisher.wasted > 0
