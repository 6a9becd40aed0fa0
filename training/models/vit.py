"""One branch of the tracker: a plain ViT over template and search tokens together (ckd.md section 3).

Parameter names are those of the published checkpoints, so state dicts load without renaming.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-6
PUBLISHED_TABLE = 197  # 14 x 14 patches and a class token of the ImageNet model the branches descend from


@dataclass(frozen=True)
class VitConfig:
    """Sizes of one branch; the defaults are the published ViT-B/16.

    stem: `linear` is the published single convolution, `conv` a stack of strided 3x3 convolutions that learns
    faster from nothing. drop_path: stochastic depth of the last block, growing linearly from 0 at the first.
    unused_tables: keep `cls_token` and `pos_embed`, which the published layout carries and never uses.
    """

    embed_dim: int = 768
    depth: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    patch_size: int = 16
    stem: Literal["linear", "conv"] = "linear"
    template_size: int = 128
    search_size: int = 256
    drop_path: float = 0.1
    unused_tables: bool = True

    def __post_init__(self) -> None:
        if self.stem not in ("linear", "conv"):
            raise ValueError(f"stem is {self.stem!r}, expected 'linear' or 'conv'")
        if self.embed_dim % self.heads or self.embed_dim % 4:
            raise ValueError(f"embed_dim {self.embed_dim} must be a multiple of heads {self.heads} and of 4")
        if self.stem == "conv" and (self.patch_size < 2 or self.patch_size & (self.patch_size - 1)):
            raise ValueError(f"patch_size {self.patch_size} must be a power of two for the conv stem")
        for name in ("template_size", "search_size"):
            if getattr(self, name) % self.patch_size:
                raise ValueError(f"{name} {getattr(self, name)} is not a multiple of patch {self.patch_size}")

    @property
    def template_side(self) -> int:
        """Template tokens along one axis."""
        return self.template_size // self.patch_size

    @property
    def search_side(self) -> int:
        """Search tokens along one axis."""
        return self.search_size // self.patch_size

    @property
    def template_tokens(self) -> int:
        return self.template_side**2

    @property
    def search_tokens(self) -> int:
        return self.search_side**2


class LinearStem(nn.Module):
    """Patch embedding by one convolution with kernel = stride = patch."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.embed_dim, config.patch_size, config.patch_size)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images)


