"""A scene to mip-NeRF's multi-scale data set: every image at four sizes, each half the one before.

Each smaller image is the mean over squares of 2x2 pixels of the one before it, as float, in sRGB, with straight alpha
averaged like a colour; values are cut to 8 bits (not rounded) only in the files. So the published data set was made,
and figures measured on it compare with others' only if nothing here differs. Letters: C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from anyview.cameras.poses import CV_FROM_GL
from anyview.errors import SceneError
from anyview.formats.files import atomic_write, explain_os_error
from anyview.formats.images import write_image
from anyview.formats.multiscale import MultiscaleView, write_metadata
from anyview.scene.load import SPLITS
from anyview.scene.scene import Scene, View
from anyview.scene.undistort import is_straight

LEVELS = 4


def write_multiscale(scene: Scene, out: Path, near: float = 2.0, far: float = 6.0) -> None:
    """Write `images_SPLIT/III_dJ.png` for image I of a split at level J, and at last `metadata.json`.

    Args:
        scene: pinhole views with square pixels whose axis meets the middle of the image.
        out: the folder.
        near, far: depths that the scene lies between, scene units, for views that tell none; the published data's.

    Raises:
        SceneError: a view that the layout cannot describe or that cannot be halved three times, or that is a reduced
            image already; a split of another name.
        FormatError: an image is missing or damaged.
        WorkspaceError: the folder cannot be written to, or the disk is full.
    """
    for view in scene:
        _check(view)
    file = out / "metadata.json"
    try:
        file.unlink(missing_ok=True)  # of an earlier scene, whose images are now replaced one by one
    except OSError as error:
        raise explain_os_error(error, file) from error
    entries = []
    for split in SPLITS:
        for i, view in enumerate(v for v in scene if v.split == split):
            for j, image in enumerate(_levels(_stored(view))):
                name = f"images_{split}/{i:03d}_d{j}.png"
                with atomic_write(out / name) as temporary:
                    write_image(temporary, (255 * image).astype(np.uint8))
                entries.append(_entry(view, name, j, near, far))
    write_metadata(file, entries)


def _check(view: View) -> None:
    camera, where = view.camera, f"view {view.name}"
    if view.split not in SPLITS:
        raise SceneError("unknown split", where=where, expected=", ".join(SPLITS), actual=view.split)
    if view.weight != 1:
        hint = "convert the scene that it was made from"
        raise SceneError("a reduced image already", where=where, expected="weight 1", actual=view.weight, hint=hint)
    if not is_straight(camera):
        raise SceneError(
            "the multi-scale layout cannot describe distortion",
            where=where,
            expected="a pinhole camera",
            actual=camera.model,
            hint="convert to nerfstudio, colmap-txt or colmap-bin",
        )
    if abs(camera.fx - camera.fy) > 1e-6 * camera.fx:
        actual = f"{camera.fx:.9g} and {camera.fy:.9g}"
        raise SceneError("the multi-scale layout has one focal length", where=where, expected="fx = fy", actual=actual)
    middle, center = (camera.width / 2, camera.height / 2), (camera.cx, camera.cy)
    if max(abs(center[0] - middle[0]), abs(center[1] - middle[1])) > 1e-3:
        raise SceneError(
            "the multi-scale layout has its principal point in the middle", where=where, expected=middle, actual=center
        )
    step = 2 ** (LEVELS - 1)
    if camera.width % step or camera.height % step:
        raise SceneError(
            "the image cannot be halved three times",
            where=where,
            expected=f"sides that {step} divides",
            actual=f"{camera.width}x{camera.height}",
            hint="crop or resize the images",
        )


def _stored(view: View) -> Float32[np.ndarray, "H W C"]:
    """Colours, and straight alpha where there is a mask, in whole steps of 1 / 255 such as an 8-bit file holds."""
    image, alpha = view.read_alpha()
    if alpha is not None:
        image = np.dstack([image, alpha])
    return np.rint(image * 255).astype(np.float32) / np.float32(255)


def _levels(image: Float32[np.ndarray, "H W C"]) -> Iterator[Float32[np.ndarray, "_ _ C"]]:
    """The image and its halves."""
    for level in range(LEVELS):
        if level:
            rows, columns, channels = image.shape
            image = image.reshape(rows // 2, 2, columns // 2, 2, channels).mean(axis=(1, 3))
        yield image


def _entry(view: View, name: str, level: int, near: float, far: float) -> MultiscaleView:
    share = 2**level
    width, height = view.camera.width // share, view.camera.height // share
    return MultiscaleView(
        view.split,
        name,
        view.world_from_cam @ CV_FROM_GL,
        width,
        height,
        view.camera.fx / share,
        (width / 2, height / 2),
        near if view.near is None else view.near,
        far if view.far is None else view.far,
        4.0**level,
        level,
    )
