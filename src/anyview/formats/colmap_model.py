"""COLMAP's sparse model as plain data: cameras, posed images with their keypoints, points with their tracks.

Letters: M keypoints of one image, N points, T observations of all points together. Poses are cam_from_world.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt32

# name: (number in binary files, number of parameters); COLMAP's src/colmap/sensor/models.h
CAMERA_MODELS = {
    "SIMPLE_PINHOLE": (0, 3),
    "PINHOLE": (1, 4),
    "SIMPLE_RADIAL": (2, 4),
    "RADIAL": (3, 5),
    "OPENCV": (4, 8),
    "OPENCV_FISHEYE": (5, 8),
    "FULL_OPENCV": (6, 12),
    "FOV": (7, 5),
    "SIMPLE_RADIAL_FISHEYE": (8, 4),
    "RADIAL_FISHEYE": (9, 5),
    "THIN_PRISM_FISHEYE": (10, 12),
    "RAD_TAN_THIN_PRISM_FISHEYE": (11, 16),
    "SIMPLE_DIVISION": (12, 4),
    "DIVISION": (13, 5),
    "SIMPLE_FISHEYE": (14, 3),
    "FISHEYE": (15, 4),
    "EUCM": (16, 6),
    "EQUIRECTANGULAR": (17, 2),
}


@dataclass(frozen=True)
class ColmapCamera:
    """Intrinsics; `params` in COLMAP's order for `model`, pixels and dimensionless coefficients."""

    id: int
    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ColmapImage:
    """A posed image.

    Attributes:
        id, camera_id: COLMAP's numbers.
        name: path relative to the images' folder.
        quaternion: (w, x, y, z) of cam_from_world.
        translation: of cam_from_world, scene units.
        points2d: keypoints (x, y), pixels, first pixel's centre at (0.5, 0.5).
        point3d_ids: the point that each keypoint observes, or -1.
    """

    id: int
    camera_id: int
    name: str
    quaternion: Float64[np.ndarray, "4"]
    translation: Float64[np.ndarray, "3"]
    points2d: Float64[np.ndarray, "M 2"] = field(default_factory=lambda: np.empty((0, 2)))
    point3d_ids: Int64[np.ndarray, "M"] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, eq=False)
class ColmapPoints:
    """All points, as arrays.

    Attributes:
        ids: COLMAP's numbers.
        xyz: world positions, scene units.
        rgb: colours.
        error: mean reprojection error, pixels.
        track_lengths: observations per point; they sum to T.
        image_ids, point2d_idxs: the observations, point after point.
    """

    ids: Int64[np.ndarray, "N"]
    xyz: Float64[np.ndarray, "N 3"]
    rgb: UInt8[np.ndarray, "N 3"]
    error: Float64[np.ndarray, "N"]
    track_lengths: Int64[np.ndarray, "N"]
    image_ids: UInt32[np.ndarray, "T"]
    point2d_idxs: UInt32[np.ndarray, "T"]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls) -> ColmapPoints:
        """No points."""
        return cls(
            np.empty(0, np.int64),
            np.empty((0, 3)),
            np.empty((0, 3), np.uint8),
            np.empty(0),
            np.empty(0, np.int64),
            np.empty(0, np.uint32),
            np.empty(0, np.uint32),
        )


@dataclass(frozen=True, eq=False)
class ColmapModel:
    """A sparse model: cameras and images by id, and the points."""

    cameras: dict[int, ColmapCamera]
    images: dict[int, ColmapImage]
    points: ColmapPoints
