"""Time to a certified gap with several outputs: Frobenius and nuclear groups, squared loss and softmax.

    python benchmarks/outputs.py
    python benchmarks/outputs.py --cases vehicle --seconds 20 --repeats 1

Gates, clocks and gaps as in ``gated.py``. The peers are left out: scnn's groups are one gate and one class, another
penalty, and celer and skglm have no groups of several outputs. CVXPY's solvers run on the smallest cases.
"""

from __future__ import annotations

from _data import OUTPUTS
from _race import chosen
from gated import measure, parsed


def main() -> None:
    options = parsed(__doc__.splitlines()[0], ("cvxpy clarabel", "cvxpy scs"), "outputs")
    known = {case.name: case for case in OUTPUTS}
    measure([known[name] for name in chosen(list(known), options.cases)], options, "outputs")


if __name__ == "__main__":
    main()
