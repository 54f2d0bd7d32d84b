"""One PyTorch contender: takes steps when told to, so that a runner can interleave it with others.

Reads a number of steps per line, takes them, answers a line of JSON: {"ms": [...]}. Between two lines it sleeps. With
`--forward ROWS` a step is one forward pass over so many rows of a batch, without gradients.
`--check` instead prints how far its gradients are from Pleiad's: {"error": .., "tensor": ..}.
"""

import argparse
import json
import sys
import time
from itertools import cycle

import torch

from step_case import Case, gradient_error, loss, tables


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", help="a folder of `pleiad bench --export-case`")
    parser.add_argument("--variant", choices=["eager", "stacked"], default="eager")
    parser.add_argument("--adam", choices=["plain", "fused"], default="fused", help="form of the dense optimizer")
    parser.add_argument("--sparse", action="store_true", help="sparse gradients of tables, SparseAdam")
    parser.add_argument("--bf16", action="store_true", help="autocast to bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--forward", type=int, metavar="ROWS", help="forward passes over so many rows instead of steps")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    case = Case(arguments.case)
    if arguments.check:
        error, tensor = gradient_error(case, arguments.variant, arguments.sparse, arguments.bf16)
        print(json.dumps({"error": error, "tensor": tensor}))
        return

    model = case.build(arguments.variant, case.tensors("weights"), arguments.sparse)
    embeddings, dense = tables(model)
    fused = arguments.adam == "fused"
    optimizers = []
    if arguments.sparse:
        optimizers.append(torch.optim.SparseAdam(embeddings, lr=case.learning_rate))
    else:
        dense = dense + embeddings
    optimizers.append(torch.optim.Adam(dense, lr=case.learning_rate, fused=fused))
    batches = cycle(case.batches())

    def step():
        batch = next(batches)
        start = time.perf_counter()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bf16):
            value = loss(model, batch)
        value.backward()
        for optimizer in optimizers:
            optimizer.step()
        return (time.perf_counter() - start) * 1e3

    def forward():
        numeric, ids, _ = (tensor[: arguments.forward] for tensor in next(batches))
        start = time.perf_counter()
        with torch.inference_mode():
            torch.sigmoid(model(numeric, ids))
        return (time.perf_counter() - start) * 1e3

    once = forward if arguments.forward else step
    for line in sys.stdin:
        print(json.dumps({"ms": [once() for _ in range(int(line))]}), flush=True)


if __name__ == "__main__":
    main()
