"""Image fusion experts that the adapter learns from (tpf.md section 6): a built-in set, and ONNX files.

All work on luminance: theirs replaces that of the RGB crop, whose colours stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edge_rgbt.errors import UsageError

LUMINANCE = np.array((0.299, 0.587, 0.114), dtype=np.float32)  # of R, G, B


class Expert(Protocol):
    """A fusion method."""

    @property
    def name(self) -> str:
        """As it appears in logs and file names."""
        ...

    def merge(self, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        """Two luminances `[H, W]` float32 in 0..1 to one, about in 0..1."""
        ...

    def fuse(self, rgb: np.ndarray, tir: np.ndarray) -> np.ndarray:
        """Registered uint8 crops `[H, W, 3]` to one picture `[3, H, W]`, float32 in 0..1, RGB order."""
        ...


@dataclass(frozen=True)
class SyntheticExpert:
    """One of the built-in rules. rule: two luminances `[H, W]` float32 in 0..1 to one."""

    name: str
    rule: Callable[..., np.ndarray]

    def merge(self, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        return self.rule(visible, thermal)

    def fuse(self, rgb: np.ndarray, tir: np.ndarray) -> np.ndarray:
        return with_luminance(rgb, self.merge(luminance(rgb), luminance(tir)))


def luminance(picture: np.ndarray) -> np.ndarray:
    """Y `[H, W]` float32 in 0..1 of a uint8 picture `[H, W, 3]`."""
    return picture.astype(np.float32) @ (LUMINANCE / 255)


def with_luminance(rgb: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """The picture with its Y replaced and its Cb, Cr kept, `[3, H, W]` float32, cut off at 0 and 1."""
    # R, G and B are each Y plus a multiple of Cb and Cr, so all three move with Y.
    moved = rgb.astype(np.float32) / 255 + (fused - luminance(rgb))[..., None]
    return np.ascontiguousarray(moved.clip(0, 1).transpose(2, 0, 1), dtype=np.float32)


def _mean(visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    return (visible + thermal) / 2


def _laplacian(visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """Two levels of detail, of each the stronger at every place, over the mean of what remains."""
    details = []
    for _ in range(2):
        smaller = cv2.pyrDown(visible), cv2.pyrDown(thermal)
        size = (visible.shape[1], visible.shape[0])
        fine = [
            full - cv2.pyrUp(low, dstsize=size) for full, low in zip((visible, thermal), smaller, strict=True)
        ]
        details.append(np.where(np.abs(fine[0]) >= np.abs(fine[1]), fine[0], fine[1]))
        visible, thermal = smaller
    fused = (visible + thermal) / 2
    for detail in reversed(details):
        fused = cv2.pyrUp(fused, dstsize=(detail.shape[1], detail.shape[0])) + detail
    return fused


def synthetic_experts() -> tuple[Expert, ...]:
    """The set that needs no third-party weights."""
    return (
        SyntheticExpert("maximum", np.maximum),
        SyntheticExpert("mean", _mean),
        SyntheticExpert("laplacian", _laplacian),
    )


@dataclass(frozen=True)
class OnnxExpertSettings:
    """A fusion network as an ONNX file: two inputs `[1, 1, H, W]` (visible, thermal), one output alike.

    signed: its luminances lie in -1..1 (Diff-IF), not 0..1. stretch: spread each output over 0..1 (CDDFuse).
    """

    name: str
    file: str
    signed: bool = False
    stretch: bool = False


class OnnxExpert:
    """A network from a file, on the CPU."""

    def __init__(self, settings: OnnxExpertSettings, threads: int = 1) -> None:
        """Raises UsageError, one line, if the file is missing or not such a network."""
        import onnxruntime as ort

        self.name, self.settings = settings.name, settings
        path = Path(settings.file)
        if not path.is_file():
            raise UsageError(f"expert {settings.name}: {path} does not exist; give its ONNX file")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library raises a dozen types of its own, all derived from Exception
            reason = str(error).strip().splitlines()[0][:120]
            raise UsageError(f"expert {settings.name}: {path} is no ONNX network ({reason})") from None
        self._inputs = [node.name for node in self._session.get_inputs()]
        outputs = len(self._session.get_outputs())
        if len(self._inputs) != 2 or outputs != 1:
            raise UsageError(
                f"expert {settings.name}: {path} has {len(self._inputs)} inputs and {outputs} outputs, "
                "expected luminances of visible and thermal in, one out"
            )

    def fuse(self, rgb: np.ndarray, tir: np.ndarray) -> np.ndarray:
        """As `Expert.fuse`. Raises UsageError as `merge` does."""
        return with_luminance(rgb, self.merge(luminance(rgb), luminance(tir)))

    def merge(self, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        """As `Expert.merge`. Raises UsageError if the network cannot take the crops' size."""
        feeds: Mapping[str, np.ndarray] = {
            name: self._enter(image) for name, image in zip(self._inputs, (visible, thermal), strict=True)
        }
        try:
            fused = np.asarray(self._session.run(None, feeds)[0], dtype=np.float32)
        except Exception as error:  # see above
            reason = str(error).strip().splitlines()[0][:120]
            raise UsageError(
                f"expert {self.name} refuses {visible.shape[1]}x{visible.shape[0]} crops ({reason})"
            ) from None
        if fused.size != visible.size or not np.isfinite(fused).all():
            raise UsageError(
                f"expert {self.name} answers {list(fused.shape)} to {list(visible.shape)}, or not finite"
            )
        return self._leave(fused.reshape(visible.shape))

    def _enter(self, image: np.ndarray) -> np.ndarray:
        image = 2 * image - 1 if self.settings.signed else image
        return np.ascontiguousarray(image[None, None], dtype=np.float32)

    def _leave(self, fused: np.ndarray) -> np.ndarray:
        if self.settings.signed:
            fused = (fused + 1) / 2
        if self.settings.stretch:
            low, high = float(fused.min()), float(fused.max())
            fused = (fused - low) / max(high - low, 1e-6)
        return fused
