"""What is recorded comes back: pictures bit by bit, numbers exactly, texts and bytes unchanged."""

from __future__ import annotations

import dataclasses
import json
import time

import numpy as np
import pytest
from bundles import tiny_bundle
from flights import LOSSLESS, end_of, noise_frame, only_file, record_loop
from worlds import path_box

from edge_rgbt.errors import UsageError
from edge_rgbt.recording import FlightContext, FlightRecorder, RecorderSettings, open_recording, topics
from edge_rgbt.recording.inputs import LoopInputs
from edge_rgbt.recording.reader import SAME_AS_BEFORE
from edge_rgbt.register import Lens, Registration
from edge_rgbt.types import Box, Frame, FramePair, Modality, PixelFormat, StageTiming, TrackState, TrackStatus

pytest.importorskip("mcap", reason="needs the record extra")
pytest.importorskip("google.protobuf", reason="needs the record extra")

NOTHING = LoopInputs(None, None)


def frames_like(frame: Frame, settings: RecorderSettings, folder) -> list[Frame]:
    with FlightRecorder(folder, settings) as recorder:
        recorder.frame(frame)
    return list(open_recording(only_file(folder)).frames())


@pytest.mark.parametrize("encoding", ["png", "raw"])
@pytest.mark.parametrize("layout", PixelFormat)
def test_every_pixel_format_comes_back_bit_by_bit(tmp_path, encoding, layout):
    shape = {
        PixelFormat.RGB: (48, 64, 3),
        PixelFormat.BGR: (48, 64, 3),
        PixelFormat.NV12: (72, 64),
        PixelFormat.YUYV: (48, 64, 2),
        PixelFormat.GRAY8: (48, 64),
        PixelFormat.GRAY16: (48, 64),
    }[layout]
    dtype = np.uint16 if layout is PixelFormat.GRAY16 else np.uint8
    image = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    modality = Modality.TIR if layout in (PixelFormat.GRAY8, PixelFormat.GRAY16) else Modality.RGB
    frame = Frame(image, modality, 123_456_789_012, 7, "camera", layout, time_uncertainty_ns=5_000, held=True)
    settings = RecorderSettings(rgb=encoding, tir=encoding, min_free_mb=0)
    (found,) = frames_like(frame, settings, tmp_path)
    assert found.image.dtype == dtype
    assert np.array_equal(found.image, image)
    for field in dataclasses.fields(Frame):
        if field.name != "image":
            assert getattr(found, field.name) == getattr(frame, field.name), field.name


def test_views_into_larger_arrays_come_back_too(tmp_path):
    whole = np.random.default_rng(5).integers(0, 65536, (100, 120), np.uint16)
    frame = Frame(whole[10:58, 20:84], Modality.TIR, 0, 0)
    (found,) = frames_like(frame, LOSSLESS, tmp_path)
    assert np.array_equal(found.image, whole[10:58, 20:84])


def test_jpeg_is_near_in_colour_and_sixteen_bits_stay_raw(tmp_path):
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    image = np.dstack([np.tile(ramp, (48, 1)), np.full((48, 64), 30, np.uint8), np.tile(ramp[::-1], (48, 1))])
    settings = RecorderSettings(rgb="jpeg", tir="jpeg", min_free_mb=0)
    counts = noise_frame(0, Modality.TIR)
    with FlightRecorder(tmp_path, settings) as recorder:
        recorder.frame(Frame(image, Modality.RGB, 0, 0))
        recorder.frame(counts)
    rgb, tir = open_recording(only_file(tmp_path)).frames()
    assert np.abs(rgb.image.astype(int) - image).mean() < 4
    assert np.array_equal(tir.image, counts.image)


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_every_compression_can_be_read(tmp_path, compression):
    settings = RecorderSettings(rgb="raw", tir="raw", compression=compression, min_free_mb=0)
    (found,) = frames_like(noise_frame(1, Modality.RGB), settings, tmp_path)
    assert np.array_equal(found.image, noise_frame(1, Modality.RGB).image)


def test_tracks_come_back_exactly(tmp_path):
    pair = FramePair(noise_frame(0, Modality.RGB), noise_frame(0, Modality.TIR), handed_ns=77)
    timings = (StageTiming("crop", 123), StageTiming("infer", 456))
    state = TrackState(Box(0.1, 1 / 3, 2e-7, 1e6), 0.1 + 0.2, TrackStatus.LOST, 5, -7, timings=timings)
    with FlightRecorder(tmp_path, LOSSLESS) as recorder:
        recorder.step(pair, state, LoopInputs((20_000.1, 1 / 7, 99), None), Box(1, 2, 3, 4))
    (found,) = open_recording(only_file(tmp_path)).pairs()
    assert found.step is not None
    assert found.step.state == state
    assert found.step.start == Box(1, 2, 3, 4)
    assert found.step.thermal == (20_000.1, 1 / 7, 99)
    decoded = found.decode()
    assert decoded is not None
    assert decoded.handed_ns == 77
    assert np.array_equal(decoded.tir.image, pair.tir.image)


