"""
The sparsest spline, and the curve that proves it
=================================================

With one input, weight decay of a ReLU network (free biases, a skip connection) charges the total variation of the slope
of the function. Many functions share the least value; some of them have far fewer knots than others.
"""

# %%
# Connecting dots
# ---------------
# The straightforward interpolant connects the points. It has the least total variation that any interpolant can have,
# but so do others: wherever neighbouring kinks bend the same way, two of them can be replaced by one between the data.
# A run of m such kinks needs ceil(m / 2) knots (Debarre, Denoyelle, Unser and Fageot, 2022).

import matplotlib.pyplot as plt
import numpy as np

from convexnet import TrainingProblem
from convexnet.estimators import SparseLinearSplineCV
from convexnet.plotting import plot_spline, plot_spline_certificate
from convexnet.solvers import solve_spline

x = np.linspace(0, 2 * np.pi, 14)
y = np.sin(x) + 0.3 * np.cos(2 * x)
dots = solve_spline(TrainingProblem(x[:, None], y, loss="interpolation", bias="free", skip=True))
sparse = dots.sparsest()
for name, result in (("connect the dots", dots), ("sparsest", sparse)):
    off = np.abs(result.spline(x) - y).max()
    print(f"{name:17}{result.spline.n_knots:3d} knots, TV {result.objective:.12f}, misses the points by {off:.0e}")
print(f"no interpolating network of any width has a path norm below {sparse.lower_bound:.9f}")

# %%
# From noisy data
# ---------------
# 300 noisy values of a function with three kinks. The regressor chooses alpha by cross-validation, here the largest
# alpha whose held-out loss is within one standard error of the smallest, and returns the sparsest of the best
# functions. It may spend several knots near one true kink: the penalty charges the size of kinks, not their number.

generator = np.random.default_rng(0)
t = np.sort(generator.uniform(0, 1, 300))
truth = np.interp(t, [0.0, 0.25, 0.5, 0.6, 1.0], [0.0, 1.0, 0.2, 0.6, 0.0])
noisy = truth + 0.1 * generator.standard_normal(300)
model = SparseLinearSplineCV(rule="one_se").fit(t, noisy)
print(f"{model.n_knots_} knots at {model.knots_.round(2)}, proven gap {model.dual_gap_:.0e}")

# %%
# The proof
# ---------
# A knot at t would lower the loss at the rate ``|u(t)|`` and costs reg per unit of its kink. The curve u is made of the
# residuals by two cumulative sums. It never leaves the band, so no further knot pays, whatever the width; it touches
# the edge at the knots in use. That is a proof over all functions and networks, from n numbers.

fit = solve_spline(model.training_problem(t, noisy)).sparsest()
print(fit.summary())

# %%
# The pictures
# ------------
# Left, both interpolants: the same total variation, about half of the knots. Right, the fit and its proof.

figure = plt.figure(figsize=(12, 6), layout="constrained")
axes = figure.subplot_mosaic([["dots", "fit"], ["dots", "proof"]])
plot_spline(dots, ax=axes["dots"], label=f"connect the dots, {dots.spline.n_knots} knots")
plot_spline(sparse, ax=axes["dots"], label=f"sparsest, {sparse.spline.n_knots} knots")
axes["dots"].plot(x, y, "k.", ms=4, zorder=4)
axes["dots"].legend(frameon=False)
plot_spline(fit, ax=axes["fit"], label="fit")
axes["fit"].plot(t, truth, "k:", lw=1, label="truth")
axes["fit"].legend(frameon=False)
plot_spline_certificate(fit, ax=axes["proof"])
plt.show()
