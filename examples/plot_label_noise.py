r"""
Noise on the labels as a regulariser
====================================

Gradient descent with fresh noise on the labels in every step penalises nothing, and yet it drifts towards networks
whose outputs are insensitive to their parameters: the noise acts like the penalty
:math:`\tfrac{\mathrm{reg}}{2} \sum_i \|\nabla_\theta f(x_i)\|^2`. For two-layer ReLU networks the loss plus this
penalty has a convex reformulation, so its smallest value over networks of every width is known, with a proof. Does the
descent get there?
"""

# %%
# Two small problems
# ------------------
# Six points on a line and ten in the plane. ``norm="label_noise"`` asks for this penalty; ``solve`` returns a network
# and a certificate.

import matplotlib.pyplot as plt
import numpy as np

import convexnet
from convexnet.baselines import label_noise_sgd

rng = np.random.default_rng(0)
x = np.linspace(-1, 1, 6) + 0.05 * rng.standard_normal(6)
X = np.random.default_rng(0).uniform(-1, 1, (10, 2))
problems = {
    "six points on a line": convexnet.TrainingProblem(x[:, None], np.sin(3 * x), reg=0.01, norm="label_noise"),
    "ten points in the plane": convexnet.TrainingProblem(
        X, np.abs(X[:, 0]) - X[:, 1] ** 2, reg=0.01, norm="label_noise"
    ),
}
optima = {name: convexnet.solve(problem) for name, problem in problems.items()}
for name, solution in optima.items():
    certificate = solution.certificate
    print(f"{name:<24} {certificate.verdict}, objective {solution.objective:.6f}, gap {certificate.gap:.0e}, "
          f"{solution.size} neurons")  # fmt: skip

# %%
# Descent with noisy labels
# -------------------------
# Six random starts of 40 neurons each. The variance of the noise is ``2 * reg / learning_rate``: then the implicit
# penalty is that of the problem. The iterates fluctuate for ever, so the mean of the parameters over some thousand
# steps is what is measured, on the same objective as the convex optimum.

runs = {
    name: label_noise_sgd(problem, width=40, n_starts=6, max_iter=60_000, n_records=20)
    for name, problem in problems.items()
}
for name, run in runs.items():
    excess = run.objectives[-1] / optima[name].certificate.lower_bound - 1
    print(f"{name:<24} excess over the bound: best start {excess.min():.0%}, median {np.median(excess):.0%}")

# %%
# The picture
# -----------
# On the line the descent comes within some percent of the optimum and stays there. In the plane it is still far above
# it when the time is over, and longer runs end about 70 % above it: the optimal neurons bend exactly at points, where
# the penalty jumps, and gradients do not see jumps. The lower bound is proven for networks of every width.

figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for axis, (name, run) in zip(axes, runs.items(), strict=False):
    bound = optima[name].certificate.lower_bound
    axis.plot(run.steps[1:], run.objectives[1:] / bound, color="tab:blue", lw=0.8, alpha=0.7)
    axis.plot([], [], color="tab:blue", label="mean iterates, six starts")
    axis.axhline(1, color="k", lw=1.5, label="convex optimum (certified)")
    axis.set(yscale="log", xlabel="steps", title=name)
    axis.set_yticks([1, 1.5, 2, 3, 5], ["1", "1.5", "2", "3", "5"])
    axis.minorticks_off()
axes[0].set_ylabel("objective / lower bound")
axes[0].legend(frameon=False)

name = "six points on a line"
problem, grid = problems[name], np.linspace(-1.3, 1.3, 400)[:, None]
best = runs[name].networks[int(np.argmin(runs[name].objectives[-1]))]
axes[2].plot(grid, best.predict(grid), color="tab:blue", label="best of the noisy descents")
axes[2].plot(grid, optima[name].network.predict(grid), color="k", label="convex optimum")
axes[2].plot(problem.X[:, 0], problem.y, "o", color="tab:red", label="targets")
axes[2].set(xlabel="x", title="the functions")
axes[2].legend(frameon=False)
plt.show()
