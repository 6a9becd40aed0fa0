"""What a recording holds: its channels, their encodings and schemas, and the values of our own messages."""

from __future__ import annotations

import json
from typing import Any

from edge_rgbt.recording.plain import json_schema
from edge_rgbt.types import Frame, FramePair, Modality, TrackState, TrackStatus

# Written into every file. A reader refuses files of a schema that it does not know.
SCHEMA = 1

IMAGES = {
    Modality.RGB: "/rgb/image",
    Modality.TIR: "/tir/image",
}  # foxglove.CompressedImage or foxglove.RawImage
FRAMES = {Modality.RGB: "/rgb/frame", Modality.TIR: "/tir/frame"}  # what the image messages cannot say
PAIR = "/pair"
TRACK = "/track"
BOX = "/rgb/box"  # foxglove.ImageAnnotations: the box drawn over /rgb/image
HEALTH = "/health"
EVENT = "/event"
MAVLINK = {"in": "/mavlink/in", "out": "/mavlink/out"}

# Fields that are not plain values; pictures lie in the image messages.
FRAME_LEAVES_OUT = ("image",)
PAIR_LEAVES_OUT = ("rgb", "tir", "tir_region")

# A pair never refers to a frame that lies further back than this many frames of its camera, unless it is the
# one that the pair before it used. So a reader needs to keep no more.
REACH = 64

_OBJECT: dict[str, Any] = {"type": "object"}
_BYTES = {"type": "string", "contentEncoding": "base64"}
_NUMBERED = {"number": {"type": "integer"}}


def note_schemas() -> dict[str, tuple[str, dict[str, Any]]]:
    """Topic -> name and JSON schema of its messages."""
    frame = json_schema(Frame)
    frame["properties"] = {**_NUMBERED, **frame["properties"], "encoding": {"type": "string"}}
    frame["properties"].pop("image", None)
    pair = json_schema(FramePair)
    for name in PAIR_LEAVES_OUT:
        pair["properties"].pop(name, None)
    pair["properties"] |= {**_NUMBERED, "rgb": frame, "tir": frame, "step": _OBJECT}
    mavlink = {"type": "object", "properties": {"endpoint": {"type": "string"}, "data": _BYTES}}
    event = {"type": "object", "properties": {"name": {"type": "string"}, "what": _OBJECT}}
    return {
        FRAMES[Modality.RGB]: ("edge_rgbt.Frame", frame),
        FRAMES[Modality.TIR]: ("edge_rgbt.Frame", frame),
        PAIR: ("edge_rgbt.FramePair", pair),
        TRACK: ("edge_rgbt.TrackState", json_schema(TrackState)),
        BOX: ("foxglove.ImageAnnotations", _annotations_schema()),
        HEALTH: ("edge_rgbt.Health", _OBJECT),
        EVENT: ("edge_rgbt.Event", event),
        MAVLINK["in"]: ("edge_rgbt.Mavlink", mavlink),
        MAVLINK["out"]: ("edge_rgbt.Mavlink", mavlink),
    }


def encoded(value: Any) -> bytes:
    """Plain values as JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def drawn_box(state: TrackState) -> dict[str, Any]:
    """The track as a foxglove.ImageAnnotations: green while tracking, red when lost, else yellow."""
    box, stamp = state.box, foxglove_time(state.timestamp_ns)
    corners = ((box.x, box.y), (box.x + box.w, box.y), (box.x + box.w, box.y + box.h), (box.x, box.y + box.h))
    red = 0.0 if state.status is TrackStatus.TRACKING else 1.0
    green = 0.0 if state.status is TrackStatus.LOST else 1.0
    colour = {"r": red, "g": green, "b": 0.0, "a": 1.0}
    clear = {"r": 0.0, "g": 0.0, "b": 0.0, "a": 0.0}
    outline = {
        "timestamp": stamp,
        "type": 2,  # LINE_LOOP
        "points": [{"x": x, "y": y} for x, y in corners],
        "outline_color": colour,
        "outline_colors": [],
        "fill_color": clear,
        "thickness": 2.0,
    }
    caption = {
        "timestamp": stamp,
        "position": {"x": box.x, "y": box.y},
        "text": f"{state.status.value} {state.score:.2f}",
        "font_size": 14.0,
        "text_color": colour,
        "background_color": clear,
    }
    return {"circles": [], "points": [outline], "texts": [caption]}


def foxglove_time(time_ns: int) -> dict[str, int]:
    seconds, nanoseconds = divmod(max(0, time_ns), 1_000_000_000)
    return {"sec": seconds, "nsec": nanoseconds}


def _annotations_schema() -> dict[str, Any]:
    number, text = {"type": "number"}, {"type": "string"}
    time = _object(sec={"type": "integer"}, nsec={"type": "integer"})
    point, colour = _object(x=number, y=number), _object(r=number, g=number, b=number, a=number)
    outline = _object(
        timestamp=time,
        type={"type": "integer"},
        points=_list(point),
        outline_color=colour,
        outline_colors=_list(colour),
        fill_color=colour,
        thickness=number,
    )
    caption = _object(
        timestamp=time,
        position=point,
        text=text,
        font_size=number,
        text_color=colour,
        background_color=colour,
    )
    return _object(circles=_list(_OBJECT), points=_list(outline), texts=_list(caption))


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}
