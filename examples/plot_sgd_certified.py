"""
How far Adam provably is
========================

A gradient method ends somewhere, and nothing it computes says how far that is from the best network. A certificate
does: one lower bound, valid for networks of any width, measures every network that was ever trained on the same
objective. Here it measures networks of 50 neurons trained with Adam, on three small problems.
"""

# %%
# Three problems
# --------------
# Two tables that scikit-learn ships and one drawn at random. The columns are standardised, and ``reg`` is a share of
# the largest value that a neuron reaches against the targets.

import matplotlib.pyplot as plt
import numpy as np

import convexnet
from convexnet.certificates import judge
from convexnet.datasets import load_table, standardized
from convexnet.pricing import feasible_dual, price_ascent, price_cones


def with_share(X, y, loss, share):
    problem = convexnet.TrainingProblem(X, y, loss=loss, reg=1.0)
    largest = price_ascent(problem, -problem.gradient(np.zeros_like(problem.y))).value
    return problem.with_options(reg=share * largest)


diabetes = load_table("diabetes", ["bmi", "s5"])
cancer = load_table("breast_cancer", ["mean concave points", "worst radius", "mean texture"])
rng = np.random.default_rng(0)
drawn = rng.standard_normal((200, 4))
values = np.abs(drawn[:, 0]) - drawn[:, 1] + 0.3 * rng.standard_normal(200)
problems = {
    "diabetes\n442 rows, 2 features": with_share(standardized(diabetes.X), standardized(diabetes.y), "squared", 0.05),
    "breast cancer\n569 rows, 3 features": with_share(standardized(cancer.X), cancer.y, "logistic", 0.1),
    "drawn\n200 rows, 4 features": with_share(drawn, standardized(values), "squared", 0.1),
}

# %%
# One bound, many networks
# ------------------------
# ``certify`` takes dual vectors from networks that it trains and polishes itself and returns a lower bound. The
# relative distance of a network to that bound is what is *proven* about it. Beside it stand the *true* excess, over
# the best network known, which is a little smaller, and what the network's own residual would have proven.



def proven_by_itself(problem, network):
    nu = feasible_dual(problem, -problem.gradient(network.predict(problem.X))).nu
    return judge(problem, network, pricings=[(nu, price_cones(problem, nu, time_limit=0.5))], time_limit=0.1).gap


steps = (100, 400, 4000)
table: dict[str, list[tuple[float, float, float]]] = {}
for name, problem in problems.items():
    nets = [
        convexnet.train(problem, method="adam", width=50, n_starts=1, max_iter=count, random_state=0).best
        for count in steps
    ]
    certificate = convexnet.certify(problem, nets[-1], tol=1e-6, time_limit=5)
    bound, best = certificate.lower_bound, certificate.improved_objective or certificate.upper_bound
    table[name] = []
    print(f"{name.splitlines()[0]:<14} optimum between {bound:.6g} and {best:.6g}, proof by {certificate.method}")
    for count, net in zip(steps, nets, strict=True):
        value = problem.objective(net)
        own = proven_by_itself(problem, net)
        table[name].append(((value - bound) / value, (value - best) / value, own))
        proven, true, _ = table[name][-1]
        print(f"   Adam, {count:>4} steps   proven within {proven:.1e}   true {true:.1e}   own residual {own:.1e}")

# %%
# The picture
# -----------
# A filled disc is what is proven, an open one the truth, and the bar between them what the proof leaves open; discs
# that coincide mean that the proof is as good as the truth. Crosses are what the residual of the judged network
# proves, priced with the same care: valid, and up to a hundred times weaker. Good dual vectors come from better
# networks.

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", sharey=True)
for axis, (name, rows) in zip(axes, table.items(), strict=True):
    proven, true, own = np.maximum(np.array(rows).T, 1e-11)
    axis.vlines(range(3), true, proven, color="0.6", lw=3)
    axis.plot(range(3), proven, "o", color="k", ms=7, label="proven excess")
    axis.plot(range(3), true, "o", color="k", mfc="w", ms=11, zorder=0, label="true excess over the best network known")
    axis.plot(range(3), own, "x", color="tab:red", ms=8, mew=2, label="proven by its own residual alone")
    axis.set(yscale="log", xlim=(-0.5, 2.5), xlabel="steps of Adam", title=name)
    axis.set_xticks(range(3), [str(count) for count in steps])
    axis.grid(axis="y", alpha=0.3)
axes[0].set_ylabel("excess of the objective (relative)")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()
