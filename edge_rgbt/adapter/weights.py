"""Reads `adapter.safetensors` strictly.

The format is eight bytes of length, a JSON header and raw numbers. Read here, it costs the base install no
library, and a zipped bundle need not be unpacked: the safetensors library gives metadata from files only.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_rgbt.adapter.layout import VARIANTS, Variant, tensor_shapes
from edge_rgbt.errors import BundleError

ADAPTER_FILE = "adapter.safetensors"
_DTYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_LARGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class AdapterWeights:
    """The tensors of one adapter, float32, with the names of tpf.md section 2.3."""

    name: str
    tensors: Mapping[str, np.ndarray]

    @property
    def variant(self) -> Variant:
        return VARIANTS[self.name]

    def part(self, name: str) -> dict[str, np.ndarray]:
        """The tensors of one ViM block or convolution, without its name."""
        start = f"{name}."
        return {key.removeprefix(start): v for key, v in self.tensors.items() if key.startswith(start)}


def read_adapter(content: bytes, where: str) -> AdapterWeights:
    """Adapter from the bytes of a safetensors file whose metadata name the `variant`.

    Raises BundleError, one line with `where`, if the file is damaged or its tensors are not the variant's.
    """
    metadata, tensors = _parse(content, where)
    name = metadata.get("variant")
    if name not in VARIANTS:
        raise BundleError(
            f"{where}: its metadata give the adapter variant {name!r}, expected {' or '.join(VARIANTS)}; "
            "export the bundle again"
        )
    faults = _differences(tensors, tensor_shapes(VARIANTS[name]))
    if faults:
        raise BundleError(
            f"{where} does not hold the adapter variant '{name}': {'; '.join(faults)}; "
            "export the bundle again"
        )
    return AdapterWeights(name, {key: v.astype(np.float32) for key, v in tensors.items()})


def _differences(tensors: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Every missing, unexpected, misshapen or not finite tensor."""
    faults = [f"'{name}' is missing" for name in wanted if name not in tensors]
    faults += [f"'{name}' is unexpected" for name in tensors if name not in wanted]
    for name, shape in wanted.items():
        found = tensors.get(name)
        if found is None:
            continue
        if found.shape != shape:
            faults.append(f"'{name}' is {list(found.shape)}, expected {list(shape)}")
        elif not np.isfinite(found).all():
            faults.append(f"'{name}' holds numbers that are not finite")
    return faults


def _parse(content: bytes, where: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and tensors; the data must be covered by the tensors without gap or overlap."""
    header, data = _split(content, where)
    metadata = header.pop("__metadata__", {})
    tensors, spans = {}, []
    for name, entry in header.items():
        try:
            dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
            start, end = entry["data_offsets"]
            size = math.prod(shape) * dtype.itemsize
            if end - start != size or start < 0 or end > len(data) or any(n < 0 for n in shape):
                raise ValueError(f"{end - start} bytes at {start} for {entry['dtype']} {list(shape)}")
            tensors[name] = np.frombuffer(data[start:end], dtype).reshape(shape)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"{where}: tensor '{name}' cannot be read ({error}); copy the bundle again"
            ) from None
        spans.append((start, end))
    edges = [0, *(edge for span in sorted(spans) for edge in span), len(data)]
    if edges[::2] != edges[1::2]:
        raise BundleError(f"{where}: its tensors do not cover its {len(data)} bytes; copy the bundle again")
    return metadata, tensors


def _split(content: bytes, where: str) -> tuple[dict, bytes]:
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else -1
    if not 0 < length <= min(_LARGEST_HEADER, len(content) - 8):
        raise BundleError(f"{where} is no whole safetensors file; copy the bundle again")
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise BundleError(f"{where} has a damaged header; copy the bundle again")
    return header, content[8 + length :]
