"""The joint loss on sample spaces (equations 8 to 10 of the PLE paper), and AITM's calibrator."""

import torch
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


def calibration(outputs, labels, tasks, step, pairs, alpha):
    """alpha mean max(p_later - p_earlier, 0) over the rows of both sample spaces, as a part of the later task's loss."""
    weights = {t.name: task_weight(t.weight, step) for t in tasks}
    total = 0.0
    for earlier, later in pairs:
        excess = (torch.sigmoid(outputs[later]) - torch.sigmoid(outputs[earlier])).clamp(min=0)
        both = labels[earlier][1] * labels[later][1]
        total = total + weights[later] * alpha * (excess * both).sum() / both.sum().clamp(min=1)
    return total