class ConvStem(nn.Module):
    """Patch embedding by log2(patch) strided 3x3 convolutions, BatchNorm and ReLU between."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        steps = config.patch_size.bit_length() - 1
        layers: list[nn.Module] = []
        width_in = 3
        for step in range(steps - 1):
            width = max(8, config.embed_dim >> (steps - 1 - step))
            layers += [nn.Conv2d(width_in, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            width_in = width
        self.layers = nn.Sequential(*layers)
        self.proj = nn.Conv2d(width_in, config.embed_dim, 3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(self.layers(images))


class Attention(nn.Module):
    """Multi-head self-attention over all tokens; qkv is one linear: all q, then k, then v, head-major.

    explicit: spell the softmax out instead of calling the fused kernel (what the exporter needs).
    scale: factor on q; None once it has been folded into the weights.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale: float | None = (dim // heads) ** -0.5
        self.explicit = False
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, queries: Sequence[int] = ()) -> tuple[Tensor, Tensor | None]:
        """The attended tokens and, if asked, the attention weights of some query tokens `[B, H, Q, N]`."""
        count, dim = tokens.shape[1:]
        head_dim = dim // self.heads
        qkv = self.qkv(tokens)
        if torch.is_grad_enabled() and qkv.dtype is torch.bfloat16 and qkv.device.type == "cpu":
            out, q, k = self._attend_bfloat16(qkv.view(-1, count, 3, self.heads, head_dim))
        else:
            q, k, v = (
                part.view(-1, count, self.heads, head_dim).transpose(1, 2) for part in qkv.split(dim, dim=-1)
            )
            if self.explicit:
                out = torch.matmul(torch.matmul(self._scaled(q), k.transpose(-2, -1)).softmax(dim=-1), v)
            else:
                scale = 1.0 if self.scale is None else self.scale
                out = F.scaled_dot_product_attention(q, k, v, scale=scale)
        rows = self._rows(q, k, queries) if queries else None
        return self.proj(out.transpose(1, 2).reshape(-1, count, dim)), rows

    def _attend_bfloat16(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # The fused kernel's backward pass on a CPU in bfloat16 takes 1.3 to 2 times as long as these products
        # (320 tokens, heads of 32 and 64, one core with AMX).
        q, k, v = qkv.permute(2, 0, 3, 1, 4).contiguous().unbind(0)
        with torch.autocast(qkv.device.type, enabled=False):  # it would raise the softmax to float32
            return torch.matmul(torch.matmul(self._scaled(q), k.transpose(-2, -1)).softmax(dim=-1), v), q, k

    def _scaled(self, q: Tensor) -> Tensor:
        return q if self.scale is None else q * self.scale

    def _rows(self, q: Tensor, k: Tensor, queries: Sequence[int]) -> Tensor:
        # Computed apart from the main product: few rows, and the fused attention stays fused.
        first, last = queries[0], queries[-1]
        contiguous = last - first + 1 == len(queries)
        q = q[:, :, first : last + 1] if contiguous else q[:, :, list(queries)]
        return torch.matmul(self._scaled(q), k.transpose(-2, -1)).softmax(dim=-1)


class Mlp(nn.Module):
    """Two linear layers with the exact (erf) GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """A pre-norm transformer block in two halves, since elimination happens between them."""

    def __init__(self, config: VitConfig, drop_path: float) -> None:
        super().__init__()
        dim = config.embed_dim
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(dim, config.heads)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, int(dim * config.mlp_ratio))

    def forward(self, tokens: Tensor) -> Tensor:
        """Both halves, where nothing happens between them."""
        return self.feed_forward(self.attend(tokens)[0])

    def attend(self, tokens: Tensor, queries: Sequence[int] = ()) -> tuple[Tensor, Tensor | None]:
        """First half, with the attention weights of `queries` if any are named."""
        update, rows = self.attn(self.norm1(tokens), queries)
        return tokens + self._drop(update), rows

    def feed_forward(self, tokens: Tensor) -> Tensor:
        """Second half."""
        return tokens + self._drop(self.mlp(self.norm2(tokens)))

    def _drop(self, update: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0.0:
            return update
        keep = 1.0 - self.drop_path
        dice = torch.rand((update.shape[0], 1, 1), device=update.device) < keep
        return update * (dice.to(update.dtype) / keep)


class Vit(nn.Module):
    """A branch with its own weights. `branches.run_branches` drives it layer by layer."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.embed_dim
        if config.unused_tables:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
            self.pos_embed = nn.Parameter(torch.zeros(1, PUBLISHED_TABLE, dim))
        self.pos_embed_z = nn.Parameter(sincos_table(config.template_side, dim))
        self.pos_embed_x = nn.Parameter(sincos_table(config.search_side, dim))
        self.patch_embed = LinearStem(config) if config.stem == "linear" else ConvStem(config)
        last = max(config.depth - 1, 1)
        self.blocks = nn.ModuleList(Block(config, config.drop_path * i / last) for i in range(config.depth))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.apply(initialise_layer)

    def block(self, layer: int) -> Block:
        """One block; the first is 0."""
        return cast(Block, self.blocks[layer])

    def embed(self, template: Tensor, search: Tensor, mask_keep: Tensor | None = None) -> Tensor:
        """Normalised pictures `[B, 3, H, W]` to tokens `[B, Nz + Nx, C]`, template first, raster order.

        mask_keep: bool `[B, Nx]`; False zeroes a search token before its position is added.
        """
        z = self.patch_embed(template).flatten(2).transpose(1, 2)
        x = self.patch_embed(search).flatten(2).transpose(1, 2)
        if mask_keep is not None:
            x = x * mask_keep.unsqueeze(-1).to(x.dtype)
        return torch.cat((z + self.pos_embed_z, x + self.pos_embed_x), dim=1)


def sincos_table(side: int, dim: int) -> Tensor:
    """Start values of a position table `[1, side^2, dim]`: sines and cosines of the place from the centre.

    Template and search crops have the same scale and centre, so equal places get equal values in both tables.
    """
    place = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    rate = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    angle = place[:, None] * rate
    axis = torch.cat((angle.sin(), angle.cos()), dim=1)  # [side, dim / 2]
    rows = axis[:, None].expand(side, side, -1)
    columns = axis[None].expand(side, side, -1)
    return torch.cat((columns, rows), dim=-1).reshape(1, side * side, dim).float()


def initialise_layer(module: nn.Module) -> None:
    """Start values of a linear or convolution layer; for `Module.apply`."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_in = math.prod(module.weight.shape[1:])
        nn.init.trunc_normal_(module.weight, std=fan_in**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
