"""PyTorch's own optimizers, with embedding tables updated lazily: by touched row."""

import torch


def lazy_step(optimizer, touched):
    """One step after which rows of a table that the batch did not look up have kept their weights and moments.

    `touched` maps a table's parameter to the ids that were looked up. Bias correction counts all steps, not those of
    a row, and epsilon is added after it, both as `torch.optim.Adam` does for dense parameters.
    """
    before = {}
    for table in touched:
        state = {k: v.clone() for k, v in optimizer.state[table].items() if v.shape == table.shape}
        before[table] = table.detach().clone(), state
    optimizer.step()
    with torch.no_grad():
        for table, ids in touched.items():
            weight, state = before[table]
            untouched = torch.ones(len(table), dtype=torch.bool)
            untouched[ids] = False
            table[untouched] = weight[untouched]
            for key, value in optimizer.state[table].items():
                if value.shape == table.shape:
                    value[untouched] = state[key][untouched] if key in state else 0.0
