"""The pixel-level fusion adapter, PFA (tpf.md section 2), and its variants (section 14)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_rgbt.adapter.layout import BLOCKS, HALF, VARIANTS, WHOLE, Variant
from training.models.tpf.vim import STATES, TAPS, Vim

SWAPPED = HALF // 2  # the first channels of the modalities change places


class FusionAdapter(nn.Module):
    """Registered crops of both modalities to one picture; all `[b, 3, H, W]` in 0..1.

    variant: full (14 267 parameters), s2 (half resolution, 14 036), tied (decays as powers, 11 867) or add
    (the plain mean, none); the names that `adapter.safetensors` carries.
    """

    def __init__(self, variant: str = "full") -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"adapter variant {variant!r} is none of {', '.join(VARIANTS)}")
        self.variant = variant
        self.form: Variant = VARIANTS[variant]
        if not self.form.network:
            return
        kernel, stride = self.form.kernel, self.form.stride
        self.low_rgb = nn.Conv2d(3, HALF, kernel, stride, kernel // 2)
        self.low_tir = nn.Conv2d(3, HALF, kernel, stride, kernel // 2)
        for name, channels in BLOCKS.items():
            block = Vim(channels, self.form.tied_decay)
            with torch.no_grad():
                block.out_proj.weight /= len(BLOCKS) ** 0.5  # so many residual additions in a row
            self.add_module(name, block)
        self.decoder = nn.Conv2d(WHOLE, 3 * stride**2, kernel, padding=kernel // 2)

    def forward(self, rgb: Tensor, tir: Tensor) -> Tensor:
        if not self.form.network:
            return (rgb + tir) / 2
        low_rgb, low_tir = self.low_rgb(rgb), self.low_tir(tir)
        height, width = low_rgb.shape[2:]
        r = self._block("vim_rgb", low_rgb.flatten(2).transpose(1, 2))  # [b, L, 8]
        t = self._block("vim_tir", low_tir.flatten(2).transpose(1, 2))
        r, t = swap_channels(r, t)
        joined = self._block("vim_token", torch.cat((r, t), dim=1))  # [b, 2L, 8]
        merged = self._block("vim_channel", torch.cat(joined.chunk(2, dim=1), dim=2))  # [b, L, 16]
        picture = self.decoder(merged.transpose(1, 2).reshape(-1, WHOLE, height, width))
        return torch.sigmoid(F.pixel_shuffle(picture, self.form.stride).float())

    def _block(self, name: str, tokens: Tensor) -> Tensor:
        return self.get_submodule(name)(tokens)


def swap_channels(rgb: Tensor, tir: Tensor) -> tuple[Tensor, Tensor]:
    """The parameter-free exchange: the first half of the channels of `[b, L, 8]` changes places."""
    return (
        torch.cat((tir[..., :SWAPPED], rgb[..., SWAPPED:]), dim=-1),
        torch.cat((rgb[..., :SWAPPED], tir[..., SWAPPED:]), dim=-1),
    )


def unweighted_parameters(adapter: nn.Module) -> set[str]:
    """Names of the parameters that take no weight decay: decays and skips of the scans."""
    return {name for name, _ in adapter.named_parameters() if name.rsplit(".", 1)[-1] in ("A_log", "D")}


def adapter_macs(variant: str, size: int) -> int:
    """Multiply-accumulates for one pair of crops of `size` x `size` pixels (tpf.md section 4)."""
    form = VARIANTS[variant]
    if not form.network:
        return 0
    tokens = (size // form.stride) ** 2
    taps = form.kernel**2
    ends = 2 * 3 * HALF * taps + WHOLE * 3 * form.stride**2 * taps
    return tokens * (ends + 4 * _vim_macs(HALF) + _vim_macs(WHOLE))  # the token block sees both halves


def _vim_macs(channels: int) -> int:
    """Per token: projections, convolutions, three per state and direction, skip and gate."""
    inner, rank = 2 * channels, -(-channels // 16)
    direction = inner * (TAPS + (rank + 2 * STATES) + rank + 3 * STATES + 1)
    return 3 * channels * inner + 2 * direction + inner
