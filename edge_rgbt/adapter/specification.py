"""The pixel-fusion adapter in plain numpy: what every other form of it is measured against.

Formulas and names: tpf.md sections 2 and 3, variants section 14. Clear rather than fast. Computes in the
dtype that it is asked for, so float64 shows what float32 costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edge_rgbt.adapter.layout import HALF, STATES
from edge_rgbt.adapter.weights import AdapterWeights

EPSILON = 1e-5  # RMS norm
LINEAR_FROM = 20.0  # softplus(a) is a from here on

Weights = Mapping[str, np.ndarray]


def fuse(rgb: np.ndarray, tir: np.ndarray, adapter: AdapterWeights, dtype: type = np.float32) -> np.ndarray:
    """The fused image `[H, W, 3]` in 0..1 of two registered uint8 crops `[H, W, 3]`."""
    return stages(rgb, tir, adapter, dtype)["fused"]


def stages(
    rgb: np.ndarray, tir: np.ndarray, adapter: AdapterWeights, dtype: type = np.float32
) -> dict[str, np.ndarray]:
    """Every intermediate result by its name in tpf.md section 2.1: tokens `[L, D]`, `fused` `[H, W, 3]`."""
    variant = adapter.variant
    images = {"rgb": rgb.astype(dtype) / dtype(255), "tir": tir.astype(dtype) / dtype(255)}
    if not variant.network:
        return {"fused": (images["rgb"] + images["tir"]) / 2}
    w = {name: value.astype(dtype) for name, value in adapter.tensors.items()}
    out: dict[str, np.ndarray] = {}
    for m, image in images.items():
        low = convolve(image, w[f"low_{m}.weight"], w[f"low_{m}.bias"], variant.stride)
        out[f"low_{m}"] = low.reshape(-1, HALF)
        out[f"vim_{m}"] = vim_block(out[f"low_{m}"], _part(w, f"vim_{m}"))
    swapped = np.arange(HALF) < HALF // 2
    out["swap_rgb"] = np.where(swapped, out["vim_tir"], out["vim_rgb"])
    out["swap_tir"] = np.where(swapped, out["vim_rgb"], out["vim_tir"])
    joined = np.concatenate([out["swap_rgb"], out["swap_tir"]])  # [2L, 8], RGB first
    out["token"] = vim_block(joined, _part(w, "vim_token"))
    side_by_side = np.concatenate(np.split(out["token"], 2), axis=1)  # [L, 16], RGB first
    out["channel"] = vim_block(side_by_side, _part(w, "vim_channel"))
    grid = (rgb.shape[0] // variant.stride, rgb.shape[1] // variant.stride)
    decoded = convolve(out["channel"].reshape(*grid, -1), w["decoder.weight"], w["decoder.bias"])
    out["fused"] = sigmoid(pixel_shuffle(decoded, variant.stride))
    return out


def vim_block(x: np.ndarray, w: Weights) -> np.ndarray:
    """One bidirectional ViM block on tokens `[L, D]`, residual included."""
    normed = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + x.dtype.type(EPSILON)) * w["norm.weight"]
    v, z = np.split(normed @ w["in_proj.weight"].T, 2, axis=1)  # [L, E] each
    forward = directed(v, _part(w, "fwd"))
    backward = directed(v[::-1], _part(w, "bwd"))[::-1]
    return x + (silu(z) * (forward + backward) / 2) @ w["out_proj.weight"].T


def directed(v: np.ndarray, w: Weights) -> np.ndarray:
    """One direction of a block in its own order: convolution, parameters, scan; `[L, E]` to `[L, E]`."""
    taps = w["conv1d.weight"][:, 0].T  # [K, E]
    past = np.concatenate([np.zeros((len(taps) - 1, v.shape[1]), v.dtype), v])
    u = silu(sum(tap * past[k : k + len(v)] for k, tap in enumerate(taps)) + w["conv1d.bias"])
    rank = w["dt_proj.weight"].shape[1]
    step, B, C = np.split(u @ w["x_proj.weight"].T, [rank, rank + STATES], axis=1)
    delta = softplus(step @ w["dt_proj.weight"].T + w["dt_proj.bias"])
    return selective_scan(u, delta, decay_rates(w["A_log"]), B, C)[0] + w["D"] * u


def decay_rates(log_rates: np.ndarray) -> np.ndarray:
    """`A [E, N]`, negative; from tied logarithms `[E]` the multiples -(n+1) exp(a)."""
    if log_rates.ndim == 2:
        return -np.exp(log_rates)
    return -np.exp(log_rates)[:, None] * np.arange(1, STATES + 1, dtype=log_rates.dtype)


def selective_scan(
    u: np.ndarray,
    delta: np.ndarray,
    A: np.ndarray,
    B: np.ndarray,
    C: np.ndarray,
    start: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs `[L, E]` and last state `[E, N]` of the recurrence of tpf.md section 3, without skip and gate.

    u, delta `[L, E]`; A `[E, N]`; B, C `[L, N]`. About sqrt(L) chunks walk side by side (section 3.1): once
    from zero to learn each chunk's end, then from the right start.
    """
    length, channels = u.shape
    chunk = math.isqrt(length - 1) + 1
    steps, inputs, B, C = (_side_by_side(v, chunk) for v in (delta, delta * u, B, C))
    chunks = steps.shape[1]

    def advance(h: np.ndarray, t: int) -> np.ndarray:  # one token of every chunk: [chunks, E, N]
        return np.exp(steps[t, :, :, None] * A) * h + inputs[t, :, :, None] * B[t, :, None, :]

    ends = np.zeros((chunks, *A.shape), u.dtype)
    for t in range(chunk):
        ends = advance(ends, t)
    decays = np.exp(steps.sum(axis=0)[:, :, None] * A)
    h = np.zeros((chunks + 1, *A.shape), u.dtype)
    if start is not None:
        h[0] = start
    for c in range(chunks):
        h[c + 1] = decays[c] * h[c] + ends[c]
    last, h = h[-1], h[:-1]
    y = np.empty_like(steps)
    for t in range(chunk):
        h = advance(h, t)
        y[t] = np.einsum("cen,cn->ce", h, C[t])
    return y.swapaxes(0, 1).reshape(-1, channels)[:length], last


