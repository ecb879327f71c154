"""Pose files as JSON: what is read, what is refused; mip-NeRF's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyview.errors import FormatError
from anyview.formats.multiscale import read_metadata
from anyview.formats.transforms import Frame, read_transforms, write_transforms

EYE = np.eye(4).tolist()


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_frames_own_values_come_before_the_shared_ones(tmp_path: Path) -> None:
    frames = [{"file_path": "a", "transform_matrix": EYE}, {"file_path": "b", "transform_matrix": EYE[:3], "fl_x": 2}]
    first, second = read_transforms(write(tmp_path / "t.json", {"fl_x": 1, "w": 9, "frames": frames}))
    assert (first.file_path, first.values) == ("a", {"fl_x": 1, "w": 9})
    assert (second.file_path, second.values) == ("b", {"fl_x": 2, "w": 9})
    np.testing.assert_array_equal(second.matrix, np.eye(4))


def test_every_digit_survives(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [Frame(f"{i}.png", rng.normal(size=(4, 4)), {"fl_x": float(rng.normal())}) for i in range(20)]
    write_transforms(tmp_path / "t.json", frames, {"camera_angle_x": np.pi / 7})
    for frame, again in zip(frames, read_transforms(tmp_path / "t.json"), strict=True):
        np.testing.assert_array_equal(frame.matrix, again.matrix)
        assert again.values == {**frame.values, "camera_angle_x": np.pi / 7}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{ frames", "not JSON .*line 1"),
        ("\x00\xff", "not JSON"),
        ([1, 2], "expected an object, found list"),
        ({}, 'no frames in .*expected a list "frames"'),
        ({"frames": []}, "no frames"),
        ({"frames": [3]}, r"frame without an image in .*t.json \(frame 0\)"),
        ({"frames": [{"transform_matrix": EYE}]}, 'expected a text "file_path"'),
        ({"frames": [{"file_path": "a"}]}, r"frame without a pose in .*t.json \(frame 0\)"),
        ({"frames": [{"file_path": "a", "transform_matrix": [[1, 2], [3]]}]}, "frame without a pose"),
        ({"frames": [{"file_path": "a", "transform_matrix": [["x"] * 4] * 4}]}, "frame without a pose"),
        ({"frames": [{"file_path": "a", "transform_matrix": [[10**400] * 4] * 4}]}, "frame without a pose"),
        ({"frames": [{"file_path": "a", "transform_matrix": EYE[:2]}]}, "expected 4x4, found 2x4"),
    ],
)
def test_what_is_no_pose_file(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_transforms(write(tmp_path / "t.json", content))


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"cannot read in .*t.json"):
        read_transforms(tmp_path / "t.json")


def metadata(**change: Any) -> dict[str, Any]:
    f, w, h = 10.0, 8, 6
    lists = {
        "file_path": ["train/r_0_d0.png", "train/r_0_d1.png"],
        "cam2world": [EYE, EYE[:3]],
        "width": [w, w // 2],
        "height": [h, h // 2],
        "focal": [f, f / 2],
        "label": [0, 1],
        "near": [2.0, 2.0],
        "far": [6.0, 6.0],
        "lossmult": [1.0, 4.0],
        "pix2cam": [[[s / f, 0, -w / 2 / f], [0, -s / f, h / 2 / f], [0, 0, -1.0]] for s in (1, 2)],
    }
    return {"train": {**lists, **change}}


def test_multiscale(tmp_path: Path) -> None:
    first, second = read_metadata(write(tmp_path / "metadata.json", metadata()))
    assert (first.split, first.file_path, first.width, first.height) == ("train", "train/r_0_d0.png", 8, 6)
    assert (first.focal, first.center, second.focal, second.center) == (10, (4, 3), 5, (2, 1.5))
    np.testing.assert_array_equal(second.matrix, np.eye(4))
    assert (first.near, first.far, first.lossmult, first.label) == (2, 6, 1, 0)
    assert (second.near, second.far, second.lossmult, second.label) == (2, 6, 4, 1)


def test_multiscale_with_only_what_is_needed(tmp_path: Path) -> None:
    content = metadata()
    for name in ("near", "far", "lossmult", "label", "pix2cam"):
        del content["train"][name]
    _, second = read_metadata(write(tmp_path / "metadata.json", content))
    assert (second.near, second.far, second.lossmult, second.label, second.center) == (None, None, 1, 0, (2, 1.5))


def test_multiscale_principal_point_off_the_middle(tmp_path: Path) -> None:
    inverse = [[0.1, 0, -0.45], [0, -0.1, 0.27], [0, 0, -1.0]]
    first, _ = read_metadata(write(tmp_path / "metadata.json", metadata(pix2cam=[inverse, inverse])))
    np.testing.assert_allclose(first.center, (4.5, 2.7))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": []}, r"lists are missing in .*\(train\)"),
        (metadata(focal=None), "lists are missing.*expected file_path, cam2world, width, height, focal"),
        (metadata(focal=[1.0]), "lists of different lengths.*'focal': 1"),
        (metadata(pix2cam=[]), "lists of different lengths"),
        (metadata(lossmult=[1.0]), "lists of different lengths.*'lossmult': 1"),
        (metadata(near=["close", 2.0]), r"no numbers in .*\(train 0\)"),
        (metadata(focal=["x", 1.0]), r"no numbers in .*\(train 0\)"),
        (metadata(width=[8, 10**400]), r"no numbers in .*\(train 1\)"),
        (metadata(cam2world=[EYE, [1, 2, 3]]), r"no numbers in .*\(train 1\)"),
    ],
)
def test_broken_multiscale(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_metadata(write(tmp_path / "metadata.json", content))
