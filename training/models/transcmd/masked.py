"""Complementarity-aware masked pretraining: one sensor's patches from the other's (transcmd.md section 4).

Masks fall where the two sensors disagree most, mostly on the one that sees more there, so that the weaker one
has to be used. The number of visible tokens is always the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.ckd import PIXEL_STD
from training.models.transcmd.student import Pictures, TransCmdStudent
from training.models.vit import Block, VitConfig, initialise_layer

LUMINANCE = (0.299, 0.587, 0.114)  # of RGB; three equal thermal channels give themselves
DECODER_BLOCKS = 2
TARGET_EPS = 1e-6


@dataclass(frozen=True)
class MaskRates:
    """Shares of the positions that lose one modality and of those that lose both; how the one is chosen.

    floor: added to the complementarity before drawing. stronger: how often the one with more energy goes.
    """

    single: float = 0.5
    double: float = 0.25
    floor: float = 0.05
    stronger: float = 0.8

    def __post_init__(self) -> None:
        if min(self.single, self.double) < 0 or not 0 < self.single + self.double <= 1:
            raise ValueError(
                f"single {self.single} and double {self.double} must be shares of at most 1 in all"
            )
        if self.floor <= 0 or not 0 <= self.stronger <= 1:
            raise ValueError(f"floor {self.floor} must be above 0 and stronger {self.stronger} in 0..1")


class CmaeMask(NamedTuple):
    """masked: bool `[B, 2, N]`, RGB first. visible: places in `[RGB N | thermal N]` that stay, `[B, V]`."""

    masked: Tensor
    visible: Tensor


def patches(pictures: Tensor, size: int) -> Tensor:
    """`[B, 3, H, W]` to `[B, N, 3 size^2]`, raster order."""
    return F.unfold(pictures, size, stride=size).transpose(1, 2)


def patch_energy(pictures: Tensor, size: int) -> Tensor:
    """Rank of each patch's luminance deviation within its picture, as 0..1, `[B, N]`.

    pictures: normalised, `[B, 3, H, W]`. Ties share their mean rank, so a blank picture has no order.
    """
    weights = (torch.tensor(LUMINANCE) * torch.tensor(PIXEL_STD)).view(1, 3, 1, 1).to(pictures.device)
    luminance = (pictures.float() * weights).sum(dim=1, keepdim=True)
    deviation = patches(luminance, size).std(dim=2, unbiased=False)
    below = (deviation[:, None, :] < deviation[:, :, None]).sum(dim=2)
    equal = (deviation[:, None, :] == deviation[:, :, None]).sum(dim=2)
    return (below + (equal - 1) / 2) / (deviation.shape[1] - 1)


def mask_noise(batch: int, tokens: int, generator: torch.Generator) -> Tensor:
    """The dice of `draw_mask`, `[B, 3, N]`, drawn apart from the pictures: one draw for a whole batch gives
    the same masks however many processes share it."""
    return torch.rand(batch, 3, tokens, generator=generator, device=generator.device)


def draw_mask(searches: Pictures, patch_size: int, noise: Tensor, rates: MaskRates | None = None) -> CmaeMask:
    """One mask per sample, from normalised pictures and the `mask_noise` of its row."""
    rates = rates or MaskRates()
    rgb, tir = (patch_energy(pictures, patch_size) for pictures in searches)
    count = rgb.shape[1]
    singles = round(rates.single * count)
    doubles = min(round(rates.double * count), count - singles)
    race, second, coin = noise.to(rgb.device).unbind(1)
    # Gumbel noise on the logarithm: the largest are a draw without replacement, proportional to the weight.
    gumbel = -torch.log(-torch.log(race.clamp(1e-7, 1 - 1e-7)))
    single = _largest(torch.log((rgb - tir).abs() + rates.floor) + gumbel, singles)
    double = _largest(second.masked_fill(single, -1.0), doubles)
    hides_rgb = (rgb >= tir) == (coin < rates.stronger)
    masked = torch.stack((double | (single & hides_rgb), double | (single & ~hides_rgb)), dim=1)
    order = masked.flatten(1).to(torch.uint8).argsort(dim=1, stable=True)
    return CmaeMask(masked, order[:, : 2 * count - singles - 2 * doubles])


def _largest(scores: Tensor, count: int) -> Tensor:
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    return chosen.scatter(1, scores.topk(count, dim=1).indices, True)


class MaskDecoder(nn.Module):
    """From encoded visible tokens to all patches of both modalities; lives in training only."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.embed = nn.Linear(dim, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        self.blocks = nn.ModuleList(Block(config, drop_path=0.0) for _ in range(DECODER_BLOCKS))
        self.predict = nn.Linear(dim, 3 * config.patch_size**2)
        self.apply(initialise_layer)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, encoded: Tensor, visible: Tensor, codes: Tensor) -> Tensor:
        """encoded `[B, V, C]`, visible `[B, V]`, codes of place and modality `[1, 2N, C]`.

        Returns patches `[B, 2N, 3 size^2]`, RGB first.
        """
        batch, _, dim = encoded.shape
        seen = self.embed(encoded)
        tokens = (self.mask_token + codes).to(seen.dtype).expand(batch, -1, -1)
        tokens = tokens.scatter(1, visible.unsqueeze(-1).expand(-1, -1, dim), seen)
        for block in self.blocks:
            tokens = block(tokens)
        return self.predict(tokens)


