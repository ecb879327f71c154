"""Distorted photographs to pinhole ones: every output pixel looks up where its ray falls in the distorted image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
from scipy.ndimage import map_coordinates

from anyview.cameras.models import Camera
from anyview.errors import SceneError
from anyview.formats.files import atomic_write
from anyview.formats.images import write_image
from anyview.scene.pixels import FilePixels
from anyview.scene.scene import View


def undistort_view(view: View, folder: Path) -> View:
    """The view with a PINHOLE camera, its image (and mask, as alpha) written to `folder/NAME.png`.

    Colours are sampled bilinearly, masks at the nearest pixel; what lies outside the photograph is masked out.

    Raises:
        SceneError: a camera model that COLMAP cannot undistort.
    """
    distorted = pycolmap.Camera(
        model=view.camera.model, width=view.camera.width, height=view.camera.height, params=list(view.camera.params)
    )
    try:
        made = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), distorted)
    except (RuntimeError, ValueError) as error:
        raise SceneError("camera cannot be undistorted", where=f"view {view.name}", actual=view.camera.model) from error
    camera = Camera("PINHOLE", made.width, made.height, tuple(made.params))
    rgb, mask = view.read()
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1).reshape(-1, 3)
    at = np.asarray(distorted.img_from_cam(rays), np.float64).reshape(-1, 2)
    at = np.where(np.isfinite(at), at, -1e6)
    inside = (at > 0).all(1) & (at[:, 0] < view.camera.width) & (at[:, 1] < view.camera.height)
    where = at[:, ::-1].T - 0.5
    planes = [map_coordinates(rgb[..., c], where, order=1, mode="nearest") for c in range(3)]
    colors = np.stack(planes, -1).reshape(camera.height, camera.width, 3).clip(0, 1)
    if mask is not None:
        inside &= map_coordinates(mask.astype(np.uint8), where, order=0, mode="constant") > 0
    alpha = inside.reshape(camera.height, camera.width)
    path = folder / Path(view.name).with_suffix(".png")
    with atomic_write(path) as temporary:
        write_image(temporary, colors if alpha.all() else np.dstack([colors, alpha.astype(np.float32)]))
    return replace(view, camera=camera, pixels=FilePixels(path), path=path)
