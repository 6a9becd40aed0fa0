"""`adapter.safetensors` is read whole or refused with every fault in one line."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from adapters import adapter, adapter_file
from bundles import tiny_manifest, tpf_bundle, tpf_manifest

from edge_rgbt.adapter import VARIANTS, AdapterWeights, read_adapter
from edge_rgbt.bundle import load_bundle, write_bundle
from edge_rgbt.errors import BundleError


def refusal(content: bytes) -> str:
    with pytest.raises(BundleError) as error:
        read_adapter(content, "b/adapter.safetensors")
    text = str(error.value)
    assert text.startswith("b/adapter.safetensors")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_comes_back_as_written(name):
    written = adapter(name)
    found = read_adapter(adapter_file(written), "here")
    assert found.name == name
    assert found.tensors.keys() == written.tensors.keys()
    assert all(np.array_equal(found.tensors[key], value) for key, value in written.tensors.items())
    assert len(VARIANTS) == 4


def test_half_precision_weights_become_float32():
    written = adapter("s2")
    half = AdapterWeights("s2", {key: v.astype(np.float16) for key, v in written.tensors.items()})
    found = read_adapter(adapter_file(half), "here")
    assert {v.dtype.name for v in found.tensors.values()} == {"float32"}


def test_missing_extra_misshapen_and_infinite_tensors_are_all_named():
    tensors = dict(adapter().tensors)
    del tensors["decoder.bias"]
    tensors["decoder.gain"] = np.ones(3, np.float32)
    tensors["vim_rgb.norm.weight"] = np.ones(16, np.float32)
    tensors["low_tir.bias"] = np.full(8, np.inf, np.float32)
    text = refusal(adapter_file(AdapterWeights("full", tensors)))
    assert "'decoder.bias' is missing" in text
    assert "'decoder.gain' is unexpected" in text
    assert "'vim_rgb.norm.weight' is [16], expected [8]" in text
    assert "'low_tir.bias' holds numbers that are not finite" in text


def test_weights_of_another_variant_are_refused():
    tied = adapter("tied")
    assert "'vim_rgb.fwd.A_log' is [16], expected [16, 16]" in refusal(
        adapter_file(AdapterWeights("full", tied.tensors))
    )


def test_unknown_variant_is_named_with_the_known_ones():
    text = refusal(adapter_file(adapter(), variant="s3"))
    assert "'s3', expected full or s2 or tied or add" in text


def test_file_without_variant_is_refused():
    header = json.dumps({}).encode()
    assert "variant None" in refusal(struct.pack("<Q", len(header)) + header)


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1])
def test_truncated_file_is_refused(keep):
    assert "copy the bundle again" in refusal(adapter_file(adapter())[:keep])


def test_bytes_that_belong_to_no_tensor_are_refused():
    assert "do not cover" in refusal(adapter_file(adapter()) + b"1234")


def edited(change) -> bytes:
    """The adapter's file with its header changed."""
    content = adapter_file(adapter())
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-3], "data_offsets": [12, 0]},
        {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]},
        {"dtype": "I64", "shape": [3], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": ["3"], "data_offsets": [0, 12]},
        [1, 2],
    ],
)
def test_damaged_entry_is_named(entry):
    text = refusal(edited(lambda header: header.update({"decoder.bias": entry})))
    assert "tensor 'decoder.bias' cannot be read" in text


@pytest.mark.parametrize("header", [b"[]", b"{", b'{"__metadata__": 3}'])
def test_damaged_header_is_refused(header):
    assert "damaged header" in refusal(struct.pack("<Q", len(header)) + header)


def test_bundle_without_adapter_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"holds no adapter.safetensors"):
        write_bundle(tmp_path / "b", tpf_manifest(), {"model.onnx": b"graph"})


def test_bundle_with_a_strange_adapter_is_refused_with_its_path(tmp_path):
    with pytest.raises(BundleError, match=r"b/adapter.safetensors does not hold.*'low_rgb.weight'"):
        tpf_bundle(tmp_path / "b", AdapterWeights("full", adapter("s2").tensors))


def test_crops_of_an_odd_side_do_not_fit_the_half_resolution(tmp_path):
    inputs = [
        {"name": name, "dtype": "float32", "shape": [-1, side, side, 3]}
        for name, side in (("template", 65), ("dynamic", 65), ("search", 128))
    ]
    tpf_bundle(tmp_path / "b", adapter("s2"))
    file = tmp_path / "b" / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"template_size": 65, "inputs": inputs}))
    with pytest.raises(BundleError, match=r"multiple of 2 pixels, not 65 and 128"):
        load_bundle(tmp_path / "b")


def test_bundle_gives_its_adapter(tmp_path):
    assert tpf_bundle(tmp_path / "b.rgbt", adapter("tied")).adapter().name == "tied"


def test_manifest_of_raw_crops_is_no_manifest_for_an_adapter(tmp_path):
    with pytest.raises(BundleError, match="graph tensor 'dynamic' is missing"):
        write_bundle(tmp_path / "b", tiny_manifest(family="tpf"), {"model.onnx": b"graph"})
