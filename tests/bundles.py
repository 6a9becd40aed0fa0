"""A tiny but real bundle: an ONNX graph with the contract's inputs and outputs that finds a bright target.

The graph compares the mean brightness of every search cell with that of the template's centre, in both
modalities (or, behind an adapter, with those of both templates), and scores their agreement. No training, no
randomness: enough to drive every path that a trained network takes, on sequences whose target is brighter or
darker than what surrounds it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
from adapters import adapter_file
from onnx import TensorProto, helper, numpy_helper

from edge_rgbt.adapter import ADAPTER_FILE, AdapterWeights
from edge_rgbt.bundle import (
    Bundle,
    DynamicTemplate,
    Manifest,
    fused_inputs,
    map_outputs,
    raw_pixel_inputs,
    write_bundle,
)

TEMPLATE_SIZE = 64
SEARCH_SIZE = 128
STRIDE = 8


def matching_graph(
    template_size: int = TEMPLATE_SIZE,
    search_size: int = SEARCH_SIZE,
    stride: int = STRIDE,
    fused: bool = False,
) -> onnx.ModelProto:
    """score = exp(-(d_rgb^2 + d_tir^2) / 24^2), d = cell minus template centre in grey levels.

    fused: TPF's inputs; the two distances are those from the template and from the dynamic template.
    """
    if fused:
        specs = fused_inputs(template_size, search_size)
        first, second = "template", "dynamic"
        compared = {first: "search", second: "search"}
    else:
        specs, (first, second) = (
            raw_pixel_inputs(template_size, search_size),
            ("template_rgb", "template_tir"),
        )
        compared = {first: "search_rgb", second: "search_tir"}
    cells = search_size // stride
    corners = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)))[None].astype(np.float32)  # x, y
    constants = {
        "centre_start": np.array([template_size // 2 - stride // 2] * 2, np.int64),
        "centre_end": np.array([template_size // 2 + stride // 2] * 2, np.int64),
        "centre_axes": np.array([1, 2], np.int64),
        "pixel_axes": np.array([1, 2, 3], np.int64),
        "channel_axis": np.array([3], np.int64),
        "cell_shape": np.array([0, 1, search_size, search_size], np.int64),
        "mean_shape": np.array([0, 1, 1, 1], np.int64),
        "levels": np.array(255.0 if fused else 1.0, np.float32),
        "tolerance": np.array(-1.0 / 24.0**2, np.float32),
        "corners": corners,
        "middles": corners + 0.5,
        "tiny": np.array(1e-6, np.float32),
        # The share of the search crop that the box of the last frame fills.
        "quarter": np.full((1, 2, 1, 1), 0.25, np.float32),
        "zero": np.zeros((), np.float32),
    }
    nodes = [n for template, search in compared.items() for n in _cell_distances(template, search, stride)]
    # Agreement per cell; the box centre is the centroid of agreement around the cell.
    around = {"kernel_shape": [9, 9], "pads": [4, 4, 4, 4]}
    nodes += [
        helper.make_node("Add", [f"d2_{first}", f"d2_{second}"], ["d2"]),
        helper.make_node("Mul", ["d2", "tolerance"], ["exponent"]),
        helper.make_node("Exp", ["exponent"], ["score"]),
        helper.make_node("Add", ["score", "tiny"], ["mass_per_cell"]),
        helper.make_node("AveragePool", ["mass_per_cell"], ["mass"], **around),
        helper.make_node("Mul", ["mass_per_cell", "middles"], ["moment_per_cell"]),
        helper.make_node("AveragePool", ["moment_per_cell"], ["moment"], **around),
        helper.make_node("Div", ["moment", "mass"], ["centroid"]),
        helper.make_node("Sub", ["centroid", "corners"], ["offset"]),
        helper.make_node("Mul", ["offset", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "quarter"], ["size"]),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness_match",
        [
            helper.make_tensor_value_info(
                s.name, TensorProto.FLOAT if fused else TensorProto.UINT8, ["N", *s.shape[1:]]
            )
            for s in specs
        ],
        [
            helper.make_tensor_value_info(s.name, TensorProto.FLOAT, ["N", *s.shape[1:]])
            for s in map_outputs(cells)
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _cell_distances(m: str, search: str, stride: int) -> list[onnx.NodeProto]:
    """Squared difference in grey levels between each cell of `search` and the centre of the template `m`."""
    return [
        helper.make_node("Cast", [m], [f"float_{m}"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"float_{m}", "levels"], [f"t_{m}"]),
        helper.make_node("Slice", [f"t_{m}", "centre_start", "centre_end", "centre_axes"], [f"c_{m}"]),
        helper.make_node("ReduceMean", [f"c_{m}", "pixel_axes"], [f"mean_{m}"], keepdims=1),
        helper.make_node("Reshape", [f"mean_{m}", "mean_shape"], [f"wanted_{m}"]),
        helper.make_node("Cast", [search], [f"search_of_{m}"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"search_of_{m}", "levels"], [f"s_{m}"]),
        helper.make_node("ReduceMean", [f"s_{m}", "channel_axis"], [f"grey_{m}"], keepdims=0),
        helper.make_node("Reshape", [f"grey_{m}", "cell_shape"], [f"plane_{m}"]),
        helper.make_node(
            "AveragePool",
            [f"plane_{m}"],
            [f"cell_{m}"],
            kernel_shape=[stride, stride],
            strides=[stride, stride],
        ),
        helper.make_node("Sub", [f"cell_{m}", f"wanted_{m}"], [f"d_{m}"]),
        helper.make_node("Mul", [f"d_{m}", f"d_{m}"], [f"d2_{m}"]),
    ]


def tiny_manifest(**changes: object) -> Manifest:
    """Manifest of the graph above; keyword arguments replace fields."""
    manifest = Manifest(
        name="brightness-match",
        version="1",
        family="ckd",
        precision="fp32",
        template_size=TEMPLATE_SIZE,
        search_size=SEARCH_SIZE,
        template_factor=2.0,
        search_factor=4.0,
        stride=STRIDE,
        inputs=raw_pixel_inputs(TEMPLATE_SIZE, SEARCH_SIZE),
        outputs=map_outputs(SEARCH_SIZE // STRIDE),
        lost_threshold=0.3,
        params=0,
        macs=3 * 2 * SEARCH_SIZE**2,
        licence="Apache-2.0",
        provenance={"recipe": "written by hand", "data": "none"},
    )
    return dataclasses.replace(manifest, **changes)


def tiny_bundle(path: Path, **changes: object) -> Bundle:
    """Writes the bundle to a folder, or to a zip if the name ends in .rgbt."""
    return write_bundle(path, tiny_manifest(**changes), {"model.onnx": matching_graph().SerializeToString()})


def tpf_manifest(**changes: object) -> Manifest:
    """Manifest of the graph behind an adapter: a template renewed every five frames above a score of 0.65."""
    fields = {
        "family": "tpf",
        "inputs": fused_inputs(TEMPLATE_SIZE, SEARCH_SIZE),
        "dynamic_template": DynamicTemplate(5, 0.65),
    }
    return tiny_manifest(**(fields | changes))


def tpf_bundle(path: Path, adapter: AdapterWeights, **changes: object) -> Bundle:
    """The graph behind this adapter, as a folder or, if the name ends in .rgbt, a zip."""
    graph = matching_graph(fused=True).SerializeToString()
    files = {"model.onnx": graph, ADAPTER_FILE: adapter_file(adapter)}
    return write_bundle(path, tpf_manifest(**changes), files)
