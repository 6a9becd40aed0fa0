"""Faulty pictures are noticed; good ones, however poor, are left alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from broken_pictures import BROKEN

from edge_rgbt.cameras.images import read_rgb, read_thermal
from edge_rgbt.cameras.synthetic import SyntheticCamera, TimingFaults
from edge_rgbt.picture_faults import FROZEN_AFTER_NS, PictureWatch
from edge_rgbt.sim import make_scenario
from edge_rgbt.sim.conditions import PRESETS
from edge_rgbt.types import Frame, Modality, PictureFault, PixelFormat

PERIOD_NS = 33_333_333
WIDTH, HEIGHT = 320, 256
KINDS = ("rgb", "thermal 8 bit", "thermal 16 bit")


class Pan:
    """Noisy pictures of a rich scene seen by a camera that turns sideways."""

    def __init__(self, kind: str, seed: int = 0, contrast: float = 1.0, noise: float = 3.0, pan_px: int = 6):
        self.kind, self.contrast, self.noise, self.pan_px = kind, contrast, noise, pan_px
        self._rng = np.random.default_rng(seed)
        scene = np.zeros((HEIGHT, 2 * WIDTH), np.float32)
        for cell in (4, 12, 40):
            coarse = self._rng.random((HEIGHT // cell + 2, 2 * WIDTH // cell + 2), np.float32)
            scene += cv2.resize(coarse, scene.shape[::-1], interpolation=cv2.INTER_CUBIC)
        self._scene = scene * 70 + 10

    def image(self, t: int) -> np.ndarray:
        x = self.pan_px * t % WIDTH
        noise = self._rng.normal(0, self.noise, (HEIGHT, WIDTH))
        grey = 60 + self.contrast * (self._scene[:, x : x + WIDTH] - 60) + noise
        if self.kind == "thermal 16 bit":
            return (20_000 + 8 * grey).astype(np.uint16)
        grey = np.clip(grey, 0, 255).astype(np.uint8)
        return np.dstack([grey, grey, grey]) if self.kind == "rgb" else grey


def _frame(image: np.ndarray, t: int = 0, **more) -> Frame:
    modality = Modality.RGB if image.ndim == 3 else Modality.TIR
    return Frame(image, modality, t * PERIOD_NS, t, **more)


def _judged(images: list[np.ndarray]) -> list[PictureFault | None]:
    frames = [_frame(image, t) for t, image in enumerate(images)]
    watch = PictureWatch(frames[0].modality)
    return [watch.judge(frame) for frame in frames]


@pytest.mark.parametrize("kind", KINDS)
def test_live_pictures_raise_no_alarm(kind):
    pan = Pan(kind)
    assert _judged([pan.image(t) for t in range(20)]) == [None] * 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BROKEN)
def test_broken_picture_is_recognised_at_once_and_the_next_one_is_good_again(kind, name):
    fault, breaking = BROKEN[name]
    pan = Pan(kind, seed=1)
    images = [pan.image(t) for t in range(6)]
    images[4] = breaking(images[4], images[3], np.random.default_rng(2))
    assert _judged(images) == [None] * 4 + [fault, None]


def test_faults_are_counted():
    pan = Pan("rgb")
    watch = PictureWatch(Modality.RGB)
    for t, image in enumerate([pan.image(0), np.zeros_like(pan.image(0)), pan.image(1)]):
        watch.judge(_frame(image, t))
    assert watch.counts[PictureFault.BLACK] == 1
    assert sum(watch.counts.values()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_repeated_picture_is_frozen_only_when_that_lasts(kind):
    pan = Pan(kind)
    image = pan.image(0)
    faults = _judged([image] * 6 + [pan.image(1)])
    patient = FROZEN_AFTER_NS // PERIOD_NS  # repetitions still taken for a slow sensor behind a fast link
    assert faults == [None] * (patient + 1) + [PictureFault.FROZEN] * (5 - patient) + [None]


def test_frame_that_the_camera_flags_is_frozen_at_once():
    pan = Pan("thermal 16 bit")
    watch = PictureWatch(Modality.TIR)
    assert watch.judge(_frame(pan.image(0), 0)) is None
    assert watch.judge(_frame(pan.image(1), 1, held=True)) is PictureFault.FROZEN
    assert watch.judge(_frame(pan.image(2), 2)) is None


def test_dead_camera_that_repeats_black_stays_black():
    assert _judged([np.zeros((HEIGHT, WIDTH), np.uint8)] * 8) == [PictureFault.BLACK] * 8


@pytest.mark.parametrize("pixel_format", [PixelFormat.NV12, PixelFormat.YUYV])
def test_black_and_white_of_video_levels_are_recognised(pixel_format):
    shape = (HEIGHT * 3 // 2, WIDTH) if pixel_format is PixelFormat.NV12 else (HEIGHT, WIDTH, 2)
    for level, fault in ((16, PictureFault.BLACK), (235, PictureFault.SATURATED)):
        frame = Frame(np.full(shape, level, np.uint8), Modality.RGB, 0, 0, pixel_format=pixel_format)
        assert PictureWatch(Modality.RGB).judge(frame) is fault


def test_dead_pixels_do_not_hide_a_black_picture():
    image = np.zeros((512, 640), np.uint8)
    image[8, 8] = image[80, 400] = 255
    assert _judged([image]) == [PictureFault.BLACK]


@pytest.mark.parametrize("sky", [0, 3])
def test_small_hot_target_in_an_empty_sky_is_a_picture(sky):
    image = np.random.default_rng(0).normal(sky, 1.5, (512, 640)).clip(0, 255).astype(np.uint8)
    image[200:216, 300:316] = 180
    assert _judged([image]) == [None]


def test_structure_far_below_the_noise_is_a_picture():
    pan = Pan("thermal 16 bit", contrast=0.15, noise=12.0)  # noise twice as strong as the scene
    assert _judged([pan.image(t) for t in range(10)]) == [None] * 10


def test_thermal_scene_of_few_counts_is_a_picture():
    pan = Pan("thermal 16 bit", contrast=0.04, noise=0.5)
    assert _judged([pan.image(t) for t in range(5)]) == [None] * 5


def test_sharp_horizon_is_no_tear():
    pan = Pan("rgb")
    images = [pan.image(t) for t in range(6)]
    for image in images:
        image[:100] = image[:100] // 2 + 120
    assert _judged(images) == [None] * 6


def test_bar_of_text_that_never_changes_is_no_tear():
    pan = Pan("rgb")
    images = [pan.image(t) for t in range(8)]
    text = np.random.default_rng(5).choice([0, 255], (10, WIDTH // 4, 1)).astype(np.uint8)
    for image in images:
        image[-40:] = np.kron(text, np.ones((4, 4, 1), np.uint8))
    assert _judged(images) == [None] * 8


def test_still_camera_with_little_noise_is_neither_torn_nor_frozen():
    """Decoded video repeats most of a still scene bit by bit; only what moves is new."""
    pan = Pan("thermal 8 bit", pan_px=0, noise=0.0)
    images = [pan.image(t) for t in range(10)]
    for t, image in enumerate(images):
        image[40:90, 20 + 8 * t : 60 + 8 * t] = 200
    assert _judged(images) == [None] * 10


def test_other_size_or_a_clock_set_back_starts_anew():
    pan = Pan("rgb")
    watch = PictureWatch(Modality.RGB)
    image = pan.image(0)
    assert watch.judge(_frame(image, 100)) is None
    assert watch.judge(_frame(np.ascontiguousarray(image[:128]), 101)) is None
    assert watch.judge(dataclasses.replace(_frame(image, 102), timestamp_ns=0)) is None
    assert watch.judge(dataclasses.replace(_frame(image, 103), timestamp_ns=PERIOD_NS)) is None


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (3, 200, 3), (33, 17)])
def test_tiny_pictures_are_judged_without_error(shape):
    images = [np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8) for seed in range(4)]
    assert len(_judged(images)) == 4


def test_driver_may_write_the_next_picture_into_the_same_memory():
    pan = Pan("rgb")
    watch, buffer = PictureWatch(Modality.RGB), pan.image(0)
    for t in range(8):
        buffer[:] = pan.image(t)
        assert watch.judge(_frame(buffer, t)) is None


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_simulated_weather_raises_no_alarm(preset):
    scenario = make_scenario(3, preset, 0.5)
    for modality in Modality:
        assert _alarms(iter(SyntheticCamera(scenario, modality).read, None)) == []


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["gtot/Quarreling", "rgbt234/elecbike3", "vtuav/bus1"])
def test_recorded_sequences_raise_no_alarm(shared_data, folder):
    for files in sorted(p for p in (shared_data / "sequences" / folder).iterdir() if p.is_dir()):
        reader = read_thermal if files.name in ("i", "ir", "infrared") else read_rgb
        images = (reader(path) for path in sorted(files.iterdir())[:40])
        assert _alarms(_frame(image, t) for t, image in enumerate(images)) == []


def _alarms(frames: Iterator[Frame]) -> list[str]:
    watch, alarms = None, []
    for frame in frames:
        watch = watch or PictureWatch(frame.modality)
        fault = watch.judge(frame)
        if fault is not None:
            alarms.append(f"{fault.value} in frame {frame.sequence} of {frame.source}")
    assert watch is not None
    return alarms


@pytest.mark.slow
@pytest.mark.parametrize("flagged", [True, False])
def test_shutter_of_the_simulated_camera_is_found_by_its_flag_or_by_its_pictures(flagged):
    faults = TimingFaults(freeze_every_s=1.5, freeze_s=(0.3, 0.6))
    camera = SyntheticCamera(make_scenario(3, "day", 4.0), Modality.TIR, 30.0, faults)
    watch = PictureWatch(Modality.TIR)
    closed, found, first_ns = 0, 0, None
    for frame in iter(camera.read, None):
        shut = camera.frozen(frame.sequence)
        first_ns = (frame.timestamp_ns if first_ns is None else first_ns) if shut else None
        fault = watch.judge(dataclasses.replace(frame, held=shut and flagged))
        closed, found = closed + shut, found + (fault is not None)
        assert fault in (None, PictureFault.FROZEN)
        assert shut or fault is None
        if shut and (flagged or frame.timestamp_ns - first_ns >= FROZEN_AFTER_NS):
            assert fault is PictureFault.FROZEN
    assert closed > 10
    assert found == closed if flagged else 0.5 * closed < found < closed
