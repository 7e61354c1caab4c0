"""
A ridge function: networks beside thin-plate splines
====================================================

A thin-plate spline is the two-dimensional cousin of the cubic smoothing spline: it knows no directions. A ReLU network
with weight decay does, and on a function that varies in one direction only it needs far fewer samples.
"""

# %%
# The target and the methods
# --------------------------
# The target is ``3 (w . x - 0.1)_+`` on a square, seen through noise. The networks have free biases and a skip
# connection, the setting in which weight decay is a seminorm of the function (Parhi and Nowak, 2021), and are globally
# optimal: every activation pattern is listed, and the certificate is checked below. Both methods get the smoothing
# parameter that is best for the true function.

import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import RBFInterpolator

import convexnet

DIRECTION = np.array([1.0, 0.6]) / np.hypot(1.0, 0.6)


def target(X):
    return 3.0 * np.maximum(X @ DIRECTION - 0.1, 0.0)


def error(values, X):
    return float(np.mean((values - target(X)) ** 2))


def networks(X, y):
    problem = convexnet.TrainingProblem(X, y, reg=1.0, bias="free", skip=True)
    patterns = convexnet.enumerate_patterns(problem.extended)
    top = convexnet.reg_max(problem, patterns)
    for ratio in (0.3, 0.15, 0.08, 0.04, 0.02):
        solution = convexnet.solve(problem.with_options(reg=ratio * top), patterns=patterns)
        assert solution.certificate.verdict == "optimal"
        yield solution.network.reduced(X, "free")


def thin_plates(X, y):
    for smoothing in np.geomspace(1e-3, 1e2, 21):
        yield RBFInterpolator(X, y, smoothing=smoothing, kernel="thin_plate_spline", degree=1)


# %%
# Errors against the number of samples
# ------------------------------------
# Three samples of each size; the errors are averaged on fresh points.

generator = np.random.default_rng(0)
fresh = generator.uniform(-1, 1, (4000, 2))
table = {}
for n in (20, 40, 80):
    pairs = []
    for _ in range(3):
        X = generator.uniform(-1, 1, (n, 2))
        y = target(X) + 0.2 * generator.standard_normal(n)
        network = min(networks(X, y), key=lambda each: error(each.predict(fresh), fresh))
        plate = min(thin_plates(X, y), key=lambda each: error(each(fresh), fresh))
        pairs.append((error(network.predict(fresh), fresh), error(plate(fresh), fresh)))
    table[n] = np.mean(pairs, axis=0)
    ratio = table[n][1] / table[n][0]
    print(f"n = {n:2d}: network {table[n][0]:.4f}, thin plate {table[n][1]:.4f}, ratio {ratio:.1f}")

# %%
# The pictures
# ------------
# The last sample, 80 points. The level lines of the target are parallel. The network bends along a few lines (dashed,
# the wider the stronger the bend), the strongest of them along the ridge; the thin-plate spline rounds the edge off.

axis = np.linspace(-1, 1, 161)
plane = np.stack(np.meshgrid(axis, axis), axis=-1)
points = plane.reshape(-1, 2)
surfaces = {"target": target(points), "network": network.predict(points), "thin plate": plate(points)}
figure, axes = plt.subplots(1, 4, figsize=(15, 4), layout="constrained")
for ax, (name, values) in zip(axes, surfaces.items(), strict=False):
    levels = np.arange(-0.625, 4.5, 0.25)
    ax.contourf(axis, axis, values.reshape(plane.shape[:2]), levels=levels, cmap="viridis", extend="both")
    ax.set_title(name if name == "target" else f"{name}: {error(values, points):.4f}")
    ax.plot(*X.T, ".", color="w", ms=3)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
bends = network.neuron_norms("free") * network.output_norms()
for weights, bias, bend in zip(network.weights, network.biases, bends / bends.max(), strict=True):
    foot = -bias * weights / (weights @ weights)
    axes[1].axline(foot, foot + np.array([-weights[1], weights[0]]), color="w", ls="--", lw=0.3 + 2.2 * bend)
print("share of each neuron in the path norm:", np.sort(bends / bends.sum())[::-1].round(2))
for column, (name, marker) in enumerate((("network", "o-"), ("thin plate", "s-"))):
    axes[3].loglog(list(table), [row[column] for row in table.values()], marker, label=name)
axes[3].set(xlabel="samples", title="mean squared error", xticks=list(table), xticklabels=list(table))
axes[3].minorticks_off()
axes[3].legend(frameon=False)
plt.show()
