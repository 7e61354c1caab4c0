"""
How strong should the regularisation be?
========================================

442 diabetes patients with ten measurements each. Networks are trained for decreasing values of ``reg``, from the
largest useful one on, each started from the one before. Rows that are held out say which value predicts best.
"""

# %%
# Gated networks: every point with a proven gap
# ---------------------------------------------
# The gates are fixed here, 500 random ones, so every point is a convex program (a group lasso) and its gap is proven:
# no choice of weights behind these gates has an objective lower by more than that.

import matplotlib.pyplot as plt

import convexnet
from convexnet.datasets import load_table, standardized
from convexnet.plotting import plot_path

table = load_table("diabetes", ["all"])
problem = convexnet.TrainingProblem(standardized(table.X), standardized(table.y), reg=1.0)
gates = convexnet.sample_patterns(problem.extended, 500, random_state=0)
gated = convexnet.regularization_path(
    problem, model="gated", patterns=gates, n_regs=30, smallest=0.02, folds=5, random_state=0
)
print(gated.summary())

# %%
# ReLU networks: all activation patterns
# --------------------------------------
# With ten features the patterns cannot be listed. The solver moves over all of them, looks for neurons that would lower
# the objective, and stops when it finds none. What it knows of its gap is heuristic, and the table says so. The proven
# gap beside it comes from a relaxation that costs little: strong for large ``reg``, weak for small. ``certify`` can
# spend more time on a single network.

relu = convexnet.regularization_path(problem, n_regs=4, smallest=0.15, tol=1e-4, folds=3, random_state=0)
print(relu.summary())

# %%
# The picture
# -----------
# Training loss falls with ``reg``; the loss on held-out rows rises again where gated networks fit the noise. Dotted
# lines are at the smallest held-out loss. To the right the networks have fewer neurons, and none at all from the
# largest useful ``reg`` on.

figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
for ax, path, title in zip(axes, (gated, relu), ("gated networks", "ReLU networks"), strict=True):
    plot_path(path, ax)
    ax.set_title(title)
plt.show()
