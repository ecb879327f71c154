"""Masks that lie in a folder of their own, as `anyview segment predict` writes them, put on a scene's views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from anyview.errors import SceneError
from anyview.progress import SILENT, Progress
from anyview.scene.pixels import FilePixels
from anyview.scene.scene import Scene, View

_SHOWN = 5  # names in a message


def with_masks(scene: Scene, folder: str | Path, progress: Progress = SILENT) -> Scene:
    """The scene with the masks of a folder, white where a view's pixels count; they replace alpha and other masks.

    A view's mask is named like its image, with .png appended or as its extension; of the folders that the view's name
    begins with ("images/left/" in "images/left/0.jpg") any may be left out, first the first ones.

    Args:
        scene: views whose images are files.
        folder: of PNG files.
        progress: told of the views that have no mask there and stay as they are.

    Raises:
        SceneError: no such folder, no view has a mask in it, two views share one, a mask of another size than its
            image, or a view that is no file.
        FormatError: a mask is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SceneError("no such folder of masks", where=folder, hint="check --masks")
    masks = [_find(folder, view) for view in scene]
    owners: dict[Path, str] = {}
    for view, mask in zip(scene, masks, strict=True):
        if mask is not None and owners.setdefault(mask, view.name) != view.name:
            raise SceneError(
                "two views would have one mask", where=mask, actual=f"{owners[mask]} and {view.name}",
                hint="put the masks into folders like the images'",
            )  # fmt: skip
    missing = [view.name for view, mask in zip(scene, masks, strict=True) if mask is None]
    if not owners:
        expected = f"a file like {PurePosixPath(scene.views[0].name).name}.png"
        raise SceneError("no view has a mask in this folder", where=folder, expected=expected)
    if missing:
        rest = ", ..." if len(missing) > _SHOWN else ""
        progress.note(
            f"{folder}: no mask for {len(missing)} of {len(scene)} views: {', '.join(missing[:_SHOWN])}{rest}"
        )
    return replace(scene, views=tuple(_masked(view, mask) for view, mask in zip(scene, masks, strict=True)))


def _find(folder: Path, view: View) -> Path | None:
    """The file of a view's mask."""
    parts = PurePosixPath(view.name).parts
    for first in range(len(parts)):
        image = folder.joinpath(*parts[first:])
        for path in (image.with_name(image.name + ".png"), image.with_suffix(".png")):
            if path.is_file():
                return path
    return None


def _masked(view: View, mask: Path | None) -> View:
    """A view with a mask, whose size is looked at."""
    if mask is None:
        return view
    if view.path is None:
        where = f"view {view.name}"
        raise SceneError("a mask in a folder is for a view whose image is a file", where=where)
    pixels = FilePixels(view.path, mask)
    pixels.check()
    return replace(view, pixels=pixels)
