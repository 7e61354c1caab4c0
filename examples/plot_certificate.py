"""
A certificate is a curve in a band
==================================

Whether a network is the best of *any* width is decided by one curve. A dual vector ``nu``, one number a sample, gives
every possible neuron of unit length a value, ``nu . sigma(X u)``. If no value leaves the band of half-width ``reg``, no
neuron is worth its cost, and ``nu`` proves a lower bound for all networks.
"""

# %%
# Two networks and two dual vectors
# ---------------------------------
# One feature and a bias: a neuron of unit length is a point of a circle, so all of them fit on one axis. Eighteen
# samples are fitted twice: by 60 neurons trained with Adam for 80 steps, and to the optimum. The dual vector of a
# squared loss is a residual, ``y - f(X)``.

import matplotlib.pyplot as plt
import numpy as np

import convexnet
from convexnet.certificates import judge
from convexnet.plotting import plot_dual_certificate

rng = np.random.default_rng(3)
x = np.sort(rng.uniform(-2, 2, 18))
y = np.sin(2.5 * x) + 0.1 * rng.standard_normal(18)
problem = convexnet.TrainingProblem(x[:, None], y, reg=0.25)

runs = convexnet.train(problem, method="adam", width=60, n_starts=1, max_iter=80, random_state=0)
adam = runs.best
solution = convexnet.solve(problem)
optimum = solution.certificate
print(optimum.summary())

# %%
# Why the bound of a network's own residual is weak
# -------------------------------------------------
# The residual of the Adam network leaves the band. It still proves a bound, once it is shrunk until it fits, but a
# weaker one. Judged by the other vector, the same network is seen to be five times closer to the optimum: the vector
# makes the proof, and it need not come from the network that is judged.

residual = y - adam.predict(problem.X)
own = judge(problem, adam, patterns=solution.patterns)
better = judge(problem, adam, patterns=solution.patterns, nu=optimum.nu)
for name, certificate in (("own residual", own), ("vector of the optimum", better)):
    print(f"Adam, judged by {name:<22} at most {certificate.gap:.2e} above the optimum")

# %%
# The picture
# -----------
# Left, the samples and both networks. Right, the two curves. The curve of the optimum stays in the band and touches
# its edge exactly at the neurons of the optimal network: the upper edge where they bend the function upwards, the
# lower edge where they bend it downwards. Between two ticks, the walls between activation cells, a curve is a piece
# of a sine.

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained", width_ratios=(2, 3))
grid = np.linspace(-2.2, 2.2, 400)[:, None]
left.plot(x, y, "ok", mfc="w", label="samples")
left.plot(grid, solution.network.predict(grid), color="k", label=f"optimum, {solution.size} neurons")
left.plot(grid, adam.predict(grid), "--", color="tab:blue", label="Adam, 60 neurons, 80 steps")
left.set(xlabel="x", ylabel="y and predictions")
left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize="small")
plot_dual_certificate(problem, optimum, solution.network, right)
angles = np.linspace(0, 360, 1441)
neurons = np.vstack([np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))])
values = residual @ np.maximum(problem.extended @ neurons, 0)
right.plot(angles, values, "--", color="tab:blue", label="the residual of Adam leaves the band")
right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize="small")
plt.show()
