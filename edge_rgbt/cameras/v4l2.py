"""A camera of the kernel's video interface (USB/UVC, V4L2) without anything between: mmap, kernel times.

Not yet run on a device; the tests run it against a stand-in for the kernel, built from the kernel's headers.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import select
import time
from ctypes import c_int

from edge_rgbt.cameras import v4l2_abi as abi
from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.planes import picture, row_bytes
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.errors import CameraError, CameraStalledError
from edge_rgbt.types import Frame, Modality, PixelFormat, TimeSource

_log = logging.getLogger(__name__)
_FOURCC = {
    PixelFormat.RGB: "RGB3",
    PixelFormat.BGR: "BGR3",
    PixelFormat.NV12: "NV12",
    PixelFormat.YUYV: "YUYV",
    PixelFormat.GRAY8: "GREY",
    PixelFormat.GRAY16: "Y16 ",
}
_BUFFERS = 4
_WHAT_TO_DO = {
    errno.ENOENT: "is it plugged in? `v4l2-ctl --list-devices` lists what is there",
    errno.ENODEV: "was it unplugged?",
    errno.EACCES: "add the user to the group video",
    errno.EBUSY: "another program uses it; `fuser -v` on the device names it",
    errno.ENOTTY: "this is no video capture device",
}


def make(settings: CameraSettings, modality: Modality, playback: Playback) -> Camera:
    """The kind's entry in `kinds.KINDS`."""
    return V4l2Camera(settings, modality)


