"""What numpy says of a model's weights, and small models to ask it about."""

from __future__ import annotations

import numpy as np
import torch
from tiny import tiny_model
from torch import nn

from nbmonitor.parameters.pooling import folded


class Net(nn.Module):
    """A CNN, with a convolution too large for its sample."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3)
        self.conv2 = nn.Conv2d(16, 200, 3)
        self.bn = nn.BatchNorm2d(200)
        self.fc = nn.Linear(200, 4)


class Foreign(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(200, 300)
        self.b = nn.Parameter(torch.randn(3, 4, 5, 6))
        self.c = nn.Parameter(torch.tensor(2.0))


def make(kind):
    torch.manual_seed(0)
    made = {"cnn": Net, "foreign": Foreign}
    return made[kind]() if kind in made else tiny_model(kind)


def truth(matrix, model, gradient, before):
    x = dict(model.named_parameters())[matrix.name].detach().numpy().astype(np.float64)
    rms = np.sqrt(np.square(x).mean())
    change = x - before
    return [
        x.mean(), x.std(), x.min(), x.max(), np.sqrt(np.square(x).sum()),
        (np.abs(x) <= 1e-3 * rms).mean(), np.linalg.norm(gradient), np.abs(gradient).max(),
        np.linalg.norm(change), np.abs(change).max(),
    ]  # fmt: skip


def blocks(x, heat):
    matrix = x.astype(np.float64).reshape(folded(x.shape))
    return np.array(
        [
            [np.sqrt(np.square(cell).mean()) for cell in np.array_split(band, heat[1], 1)]
            for band in np.array_split(matrix, heat[0], 0)
        ]
    )


def step(model, size=1e-2):
    """A step of gradient descent; gradients and weights before it, by name."""
    generator = torch.Generator().manual_seed(5)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)
    gradients = {n: p.grad.numpy().astype(np.float64) for n, p in model.named_parameters()}
    before = {n: p.detach().numpy().astype(np.float64) for n, p in model.named_parameters()}
    with torch.no_grad():
        for p in model.parameters():
            p.sub_(size * p.grad)
    return gradients, before
