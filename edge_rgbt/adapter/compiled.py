"""The adapter on a CPU: the compiled loops of `kernels.py` in the order of tpf.md section 2.1, on threads.

The work is a row of stages whose tasks do not depend on each other: the two modalities, the two directions
of a block, halves of the tokens. Two threads are busy throughout, four during the modality blocks.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from edge_rgbt.adapter import kernels
from edge_rgbt.adapter.base import Adapter
from edge_rgbt.adapter.layout import BLOCKS, DIRECTIONS, HALF, WHOLE, Variant
from edge_rgbt.adapter.specification import decay_rates
from edge_rgbt.adapter.weights import AdapterWeights
from edge_rgbt.engine.base import EngineInfo

Task = Callable[[], object]


class CompiledAdapter(Adapter):
    """A variant with a network. Crop sides must be multiples of its stride."""

    def __init__(self, weights: AdapterWeights, threads: int) -> None:
        self._variant = weights.variant
        self._blocks = {
            name: _Block(weights.part(name), channels, self._variant.tied_decay)
            for name, channels in BLOCKS.items()
        }
        # Pixels stay 0..255; the division by 255 is in the first weights.
        self._low = [_Convolution(weights.part(f"low_{m}"), 1 / 255) for m in ("rgb", "tir")]
        self._decoder = _Convolution(weights.part("decoder"))
        self._memory: dict[tuple[int, ...], _Memory] = {}
        self._pool = ThreadPoolExecutor(threads, "adapter") if threads > 1 else None
        device = f"CPU ({platform.machine()})"
        self.info = EngineInfo("numba", kernels.NUMBA_VERSION, "fp32", device, threads)
        # Compiles, or loads what was compiled before, here and not in the first frame.
        tiny = np.zeros((1, 2 * self._variant.stride, 2 * self._variant.stride, 3), np.uint8)
        self.fuse(tiny, tiny)

    def fuse(self, rgb: np.ndarray, tir: np.ndarray) -> np.ndarray:
        fused = np.empty(rgb.shape, np.float32)
        for i in range(len(rgb)):
            fused[i] = self._fuse_pair(rgb[i], tir[i])
        return fused

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._memory.clear()

    def _fuse_pair(self, rgb: np.ndarray, tir: np.ndarray) -> np.ndarray:
        """The fused image; the next pair of this size may use its memory."""
        size = rgb.shape[:2]
        if size not in self._memory:
            self._memory[size] = _Memory(size[0], size[1], self._variant)
        m = self._memory[size]
        length, block = m.length, self._blocks
        whole, halves = (0, length), ((0, length // 2), (length // 2, length))
        rgb_y, tir_y = m.of_modality[:2], m.of_modality[2:]
        self._run(
            partial(self._low[i].extract, image, m.pixels[i], m.low[i], self._variant.stride)
            for i, image in enumerate((rgb, tir))
        )
        self._run(
            [*block["vim_rgb"].directions(m.low[0], rgb_y), *block["vim_tir"].directions(m.low[1], tir_y)]
        )
        # Swap and token join: RGB tokens lie before TIR tokens; the first half of the channels changes sides.
        channels = np.arange(HALF)
        swapped = np.where(channels < HALF // 2, length, 0)
        self._run(
            [
                block["vim_rgb"].finish(m.low[0], rgb_y, whole, m.joined, channels, swapped),
                block["vim_tir"].finish(m.low[1], tir_y, whole, m.joined, channels, length - swapped),
            ]
        )
        self._run(block["vim_token"].directions(m.joined, m.of_token))
        # Channel join: RGB tokens become channels 0..7, TIR tokens channels 8..15 of the same pixels.
        self._run(
            block["vim_token"].finish(
                m.joined, m.of_token, span, m.both, channels + row, np.full(HALF, -span[0])
            )
            for row, span in ((0, whole), (HALF, (length, 2 * length)))
        )
        self._run(block["vim_channel"].directions(m.both, m.of_channel))
        straight = np.arange(WHOLE), np.zeros(WHOLE, np.int64)
        self._run(
            block["vim_channel"].finish(m.both, m.of_channel, span, m.merged, *straight) for span in halves
        )
        m.pad_merged()
        self._run(self._decoder.rows(m.padded, m.decoded))
        return m.image()

    def _run(self, tasks: Iterable[Task]) -> None:
        """Every task, side by side where there are threads; what one raises is raised here."""
        if self._pool is None:
            for task in tasks:
                task()
        else:
            for running in [self._pool.submit(task) for task in tasks]:
                running.result()


class _Block:
    """One ViM block: its weights as the kernels want them, its work as tasks."""

    def __init__(self, w: dict[str, np.ndarray], channels: int, tied: bool) -> None:
        inner = 2 * channels
        projection = w["in_proj.weight"] * w["norm.weight"]
        self._value, self._gate = _plain(projection[:inner]), _plain(projection[inner:])
        self._out = _plain(w["out_proj.weight"])
        self._directions = []
        for name in DIRECTIONS:
            taps = np.column_stack([w[f"{name}.conv1d.weight"][:, 0], w[f"{name}.conv1d.bias"]])
            step = w[f"{name}.dt_proj.weight"][:, 0], w[f"{name}.dt_proj.bias"]
            rates = decay_rates(w[f"{name}.A_log"].astype(np.float64)).T * np.log2(np.e)
            parts = (self._value, taps, w[f"{name}.x_proj.weight"], *step, rates, w[f"{name}.D"])
            self._directions.append((name == "bwd", tied, *map(_plain, parts)))

    def directions(self, x: np.ndarray, y: np.ndarray) -> list[Task]:
        """Both directions of tokens x `[D, L]` into y `[2, E, L]`."""
        return [partial(kernels.direction, x, y[i], *weights) for i, weights in enumerate(self._directions)]

    def finish(
        self,
        x: np.ndarray,
        y: np.ndarray,
        span: tuple[int, int],
        target: np.ndarray,
        rows: np.ndarray,
        shift: np.ndarray,
    ) -> Task:
        """The block's result for the tokens of `span`, placed in `target` as `kernels.finish` says."""
        return partial(kernels.finish, x, y[0], y[1], *span, self._gate, self._out, target, rows, shift)


