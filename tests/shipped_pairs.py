"""Set5 and Set14 as they lie beside the project, where they do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[1] / ".." / "shared" / "data" / "super_resolution"

needs_shipped = pytest.mark.skipif(not FOLDER.is_dir(), reason="../shared/data/super_resolution is not there")


def pairs(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """HR and LR of a set, as the files have them: grey is (H, W)."""
    high = sorted((FOLDER / name).rglob("*_HR.png"))
    return [(_read(path), _read(path.with_name(path.name.replace("_HR", "_LR")))) for path in high]


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)