def _side_by_side(values: np.ndarray, chunk: int) -> np.ndarray:
    """`[L, X]` as `[chunk, chunks, X]`. Padding is zero, and a step of zero leaves the state as it is."""
    chunks = -(-len(values) // chunk)
    padded = np.zeros((chunks * chunk, values.shape[1]), values.dtype)
    padded[: len(values)] = values
    return padded.reshape(chunks, chunk, -1).swapaxes(0, 1)


def convolve(image: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int = 1) -> np.ndarray:
    """`[H, W, C]` by `[O, C, k, k]` to `[H / stride, W / stride, O]`; zeros around the image."""
    k = weight.shape[-1]
    margin = (k // 2, k // 2)
    padded = np.pad(image, (margin, margin, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (0, 1))[::stride, ::stride]
    return np.tensordot(windows, weight, axes=([2, 3, 4], [1, 2, 3])) + bias


def pixel_shuffle(image: np.ndarray, factor: int) -> np.ndarray:
    """`[H, W, C f f]` to `[H f, W f, C]`; the two small axes are row and column."""
    h, w, _ = image.shape
    split = image.reshape(h, w, -1, factor, factor)
    return split.transpose(0, 3, 1, 4, 2).reshape(h * factor, w * factor, -1)


def sigmoid(a: np.ndarray) -> np.ndarray:
    """Logistic function, without overflow on either side."""
    return 0.5 * (1 + np.tanh(0.5 * a))


def silu(a: np.ndarray) -> np.ndarray:
    """a / (1 + exp(-a))."""
    return a * sigmoid(a)


def softplus(a: np.ndarray) -> np.ndarray:
    """log(1 + exp(a)), and a itself where a > 20."""
    return np.where(a > LINEAR_FROM, a, np.log1p(np.exp(np.minimum(a, LINEAR_FROM))))


def _part(w: Weights, name: str) -> dict[str, np.ndarray]:
    start = f"{name}."
    return {key.removeprefix(start): value for key, value in w.items() if key.startswith(start)}
