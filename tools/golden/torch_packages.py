"""Tiny models of PyTorch packages with random weights, and their predictions, for crates/cli/tests/torch_packages.rs.

Run from the repository root with torch, torch-rechub 0.9.0 and deepctr-torch 0.3.0 installed:

    python tools/golden/torch_packages.py [--mtreclib FOLDER] [--blog FILE]

Writes crates/cli/tests/torch_packages/<case>/: state.safetensors (the state_dict), rows.csv, predictions.csv (of the package, in
evaluation mode), versions.json. config.toml is written by people. FOLDER is a checkout of github.com/easezyc/
Multitask-Recommendation-Library, FILE holds the classes Expert_net, Extraction_Network and PLE with ModuleLists. The fixtures were made of classes retyped from these sources, without their
comments.

Every parameter and every running statistic of a batch norm is drawn anew, so that nothing is one or zero by its start; columns of
rows stand in an order that is not that of the packages.
"""

import argparse
import importlib
import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import torch

OUT = Path("crates/cli/tests/torch_packages")
ROWS = 20
TABLES = {"user": 7, "item": 5}
NUMBERS = ["price", "age"]
DIM = 3


def rows():
    rng = np.random.default_rng(5)
    columns = {name: rng.integers(0, size, ROWS) for name, size in TABLES.items()}
    columns |= {name: rng.normal(size=ROWS).astype(np.float32) for name in NUMBERS}
    return columns


