"""The sparse stage: keypoints, pairs, matches along known epipolar lines, points; all as COLMAP's files.

It makes `WORK/database.db` and `WORK/sparse/`; keypoints are kept per image, so that a killed run goes on from there.
Where the object is too smooth to match, it ends well with few points or none and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from anyview.cameras.poses import quaternion_from_rotation
from anyview.errors import SceneError
from anyview.formats.colmap import ColmapCamera, ColmapImage, ColmapModel, ColmapPoints, write_model
from anyview.progress import SILENT, Progress
from anyview.reconstruction.options import SparseOptions
from anyview.reconstruction.points.database import camera_ids, is_whole, write_database
from anyview.reconstruction.points.features import Features, extract_features
from anyview.reconstruction.points.matching import MatchRules, match_pairs
from anyview.reconstruction.points.pairs import choose_pairs
from anyview.reconstruction.points.refinement import PoseChange, refine_poses
from anyview.reconstruction.points.space import common_space
from anyview.reconstruction.points.triangulation import Tracks, triangulate
from anyview.scene.scene import Scene, View
from anyview.workspace import Workspace

_VERSION = 4  # part of the task's key: raise it when the same input gives other points
_FEW_POINTS = 100


@dataclass(frozen=True)
class SparseResult:
    """What the sparse stage found.

    Attributes:
        points: triangulated points.
        mean_reprojection_error: mean over the points of each point's mean, pixels; 0 without points.
        mean_track_length: observations per point.
        keypoints, pairs, matches: of all views together.
        note: what the user should know, or empty.
        moved_mean, moved_max: how far refined cameras moved, scene units; 0 unless asked for.
        turned_mean, turned_max: how far they turned, degrees.
    """

    points: int
    mean_reprojection_error: float
    mean_track_length: float
    keypoints: int
    pairs: int
    matches: int
    note: str = ""
    moved_mean: float = 0.0
    moved_max: float = 0.0
    turned_mean: float = 0.0
    turned_max: float = 0.0


def sparse(
    workspace: Workspace, scene: Scene, options: SparseOptions, seed: int = 0, progress: Progress = SILENT
) -> SparseResult:
    """Make `WORK/database.db` and `WORK/sparse/`, or find that they are made.

    Args:
        scene: pinhole views, as `prepare_scene` gives them.
        seed: no step is random; it is part of the key as in the other stages.

    Raises:
        SceneError: a distorted camera, a single view, or views that share nothing.
        WorkspaceError: the folder is not writable, or the disk is full.
    """
    _check(scene)
    scene = replace(scene, views=tuple(sorted(scene.views, key=lambda view: view.name)))
    views = scene.views
    inputs = [(v.name, asdict(v.camera), v.world_from_cam, v.pixels.fingerprint()) for v in views]
    task = workspace.task("sparse", (_VERSION, options, seed, scene.bounds, inputs))
    record = task.record()
    if record is not None:
        result = SparseResult(**record["notes"])
        if is_whole(workspace.database, len(views), result.keypoints, result.matches):
            return result

    features = extract_features(workspace, views, options, progress)
    space = common_space(scene, features)
    pairs = choose_pairs(views, space.samples, partners=options.partners, exhaustive=options.pairs == "exhaustive")
    rules = MatchRules(band=options.epipolar_band, ratio=options.ratio)
    matches = match_pairs(views, features, pairs, space.depths, rules, progress)
    write_database(workspace.database, views, features, pairs, matches)

    with progress.stage("points", 1) as advance:
        limits = {"max_error": options.max_reprojection_error, "min_angle": options.min_angle}
        tracks = triangulate(views, features, pairs, matches, **limits)
        change, refined = PoseChange(0.0, 0.0, 0.0, 0.0), list(views)
        if options.refine_poses and len(tracks) >= _FEW_POINTS:
            refined, change = refine_poses(views, build_model(views, features, tracks))
            tracks = triangulate(refined, features, pairs, matches, **limits)
        advance()
    write_model(build_model(refined, features, tracks), workspace.sparse)

    note = _note(features, tracks, options)
    if note:
        progress.note(note)
    result = SparseResult(
        points=len(tracks),
        mean_reprojection_error=float(tracks.error.mean()) if len(tracks) else 0.0,
        mean_track_length=float(tracks.lengths.mean()) if len(tracks) else 0.0,
        keypoints=sum(map(len, features)),
        pairs=len(pairs),
        matches=sum(map(len, matches)),
        note=note,
        **asdict(change),
    )
    model_files = [workspace.sparse / f"{name}.bin" for name in ("cameras", "images", "points3D")]
    task.done(model_files, **asdict(result))
    return result


def build_model(views: Sequence[View], features: Sequence[Features], tracks: Tracks) -> ColmapModel:
    """COLMAP's model; images are numbered from 1 in the order of the views, points from 1 in theirs."""
    ids = camera_ids(views)
    owner = np.repeat(np.arange(1, len(tracks) + 1), tracks.lengths)
    images = {}
    for number, (view, feature) in enumerate(zip(views, features, strict=True)):
        point_ids = np.full(len(feature), -1, np.int64)
        mine = tracks.views == number
        point_ids[tracks.keypoints[mine]] = owner[mine]
        pose = view.cam_from_world
        images[number + 1] = ColmapImage(
            number + 1,
            ids[view.camera],
            view.name,
            quaternion_from_rotation(pose[:3, :3]),
            pose[:3, 3].copy(),
            feature.keypoints[:, :2].astype(np.float64),
            point_ids,
        )
    points = ColmapPoints(
        np.arange(1, len(tracks) + 1),
        tracks.xyz,
        tracks.rgb,
        tracks.error,
        tracks.lengths,
        (tracks.views + 1).astype(np.uint32),
        tracks.keypoints.astype(np.uint32),
    )
    cameras = {n: ColmapCamera(n, c.model, c.width, c.height, c.params) for c, n in ids.items()}
    return ColmapModel(cameras, images, points)


def _check(scene: Scene) -> None:
    if len(scene) < 2:
        raise SceneError("a single view has no depth", where=scene.root or "the scene", expected="2 or more views")
    for view in scene:
        if not view.camera.is_pinhole:
            raise SceneError("distorted camera", where=view.name, expected="a pinhole camera", actual=view.camera.model)


def _note(features: Sequence[Features], tracks: Tracks, options: SparseOptions) -> str:
    text = ""
    if len(tracks) < _FEW_POINTS:
        found = sum(map(len, features)) / len(features)
        text = f"only {len(tracks)} sparse points ({found:.0f} keypoints per view): depth comes from the cameras alone"
        if options.refine_poses:
            text += "; poses were left as they are"
    return text