def test_a_registration_with_lenses_comes_back_to_the_last_bit(tmp_path):
    lenses = (Lens((700.1, 701.3), (320.7, 255.1), (-0.1, 1 / 30)), Lens((900.0, 900.0), (80, 60)))
    matrix = np.array([[1.01, 0.02, 3.3], [-0.01, 0.99, 1 / 3], [1e-5, 2e-5, 1.1]])
    registration = Registration(matrix, (64, 48), (64, 48), lenses)
    pair = FramePair(noise_frame(0, Modality.RGB), noise_frame(0, Modality.TIR, bits=8))
    state = TrackState(Box(1, 2, 3, 4), 1.0, TrackStatus.TRACKING, 5)
    with FlightRecorder(tmp_path, LOSSLESS) as recorder:
        recorder.step(pair, state, LoopInputs(None, registration), Box(1, 2, 3, 4))
        recorder.step(pair, state, LoopInputs(None, registration))
        recorder.step(pair, state, LoopInputs(None, None))
    first, second, third = (p.step.registration for p in open_recording(only_file(tmp_path)).pairs())
    assert second is SAME_AS_BEFORE
    assert third is None
    assert np.array_equal(first.apply(pair).tir.image, registration.apply(pair).tir.image)
    assert np.array_equal(first.matrix, registration.matrix)


def test_a_pair_carries_the_times_that_pairing_gave_it(tmp_path):
    rgb, tir = noise_frame(4, Modality.RGB), noise_frame(9, Modality.TIR)
    moved = dataclasses.replace(tir, timestamp_ns=tir.timestamp_ns - 37_000_000)
    with FlightRecorder(tmp_path, LOSSLESS) as recorder:
        recorder.frame(tir)
        recorder.frame(rgb)
        recorder.pair(FramePair(rgb, moved))
    recording = open_recording(only_file(tmp_path))
    assert [f.timestamp_ns for f in recording.frames(Modality.TIR)] == [tir.timestamp_ns]
    (pair,) = recording.pairs()
    assert pair.step is None
    assert pair.decode().tir.timestamp_ns == moved.timestamp_ns
    assert pair.decode().tir.sequence == 9


def test_a_picture_that_is_used_for_long_is_still_found(tmp_path):
    held = noise_frame(0, Modality.TIR)
    last_good = noise_frame(1, Modality.TIR)
    with FlightRecorder(tmp_path, LOSSLESS) as recorder:
        recorder.frame(held)
        recorder.frame(last_good)
        for k in range(3 * topics.REACH):
            rgb, tir = noise_frame(k, Modality.RGB), noise_frame(k + 10, Modality.TIR)
            recorder.frame(rgb)
            recorder.frame(tir)  # comes, and is not wanted
            recorder.pair(FramePair(rgb, held if k < 2 * topics.REACH else last_good))
    pairs = list(open_recording(only_file(tmp_path)).pairs())
    assert np.array_equal(pairs[2 * topics.REACH - 1].decode().tir.image, held.image)
    assert np.array_equal(pairs[-1].decode().tir.image, last_good.image)


def test_notes_and_mavlink_bytes_come_back(tmp_path):
    with FlightRecorder(tmp_path, LOSSLESS) as recorder:
        recorder.health({"cpu_c": 61.5, "queues": {"rgb": 1}, "share": np.float32(0.5), "none": float("nan")})
        recorder.event("camera lost", {"camera": "tir"})
        recorder.mavlink("udpout:127.0.0.1:14550", True, bytes(range(256)), 123)
        recorder.mavlink("udpout:127.0.0.1:14550", False, b"\xfd\x00", 456)
    recording = open_recording(only_file(tmp_path))
    (health,) = recording.notes(topics.HEALTH)
    assert health.value == {"cpu_c": 61.5, "queues": {"rgb": 1}, "share": 0.5, "none": None}
    (event,) = recording.notes(topics.EVENT)
    assert event.value == {"name": "camera lost", "what": {"camera": "tir"}}
    (sent,) = recording.notes(topics.MAVLINK["out"])
    assert (sent.data, sent.value["endpoint"]) == (bytes(range(256)), "udpout:127.0.0.1:14550")
    (heard,) = recording.notes(topics.MAVLINK["in"])
    assert heard.data == b"\xfd\x00"


