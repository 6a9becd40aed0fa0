"""Miniature recordings in the published layouts: a bright target crosses a grey, noisy ground."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT, SIDE = 160, 120, 24

# dataset -> (below the root, rgb folder, tir folder, rgb name, tir name); frame numbers of the two may differ
FOLDERS = {
    "gtot": ("", "v", "i", "{:05d}v.png", "{:05d}i.png"),
    "rgbt210": ("", "visible", "infrared", "{:04d}v.jpg", "{:04d}i.jpg"),
    "rgbt234": ("", "visible", "infrared", "{:05d}v.jpg", "1{:05d}i.jpg"),
    "lasher": ("testingset", "visible", "infrared", "v{:06d}.jpg", "i{:06d}.bmp"),
    "vtuav": ("test_ST/test_ST", "rgb", "ir", "{:06d}.jpg", "{:06d}.jpg"),
}


def target_box(frame: int) -> tuple[int, int, int, int]:
    """Where the target is, xywh."""
    return 30 + 2 * frame, 40 + frame, SIDE, SIDE


def picture(frame: int, bright: int = 220, seed: int = 0) -> np.ndarray:
    """Grey picture `[H, W]` uint8 of one frame."""
    image = np.random.default_rng([seed, frame]).normal(80, 6, (HEIGHT, WIDTH)).clip(0, 255).astype(np.uint8)
    x, y, w, h = target_box(frame)
    image[y : y + h, x : x + w] = bright
    return image


def rgb_picture(frame: int) -> np.ndarray:
    """Colour picture `[H, W, 3]` in BGR order, as cv2 writes it."""
    return cv2.merge([picture(frame, 90), picture(frame, 160), picture(frame, 220)])


def write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    good, data = cv2.imencode(path.suffix, image)
    assert good
    path.write_bytes(data.tobytes())


def box_lines(boxes, separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(f"{v:g}" for v in box) + end for box in boxes)


def write_sequence(
    root: Path, dataset: str, name: str = "car", frames: int = 12, below: str | None = None
) -> Path:
    """One sequence folder of a benchmark with pictures and box files; returns the folder."""
    place, rgb, tir, rgb_name, tir_name = FOLDERS[dataset]
    folder = root / (place if below is None else below) / name
    for frame in range(frames):
        write_image(folder / rgb / rgb_name.format(frame + 1), rgb_picture(frame))
        write_image(folder / tir / tir_name.format(frame + 1), picture(frame))
    boxes = [target_box(frame) for frame in range(frames)]
    shifted = [(x + 1, y, w, h) for x, y, w, h in boxes]
    corners = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    if dataset == "gtot":
        (folder / "groundTruth_v.txt").write_text(box_lines(corners, " "))
        (folder / "groundTruth_i.txt").write_text(box_lines(corners, " "))
    if dataset in ("rgbt234", "lasher"):
        (folder / "visible.txt").write_text(box_lines(boxes, end="\r\n") + "\r\n")
        (folder / "infrared.txt").write_text(box_lines(shifted if dataset == "rgbt234" else boxes))
    if dataset == "vtuav":
        (folder / "rgb.txt").write_text(box_lines(boxes[::10]))
        (folder / "ir.txt").write_text(box_lines(shifted[::10]))
    else:
        (folder / "init.txt").write_text(box_lines(boxes, "\t"))
    return folder


def write_video(path: Path, frames: int = 12, fps: float = 30, colour: bool = True, start: int = 0) -> Path:
    """MPEG-4 video of the same world."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for frame in range(start, start + frames):
        image = rgb_picture(frame) if colour else cv2.merge([picture(frame)] * 3)
        writer.write(image)
    writer.release()
    return path
