"""The part of Linux's video capture interface (linux/videodev2.h) that a camera needs, on 64-bit."""

from __future__ import annotations

import ctypes
import fcntl
from ctypes import Structure, Union, c_char, c_int, c_int64, c_ubyte, c_uint8, c_uint32, c_uint64

BUF_TYPE_VIDEO_CAPTURE = 1
MEMORY_MMAP = 1
FIELD_NONE = 1
CAP_VIDEO_CAPTURE = 0x1
CAP_VIDEO_CAPTURE_MPLANE = 0x1000
CAP_STREAMING = 0x4000000
CAP_DEVICE_CAPS = 0x80000000
BUF_FLAG_ERROR = 0x40
BUF_FLAG_TIMESTAMP_MASK = 0xE000
BUF_FLAG_TIMESTAMP_MONOTONIC = 0x2000
BUF_FLAG_TSTAMP_SRC_MASK = 0x70000
BUF_FLAG_TSTAMP_SRC_SOE = 0x10000  # stamped at the start of the exposure; else at the end of the frame


class Capability(Structure):
    """struct v4l2_capability"""

    _fields_ = (
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class PixFormat(Structure):
    """struct v4l2_pix_format"""

    _fields_ = tuple(
        (name, c_uint32)
        for name in (
            "width",
            "height",
            "pixelformat",
            "field",
            "bytesperline",
            "sizeimage",
            "colorspace",
            "priv",
            "flags",
            "ycbcr_enc",
            "quantization",
            "xfer_func",
        )
    )


class _FormatUnion(Union):
    _fields_ = (("pix", PixFormat), ("raw", c_ubyte * 200), ("_aligned", c_uint64 * 25))


class Format(Structure):
    """struct v4l2_format"""

    _fields_ = (("type", c_uint32), ("fmt", _FormatUnion))


class RequestBuffers(Structure):
    """struct v4l2_requestbuffers"""

    _fields_ = (
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    )


class TimeVal(Structure):
    """struct timeval"""

    _fields_ = (("tv_sec", c_int64), ("tv_usec", c_int64))


class TimeCode(Structure):
    """struct v4l2_timecode"""

    _fields_ = (("type", c_uint32), ("flags", c_uint32), ("digits", c_uint8 * 4), ("userbits", c_uint8 * 4))


class _Memory(Union):
    _fields_ = (("offset", c_uint32), ("userptr", c_uint64), ("fd", c_int))


class Buffer(Structure):
    """struct v4l2_buffer"""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", TimeVal),
        ("timecode", TimeCode),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _Memory),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int),
    )


class Fraction(Structure):
    """struct v4l2_fract"""

    _fields_ = (("numerator", c_uint32), ("denominator", c_uint32))


class CaptureParm(Structure):
    """struct v4l2_captureparm"""

    _fields_ = (
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", Fraction),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    )


class _ParmUnion(Union):
    _fields_ = (("capture", CaptureParm), ("raw", c_ubyte * 200))


class StreamParm(Structure):
    """struct v4l2_streamparm"""

    _fields_ = (("type", c_uint32), ("parm", _ParmUnion))


_READ, _WRITE = 2, 1


def _number(direction: int, number: int, argument: type[ctypes._SimpleCData] | type[Structure]) -> int:
    """ioctl number as the kernel's _IOC macro makes it, of family 'V'."""
    return direction << 30 | ctypes.sizeof(argument) << 16 | ord("V") << 8 | number


QUERYCAP = _number(_READ, 0, Capability)
G_FMT = _number(_READ | _WRITE, 4, Format)
S_FMT = _number(_READ | _WRITE, 5, Format)
REQBUFS = _number(_READ | _WRITE, 8, RequestBuffers)
QUERYBUF = _number(_READ | _WRITE, 9, Buffer)
QBUF = _number(_READ | _WRITE, 15, Buffer)
DQBUF = _number(_READ | _WRITE, 17, Buffer)
STREAMON = _number(_WRITE, 18, c_int)
STREAMOFF = _number(_WRITE, 19, c_int)
S_PARM = _number(_READ | _WRITE, 22, StreamParm)


def call(fd: int, request: int, argument: Structure | c_int) -> None:
    """One ioctl; the kernel's answer is written into `argument`. Raises OSError."""
    fcntl.ioctl(fd, request, argument, True)  # type: ignore[call-overload]


def fourcc(code: str) -> int:
    """Pixel format code of four letters, as in `Y16 `."""
    return int.from_bytes(code.encode("ascii"), "little")


def fourcc_text(code: int) -> str:
    """The letters of a pixel format code."""
    return (code & 0x7FFFFFFF).to_bytes(4, "little").decode("ascii", "replace").strip()
