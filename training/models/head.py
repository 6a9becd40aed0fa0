"""The centre head: three convolution towers to score, size and offset maps (ckd.md section 5)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

TOWERS = {"ctr": 1, "offset": 2, "size": 2}  # tower -> output channels
SCORE_FLOOR = 1e-4  # score and size stay this far away from 0 and 1


class HeadOutput(NamedTuple):
    """Maps of one head.

    score `[B, 1, S, S]` and size `[B, 2, S, S]` (w, h as fractions of the crop) after the sigmoid;
    offset `[B, 2, S, S]` (x, y) in cells.
    """

    score: Tensor
    size: Tensor
    offset: Tensor


class CenterHead(nn.Module):
    """in -> c -> c/2 -> c/4 -> c/8 channels by 3x3 convolutions with BatchNorm and ReLU, then 1x1."""

    def __init__(self, in_channels: int, channels: int = 256) -> None:
        super().__init__()
        widths = (in_channels, channels, channels // 2, channels // 4, channels // 8)
        for tower, outputs in TOWERS.items():
            for k in range(1, 5):
                convolution = nn.Conv2d(widths[k - 1], widths[k], 3, padding=1)
                stage = nn.Sequential(convolution, nn.BatchNorm2d(widths[k]), nn.ReLU())
                self.add_module(f"conv{k}_{tower}", stage)
            self.add_module(f"conv5_{tower}", nn.Conv2d(widths[4], outputs, 1))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, features: Tensor) -> HeadOutput:
        """features `[B, C, S, S]`."""
        return HeadOutput(
            score=_squash(self._tower("ctr", features)),
            size=_squash(self._tower("size", features)),
            offset=self._tower("offset", features),
        )

    def _tower(self, tower: str, features: Tensor) -> Tensor:
        for k in range(1, 6):
            features = self.get_submodule(f"conv{k}_{tower}")(features)
        return features


def _squash(logits: Tensor) -> Tensor:
    return logits.float().sigmoid().clamp(SCORE_FLOOR, 1.0 - SCORE_FLOOR)


def decode_boxes(output: HeadOutput, response: Tensor | None = None) -> Tensor:
    """Boxes `[B, 4]` cxcywh in fractions of the crop, from the best cell of `response` (default: the score).

    Gradients flow through size and offset of that cell. The first of equal maxima wins.
    """
    side = output.score.shape[-1]
    best = (output.score if response is None else response).flatten(1).argmax(dim=1)
    pick = best.view(-1, 1, 1).expand(-1, 2, 1)
    size = output.size.flatten(2).gather(2, pick).squeeze(2)
    offset = output.offset.flatten(2).gather(2, pick).squeeze(2)
    cell = torch.stack((best % side, best // side), dim=1).to(offset.dtype)
    return torch.cat(((cell + offset) / side, size), dim=1)
