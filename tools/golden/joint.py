"""Joint-loss methods in PyTorch and SciPy, for crates/model/tests/joint.rs; writes crates/model/tests/golden/joint.json:

    python tools/golden/joint.py

Everything is f64. The problem is small: one layer that three tasks share, a head per task, squared error and
cross-entropy; its gradients by autograd are what PCGrad and CAGrad combine, and what GradNorm measures. Uncertainty
weighting and dynamic weight averaging are driven by losses that are written down here.
"""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize

OUT = Path(__file__).resolve().parents[2] / "crates" / "model" / "tests" / "golden" / "joint.json"
torch.set_default_dtype(torch.float64)


class Problem:
    """y_k = v_k . tanh(W x): W is shared, v_k is task k's own."""

    def __init__(self, seed):
        g = torch.Generator().manual_seed(seed)
        self.x = torch.randn(16, 4, generator=g)
        self.shared = torch.randn(3, 4, generator=g).requires_grad_()
        self.heads = torch.randn(3, 3, generator=g)
        classes = (torch.rand(16, generator=g) < 0.4).double()
        self.y = torch.stack([torch.randn(16, generator=g), classes, 5 * torch.randn(16, generator=g)])

    def losses(self):
        z = torch.tanh(self.x @ self.shared.T) @ self.heads.T
        return [
            ((z[:, 0] - self.y[0]) ** 2).mean(),
            torch.nn.functional.binary_cross_entropy_with_logits(z[:, 1], self.y[1]),
            ((z[:, 2] - self.y[2]) ** 2).mean(),
        ]

    def gradients(self):
        losses = self.losses()
        return [torch.autograd.grad(loss, self.shared, retain_graph=True)[0].flatten() for loss in losses]


def pcgrad(gradients, orders):
    """Algorithm 1 of Yu et al. 2020, with the orders given."""
    total = torch.zeros_like(gradients[0])
    for i, order in enumerate(orders):
        own = gradients[i].clone()
        for j in order:
            if j != i:
                dot = own @ gradients[j]
                if dot < 0:
                    own = own - dot / (gradients[j] @ gradients[j]) * gradients[j]
        total = total + own
    return total


def cagrad(gradients, c):
    """Algorithm 1 of Liu et al. 2021, the minimum over the simplex by SciPy's SLSQP from several starts."""
    g = torch.stack(gradients).numpy()
    size = np.sqrt((g @ g.T).diagonal().max())
    g = g / size
    g0 = g.mean(0)
    phi = c**2 * (g0 @ g0)
    n = len(g)
    objective = lambda w: (w @ g) @ g0 + np.sqrt(phi) * np.linalg.norm(w @ g)
    slope = lambda w: g @ g0 + np.sqrt(phi) * (g @ (w @ g)) / np.linalg.norm(w @ g)
    best = min(
        (
            minimize(objective, start, jac=slope, method="SLSQP", bounds=[(0, 1)] * n,
                     constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(n)},
                     options={"maxiter": 1000, "ftol": 1e-16})
            for start in [np.full(n, 1 / n), *np.eye(n) * 0.9 + 0.1 / n]
        ),
        key=lambda result: result.fun,
    )
    gw = best.x @ g
    return torch.tensor((g0 + np.sqrt(phi) / np.linalg.norm(gw) * gw) * size)


def conflicts():
    cases = []
    for seed in range(6):
        gradients = Problem(seed).gradients()
        if seed % 2:  # A conflict for certain.
            gradients[2] = gradients[2] - 1.5 * gradients[0] * (gradients[2].norm() / gradients[0].norm())
        orders = [[1, 2, 0], [2, 0, 1], [0, 1, 2]]
        cases.append({
            "gradients": [g.tolist() for g in gradients],
            "orders": orders,
            "pcgrad": pcgrad(gradients, orders).tolist(),
            "cagrad": {str(c): cagrad(gradients, c).tolist() for c in (0.0, 0.2, 0.4, 0.9)},
        })
    conflicting = sum(
        any(np.dot(a, b) < 0 for a in case["gradients"] for b in case["gradients"]) for case in cases
    )
    assert conflicting >= 3, "too few of these gradients conflict"
    return cases


