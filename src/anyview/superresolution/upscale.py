"""From image files and films to larger ones.

    OUT/NAME.png                the image, with its bits, alpha, colour profile and EXIF; upright
    OUT/NAME.mp4                the film, with its sound
    OUT/.anyview/previews/      small parts before and after, for the page

Files that are done are not looked at again while the source, the weights and the options stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anyview.errors import FormatError, OptionError, WorkspaceError
from anyview.formats.files import digest_file
from anyview.formats.picture_files import SUFFIXES, Picture, find_pictures
from anyview.progress import SILENT, Progress
from anyview.superresolution.choice import Chosen
from anyview.superresolution.enlarger import Enlarger
from anyview.superresolution.upscale_file import upscale_film, upscale_image
from anyview.workspace.lock import hold
from anyview.workspace.workspace import Workspace

FILMS: Final = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"})
"""Suffixes of films."""

_PREVIEWS, _SIDES = Path(".anyview") / "previews", ("before", "after")
_VERSION = 1  # part of the key: raise it when the same image gives other files


@dataclass(frozen=True)
class Done:
    """A file that is written.

    Attributes:
        name: of the source.
        path: of the result.
        what: the source's size and kind, in words.
        size: width and height of the result.
        before, after: files of a part of it, as bicubic and as the network enlarges it; none of a film.
    """

    name: str
    path: Path
    what: str
    size: tuple[int, int]
    before: Path | None = None
    after: Path | None = None


@dataclass(frozen=True)
class Upscaled:
    """What came of it.

    Attributes:
        done: in the order of their names.
        out: the folder.
        damaged: what is wrong with each file that cannot be read.
    """

    done: tuple[Done, ...]
    out: Path
    damaged: tuple[FormatError, ...]


def upscale(
    sources: Sequence[str | Path], out: Path, chosen: Chosen, enlarger: Enlarger, progress: Progress = SILENT
) -> Upscaled:
    """Enlarge images and films; a file that cannot be read is told, the others are done.

    Args:
        sources: files, folders or patterns, see `anyview.formats.picture_files.find_pictures`.
        out: the folder.
        chosen: the networks that the enlarger has.
        enlarger: does it.
        progress: told of every file, and of the tiles of large images.

    Raises:
        OptionError: no images, or results that would replace them.
        WorkspaceError: the folder cannot be written to, the disk is full, or another process works there.
        OutOfMemoryError: not even the least tile fits.
    """
    folders = [Path(word) for word in sources if Path(word).is_dir()]
    if any(folder.resolve() == out.resolve() for folder in folders):
        raise OptionError("results would mix with the images", where=out, hint="choose another --out")
    inside = [out] if any(out.resolve().is_relative_to(folder.resolve()) for folder in folders) else []
    pictures = find_pictures(sources, inside, SUFFIXES | FILMS)
    _refuse_strangers(out, pictures)
    workspace = Workspace(out)
    (workspace.root / ".anyview" / "tasks" / "upscale").mkdir(parents=True, exist_ok=True)
    key = (_VERSION, chosen.digest(), enlarger.settings)
    done: list[Done] = []
    damaged: list[FormatError] = []
    with hold(workspace), progress.stage("upscale", len(pictures)) as advance:
        for picture in pictures:
            try:
                done.append(_one(workspace, key, picture, enlarger, progress))
            except FormatError as error:
                damaged.append(error)
                progress.note(str(error))
            advance()
    return Upscaled(tuple(done), out, tuple(damaged))


def _one(workspace: Workspace, key: object, picture: Picture, enlarger: Enlarger, progress: Progress) -> Done:
    """A file's result, made unless it is there already."""
    out = workspace.root
    task = workspace.task(f"upscale/{picture.name}", (key, picture.stem, digest_file(picture.path)))
    target, sides = _target(out, picture), [out / _PREVIEWS / f"{picture.stem}.{side}.png" for side in _SIDES]
    record = task.record()
    if record is None:
        make = upscale_film if _is_film(picture) else upscale_image
        made = make(picture.path, target, enlarger, progress)
        files = [] if made.preview is None else made.preview.write(*sides)
        record = task.done([target, *files], what=made.what, size=made.size)
    width, height = record["notes"]["size"]
    before, after = sides if len(record["outputs"]) > 1 else (None, None)
    return Done(picture.name, target, record["notes"]["what"], (width, height), before, after)


def _refuse_strangers(out: Path, pictures: Sequence[Picture]) -> None:
    """Nothing that is not ours is replaced, least of all a source."""
    ours = (out / ".anyview" / "tasks" / "upscale").is_dir()
    for picture in pictures:
        target = _target(out, picture)
        if target.exists() and target.samefile(picture.path):
            raise OptionError("the result would replace the image", where=picture.path, hint="choose another --out")
        if not ours and target.exists():
            raise WorkspaceError(
                "results would mix with files that are none of their own", where=out, actual=target.name,
                hint="choose another --out, or move them away",
            )  # fmt: skip


def _target(out: Path, picture: Picture) -> Path:
    return out / f"{picture.stem}{'.mp4' if _is_film(picture) else '.png'}"


def _is_film(picture: Picture) -> bool:
    return picture.path.suffix.lower() in FILMS
