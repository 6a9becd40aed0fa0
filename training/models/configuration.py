"""Plain dictionaries (of checkpoints and manifests) back to the dataclasses that shape a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def build_config(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """`kind(**values)`. Raises ValueError naming an unknown key; `prefix` is put before it."""
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown key {prefix}{unknown[0]}; known are {', '.join(sorted(known))}")
    return kind(**values)
