"""Where the cameras stand: a drawing of their frusta around what they see.

Drawn in perspective by our own projection, equal scale on all axes, three times as large as it is saved (which makes
the lines smooth). Far things come first and fade into the background.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from scipy.spatial import cKDTree

from anyview.cameras.models import Camera
from anyview.cameras.poses import inverse
from anyview.formats.files import atomic_write
from anyview.report.sides import camera_up, fit_camera, near_the_object
from anyview.scene.scene import Scene, View
from anyview.typing import Pose

SPLIT_COLORS = {"train": (47, 111, 237), "val": (224, 138, 0), "test": (214, 62, 119)}
"""Frustum colours; they hold on white and on black."""

_OTHER = (120, 120, 130)
_FINE = 3
_POINTS = 6000
_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
_BOX_EDGES = tuple((i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit)

_Rgb: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class _Canvas:
    """An image with a camera: takes world coordinates and a share of ink, keeps track of depth."""

    draw: ImageDraw.ImageDraw
    background: _Rgb
    camera: Camera
    pose: Pose
    nearest: float
    farthest: float

    def place(self, xyz: Float[np.ndarray, "N 3"]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels (N, 2) and depths (N,)."""
        world_to_cam = inverse(self.pose)
        seen = xyz @ world_to_cam[:3, :3].T + world_to_cam[:3, 3]
        depth = np.maximum(seen[:, 2], 1e-9)
        focal = (self.camera.fx, self.camera.fy)
        return seen[:, :2] / depth[:, None] * focal + (self.camera.cx, self.camera.cy), depth

    def ink(self, color: _Rgb, share: float, depth: float) -> tuple[int, int, int, int]:
        """The colour with opacity `share` nearby, and half of it at the far end."""
        fade = (depth - self.nearest) / max(self.farthest - self.nearest, 1e-12)
        return (*color, round(255 * share * (1 - 0.5 * min(max(fade, 0.0), 1.0))))

    def lines(self, xyz: Float[np.ndarray, "N 3"], color: _Rgb, share: float, width: float) -> None:
        """A line through the points."""
        pixels, depth = self.place(xyz)
        ink = self.ink(color, share, float(depth.mean()))
        self.draw.line([tuple(p) for p in pixels.tolist()], ink, max(1, round(width * _FINE)), joint="curve")


def draw_cameras(
    scene: Scene,
    path: str | Path | None = None,
    points: Float[np.ndarray, "N 3"] | None = None,
    *,
    size: tuple[int, int] = (1000, 640),
    dark: bool = False,
) -> PillowImage.Image:
    """Draw each view's frustum, coloured by split, around the scene's points or bounds.

    Args:
        scene: one view or more.
        path: where to save a PNG; nowhere by default.
        points: what the cameras see, world; None takes the scene's own points, or its bounds.
        size: width and height, pixels.
        dark: light lines on black, rather than dark ones on white.

    Raises:
        WorkspaceError: `path` cannot be written.
    """
    points = scene.points if points is None else points
    if points is not None:
        points = np.asarray(points, np.float64)
        points = points[near_the_object(points)]
    background, ink = ((22, 24, 29), (150, 158, 172)) if dark else ((255, 255, 255), (96, 104, 118))
    frusta = camera_frusta(scene, points)
    box = _box(scene, points)
    up = camera_up([view.world_from_cam for view in scene])
    stand = fit_camera(
        np.concatenate([frusta.reshape(-1, 3), box]), _three_quarter(scene, up), up, size[0] * _FINE, size[1] * _FINE
    )
    image = PillowImage.new("RGB", (size[0] * _FINE, size[1] * _FINE), background)
    depths = ((frusta.reshape(-1, 3) - stand[1][:3, 3]) @ stand[1][:3, 2]).tolist()
    canvas = _Canvas(ImageDraw.Draw(image, "RGBA"), background, *stand, min(depths), max(depths))
    _draw_floor(canvas, np.concatenate([frusta[:, 0], box]), up, ink)
    if points is not None and len(points):
        _draw_points(canvas, points, ink)
    elif scene.bounds is not None:
        for first, second in _BOX_EDGES:
            canvas.lines(box[[first, second]], ink, 0.7, 1.2)
    order = np.argsort(-((frusta[:, 0] - stand[1][:3, 3]) @ stand[1][:3, 2]), kind="stable")
    for i in order.tolist():
        _draw_frustum(canvas, frusta[i], _color(scene.views[i].split), thin=len(scene) > 150)
    image = image.resize(size, PillowImage.Resampling.LANCZOS)
    _draw_legend(image, scene, ink)
    if path is not None:
        with atomic_write(Path(path)) as temporary:
            image.save(temporary, format="PNG", optimize=True)
    return image


def _color(split: str) -> _Rgb:
    return SPLIT_COLORS.get(split, _OTHER)


def camera_frusta(scene: Scene, points: Float[np.ndarray, "N 3"] | None = None) -> Float64[np.ndarray, "V 6 3"]:
    """Each view's centre, its image's four corners (clockwise from the upper left), and a tip above its upper edge.

    World, scene units; of a size that suits the distances between the views and the extent of the points.
    """
    centers = np.stack([view.center for view in scene])
    extent = float(np.linalg.norm(np.ptp(centers, axis=0)))
    if points is not None and len(points):
        extent = max(extent, 0.5 * float(np.linalg.norm(np.ptp(points, axis=0))))
    if len(scene) > 1:
        spacing = float(np.median(np.asarray(cKDTree(centers).query(centers, k=2)[0])[:, 1]))
        length = float(np.clip(0.55 * spacing, 0.02 * extent, 0.1 * extent))
    else:
        length = 0.1 * extent
    length = length if length > 0 else 1.0
    return np.stack([_frustum(view, length) for view in scene])


