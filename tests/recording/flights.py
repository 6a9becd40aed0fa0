"""Short flights to record: pictures with noise in every bit, and a loop with a small real network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from bundles import tiny_bundle
from worlds import FRAME_NS, path_box, square_pair

from edge_rgbt.recording import FlightContext, FlightRecorder, RecorderSettings, open_recording
from edge_rgbt.recording.recorder import recorded_step
from edge_rgbt.register import Registration
from edge_rgbt.runtime import open_loop
from edge_rgbt.types import Box, Frame, Modality, TrackState

LOSSLESS = RecorderSettings(rgb="png", tir="raw", min_free_mb=0)


def noise_frame(k: int, modality: Modality, size: tuple[int, int] = (64, 48), bits: int = 16) -> Frame:
    """Frame k of a camera at 30 Hz that sees nothing but noise."""
    rng = np.random.default_rng([k, bits])
    width, height = size
    if modality is Modality.RGB:
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
    else:
        image = rng.integers(0, 1 << bits, (height, width), np.uint16 if bits == 16 else np.uint8)
    return Frame(image, modality, 1_000 + k * FRAME_NS, k, f"noise {modality.value}")


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("*.mcap")
    return path


def record_loop(
    folder: Path,
    bundle: Path,
    steps: int = 30,
    settings: RecorderSettings = LOSSLESS,
    starts: dict[int, Box] | None = None,
    before_step: Callable[[int, FlightRecorder], None] = lambda t, recorder: None,
) -> list[TrackState]:
    """Flies a real loop over a moving square, 16-bit thermal of half size, and records it."""
    starts = {2: path_box(2)} if starts is None else starts
    written = tiny_bundle(bundle)
    registration = Registration.stretch((160, 128), (320, 256))
    loop = open_loop(written, threads=1, registration=registration)
    states, flying = [], False
    context = FlightContext(written, loop.engine_info, "[cameras]\n", "")
    with FlightRecorder(folder, settings, context) as recorder:
        for t in range(steps):
            pair = square_pair(t, path_box(t), thermal_dtype=np.uint16, thermal_size=(160, 128))
            recorder.frame(pair.rgb)
            recorder.frame(pair.tir)
            before_step(t, recorder)
            flying = flying or t in starts
            if flying:
                states.append(recorded_step(loop, recorder, pair, starts.get(t)))
            else:
                recorder.pair(pair)
        recorder.close(timeout_s=120)  # on a machine so busy that ten seconds are nothing
    loop.close()
    return states


def end_of(path: Path):
    """How a recording's only file ended."""
    recording = open_recording(path)
    for _ in recording:
        pass
    (end,) = recording.ends.values()
    return end


def without_message(path: Path, copy: Path, topic: str, index: int) -> Path:
    """A copy of a recording that lacks one message, as after a full queue."""
    from mcap.reader import make_reader
    from mcap.writer import Writer

    with path.open("rb") as source, copy.open("wb") as sink:
        reader, writer = make_reader(source), Writer(sink)
        writer.start()
        for metadata in reader.iter_metadata():
            writer.add_metadata(metadata.name, metadata.metadata)
        channels, seen = {}, 0
        for schema, channel, message in reader.iter_messages(log_time_order=False):
            if channel.id not in channels:
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = writer.register_channel(
                    channel.topic, channel.message_encoding, number
                )
            seen += channel.topic == topic
            if channel.topic == topic and seen == index + 1:
                continue
            at = channels[channel.id]
            writer.add_message(at, message.log_time, message.data, message.publish_time, message.sequence)
        writer.finish()
    return copy