class _Convolution:
    """One of the convolutions at the ends."""

    def __init__(self, w: dict[str, np.ndarray], scale: float = 1.0) -> None:
        self._weight, self._bias = _plain(w["weight"] * np.float32(scale)), _plain(w["bias"])
        self.margin = w["weight"].shape[-1] // 2

    def extract(self, image: np.ndarray, padded: np.ndarray, low: np.ndarray, stride: int) -> None:
        """uint8 `[H, W, 3]` to tokens `[8, L]` by way of the padded planes."""
        p, (height, width, _) = self.margin, image.shape
        padded[:, p : p + height, p : p + width] = image.transpose(2, 0, 1)
        out = low.reshape(-1, height // stride, width // stride)
        kernels.convolve(padded, self._weight, self._bias, stride, out, 0, out.shape[1], False)

    def rows(self, padded: np.ndarray, out: np.ndarray) -> list[Task]:
        """Upper and lower half of the decoder's result, through the logistic function."""
        middle = out.shape[1] // 2
        fixed = (kernels.convolve, padded, self._weight, self._bias, 1, out)
        return [partial(*fixed, 0, middle, True), partial(*fixed, middle, out.shape[1], True)]


class _Memory:
    """The arrays of one crop size, used again for every pair: 350 bytes per token.

    Token arrays of equal size share memory: each stage reads one and writes the other.
    """

    def __init__(self, height: int, width: int, variant: Variant) -> None:
        s, p = variant.stride, variant.kernel // 2
        if height % s or width % s:
            raise ValueError(f"crop of {height}x{width} pixels, the adapter takes multiples of {s}")
        h, w = height // s, width // s
        n = self.length = h * w
        a, b = np.empty((2, WHOLE * n), np.float32)
        self.low, self.both = a.reshape(2, HALF, n), a.reshape(WHOLE, n)
        self.joined, self.merged = b.reshape(HALF, 2 * n), b.reshape(WHOLE, n)
        y = np.empty(64 * n, np.float32)
        self.of_modality = y.reshape(4, 2 * HALF, n)  # RGB forward, backward, TIR forward, backward
        self.of_token = y.reshape(2, 2 * HALF, 2 * n)
        self.of_channel = y.reshape(2, 2 * WHOLE, n)
        self.pixels = np.zeros((2, 3, height + 2 * p, width + 2 * p), np.float32)
        self.padded = np.zeros((WHOLE, h + 2 * p, w + 2 * p), np.float32)
        self.decoded = np.empty((3 * s * s, h, w), np.float32)
        self._inside = self.padded[:, p : p + h, p : p + w]
        self._stride = s

    def pad_merged(self) -> None:
        """The channel block's tokens as planes with zeros around them."""
        self._inside[:] = self.merged.reshape(self._inside.shape)

    def image(self) -> np.ndarray:
        """The decoded planes as `[H, W, 3]`, pixels shuffled back where there was a stride."""
        s, (_, h, w) = self._stride, self.decoded.shape
        split = self.decoded.reshape(3, s, s, h, w)
        return split.transpose(3, 1, 4, 2, 0).reshape(h * s, w * s, 3)


def _plain(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)