def test_the_head_says_what_flew(tmp_path):
    bundle = tiny_bundle(tmp_path / "bundle")
    context = FlightContext(bundle, None, "[tracker]\nx = 1\n", "[pair]\n", {"vehicle": "test"})
    with FlightRecorder(tmp_path / "log", LOSSLESS, context) as recorder:
        recorder.event("hello")
    recording = open_recording(only_file(tmp_path / "log"))
    assert recording.metadata["bundle"] == "brightness-match 1"
    assert recording.metadata["vehicle"] == "test"
    assert recording.attachments["configuration.toml"] == b"[tracker]\nx = 1\n"
    assert recording.attachments["calibration.toml"] == b"[pair]\n"
    manifest = json.loads(recording.attachments["manifest.json"])
    assert manifest["files"]["model.onnx"]["sha256"] == bundle.manifest.files["model.onnx"].sha256


def test_everything_is_in_the_order_of_logging(tmp_path):
    record_loop(tmp_path / "log", tmp_path / "bundle", steps=12)
    recording = open_recording(only_file(tmp_path / "log"))
    times = [entry.log_ns for entry in recording]
    assert times == sorted(times)
    assert len(times) == 12 * 3
    assert end_of(recording.path).whole


def test_small_files_follow_each_other_and_read_as_one_flight(tmp_path):
    settings = dataclasses.replace(LOSSLESS, rgb="raw", segment_mb=1, flush_ms=10)
    paths = []

    def pause(t: int, recorder: FlightRecorder) -> None:
        time.sleep(0.015)
        paths[:] = [recorder.path]

    states = record_loop(tmp_path / "log", tmp_path / "bundle", 24, settings, before_step=pause)
    files = sorted((tmp_path / "log").iterdir(), key=lambda path: len(path.name))
    assert len(files) > 2
    recording = open_recording(files[0])
    assert recording.files == [files[0], *sorted(files[1:])]
    assert list(recording.tracks()) == states
    assert len(list(recording.pairs())) == 24
    assert paths == [files[0]]
    later = open_recording(sorted(files[1:])[0])
    assert later.metadata["flight"] == recording.metadata["flight"]
    assert 0 < len(list(later.pairs())) < 24


def test_foxglove_s_own_schemas_describe_the_images(tmp_path):
    """Read by the mcap library and the schemas in the file alone, as any other program would."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from mcap.reader import make_reader

    settings = RecorderSettings(rgb="jpeg", tir="raw", min_free_mb=0)
    record_loop(tmp_path / "log", tmp_path / "bundle", 6, settings)
    seen = {}
    with only_file(tmp_path / "log").open("rb") as file:
        for schema, channel, message in make_reader(file, validate_crcs=True).iter_messages():
            if schema.encoding == "jsonschema":
                assert isinstance(json.loads(message.data), dict)
                assert json.loads(schema.data)["type"] == "object"
                seen[channel.topic] = schema.name
                continue
            pool = descriptor_pool.DescriptorPool()
            for described in descriptor_pb2.FileDescriptorSet.FromString(schema.data).file:
                pool.Add(described)
            kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(schema.name))
            seen[channel.topic] = kind.FromString(message.data)
    assert seen["/rgb/image"].DESCRIPTOR.full_name == "foxglove.CompressedImage"
    assert seen["/rgb/image"].format == "jpeg"
    assert seen["/rgb/image"].data[:2] == b"\xff\xd8"
    raw = seen["/tir/image"]
    assert (raw.encoding, raw.width, raw.height, raw.step) == ("16UC1", 160, 128, 320)
    assert len(raw.data) == 320 * 128
    assert raw.timestamp.ToNanoseconds() == 5 * 33_333_333
    assert seen["/rgb/box"] == "foxglove.ImageAnnotations"
    assert seen["/track"] == "edge_rgbt.TrackState"


def test_impossible_settings_are_named():
    for name, value in (("rgb", "bmp"), ("compression", "zip"), ("queue_mb", 0), ("jpeg_quality", 101)):
        with pytest.raises(UsageError, match=rf"^{name} is '?{value}'?, expected "):
            RecorderSettings(**{name: value})


def test_the_drawn_box_turns_red_when_lost():
    box = path_box(0)
    colours = [
        topics.drawn_box(TrackState(box, 0.5, status, 0))["points"][0]["outline_color"]
        for status in (TrackStatus.TRACKING, TrackStatus.LOST)
    ]
    assert [(c["r"], c["g"]) for c in colours] == [(0.0, 1.0), (1.0, 0.0)]
