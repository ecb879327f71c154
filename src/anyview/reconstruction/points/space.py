"""The space that the views have in common, before any point of it is known: where to look for matches.

In order of trust: the scene's own bounds; the cameras' common centre of attention, cut down to what the masks leave
(the visual hull, Laurentini 1994); failing that, depths in proportion to the distance between neighbouring cameras.
Letters: V views, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from anyview.errors import SceneError
from anyview.reconstruction.points.features import MASK_CELL, Features
from anyview.reconstruction.views import project
from anyview.scene.attention import converging_axes
from anyview.scene.scene import Scene, View
from anyview.typing import Points

_GRID = 32  # samples along each side of the box for the hull
_FEW = 9  # samples along each side of the box for choosing pairs
_HULL_SHARE = 0.9  # of the views whose image contains a sample must show the object there
_NEAREST, _FARTHEST = 0.05, 20.0  # depths searched where a camera stands inside the box, shares of the largest depth


@dataclass(frozen=True, eq=False)
class Space:
    """Samples of the common space (world), and each view's nearest and farthest depth, scene units."""

    samples: Points
    depths: Float64[np.ndarray, "V 2"]


def common_space(scene: Scene, features: Sequence[Features]) -> Space:
    """Samples and depth ranges from cameras, bounds and masks; `features` in the order of the scene's views.

    Raises:
        SceneError: a single view, or all cameras in one place.
    """
    box = scene.bounds if scene.bounds is not None else _box_of_attention(scene)
    if box is None:
        return _along_baselines(scene)
    if scene.bounds is None:
        box = _hull_box(scene, features, box)
    corners = _grid(box, np.array([0.0, 1.0]))
    depths = np.empty((len(scene), 2))
    for row, view in zip(depths, scene, strict=True):
        _, z, _ = project(view.camera, view.cam_from_world, corners)
        row[:] = max(z.min(), _NEAREST * z.max()), z.max()
    if not (depths[:, 1] > 0).all():
        return _along_baselines(scene)
    return Space(_grid(box, (np.arange(_FEW) + 0.5) / _FEW), depths)


def _grid(box: Float64[np.ndarray, "2 3"], steps: Float64[np.ndarray, "K"]) -> Points:
    unit = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    grid: Points = box[0] + unit * (box[1] - box[0])
    return grid


def _box_of_attention(scene: Scene) -> Float64[np.ndarray, "2 3"] | None:
    """A cube around the point that all cameras look at, as wide as the widest of them sees there."""
    center, converging = converging_axes(scene)
    if not converging:
        return None
    half = max(
        float(np.linalg.norm(center - v.center)) * max(v.camera.width / v.camera.fx, v.camera.height / v.camera.fy) / 2
        for v in scene
    )
    return np.stack([center - half, center + half])


def _hull_box(
    scene: Scene, features: Sequence[Features], box: Float64[np.ndarray, "2 3"]
) -> Float64[np.ndarray, "2 3"]:
    """The box of the samples that nearly every view shows inside its mask; the same box where nothing is left."""
    steps = np.linspace(0, 1, _GRID)
    samples = _grid(box, steps)
    could, inside = np.zeros(len(samples)), np.zeros(len(samples))
    for view, feature in zip(scene, features, strict=True):
        if feature.inside is None:
            return box
        pixels, _, within = project(view.camera, view.cam_from_world, samples)
        column, row = (np.where(within, pixels[:, k], 0).astype(np.int64) // MASK_CELL for k in (0, 1))
        could += within
        inside += within & feature.inside[row, column]
    kept = samples[(could > 0) & (inside >= _HULL_SHARE * could) & (could >= 0.5 * len(scene))]
    if not len(kept):
        return box
    step = (box[1] - box[0]) * steps[1]
    return np.stack([kept.min(0) - step, kept.max(0) + step])


def _along_baselines(scene: Scene) -> Space:
    """Depths from the distance to neighbouring cameras: from most of the image of disparity to half a pixel."""
    depths, samples = np.empty((len(scene), 2)), []
    centers = np.stack([view.center for view in scene])
    line = np.array([0.1, 0.5, 0.9])
    for row, view in zip(depths, scene, strict=True):
        baselines = np.sort(np.linalg.norm(centers - view.center, axis=1))[1:]
        baseline = float(baselines[min(2, len(baselines) - 1)]) if len(baselines) else 0.0
        if baseline <= 0:
            raise SceneError("views have no baseline", where=f"view {view.name}", hint="stereo needs cameras that move")
        row[:] = view.camera.fx / view.camera.width * baseline, 2 * view.camera.fx * baseline
        samples.append(_in_frustum(view, line, np.geomspace(row[0], min(row[1], _FARTHEST * row[0]), 3)))
    every = np.concatenate(samples)
    return Space(every[:: max(1, len(every) // 2000)], depths)


def _in_frustum(view: View, line: Float64[np.ndarray, "K"], depths: Float64[np.ndarray, "D"]) -> Points:
    x, y, z = (n.ravel() for n in np.meshgrid(line * view.camera.width, line * view.camera.height, depths))
    local = np.stack([(x - view.camera.cx) / view.camera.fx * z, (y - view.camera.cy) / view.camera.fy * z, z], 1)
    points: Points = local @ view.world_from_cam[:3, :3].T + view.center
    return points
