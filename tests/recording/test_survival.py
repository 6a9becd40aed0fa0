"""Recordings survive kill -9, cut and damaged files, full and read-only disks, and slow disks."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from flights import LOSSLESS, noise_frame, only_file

from edge_rgbt.errors import SequenceError
from edge_rgbt.recording import FlightRecorder, RecorderSettings, open_recording, topics
from edge_rgbt.recording.names import first_files
from edge_rgbt.recording.outbox import MOST_LINK_NOTES, Note, Outbox, Picture
from edge_rgbt.recording.reader import RecordedFrame
from edge_rgbt.types import Frame, Modality

pytest.importorskip("mcap", reason="needs the record extra")
pytest.importorskip("google.protobuf", reason="needs the record extra")

ROOT = Path(__file__).resolve().parents[2]
NS = 1_000_000_000


def kill_flights(folder: Path, count: int, longest_s: float, seed: int) -> list[dict]:
    """What the killed flights had handed over."""
    program = Path(__file__).with_name("killed_flights.py")
    command = [sys.executable, str(program), str(folder), str(count), str(longest_s), str(seed)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def require_survival(flight: dict) -> int:
    """Every file of a killed flight opens, in order, and no more than a second is missing; frames found."""
    number, handed_ns = flight["last"]
    folder = Path(flight["folder"])
    found: list[RecordedFrame] = []
    if folder.is_dir():
        for path in folder.glob("*.mcap"):
            open_recording(path)  # each file can be understood alone
        for path in first_files(folder):
            found += [e for e in open_recording(path) if isinstance(e, RecordedFrame)]
    rgb = [f for f in found if f.modality is Modality.RGB]
    assert [f.number for f in rgb] == list(range(len(rgb)))
    newest_ns = rgb[-1].log_ns if rgb else handed_ns - round(number / 30.0 * NS)
    # A machine that let the whole process wait lets its writing wait as well.
    assert (handed_ns - newest_ns) / NS <= 1.0 + max(0.0, flight["stall_s"])
    for frame in rgb[-1:]:
        frame.decode()
    return len(rgb)


def test_flights_killed_at_random_moments_lose_at_most_their_last_second(tmp_path):
    flights = kill_flights(tmp_path, count=5, longest_s=1.7, seed=3)
    assert len(flights) == 5
    assert max(map(require_survival, flights)) > 5


@pytest.mark.slow
def test_fifty_killed_flights_lose_at_most_their_last_second(tmp_path):
    flights = [
        flight
        for batch in range(5)
        for flight in kill_flights(tmp_path / str(batch), count=10, longest_s=4.0, seed=batch)
    ]
    assert len(flights) == 50
    frames = list(map(require_survival, flights))
    assert sum(count > 0 for count in frames) > 35


def recorded(folder: Path, frames: int = 6, settings: RecorderSettings = LOSSLESS) -> Path:
    """A finished recording of small frames, several chunks long."""
    settings = dataclasses.replace(settings, flush_ms=10)
    with FlightRecorder(folder, settings) as recorder:
        for k in range(frames):
            before = recorder.counters.bytes
            recorder.frame(noise_frame(k, Modality.TIR, (32, 24)))
            recorder.event("tick", {"k": k})
            wait_until(lambda: recorder.counters.bytes > before)  # noqa: B023  asked at once
    return only_file(folder)


def right_frames(path: Path, whole: dict[int, np.ndarray]) -> list[int]:
    """Sequence numbers of what a broken file gives, every picture checked; none if it is refused."""
    try:
        frames = list(open_recording(path).frames())
    except SequenceError:
        return []
    for frame in frames:
        assert np.array_equal(frame.image, whole[frame.sequence])
    return [frame.sequence for frame in frames]


def images_of(path: Path) -> dict[int, np.ndarray]:
    return {frame.sequence: frame.image for frame in open_recording(path).frames()}


def test_a_file_cut_anywhere_gives_its_beginning(tmp_path):
    path = recorded(tmp_path / "log")
    data, whole = path.read_bytes(), images_of(path)
    cut = tmp_path / "cut.mcap"
    counts = []
    for length in range(0, len(data), max(1, len(data) // 60)):
        cut.write_bytes(data[:length])
        found = right_frames(cut, whole)
        assert found == list(range(len(found)))
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == len(whole) == 6
    assert len(set(counts)) > 3


def test_a_cut_file_says_what_it_lost(tmp_path):
    path = recorded(tmp_path / "log")
    path.write_bytes(path.read_bytes()[:-300])
    recording = open_recording(path)
    list(recording)
    (end,) = recording.ends.values()
    assert (end.whole, end.lost_bytes > 0) == (False, True)
    assert path.name in recording.loss()


def test_a_tail_of_zeros_ends_the_file(tmp_path):
    path = recorded(tmp_path / "log")
    data, whole = path.read_bytes(), images_of(path)
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) // 2))
    assert 0 < len(right_frames(path, whole)) < len(whole)


def test_damaged_bytes_never_give_a_wrong_picture(tmp_path):
    path = recorded(tmp_path / "log")
    data, whole = path.read_bytes(), images_of(path)
    chunks = data.index(b"/tir/frame") - 200
    rng = np.random.default_rng(11)
    broken = tmp_path / "broken.mcap"
    counts = []
    for place in rng.integers(chunks, len(data), 60):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        broken.write_bytes(damaged)
        counts.append(len(right_frames(broken, whole)))
    assert min(counts) < len(whole)
    assert max(counts) == len(whole)  # damage to an index costs nothing


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x89MCAP0\r\n"])
def test_what_is_no_recording_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    with pytest.raises(SequenceError, match=r"x\.mcap: (is no MCAP file|holds no flight)"):
        open_recording(path)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of that size in `folder`; gives a way to remount it. Skips where that is not allowed."""
    folder.mkdir()
    quiet = {"stderr": subprocess.DEVNULL}
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.call(mount, **quiet):
        pytest.skip("needs the right to mount a small file system")
    try:
        yield lambda options: subprocess.check_call(["mount", "-o", f"remount,{options}", str(folder)])
    finally:
        subprocess.check_call(["umount", str(folder)])


