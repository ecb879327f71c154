"""The camera words of `transforms.json` (instant-ngp, nerfstudio, NeRF-synthetic) and our `Camera`, both ways.

Words: fl_x, fl_y, cx, cy, w, h (pixels); k1, k2, k3, p1, p2 in OpenCV's meaning; camera_angle_x, camera_angle_y (whole
field of view, radians); camera_model. Principal points follow our convention: w / 2 is the middle of the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from anyview.cameras.models import Camera
from anyview.errors import SceneError

_WORDS: dict[str, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": (),
    "PINHOLE": (),
    "SIMPLE_RADIAL": ("k1",),
    "RADIAL": ("k1", "k2"),
    "OPENCV": ("k1", "k2", "p1", "p2"),
    "OPENCV_FISHEYE": ("k1", "k2", "k3", "k4"),
    "FULL_OPENCV": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
}
"""Distortion words of each model that such a file can name, in the order of COLMAP's parameters."""

_AS_FISHEYE = {"SIMPLE_FISHEYE": 0, "FISHEYE": 0, "SIMPLE_RADIAL_FISHEYE": 1, "RADIAL_FISHEYE": 2}
"""Models that are OPENCV_FISHEYE with only so many coefficients."""

_ONE_FOCAL = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")

_NAMES = {"PERSPECTIVE": "OPENCV", "FISHEYE": "OPENCV_FISHEYE"}
"""Other spellings, in capitals."""


def camera_from_values(values: Mapping[str, Any], size: tuple[int, int], where: str) -> Camera:
    """The camera of a frame; what is missing comes from the image. Distortion that is all zero gives a pinhole.

    Args:
        values: see the words above; others are ignored.
        size: the image's width and height, pixels.
        where: named in errors.

    Raises:
        SceneError: no focal length, unknown model, values that are not finite numbers, or distortion without a
            counterpart in COLMAP's models.
    """
    words = ("fl_x", "fl_y", "cx", "cy", "w", "h", "camera_angle_x", "camera_angle_y", *_WORDS["FULL_OPENCV"])
    try:
        number = {word: float(values[word]) for word in words if values.get(word) is not None}
    except (TypeError, ValueError, OverflowError) as error:
        raise SceneError("camera values are not numbers", where=where) from error
    if bad := [word for word, value in number.items() if not math.isfinite(value)]:
        raise SceneError("camera values are not finite", where=where, actual=", ".join(bad))
    width, height = round(number.get("w", size[0])), round(number.get("h", size[1]))
    fx = number.get("fl_x") or _focal(number.get("camera_angle_x"), width, where)
    fy = number.get("fl_y") or _focal(number.get("camera_angle_y"), height, where) or fx
    fx = fx or fy
    if not fx or not fy:
        raise SceneError("camera without a focal length", where=where, expected="fl_x or camera_angle_x")
    center = number.get("cx", width / 2), number.get("cy", height / 2)
    model = _model(values, number, square=fx == fy, where=where)
    lengths = (fx,) if model in _ONE_FOCAL else (fx, fy)
    try:
        return Camera(model, width, height, (*lengths, *center, *(number.get(word, 0.0) for word in _WORDS[model])))
    except SceneError as error:
        raise SceneError(error.what, where=where, expected=error.expected, actual=error.actual) from error


def values_from_camera(camera: Camera, where: str) -> dict[str, Any]:
    """The words that `camera_from_values` reads back to the same numbers.

    Raises:
        SceneError: the file cannot describe this model.
    """
    model, extra = camera.model, camera.params[len(camera.to_colmap().focal_length_idxs()) + 2 :]
    if model in _AS_FISHEYE:
        model, extra = "OPENCV_FISHEYE", (*extra, 0.0, 0.0, 0.0, 0.0)[:4]
    if model not in _WORDS:
        raise SceneError(
            "transforms.json cannot describe this camera model",
            where=where,
            expected=", ".join([*_WORDS, *_AS_FISHEYE]),
            actual=model,
            hint="convert to colmap-txt or colmap-bin",
        )
    words = dict(zip(_WORDS[model], extra, strict=True))
    if model == "FULL_OPENCV" and not any(words[word] for word in ("k4", "k5", "k6")):
        model = "OPENCV"  # a name that nerfstudio knows; k3 goes along
        words = {word: value for word, value in words.items() if word not in ("k4", "k5", "k6")}
    return {
        "camera_model": model,
        "w": camera.width,
        "h": camera.height,
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        **words,
    }


def _model(values: Mapping[str, Any], number: Mapping[str, float], square: bool, where: str) -> str:
    """COLMAP's name for what the file says."""
    named = str(values.get("camera_model") or ("OPENCV_FISHEYE" if values.get("is_fisheye") else "OPENCV"))
    model = _NAMES.get(named.upper(), named.upper())
    if model not in _WORDS:
        raise SceneError("unknown camera model", where=where, expected="one of " + ", ".join(_WORDS), actual=named)
    if model in ("OPENCV_FISHEYE", "FULL_OPENCV"):
        return model
    used = {word for word in _WORDS["FULL_OPENCV"] if number.get(word)}
    if unknown := used - {"k1", "k2", "k3", "p1", "p2"}:
        raise SceneError(
            "distortion without a counterpart in COLMAP's models",
            where=where,
            expected="only k1, k2, k3, p1, p2 in a perspective camera",
            actual=", ".join(sorted(unknown)),
            hint="undistort the images first",
        )
    if used <= set(_WORDS[model]) and (square or model not in _ONE_FOCAL) and (used or model != "OPENCV"):
        return model
    if not used:
        return "PINHOLE"
    return "FULL_OPENCV" if "k3" in used else "OPENCV"


def _focal(angle: float | None, side: int, where: str) -> float:
    if not angle:
        return 0.0
    if not 0 < 0.5 * angle < 0.5 * math.pi:  # halved, the least positive number is zero
        raise SceneError("impossible field of view", where=where, expected="between 0 and pi radians", actual=angle)
    return 0.5 * side / math.tan(0.5 * angle)
