"""Whether all images can be read: found out before a training, not in the middle of its hours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from anyview.compute import parallel_map
from anyview.errors import FormatError
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.items import InstanceData

_SHOWN = 5  # images that an error names


def check_whole(parts: Sequence[InstanceData], threads: int, progress: Progress = SILENT) -> None:
    """Read every image and its masks once.

    Args:
        parts: labelled images.
        threads: that read.
        progress: told of every image.

    Raises:
        FormatError: of one image what is wrong with it, of several how many they are, and the first of them.
    """
    damaged: list[FormatError] = []
    with progress.stage("read images", sum(map(len, parts))) as advance:
        for data in parts:
            found = parallel_map(partial(_damage, data), range(len(data)), workers=threads, advance=advance)
            damaged += [error for error in found if error is not None]
    if len(damaged) == 1:
        raise damaged[0]
    if damaged:
        names = ", ".join(str(error.where) for error in damaged[:_SHOWN])
        raise FormatError(
            f"{len(damaged)} images cannot be read", where=names + (", ..." if len(damaged) > _SHOWN else ""),
            hint="copy them again, or remove them: an image whose file is missing is left out",
        )  # fmt: skip


def _damage(data: InstanceData, index: int) -> FormatError | None:
    """What is wrong with an image."""
    try:
        data[index]
    except FormatError as error:
        return error
    return None
