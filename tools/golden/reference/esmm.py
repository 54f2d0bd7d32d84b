"""ESMM (Ma et al., SIGIR 2018): what is predicted of a funnel's event is the product of the probabilities up to it.

Written with probabilities, as in the paper; only the prediction itself is turned into a logit, since losses take logits.
"""

import torch
from torch import nn

from .layers import Embeddings, towers, width_of


class ESMM(nn.Module):
    """p(click) = sigmoid(t_1(x));  p(click and purchase) = p(click) sigmoid(t_2(x));  and so on."""

    def __init__(self, features, tasks, model):
        super().__init__()
        self.tasks, self.funnel = [t.name for t in tasks], model["funnel"]
        self.embeddings = Embeddings(features)
        self.towers = towers(width_of(features), tasks, model)

    def forward(self, batch):
        x = self.embeddings(batch)
        outputs = {t: self.towers[t](x) for t in self.tasks}
        reached = 1.0
        for task in self.funnel:
            reached = self.reach(reached, torch.sigmoid(outputs[task]))
            outputs[task] = torch.logit(reached)
        return outputs

    def reach(self, before, given):
        return before * given
