"""Numbers embedded by learned waves in PyTorch, for crates/engine/tests/waves.rs.

Run from the repository root with PyTorch installed; writes crates/engine/tests/golden/waves.json:

    python tools/golden/waves.py

The embedding is written from the paper's formula (Gorishniy et al., NeurIPS 2022, "PLR"): sines and cosines of 2 pi c x, a linear
layer of the feature's own, ReLU. Above it stands one linear layer, with mean squared error; gradients of everything that is learned
are autograd's. All is f64, of weights and numbers that f32 holds.
"""

import json
import math
from pathlib import Path

import torch

OUT = Path("crates/engine/tests/golden/waves.json")
ROWS, FREQUENCIES, WIDTH = 300, 5, 7


def f32(tensor):
    return tensor.to(torch.float32).to(torch.float64)


def case(sigma, scale):
    torch.manual_seed(7)
    x = f32(torch.randn(ROWS) * scale)
    y = f32(torch.randn(ROWS))
    weights = {
        "numbers.x.frequencies": f32(torch.randn(FREQUENCIES) * sigma),
        "numbers.x.weight": f32(torch.randn(WIDTH, 2 * FREQUENCIES) * 0.5),
        "numbers.x.bias": f32(torch.randn(WIDTH) * 0.2),
        "out.weight": f32(torch.randn(1, WIDTH)),
        "out.bias": f32(torch.randn(1)),
    }
    for tensor in weights.values():
        tensor.requires_grad_()
    angle = 2 * math.pi * x[:, None] * weights["numbers.x.frequencies"]
    waves = torch.cat([torch.sin(angle), torch.cos(angle)], dim=1)
    embedded = torch.relu(waves @ weights["numbers.x.weight"].T + weights["numbers.x.bias"])
    predicted = embedded @ weights["out.weight"].T + weights["out.bias"]
    loss = ((predicted[:, 0] - y) ** 2).mean()
    loss.backward()
    tensors = {name: {"shape": list(t.shape), "data": t.flatten().tolist()} for name, t in weights.items()}
    gradients = {name: t.grad.flatten().tolist() for name, t in weights.items()}
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "weights": tensors,
        "loss": loss.item(),
        "predicted": predicted[:, 0].tolist(),
        "gradients": gradients,
    }


if __name__ == "__main__":
    cases = [case(0.1, 1.0), case(1.0, 1.0), case(0.01, 30.0)]
    text = ",\n".join(json.dumps(c) for c in cases)
    OUT.write_text(f'{{"torch": "{torch.__version__.split("+")[0]}", "cases": [\n{text}\n]}}\n')
