"""The operator check finds, by node name, what TensorRT 10.3 would refuse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from training.export.tensorrt_ops import UnsupportedGraphError, lint, require_tensorrt

FLOAT, HALF, INT64, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.UINT8


def graph(
    nodes: Sequence[NodeProto],
    inputs: dict[str, tuple[int, list]],
    output: tuple[str, int] = ("y", FLOAT),
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 19,
) -> onnx.ModelProto:
    """A model whose nodes are named after their operators."""
    for node in nodes:
        node.name = node.name or f"the {node.op_type}"
    made = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(output[0], output[1], None)],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


X = {"x": (FLOAT, ["N", 3, 8, 8])}
node = helper.make_node


def test_a_plain_graph_passes() -> None:
    model = graph(
        [
            node("Cast", ["x"], ["f"], to=FLOAT),
            node("Transpose", ["f"], ["t"], perm=[0, 3, 1, 2]),
            node("Conv", ["t", "w"], ["c"]),
            node("Reshape", ["c", "shape"], ["r"]),
            node("TopK", ["r", "k"], ["v", "i"]),
            node("GatherElements", ["r", "i"], ["y"], axis=1),
        ],
        {"x": (UINT8, ["N", 8, 8, 3])},
        constants={
            "w": np.zeros((4, 3, 1, 1), np.float32),
            "shape": np.array([-1, 256]),
            "k": np.array([5]),
        },
    )
    assert lint(model) == []
    require_tensorrt(model)


REFUSALS = {
    "unknown operator": (graph([node("Hardswish2", ["x"], ["y"])], X), "the Hardswish2", "not known"),
    "foreign domain": (
        graph([node("Gelu", ["x"], ["y"], domain="com.microsoft")], X),
        "the Gelu",
        "com.microsoft",
    ),
    "newer operator": (
        graph([node("HannWindow", ["n"], ["y"])], {"n": (INT64, [])}),
        "the HannWindow",
        "10.4",
    ),
    "NonZero": (
        graph([node("NonZero", ["x"], ["y"])], X, ("y", INT64)),
        "the NonZero",
        "depends on the data",
    ),
    "Shape": (graph([node("Shape", ["x"], ["y"])], X, ("y", INT64)), "the Shape", "shape arithmetic"),
    "ScatterElements": (
        graph(
            [node("ScatterElements", ["x", "i", "u"], ["y"])],
            X | {"i": (INT64, [1, 3, 8, 8]), "u": (FLOAT, [1, 3, 8, 8])},
        ),
        "the ScatterElements",
        "plugin",
    ),
    "double": (
        graph([node("Relu", ["x"], ["y"])], {"x": (TensorProto.DOUBLE, ["N", 3])}),
        "the Relu",
        "double",
    ),
    "uint8 arithmetic": (
        graph(
            [node("Concat", ["x", "x"], ["c"], axis=0), node("Cast", ["c"], ["y"], to=FLOAT)],
            {"x": (UINT8, ["N", 3])},
        ),
        "the Concat",
        "uint8",
    ),
    "uint8 inside": (
        graph([node("Cast", ["x"], ["u"], to=UINT8), node("Cast", ["u"], ["y"], to=FLOAT)], X),
        "the Cast",
        "uint8",
    ),
    "integer convolution": (
        graph([node("Conv", ["x", "w"], ["y"])], {"x": (INT64, ["N", 3, 8, 8]), "w": (INT64, [1, 3, 1, 1])}),
        "the Conv",
        "int64",
    ),
    "large top-k": (
        graph(
            [node("TopK", ["x", "k"], ["y", "i"])],
            {"x": (FLOAT, ["N", 5000])},
            constants={"k": np.array([4000])},
        ),
        "the TopK",
        "3840",
    ),
    "k from data": (
        graph([node("TopK", ["x", "k"], ["y", "i"])], {"x": (FLOAT, ["N", 50]), "k": (INT64, [1])}),
        "the TopK",
        "constant",
    ),
    "shape from data": (
        graph([node("Reshape", ["x", "s"], ["y"])], X | {"s": (INT64, [2])}),
        "the Reshape",
        "constant",
    ),
    "batch not in front": (
        graph([node("Reshape", ["x", "s"], ["y"])], X, constants={"s": np.array([2, -1, 3, 8, 8])}),
        "the Reshape",
        "dynamic beyond the batch",
    ),
    "dynamic input": (graph([node("Relu", ["x"], ["y"])], {"x": (FLOAT, ["N", 3, "H", 8])}), "x", "dynamic"),
    "new opset": (graph([node("Relu", ["x"], ["y"])], X, opset=21), "opset", "newer than 20"),
    "cubic resize": (
        graph(
            [node("Resize", ["x", "", "s"], ["y"], mode="cubic")], X, constants={"s": np.ones(4, np.float32)}
        ),
        "the Resize",
        "cubic",
    ),
    "moved zero point": (
        graph(
            [
                node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                node("DequantizeLinear", ["q", "s", "z"], ["y"]),
            ],
            X,
            constants={"s": np.float32(0.1), "z": np.int8(3)},
        ),
        "the QuantizeLinear",
        "not 0",
    ),
    "unsigned quantisation": (
        graph([node("QuantizeLinear", ["x", "s"], ["y"])], X, ("y", UINT8), {"s": np.float32(0.1)}),
        "the QuantizeLinear",
        "uint8",
    ),
    "pooling indices": (
        graph([node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2])], X),
        "the MaxPool",
        "indices",
    ),
    "diagonal": (graph([node("Einsum", ["x"], ["y"], equation="abcc->abc")], X), "the Einsum", "diagonal"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_tensorrt_refuses_is_named(case: str) -> None:
    model, name, reason = REFUSALS[case]
    found = [fault for fault in lint(model) if fault.node == name]
    assert found, f"no fault at {name}: {lint(model)}"
    assert any(reason in fault.reason for fault in found), found


def test_control_flow_is_refused() -> None:
    branch = graph([node("Relu", ["x"], ["y"])], X).graph
    model = graph(
        [node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], {"c": (TensorProto.BOOL, [])}
    )
    assert [fault.node for fault in lint(model)] == ["the If"]


def test_signed_quantisation_passes() -> None:
    model = graph(
        [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])],
        X,
        constants={"s": np.float32(0.1), "z": np.int8(0)},
    )
    assert lint(model) == []


def test_newer_tensorrt_takes_more() -> None:
    model = graph([node("HannWindow", ["n"], ["y"])], {"n": (INT64, [])})
    assert lint(model, "10.3") != []
    assert lint(model, "10.16") == []


def test_the_error_is_one_line_with_the_node() -> None:
    model = graph([node("NonZero", ["x"], ["a"]), node("Cast", ["a"], ["y"], to=FLOAT)], X)
    with pytest.raises(
        UnsupportedGraphError, match=r"TensorRT 10\.3 would refuse the graph: the NonZero"
    ) as caught:
        require_tensorrt(model)
    assert "\n" not in str(caught.value)


def test_an_unknown_tensorrt_version_is_refused() -> None:
    with pytest.raises(ValueError, match="no table for TensorRT 9"):
        lint(graph([node("Relu", ["x"], ["y"])], X), "9")
