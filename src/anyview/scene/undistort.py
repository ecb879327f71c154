"""Distorted photographs to pinhole ones: every output pixel looks up where its ray falls in the distorted image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from scipy.ndimage import map_coordinates

from anyview.cameras.models import Camera
from anyview.cameras.rays import pixel_centers, project, unproject
from anyview.errors import SceneError
from anyview.formats.files import atomic_write
from anyview.formats.images import write_image
from anyview.scene.pixels import FilePixels
from anyview.scene.scene import View

_STRAIGHT_AT_ZERO = ("SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV", "SIMPLE_DIVISION", "DIVISION")
"""Models that are a pinhole where all their coefficients are zero."""


def undistorted_camera(camera: Camera) -> Camera:
    """The PINHOLE camera that sees all of the distorted image that leaves no blank pixels, as COLMAP chooses it.

    Raises:
        SceneError: a camera that COLMAP cannot undistort.
    """
    from anyview.cameras.colmap import pycolmap

    if is_straight(camera):
        return Camera.pinhole(camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
    try:
        made = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), camera.to_colmap())
    except (RuntimeError, ValueError) as error:
        raise SceneError("camera cannot be undistorted", actual=f"{camera.model} {camera.params}") from error
    return Camera(made.model_name, made.width, made.height, tuple(made.params))


def undistort_view(view: View, folder: Path) -> View:
    """The view with a PINHOLE camera, its image (and mask, as alpha) in `folder/NAME`, as PNG.

    Colours are sampled bilinearly, masks at the nearest pixel; what lies outside the photograph is masked out. A view
    that only bears the name of a distorted model keeps its file.

    Raises:
        SceneError: a camera that COLMAP cannot undistort, or an image that contradicts its camera.
        FormatError: the image is missing or damaged.
        WorkspaceError: the folder cannot be written to.
    """
    try:
        camera = undistorted_camera(view.camera)
    except SceneError as error:
        raise SceneError(error.what, where=f"view {view.name}", actual=error.actual) from error
    if view.path is not None and is_straight(view.camera):
        return replace(view, camera=camera)
    rgb, mask = warp(*view.read(), view.camera, camera)
    path = folder / view.name
    if path.suffix.lower() != ".png":
        path = path.with_name(path.name + ".png")
    with atomic_write(path) as temporary:
        write_image(temporary, rgb if mask is None else np.dstack([rgb, mask.astype(np.float32)]))
    return replace(view, camera=camera, pixels=FilePixels(path), path=path)


def warp(
    rgb: Float32[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"] | None, source: Camera, target: Camera
) -> tuple[Float32[np.ndarray, "H2 W2 3"], Bool[np.ndarray, "H2 W2"] | None]:
    """What `target` would have seen from the same place: the image, and a mask if there was one or now has to be one.

    Near the silhouette only colours of the object are mixed.
    """
    rays = unproject(target, pixel_centers(target.width, target.height))
    at = project(source, rays)
    x, y = at.T
    seen = (x > 0) & (y > 0) & (x < source.width) & (y < source.height)  # NaN is not
    where = np.where(seen, (at - 0.5)[:, ::-1].T, 0.0)
    share = np.ones(rgb.shape[:2], np.float32) if mask is None else mask.astype(np.float32)
    mixed: np.ndarray = np.stack(
        [map_coordinates(rgb[..., c] * share, where, order=1, mode="nearest") for c in range(3)], axis=1
    )
    if mask is not None:
        weight = map_coordinates(share, where, order=1, mode="nearest")
        mixed = mixed / np.maximum(weight, 1e-6)[:, None]
        seen = seen & (map_coordinates(mask.astype(np.uint8), where, order=0, mode="nearest") > 0)
    colors = np.where(seen[:, None], mixed, 0).clip(0, 1).astype(np.float32)
    kept = None if mask is None and seen.all() else seen.reshape(target.height, target.width)
    return colors.reshape(target.height, target.width, 3), kept


def is_straight(camera: Camera) -> bool:
    """Whether the camera is a pinhole in effect."""
    coefficients = [camera.params[i] for i in camera.to_colmap().extra_params_idxs()]
    return camera.is_pinhole or (camera.model in _STRAIGHT_AT_ZERO and not any(coefficients))
