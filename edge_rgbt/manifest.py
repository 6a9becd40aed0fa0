"""manifest.json of a model bundle: what a network needs from its runtime, validated whole."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_rgbt.engine.base import TensorSpec
from edge_rgbt.errors import BundleError
from edge_rgbt.fields import FieldReader, Number, OneOf, Rising, Weights, is_number, short

SCHEMA = 1
FAMILIES = ("ckd", "tpf", "transcmd")
PRECISIONS = ("fp32", "fp16", "int8")
STAND_INS = ("black", "grey", "template-mean", "hold", "other")
RESERVED_FILES = ("manifest.json", "manifest.sig")
_DTYPES = ("uint8", "float16", "float32")


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How the tracker shows the network its target and reads the network's maps.

    template_dimming: share of brightness that a template loses outside the target's box, to tell the network
    how far the target reaches; 0 shows it as it is. The network was trained with it: not to be tuned.
    window_weight: response = score * (1 - w + w * window); 1 multiplies the window on in full.
    shape_penalty: how strongly cells lose whose box changes its scale or aspect (`imageops.shape_prior`).
    size_rate_per_s, size_band: how fast the slow reference of width and height may move and how far a box may
    differ from it, in natural logarithms (`tracker.size_memory`); a rate of 0 bounds nothing.
    size_smoothing: new size = (1 - s) * predicted + s * previous; 0 takes the prediction as it is.
    clip_margin_px: at least this much of the box stays inside the picture.
    stand_in: what a missing modality is replaced by (`tracker.crops`).
    memory_ms, uncertain_below, certain_above, lost_below, uncertain_ms: when the status changes, by a running
    average of confidences (`tracker.presence`).
    found_above, found_ms: a lost target is taken up again where the confidence stays that high for so long.
    search_growth_per_s: sides of the target by which the region searched for it grows per second.
    """

    template_dimming: float = 0.0
    window_weight: float = 1.0
    shape_penalty: float = 0.0
    size_rate_per_s: float = 0.0
    size_band: float = 0.25
    size_smoothing: float = 0.0
    clip_margin_px: float = 10.0
    stand_in: str = "hold"
    memory_ms: float = 250.0
    uncertain_below: float = 0.4
    certain_above: float = 0.6
    lost_below: float = 0.2
    uncertain_ms: float = 1000.0
    found_above: float = 0.8
    found_ms: float = 250.0
    search_growth_per_s: float = 1.5


@dataclass(frozen=True, slots=True)
class ConfidenceCurve:
    """How often boxes are right (overlap above one half) by the evidence for them, on held-out flights.

    weights: of features (`tracker.confidence.Evidence`); their sum is the evidence. evidence: knots, rising.
    probabilities: at the knots, never falling; straight lines lie in between. found_right: share of targets
    taken up again after a loss that were the right ones; their confidence is so much lower.
    """

    weights: Mapping[str, float]
    evidence: tuple[float, ...]
    probabilities: tuple[float, ...]
    found_right: float


@dataclass(frozen=True, slots=True)
class DynamicTemplate:
    """A second template, renewed at most every `interval_frames` and only above `score_threshold`."""

    interval_frames: int
    score_threshold: float


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of the bundle as it was when the bundle was written."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The bundle's description. Sizes in pixels of the square crops; factors and stride as in `imageops`.

    `files` is filled in by `write_bundle`. `extra` keeps keys that a later minor version may add.
    """

    name: str
    version: str
    family: str
    precision: str
    template_size: int
    search_size: int
    template_factor: float
    search_factor: float
    stride: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    lost_threshold: float
    params: int
    macs: int
    licence: str
    provenance: Mapping[str, Any]
    metrics: Any = None
    dynamic_template: DynamicTemplate | None = None
    confidence: ConfidenceCurve | None = None
    tracker: TrackerSettings = TrackerSettings()
    files: Mapping[str, BundleFile] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def map_size(self) -> int:
        """Side of the score, size and offset maps in cells."""
        return self.search_size // self.stride

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of this manifest."""
        out = {"schema": self.schema}
        for f in dataclasses.fields(self):
            if f.name not in ("schema", "extra"):
                out[f.name] = _plain(getattr(self, f.name))
        return {**out, **self.extra}


