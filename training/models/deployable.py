"""CKD as it leaves PyTorch: raw uint8 crops in, float32 maps out, constants folded into the weights.

Folded, all exact but for rounding: BatchNorm into the convolution before it, pixel normalisation into the
stem, the attention scale into the q rows of qkv (TensorRT fuses attention only when Q is scaled, not the
scores).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.models.ckd import PIXEL_MEAN, PIXEL_STD, CkdTracker
from training.models.vit import Attention, ConvStem, LinearStem, Vit

INPUT_NAMES = ("template_rgb", "template_tir", "search_rgb", "search_tir")
OUTPUT_NAMES = ("score", "size", "offset")


class RawPixelStem(nn.Module):
    """A stem whose first convolution takes pixels of 0..255; with the conversion to floats and to NCHW.

    mean_pixel: subtracted before a first convolution with zero padding, since a border of zeros means a mean
    pixel there; a stem without padding carries the mean in its bias instead.
    """

    def __init__(self, stem: LinearStem | ConvStem) -> None:
        super().__init__()
        self.stem = stem
        first = stem.proj if isinstance(stem, LinearStem) else stem.layers[0]
        scale = 1.0 / (255.0 * torch.tensor(PIXEL_STD, dtype=torch.float64))
        mean = 255.0 * torch.tensor(PIXEL_MEAN, dtype=torch.float64)
        weight = first.weight.data.double() * scale[:, None, None]
        if isinstance(stem, LinearStem):
            first.bias.data = (first.bias.data.double() - (weight.sum((2, 3)) * mean).sum(1)).float()
            self.mean_pixel = None
        else:
            self.register_buffer("mean_pixel", mean.view(1, 3, 1, 1).float())
        first.weight.data = weight.float()

    def forward(self, crops: Tensor) -> Tensor:
        pixels = crops.to(self.stem.proj.weight.dtype).permute(0, 3, 1, 2)
        if self.mean_pixel is not None:
            pixels = pixels - self.mean_pixel
        return self.stem(pixels)


class DeployableCkd(nn.Module):
    """Takes uint8 crops `[N, H, W, 3]`, RGB order, as in INPUT_NAMES; returns score, size, offset."""

    def __init__(self, tracker: CkdTracker, half: bool = False) -> None:
        """Works on a copy of `tracker`. half: FP16 weights and arithmetic; the outputs stay float32."""
        super().__init__()
        self.config = tracker.config
        self.tracker = copy.deepcopy(tracker).eval().requires_grad_(False)
        for module in list(self.tracker.modules()):
            if isinstance(module, nn.Sequential):
                _fold_batch_norms(module)
            elif isinstance(module, Attention):
                _fold_scale(module)
        for module in list(self.tracker.modules()):
            if isinstance(module, Vit):
                module.patch_embed = RawPixelStem(module.patch_embed)
        if half:
            self.tracker.half()

    def forward(
        self, template_rgb: Tensor, template_tir: Tensor, search_rgb: Tensor, search_tir: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        score, size, offset = self.tracker(template_rgb, template_tir, search_rgb, search_tir)
        return score.float(), size.float(), offset.float()


def _fold_batch_norms(layers: nn.Sequential) -> None:
    for i in range(len(layers) - 1):
        if isinstance(layers[i], nn.Conv2d) and isinstance(layers[i + 1], nn.BatchNorm2d):
            layers[i] = fuse_conv_bn_eval(layers[i].double(), layers[i + 1].double()).float()
            layers[i + 1] = nn.Identity()


def _fold_scale(attention: Attention) -> None:
    dim = attention.proj.in_features
    attention.qkv.weight.data[:dim] *= attention.scale
    attention.qkv.bias.data[:dim] *= attention.scale
    attention.scale = None
    attention.explicit = True