def draw(model, seed):
    """Draws all weights and running statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                scale = 1.0 if "embed" in name else 1.5 / (tensor.shape[-1] if tensor.dim() else 1) ** 0.5
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)
                if name.endswith("running_mean"):
                    tensor.mul_(0.3)
                elif tensor.dim() == 1:
                    # Few units are dead, so that what they do is seen.
                    tensor.abs_().mul_(0.5).add_(0.3)


def idle(model, predict):
    """Tensors that predictions hardly depend on."""
    before, found = predict(), []
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            kept = tensor.clone()
            tensor.mul_(1.5).add_(torch.linspace(0.1, 0.2, tensor.numel()).reshape(tensor.shape))
            if (predict() - before).abs().max() < 1e-4:
                found.append(name)
            tensor.copy_(kept)
    return found


def save_state(state, path):
    """A safetensors file: the length of its header, the header, the tensors."""
    types = {torch.float32: "F32", torch.int64: "I64"}
    header, at, parts = {}, 0, []
    for name, tensor in sorted(state.items()):
        data = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": types[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))


@torch.no_grad()
def write(case, model, predict, versions, unused=()):
    """Takes the first seed whose model depends on every tensor but those whose names begin as one of `unused`."""
    model.eval()
    for seed in range(60):
        draw(model, seed)
        tensors = idle(model, predict)
        if predict().std(dim=0).min() > 0.01 and all(name.startswith(tuple(unused)) for name in tensors):
            break
    else:
        raise SystemExit(f"{case}: predictions do not depend on {tensors}")
    predictions = predict()
    folder = OUT / case
    folder.mkdir(parents=True, exist_ok=True)
    save_state(model.state_dict(), folder / "state.safetensors")
    columns = {name: rows()[name] for name in ["price", "user", "age", "item"]}
    labels = {"click": np.arange(ROWS) % 2, "watch": np.arange(ROWS) / 10, "like": np.arange(ROWS) // 2 % 2}
    columns |= labels
    lines = [",".join(columns)] + [",".join(str(v[i]) for v in columns.values()) for i in range(ROWS)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    values = predictions.numpy().astype(np.float64)
    lines = ["click,watch"] + [",".join(repr(float(v)) for v in row) for row in values]
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    (folder / "versions.json").write_text(json.dumps({"torch": torch.__version__.split("+")[0], **versions}) + "\n")


def rechub():
    from torch_rechub.basic.features import DenseFeature, SparseFeature
    from torch_rechub.models.multi_task import MMOE, PLE

    def features():
        sparse = [SparseFeature(name, size, embed_dim=DIM) for name, size in TABLES.items()]
        return sparse + [DenseFeature(name) for name in NUMBERS]

    types = ["classification", "regression"]
    experts = {"dims": [6, 4], "dropout": 0.2, "activation": "relu"}
    towers = [{"dims": [5], "activation": "relu"}, {"dims": [3, 2], "activation": "relu"}]
    inputs = {name: torch.from_numpy(values) for name, values in rows().items()}
    version = {"torch-rechub": importlib.metadata.version("torch-rechub")}
    for case, model in {
        "rechub_ple": PLE(features(), types, 3, 2, 1, experts, towers),
        "rechub_mmoe": MMOE(features(), types, 3, experts, towers),
    }.items():
        write(case, model, lambda model=model: model(inputs), version)


def deepctr():
    from deepctr_torch.inputs import DenseFeat, SparseFeat
    from deepctr_torch.models import MMOE, PLE

    columns = [SparseFeat(name, size, embedding_dim=DIM) for name, size in TABLES.items()]
    columns += [DenseFeat(name, 1) for name in NUMBERS]
    own = {"task_types": ["binary", "regression"], "task_names": ["click", "watch"], "expert_dnn_hidden_units": (6, 4)}
    version = {"deepctr-torch": importlib.metadata.version("deepctr-torch")}
    table = rows()
    inputs = torch.tensor(np.stack([table[name] for name in [*TABLES, *NUMBERS]], axis=1), dtype=torch.float32)
    for case, model in {
        # Two shared experts are made, one is read.
        "deepctr_ple": PLE(columns, 1, 2, 3, gate_dnn_hidden_units=(), tower_dnn_hidden_units=(5,), dnn_use_bn=True, **own),
        "deepctr_mmoe": MMOE(columns, 3, gate_dnn_hidden_units=(), tower_dnn_hidden_units=(), **own),
        "deepctr_hidden_gate": MMOE(columns, 2, gate_dnn_hidden_units=(4,), tower_dnn_hidden_units=(5,), **own),
    }.items():
        unused = ["shared_gate_dnn_final_layer.2.", *(f"shared_experts.{j}.0.1." for j in range(3))]
        write(case, model, lambda model=model: model(inputs), version, unused)


def mtreclib(folder):
    sys.path.insert(0, folder)
    table = rows()
    ids = torch.from_numpy(np.stack([table[name] for name in TABLES], axis=1))
    numbers = torch.from_numpy(np.stack([table[name] for name in NUMBERS], axis=1))
    sizes = list(TABLES.values())
    version = {"Multitask-Recommendation-Library": "classes retyped from models/; ple.py with task_experts, *_early: of commit ee2427f"}
    ple = importlib.import_module("models.ple").PLEModel
    mmoe = importlib.import_module("models.mmoe").MMoEModel
    models = {
        "mtreclib_ple": ple(sizes, 2, DIM, [6, 5, 4], [5], 2, 2, 2, 0.2),
        "mtreclib_mmoe": mmoe(sizes, 2, DIM, [6, 4], [5], 2, 3, 0.2),
    }
    if (Path(folder) / "models/ple_early.py").exists():
        # The file as it was at commit ee2427f.
        early = importlib.import_module("models.ple_early").PLEModel
        models["mtreclib_early"] = early(sizes, 2, DIM, [6], [5], 2, 1, 2, 0.2)
        models["mtreclib_early_levels"] = early(sizes, 2, DIM, [6, 4], [5], 2, 1, 2, 0.2)
    for case, model in models.items():
        unused = ["share_gates.2.", "gate.0.2.", "gate.1.2."]
        write(case, model, lambda model=model: torch.stack(model(ids, numbers), dim=1), version, unused)


def blog(file):
    sys.path.insert(0, str(Path(file).parent))
    version = {"blog": "Extraction_Network with ModuleLists"}
    table = rows()
    inputs = torch.from_numpy(np.stack([table[name] for name in NUMBERS], axis=1))
    model = importlib.import_module(Path(file).stem).PLE(2, 6, 2, 1)
    # Its towers give logits, or values.
    write("blog_ple", model, lambda: torch.cat([torch.sigmoid(model(inputs)[0]), model(inputs)[1]], dim=1), version)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mtreclib")
    parser.add_argument("--blog")
    args = parser.parse_args()
    rechub()
    deepctr()
    if args.mtreclib:
        mtreclib(args.mtreclib)
    if args.blog:
        blog(args.blog)
