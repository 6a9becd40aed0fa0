"""Inference engines by name, each loaded only when asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edge_rgbt.engine.base import Engine, EngineInfo, TensorSpec
from edge_rgbt.errors import EngineError, UsageError

if TYPE_CHECKING:
    from edge_rgbt.bundle import Bundle  # it needs TensorSpec from here

__all__ = ["ENGINES", "Engine", "EngineInfo", "TensorSpec", "open_engine"]

# name -> (module with `open_bundle(bundle, threads)`, what to install when its import fails)
ENGINES: dict[str, tuple[str, str]] = {
    "onnx": ("edge_rgbt.engine.onnx", "pip install 'edge-rgbt[onnx]'"),
}
MOST_THREADS = 512  # no machine of ours has more processors; tens of thousands of threads hang one


def open_engine(bundle: Bundle, name: str = "onnx", threads: int | None = None) -> Engine:
    """Loads the bundle's network; threads None leaves the number to the engine.

    Raises UsageError for an unknown engine, EngineError if its library is missing or it refuses the network.
    """
    if name not in ENGINES:
        raise UsageError(f"engine '{name}' is unknown; choose {' or '.join(ENGINES)}")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"{threads} engine threads are impossible; give 1 to {MOST_THREADS}")
    module_name, remedy = ENGINES[name]
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise EngineError(f"engine '{name}' cannot be loaded ({error}); {remedy}") from error
    return module.open_bundle(bundle, threads)
