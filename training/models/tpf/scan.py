"""The selective scan (tpf.md sections 3 and 3.1): a recurrence over tokens that trains at a usable speed.

    h_t = exp(d_t A) h_{t-1} + d_t B_t u_t        y_t = sum over n of C_t h_t + D u_t

per channel e and state n. Tokens are cut into chunks that are walked side by side, token by token; between
the chunks of a slice states are carried over in log-many steps, from slice to slice one after the other. A
slice is small enough for a core's cache, and only the states at the chunks' starts are kept for the way back,
so the tensor of all states (channels x states x tokens) never exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

SOFTPLUS_LIMIT = 20.0  # above it softplus(a) is a
CHUNK_TOKENS = 32
# State values in a slice. CPU: the four tensors of the way back, 4 MB each, stay near the core; GPU: large
# enough that arithmetic outweighs the launches.
SLICE_VALUES = {"cpu": 1 << 20, "cuda": 1 << 26}
LARGEST_SHARE = 8  # a slice holds at most this part of all states, so that four of its size are little


@dataclass(frozen=True)
class ScanPlan:
    """How a scan is cut up; the result does not depend on it but for rounding.

    chunk_tokens: walked one after the other. slice_chunks, slice_samples: walked side by side.
    """

    chunk_tokens: int
    slice_chunks: int
    slice_samples: int

    @property
    def slice_tokens(self) -> int:
        return self.chunk_tokens * self.slice_chunks


def plan_scan(samples: int, channels: int, states: int, tokens: int, device: torch.device) -> ScanPlan:
    """A plan for the sizes of a scan and the device it runs on."""
    chunk_tokens = min(CHUNK_TOKENS, tokens)
    per_chunk = channels * states * chunk_tokens
    values = SLICE_VALUES.get(device.type, SLICE_VALUES["cuda"])
    share = samples * channels * states * tokens // LARGEST_SHARE
    chunks = max(1, min(values, share) // per_chunk)
    needed = -(-tokens // chunk_tokens)
    return ScanPlan(chunk_tokens, min(chunks, needed), max(1, min(samples, chunks // needed)))


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    h0: Tensor | None = None,
    *,
    delta_softplus: bool = False,
    plan: ScanPlan | None = None,
) -> tuple[Tensor, Tensor]:
    """`y (b, E, L)` in the type of `u`, and the last state `(b, E, N)`; differentiable once, in all tensors.

    u, delta, z: `(b, E, L)`; A: `(E, N)`, negative; B, C: `(b, N, L)`; D, delta_bias: `(E,)`; h0:
    `(b, E, N)`. Left out: no skip, no gate SiLU(z), no bias, a start from zero. The step is delta plus bias,
    through softplus if asked. States are float32 whatever the inputs are, or float64 if they are that.
    """
    if plan is None:
        plan = plan_scan(u.shape[0], A.shape[0], A.shape[1], u.shape[2], u.device)
    with torch.autocast(u.device.type, enabled=False):
        return _SelectiveScan.apply(u, delta, A, B, C, D, z, delta_bias, h0, delta_softplus, plan)


@dataclass(frozen=True)
class _Place:
    """One slice: which samples, and which tokens."""

    samples: slice
    tokens: slice

    def of(self, tensor: Tensor) -> Tensor:
        return tensor[self.samples, :, self.tokens]


class _Scan:
    """The inputs of one scan and how they are cut up."""

    def __init__(self, u, delta, A, B, C, D, z, delta_bias, softplus: bool, plan: ScanPlan) -> None:
        self.dtype = torch.float64 if u.dtype is torch.float64 else torch.float32
        self.u, self.delta, self.B, self.C, self.z = u, delta, B, C, z
        self.A = A.to(self.dtype)
        self.D = None if D is None else D.to(self.dtype)
        self.bias = None if delta_bias is None else delta_bias.to(self.dtype)[:, None]
        self.softplus, self.plan = softplus, plan
        self.samples, self.channels, self.length = u.shape
        self.states = A.shape[1]

    def places(self) -> Iterator[tuple[slice, list[_Place]]]:
        """Groups of samples, and for each the slices from first to last token."""
        step = self.plan.slice_tokens
        for first in range(0, self.samples, self.plan.slice_samples):
            rows = slice(first, min(first + self.plan.slice_samples, self.samples))
            starts = range(0, self.length, step)
            yield rows, [_Place(rows, slice(s, min(s + step, self.length))) for s in starts]

    def chunks(self, place: _Place) -> slice:
        """The numbers of a slice's chunks, the last slice padded to its full length."""
        first = place.tokens.start // self.plan.chunk_tokens
        return slice(first, first + self.plan.slice_chunks)

    def chunk_starts(self) -> Tensor:
        """Room for the state before each chunk, `(b, E, N, chunks)`."""
        count = -(-self.length // self.plan.slice_tokens) * self.plan.slice_chunks
        return self.u.new_empty((self.samples, self.channels, self.states, count), dtype=self.dtype)

    def buffers(self, count: int) -> list[Tensor]:
        """Flat room for `count` tensors of a slice's states."""
        size = self.plan.slice_tokens * self.plan.slice_samples * self.channels * self.states
        return [self.u.new_empty(size, dtype=self.dtype) for _ in range(count)]

    def shaped(self, buffer: Tensor, place: _Place) -> Tensor:
        """A buffer as `[T, s, E, N, c]`: tokens of a chunk, samples, channels, states, chunks."""
        samples = place.samples.stop - place.samples.start
        plan = self.plan
        shape = (plan.chunk_tokens, samples, self.channels, self.states, plan.slice_chunks)
        return buffer[: samples * plan.slice_tokens * self.channels * self.states].view(shape)

    def pack(self, piece: Tensor) -> Tensor:
        """`(s, F, tokens)` of a slice to `[T, s, F, c]`, filled up with zeros."""
        missing = self.plan.slice_tokens - piece.shape[-1]
        piece = piece.to(self.dtype)
        if missing:
            piece = F.pad(piece, (0, missing))
        split = piece.reshape(*piece.shape[:2], self.plan.slice_chunks, self.plan.chunk_tokens)
        return split.permute(3, 0, 1, 2).contiguous()

    def unpack(self, packed: Tensor, place: _Place) -> Tensor:
        """The way back: `[T, s, F, c]` to `(s, F, tokens)`."""
        tokens = place.tokens.stop - place.tokens.start
        return packed.permute(1, 2, 3, 0).flatten(2)[..., :tokens]

    def raw_step(self, place: _Place) -> Tensor:
        """Step before the softplus, `(s, E, tokens)`."""
        raw = place.of(self.delta).to(self.dtype)
        return raw if self.bias is None else raw + self.bias

    def step(self, place: _Place) -> Tensor:
        """Step of a slice `[T, s, E, c]`; it is 0 where the slice is filled up, so states pass unchanged."""
        raw = self.raw_step(place)
        return self.pack(F.softplus(raw, threshold=SOFTPLUS_LIMIT) if self.softplus else raw)

    def decays(self, step: Tensor, out: Tensor) -> Tensor:
        """exp(d A) of every token `[T, s, E, N, c]`."""
        return torch.mul(step.unsqueeze(3), self.A.unsqueeze(-1), out=out).exp_()

    def chunk_decays(self, step: Tensor) -> Tensor:
        """exp(S A) over whole chunks `[s, E, N, c]`, S the summed steps."""
        return torch.mul(step.sum(0).unsqueeze(2), self.A.unsqueeze(-1)).exp_()


def _carry(decay: Tensor, end: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Chunk by chunk x_c = end_c + decay_c x_{c-1} from x_{-1} = start, by doubling.

    decay, end: `[s, E, N, c]`, start: `[s, E, N]`. Returns what enters each chunk, and the last x.
    """
    end = end.clone()
    end[..., 0] += decay[..., 0] * start
    step = 1
    while step < end.shape[-1]:
        later = torch.addcmul(end[..., step:], decay[..., step:], end[..., :-step])
        end = torch.cat((end[..., :step], later), dim=-1)
        decay = torch.cat((decay[..., :step], decay[..., step:] * decay[..., :-step]), dim=-1)
        step *= 2
    return torch.cat((start.unsqueeze(-1), end[..., :-1]), dim=-1), end[..., -1]


def _walk(decays: Tensor, inputs: Tensor, start: Tensor) -> None:
    """Turns the inputs of every token into its state, in place."""
    before = start
    for decay, state in zip(decays.unbind(0), inputs.unbind(0), strict=True):
        before = torch.addcmul(state, decay, before, out=state)


def _walk_end(decays: Tensor, inputs: Tensor) -> Tensor:
    """The state after the last token of each chunk, from zero."""
    end = inputs[0].clone()
    for decay, added in zip(decays[1:].unbind(0), inputs[1:].unbind(0), strict=True):
        torch.addcmul(added, decay, end, out=end)
    return end


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u, delta, A, B, C, D, z, delta_bias, h0, softplus, plan) -> tuple[Tensor, Tensor]:
        scan = _Scan(u, delta, A, B, C, D, z, delta_bias, softplus, plan)
        y = u.new_empty(u.shape)
        last = u.new_empty((scan.samples, scan.channels, scan.states), dtype=scan.dtype)
        starts = scan.chunk_starts()
        buffers = scan.buffers(2)
        for rows, places in scan.places():
            state = torch.zeros_like(last[rows]) if h0 is None else h0[rows].to(scan.dtype)
            for place in places:
                state = _forward_slice(scan, place, state, starts, y, buffers)
            last[rows] = state
        ctx.save_for_backward(u, delta, A, B, C, D, z, delta_bias, h0, starts)
        ctx.softplus, ctx.plan = softplus, plan
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_last: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, D, z, delta_bias, h0, starts = ctx.saved_tensors
        scan = _Scan(u, delta, A, B, C, D, z, delta_bias, ctx.softplus, ctx.plan)
        gradients = _Gradients(scan)
        adjoint_h0 = torch.empty_like(grad_last)
        for rows, places in scan.places():
            adjoint = grad_last[rows].to(scan.dtype)
            for place in reversed(places):
                adjoint = gradients.add_slice(place, adjoint, starts, grad_y)
            adjoint_h0[rows] = adjoint
        by_input = gradients.of_inputs([u, delta, A, B, C, D, z, delta_bias])
        return (*by_input, None if h0 is None else adjoint_h0.to(h0.dtype), None, None)


def _forward_slice(
    scan: _Scan, place: _Place, state: Tensor, starts: Tensor, y: Tensor, buffers: list[Tensor]
) -> Tensor:
    """Writes a slice of `y` and the states before its chunks; returns the state behind the slice."""
    decays, states = (scan.shaped(buffer, place) for buffer in buffers)
    step, u = scan.step(place), scan.pack(place.of(scan.u))
    scan.decays(step, out=decays)
    torch.mul((step * u).unsqueeze(3), scan.pack(place.of(scan.B)).unsqueeze(2), out=states)
    entering, behind = _carry(scan.chunk_decays(step), _walk_end(decays, states), state)
    _walk(decays, states, entering)
    starts[place.samples, ..., scan.chunks(place)] = entering
    read = torch.mul(states, scan.pack(place.of(scan.C)).unsqueeze(2), out=decays).sum(3)  # [T, s, E, c]
    if scan.D is not None:
        read = torch.addcmul(read, u, scan.D[:, None])
    piece = scan.unpack(read, place)
    if scan.z is not None:
        piece = piece * F.silu(place.of(scan.z).to(scan.dtype))
    place.of(y).copy_(piece)
    return behind


class _Gradients:
    """Gradients of all inputs, filled slice by slice from the last token to the first."""

    def __init__(self, scan: _Scan) -> None:
        self.scan = scan
        self.buffers = scan.buffers(4)
        self.u, self.delta, self.B, self.C = (
            torch.empty_like(t, memory_format=torch.contiguous_format)
            for t in (scan.u, scan.delta, scan.B, scan.C)
        )
        self.z = None if scan.z is None else torch.empty_like(scan.z, memory_format=torch.contiguous_format)
        self.A = torch.zeros_like(scan.A)
        self.D = scan.A.new_zeros(scan.channels)
        self.bias = scan.A.new_zeros(scan.channels)

    def of_inputs(self, inputs: list[Tensor | None]) -> list[Tensor | None]:
        """In the order and types of u, delta, A, B, C, D, z, delta_bias."""
        found = (self.u, self.delta, self.A, self.B, self.C, self.D, self.z, self.bias)
        return [
            None if tensor is None or gradient is None else gradient.to(tensor.dtype)
            for tensor, gradient in zip(inputs, found, strict=True)
        ]

    def add_slice(self, place: _Place, adjoint: Tensor, starts: Tensor, grad_y: Tensor) -> Tensor:
        """adjoint: of the state behind the slice; returns that of the state before it."""
        scan = self.scan
        decays, states, adjoints, product = (scan.shaped(buffer, place) for buffer in self.buffers)
        step, u, B, C = scan.step(place), *(scan.pack(place.of(t)) for t in (scan.u, scan.B, scan.C))
        driven = step * u
        entering = starts[place.samples, ..., scan.chunks(place)]
        scan.decays(step, out=decays)
        torch.mul(driven.unsqueeze(3), B.unsqueeze(2), out=states)
        _walk(decays, states, entering)
        slope = self._through_gate(place, grad_y, states, u, C, product)  # [T, s, E, c]

        torch.mul(slope.unsqueeze(3), C.unsqueeze(2), out=adjoints)
        adjoint = _walk_back(decays, adjoints, scan.chunk_decays(step), adjoint)
        self._write("C", place, torch.mul(states, slope.unsqueeze(3), out=product).sum(2))
        self._write("B", place, torch.mul(adjoints, driven.unsqueeze(3), out=product).sum(2))
        by_input = torch.mul(adjoints, B.unsqueeze(2), out=product).sum(3)  # [T, s, E, c]
        # Along the exponent of the decay: adjoint * decay * state before, the decays no longer being needed.
        decays[1:] *= states[:-1]
        decays[0] *= entering
        adjoints *= decays
        by_step = torch.mul(adjoints, scan.A.unsqueeze(-1), out=product).sum(3)
        by_step.addcmul_(u, by_input)
        self.A += adjoints.mul_(step.unsqueeze(3)).sum((0, 1, 4))

        by_u = step * by_input
        if scan.D is not None:
            by_u.addcmul_(slope, scan.D[:, None])
            self.D += (slope * u).sum((0, 1, 3))
        self._write("u", place, by_u)
        by_step = scan.unpack(by_step, place)
        if scan.softplus:
            by_step = by_step * scan.raw_step(place).sigmoid()
        self.bias += by_step.sum((0, 2))
        place.of(self.delta).copy_(by_step)
        return adjoint

    def _through_gate(
        self, place: _Place, grad_y: Tensor, states: Tensor, u: Tensor, C: Tensor, product: Tensor
    ) -> Tensor:
        """Gradient before the gate, packed; fills that of the gate."""
        scan = self.scan
        slope = place.of(grad_y).to(scan.dtype)
        if scan.z is None or self.z is None:
            return scan.pack(slope)
        read = torch.mul(states, C.unsqueeze(2), out=product).sum(3)
        if scan.D is not None:
            read = torch.addcmul(read, u, scan.D[:, None])
        z = place.of(scan.z).to(scan.dtype)
        open_part = z.sigmoid()
        place.of(self.z).copy_(slope * scan.unpack(read, place) * open_part * (1 + z * (1 - open_part)))
        return scan.pack(slope * z * open_part)

    def _write(self, name: str, place: _Place, packed: Tensor) -> None:
        place.of(getattr(self, name)).copy_(self.scan.unpack(packed, place))


def _walk_back(decays: Tensor, adjoints: Tensor, chunk_decays: Tensor, adjoint: Tensor) -> Tensor:
    """Turns what reaches each state from its own token into its whole adjoint, in place.

    adjoint: of the state behind the slice `[s, E, N]`; returns that of the state before it.
    """
    # What leaves chunk c to the left is first decay * first adjoint; carry it through the chunks mirrored.
    end = adjoints[-1].clone()
    for t in range(len(adjoints) - 2, -1, -1):
        torch.addcmul(adjoints[t], decays[t + 1], end, out=end)
    end *= decays[0]
    entering, before = _carry(chunk_decays.flip(-1), end.flip(-1), adjoint)
    adjoints[-1] += entering.flip(-1)
    for t in range(len(adjoints) - 2, -1, -1):
        torch.addcmul(adjoints[t], decays[t + 1], adjoints[t + 1], out=adjoints[t])
    return before


def scan_stepwise(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    h0: Tensor | None = None,
    *,
    delta_softplus: bool = False,
) -> tuple[Tensor, Tensor]:
    """The recurrence as it is written, token by token: the reference for `selective_scan`, far slower."""
    step = delta if delta_bias is None else delta + delta_bias[:, None]
    if delta_softplus:
        step = F.softplus(step, threshold=SOFTPLUS_LIMIT)
    state = u.new_zeros((u.shape[0], *A.shape)) if h0 is None else h0
    outputs = []
    # unbind, since taking token by token would cost the way back a whole tensor each.
    for d, u_t, b, c in zip(*(t.unbind(-1) for t in (step, u, B, C)), strict=True):
        d = d.unsqueeze(-1)
        state = torch.exp(d * A) * state + d * b.unsqueeze(1) * u_t.unsqueeze(-1)
        outputs.append((state * c.unsqueeze(1)).sum(-1))
    y = torch.stack(outputs, dim=-1)
    if D is not None:
        y = y + D[:, None] * u
    return (y if z is None else y * F.silu(z)), state
