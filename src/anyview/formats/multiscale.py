"""mip-NeRF's multi-scale data set: `metadata.json` with parallel lists for each split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from anyview.errors import FormatError
from anyview.formats.transforms import read_json

_LISTS = ("file_path", "cam2world", "width", "height", "focal")


@dataclass(frozen=True, eq=False)
class MultiscaleView:
    """One image: its path relative to the file, world_from_cam in OpenGL axes, size and focal length in pixels."""

    split: str
    file_path: str
    matrix: Float64[np.ndarray, "4 4"]
    width: int
    height: int
    focal: float


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
        lengths = {name: len(lists[name]) for name in _LISTS}
        if len(set(lengths.values())) > 1:
            raise FormatError("lists of different lengths", where=f"{path} ({split})", actual=lengths)
        for entry in zip(*(lists[name] for name in _LISTS), strict=True):
            try:
                name, matrix, width, height, focal = entry
                pose = np.array(matrix, np.float64).reshape(-1, 4)
                pose = np.vstack([pose, [0, 0, 0, 1]]) if len(pose) == 3 else pose
                views.append(MultiscaleView(split, str(name), pose, int(width), int(height), float(focal)))
            except (TypeError, ValueError) as error:
                raise FormatError("a view's values are no numbers", where=f"{path} ({split})") from error
    return views
