"""What several tests ask of an exported network."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from training.export.parity import Difference


def graph_tensors(model: onnx.ModelProto) -> dict[str, tuple[int, list[int | str]]]:
    """Element type and shape of every input and output of a graph, by name."""
    tensors = ((v.name, v.type.tensor_type) for v in (*model.graph.input, *model.graph.output))
    return {
        name: (kind.elem_type, [d.dim_value or d.dim_param for d in kind.shape.dim]) for name, kind in tensors
    }


def assert_close(differences: Iterable[Difference]) -> None:
    """The bars between PyTorch and ONNX Runtime in FP32."""
    for difference in differences:
        assert difference.maps <= 1e-4
        assert difference.box_px <= 0.05
        assert difference.same_cell
