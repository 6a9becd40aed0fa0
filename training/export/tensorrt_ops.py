"""Says whether TensorRT's ONNX parser takes a graph, without TensorRT: a static check by operator and type.

The tables follow the parser's own operator documentation (versions 8.5 and 10.15) and its change log between
them; TensorRT itself cannot run where this is checked. Beyond what parses, the check holds graphs to what
runs fast and predictably on a drone: static shapes but for the batch, no control flow, no operator that the
parser can only hand to a plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from edge_rgbt.errors import EdgeRgbtError

NEWEST_OPSET = {"10.3": 20, "10.16": 24}  # per TensorRT version, the newest opset its parser knows
TOPK_LIMIT = 3840  # elements along the sorted axis that TensorRT's top-k can return

_FLOAT = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16})
_INT = frozenset({TensorProto.INT32, TensorProto.INT64})
_NUMBER = _FLOAT | _INT
_MOVED = _NUMBER | {TensorProto.BOOL}  # what operators that only move data take
_LOGIC = frozenset({TensorProto.BOOL})


def _words(text: str) -> list[str]:
    return text.split()


_FLOAT_OPERATORS = _words(
    """
    Acos Acosh Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Clip Conv ConvTranspose
    Cos Cosh CumSum Dropout Einsum Elu Erf Exp Floor Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
    GridSample GroupNormalization HardSigmoid HardSwish Hardmax InstanceNormalization IsInf LRN
    LayerNormalization LeakyRelu Log LogSoftmax LpNormalization LpPool MatMul MaxPool
    MeanVarianceNormalization PRelu Reciprocal Relu Resize Round Selu Sigmoid Sin Sinh Softmax Softplus
    Softsign Sqrt Tan Tanh ThresholdedRelu
    """
)
_NUMBER_OPERATORS = _words(
    """
    Abs Add ArgMax ArgMin DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual Max Mean
    Min Mod Mul Neg Pad Pow Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Shrink Sign SpaceToDepth Sub Sum TopK
    """
)
_MOVING_OPERATORS = _words(
    """
    Concat Constant ConstantOfShape Expand EyeLike Flatten Gather GatherElements GatherND Identity
    OneHot Reshape Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where
    """
)

# operator -> element types of its data inputs
OPERATORS: dict[str, frozenset[int]] = {
    **dict.fromkeys(_FLOAT_OPERATORS, _FLOAT),
    **dict.fromkeys(_NUMBER_OPERATORS, _NUMBER),
    **dict.fromkeys(_MOVING_OPERATORS, _MOVED),
    **dict.fromkeys(("And", "Or", "Not", "Xor"), _LOGIC),
    "Cast": _MOVED | {TensorProto.UINT8},
    "QuantizeLinear": _FLOAT,
    "DequantizeLinear": frozenset({TensorProto.INT8, TensorProto.FLOAT8E4M3FN}),
}
NEWER_OPERATORS = {  # operator -> first TensorRT version whose parser takes it
    "BlackmanWindow": "10.4",
    "HammingWindow": "10.4",
    "HannWindow": "10.4",
    "STFT": "10.5",
    "RMSNormalization": "10.13",
    "Attention": "10.14",
    "RotaryEmbedding": "10.15",
}
REFUSED = {
    "If": "control flow splits the graph",
    "Loop": "control flow splits the graph",
    "Scan": "control flow splits the graph",
    "NonZero": "its output shape depends on the data",
    "NonMaxSuppression": "its output shape depends on the data",
    "Shape": "shape arithmetic; export with fixed shapes",
    "Size": "shape arithmetic; export with fixed shapes",
    "Scatter": "imported through a plugin",
    "ScatterElements": "imported through a plugin; select by a product or a gather instead",
    "DeformConv": "imported through a plugin",
    "RoiAlign": "imported through a plugin",
}
# Inputs that must be known when the engine is built: operator -> positions.
CONSTANT_INPUTS = {
    "Clip": (1, 2),
    "ConstantOfShape": (0,),
    "CumSum": (1,),
    "Expand": (1,),
    "OneHot": (1,),
    "Pad": (1, 2, 3),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Unsqueeze": (1,),
    "DequantizeLinear": (1, 2),
    "QuantizeLinear": (1, 2),
    **{name: (1,) for name in OPERATORS if name.startswith("Reduce")},
}


class UnsupportedGraphError(EdgeRgbtError):
    """TensorRT would refuse this graph."""


@dataclass(frozen=True)
class Fault:
    """One thing TensorRT would refuse. node: name of the node, or of the graph input."""

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"{self.node} ({self.operator}): {self.reason}"


@dataclass
class _Graph:
    """A model with what the checks ask of it: element types, shapes, constants, use of every value."""

    model: onnx.ModelProto
    types: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, list[int | str]] = field(default_factory=dict)
    constants: dict[str, TensorProto] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)
    inference_error: str = ""

    def __post_init__(self) -> None:
        graph = self.model.graph
        for tensor in graph.initializer:
            self.constants[tensor.name] = tensor
            self.types[tensor.name] = tensor.data_type
            self.shapes[tensor.name] = list(tensor.dims)
        for node in graph.node:
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if node.op_type == "Constant" and value is not None:
                self.constants[node.output[0]] = value
        values: Sequence[onnx.ValueInfoProto]
        try:
            values = _typed_values(self.model)
        except shape_inference.InferenceError as error:
            values = [*graph.value_info, *graph.input, *graph.output]
            self.inference_error = str(error).splitlines()[0]
        for value in values:
            kind = value.type.tensor_type
            self.types.setdefault(value.name, kind.elem_type)
            if kind.HasField("shape"):
                self.shapes.setdefault(value.name, [d.dim_value or d.dim_param for d in kind.shape.dim])
        self.inputs = {value.name for value in graph.input} - set(self.constants)


def lint(model: onnx.ModelProto, version: str = "10.3") -> list[Fault]:
    """Everything in the graph that this TensorRT version would refuse or that our rules above exclude."""
    if version not in NEWEST_OPSET:
        raise ValueError(f"no table for TensorRT {version}; there is one for {', '.join(NEWEST_OPSET)}")
    graph = _Graph(model)
    return [
        *_model_faults(graph, version),
        *(f for node in model.graph.node for f in _node_faults(graph, node, version)),
    ]


def require_tensorrt(model: onnx.ModelProto, version: str = "10.3") -> None:
    """Raises UnsupportedGraphError, one line with the first faults by node name, if there are any."""
    faults = lint(model, version)
    if faults:
        shown = "; ".join(map(str, faults[:3]))
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UnsupportedGraphError(f"TensorRT {version} would refuse the graph: {shown}{more}")


def _typed_values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Types and shapes of all values; weights are left out of the copy that inference works on."""
    graph = shape_inference.infer_shapes(_without_large_weights(model)).graph
    return [*graph.value_info, *graph.input, *graph.output]


