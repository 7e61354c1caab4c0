"""
Activation cells, how many there are, and what the dual sees
============================================================

A neuron is active on some samples and silent on the others. The samples cut the space of neurons into *cells* on which
this pattern is constant. Listing all cells is what turns training into a convex problem, and looking at every cell is
what turns a dual vector into a proof.
"""

# %%
# Cells
# -----
# One feature and a bias: neurons are points (weight, bias) of a plane, and each sample is a line through the origin.
# Six samples give twelve sectors; the number at the rim counts the samples on which the neurons of that sector are
# active.
#
# Two features and a bias: neurons live in space, and the picture shows the slice where the bias is one. Each sample is
# a line again, and the darker a cell, the more samples are active in it.

import matplotlib.pyplot as plt
import numpy as np

import convexnet
from convexnet.arrangements import cover_count
from convexnet.plotting import plot_arrangement, plot_dual_certificate

rng = np.random.default_rng(4)
line = np.column_stack([[-1.6, -0.7, -0.2, 0.5, 0.9, 2.0], np.ones(6)])
circle = np.deg2rad([10, 75, 130, 200, 250, 310])
plane = np.column_stack([0.7 * np.cos(circle), 0.9 * np.sin(circle), np.ones(6)])

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
plot_arrangement(line, left)
steps = np.linspace(-5, 5, 600)
neurons = np.stack([*np.meshgrid(steps, steps), np.ones((600, 600))], axis=-1)
active = (neurons @ plane.T >= 0).sum(axis=-1)
shades = right.pcolormesh(steps, steps, active, cmap=plt.get_cmap("Greys", 7), vmin=-0.5, vmax=6.5, alpha=0.7)
figure.colorbar(shades, ax=right, label="active samples", ticks=range(7))
for w1, w2, one in plane:
    right.contour(steps, steps, w1 * neurons[..., 0] + w2 * neurons[..., 1] + one, levels=[0.0], colors="k")
cells = convexnet.enumerate_patterns(plane)
right.set(aspect="equal", xlabel="first weight", ylabel="second weight")
right.set_title(f"slice with bias 1 through the {len(cells)} cells of 6 samples")
plt.show()

# %%
# How many cells
# --------------
# Cover's count bounds their number and is reached in general position. Tables with few distinct values stay far below
# it, and their lists are complete all the same: the proof is the exact count of vertices, not Cover's number.

sizes = [5, 10, 20, 40, 80]
counts: dict[str, list[int]] = {"one feature": [], "two features": [], "two features, integers 0 to 9": []}
for n in sizes:
    ones = np.ones((n, 1))
    tables = [rng.standard_normal((n, 1)), rng.standard_normal((n, 2)), rng.integers(0, 10, (n, 2)).astype(float)]
    for found, features in zip(counts.values(), tables, strict=True):
        patterns = convexnet.enumerate_patterns(np.hstack([features, ones]))
        assert patterns.complete
        found.append(len(patterns))

figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
for rank, style in ((2, ":"), (3, "--")):
    axis.plot(sizes, [cover_count(n, rank) for n in sizes], style, color="0.4", label=f"Cover's count, rank {rank}")
for (name, found), marker in zip(counts.items(), "so^", strict=True):
    axis.plot(sizes, found, marker, color="k", mfc="w" if marker == "^" else "k", label=f"listed: {name}")
    print(f"{name:<30}", *(f"{count:>6,}" for count in found))
axis.set(xscale="log", yscale="log", xlabel="samples n", ylabel="activation cells", xticks=sizes, xticklabels=sizes)
axis.minorticks_off()
axis.grid(alpha=0.3)
axis.legend(frameon=False)
plt.show()

# %%
# The dual certificate
# --------------------
# Fifteen samples of one feature, fitted by a network that bends where it pays. The dual vector of its certificate gives
# every possible neuron u of unit length a value, ``nu . sigma(X u)``. The proof of optimality is that the curve never
# leaves the band of half-width ``reg``; the neurons of the network are where it touches the edge, the upper one if they
# bend the function upwards and the lower one if downwards.

rng = np.random.default_rng(7)
x = rng.standard_normal(15)
y = np.sin(2 * x) + 0.1 * rng.standard_normal(15)
problem = convexnet.TrainingProblem(x[:, None], y, reg=0.1)
solution = convexnet.solve(problem)
print(solution.certificate.summary())

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained", width_ratios=(2, 3))
grid = np.linspace(x.min() - 0.3, x.max() + 0.3, 400)
left.plot(x, y, "ok", mfc="w", label="samples")
left.plot(grid, solution.network.predict(grid[:, None]), color="k", label=f"network, {solution.size} neurons")
left.set(xlabel="x", ylabel="y and prediction")
left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize="small")
plot_dual_certificate(problem, solution.certificate, solution.network, right)
plt.show()
