"""Which source views help a reference view, and how far the search for its depth goes.

With sparse points, two views help each other by the points that both see, each weighted by its viewing angle (too
small an angle gives no depth, too large a one no likeness). Without enough of them, points are put where the optical
axes come together, or along the views' own rays. Letters: V views, N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float64

from anyview.cameras.models import Camera
from anyview.errors import SceneError
from anyview.formats.colmap import ColmapModel
from anyview.scene.attention import converging_axes
from anyview.scene.scene import Scene, View
from anyview.typing import Points

_ANGLE_BEST, _ANGLE_BELOW, _ANGLE_ABOVE = 10.0, 5.0, 14.0  # degrees: the best viewing angle and how fast it fades
_ENOUGH_POINTS = 30  # of the sparse model in a view's image, to trust them with its depth range
_FRUSTUM_POINTS = 2000  # about so many tell what two frusta share, however many there are
_RAYS = 5  # samples along each side of an image where no sparse point is known


@dataclass(frozen=True)
class ViewPlan:
    """How one view is matched.

    Attributes:
        name: the view's.
        sources: names of the source views, most helpful first.
        depth_min, depth_max: range of the search, scene units.
        rho_step: change of inverse depth that moves a match by one pixel, for the typical source, 1 / scene units.
    """

    name: str
    sources: tuple[str, ...]
    depth_min: float
    depth_max: float
    rho_step: float


def plan_views(
    scene: Scene, model: ColmapModel | None, most: int, depth_min: float = 0.0, depth_max: float = 0.0
) -> list[ViewPlan]:
    """Sources and depth ranges for every view.

    Args:
        scene: pinhole views.
        model: sparse points, keyed by the views' names; None or empty where there are none.
        most: sources per view.
        depth_min, depth_max: the user's range, scene units; 0 finds it from the scene.

    Raises:
        SceneError: fewer than two views, or no two views that share anything in the range.
    """
    if len(scene) < 2:
        raise SceneError(
            "dense stereo needs at least two views",
            where=scene.root or "the scene", actual=len(scene), hint="add views of the same object",
        )  # fmt: skip
    points, tracks = _points_and_tracks(scene, model)
    if scene.bounds is not None:  # what lies elsewhere says nothing of what is wanted
        wanted = ((points >= scene.bounds[0]) & (points <= scene.bounds[1])).all(1)
        points, tracks = points[wanted], tracks[:, wanted]
    ranges = [_depth_range(view, scene, points) for view in scene]
    near = [depth_min or r[0] for r in ranges]
    far = [depth_max or r[1] for r in ranges]
    samples, visible = points, tracks
    if len(points) < _ENOUGH_POINTS:
        samples = _sample_rays(scene, near, far)
        visible = np.stack([project(view.camera, view.cam_from_world, samples)[2] for view in scene])
    scores = _pair_scores(scene, samples, visible)
    if len(points) >= _ENOUGH_POINTS:  # tracks are thin: what frusta share ranks the rest
        every = max(1, len(points) // _FRUSTUM_POINTS)
        inside = np.stack([project(view.camera, view.cam_from_world, points[::every])[2] for view in scene])
        scores = scores + 0.02 * every * _pair_scores(scene, points[::every], inside)

    plans = []
    for i, view in enumerate(scene):
        order = [int(j) for j in np.argsort(-scores[i], kind="stable") if j != i and scores[i, j] > 0][:most]
        if not order or near[i] >= far[i]:
            continue
        baselines = [np.linalg.norm(scene.views[j].center - view.center) for j in order]
        step = 1.0 / (view.camera.fx * max(float(np.median(baselines)), 1e-12))
        plans.append(ViewPlan(view.name, tuple(scene.views[j].name for j in order), near[i], far[i], step))
    if not plans:
        raise SceneError(
            "no two views share anything in the range of depths", where=scene.root or "the scene",
            hint="check the poses' axes, or give --dense.depth-min and --dense.depth-max",
        )  # fmt: skip
    return plans


def project(
    camera: Camera, cam_from_world: Float64[np.ndarray, "4 4"], points: Points
) -> tuple[Float64[np.ndarray, "N 2"], Float64[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Pixels, depths and whether each point falls into the image, for a pinhole camera."""
    local = points @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
    z = local[:, 2]
    safe = np.where(z > 0, z, 1.0)
    x = local[:, 0] / safe * camera.fx + camera.cx
    y = local[:, 1] / safe * camera.fy + camera.cy
    inside = (z > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    return np.stack([x, y], 1), z, inside


def _depth_range(view: View, scene: Scene, points: Points) -> tuple[float, float]:
    box = _box_range(view, scene)
    if len(points):
        _, z, inside = project(view.camera, view.cam_from_world, points)
        if inside.sum() >= _ENOUGH_POINTS:
            low, high = np.percentile(z[inside], [0.5, 99.5])
            extent = max(high - low, 0.05 * high)
            near, far = float(max(low - 0.25 * extent, 0.6 * low)), float(high + 0.4 * extent)
            if box is not None:  # no further than anybody wants to know
                near, far = max(near, box[0]), min(far, box[1])
            return near, far
    if box is not None:
        return box
    center, converging = converging_axes(scene)
    distance = float((view.cam_from_world @ np.append(center, 1))[2])
    if converging:  # around an object: as large as the narrowest view shows
        radius = min(
            np.linalg.norm(center - v.center) * 0.75 * min(v.camera.width / v.camera.fx, v.camera.height / v.camera.fy)
            for v in scene
        )
        return max(distance - float(radius), 0.1 * distance), distance + float(radius)
    baselines = sorted(float(np.linalg.norm(v.center - view.center)) for v in scene if v is not view)
    baseline = baselines[min(2, len(baselines) - 1)]
    if baseline <= 0:
        raise SceneError("views have no baseline", where=f"view {view.name}", hint="stereo needs cameras that move")
    # side by side: from a third of the image's width of disparity down to two pixels
    return 3 * view.camera.fx * baseline / view.camera.width, view.camera.fx * baseline / 2


def _box_range(view: View, scene: Scene) -> tuple[float, float] | None:
    """Depths of the scene's bounds; None where there are none or the view has them behind it."""
    if scene.bounds is None:
        return None
    corners = np.array(list(product(*scene.bounds.T)))
    _, z, _ = project(view.camera, view.cam_from_world, corners)
    return (float(max(z.min(), 0.02 * z.max())), float(z.max())) if z.max() > 0 else None


def _points_and_tracks(scene: Scene, model: ColmapModel | None) -> tuple[Points, Bool[np.ndarray, "V N"]]:
    if model is None or not len(model.points.ids):
        return np.empty((0, 3)), np.zeros((len(scene), 0), bool)
    index = {image.id: name_index for image in model.images.values()
             if (name_index := _index_of(scene, image.name)) is not None}  # fmt: skip
    seen = np.zeros((len(scene), len(model.points.ids)), bool)
    owner = np.repeat(np.arange(len(model.points.ids)), model.points.track_lengths)
    rows = np.array([index.get(int(i), -1) for i in model.points.image_ids])
    seen[rows[rows >= 0], owner[rows >= 0]] = True
    return model.points.xyz, seen


def _index_of(scene: Scene, name: str) -> int | None:
    return next((i for i, view in enumerate(scene) if view.name == name), None)


def _sample_rays(scene: Scene, near: Sequence[float], far: Sequence[float]) -> Points:
    """A few points per view: a grid of pixels at the middle of its inverse depths, and of its depths."""
    out = []
    for view, low, high in zip(scene, near, far, strict=True):
        camera = view.camera
        line = (np.arange(_RAYS) + 0.5) / _RAYS
        x, y = (a.ravel() for a in np.meshgrid(line * camera.width, line * camera.height))
        rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], 1)
        for depth in (2 / (1 / low + 1 / high), (low + high) / 2):
            out.append((rays * depth) @ view.world_from_cam[:3, :3].T + view.center)
    return np.concatenate(out)


def _pair_scores(scene: Scene, points: Points, visible: Bool[np.ndarray, "V N"]) -> Float64[np.ndarray, "V V"]:
    """Sum over shared points of an angle weight: 1 at the best angle, fading faster below it than above."""
    scores = np.zeros((len(scene), len(scene)))
    for i in range(len(scene)):
        for j in range(i):
            shared = points[visible[i] & visible[j]]
            if not len(shared):
                continue
            a, b = scene.views[i].center - shared, scene.views[j].center - shared
            cosine = (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-30)
            angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
            spread = np.where(angle < _ANGLE_BEST, _ANGLE_BELOW, _ANGLE_ABOVE)
            scores[i, j] = scores[j, i] = np.exp(-((angle - _ANGLE_BEST) ** 2) / (2 * spread**2)).sum()
    return scores