def _without_large_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = onnx.GraphProto(name=model.graph.name)
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if np.prod(tensor.dims, dtype=np.int64) <= 64:
            graph.initializer.append(tensor)
        else:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.graph.CopyFrom(graph)
    bare.opset_import.extend(model.opset_import)
    return bare


def _model_faults(graph: _Graph, version: str) -> Iterator[Fault]:
    model = graph.model
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > NEWEST_OPSET[version]:
            yield Fault("opset", str(opset.version), f"newer than {NEWEST_OPSET[version]}")
    for function in model.functions:
        yield Fault(function.name, "function", "local functions are not inlined")
    if graph.inference_error:
        yield Fault("graph", "shape inference", graph.inference_error)
    for value in model.graph.input:
        shape = graph.shapes.get(value.name, [])
        if any(not isinstance(size, int) or size == 0 for size in shape[1:]):
            yield Fault(value.name, "input", f"shape {shape} is dynamic beyond the batch axis")
    for value in model.graph.output:
        if graph.types[value.name] not in _MOVED:
            yield Fault(value.name, "output", f"type {_type_name(graph.types[value.name])} cannot leave")


def _node_faults(graph: _Graph, node: NodeProto, version: str) -> Iterator[Fault]:
    def fault(reason: str) -> Fault:
        return Fault(node.name or node.output[0], node.op_type, reason)

    if node.domain not in ("", "ai.onnx"):
        yield fault(f"operator of domain {node.domain}")
        return
    if node.op_type in REFUSED:
        yield fault(REFUSED[node.op_type])
        return
    first = NEWER_OPERATORS.get(node.op_type)
    if first is not None and _ordered(version) < _ordered(first):
        yield fault(f"not before TensorRT {first}")
        return
    if node.op_type not in OPERATORS and first is None:
        yield fault("not known to the parser")
        return
    allowed = OPERATORS.get(node.op_type, _NUMBER)
    for name in _data_inputs(node):
        kind = graph.types.get(name)
        if kind is not None and kind not in allowed:
            yield fault(f"input {name} is {_type_name(kind)}")
        elif kind == TensorProto.UINT8 and name not in graph.inputs:
            yield fault(f"input {name} is uint8 inside the graph; only graph inputs may be")
    for position in CONSTANT_INPUTS.get(node.op_type, ()):
        if (
            position < len(node.input)
            and node.input[position]
            and node.input[position] not in graph.constants
        ):
            yield fault(f"input {node.input[position]} must be a constant")
    for name in node.output:
        shape = graph.shapes.get(name, [])
        if any(not isinstance(size, int) for size in shape[1:]):
            yield fault(f"output {name} has shape {shape}, dynamic beyond the batch axis")
    if node.op_type in SPECIAL_RULES:
        yield from map(fault, SPECIAL_RULES[node.op_type](graph, node))


