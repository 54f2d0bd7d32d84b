"""PLE and CGC in plain PyTorch, with weights.safetensors of a model as the state_dict (MIT).

    module = PLE(load_file("model/weights.safetensors"), tasks=["click", "watch"])
    logits = module(x)          # [B, K]; x [B, D]: embeddings and numbers in the order of the configuration

Sizes are read off the tensors. A sigmoid makes a probability of a binary task's logit; module.embed looks rows of a table up.
"""

import torch
from torch import nn
from torch.nn.functional import embedding, linear, relu


class PLE(nn.Module):
    def __init__(self, state, tasks, activation=relu):
        super().__init__()
        self.tasks, self.activation = list(tasks), activation
        # Names have dots, which parameters of a module must not have.
        self.names = {name: name.replace(".", "/") for name in state}
        for name, tensor in state.items():
            self.register_parameter(self.names[name], nn.Parameter(torch.as_tensor(tensor).clone()))
        self.levels = self.count("levels")

    def count(self, prefix):
        found = {name[len(prefix) + 1 :].split(".")[0] for name in self.names if name.startswith(prefix + ".")}
        return len(found)

    def get(self, name):
        return getattr(self, self.names[name]) if name in self.names else None

    def layer(self, name, x):
        return linear(x, self.get(f"{name}.weight"), self.get(f"{name}.bias"))

    def embed(self, table, rows):
        return embedding(rows, self.get(f"embeddings.{table}.weight"))

    def expert(self, name, x):
        for layer in range(self.count(name)):
            x = self.activation(self.layer(f"{name}.{layer}", x))
        return x

    def tower(self, name, x):
        last = self.count(name) - 1
        for layer in range(last):
            x = self.activation(self.layer(f"{name}.{layer}", x))
        return self.layer(f"{name}.{last}", x)

    def mix(self, name, selector, experts):
        weights = torch.softmax(self.layer(f"{name}.gate", selector), dim=1)
        return (weights.unsqueeze(2) * torch.stack(experts, dim=1)).sum(dim=1)

    def forward(self, x):
        inputs = {module: x for module in [*self.tasks, "shared"]}
        for j in range(self.levels):
            experts = {}
            for module, read in inputs.items():
                at = f"levels.{j}.{module}"
                experts[module] = [self.expert(f"{at}.experts.{e}", read) for e in range(self.count(f"{at}.experts"))]
            outputs = {t: self.mix(f"levels.{j}.{t}", inputs[t], experts[t] + experts["shared"]) for t in self.tasks}
            if j + 1 < self.levels:
                everyone = [expert for module in experts.values() for expert in module]
                outputs["shared"] = self.mix(f"levels.{j}.shared", inputs["shared"], everyone)
            inputs = outputs
        return torch.cat([self.tower(f"towers.{t}", inputs[t]) for t in self.tasks], dim=1)