def raw_pixel_inputs(template_size: int, search_size: int) -> tuple[TensorSpec, ...]:
    """The four graph inputs of families that take raw crops: uint8 `[N, size, size, 3]`."""
    sizes = {
        "template_rgb": template_size,
        "template_tir": template_size,
        "search_rgb": search_size,
        "search_tir": search_size,
    }
    return tuple(TensorSpec(name, "uint8", (-1, size, size, 3)) for name, size in sizes.items())


def fused_inputs(template_size: int, search_size: int, dtype: str = "float32") -> tuple[TensorSpec, ...]:
    """The three graph inputs behind TPF's adapter: fused images in 0..1, `[N, size, size, 3]`."""
    sizes = {"template": template_size, "dynamic": template_size, "search": search_size}
    return tuple(TensorSpec(name, dtype, (-1, size, size, 3)) for name, size in sizes.items())


def map_outputs(map_size: int) -> tuple[TensorSpec, ...]:
    """The three graph outputs of every family: float32 `[N, channels, map_size, map_size]`."""
    channels = {"score": 1, "size": 2, "offset": 2}
    return tuple(TensorSpec(name, "float32", (-1, c, map_size, map_size)) for name, c in channels.items())


def parse_manifest(value: Any, where: str) -> Manifest:
    """Manifest from its JSON object. Raises BundleError naming every fault, in one line, and `where`."""
    if not isinstance(value, Mapping):
        raise BundleError(f"{where}: not a JSON object; export the bundle again")
    if value.get("schema") != SCHEMA:
        raise BundleError(
            f"{where}: schema {value.get('schema')!r}, this version reads schema {SCHEMA}; "
            "export the bundle again or install the version that wrote it"
        )
    reader = FieldReader(value)
    manifest = _read(reader)
    faults = reader.faults or _contradictions(manifest)
    if faults:
        raise BundleError(f"{where}: {'; '.join(faults)}; export the bundle again")
    return manifest


def _read(r: FieldReader) -> Manifest:
    known = {f.name for f in dataclasses.fields(Manifest)}
    return Manifest(
        name=r.text("name"),
        version=r.text("version"),
        family=r.choice("family", FAMILIES),
        precision=r.choice("precision", PRECISIONS),
        template_size=r.whole("template_size", 1),
        search_size=r.whole("search_size", 1),
        template_factor=r.real("template_factor", 0.1, 100.0),
        search_factor=r.real("search_factor", 0.1, 100.0),
        stride=r.whole("stride", 1),
        inputs=_specs(r, "inputs"),
        outputs=_specs(r, "outputs"),
        lost_threshold=r.real("lost_threshold", 0.0, 1.0),
        params=r.whole("params", 0),
        macs=r.whole("macs", 0),
        licence=r.text("licence"),
        provenance=r.mapping("provenance"),
        metrics=r.present("metrics"),
        dynamic_template=r.section("dynamic_template", _DYNAMIC_LIMITS, DynamicTemplate, all_keys=True),
        confidence=r.section("confidence", _CONFIDENCE_LIMITS, ConfidenceCurve, all_keys=True),
        tracker=r.section("tracker", _TRACKER_LIMITS, TrackerSettings, retired=_RETIRED) or TrackerSettings(),
        files=_files(r, "files"),
        extra={key: v for key, v in r.value.items() if key not in known},
    )


