"""The bidirectional ViM block (tpf.md section 3); parameter names are those of section 2.3."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.tpf.scan import selective_scan

STATES = 16  # N
TAPS = 4  # K, width of the causal convolution
NORM_EPS = 1e-5
STEP_RANGE = (0.001, 0.1)  # of the steps that the biases start with
SMALLEST_STEP = 1e-4


class ScanInputs(NamedTuple):
    """What a direction feeds to its scan: u, delta (before its bias) `[b, E, L]`, B, C `[b, N, L]`."""

    u: Tensor
    delta: Tensor
    B: Tensor
    C: Tensor


class Direction(nn.Module):
    """What belongs to one reading direction: causal convolution, data-dependent scan, skip.

    tied_decay: the decays of a channel are powers of one, `A[e, n] = -(n + 1) exp(A_log[e])`.
    """

    def __init__(self, inner: int, rank: int, tied_decay: bool = False) -> None:
        super().__init__()
        self.rank = rank
        self.conv1d = nn.Conv1d(inner, inner, TAPS, groups=inner)
        self.x_proj = nn.Linear(inner, rank + 2 * STATES, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        rates = torch.arange(1, STATES + 1, dtype=torch.float32).log()
        self.A_log = nn.Parameter(torch.zeros(inner) if tied_decay else rates.repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            self.dt_proj.bias.copy_(_step_biases(inner))

    def forward(self, v: Tensor) -> Tensor:
        """`[b, E, L]` in this direction's own order to `[b, E, L]`, after the skip, before the gate."""
        # Float32 throughout: 16 or 32 channels cost little, and small steps need the digits.
        with torch.autocast(v.device.type, enabled=False):
            if v.dtype is not torch.float64:
                v = v.float()
            u, delta, B, C = self.scan_inputs(v)
            y, _ = selective_scan(
                u, delta, self.decay(), B, C, self.D, delta_bias=self.dt_proj.bias, delta_softplus=True
            )
        return y

    def scan_inputs(self, v: Tensor) -> ScanInputs:
        """Convolution, SiLU and the projections of `[b, E, L]`."""
        u = F.silu(self.conv1d(F.pad(v, (TAPS - 1, 0))))
        step, B, C = torch.matmul(self.x_proj.weight, u).split((self.rank, STATES, STATES), dim=1)
        return ScanInputs(u, torch.matmul(self.dt_proj.weight, step), B, C)

    def decay(self) -> Tensor:
        """A `[E, N]`, negative."""
        if self.A_log.dim() == 2:
            return -torch.exp(self.A_log)
        powers = torch.arange(1, STATES + 1, dtype=self.A_log.dtype, device=self.A_log.device)
        return -torch.exp(self.A_log)[:, None] * powers


class Vim(nn.Module):
    """Pre-norm residual block over tokens `[b, L, D]`: two directions share the projections and the gate."""

    def __init__(self, channels: int, tied_decay: bool = False) -> None:
        super().__init__()
        inner, rank = 2 * channels, -(-channels // 16)
        self.norm = nn.RMSNorm(channels, eps=NORM_EPS)
        self.in_proj = nn.Linear(channels, 2 * inner, bias=False)
        self.fwd = Direction(inner, rank, tied_decay)
        self.bwd = Direction(inner, rank, tied_decay)
        self.out_proj = nn.Linear(inner, channels, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm(tokens.to(self.norm.weight.dtype))
        v, z = self.in_proj(normed).transpose(1, 2).chunk(2, dim=1)  # [b, E, L] each
        both = self.fwd(v) + self.bwd(v.flip(-1)).flip(-1)
        gated = F.silu(z) * both.to(z.dtype) / 2
        return tokens + self.out_proj(gated.transpose(1, 2))


def _step_biases(count: int) -> Tensor:
    """Biases whose softplus is log-uniform in STEP_RANGE."""
    low, high = map(math.log, STEP_RANGE)
    step = torch.exp(low + torch.rand(count) * (high - low)).clamp(min=SMALLEST_STEP)
    return step + torch.log(-torch.expm1(-step))
