"""mip-NeRF's multi-scale data set: `metadata.json` with parallel lists for each split.

Beside the lists that every reader needs: `near`, `far` (depths, scene units), `lossmult` (weight of an image's
pixels), `label` (how often it was halved) and `pix2cam` (inverse calibration matrices, OpenGL axes).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from anyview.errors import FormatError
from anyview.formats.files import atomic_write
from anyview.formats.transforms import read_json

_LISTS = ("file_path", "cam2world", "width", "height", "focal")
_OPTIONAL = {"pix2cam": None, "near": None, "far": None, "lossmult": 1.0, "label": 0}
"""What stands for the lists that a file may lack."""


@dataclass(frozen=True, eq=False)
class MultiscaleView:
    """One image.

    Attributes:
        split: "train", "val" or "test".
        file_path: relative to the file.
        matrix: world_from_cam, OpenGL axes, scene units.
        width, height, focal, center: pixels; w / 2 is the middle of the image.
        near, far: depths between which the scene lies, scene units.
        lossmult: weight of each pixel.
        label: how often the image was halved.
    """

    split: str
    file_path: str
    matrix: Float64[np.ndarray, "4 4"]
    width: int
    height: int
    focal: float
    center: tuple[float, float]
    near: float | None = None
    far: float | None = None
    lossmult: float = 1.0
    label: int = 0


def read_metadata(path: Path) -> list[MultiscaleView]:
    """Every view of every split.

    Raises:
        FormatError: not JSON, a missing list, or lists of different lengths.
    """
    views = []
    for split, lists in read_json(path).items():
        missing = [name for name in _LISTS if not isinstance(lists, dict) or not isinstance(lists.get(name), list)]
        if missing:
            raise FormatError("lists are missing", where=f"{path} ({split})", expected=", ".join(_LISTS))
        given = {name: lists[name] for name in (*_LISTS, *_OPTIONAL) if isinstance(lists.get(name), list)}
        lengths = {name: len(values) for name, values in given.items()}
        if len(set(lengths.values())) > 1:
            raise FormatError("lists of different lengths", where=f"{path} ({split})", actual=lengths)
        empty = {name: [value] * lengths["focal"] for name, value in _OPTIONAL.items()}
        columns = {**empty, **given}
        for i, entry in enumerate(zip(*columns.values(), strict=True)):
            try:
                views.append(_view(split, dict(zip(columns, entry, strict=True))))
            except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError) as error:
                raise FormatError("a view's values are no numbers", where=f"{path} ({split} {i})") from error
    return views


def write_metadata(path: Path, views: Sequence[MultiscaleView]) -> None:
    """Write the lists of every split that has views, as mip-NeRF's own script names and orders them, atomically.

    Raises:
        WorkspaceError: the file cannot be written.
    """
    content: dict[str, dict[str, list[Any]]] = {}
    for view in views:
        (cx, cy), f = view.center, view.focal
        entry = {
            "file_path": view.file_path,
            "cam2world": view.matrix.tolist(),
            "width": view.width,
            "height": view.height,
            "focal": f,
            "label": view.label,
            "near": view.near,
            "far": view.far,
            "lossmult": view.lossmult,
            "pix2cam": [[1 / f, 0.0, -cx / f], [0.0, -1 / f, cy / f], [0.0, 0.0, -1.0]],
        }
        lists = content.setdefault(view.split, {name: [] for name in entry})
        for name, value in entry.items():
            lists[name].append(value)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _view(split: str, entry: Mapping[str, Any]) -> MultiscaleView:
    width, height, inverse = entry["width"], entry["height"], entry["pix2cam"]
    pose = np.array(entry["cam2world"], np.float64).reshape(-1, 4)
    pose = np.vstack([pose, [0, 0, 0, 1]]) if len(pose) == 3 else pose
    center = (width / 2, height / 2)
    if inverse is not None:  # rows (1 / f, 0, -cx / f) and (0, -1 / f, cy / f); rounding must not move the middle
        given = (-inverse[0][2] / inverse[0][0], -inverse[1][2] / inverse[1][1])
        center = center if np.allclose(given, center, rtol=0, atol=1e-3) else given
    near, far = (None if entry[name] is None else float(entry[name]) for name in ("near", "far"))
    name, focal, lossmult = str(entry["file_path"]), float(entry["focal"]), float(entry["lossmult"])
    size = int(width), int(height)
    return MultiscaleView(split, name, pose, *size, focal, center, near, far, lossmult, int(entry["label"]))
