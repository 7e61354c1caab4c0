"""How far networks trained in torch provably are from the best of any width, on the objective torch minimised.

Run: ``python benchmarks/torch_networks.py [--seconds 20] [--steps 3000]``; needs torch. One JSON object a network: the
trainer's objective J (all parameters as they are), the proven excess of J and of the balanced network over networks of
any width, and the true excess of the balanced network over the best network known. The output bias is left out of the
weight decay: otherwise torch and this package minimise different things, and the excess is that difference.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch

import convexnet
from convexnet.datasets import load_table, standardized
from convexnet.networks import as_shallow
from convexnet.pricing import price_ascent
from convexnet.translation import TorchTraining

TABLES = (  # name, features, criterion, share of the largest reg
    ("diabetes", ["bmi", "s5"], torch.nn.MSELoss, 0.1),
    ("diabetes", ["bmi", "bp", "s5", "age", "sex"], torch.nn.MSELoss, 0.3),
    ("breast_cancer", ["mean concave points", "worst radius", "mean texture"], torch.nn.BCEWithLogitsLoss, 0.1),
)
OPTIMIZERS = {"SGD": {"lr": 0.05, "momentum": 0.9}, "Adam": {"lr": 0.01}}
WIDTH = 64


def decay(X: np.ndarray, y: np.ndarray, criterion: Any, share: float) -> float:
    """The weight decay that is a share of the largest useful one."""
    module = network(X.shape[1])
    made = convexnet.objective_of(TorchTraining(module, criterion, weight_decay=1.0), X, y)
    problem = made.problem
    nu = -problem.gradient(np.full(problem.n, problem.y.mean() if problem.loss.name == "squared" else 0.0))
    return share * price_ascent(problem, nu - nu.mean()).value / problem.reg


def network(d: int) -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(d, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, 1)).double()


def trained(X: np.ndarray, y: np.ndarray, criterion: Any, name: str, w: float, steps: int) -> tuple[Any, Any]:
    """A network after full-batch steps with a cosine schedule, and its optimizer."""
    module = network(X.shape[1])
    penalised = [module[0].weight, module[0].bias, module[2].weight]
    groups = [{"params": penalised, "weight_decay": w}, {"params": [module[2].bias], "weight_decay": 0.0}]
    optimizer = getattr(torch.optim, name)(groups, **OPTIMIZERS[name])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rows, targets = torch.tensor(X), torch.tensor(y)
    for _ in range(steps):
        optimizer.zero_grad()
        criterion(module(rows)[:, 0], targets).backward()
        optimizer.step()
        schedule.step()
    return module, optimizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of each certificate")
    parser.add_argument("--steps", type=int, default=3000)
    options = parser.parse_args()
    for name, features, make, share in TABLES:
        table = load_table(name, features)
        X = standardized(table.X)
        y = standardized(table.y) if table.loss == "squared" else (table.y + 1) / 2
        w = decay(X, y, make(), share)
        for trainer in OPTIMIZERS:
            module, optimizer = trained(X, y, make(), trainer, w, options.steps)
            objective = convexnet.objective_of(TorchTraining(module, make(), optimizer), X, y)
            net = as_shallow(module)
            certificate = convexnet.certify(objective.problem, net, time_limit=options.seconds)
            J, bound = objective.trainer_objective(net), objective.in_trainer_units(certificate.lower_bound)
            value = certificate.upper_bound
            best = min(value, certificate.improved_objective or value)
            record = {
                "table": name,
                "features": X.shape[1],
                "trainer": trainer,
                "reg": objective.problem.reg,
                "J": J,
                "proven_excess_of_J": (J - bound) / J,
                "proven_excess": certificate.gap,
                "true_excess": (value - best) / value,
                "verdict": certificate.verdict,
                "method": certificate.method,
                "seconds": round(certificate.wall_time, 2),
            }
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
