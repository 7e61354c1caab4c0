"""
Where linear splines win, and where they lose
=============================================

A cubic smoothing spline and kernel ridge regression have one scale of smoothing everywhere. Total variation of the
slope does not: it bends where the data bend and stays straight elsewhere. That pays on functions whose smoothness
varies from place to place, and costs on functions that are smooth throughout.
"""

# %%
# Three functions
# ---------------
# A zig-zag with kinks close together on the left, the Doppler function of Donoho and Johnstone, and one period of a
# sine. 600 noisy values of each.

import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import make_smoothing_spline
from sklearn.kernel_ridge import KernelRidge

from convexnet.estimators import spline_path

KNOTS = [0.0, 0.08, 0.16, 0.24, 0.3, 0.36, 0.4, 0.7, 1.0]
TARGETS = {
    "zig-zag": lambda x: np.interp(x, KNOTS, [0.0, 1.0, -1.0, 1.0, -0.5, 0.8, -0.8, 0.6, 0.0]),
    "Doppler": lambda x: 2 * np.sqrt(x * (1 - x)) * np.sin(2 * np.pi * 1.05 / (x + 0.05)),
    "sine": lambda x: np.sin(2 * np.pi * x),
}
generator = np.random.default_rng(0)
x = np.sort(generator.uniform(0, 1, 600))
grid = np.linspace(x[0], x[-1], 2001)

# %%
# Three methods, each at its best
# -------------------------------
# Every method gets the smoothing parameter that is best for the true function (kernel ridge its bandwidth too), so that
# only the classes of functions are compared. Left to itself, scipy's smoothing spline would choose its parameter by a
# search whose range suits x in units of the spacing, and on x in [0, 1] it smooths everything away: that would be no
# comparison.


def linear(y):
    return [spline(grid) for spline in spline_path(x, y, alphas=40, eps=1e-5).splines]


def cubic(y):
    return [make_smoothing_spline(x, y, lam=lam)(grid) for lam in np.geomspace(1e-11, 1e-1, 40)]


def kernel(y):
    settings = [(width, ridge) for width in np.geomspace(0.01, 0.3, 6) for ridge in np.geomspace(1e-4, 10, 8)]
    models = [KernelRidge(kernel="rbf", gamma=0.5 / width**2, alpha=ridge) for width, ridge in settings]
    return [model.fit(x[:, None], y).predict(grid[:, None]) for model in models]


best, errors = {}, {}
for name, f in TARGETS.items():
    y = f(x) + 0.15 * generator.standard_normal(x.size)
    for method in (linear, cubic, kernel):
        curves = method(y)
        found = [float(np.mean((curve - f(grid)) ** 2)) for curve in curves]
        key = name, method.__name__
        best[key], errors[key] = curves[int(np.argmin(found))], min(found)
    row = ", ".join(f"{errors[name, other] / errors[name, 'linear']:.2f} ({other})" for other in ("cubic", "kernel"))
    print(f"{name:8} mean squared error over that of the linear spline: {row}")

# %%
# Above one the linear spline is better: clearly on the zig-zag, somewhat on Doppler. Below one it is worse: on the
# sine, which has nothing to adapt to. This is one sample; ``benchmarks/spline_comparison.py`` averages over several,
# for 100 and 1,000 points, also with cross-validated parameters: at 100 points there is little to choose between the
# methods, and the wins grow with the number of points.
#
# The pictures
# ------------
# Below each function, the errors: those of the cubic spline and of kernel ridge oscillate where their one scale is too
# short for a straight stretch and peak where it is too long for a bend.

figure, axes = plt.subplots(2, 3, figsize=(13, 6), sharex=True, layout="constrained", height_ratios=[3, 2])
for (top, bottom), (name, f) in zip(axes.T, TARGETS.items(), strict=True):
    top.plot(grid, f(grid), "k:", lw=1, label="truth")
    for color, method in zip(("C3", "C0", "C2"), ("linear", "cubic", "kernel"), strict=True):
        label = f"{method}: {1000 * errors[name, method]:.2f}e-3"
        top.plot(grid, best[name, method], color=color, lw=1.2, label=label)
        bottom.plot(grid, best[name, method] - f(grid), color=color, lw=0.9)
    top.set_title(name)
    top.legend(frameon=False, fontsize="small", title="mean squared error")
    bottom.axhline(0, color="0.6", lw=0.8)
axes[1, 0].set_ylabel("error")
plt.show()