class MaskedAutoencoder(nn.Module):
    """Student and decoder in one forward pass: stage one.

    Freezes what this stage does not use, the head and the template's places: processes that share a batch
    would wait for their gradients.
    """

    def __init__(self, student: TransCmdStudent) -> None:
        super().__init__()
        require_joint(student)
        student.box_head.requires_grad_(False)
        student.encoder.pos_embed_z.requires_grad_(False)
        self.student = student
        self.decoder = MaskDecoder(student.config.vit)

    def forward(self, searches: Pictures, mask: CmaeMask) -> Tensor:
        """The loss; searches normalised `[B, 3, H, W]`, RGB and thermal."""
        return reconstruction_loss(self.student, self.decoder, searches, mask)


def require_joint(student: TransCmdStudent) -> None:
    """Raises ValueError for a student in which no modality would see the other's patches."""
    if student.config.mode != "joint":
        raise ValueError(f"masked training needs mode = 'joint'; this student's is {student.config.mode!r}")


def reconstruction_loss(
    student: TransCmdStudent, decoder: MaskDecoder, searches: Pictures, mask: CmaeMask
) -> Tensor:
    """Encodes the visible tokens, rebuilds all, and judges the masked ones."""
    codes = _codes(student)
    predicted = decoder(encode_visible(student, searches, mask), mask.visible, codes)
    return masked_loss(predicted, searches, mask, student.config.vit.patch_size)


def encode_visible(student: TransCmdStudent, searches: Pictures, mask: CmaeMask) -> Tensor:
    """Encoder outputs of the visible tokens only, `[B, V, C]`."""
    vit, encoder = student.config.vit, student.encoder
    parts = []
    for pictures, masked in zip(searches, mask.masked.unbind(1), strict=True):
        hidden = masked.view(-1, 1, vit.search_side, vit.search_side).to(pictures.dtype)
        # Blank before the stem, too: strided convolutions that overlap would see into masked patches.
        blanked = pictures * (1 - F.interpolate(hidden, scale_factor=vit.patch_size, mode="nearest"))
        parts.append(encoder.patch_embed(blanked).flatten(2).transpose(1, 2))
    tokens = torch.cat(parts, dim=1) + _codes(student)
    tokens = tokens.gather(1, mask.visible.unsqueeze(-1).expand(-1, -1, vit.embed_dim))
    for block in encoder.blocks:
        tokens = block(tokens)
    return encoder.norm(tokens)


def _codes(student: TransCmdStudent) -> Tensor:
    """Place and modality of every search token, `[1, 2N, C]`."""
    return (student.encoder.pos_embed_x + student.modality_codes).flatten(1, 2)


def masked_loss(predicted: Tensor, searches: Pictures, mask: CmaeMask, patch_size: int) -> Tensor:
    """Mean squared error over masked patches, each target patch brought to mean 0 and deviation 1."""
    target = torch.cat([patches(pictures, patch_size) for pictures in searches], dim=1).float()
    variance, mean = torch.var_mean(target, dim=2, keepdim=True, unbiased=False)
    target = (target - mean) / torch.sqrt(variance + TARGET_EPS)
    error = (predicted.float() - target).square().mean(dim=2)  # [B, 2N]
    hidden = mask.masked.flatten(1)
    return (error * hidden).sum() / hidden.sum()
