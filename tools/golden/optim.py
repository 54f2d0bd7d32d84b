"""Optimizer steps by PyTorch, for crates/engine/tests/optim.rs.

Run from the repository root with PyTorch and NumPy installed; writes crates/engine/tests/golden/optim.json:

    python tools/golden/optim.py

Each case is an optimizer as configured, the weights it starts with, the gradients it is given, and the weights after
every step. Some gradients are zero and some are large, so that epsilon, decay and momentum all show.
"""

import json
from pathlib import Path

import numpy as np
import torch

STEPS, WEIGHTS = 7, 21
OUT = Path("crates/engine/tests/golden/optim.json")


def numbers(tensor):
    """Nested lists with the shortest decimals that read back as the same f32."""
    return json.loads(json.dumps(tensor.tolist()), parse_float=lambda text: float(str(np.float32(text))))


def optimizer(config, weights):
    """The PyTorch optimizer that the configuration describes."""
    c = dict(config)
    kind = c.pop("kind")
    lr = c["learning_rate"]
    decay = c.get("weight_decay", 0.01 if kind == "adamw" else 0.0)
    if kind == "sgd":
        return torch.optim.SGD(
            [weights], lr=lr, momentum=c.get("momentum", 0.0), nesterov=c.get("nesterov", False), weight_decay=decay
        )
    if kind == "adagrad":
        return torch.optim.Adagrad(
            [weights],
            lr=lr,
            eps=c.get("epsilon", 1e-10),
            initial_accumulator_value=c.get("initial_accumulator", 0.0),
            weight_decay=decay,
        )
    decoupled = kind == "adamw" or c.get("decoupled", False)
    adam = torch.optim.AdamW if decoupled else torch.optim.Adam
    return adam(
        [weights],
        lr=lr,
        betas=tuple(c.get("betas", (0.9, 0.999))),
        eps=c.get("epsilon", 1e-8),
        weight_decay=decay,
    )


CASES = [
    ({"kind": "sgd", "learning_rate": 0.1}, {}),
    ({"kind": "sgd", "learning_rate": 0.1, "weight_decay": 0.3}, {}),
    ({"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}, {}),
    ({"kind": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}, {}),
    ({"kind": "adam", "learning_rate": 0.001}, {}),
    ({"kind": "adam", "learning_rate": 0.05, "betas": [0.8, 0.95], "epsilon": 1e-3}, {}),
    ({"kind": "adam", "learning_rate": 0.05, "weight_decay": 0.2}, {}),
    ({"kind": "adam", "learning_rate": 0.05, "weight_decay": 0.2, "decoupled": True}, {}),
    ({"kind": "adamw", "learning_rate": 0.02}, {}),
    ({"kind": "adamw", "learning_rate": 0.02, "weight_decay": 0.5, "epsilon": 1e-6}, {}),
    ({"kind": "adagrad", "learning_rate": 0.01}, {}),
    ({"kind": "adagrad", "learning_rate": 0.1, "initial_accumulator": 0.5, "weight_decay": 0.1}, {}),
    ({"kind": "adagrad", "learning_rate": 0.1, "epsilon": 1e-2}, {}),
    ({"kind": "adam", "learning_rate": 0.05}, {"clip_norm": 1.0}),
    ({"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1}, {"clip_norm": 0.5}),
    ({"kind": "adam", "learning_rate": 0.05}, {"factors": [0.25, 0.5, 0.75, 1.0, 0.5, 0.25, 0.125]}),
    ({"kind": "adamw", "learning_rate": 0.05, "weight_decay": 0.3}, {"factors": [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]}),
]


def case(config, extra):
    torch.manual_seed(1)
    start = torch.randn(WEIGHTS)
    gradients = torch.randn(STEPS, WEIGHTS) * 10.0 ** torch.randint(-4, 2, (WEIGHTS,))
    gradients[:, 0] = 0.0
    gradients[2:, 1] = 0.0
    weights = torch.nn.Parameter(start.clone())
    opt = optimizer(config, weights)
    after = []
    for step, gradient in enumerate(gradients):
        weights.grad = gradient.clone()
        if "clip_norm" in extra:
            torch.nn.utils.clip_grad_norm_([weights], extra["clip_norm"])
        if "factors" in extra:
            opt.param_groups[0]["lr"] = config["learning_rate"] * extra["factors"][step]
        opt.step()
        after.append(numbers(weights.detach()))
    return {"config": config, **extra, "start": numbers(start), "gradients": numbers(gradients), "weights": after}


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    cases = ",\n".join(json.dumps(case(config, extra)) for config, extra in CASES)
    version = torch.__version__.split("+")[0]
    OUT.write_text(f'{{"torch": "{version}", "cases": [\n{cases}\n]}}\n')
