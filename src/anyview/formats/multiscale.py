"""mip-NeRF's multi-scale data set: `metadata.json` with parallel lists for each split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from anyview.errors import FormatError
from anyview.formats.transforms import read_json

_LISTS = ("file_path", "cam2world", "width", "height", "focal")


@dataclass(frozen=True, eq=False)
class MultiscaleView:
    """One image.

    Attributes:
        split: "train", "val" or "test".
        file_path: relative to the file.
        matrix: world_from_cam, OpenGL axes, scene units.
        width, height, focal, center: pixels; w / 2 is the middle of the image.
    """

    split: str
    file_path: str
    matrix: Float64[np.ndarray, "4 4"]
    width: int
    height: int
    focal: float
    center: tuple[float, float]


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
        lengths = {name: len(lists[name]) for name in (*_LISTS, "pix2cam") if name in lists}
        if len(set(lengths.values())) > 1:
            raise FormatError("lists of different lengths", where=f"{path} ({split})", actual=lengths)
        inverses = lists.get("pix2cam") or [None] * lengths["focal"]
        for i, (name, *entry) in enumerate(zip(*(lists[name] for name in _LISTS), inverses, strict=True)):
            try:
                views.append(_view(split, str(name), *entry))
            except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
                raise FormatError("a view's values are no numbers", where=f"{path} ({split} {i})") from error
    return views


def _view(split: str, name: str, matrix: Any, width: Any, height: Any, focal: Any, inverse: Any) -> MultiscaleView:
    pose = np.array(matrix, np.float64).reshape(-1, 4)
    pose = np.vstack([pose, [0, 0, 0, 1]]) if len(pose) == 3 else pose
    center = (width / 2, height / 2)
    if inverse is not None:  # rows (1 / f, 0, -cx / f) and (0, -1 / f, cy / f); rounding must not move the middle
        given = (-inverse[0][2] / inverse[0][0], -inverse[1][2] / inverse[1][1])
        center = center if np.allclose(given, center, rtol=0, atol=1e-3) else given
    return MultiscaleView(split, name, pose, int(width), int(height), float(focal), center)
