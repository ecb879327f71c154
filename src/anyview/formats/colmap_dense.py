"""COLMAP's `patch-match.cfg`: the source images of each reference image, two lines per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from anyview.errors import FormatError
from anyview.formats.files import atomic_write


def write_patch_match_config(path: str | Path, sources: Mapping[str, Sequence[str]]) -> None:
    """Write each image's name, then its sources separated by a comma and a space; atomically."""
    with atomic_write(Path(path)) as temporary:
        temporary.write_text("".join(f"{name}\n{', '.join(names)}\n" for name, names in sources.items()))


def read_patch_match_config(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Sources of each image, by name.

    Raises:
        FormatError: an image without its line of sources, or a file that is not text.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError("cannot read the list of source images", where=path) from error
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) % 2:
        raise FormatError("an image without its sources", where=path, expected="two lines per image", actual=lines[-1])
    return {
        name: tuple(s.strip() for s in sources.split(",") if s.strip())
        for name, sources in zip(lines[::2], lines[1::2], strict=True)
    }
