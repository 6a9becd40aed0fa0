"""A checkpoint becomes a bundle, checked against the network it came from, or nothing at all."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from edge_rgbt.bundle import Bundle, ConfidenceCurve, Manifest, TrackerSettings, map_outputs, write_bundle
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.files import atomic_path
from edge_rgbt.settings import SettingsError, build_settings
from training.export.exportable import Exportable, ExportOptions
from training.export.families import load_exportable
from training.export.onnx_graph import export_onnx, portable_program
from training.export.parity import TOLERANCES, Difference, compare, require_parity, smooth_inputs
from training.export.tensorrt_ops import require_tensorrt

TARGET_TENSORRT = "10.3"  # the oldest in the field: JetPack 6.2
Section = TypeVar("Section", ConfidenceCurve, TrackerSettings)
LARGEST_ONNX = 2**31 - 1  # bytes; a larger graph would need external data
UNTUNED_LOST_THRESHOLD = 0.25  # nothing is published for any family; a trained bundle states its own


def export_bundle(
    family: str,
    checkpoint: Path,
    out: Path,
    *,
    options: ExportOptions | None = None,
    with_program: bool = False,
    details: Mapping[str, Any] | None = None,
) -> tuple[Bundle, list[Difference]]:
    """Writes a bundle, or nothing: the graph must pass TensorRT's operator check and agree with the network.

    family: one of `families.FAMILIES`. details: manifest fields that replace the ones worked out here.
    """
    _check_out(out)
    _say(f"reading {checkpoint}")
    options = options or ExportOptions()
    loaded = load_exportable(family, checkpoint, options)
    manifest = _manifest(loaded, options.half, details or {})
    _say("tracing the network")
    files = _graph_files(loaded, with_program)
    unchecked = out.with_name(f"unchecked-{out.name}")
    try:
        bundle = write_bundle(unchecked, manifest, files)
        files.clear()
        _say("comparing the bundle with the network")
        tolerance = TOLERANCES[manifest.precision]
        crops = smooth_inputs(manifest.inputs, tolerance.crops)
        differences = compare(loaded.tracker, bundle, crops)
        require_parity(differences, tolerance)
        with atomic_path(out) as part:
            os.replace(unchecked, part)
    finally:
        _discard(unchecked)
    return replace(bundle, path=out), differences


def _graph_files(loaded: Exportable, with_program: bool) -> dict[str, bytes | Path]:
    model = export_onnx(loaded.network, loaded.family)
    require_tensorrt(model, TARGET_TENSORRT)
    if model.ByteSize() > LARGEST_ONNX:
        raise EdgeRgbtError(f"the graph takes {model.ByteSize() / 1e9:.1f} GB, more than ONNX files hold")
    files: dict[str, bytes | Path] = {"model.onnx": model.SerializeToString(), **loaded.files}
    if with_program:
        stream = io.BytesIO()
        torch.export.save(portable_program(loaded.network), stream)
        files["model.pt2"] = stream.getvalue()
    return files


def _manifest(loaded: Exportable, half: bool, details: Mapping[str, Any]) -> Manifest:
    source, sizes = loaded.source, loaded.sizes
    trained = source.extras.get("recipe")
    provenance = {
        "checkpoint": {"file": source.path.name, "sha256": _sha256(source.path)},
        "recipe": trained if isinstance(trained, Mapping) else "not stated in the checkpoint",
        "step": source.extras.get("step", source.extras.get("epoch")),
        "commit": _commit(),
        "network": loaded.tracker.config.to_dict(),
        "macs_counted": dict(loaded.macs),
    }
    stated = dict(details)
    provenance |= stated.pop("provenance", {})
    settings = {"template_dimming": _trained_dimming(trained), **stated.pop("tracker", {})}
    curve = stated.pop("confidence", None)
    fields = {
        "name": loaded.name,
        "version": "0",
        "licence": "not stated; ask whoever trained the checkpoint",
        "metrics": None,
        "lost_threshold": UNTUNED_LOST_THRESHOLD,
        **stated,
    }
    return Manifest(
        family=loaded.family,
        precision="fp16" if half else "fp32",
        template_size=sizes.template_size,
        search_size=sizes.search_size,
        template_factor=sizes.template_factor,
        search_factor=sizes.search_factor,
        stride=sizes.stride,
        inputs=loaded.tracker.input_specs(),
        outputs=map_outputs(sizes.search_size // sizes.stride),
        params=loaded.params,
        macs=sum(loaded.macs.values()),
        dynamic_template=loaded.dynamic_template,
        provenance=_portable(provenance),
        confidence=None if curve is None else _checked(ConfidenceCurve, curve, "confidence"),
        tracker=_checked(TrackerSettings, settings, "tracker"),
        **fields,
    )


def _trained_dimming(recipe: Any) -> float:
    """What the templates lost in training, which the tracker must repeat; nothing outside our own recipes."""
    data = recipe.get("data") if isinstance(recipe, Mapping) else None
    return float(data.get("template_dimming", 0.0)) if isinstance(data, Mapping) else 0.0


def _checked(kind: type[Section], values: Any, name: str) -> Section:
    """One section of the details. Raises UsageError naming every fault."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{name} in --details is no JSON object")
    try:
        return build_settings(kind, values, prefix=f"{name}.")
    except SettingsError as error:
        raise UsageError(f"--details: {'; '.join(error.faults)}") from None


def _check_out(out: Path) -> None:
    """Refuses, before any work, to write over what is no bundle or where nothing can be written."""
    if out.is_dir() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise UsageError(
            f"{out} is a folder that holds something other than a bundle; choose another with --out"
        )
    if out.is_file() and out.suffix != ".rgbt":
        raise UsageError(f"{out} is a file; choose a folder, or a name ending in .rgbt, with --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        probe = out.with_name(f"unchecked-{out.name}")
        probe.mkdir(exist_ok=True)
        probe.rmdir()
    except OSError as error:
        raise UsageError(
            f"cannot write in {out.parent}: {error.strerror}; choose another place with --out"
        ) from None


def _portable(value: Any) -> Any:
    """JSON values only; absolute paths lose their folders, which mean nothing elsewhere."""
    if isinstance(value, Mapping):
        return {str(key): _portable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_portable(item) for item in value]
    if isinstance(value, str):
        return Path(value).name if value.startswith("/") else value
    return value if value is None or isinstance(value, (bool, int, float)) else type(value).__name__


def _commit() -> str:
    """The commit this code stands at, or a word where there is no repository."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return asked.stdout.strip()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _say(text: str) -> None:
    print(f"export: {text}", file=sys.stderr, flush=True)
