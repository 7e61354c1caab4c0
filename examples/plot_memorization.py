"""
Memorization: the smallest network that fits exactly
====================================================

Any data without contradictions are fitted exactly by a wide enough network, in many ways. :func:`convexnet.memorize`
returns the way of smallest norm, the sum of ``||u_j|| |v_j|`` over the neurons, with a proof that no network of any
width has a smaller one.
"""

# %%
# One feature
# -----------
# Eleven samples. Two hundred neurons with random breakpoints fit them too, with output weights from least squares. The
# smallest norm with penalised biases takes ten neurons and moves some breakpoints off the samples; with free biases and
# a skip connection the norm is the total variation of the slope, which connecting the dots attains.

import matplotlib.pyplot as plt
import numpy as np

import convexnet

rng = np.random.default_rng(1)
x = np.sort(rng.uniform(-2, 2, 11))
y = np.sin(2 * x) + 0.3 * rng.standard_normal(11)
fine = np.linspace(-2.3, 2.3, 800)[:, None]

smallest = convexnet.memorize(x[:, None], y)
free = convexnet.memorize(x[:, None], y, bias="free", skip=True)

neurons = np.vstack([rng.choice([-1.0, 1.0], 200), rng.uniform(-2, 2, 200)])
amplitudes = np.linalg.lstsq(np.maximum(smallest.problem.extended @ neurons, 0), y, rcond=None)[0]
random = convexnet.ShallowNetwork(neurons[:1].T, neurons[1], amplitudes)
assert np.allclose(random.predict(x[:, None]), y)

figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
axis.plot(fine, random.predict(fine), color="0.7", label=f"random neurons, norm {random.path_norm():.0f}")
axis.plot(fine, smallest.predict(fine), label=f"smallest norm {smallest.path_norm:.2f}, {smallest.n_neurons} neurons")
axis.plot(fine, free.predict(fine), "--", label=f"free biases and skip, {free.path_norm:.2f}, {free.n_neurons} neurons")
axis.plot(x, y, "ko", label="samples")
axis.set(xlabel="x", ylabel="f(x)", ylim=(y.min() - 1, y.max() + 1), title="Three exact fits of the same samples")
axis.legend()
plt.show()

# %%
# Two features
# ------------
# Labels drawn by a coin, in the plane. The lines are the creases of the network: it is affine between them.

X = rng.uniform(-1, 1, (24, 2))
labels = rng.choice([-1.0, 1.0], 24)
plane = convexnet.memorize(X, labels)
print(plane.summary())

steps = np.linspace(-1.1, 1.1, 300)
grid = np.stack(np.meshgrid(steps, steps), axis=-1)
values = plane.predict(grid.reshape(-1, 2)).reshape(300, 300)
figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
shades = axis.pcolormesh(steps, steps, values, cmap="RdBu", vmin=-2.5, vmax=2.5)
figure.colorbar(shades, ax=axis, label="f(x)")
for weight, bias in zip(plane.network.weights, plane.network.biases, strict=True):
    axis.contour(steps, steps, grid @ weight + bias, levels=[0.0], colors="k", linewidths=0.4)
axis.scatter(*X.T, c=labels, cmap="RdBu", edgecolors="k", vmin=-2.5, vmax=2.5)
axis.set(xlabel="$x_1$", ylabel="$x_2$")
axis.set_title(f"24 random labels, {plane.n_neurons} neurons, norm {plane.path_norm:.1f}")
plt.show()

# %%
# Norm and neurons against the number of samples
# ----------------------------------------------
# Random labels again, Gaussian inputs. A network with n/d neurons has as many weights as there are samples, and four
# times that many suffice to fit n labels (Bubeck, Eldan, Lee and Mikulincer, "Network size and weights size for
# memorization with two-layers neural networks", 2020). The *smallest norm* is another matter: here it takes n neurons
# with two or three features and never more than n. On the line samples of one label that follow each other share a
# neuron. There the norm grows fastest, for close samples with different labels need steep slopes; every further feature
# sets them apart.

sizes = {1: [4, 8, 16, 32, 64], 2: [4, 8, 16, 32, 64], 3: [4, 8, 16]}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
found: dict[int, list[convexnet.Memorization]] = {}
for d, counts in sizes.items():
    draw = np.random.default_rng(7)
    inputs, coins = draw.standard_normal((max(counts), d)), draw.choice([-1.0, 1.0], max(counts))
    found[d] = [convexnet.memorize(inputs[:n], coins[:n]) for n in counts]
    left.loglog(counts, [fit.path_norm for fit in found[d]], "o-", label=f"d = {d}")
    right.plot(counts, [fit.n_neurons for fit in found[d]], "o-", label=f"d = {d}")
    right.plot(counts, np.array(counts) / d, ":", color=right.lines[-1].get_color())
left.set(xlabel="samples n", ylabel="smallest norm", title="The norm that memorizing takes")
right.set(xlabel="samples n", ylabel="neurons", title="Neurons (dotted: n/d)")
left.legend()
right.legend()
plt.show()

print("all gaps proven below 1e-6:", all(fit.gap < 1e-6 for fits in found.values() for fit in fits))

# %%
# Targets that contradict each other
# ----------------------------------
# Equal rows with different targets are fitted by nothing, and the error says which ones, with a vector in integers
# that is orthogonal to the outputs of every network but not to the targets.

try:
    convexnet.memorize(np.vstack([X, X[3]]), np.append(labels, -labels[3]))
except convexnet.errors.InfeasibleError as error:
    print(error)
    print(error.proof)
