"""Pictures as they come off the disk: depth, colour, damage."""

import cv2
import numpy as np
import pytest
from miniatures import HEIGHT, WIDTH, picture, rgb_picture, write_image

from edge_rgbt.cameras.images import read_rgb, read_thermal
from edge_rgbt.errors import SequenceError


def test_colour_comes_out_in_rgb_order(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, np.full((20, 30, 3), (10, 20, 200), np.uint8))  # BGR
    assert read_rgb(path)[5, 5].tolist() == [200, 20, 10]


def test_a_grey_picture_is_repeated_over_the_channels(tmp_path):
    path = tmp_path / "a.jpg"
    write_image(path, picture(0))
    image = read_rgb(path)
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert (image == image[..., :1]).all()


def test_a_16_bit_colour_picture_is_refused_by_name(tmp_path):
    path = tmp_path / "deep.png"
    write_image(path, np.full((20, 30, 3), 40000, np.uint16))
    with pytest.raises(SequenceError, match=r"deep\.png: is uint16 where an 8-bit"):
        read_rgb(path)


def test_thermal_counts_keep_their_16_bits(tmp_path):
    path = tmp_path / "raw.png"
    write_image(path, np.full((20, 30), 30123, np.uint16))
    image = read_thermal(path)
    assert (image.dtype, image[3, 3]) == (np.uint16, 30123)


def test_colour_coded_thermal_becomes_one_channel(tmp_path):
    path = tmp_path / "a.jpg"
    coded = cv2.applyColorMap(np.tile(np.arange(0, 250, 2, dtype=np.uint8), (40, 1)), cv2.COLORMAP_HOT)
    write_image(path, coded)
    image = read_thermal(path)
    assert image.shape == coded.shape[:2]
    assert image.mean(axis=0)[-1] > image.mean(axis=0)[60] > image.mean(axis=0)[0]  # hotter stays brighter


def test_equal_channels_keep_their_value(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, cv2.merge([picture(0)] * 3))
    assert np.array_equal(read_thermal(path), picture(0))


def test_a_black_picture_is_valid(tmp_path):
    path = tmp_path / "night.png"
    write_image(path, np.zeros((20, 30, 3), np.uint8))
    assert read_rgb(path).max() == 0
    assert read_thermal(path).max() == 0


@pytest.mark.parametrize("read", [read_rgb, read_thermal])
@pytest.mark.parametrize(
    "kind", ["missing", "empty", "text", "half jpg", "half png", "half bmp", "one pixel"]
)
def test_a_damaged_picture_is_named(tmp_path, capfd, read, kind):
    path = tmp_path / f"a.{kind.split()[1] if kind.startswith('half') else 'jpg'}"
    write_image(path, np.zeros((1, 1, 3), np.uint8) if kind == "one pixel" else rgb_picture(0))
    whole = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind in ("empty", "text"):
        path.write_bytes(b"" if kind == "empty" else b"not a picture")
    elif kind.startswith("half"):
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SequenceError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
