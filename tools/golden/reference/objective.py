"""The joint loss on sample spaces (equations 8 to 10 of the PLE paper)."""

from torch.nn import functional as F


def task_loss(kind, output, label, present):
    """Mean over the rows of the task's sample space; zero, with zero gradients, in a batch that has none."""
    if kind == "binary":
        losses = F.binary_cross_entropy_with_logits(output, label, reduction="none")
    else:
        losses = (output - label) ** 2
    return (losses * present).sum() / present.sum().clamp(min=1)


def task_weight(weight, step):
    """w_k at training step t, counted from 0: w_k0 * gamma_k ** t."""
    if isinstance(weight, dict):
        assert weight["every"] == "step"
        return weight["initial"] * weight["ratio"] ** step
    return weight


def joint_loss(outputs, labels, tasks, step):
    """L = sum_k w_k L_k; `labels` holds (values, present) per task."""
    return sum(task_weight(t.weight, step) * task_loss(t.kind, outputs[t.name], *labels[t.name]) for t in tasks)
