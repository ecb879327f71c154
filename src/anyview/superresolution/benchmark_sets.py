"""Test sets as they lie on disks: Set5, Set14, BSD100 and others, in the layouts that they are handed out in."""

from __future__ import annotations

from pathlib import Path

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.superresolution.data.pairs import Pair, find_pairs, image_files

_HIGH = ("HR", "GTmod12", "original")


def find_set(name: str, scale: int, folder: Path = Path(), progress: Progress = SILENT) -> list[Pair] | list[Path]:
    """The pairs of a set; or the large pictures alone, whose small ones are to be made.

    | layout | large | small |
    |---|---|---|
    | as Set5 and Set14 are handed out | `image_SRF_4/*_HR.png` | `image_SRF_4/*_LR.png` |
    | EDSR's benchmark | `HR/` | `LR_bicubic/X4/` |
    | two folders | `HR/` | `LR/X4`, `LR_x4`, `LR` |
    | pairs by name | `*_HR.*` | `*_LR.*` |
    | only pictures | `*` | made as MATLAB's imresize does it |

    Args:
        name: of the set, a folder in `folder`; or a path.
        scale: how many times as large the large pictures are.
        folder: that holds sets.
        progress: told of what is odd.

    Raises:
        OptionError: there is no such set.
        FormatError: pairs that do not fit, or a damaged picture.
    """
    root = next((path for path in (folder / name, Path(name)) if path.is_dir()), None)
    if root is None:
        raise OptionError(
            "there is no such test set", where=name, expected=f"a folder in {folder}, or a path",
            hint="say where sets lie with --sets-folder",
        )  # fmt: skip
    if (both := root / f"image_SRF_{scale}").is_dir():
        return find_pairs(both, both, scale, progress)
    high = next((root / name for name in _HIGH if (root / name).is_dir()), None)
    if high is not None:
        places = (f"LR_bicubic/X{scale}", f"LR/X{scale}", f"LR_x{scale}", f"LR_X{scale}", "LR")
        low = next((root / place for place in places if (root / place).is_dir()), None)
        return image_files(high) if low is None else find_pairs(high, low, scale, progress)
    files = image_files(root)
    if any(path.stem.lower().endswith("_lr") for path in files):
        return find_pairs(root, root, scale, progress)
    return files
