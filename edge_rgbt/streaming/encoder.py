"""Which H.264 encoder a machine really has: the hardware's where it works, x264 at a bounded cost elsewhere.

Orin NX and AGX encode in hardware, Orin Nano has no encoder although the plugin is there; so each one is
started once before it is believed. The Jetson encoder was not yet run on a device.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from edge_rgbt.cameras.system_gi import GStreamer
from edge_rgbt.errors import UsageError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoder:
    """element: as GStreamer names it. pipeline: from I420 pictures to H.264, to be filled in."""

    element: str
    pipeline: str

    def launch(self, bitrate_kbps: int, rate_hz: float) -> str:
        """Pipeline text; a whole picture every second, so that a client that joins sees one soon."""
        return self.pipeline.format(kbps=bitrate_kbps, bps=bitrate_kbps * 1000, keys=max(round(rate_hz), 1))


# In the order of preference. One slice thread: x264 must not take the cores of the tracker.
ENCODERS = (
    Encoder(
        "nvv4l2h264enc",
        "nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc bitrate={bps} "
        "iframeinterval={keys} idrinterval={keys} insert-sps-pps=true maxperf-enable=true",
    ),
    Encoder(
        "v4l2h264enc",
        "v4l2convert ! v4l2h264enc extra-controls=controls,video_bitrate={bps},h264_i_frame_period={keys} "
        "! video/x-h264,level=(string)4",
    ),
    Encoder(
        "x264enc",
        "x264enc tune=zerolatency speed-preset=ultrafast bitrate={kbps} key-int-max={keys} threads=1 "
        "sliced-threads=false",
    ),
)


def choose_encoder(gst: GStreamer, wanted: str = "auto") -> Encoder:
    """The first that works, or the one asked for. Raises UsageError if there is none."""
    candidates = [one for one in ENCODERS if wanted in ("auto", one.element)]
    if not candidates:
        known = ", ".join(one.element for one in ENCODERS)
        raise UsageError(f"video.encoder is '{wanted}', expected auto or one of {known}")
    for encoder in candidates:
        if _starts(gst, encoder.element):
            return encoder
        LOG.info("H.264 encoder %s is not usable here", encoder.element)
    raise UsageError(
        "no H.264 encoder: on a PC or an Orin Nano apt install gstreamer1.0-plugins-ugly (x264enc); on other "
        "Jetsons see `gst-inspect-1.0 nvv4l2h264enc`"
    )


def _starts(gst: GStreamer, element: str) -> bool:
    made = gst.Gst.ElementFactory.make(element, None)
    if made is None:
        return False
    result = made.set_state(gst.Gst.State.READY)
    made.set_state(gst.Gst.State.NULL)
    return result != gst.Gst.StateChangeReturn.FAILURE