_TRACKER_LIMITS = {
    "template_dimming": Number(float, 0.0, 1.0),
    "window_weight": Number(float, 0.0, 1.0),
    "shape_penalty": Number(float, 0.0, 10.0),
    "size_rate_per_s": Number(float, 0.0, 100.0),
    "size_band": Number(float, 0.0, 10.0),
    "size_smoothing": Number(float, 0.0, 0.99),
    "clip_margin_px": Number(float, 1.0, 1000.0),
    "stand_in": OneOf(STAND_INS),
    "memory_ms": Number(float, 1.0, 10_000.0),
    "uncertain_below": Number(float, 0.0, 1.0),
    "certain_above": Number(float, 0.0, 1.0),
    "lost_below": Number(float, 0.0, 1.0),
    "uncertain_ms": Number(float, 0.0, 10_000.0),
    "found_above": Number(float, 0.0, 1.0),
    "found_ms": Number(float, 0.0, 10_000.0),
    "search_growth_per_s": Number(float, 0.0, 100.0),
}
# Settings of older bundles that no longer mean anything; read and dropped.
_RETIRED = ("lost_frames", "found_frames")
_DYNAMIC_LIMITS = {"interval_frames": Number(int, 1, 1_000_000), "score_threshold": Number(float, 0.0, 1.0)}
EVIDENCE = ("score", "rival", "remembered", "likeness")
_CONFIDENCE_LIMITS = {
    "weights": Weights(EVIDENCE),
    "evidence": Rising(-1e6, 1e6),
    "probabilities": Rising(0.0, 1.0),
    "found_right": Number(float, 0.0, 1.0),
}


def _contradictions(m: Manifest) -> list[str]:
    """Faults that show only when fields are taken together."""
    faults = []
    if m.search_size % m.stride:
        faults.append(f"search_size {m.search_size} is not a multiple of stride {m.stride}")
    given = {spec.name: spec for spec in (*m.inputs, *m.outputs)}
    wanted = {spec.name: spec for spec in (*_inputs_of_family(m, given), *map_outputs(m.map_size))}
    for name, spec in wanted.items():
        found = given.get(name)
        if found is None:
            faults.append(f"graph tensor '{name}' is missing")
        elif found.dtype != spec.dtype or found.shape[1:] != spec.shape[1:]:
            faults.append(
                f"graph tensor '{name}' is {found.dtype} {list(found.shape)}, "
                f"expected {spec.dtype} {list(spec.shape)}"
            )
    return faults


def _inputs_of_family(m: Manifest, given: Mapping[str, TensorSpec]) -> tuple[TensorSpec, ...]:
    if m.family != "tpf":
        return raw_pixel_inputs(m.template_size, m.search_size)
    half = "search" in given and given["search"].dtype == "float16"
    return fused_inputs(m.template_size, m.search_size, "float16" if half else "float32")


def _specs(r: FieldReader, key: str) -> tuple[TensorSpec, ...]:
    items = r.checked(key, lambda v: isinstance(v, list) and v, "a list of tensors", [])
    out = []
    for item in items:
        good = (
            isinstance(item, Mapping)
            and isinstance(item.get("name"), str)
            and item.get("dtype") in _DTYPES
            and isinstance(item.get("shape"), list)
            and all(is_number(n, int) for n in item["shape"])
        )
        if good:
            out.append(TensorSpec(item["name"], item["dtype"], tuple(item["shape"])))
        else:
            r.faults.append(f"{key} holds {short(item)}, expected name, dtype and shape")
    return tuple(out)


def _files(r: FieldReader, key: str) -> dict[str, BundleFile]:
    out = {}
    for name, entry in r.mapping(key).items():
        plain = bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name)) and name not in RESERVED_FILES
        good = (
            isinstance(entry, Mapping)
            and isinstance(entry.get("sha256"), str)
            and re.fullmatch(r"[0-9a-f]{64}", entry["sha256"])
            and is_number(entry.get("bytes"), int)
        )
        if not plain:
            r.faults.append(f"files holds '{name}', expected a plain file name")
        elif not good:
            r.faults.append(f"files['{name}'] is {short(entry)}, expected sha256 and bytes")
        else:
            out[name] = BundleFile(entry["sha256"], entry["bytes"])
    if not out and key in r.value:
        r.faults.append("files names no file")
    return out


def _plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
