"""A network per task that shares nothing, embeddings included: the baseline of every gain."""

from torch import nn

from .layers import Embeddings, Stack, per_name, towers, width_of


class SingleTask(nn.Module):
    """y_k = t_k(bottom_k(x_k)), x_k from the task's own tables."""

    def __init__(self, features, tasks, model):
        super().__init__()
        self.tasks = [t.name for t in tasks]
        activation = model.get("activation", "relu")
        width = width_of(features)
        self.embeddings = nn.ModuleDict({t: Embeddings(features) for t in self.tasks})
        self.bottoms = nn.ModuleDict(
            {t: Stack(width, per_name(model["bottom"], t), activation) for t in self.tasks}
        )
        self.towers = nn.ModuleDict()
        for task in tasks:
            bottom = per_name(model["bottom"], task.name)
            self.towers.update(towers(bottom[-1], [task], model))

    def forward(self, batch):
        return {t: self.towers[t](self.bottoms[t](self.embeddings[t](batch))) for t in self.tasks}