def _data_inputs(node: NodeProto) -> list[str]:
    """Inputs that carry data rather than indices, shapes or conditions."""
    if node.op_type in ("Gather", "GatherElements", "GatherND", "DequantizeLinear", "QuantizeLinear", "TopK"):
        return list(node.input[:1])
    if node.op_type in ("Constant", "OneHot"):
        return []
    constant = CONSTANT_INPUTS.get(node.op_type, ())
    return [name for i, name in enumerate(node.input) if name and i not in constant]


def _topk(graph: _Graph, node: NodeProto) -> Iterator[str]:
    count = graph.constants.get(node.input[1])
    if count is not None and int(numpy_helper.to_array(count).ravel()[0]) > TOPK_LIMIT:
        yield f"k is above {TOPK_LIMIT}"


def _resize(graph: _Graph, node: NodeProto) -> Iterator[str]:
    modes = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
    if _attribute(node, "mode", "nearest") not in ("nearest", "linear"):
        yield f"mode {_attribute(node, 'mode', 'nearest')}"
    if _attribute(node, "coordinate_transformation_mode", "half_pixel") not in modes:
        yield f"coordinate mode {_attribute(node, 'coordinate_transformation_mode', '')}"
    if _attribute(node, "antialias", 0):
        yield "antialiasing"
    if _attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        yield "an aspect ratio policy"


def _grid_sample(graph: _Graph, node: NodeProto) -> Iterator[str]:
    if len(graph.shapes.get(node.input[0], [0] * 4)) != 4:
        yield "input is not 4-dimensional"
    if _attribute(node, "mode", "linear") not in ("linear", "bilinear", "nearest", "cubic", "bicubic"):
        yield f"mode {_attribute(node, 'mode', '')}"


def _spatial(graph: _Graph, node: NodeProto) -> Iterator[str]:
    rank = len(graph.shapes.get(node.input[0], [0] * 4))
    if rank not in (3, 4, 5):
        yield f"input of {rank} dimensions"
    if "Pool" in node.op_type and any(d != 1 for d in _attribute(node, "dilations", ())):
        yield "dilations"
    if node.op_type == "MaxPool" and len(node.output) > 1 and node.output[1]:
        yield "its indices output"


def _first_output_only(graph: _Graph, node: NodeProto) -> Iterator[str]:
    if any(node.output[1:]):
        yield "only the first output exists"


def _einsum(graph: _Graph, node: NodeProto) -> Iterator[str]:
    equation = str(_attribute(node, "equation", ""))
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if "." in equation or any(len(set(term)) < len(term) for term in terms):
        yield f"equation {equation} has an ellipsis or a diagonal"


def _quantisation(graph: _Graph, node: NodeProto) -> Iterator[str]:
    zero = graph.constants.get(node.input[2]) if len(node.input) > 2 else None
    if zero is None and node.op_type == "QuantizeLinear":
        yield "without a zero point it makes uint8; give an int8 zero point of 0"
    elif zero is not None and zero.data_type not in (TensorProto.INT8, TensorProto.FLOAT8E4M3FN):
        yield f"quantised type {_type_name(zero.data_type)}"
    elif zero is not None and zero.data_type == TensorProto.INT8 and numpy_helper.to_array(zero).any():
        yield "zero point is not 0"


def _cast(graph: _Graph, node: NodeProto) -> Iterator[str]:
    target = _attribute(node, "to", 0)
    if target not in _MOVED:
        yield f"to {_type_name(target)}"


def _dropout(graph: _Graph, node: NodeProto) -> Iterator[str]:
    mode = graph.constants.get(node.input[2]) if len(node.input) > 2 else None
    if mode is not None and numpy_helper.to_array(mode).any():
        yield "in training mode"


SPECIAL_RULES: dict[str, Callable[[_Graph, NodeProto], Iterator[str]]] = {
    "AveragePool": _spatial,
    "BatchNormalization": _first_output_only,
    "Cast": _cast,
    "Conv": _spatial,
    "ConvTranspose": _spatial,
    "DequantizeLinear": _quantisation,
    "Dropout": _dropout,
    "Einsum": _einsum,
    "GridSample": _grid_sample,
    "LayerNormalization": _first_output_only,
    "LpPool": _spatial,
    "MaxPool": _spatial,
    "QuantizeLinear": _quantisation,
    "Resize": _resize,
    "TopK": _topk,
}


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Its value, of the type that the operator gives it, or the default."""
    for attribute in node.attribute:
        if attribute.name == name:
            value = helper.get_attribute_value(attribute)
            return value.decode() if attribute.type == AttributeProto.STRING else value
    return default


def _type_name(kind: int) -> str:
    return TensorProto.DataType.Name(kind).lower() if kind else "of unknown type"


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
