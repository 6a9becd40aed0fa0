"""Foxglove's own image messages, as protobuf: descriptors made here, so that no generated code is needed.

Field numbers are those of foxglove/CompressedImage.proto and foxglove/RawImage.proto.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.recording.pictures import JPEG, PNG, EncodedPicture

COMPRESSED, RAW = "foxglove.CompressedImage", "foxglove.RawImage"
_FIELDS: dict[str, tuple[tuple[str, int, str], ...]] = {
    COMPRESSED: (
        ("timestamp", 1, "time"),
        ("frame_id", 4, "string"),
        ("data", 2, "bytes"),
        ("format", 3, "string"),
    ),
    RAW: (
        ("timestamp", 1, "time"),
        ("frame_id", 7, "string"),
        ("width", 2, "fixed32"),
        ("height", 3, "fixed32"),
        ("encoding", 4, "string"),
        ("step", 5, "fixed32"),
        ("data", 6, "bytes"),
    ),
}


def image_schema(picture: EncodedPicture) -> str:
    """Which of the two messages carries it."""
    return COMPRESSED if picture.encoding in (JPEG, PNG) else RAW


def image_message(picture: EncodedPicture, timestamp_ns: int, camera: str) -> bytes:
    """The picture as a serialised message."""
    name = image_schema(picture)
    message = _message_classes()[name](frame_id=camera, data=picture.data)
    message.timestamp.FromNanoseconds(timestamp_ns)
    if name == COMPRESSED:
        message.format = picture.encoding
    else:
        message.encoding, message.step = picture.encoding, picture.step
        message.width, message.height = picture.width, picture.height
    return message.SerializeToString()


def image_bytes(schema: str, message: bytes) -> tuple[str, bytes, int]:
    """Encoding, pixel data and bytes per row of a serialised message. Raises ValueError if it is damaged."""
    from google.protobuf.message import DecodeError

    try:
        parsed = _message_classes()[schema].FromString(message)
    except (DecodeError, KeyError) as error:
        raise ValueError(f"is no {schema} ({error})") from error
    if schema == COMPRESSED:
        return parsed.format, parsed.data, 0
    return parsed.encoding, parsed.data, parsed.step


def schema_bytes(name: str) -> bytes:
    """The serialised FileDescriptorSet that an MCAP schema record of this message holds."""
    from google.protobuf import descriptor_pb2

    return descriptor_pb2.FileDescriptorSet(file=[_time_file(), _file(name)]).SerializeToString()


@cache
def _message_classes() -> dict[str, Any]:
    """Raises EdgeRgbtError if protobuf is missing."""
    try:
        from google.protobuf import descriptor_pool, message_factory
    except ImportError as error:
        raise EdgeRgbtError(
            f"recordings need a library that is missing ({error}); pip install 'edge-rgbt[record]'"
        ) from error
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_time_file())
    for name in _FIELDS:
        pool.Add(_file(name))
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in _FIELDS}


def _time_file() -> Any:
    from google.protobuf import descriptor_pb2, timestamp_pb2

    file = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(file)
    return file


def _file(name: str) -> Any:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

    package, message_name = name.split(".")
    file = FileDescriptorProto(name=f"{package}/{message_name}.proto", package=package, syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message = file.message_type.add(name=message_name)
    for field_name, number, kind in _FIELDS[name]:
        field = message.field.add(name=field_name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
        if kind == "time":
            field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, ".google.protobuf.Timestamp"
        else:
            field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
    return file
