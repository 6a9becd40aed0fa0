"""Box files in every spelling that the benchmarks use, and the faults that must be named."""

import numpy as np
import pytest

from edge_rgbt.errors import SequenceError
from edge_rgbt.metrics.boxes import read_result, read_truth

TWO_BOXES = [[10, 20, 30, 40], [11, 21, 31, 41]]


@pytest.mark.parametrize(
    "content",
    [
        b"10,20,30,40\n11,21,31,41\n",
        b"10,20,30,40\r\n11,21,31,41\r\n\r\n",
        b"10 20 30 40\r11 21 31 41",
        b"10\t20\t30\t40\n\n11\t21\t31\t41\n",
        b"\xef\xbb\xbf10, 20,  30,40\n11,\t21,31,41\n   \n",
        b"10,20,40,20,40,60,10,60\n11,21,42,21,42,62,11,62\n",
    ],
    ids=["lf", "crlf-blank-end", "lone-cr", "tabs-blank-middle", "bom-mixed", "corners"],
)
def test_every_spelling_reads_as_the_same_boxes(tmp_path, content):
    path = tmp_path / "visible.txt"
    path.write_bytes(content)
    assert read_truth(path).tolist() == TWO_BOXES


def test_truth_given_as_two_points_becomes_width_without_plus_one(tmp_path):
    path = tmp_path / "groundTruth_v.txt"
    path.write_text("199 108 216 153\n")
    assert read_truth(path, corners=True).tolist() == [[199, 108, 17, 45]]


def test_results_are_rounded_half_to_even_before_corners_become_a_size(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("0.5,1.5,2.5,3.5\n")
    assert read_result(path).tolist() == [[0, 2, 2, 4]]
    path.write_text("0.6 0 2.4 0 2.4 5 0.6 5\n")
    assert read_result(path).tolist() == [[1, 0, 1, 5]]  # rounding after the subtraction would give 2


def test_truth_keeps_its_fractions(tmp_path):
    path = tmp_path / "rgb.txt"
    path.write_text("390,62.67,44,55.33\n")
    assert read_truth(path).tolist() == [[390, 62.67, 44, 55.33]]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("1,2,3,4\n1,2,3\n", ":2"),
        ("1,2,3,4\n\n1,2,x,4\n", ":3"),
        ("1,2,3,4\n1,nan,3,4\n", ":2"),
        ("1,2,3,4\n1,2,inf,4\n", ":2"),
        ("1,2,3,4\n1,2,1e300,4\n", ":2"),
        ("1,2,3,4\n1,2,3,4,5,6,7,8\n", ":2"),
        ("1 2\n", ":1"),
        ("\n \n", "holds no box"),
        ("", "holds no box"),
    ],
)
def test_a_faulty_box_file_is_named_with_its_line(tmp_path, content, place):
    path = tmp_path / "visible.txt"
    path.write_text(content)
    with pytest.raises(SequenceError) as caught:
        read_truth(path)
    message = str(caught.value)
    assert str(path) in message
    assert place in message
    assert "\n" not in message


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(SequenceError, match=r"nothing\.txt: cannot be read"):
        read_truth(tmp_path / "nothing.txt")
    (tmp_path / "binary.txt").write_bytes(bytes(range(128, 256)))
    with pytest.raises(SequenceError, match=r"binary\.txt: is not a text file"):
        read_truth(tmp_path / "binary.txt")


def test_result_boxes_are_float64(tmp_path):
    (tmp_path / "r.txt").write_text("1,2,3,4\n")
    assert read_result(tmp_path / "r.txt").dtype == np.float64
