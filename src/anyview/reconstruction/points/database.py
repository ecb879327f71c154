"""COLMAP's `database.db` with known cameras: what its own commands and GUI open.

Views are numbered 1 .. V in the order given (sorted by name), cameras 1 .. C in the order of their first view; each
camera is a rig of its own and each image a frame of its own, as COLMAP 4 makes them for single cameras.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, Int64

from anyview.cameras.colmap import pycolmap
from anyview.cameras.models import Camera
from anyview.reconstruction.points.features import Features
from anyview.reconstruction.points.matching import pair_geometry
from anyview.scene.scene import View
from anyview.workspace import atomic_write


def camera_ids(views: Sequence[View]) -> dict[Camera, int]:
    """COLMAP's number of every distinct camera."""
    ids: dict[Camera, int] = {}
    for view in views:
        ids.setdefault(view.camera, len(ids) + 1)
    return ids


def write_database(
    path: Path,
    views: Sequence[View],
    features: Sequence[Features],
    pairs: Int64[np.ndarray, "P 2"],
    matches: Sequence[Int32[np.ndarray, "_ 2"]],
) -> None:
    """Write the whole database, or nothing: cameras with prior focal length, keypoints, matches, two-view geometries.

    The two-view geometries are those of the known poses; each match is an inlier, as it lies in the epipolar band.

    Raises:
        WorkspaceError: the disk is full or the folder is not writable.
    """
    ids = camera_ids(views)
    with atomic_write(path) as temporary:
        database = pycolmap.Database.open(temporary)
        try:
            with pycolmap.DatabaseTransaction(database):
                _write_cameras(database, ids)
                for number, (view, feature) in enumerate(zip(views, features, strict=True), 1):
                    _write_view(database, number, ids[view.camera], view.name, feature)
                for (i, j), found in zip(pairs.tolist(), matches, strict=True):
                    if len(found):
                        database.write_matches(i + 1, j + 1, found.astype(np.uint32))
                        database.write_two_view_geometry(i + 1, j + 1, _two_views(views[i], views[j], found))
        finally:
            database.close()
        try:
            with closing(sqlite3.connect(temporary)) as plain:  # a write-ahead log leaves files beside it when read
                plain.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            raise OSError(errno.ENOSPC if "full" in str(error) else errno.EIO, str(error), str(path)) from error


def is_whole(path: Path, images: int, keypoints: int, matches: int) -> bool:
    """Whether the database is sound and holds these numbers of rows.

    Its bytes prove nothing: COLMAP changes some whenever it opens a database, without changing what is in it.
    """
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"  # which writes no log of its own
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as database:
            sound = database.execute("PRAGMA quick_check").fetchone()[0] == "ok"
            return sound and [
                database.execute(f"SELECT {count} FROM {table}").fetchone()[0] or 0
                for count, table in (("COUNT(*)", "images"), ("SUM(rows)", "keypoints"), ("SUM(rows)", "matches"))
            ] == [images, keypoints, matches]
    except sqlite3.Error:
        return False


def _write_cameras(database: pycolmap.Database, ids: dict[Camera, int]) -> None:
    for camera, number in ids.items():
        entry = pycolmap.Camera(
            camera_id=number,
            model=camera.model,
            width=camera.width,
            height=camera.height,
            params=list(camera.params),
            has_prior_focal_length=True,
        )
        database.write_camera(entry, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=number)
        rig.add_ref_sensor(entry.sensor_id)
        database.write_rig(rig, use_rig_id=True)


def _write_view(database: pycolmap.Database, number: int, camera: int, name: str, features: Features) -> None:
    image = pycolmap.Image(image_id=number, name=name, camera_id=camera)
    database.write_image(image, use_image_id=True)
    frame = pycolmap.Frame(frame_id=number, rig_id=camera)
    frame.add_data_id(image.data_id)
    database.write_frame(frame, use_frame_id=True)
    database.write_keypoints(number, _affine(features.keypoints))
    database.write_descriptors(
        number, pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, features.descriptors)
    )


def _affine(keypoints: Float32[np.ndarray, "M 4"]) -> Float32[np.ndarray, "M 6"]:
    """x, y and the 2x2 shape that COLMAP keeps: a rotation times the scale."""
    x, y, scale, angle = keypoints.T
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.ascontiguousarray(np.stack([x, y, c, -s, s, c], axis=1), np.float32)


def _two_views(first: View, second: View, matches: Int32[np.ndarray, "K 2"]) -> pycolmap.TwoViewGeometry:
    relative = pycolmap.Rigid3d((second.cam_from_world @ first.world_from_cam)[:3])
    geometry = pycolmap.TwoViewGeometry()
    geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
    geometry.cam2_from_cam1 = relative
    geometry.E = pycolmap.essential_matrix_from_pose(relative)
    geometry.F = pair_geometry(first, second, (0.0, 0.0, 0.0, 0.0)).fundamental
    geometry.inlier_matches = matches.astype(np.uint32)
    return geometry