def grad_norm(alpha, learning_rate):
    """Chen et al. 2018, the derivative of L_grad by autograd; the shared layer goes down its weighted gradient."""
    problem = Problem(7)
    weights = [torch.ones((), requires_grad=True) for _ in range(3)]
    optimizers = [torch.optim.Adam([w], lr=learning_rate) for w in weights]
    initial, steps = None, []
    for _ in range(12):
        losses = problem.losses()
        gradients = [torch.autograd.grad(loss, problem.shared, retain_graph=True)[0].flatten() for loss in losses]
        norms = [g.norm().detach() for g in gradients]
        values = torch.stack(losses).detach()
        initial = values if initial is None else initial
        sizes = torch.stack([w * n for w, n in zip(weights, norms)])
        ratio = values / initial
        target = (sizes.mean() * (ratio / ratio.mean()) ** alpha).detach()
        loss_of_weights = (sizes - target).abs().sum()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss_of_weights.backward()
        with torch.no_grad():
            step = sum(w * g for w, g in zip(weights, gradients)).view_as(problem.shared)
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            total = sum(w.clamp(min=1e-3) for w in weights)
            for w in weights:
                w.copy_(w.clamp(min=1e-3) * 3 / total)
            problem.shared -= 0.05 * step
        steps.append({
            "losses": values.tolist(),
            "norms": [n.item() for n in norms],
            "weights": [w.item() for w in weights],
        })
    return {"alpha": alpha, "learning_rate": learning_rate, "steps": steps}


def uncertainty(learning_rate):
    """Kendall et al. 2018 for two classifications and a regression."""
    kinds = ["binary", "regression", "binary"]
    s = [torch.zeros((), requires_grad=True) for _ in kinds]
    optimizers = [torch.optim.Adam([p], lr=learning_rate) for p in s]
    steps = []
    for t in range(12):
        losses = [0.6 * 0.9**t, 3.0 / (1 + t), 0.2 + 0.05 * t]
        present = [True, t % 3 != 1, True]
        total = sum(
            torch.exp(-p) * (1.0 if kind == "binary" else 0.5) * loss + p / 2
            for p, kind, loss, here in zip(s, kinds, losses, present) if here
        )
        for optimizer in optimizers:
            optimizer.zero_grad()
        total.backward()
        for optimizer, here in zip(optimizers, present):
            if here:
                optimizer.step()
        weights = [(torch.exp(-p) * (1.0 if kind == "binary" else 0.5)).item() for p, kind in zip(s, kinds)]
        losses = [loss if here else 0.0 for loss, here in zip(losses, present)]
        steps.append({"losses": losses, "rows": [int(h) for h in present], "weights": weights})
    return {"kinds": kinds, "learning_rate": learning_rate, "steps": steps}


def dynamic_average(temperature):
    """Liu et al. 2019, equation 7, as their code computes it."""
    epochs = [[1.0, 4.0, 0.7], [0.8, 3.9, 0.5], [0.7, 2.0, 0.55], [0.65, 1.9, 0.3], [0.64, 1.0, 0.31]]
    weights = []
    for t in range(len(epochs) + 1):
        if t < 2:
            weights.append([1.0] * 3)
            continue
        r = np.array(epochs[t - 1]) / np.array(epochs[t - 2])
        e = np.exp(r / temperature)
        weights.append((3 * e / e.sum()).tolist())
    return {"temperature": temperature, "losses": epochs, "weights": weights}


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({
        "conflicts": conflicts(),
        "grad_norm": [grad_norm(0.0, 0.025), grad_norm(1.5, 0.05)],
        "uncertainty": [uncertainty(0.1), uncertainty(1e-3)],
        "dynamic_average": [dynamic_average(2.0), dynamic_average(0.5)],
    }, indent=1) + "\n")