def wait_until(true: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Fails if it does not become true in time."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


QUICK = RecorderSettings(rgb="raw", tir="raw", min_free_mb=0, flush_ms=10)


def put_frames(recorder: FlightRecorder, count: int, first: int = 0) -> None:
    for k in range(first, first + count):
        recorder.frame(noise_frame(k, Modality.TIR, (160, 120)))  # 38 kB


def test_a_full_disk_is_said_once_and_recording_goes_on_when_there_is_room(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("edge_rgbt.recording.disk.RETRY_S", 0.05)
    disk = tmp_path / "disk"
    with small_disk(disk, "2m"), caplog.at_level(logging.WARNING):
        filler = disk / "filler"
        filler.write_bytes(bytes(1_000_000))
        with FlightRecorder(disk, QUICK) as recorder:
            for first in range(0, 60, 10):
                put_frames(recorder, 10, first)
                time.sleep(0.02)
            wait_until(lambda: recorder.counters.lost > 0 and recorder.counters.queued == 0)
            assert recorder.problem == "No space left on device"
            lost = recorder.counters.lost
            filler.unlink()
            time.sleep(0.1)
            put_frames(recorder, 3, 100)
            wait_until(lambda: recorder.problem == "" and recorder.counters.queued == 0)
        counters = recorder.counters
        files = sorted(disk.glob("*.mcap"), key=lambda path: path.stat().st_mtime_ns)
        frames = [f.sequence for path in files for f in open_recording(path).frames()]
    assert counters.disk_errors >= 1
    assert counters.lost >= lost
    assert frames[-1] >= 100
    assert frames[0] == 0
    said = [record.getMessage() for record in caplog.records if "cannot record" in record.getMessage()]
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert any("recording goes on" in record.getMessage() for record in caplog.records)


def test_a_disk_that_turns_read_only_does_not_disturb(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_rgbt.recording.disk.RETRY_S", 0.05)
    disk = tmp_path / "disk"
    with small_disk(disk, "4m") as remount:
        keep = FlightRecorder(disk, QUICK)
        put_frames(keep, 5)
        wait_until(lambda: keep.counters.frames == 5)
        keep.close()
        remount("ro")
        with FlightRecorder(disk, QUICK) as recorder:
            put_frames(recorder, 5)
            wait_until(lambda: recorder.counters.lost == 5)
            assert recorder.problem == "Read-only file system"
            remount("rw")
            time.sleep(0.1)
            put_frames(recorder, 2, 50)
            wait_until(lambda: recorder.counters.frames == 2)
        assert len(list(disk.glob("*.mcap"))) == 2


def test_too_little_free_space_ends_the_recording_properly(tmp_path, caplog):
    with (
        caplog.at_level(logging.ERROR),
        FlightRecorder(tmp_path, RecorderSettings(min_free_mb=1e6)) as recorder,
    ):
        put_frames(recorder, 3)
        wait_until(lambda: recorder.counters.lost == 3)
    assert not list(tmp_path.glob("*.mcap*"))
    (said,) = [record.getMessage() for record in caplog.records]
    assert "recording needs 1e+06 MB (min_free_mb)" in said


def test_a_folder_that_cannot_be_is_counted_and_not_raised(tmp_path):
    (tmp_path / "file").write_text("")
    with FlightRecorder(tmp_path / "file" / "log", QUICK) as recorder:
        put_frames(recorder, 3)
        wait_until(lambda: recorder.counters.lost == 3)
    assert recorder.counters.disk_errors == 1
    assert recorder.path is None


def test_what_cannot_be_encoded_is_counted_and_the_rest_goes_on(tmp_path, caplog):
    with FlightRecorder(tmp_path, QUICK) as recorder:
        recorder.health({"odd": object()})
        recorder.health({"odd": object()})
        recorder.health({"fine": 1})
    assert (recorder.counters.refused, recorder.counters.messages) == (2, 1)
    assert [n.value for n in open_recording(only_file(tmp_path)).notes(topics.HEALTH)] == [{"fine": 1}]
    assert len([r for r in caplog.records if "cannot be recorded" in r.getMessage()]) == 1


def test_a_full_box_drops_its_oldest_pictures_and_keeps_every_note():
    box = Outbox(picture_bytes=10 * 64 * 48 * 2)
    for k in range(25):
        box.put(Picture(noise_frame(k, Modality.TIR), k))
        box.put(Note(topics.EVENT, {"k": k}, k))
    taken = [box.take(0) for _ in range(35)]
    assert box.take(0) is None
    assert [item.number for item in taken if isinstance(item, Picture)] == list(range(15, 25))
    assert [item.event_ns for item in taken if isinstance(item, Note)] == list(range(25))
    assert box.dropped_pictures == 15
    assert [item.order for item in taken if item] == sorted(item.order for item in taken if item)


def test_a_flooded_link_drops_its_own_oldest_and_never_a_track():
    box = Outbox(picture_bytes=1_000_000)
    box.put(Note(topics.TRACK, {"first": True}, 0))
    for k in range(MOST_LINK_NOTES + 7):
        box.put(Note(topics.MAVLINK["in"], {"k": k}, k))
    box.put(Note(topics.TRACK, {"last": True}, 0))
    taken = [box.take(0) for _ in range(MOST_LINK_NOTES + 2)]
    assert box.take(0) is None
    assert (box.dropped_link_notes, box.dropped_notes) == (7, 0)
    assert [item.value for item in taken if item.topic == topics.TRACK] == [{"first": True}, {"last": True}]
    assert taken[1].value == {"k": 7}


def test_a_disk_that_is_too_slow_costs_counted_frames_only(tmp_path):
    settings = RecorderSettings(rgb="png", tir="raw", queue_mb=1, min_free_mb=0)
    slow = np.random.default_rng(0).integers(0, 256, (1000, 1600, 3), np.uint8)
    with FlightRecorder(tmp_path, settings) as recorder:
        recorder.frame(Frame(slow, Modality.RGB, 0, 0))
        wait_until(lambda: recorder.counters.queued == 0)  # it is being encoded, which takes a while
        put_frames(recorder, 100)
        recorder.event("still here")
    counters = recorder.counters
    assert counters.dropped_frames > 0
    assert counters.frames + counters.dropped_frames == 101
    recording = open_recording(only_file(tmp_path))
    assert [f.sequence for f in recording.frames(Modality.TIR)][-1] == 99
    assert len(list(recording.notes(topics.EVENT))) == 1
