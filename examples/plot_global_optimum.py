"""
A globally optimal network, with its proof
==========================================

442 diabetes patients, two measurements each: body mass index (``bmi``) and a blood serum value (``s5``). A two-layer
ReLU network is trained to predict how the disease progresses. The network below is not just a good one: its certificate
shows that no network of any width has a lower training objective.
"""

# %%
# The problem
# -----------
# The objective is the squared loss plus ``reg`` times the path norm, which is weight decay after balancing. ``reg`` is
# set to a hundredth of the value above which the empty network is optimal.

import matplotlib.pyplot as plt

import convexnet
from convexnet.datasets import load_table, standardized
from convexnet.plotting import plot_comparison, plot_network

table = load_table("diabetes", ["bmi", "s5"])
problem = convexnet.TrainingProblem(standardized(table.X), standardized(table.y), reg=1.0)
patterns = convexnet.enumerate_patterns(problem.extended)
problem = problem.with_options(reg=0.01 * convexnet.reg_max(problem, patterns))
print(problem)
print(patterns.summary())

# %%
# Samples in general position would have 194,924 patterns. Values repeat in this table, so there are fewer, and the list
# is complete for the table as it is.
#
# The solution and its certificate
# --------------------------------
# The convex program is solved over few active cells; all cells are then priced to find what is missing. Each round has
# an objective that was reached and a bound that no network can beat. The end is where they meet.

solution = convexnet.solve(problem, patterns=patterns)
for record in solution.history:
    print(f"{record.objective:.8f} >= optimum >= {record.lower_bound:.8f}   ({record.size} active cells)")
print(solution.certificate.summary())

# %%
# Where gradient descent ends
# ---------------------------
# Networks of 100 neurons, trained on the same objective from four random starts by each method. They end close to the
# optimum here. What gradient descent cannot do is to say so: without the lower bound nobody knows how far they are
# from the best network.

comparison = convexnet.compare(problem, solution, n_starts=4)
print(comparison.summary())

# %%
# The picture
# -----------
# Left, the optimal network. Each neuron bends the prediction along a line, upwards (solid) or downwards (dashed); in
# between it is linear. Right, the excess of every method over the proven bound.

figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
names = [f"{name} (standardised)" for name in table.features]
plot_network(problem, solution.network, axes[0], features=names)
plot_comparison(comparison, axes[1])
plt.show()