class V4l2Camera(Camera):
    """One /dev/video device. Times and sequence numbers are the kernel's.

    Times are of source SENSOR where the driver stamps the start of the exposure, and DRIVER where it stamps
    the end of the frame, or, as UVC's does, the arrival of a frame's first data.
    """

    def __init__(self, settings: CameraSettings, modality: Modality) -> None:
        self.modality = modality
        self.name = settings.name or str(settings.device)
        self._settings = settings
        self._device = str(settings.device)
        self._fd = -1
        self._buffers: list[mmap.mmap] = []
        self._stride = 0
        self._stamps_exposure = True
        self._unread: Frame | None = None  # the first frame, which proved the stream good

    def open(self) -> None:
        self.close()
        try:
            self._fd = os.open(self._device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._require_capture()
            self._agree_on_format()
            self._ask_for_rate()
            self._start()
            self._unread = self._wait(self._settings.start_timeout_s)
            if self._unread is None:
                raise CameraError(
                    f"camera {self.name}: no frame within {self._settings.start_timeout_s:g} s of starting "
                    f"{self._device}; unplug it and plug it in again"
                )
        except OSError as error:
            self.close()
            raise self._failure(error) from error
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        """The newest frame; blocks for `stall_timeout_ms` at most."""
        if self._fd < 0:
            raise CameraError(f"camera {self.name} is not open")
        first, self._unread = self._unread, None
        try:
            frame = self._newest()
            if frame is None:
                frame = first if first is not None else self._wait(self._settings.stall_timeout_s)
        except OSError as error:
            raise self._failure(error) from error
        if frame is None:
            raise CameraStalledError(
                f"camera {self.name}: no frame for {self._settings.stall_timeout_s * 1e3:g} ms"
            )
        return frame

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        for memory in self._buffers:
            memory.close()
        self._buffers, self._unread = [], None
        if fd >= 0:
            os.close(fd)  # which ends the stream and gives the buffers back

    def _require_capture(self) -> None:
        found = abi.Capability()
        abi.call(self._fd, abi.QUERYCAP, found)
        caps = found.device_caps if found.capabilities & abi.CAP_DEVICE_CAPS else found.capabilities
        self._stamps_exposure = found.driver != b"uvcvideo"  # says so, but takes the first packet's time
        if caps & abi.CAP_VIDEO_CAPTURE and caps & abi.CAP_STREAMING:
            return
        advice = "choose the camera's first device"
        if caps & abi.CAP_VIDEO_CAPTURE_MPLANE:
            advice = "use a gstreamer camera with v4l2src"
        card = found.card.decode(errors="replace")
        raise CameraError(
            f"camera {self.name}: {self._device} ({card}) delivers no single-plane video; {advice}"
        )

    def _agree_on_format(self) -> None:
        s = self._settings
        wanted = abi.Format(type=abi.BUF_TYPE_VIDEO_CAPTURE)
        pix = wanted.fmt.pix
        pix.width, pix.height, pix.field = s.width_px, s.height_px, abi.FIELD_NONE
        pix.pixelformat = abi.fourcc(_FOURCC[s.promised])
        abi.call(self._fd, abi.S_FMT, wanted)  # the driver answers with the nearest that it has
        found = (abi.fourcc_text(pix.pixelformat), pix.width, pix.height)
        promised = (_FOURCC[s.promised].strip(), s.width_px, s.height_px)
        if found != promised:
            raise CameraError(
                f"camera {self.name}: {self._device} delivers {found[0]} {found[1]}x{found[2]} where the "
                f"configuration promises {promised[0]} {promised[1]}x{promised[2]}; "
                f"`v4l2-ctl -d {self._device} --list-formats-ext` lists what it can"
            )
        self._stride = max(pix.bytesperline, row_bytes(s.promised, s.width_px or 0))

    def _ask_for_rate(self) -> None:
        wanted_hz = self._settings.rate_hz or 30.0
        parm = abi.StreamParm(type=abi.BUF_TYPE_VIDEO_CAPTURE)
        period = parm.parm.capture.timeperframe
        period.numerator, period.denominator = 1000, round(1000 * wanted_hz)
        try:
            abi.call(self._fd, abi.S_PARM, parm)
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise
            return  # the driver has one rate only
        found_hz = period.denominator / period.numerator if period.numerator else wanted_hz
        if abs(found_hz - wanted_hz) > 0.05 * wanted_hz:
            _log.warning(
                "camera %s: delivers %.3g frames per second, not %.3g", self.name, found_hz, wanted_hz
            )

    def _start(self) -> None:
        request = abi.RequestBuffers(count=_BUFFERS, type=abi.BUF_TYPE_VIDEO_CAPTURE, memory=abi.MEMORY_MMAP)
        abi.call(self._fd, abi.REQBUFS, request)
        for index in range(request.count):
            buffer = self._blank()
            buffer.index = index
            abi.call(self._fd, abi.QUERYBUF, buffer)
            self._buffers.append(mmap.mmap(self._fd, buffer.length, offset=buffer.m.offset))
            abi.call(self._fd, abi.QBUF, buffer)
        abi.call(self._fd, abi.STREAMON, c_int(abi.BUF_TYPE_VIDEO_CAPTURE))

    def _wait(self, timeout_s: float) -> Frame | None:
        """The newest frame, once there is one; None if none came in time."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            for _, event in poll.poll(max(1, round(left_s * 1e3))):
                if not event & select.POLLIN:
                    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            frame = self._newest()
            if frame is not None:
                return frame
        return None

    def _newest(self) -> Frame | None:
        """The newest filled buffer as a frame; older and damaged ones go straight back to the driver.

        None if no buffer is filled, or if all are: the driver has dropped newer frames since.
        """
        newest: abi.Buffer | None = None
        filled = 0
        while filled < len(self._buffers) and (buffer := self._dequeue()) is not None:
            filled += 1
            if buffer.flags & abi.BUF_FLAG_ERROR:
                abi.call(self._fd, abi.QBUF, buffer)
                continue
            if newest is not None:
                abi.call(self._fd, abi.QBUF, newest)
            newest = buffer
        if newest is None:
            return None
        if filled == len(self._buffers):
            abi.call(self._fd, abi.QBUF, newest)
            return None
        data = self._buffers[newest.index][: newest.bytesused or None]
        stamp_ns, source = self._timing(newest)
        abi.call(self._fd, abi.QBUF, newest)
        return self._frame(data, newest.sequence, stamp_ns, source)

    def _frame(self, data: bytes, sequence: int, stamp_ns: int, source: TimeSource) -> Frame:
        s = self._settings
        width, height, stride = s.width_px or 0, s.height_px or 0, self._stride
        try:
            image = picture(data, s.promised, width, height, (stride, stride), (0, stride * height))
        except CameraError as error:
            raise CameraError(f"camera {self.name}: {error}") from None
        return Frame(
            image,
            self.modality,
            stamp_ns + s.capture_offset_ns,
            sequence,
            self.name,
            s.promised,
            source,
            s.uncertainty_ns(source),
        )

    def _timing(self, buffer: abi.Buffer) -> tuple[int, TimeSource]:
        """When the buffer was filled, and who says so."""
        now_ns = time.monotonic_ns()
        stamp_ns = buffer.timestamp.tv_sec * 1_000_000_000 + buffer.timestamp.tv_usec * 1_000
        monotonic = buffer.flags & abi.BUF_FLAG_TIMESTAMP_MASK == abi.BUF_FLAG_TIMESTAMP_MONOTONIC
        if not monotonic or not 0 < stamp_ns <= now_ns:
            return now_ns, TimeSource.ARRIVAL
        if self._settings.time_source is not None:
            return stamp_ns, TimeSource(self._settings.time_source)
        at_exposure = buffer.flags & abi.BUF_FLAG_TSTAMP_SRC_MASK == abi.BUF_FLAG_TSTAMP_SRC_SOE
        return stamp_ns, TimeSource.SENSOR if at_exposure and self._stamps_exposure else TimeSource.DRIVER

    def _dequeue(self) -> abi.Buffer | None:
        buffer = self._blank()
        try:
            abi.call(self._fd, abi.DQBUF, buffer)
        except BlockingIOError:
            return None
        return buffer

    def _blank(self) -> abi.Buffer:
        return abi.Buffer(type=abi.BUF_TYPE_VIDEO_CAPTURE, memory=abi.MEMORY_MMAP)

    def _failure(self, error: OSError) -> CameraError:
        text = error.strerror or str(error)
        advice = _WHAT_TO_DO.get(error.errno or 0)
        return CameraError(f"camera {self.name}: {self._device}: {text}" + (f"; {advice}" if advice else ""))
