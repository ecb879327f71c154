"""`transforms*.json`: the pose files of NeRF-synthetic (Blender), instant-ngp and nerfstudio.

One JSON object: values that all frames share, and `frames`, each with `file_path`, `transform_matrix` (world_from_cam
in OpenGL's axes) and, if it likes, its own values. Nothing is interpreted here but the syntax.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from anyview.errors import FormatError
from anyview.formats.files import atomic_write


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of the file.

    Attributes:
        file_path: as written, with or without extension.
        matrix: world_from_cam, OpenGL axes (looks down -z, y up), scene units.
        values: the other values, the frame's own before the shared ones (fl_x, w, camera_angle_x, mask_path ...).
    """

    file_path: str
    matrix: Float64[np.ndarray, "4 4"]
    values: Mapping[str, Any] = field(default_factory=dict)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        FormatError: unreadable, not JSON, or not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError("cannot read", where=path, hint=error.strerror) from error
    except ValueError as error:
        raise FormatError(f"not JSON ({error})", where=path, hint="the file is damaged or of another kind") from error
    if not isinstance(value, dict):
        raise FormatError("wrong JSON", where=path, expected="an object", actual=type(value).__name__)
    return value


def read_transforms(path: Path) -> list[Frame]:
    """The frames of a file, in its order.

    Raises:
        FormatError: not JSON, no frames, or a frame without a path or a 4x4 matrix (3x4 is completed).
    """
    content = read_json(path)
    frames = content.pop("frames", None)
    if not isinstance(frames, list) or not frames:
        raise FormatError("no frames", where=path, expected='a list "frames" with at least one image')
    return [_frame(entry, content, f"{path} (frame {i})") for i, entry in enumerate(frames)]


def write_transforms(path: Path, frames: Sequence[Frame], shared: Mapping[str, Any]) -> None:
    """Write the frames, with 17 digits where they are needed, atomically."""
    entries = [{"file_path": f.file_path, **f.values, "transform_matrix": f.matrix.tolist()} for f in frames]
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({**shared, "frames": entries}, indent=1), encoding="utf-8")


def _frame(entry: Any, shared: Mapping[str, Any], where: str) -> Frame:
    if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
        raise FormatError("frame without an image", where=where, expected='a text "file_path"')
    try:
        matrix = np.array(entry["transform_matrix"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:  # of integers that no float can hold
        raise FormatError("frame without a pose", where=where, expected='numbers in "transform_matrix"') from error
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, [0, 0, 0, 1]])
    if matrix.shape != (4, 4):
        shape = "x".join(map(str, matrix.shape))
        raise FormatError("pose has the wrong shape", where=where, expected="4x4", actual=shape)
    own = {key: value for key, value in entry.items() if key not in ("file_path", "transform_matrix")}
    return Frame(entry["file_path"], matrix, {**shared, **own})
