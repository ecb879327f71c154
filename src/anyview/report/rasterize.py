"""Point clouds and triangle meshes to pictures on the CPU: which primitive each sample sees, and at what depth.

Both renderers fill a visibility buffer (front primitive and depth per sample) and hand it to `shading`. Points are
discs of a given radius in space, oriented by their normals. Triangles are filled by `reconstruction.zbuffer`.
Letters: N points or vertices, F faces, S samples per pixel and axis. Camera frames look down +z, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int, UInt8
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from anyview.cameras.models import Camera
from anyview.cameras.poses import inverse
from anyview.errors import OptionError
from anyview.jit import njit
from anyview.reconstruction.surface.vertex_normals import vertex_normals
from anyview.reconstruction.texture.zbuffer import NEAR, fill
from anyview.report.shading import CLAY, Surface, shade
from anyview.typing import Depth, Image, Pose

_SPACING_SAMPLE = 12_000
_DISC = 1.6  # radius per spacing: where points lie by chance, a share exp(-pi 1.6^2) = 0.03 % of the surface stays open


@dataclass(frozen=True)
class Render:
    """A picture of a cloud or a mesh.

    Attributes:
        image: straight sRGB colours, (H, W, 3) in [0, 1]; 0 where nothing is seen.
        depth: z in the camera frame of the nearest surface, (H, W); 0 where nothing is seen.
        coverage: share of each pixel that is covered, (H, W) in [0, 1]: the picture's alpha.
    """

    image: Image
    depth: Depth
    coverage: Float32[np.ndarray, "H W"]

    def over(self, background: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Image:
        """The picture on a background colour (sRGB)."""
        alpha = self.coverage[..., None]
        return (self.image * alpha + np.asarray(background, np.float32) * (1 - alpha)).astype(np.float32)

    def rgba(self) -> UInt8[np.ndarray, "H W 4"]:
        """The picture as eight-bit colours with straight alpha."""
        both = np.concatenate([self.image, self.coverage[..., None]], axis=-1)
        return np.round(both * 255).astype(np.uint8)


def render_points(
    xyz: Float32[np.ndarray, "N 3"] | Float64[np.ndarray, "N 3"],
    camera: Camera,
    world_from_cam: Pose,
    *,
    rgb: UInt8[np.ndarray, "N 3"] | None = None,
    normals: Float32[np.ndarray, "N 3"] | Float64[np.ndarray, "N 3"] | None = None,
    radius: float | Float32[np.ndarray, "N"] | None = None,
    supersample: int = 2,
) -> Render:
    """Draw each point as a disc that is perpendicular to its normal, or faces the camera where it has none.

    A disc always covers at least the sample on which its centre falls. Where discs of one surface overlap, the nearest
    centre wins, so that colours stay crisp. Points that are not finite or lie behind the camera are left out.

    Args:
        xyz: positions in the world.
        camera: pinhole; its size is the picture's.
        world_from_cam: pose.
        rgb: colours; neutral clay without them.
        normals: unit, in the world; their sign does not matter.
        radius: of every disc, or of each, scene units; None takes it from `footprints`.
        supersample: samples per pixel and axis.

    Raises:
        OptionError: a distorted camera, or arrays that contradict each other.
    """
    _check(xyz, camera, supersample, rgb=rgb, normals=normals)
    radii = footprints(xyz) if radius is None else np.broadcast_to(np.float32(radius), (len(xyz),))
    fine = camera.resized(camera.width * supersample, camera.height * supersample)
    points = _to_camera(xyz, world_from_cam)
    axes = np.zeros((0, 3)) if normals is None else np.asarray(normals, np.float64) @ world_from_cam[:3, :3]
    depth, index = _splat(points, axes, np.ascontiguousarray(radii), *_lens(fine), fine.width, fine.height)
    surface = Surface.of_points(points, axes, index, depth, _lens(fine), rgb)
    return _finish(surface, depth, fine, supersample, clay=rgb is None)


def render_mesh(
    xyz: Float32[np.ndarray, "N 3"] | Float64[np.ndarray, "N 3"],
    faces: Int[np.ndarray, "F 3"],
    camera: Camera,
    world_from_cam: Pose,
    *,
    rgb: UInt8[np.ndarray, "N 3"] | None = None,
    supersample: int = 2,
) -> Render:
    """Draw triangles with smooth normals, both sides visible, in their vertices' colours or in neutral clay.

    Args:
        xyz: vertices in the world.
        faces: three vertices each; degenerate faces draw nothing.
        camera: pinhole; its size is the picture's.
        world_from_cam: pose.
        rgb: colours of the vertices; clay without them.
        supersample: samples per pixel and axis.

    Raises:
        OptionError: a distorted camera, faces that name vertices that are not there, arrays that contradict each other.
    """
    _check(xyz, camera, supersample, rgb=rgb)
    faces = np.ascontiguousarray(faces, np.int32)
    if faces.size and (faces.min() < 0 or faces.max() >= len(xyz)):
        raise OptionError(
            "faces name vertices that are not there", expected=f"0 to {len(xyz) - 1}", actual=int(faces.max())
        )
    fine = camera.resized(camera.width * supersample, camera.height * supersample)
    vertices = _to_camera(xyz, world_from_cam)
    depth, index = fill(vertices, faces, *_lens(fine), fine.width, fine.height)
    normals = vertex_normals(vertices, faces)
    surface = Surface.of_faces(vertices, faces, normals, index, _lens(fine), rgb)
    return _finish(surface, depth, fine, supersample, clay=rgb is None)


def footprints(xyz: Float32[np.ndarray, "N 3"] | Float64[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N"]:
    """Radius of the disc that each point of a cloud on surfaces needs so that no gap stays, scene units.

    Spacing is measured on a part of the points, because thinning a surface by n widens its spacing by the root of n,
    and each point takes that of the nearest one in the part. 0 for points that are not finite, or alone.
    """
    xyz = np.asarray(xyz)
    good = np.flatnonzero(np.isfinite(xyz).all(axis=1))
    out = np.zeros(len(xyz), np.float32)
    if len(good) < 2:
        return out
    part = good
    if len(good) > _SPACING_SAMPLE:
        part = np.random.default_rng(0).choice(good, _SPACING_SAMPLE, replace=False)
    tree = cKDTree(xyz[part])
    distance = np.asarray(tree.query(xyz[part], k=min(9, len(part)))[0])
    # With points spread evenly by chance, the k-th neighbour lies at the root of k / (pi density).
    spacing = distance[:, -1] * np.sqrt(np.pi / (distance.shape[1] - 1)) * np.sqrt(len(part) / len(good))
    spacing = np.minimum(spacing, 4 * np.median(spacing))
    nearest = tree.query(xyz[good], eps=0.5, workers=-1)[1] if len(part) < len(good) else np.arange(len(part))
    out[good] = _DISC * spacing[nearest]
    return out


def _check(xyz: NDArray[np.floating], camera: Camera, supersample: int, **per_point: NDArray[Any] | None) -> None:
    if not camera.is_pinhole:
        raise OptionError("only pinhole cameras are drawn", expected="PINHOLE", actual=camera.model)
    if supersample < 1:
        raise OptionError("supersample is too small", expected="at least 1", actual=supersample)
    for name, array in {"xyz": xyz, **per_point}.items():
        if array is not None and np.shape(array) != (len(xyz), 3):
            raise OptionError(f"{name} has the wrong shape", expected=f"({len(xyz)}, 3)", actual=np.shape(array))


def _lens(camera: Camera) -> tuple[float, float, float, float]:
    return camera.fx, camera.fy, camera.cx, camera.cy


def _to_camera(xyz: NDArray[np.floating], world_from_cam: Pose) -> NDArray[np.float64]:
    pose = inverse(world_from_cam)
    with np.errstate(invalid="ignore"):  # points that are not finite are left out later
        out: NDArray[np.float64] = np.ascontiguousarray(np.asarray(xyz, np.float64) @ pose[:3, :3].T + pose[:3, 3])
    return out


def _finish(surface: Surface, depth: NDArray[np.float32], fine: Camera, supersample: int, *, clay: bool) -> Render:
    albedo = surface.albedo
    if clay:
        albedo[depth > 0] = CLAY
    image, coarse, coverage = shade(surface, depth, _lens(fine), supersample, strength=1.0 if clay else 0.55)
    return Render(image, coarse, coverage)


@njit(nogil=True, cache=True)
def _splat(
    points: NDArray[np.float64],
    axes: NDArray[np.float64],
    radii: NDArray[np.float32],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    width: int,
    height: int,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Depth (0 = none) and index (-1 = none) of the front disc at each sample; points and axes in the camera frame."""
    depth = np.zeros((height, width), np.float32)
    index = np.full((height, width), -1, np.int32)
    # What is compared is the depth plus a bowl around the disc's centre: the nearest centre wins on a surface.
    order = np.full((height, width), np.inf, np.float32)
    oriented = len(axes) == len(points)
    far = 0.0
    for i in range(len(points)):
        if points[i, 2] > far and points[i, 2] < np.inf:
            far = points[i, 2]
    near = far * NEAR
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        if not (z > near and np.isfinite(x) and np.isfinite(y) and z < np.inf):
            continue
        radius = float(radii[i])
        u, v = fx * x / z + cx, fy * y / z + cy
        reach = radius / max(z - radius, 0.1 * z)
        # One of fx, fy times the reach bounds the disc near the axis; off the axis perspective widens it.
        wide_x = fx * reach * (1 + abs(x / z))
        wide_y = fy * reach * (1 + abs(y / z))
        if u + wide_x < 0 or u - wide_x > width or v + wide_y < 0 or v - wide_y > height:
            continue
        column, row = int(np.floor(u)), int(np.floor(v))
        if 0 <= column < width and 0 <= row < height and z < order[row, column]:
            order[row, column], depth[row, column], index[row, column] = z, z, i
        nx, ny, nz = -x, -y, -z
        if oriented:
            nx, ny, nz = axes[i, 0], axes[i, 1], axes[i, 2]
        if nx * nx + ny * ny + nz * nz < 0.25 * (1.0 if oriented else 0.0):
            nx, ny, nz = -x, -y, -z
        plane = nx * x + ny * y + nz * z
        for r in range(max(0, int(np.ceil(v - wide_y - 0.5))), min(height, int(np.floor(v + wide_y - 0.5)) + 1)):
            dy = (r + 0.5 - cy) / fy
            for c in range(max(0, int(np.ceil(u - wide_x - 0.5))), min(width, int(np.floor(u + wide_x - 0.5)) + 1)):
                dx = (c + 0.5 - cx) / fx
                slope = nx * dx + ny * dy + nz
                if slope == 0:
                    continue
                t = plane / slope
                if not t > near:
                    continue
                away = (t * dx - x) ** 2 + (t * dy - y) ** 2 + (t - z) ** 2
                if away > radius * radius:
                    continue
                key = t + away / radius
                if key < order[r, c]:
                    order[r, c], depth[r, c], index[r, c] = key, t, i
    return depth, index
