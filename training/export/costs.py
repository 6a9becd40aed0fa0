"""How much a network is and does: parameters and multiply-accumulates, by layer kind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from training.models.vit import Attention


@dataclass(frozen=True)
class Cost:
    """parameters: trained numbers. layers: multiply-accumulates of linear and convolution layers, batch 1.

    attention: those of the two products q k^T and P v. Norms, activations and sums are not counted.
    """

    parameters: int
    layers: int
    attention: int

    @property
    def macs(self) -> int:
        return self.layers + self.attention


def measure_cost(tracker: Any) -> Cost:
    """Counts while a network of the same sizes without storage runs once: costs neither memory nor time.

    tracker: an `exportable.TrackerNetwork`.
    """
    tally = {"layers": 0, "attention": 0}

    def count(module: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(module, Attention):
            batch, tokens, dim = inputs[0].shape
            tally["attention"] += 2 * batch * tokens * tokens * dim
        elif isinstance(module, nn.Linear):
            tally["layers"] += inputs[0].numel() * module.out_features
        elif isinstance(module, nn.Conv2d):
            assert isinstance(output, torch.Tensor)
            tally["layers"] += output.numel() * math.prod(module.weight.shape[1:])

    with torch.device("meta"):
        hollow = type(tracker)(tracker.config).eval()
    for module in hollow.modules():
        if isinstance(module, (Attention, nn.Linear, nn.Conv2d)):
            module.register_forward_hook(count)
    sides = [spec.shape[1] for spec in tracker.input_specs()]
    with torch.no_grad():
        hollow(*(torch.empty(1, 3, side, side, device="meta") for side in sides))
    return Cost(sum(p.numel() for p in tracker.parameters()), **tally)
