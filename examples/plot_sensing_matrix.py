"""
The sensing matrix of a network: what the smallest norm finds, and what it cannot
=================================================================================

A network with few neurons is a sparse vector: its amplitudes, over a dictionary with one neuron for every activation
cell. Training with the smallest path norm is then l1 minimisation, and one may hope for the guarantees of compressed
sensing. They do not hold, for a plain reason, and yet many small networks are recovered, each with a proof of its own.
"""

# %%
# Neighbouring cells have nearly the same neuron
# ----------------------------------------------
# Twenty samples of one feature, and a neuron in the middle of each of the 39 cells with an active sample. Columns of
# neighbouring cells have a correlation close to one. Any other choice of neurons has the same fate: the cells are so
# many that two neurons must be close, whichever are chosen.

import matplotlib.pyplot as plt
import numpy as np

from convexnet.sparse import (
    arrangement_dictionary,
    certify_support,
    coherence_floor,
    juditsky_nemirovski,
    mutual_coherence,
    recovery_rate,
)

rng = np.random.default_rng(1)
X = np.column_stack([np.sort(rng.standard_normal(20)), np.ones(20)])
dictionary = arrangement_dictionary(X)
coherence = mutual_coherence(dictionary.matrix)
bounds = juditsky_nemirovski(dictionary.matrix)
floor = coherence_floor(X)
print(coherence.summary())
print(f"no choice of one neuron per cell has a coherence below {floor:.3f}")
print(bounds.summary())

# %%
# Two networks of the same outputs
# --------------------------------
# The null-space constant says more than the coherence, and does not depend on how outputs are weighted. Here it proves
# that every network of one neuron is recovered, and comes with a network of two neurons that is not: the counterexample
# splits into two networks that agree on all samples. Two neurons of nearby cells and opposite signs nearly cancel; what
# is left costs less when it is spread over many.

heavy = np.argsort(-np.abs(bounds.counterexample))[: bounds.refuted_sparsity]
sparse = np.zeros(dictionary.N)
sparse[heavy] = bounds.counterexample[heavy]
cheap = sparse - bounds.counterexample
verdict = certify_support(dictionary.matrix, heavy, np.sign(sparse[heavy]))
print(f"sparse: {len(heavy)} neurons, norm {np.abs(sparse).sum():.4f}; {verdict.summary()}")
print(f"cheap: {np.count_nonzero(np.abs(cheap) > 1e-12)} neurons, norm {np.abs(cheap).sum():.4f}")

# %%
# Many small networks are recovered
# ---------------------------------
# Uniform guarantees end at one neuron. But for a single support with its signs there is a proof or a refutation, one
# linear program away. Random ones are recovered at rates that fall with the number of neurons, much earlier than those
# of a Gaussian matrix of the same shape.

sparsities = range(1, 9)
generator = np.random.default_rng(2)
gaussian = generator.standard_normal(dictionary.matrix.shape)
plane = np.column_stack([generator.standard_normal((15, 2)), np.ones(15)])
curves = {
    "one feature, 20 samples": recovery_rate(dictionary.matrix, sparsities, n_trials=60),
    "Gaussian, same shape": recovery_rate(gaussian, sparsities, n_trials=60),
    "two features, 15 samples": recovery_rate(arrangement_dictionary(plane).matrix, sparsities, n_trials=60),
}
print(curves["one feature, 20 samples"].summary())

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
order = np.argsort(np.arctan2(*dictionary.directions))
image = left.imshow(np.abs(dictionary.matrix.T @ dictionary.matrix)[np.ix_(order, order)], cmap="Greys", vmin=0, vmax=1)
left.set(title="correlation of columns", xlabel="neurons by angle", ylabel="neurons by angle")
figure.colorbar(image, ax=left, shrink=0.8)

for z, marker, fill, label in ((sparse, "o", "k", "two neurons"), (cheap, "s", "w", "smaller norm")):
    used = np.flatnonzero(np.abs(z[order]) > 1e-12)
    middle.vlines(used, 0, z[order][used], color="0.6", zorder=1)
    middle.plot(used, z[order][used], f"k{marker}", mfc=fill, label=f"{label}: {np.abs(z).sum():.2f}")
middle.axhline(0, color="k", lw=0.8)
middle.set(title="amplitudes with the same outputs", xlabel="neurons by angle", ylabel="amplitude of unit column")
middle.legend(frameon=False)

for (name, curve), marker in zip(curves.items(), "osd", strict=True):
    low, high = curve.interval().T
    error = [np.maximum(curve.rate - low, 0), np.maximum(high - curve.rate, 0)]
    right.errorbar(curve.sparsities, curve.rate, error, fmt=f"{marker}-", color="k", mfc="w", capsize=2, label=name,
                   alpha=0.8)  # fmt: skip
right.set(title="proven recovery of random networks", xlabel="neurons", ylabel="share, with 95 % interval")
right.legend(frameon=False, fontsize="small")
plt.show()
