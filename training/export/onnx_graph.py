"""A deployable network as an ONNX graph: fixed shapes but for the batch, nodes named by module."""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import warnings
from collections import Counter
from collections.abc import Iterator

import onnx
import torch

from training.export.deployable import OUTPUT_NAMES, Deployable

OPSET = 19  # the first with FP16 quantisation scales; TensorRT 10.3 takes up to 20
IR_VERSION = 9  # the one that came with opset 19


def example_crops(network: Deployable, batch: int = 2) -> tuple[torch.Tensor, ...]:
    """Even crops of the right shapes and types, in the order of the network's inputs."""
    return tuple(
        torch.ones((batch, *spec.shape[1:]), dtype=getattr(torch, spec.dtype)) for spec in network.inputs
    )


def export_program(network: Deployable) -> torch.export.ExportedProgram:
    """The network as a PyTorch program with a free batch size."""
    batch = torch.export.Dim("N", min=1, max=64)
    crops = example_crops(network)
    with torch.no_grad():
        return torch.export.export(network, crops, dynamic_shapes=tuple({0: batch} for _ in crops))


def portable_program(network: Deployable) -> torch.export.ExportedProgram:
    """The program that ships, for GPUs without TensorRT: fused attention, no source locations."""
    network.use_fused_attention(True)
    try:
        program = export_program(network)
    finally:
        network.use_fused_attention(False)
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    return program


def export_onnx(network: Deployable, name: str) -> onnx.ModelProto:
    """The network as an ONNX model of opset 19 whose graph is called `name`."""
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            export_program(network),
            dynamo=True,
            input_names=[spec.name for spec in network.inputs],
            output_names=list(OUTPUT_NAMES),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _rename(model.graph)
    _strip(model, name)
    return model


def _rename(graph: onnx.GraphProto) -> None:
    """Names nodes by the module they come from; names nameless weights of products like their node."""
    anonymous = {t.name: t for t in graph.initializer if not t.name.startswith("tracker.")}
    uses = Counter(name for node in graph.node for name in node.input)
    taken: Counter[str] = Counter()
    for node in graph.node:
        scopes = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "[]")
        scope = ([s for s in ast.literal_eval(scopes)[:-1] if s] or ["graph"])[-1]
        name = f"{scope.removeprefix('tracker.')}/{node.op_type}"
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"
        for i, value in enumerate(node.input):
            if node.op_type == "MatMul" and value in anonymous and uses[value] == 1:
                anonymous[value].name = f"{node.name}.weight"
                node.input[i] = anonymous[value].name


def _strip(model: onnx.ModelProto, name: str) -> None:
    """Removes what the exporter noted about this machine and itself; names the batch axis N."""
    model.ir_version = IR_VERSION
    model.doc_string = ""
    del model.metadata_props[:]
    kept = [opset for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    graph = model.graph
    graph.name, graph.doc_string = name, ""
    del graph.metadata_props[:]
    del graph.value_info[:]  # every reader works the shapes between nodes out again
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's notes about progress and absent optional packages off the terminal."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
