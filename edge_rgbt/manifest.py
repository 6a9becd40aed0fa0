"""manifest.json of a model bundle: what a network needs from its runtime, validated whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from edge_rgbt.engine.base import TensorSpec
from edge_rgbt.errors import BundleError
from edge_rgbt.settings import Matching, NotEmpty, OneOf, Rising, SettingsError, Within, build_settings

SCHEMA = 1
FAMILIES = ("ckd", "tpf", "transcmd")
PRECISIONS = ("fp32", "fp16", "int8")
STAND_INS = ("black", "grey", "template-mean", "hold", "other")
EVIDENCE = ("score", "rival", "remembered", "likeness")
RESERVED_FILES = ("manifest.json", "manifest.sig")
Text = Annotated[str, Matching(r"(?s).*\S.*", "text that is not blank")]
FileName = Annotated[
    str, Matching(r"(?!manifest\.(json|sig)$)[A-Za-z0-9_][A-Za-z0-9._-]*", "a plain file name")
]
Share = Annotated[float, Within(0.0, 1.0)]
Factor = Annotated[float, Within(0.1, 100.0)]
Pixels = Annotated[int, Within(1)]
Count = Annotated[int, Within(0)]
Milliseconds = Annotated[float, Within(0.0, 10_000.0)]
Tensors = Annotated[tuple[TensorSpec, ...], NotEmpty()]


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
    found_above, found_likeness, found_ms: a lost target is taken up again where confidence and likeness
    (`tracker.recognition`) stay that high for so long; so is an uncertain one trusted again.
    search_growth_per_s: sides of the target by which the region searched for it grows per second.
    """

    template_dimming: Share = 0.0
    window_weight: Share = 1.0
    shape_penalty: Annotated[float, Within(0.0, 10.0)] = 0.0
    size_rate_per_s: Annotated[float, Within(0.0, 100.0)] = 0.0
    size_band: Annotated[float, Within(0.0, 10.0)] = 0.25
    size_smoothing: Annotated[float, Within(0.0, 0.99)] = 0.0
    clip_margin_px: Annotated[float, Within(1.0, 1000.0)] = 10.0
    stand_in: Annotated[str, OneOf(STAND_INS)] = "hold"
    memory_ms: Annotated[float, Within(1.0, 10_000.0)] = 250.0
    uncertain_below: Share = 0.4
    certain_above: Share = 0.6
    lost_below: Share = 0.2
    uncertain_ms: Milliseconds = 1000.0
    found_above: Share = 0.8
    found_likeness: Share = 0.7
    found_ms: Milliseconds = 250.0
    search_growth_per_s: Annotated[float, Within(0.0, 100.0)] = 1.5


@dataclass(frozen=True, slots=True)
class ConfidenceCurve:
    """How often boxes are right (overlap above one half) by the evidence for them, on held-out flights.

    weights: of features (`tracker.confidence.Evidence`); their sum is the evidence. evidence: knots, rising.
    probabilities: at the knots, never falling; straight lines lie in between. found_right: share of targets
    taken up again after a loss that were the right ones; their confidence is so much lower.
    """

    weights: Annotated[Mapping[Annotated[str, OneOf(EVIDENCE)], float], NotEmpty()]
    evidence: Annotated[tuple[float, ...], Rising(-1e6, 1e6)]
    probabilities: Annotated[tuple[float, ...], Rising(0.0, 1.0)]
    found_right: Share


@dataclass(frozen=True, slots=True)
class DynamicTemplate:
    """A second template, renewed at most every `interval_frames` and only above `score_threshold`."""

    interval_frames: Annotated[int, Within(1, 1_000_000)]
    score_threshold: Share


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of the bundle as it was when the bundle was written."""

    sha256: Annotated[str, Matching("[0-9a-f]{64}", "64 hexadecimal digits")]
    bytes: Count


@dataclass(frozen=True, slots=True)
class Manifest:
    """The bundle's description. Sizes in pixels of the square crops; factors and stride as in `imageops`.

    `files` is filled in by `write_bundle`. `extra` keeps keys that a later minor version may add.
    """

    name: Text
    version: Text
    family: Annotated[str, OneOf(FAMILIES)]
    precision: Annotated[str, OneOf(PRECISIONS)]
    template_size: Pixels
    search_size: Pixels
    template_factor: Factor
    search_factor: Factor
    stride: Pixels
    inputs: Tensors
    outputs: Tensors
    lost_threshold: Share
    params: Count
    macs: Count
    licence: Text
    provenance: Mapping[str, Any]
    metrics: Any = None
    dynamic_template: DynamicTemplate | None = None
    confidence: ConfidenceCurve | None = None
    tracker: TrackerSettings = TrackerSettings()
    files: Annotated[Mapping[FileName, BundleFile], NotEmpty()] = field(default_factory=dict)
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
    faults = [f"{key} is missing" for key in ("metrics", "files") if key not in value]
    try:
        manifest = build_settings(Manifest, _without_retired(value), rest="extra")
        faults += _contradictions(manifest)
    except SettingsError as error:
        faults += error.faults
    if faults:
        raise BundleError(f"{where}: {'; '.join(faults)}; export the bundle again")
    return manifest


# Settings of older bundles that no longer mean anything; dropped.
_RETIRED = ("lost_frames", "found_frames")


def _without_retired(value: Mapping[str, Any]) -> dict[str, Any]:
    tracker = value.get("tracker")
    if not isinstance(tracker, Mapping):
        return dict(value)
    return {**value, "tracker": {key: v for key, v in tracker.items() if key not in _RETIRED}}


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


def _plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
