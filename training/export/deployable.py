"""Networks as they leave PyTorch: pixels in, float32 maps out, constants folded into the weights.

Folded, all exact but for rounding: BatchNorm into the convolution before it, pixel normalisation into the
stem, the attention scale into the q rows of qkv (TensorRT fuses attention only when Q is scaled, not the
scores).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_rgbt.engine.base import TensorSpec
from training.models.ckd import PIXEL_MEAN, PIXEL_STD
from training.models.vit import Attention, ConvStem, LinearStem, Vit

INPUT_NAMES = ("template_rgb", "template_tir", "search_rgb", "search_tir")
OUTPUT_NAMES = ("score", "size", "offset")


class Deployable(nn.Module):
    """A folded copy of a tracker. Subclasses name the graph's inputs in `forward`, which calls `answer`.

    inputs: what the graph takes, in the order of `forward`.
    """

    mean_pixel: Tensor | None

    def __init__(self, tracker: Any, white: float, half: bool = False) -> None:
        """tracker: an `exportable.TrackerNetwork`. white: the largest pixel value of its inputs.

        half: FP16 weights and arithmetic; the outputs stay float32.
        """
        super().__init__()
        self.inputs: tuple[TensorSpec, ...] = tracker.input_specs()
        self.tracker = copy.deepcopy(tracker).eval().requires_grad_(False)
        mean = None
        for module in list(self.tracker.modules()):
            if isinstance(module, nn.Sequential):
                _fold_batch_norms(module)
            elif isinstance(module, Attention):
                _fold_scale(module)
            elif isinstance(module, Vit):
                _fold_pixel_scale(module.patch_embed, white)
                # A convolution that pads with zeros means a mean pixel there, so the mean is taken off
                # before it; a stem without padding carries the mean in its bias.
                if isinstance(module.patch_embed, ConvStem):
                    mean = _mean_pixel(white).float()
        self.register_buffer("mean_pixel", mean)
        self.precision = torch.float16 if half else torch.float32
        self.to(self.precision)

    def answer(self, *crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops `[N, H, W, 3]`, RGB order, to score, size, offset."""
        score, size, offset = self.tracker(*map(self._pixels, crops))
        return score.float(), size.float(), offset.float()

    def use_fused_attention(self, fused: bool) -> None:
        """PyTorch's fused attention kernel, or (as made) the single operators that an ONNX graph needs."""
        for module in self.tracker.modules():
            if isinstance(module, Attention):
                module.explicit = not fused

    def _pixels(self, crops: Tensor) -> Tensor:
        pixels = crops.to(self.precision).permute(0, 3, 1, 2)
        return pixels if self.mean_pixel is None else pixels - self.mean_pixel


class DeployableRawCrops(Deployable):
    """CKD and TransCMD: takes uint8 crops of both modalities, as in INPUT_NAMES."""

    def __init__(self, tracker: Any, half: bool = False) -> None:
        super().__init__(tracker, 255.0, half)

    def forward(
        self, template_rgb: Tensor, template_tir: Tensor, search_rgb: Tensor, search_tir: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return self.answer(template_rgb, template_tir, search_rgb, search_tir)


def _mean_pixel(white: float) -> Tensor:
    return white * torch.tensor(PIXEL_MEAN, dtype=torch.float64).view(1, 3, 1, 1)


def _fold_pixel_scale(stem: LinearStem | ConvStem, white: float) -> None:
    """Makes the first convolution take pixels of 0..white, with the mean taken off before if it pads."""
    first = next(module for module in stem.modules() if isinstance(module, nn.Conv2d))
    weight = first.weight.data.double() / (
        white * torch.tensor(PIXEL_STD, dtype=torch.float64)[:, None, None]
    )
    if isinstance(stem, LinearStem):
        assert first.bias is not None
        first.bias.data = (first.bias.data.double() - (weight * _mean_pixel(white)).sum((1, 2, 3))).float()
    first.weight.data = weight.float()


def _fold_batch_norms(layers: nn.Sequential) -> None:
    for i in range(len(layers) - 1):
        convolution, norm = layers[i], layers[i + 1]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[i] = fuse_conv_bn_eval(convolution.double(), norm.double()).float()
            layers[i + 1] = nn.Identity()


def _fold_scale(attention: Attention) -> None:
    assert attention.scale is not None
    dim = attention.proj.in_features
    attention.qkv.weight.data[:dim] *= attention.scale
    attention.qkv.bias.data[:dim] *= attention.scale
    attention.scale = None
    attention.explicit = True
