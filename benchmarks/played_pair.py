"""Two folders of pictures and the configuration of a service that flies on them, for whole processes."""

from __future__ import annotations

from pathlib import Path

import cv2

from edge_rgbt.runtime.measure import MovingTexture
from edge_rgbt.types import Box

SIZE = (320, 256)
RATE_HZ = 30.0
_CONFIGURATION = """
[cameras.rgb]
kind = "files"
path = "rgb"
rate_hz = 30

[cameras.tir]
kind = "files"
path = "tir"
rate_hz = 30

[tracking]
threads = 1

[target]
box_px = [{box.x}, {box.y}, {box.w}, {box.h}]

[mavlink]
url = ["udpout:127.0.0.1:14597"]
sysid = 1

[recording]
folder = "flights"
min_free_mb = 0
"""


def write_played_pair(folder: Path, seconds: float) -> Path:
    """Writes pictures for so long a flight; returns the configuration, which records into `flights`."""
    texture, first = MovingTexture(*SIZE), Box(0, 0, 1, 1)
    for name in ("rgb", "tir"):
        (folder / name).mkdir(parents=True)
    for k in range(round(seconds * RATE_HZ)):
        pair, box = texture.pair(k)
        first = first if k else box
        cv2.imwrite(str(folder / "rgb" / f"{k:06d}.bmp"), cv2.cvtColor(pair.rgb.image, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(folder / "tir" / f"{k:06d}.png"), pair.tir.image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    path = folder / "service.toml"
    path.write_text(_CONFIGURATION.format(box=first))
    return path
