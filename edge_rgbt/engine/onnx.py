"""ONNX Runtime: the default engine. CPU, or CUDA where that build of the library is installed."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from edge_rgbt.bundle import Bundle
from edge_rgbt.engine.base import Engine, EngineInfo, TensorSpec
from edge_rgbt.errors import EngineError

MODEL = "model.onnx"
# Small networks stop gaining at about four threads, and a drone has other work for its cores.
MOST_DEFAULT_THREADS = 4
_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16"}
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"


def open_bundle(bundle: Bundle, threads: int | None = None) -> OnnxEngine:
    """Engine for the bundle's `model.onnx`."""
    return OnnxEngine(bundle, threads)


def available_providers() -> list[str]:
    """What this build of ONNX Runtime could run networks with, by its own names."""
    return [str(name) for name in ort.get_available_providers()]


class OnnxEngine(Engine):
    """One ONNX Runtime session whose tensors are exactly those of the manifest."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        threads = threads or min(MOST_DEFAULT_THREADS, len(os.sched_getaffinity(0)))
        # A folder's file is opened by path, which spares a copy of the weights in memory.
        model = str(bundle.file(MODEL)) if bundle.path.is_dir() else bundle.read_bytes(MODEL)
        wanted = [p for p in (_CUDA, _CPU) if p in ort.get_available_providers()]
        try:
            self._session = ort.InferenceSession(model, _session_options(threads), providers=wanted)
        except Exception as error:  # the library raises a dozen types of its own, all derived from Exception
            raise EngineError(
                f"ONNX Runtime {ort.__version__} refuses {MODEL} of {bundle.path} ({_first_line(error)}); "
                "export the bundle again"
            ) from error
        active = self._session.get_providers()
        on_gpu = _CUDA in active
        self.info = EngineInfo(
            engine="onnxruntime",
            version=ort.__version__,
            precision=bundle.manifest.precision,
            device="CUDA GPU" if on_gpu else f"CPU ({platform.machine()})",
            threads=threads,
            fallback="CUDA provider did not start" if _CUDA in wanted and not on_gpu else "",
        )
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())
        _compare(bundle, "input", self.inputs, bundle.manifest.inputs)
        _compare(bundle, "output", self.outputs, bundle.manifest.outputs)
        self._output_names = [spec.name for spec in self.outputs]

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        for spec in self.inputs:
            _check_feed(spec, feeds.get(spec.name))
        if self._session is None:
            raise EngineError("the engine was closed; open it again")
        try:
            values = self._session.run(self._output_names, feeds)
        except Exception as error:  # see above
            raise EngineError(f"ONNX Runtime {ort.__version__} failed: {_first_line(error)}") from error
        return {name: np.asarray(v) for name, v in zip(self._output_names, values, strict=True)}

    def close(self) -> None:
        self._session = None


def _session_options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4  # failures come back as exceptions; nothing else may reach standard error
    # Threads that spin between operators: whole frame 20 ms, not 24, for the compact CKD on two idle Xeon
    # cores (`edge-rgbt bench`). Between frames they would take the cores that decode, warp and send.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _spec(node: ort.NodeArg) -> TensorSpec:
    shape = tuple(n if isinstance(n, int) else -1 for n in node.shape)
    return TensorSpec(str(node.name), _DTYPES.get(str(node.type), str(node.type)), shape)


def _compare(
    bundle: Bundle, kind: str, found: tuple[TensorSpec, ...], expected: tuple[TensorSpec, ...]
) -> None:
    """The graph must have the manifest's tensors; a batch axis fixed to 1 serves as well as a free one."""
    by_name = {spec.name: spec for spec in found}
    for spec in expected:
        have = by_name.pop(spec.name, None)
        if have is None or have.dtype != spec.dtype or have.shape[1:] != spec.shape[1:]:
            text = "missing" if have is None else f"{have.dtype} {list(have.shape)}"
            raise EngineError(
                f"graph {kind} '{spec.name}' of {bundle.path} is {text}, "
                f"the manifest says {spec.dtype} {list(spec.shape)}; export the bundle again"
            )
    if by_name:
        raise EngineError(
            f"graph of {bundle.path} has {kind} '{next(iter(by_name))}' that the manifest does not name; "
            "export the bundle again"
        )


def _check_feed(spec: TensorSpec, value: np.ndarray | None) -> None:
    if value is None:
        raise EngineError(f"network input '{spec.name}' was not given")
    same_rank = value.ndim == len(spec.shape)
    if (
        not same_rank
        or value.dtype.name != spec.dtype
        or any(want not in (-1, have) for want, have in zip(spec.shape, value.shape, strict=True))
    ):
        raise EngineError(
            f"network input '{spec.name}' is {value.dtype} {list(value.shape)}, "
            f"expected {spec.dtype} {list(spec.shape)}"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
