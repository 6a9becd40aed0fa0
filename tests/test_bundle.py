"""Bundles are read whole or refused with one line that says what to do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from bundles import tiny_bundle, tiny_manifest

from edge_rgbt.bundle import DynamicTemplate, describe, load_bundle, write_bundle
from edge_rgbt.errors import BundleError


@pytest.fixture(params=["tiny", "tiny.rgbt"])
def path(request, tmp_path) -> Path:
    tiny_bundle(tmp_path / request.param)
    return tmp_path / request.param


def _edit(folder: Path, **changes: object) -> None:
    file = folder / "manifest.json"
    value = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in value.items() if v is not ...}))


def _one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


def test_manifest_comes_back_as_written(path):
    bundle = load_bundle(path)
    assert bundle.manifest == tiny_manifest(files=bundle.manifest.files)
    assert bundle.manifest.map_size == 16


def test_files_come_back_as_written(path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = load_bundle(path)
    model = bundle.read_bytes("model.onnx")
    assert len(model) == bundle.manifest.files["model.onnx"].bytes
    assert bundle.file("model.onnx").read_bytes() == model
    bundle.file("model.onnx").write_bytes(model)  # a second call finds the unpacked file
    assert bundle.file("model.onnx").read_bytes() == model


def test_settings_and_later_keys_survive_the_round_trip(tmp_path):
    manifest = tiny_manifest(dynamic_template=DynamicTemplate(50, 0.6), extra={"range_m": [5, 80]})
    bundle = write_bundle(tmp_path / "b", manifest, {"model.onnx": b"graph"})
    assert bundle.manifest.dynamic_template == DynamicTemplate(50, 0.6)
    assert bundle.manifest.extra == {"range_m": [5, 80]}


def test_file_that_the_manifest_does_not_name_is_refused(path):
    with pytest.raises(BundleError) as error:
        load_bundle(path).read_bytes("model.pt2")
    assert "model.pt2" in _one_line(error)


def test_missing_bundle_is_named(tmp_path):
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path / "nothing")
    assert "does not exist" in _one_line(error)


def test_folder_without_manifest_is_named(tmp_path):
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path)
    assert "lacks manifest.json" in _one_line(error)


def test_truncated_model_is_refused_with_both_lengths(tmp_path):
    tiny_bundle(tmp_path / "b")
    model = tmp_path / "b" / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:100])
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path / "b")
    assert f"100 bytes, expected {len(whole)}" in _one_line(error)


def test_changed_model_is_refused(tmp_path):
    tiny_bundle(tmp_path / "b")
    model = tmp_path / "b" / "model.onnx"
    content = bytearray(model.read_bytes())
    content[50] ^= 1
    model.write_bytes(content)
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path / "b")
    assert "SHA-256" in _one_line(error)


def test_missing_model_is_named(tmp_path):
    tiny_bundle(tmp_path / "b")
    (tmp_path / "b" / "model.onnx").unlink()
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path / "b")
    assert "lacks model.onnx" in _one_line(error)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated_zip_is_refused(tmp_path, keep):
    whole = tiny_bundle(tmp_path / "b.rgbt").path.read_bytes()
    cut = tmp_path / "cut.rgbt"
    cut.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else keep])
    with pytest.raises(BundleError) as error:
        load_bundle(cut)
    assert "cut.rgbt" in _one_line(error)


def test_damaged_zip_member_is_refused(tmp_path):
    path = tiny_bundle(tmp_path / "b.rgbt").path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError) as error:
        load_bundle(path)
    assert "b.rgbt" in _one_line(error)


def test_zip_of_the_folder_itself_is_read(tmp_path):
    bundle = tiny_bundle(tmp_path / "b")
    with zipfile.ZipFile(tmp_path / "b.rgbt", "w") as archive:
        for name in ("manifest.json", "model.onnx"):
            archive.write(bundle.path / name, f"b/{name}")
    assert load_bundle(tmp_path / "b.rgbt").manifest == bundle.manifest


def test_compressed_zip_is_refused(tmp_path):
    bundle = tiny_bundle(tmp_path / "b")
    with zipfile.ZipFile(tmp_path / "b.rgbt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("manifest.json", "model.onnx"):
            archive.write(bundle.path / name, name)
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path / "b.rgbt")
    assert "zip -0" in _one_line(error)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"schema": 2}, "schema 2"),
        ({"schema": ...}, "schema None"),
        ({"family": "yolo"}, "family is 'yolo'"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"stride": 0}, "stride is 0"),
        ({"stride": 7}, "not a multiple of stride"),
        ({"search_size": 64}, "search_rgb"),
        ({"template_size": True}, "template_size is True"),
        ({"lost_threshold": 1.5}, "lost_threshold is 1.5"),
        (
            {"lost_threshold": ..., "lost_treshold": 0.3},
            "unknown key lost_treshold; did you mean lost_threshold?",
        ),
        ({"inputs": []}, "inputs is []"),
        ({"outputs": [{"name": "score"}]}, "outputs[0].dtype is missing"),
        ({"files": {}}, "files is {}, expected a table, each value a table, at least one"),
        ({"files": {"../model.onnx": {}}}, "plain file name"),
        ({"files": {"model.onnx": "abc"}}, "files.model.onnx is 'abc'"),
        (
            {"files": {"model.onnx": {"sha256": "abc", "bytes": 3}}},
            "sha256 is 'abc', expected 64 hexadecimal",
        ),
        (
            {"tracker": {"window_wieght": 1.0}},
            "unknown key tracker.window_wieght; did you mean tracker.window_weight?",
        ),
        ({"tracker": {"size_smoothing": 2}}, "tracker.size_smoothing is 2"),
        ({"dynamic_template": {"interval_frames": 5}}, "dynamic_template.score_threshold"),
        ({"provenance": "me"}, "provenance is 'me'"),
    ],
)
def test_faulty_manifest_is_refused_with_the_fault(tmp_path, changes, wanted):
    tiny_bundle(tmp_path / "b")
    _edit(tmp_path / "b", **changes)
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path / "b")
    assert wanted in _one_line(error)


def test_all_faults_of_a_manifest_are_named_at_once(tmp_path):
    tiny_bundle(tmp_path / "b")
    _edit(tmp_path / "b", family="yolo", stride=-1)
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path / "b")
    assert "family" in _one_line(error)
    assert "stride" in str(error.value)


@pytest.mark.parametrize("text", ["{", "[" * 100_000], ids=["cut off", "too deep"])
def test_manifest_that_is_not_json_is_refused(tmp_path, text):
    tiny_bundle(tmp_path / "b")
    (tmp_path / "b" / "manifest.json").write_text(text)
    with pytest.raises(BundleError) as error:
        load_bundle(tmp_path / "b")
    assert "not JSON" in _one_line(error)


def test_faulty_manifest_is_not_written(tmp_path):
    with pytest.raises(BundleError):
        tiny_bundle(tmp_path / "b", stride=7)
    assert list(tmp_path.iterdir()) == []


def test_description_names_network_and_training(tmp_path):
    text = describe(tiny_bundle(tmp_path / "b"))
    assert "brightness-match" in text
    assert "written by hand" in text
