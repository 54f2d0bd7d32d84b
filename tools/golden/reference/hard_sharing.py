"""Hard parameter sharing (shared bottom): one bottom, a tower per task."""

from torch import nn

from .layers import Embeddings, Stack, towers, width_of


class HardSharing(nn.Module):
    """y_k = t_k(bottom(x))."""

    def __init__(self, features, tasks, model):
        super().__init__()
        self.tasks = [t.name for t in tasks]
        self.embeddings = Embeddings(features)
        self.bottom = Stack(width_of(features), model["bottom"], model.get("activation", "relu"))
        self.towers = towers(model["bottom"][-1], tasks, model)

    def forward(self, batch):
        h = self.bottom(self.embeddings(batch))
        return {t: self.towers[t](h) for t in self.tasks}