def _frustum(view: View, length: float) -> Float64[np.ndarray, "6 3"]:
    camera = view.camera
    corners = _CORNERS * (camera.width, camera.height)
    xy = (corners - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    tip = (xy[0] + xy[1]) / 2 - (0, 0.35 * (xy[3, 1] - xy[0, 1]))
    # Wide lenses are drawn shorter, so that all frusta have about one size.
    length = length / max(1.0, float(np.abs(xy).max()))
    local = np.concatenate([np.zeros((1, 3)), np.column_stack([np.vstack([xy, tip]), np.ones(5)]) * length])
    world: Float64[np.ndarray, "6 3"] = local @ view.world_from_cam[:3, :3].T + view.center
    return world


def _box(scene: Scene, points: Float64[np.ndarray, "N 3"] | None) -> Float64[np.ndarray, "_ 3"]:
    """Eight corners around the points, or of the bounds; nothing where neither is known."""
    if points is not None and len(points):
        low, high = points.min(axis=0), points.max(axis=0)
    elif scene.bounds is not None:
        low, high = scene.bounds
    else:
        return np.empty((0, 3))
    return np.array([[(low, high)[i >> axis & 1][axis] for axis in range(3)] for i in range(8)])


def _three_quarter(scene: Scene, up: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3"]:
    """From which side to look: from behind the cameras' mean, turned a little, and from above."""
    back = -np.stack([view.world_from_cam[:3, 2] for view in scene]).mean(axis=0)
    back = back - (back @ up) * up
    if np.linalg.norm(back) < 0.2:  # cameras all around
        back = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    back = back / np.linalg.norm(back)
    around = np.cos(0.7) * back + np.sin(0.7) * np.cross(up, back)
    direction: Float64[np.ndarray, "3"] = np.cos(0.45) * around + np.sin(0.45) * up
    return direction


def _draw_floor(canvas: _Canvas, xyz: Float64[np.ndarray, "N 3"], up: Float64[np.ndarray, "3"], ink: _Rgb) -> None:
    """A grid below everything, for the eye to judge heights by."""
    east = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    east /= np.linalg.norm(east)
    axes = np.stack([east, np.cross(up, east)])
    flat = xyz @ axes.T
    middle, radius = (flat.min(axis=0) + flat.max(axis=0)) / 2, 0.55 * float(np.ptp(flat, axis=0).max())
    base = middle @ axes + up * float((xyz @ up).min())
    for step in np.linspace(-1, 1, 11):
        half = np.sqrt(max(0.0, 1.0 - step * step))
        for a, b in ((axes[0], axes[1]), (axes[1], axes[0])):
            ends = base + radius * (step * a + np.array([[-half], [half]]) * b)
            canvas.lines(ends, ink, 0.22, 0.8)
    circle = np.linspace(0, 2 * np.pi, 97)[:, None]
    canvas.lines(base + radius * (np.cos(circle) * axes[0] + np.sin(circle) * axes[1]), ink, 0.28, 0.8)


def _draw_points(canvas: _Canvas, points: Float64[np.ndarray, "N 3"], ink: _Rgb) -> None:
    if len(points) > _POINTS:
        points = points[np.random.default_rng(0).choice(len(points), _POINTS, replace=False)]
    pixels, depth = canvas.place(points)
    for i in np.argsort(-depth, kind="stable").tolist():
        x, y = pixels[i].tolist()
        radius = 0.9 * _FINE
        canvas.draw.ellipse((x - radius, y - radius, x + radius, y + radius), canvas.ink(ink, 0.75, float(depth[i])))


def _draw_frustum(canvas: _Canvas, frustum: Float64[np.ndarray, "6 3"], color: _Rgb, *, thin: bool) -> None:
    pixels, depth = canvas.place(frustum)
    plane = [tuple(p) for p in pixels[1:5].tolist()]
    canvas.draw.polygon(plane, canvas.ink(color, 0.12 if thin else 0.22, float(depth.mean())))
    width = 0.8 if thin else 1.3
    for corner in range(1, 5):
        canvas.lines(frustum[[0, corner]], color, 0.75, width)
    canvas.lines(frustum[[1, 2, 3, 4, 1]], color, 0.95, width)
    tip = [tuple(p) for p in pixels[[1, 5, 2]].tolist()]
    canvas.draw.polygon(tip, canvas.ink(color, 0.8, float(depth.mean())))


def _draw_legend(image: PillowImage.Image, scene: Scene, ink: _Rgb) -> None:
    size = max(11, round(image.width * 0.017))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    x, y = size, image.height - size
    for split, count in Counter(view.split for view in scene).items():
        draw.rounded_rectangle((x, y - size * 0.75, x + size * 0.75, y), 2, fill=_color(split))
        text = f"{count} {split}"
        draw.text((x + size * 1.2, y), text, ink, font, anchor="ls")
        x += round(size * 2.6 + font.getlength(text))
