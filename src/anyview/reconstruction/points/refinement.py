"""Bundle adjustment of poses that are nearly right, with the world's frame kept where it was.

Ceres runs inside pycolmap, in one thread, so that the same input gives the same bytes. Intrinsics stay fixed.
Letters: V views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from anyview.cameras.colmap import pycolmap
from anyview.cameras.poses import compose, inverse, rotation_from_quaternion
from anyview.formats.colmap import ColmapModel, write_model
from anyview.scene.scene import Scene, View
from anyview.typing import Pose


@dataclass(frozen=True)
class PoseChange:
    """How far cameras moved (scene units) and turned (degrees)."""

    moved_mean: float
    moved_max: float
    turned_mean: float
    turned_max: float


def refine_poses(views: Sequence[View], model: ColmapModel) -> tuple[list[View], PoseChange]:
    """Views with adjusted poses, in the old frame, and how far they moved.

    The adjusted cameras are laid over the old ones by the similarity that fits them best, so that neither origin,
    orientation nor unit of the world drift.

    Args:
        views: pinhole cameras, in the order of the model's image ids from 1.
        model: triangulated points of these views.
    """
    with TemporaryDirectory() as folder:
        write_model(model, Path(folder))
        reconstruction = pycolmap.Reconstruction(folder)
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length = options.refine_principal_point = options.refine_extra_params = False
    options.print_summary = False
    options.ceres.solver_options.num_threads = 1
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    config = pycolmap.BundleAdjustmentConfig()
    for number in range(1, len(views) + 1):
        config.add_image(number)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config, reconstruction).solve()

    adjusted = [
        inverse(np.vstack([reconstruction.image(n).cam_from_world().matrix(), (0, 0, 0, 1)]))
        for n in range(1, len(views) + 1)
    ]
    poses = _laid_over(adjusted, [view.world_from_cam for view in views])
    moved = np.array([np.linalg.norm(p[:3, 3] - v.center) for p, v in zip(poses, views, strict=True)])
    turned = np.array([_angle(p, v.world_from_cam) for p, v in zip(poses, views, strict=True)])
    change = PoseChange(float(moved.mean()), float(moved.max()), float(turned.mean()), float(turned.max()))
    return [replace(view, world_from_cam=pose) for view, pose in zip(views, poses, strict=True)], change


def with_poses_of(scene: Scene, model: ColmapModel) -> Scene:
    """The scene with the poses of the model's images of the same names; views that it lacks keep theirs."""
    poses = {
        image.name: inverse(compose(rotation_from_quaternion(image.quaternion), image.translation))
        for image in model.images.values()
    }
    return replace(
        scene, views=tuple(replace(v, world_from_cam=poses.get(v.name, v.world_from_cam)) for v in scene.views)
    )


def _laid_over(new: list[Pose], old: list[Pose]) -> list[Pose]:
    """New poses under the similarity that brings them nearest to the old: rotation by axes, the rest by centres."""
    u, _, vt = np.linalg.svd(sum(o[:3, :3] @ n[:3, :3].T for o, n in zip(old, new, strict=True)))
    turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    here, there = (np.stack([p[:3, 3] for p in poses]) for poses in (new, old))
    spread = here - here.mean(0)
    scale = float(((there - there.mean(0)) * (spread @ turn.T)).sum() / (spread**2).sum())
    return [compose(turn @ n[:3, :3], scale * (turn @ (n[:3, 3] - here.mean(0))) + there.mean(0)) for n in new]


def _angle(one: Pose, other: Pose) -> float:
    """Degrees between two orientations, precise for small ones (through the chord, not the trace)."""
    chord = np.linalg.norm(one[:3, :3] - other[:3, :3]) / (2 * np.sqrt(2))
    return float(np.degrees(2 * np.arcsin(min(chord, 1))))
