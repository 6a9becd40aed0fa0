"""TPF's pixel-fusion adapter at run time: an RGB and a thermal crop become one image, without PyTorch.

`specification.py` says in numpy what is computed; `compiled.py` computes it, in 1/100 of the time.
"""

from __future__ import annotations

import os

from edge_rgbt.adapter.base import Adapter
from edge_rgbt.adapter.layout import VARIANTS
from edge_rgbt.adapter.mean import MeanAdapter
from edge_rgbt.adapter.weights import ADAPTER_FILE, AdapterWeights, read_adapter
from edge_rgbt.errors import EngineError

__all__ = ["ADAPTER_FILE", "VARIANTS", "Adapter", "AdapterWeights", "open_adapter", "read_adapter"]

MOST_DEFAULT_THREADS = 2  # no stage but one has more than two tasks


def open_adapter(weights: AdapterWeights, threads: int | None = None) -> Adapter:
    """The adapter, ready to run; threads None takes two, or one where there is one core.

    The first call on a machine compiles for some 15 s and keeps the result, in the package's folder or in the
    user's cache (`NUMBA_CACHE_DIR` moves it). Raises EngineError if the compiling library is missing.
    """
    if not weights.variant.network:
        return MeanAdapter()
    try:
        from edge_rgbt.adapter.compiled import CompiledAdapter
    except ImportError as error:
        raise EngineError(
            f"the pixel-fusion adapter cannot be loaded ({error}); pip install 'edge-rgbt[adapter]'"
        ) from error
    except RuntimeError as error:  # Numba, when it finds no folder that it may write to
        raise EngineError(
            f"the pixel-fusion adapter cannot be compiled ({error}); set NUMBA_CACHE_DIR to a writable folder"
        ) from error
    return CompiledAdapter(weights, threads or min(MOST_DEFAULT_THREADS, len(os.sched_getaffinity(0))))
