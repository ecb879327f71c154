"""How close a reconstruction is to the truth: precision, recall, F1, and where it is wrong.

Letters: N predicted points, M true points, V views. Distances are to the nearest point of the other set, scene units.
Precision is the share of predicted points that lie within a threshold of the truth, recall the share of true points
that lie within it of the prediction, F1 their harmonic mean (Knapitsch et al. 2017, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8

from anyview.errors import FormatError, OptionError, SceneError
from anyview.formats.ply import Ply, read_ply, write_ply
from anyview.scene.scene import Scene, View
from anyview.typing import Depth, Points
from anyview.workspace import atomic_write

_SURFACE_SAMPLES = 1_000_000
_FOOTPRINTS = (1, 2, 4)


@dataclass(frozen=True)
class Score:
    """Agreement at one threshold.

    Attributes:
        threshold: scene units.
        precision, recall, f1: 0 to 1.
    """

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Agreement of a prediction with the truth.

    Attributes:
        scores: one per threshold, in the order asked for.
        predicted, true: points that took part.
        dropped: predicted points left out because they are not finite.
        mean_to_truth, median_to_truth: distances from predicted points to the truth, scene units.
        mean_to_predicted, median_to_predicted: distances from true points to the prediction, scene units.
        distances: (N,) from each finite predicted point to the truth.
    """

    scores: tuple[Score, ...]
    predicted: int
    true: int
    dropped: int
    mean_to_truth: float
    median_to_truth: float
    mean_to_predicted: float
    median_to_predicted: float
    distances: Float64[np.ndarray, "N"] = field(repr=False)


@dataclass(frozen=True, eq=False)
class TruthCloud:
    """True surface points of a scene with exact depth.

    Attributes:
        surface: (M, 3) what any view sees, one point per cell of 3/4 of a footprint.
        seen: (M,) whether at least three views see the point: what can be asked of a reconstruction.
        footprint: what a pixel covers at the scene's median depth, scene units.
    """

    surface: Points
    seen: Bool[np.ndarray, "M"]
    footprint: float


def evaluate_geometry(
    predicted: Float[np.ndarray, "N 3"],
    truth: Float[np.ndarray, "M 3"],
    thresholds: Sequence[float],
    *,
    reachable: Bool[np.ndarray, "M"] | None = None,
    workers: int = -1,
) -> Accuracy:
    """Compare two point sets.

    Args:
        predicted: points of the reconstruction; those that are not finite are left out and counted.
        truth: points of the true surface, dense against the thresholds.
        thresholds: scene units.
        reachable: true points that recall asks for; all by default.
        workers: threads; -1 takes all cores.

    Raises:
        OptionError: no threshold, or one that is not positive.
        SceneError: no finite point on one side.
    """
    from scipy.spatial import cKDTree

    if not len(thresholds) or not all(0 < t < np.inf for t in thresholds):
        raise OptionError(
            "thresholds must be positive lengths", expected="one or more, scene units", actual=list(thresholds)
        )
    p, dropped = _finite(predicted, "the predicted cloud")
    q, _ = _finite(truth, "the true cloud")
    asked = q
    if reachable is not None:
        asked, _ = _finite(np.asarray(truth, np.float64)[reachable], "the part of the true cloud that can be reached")
    to_truth = np.asarray(cKDTree(q).query(p, workers=workers)[0], np.float64)
    to_predicted = np.asarray(cKDTree(p).query(asked, workers=workers)[0], np.float64)
    scores = []
    for threshold in thresholds:
        precision, recall = float((to_truth < threshold).mean()), float((to_predicted < threshold).mean())
        f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
        scores.append(Score(float(threshold), precision, recall, f1))
    return Accuracy(
        tuple(scores),
        predicted=len(p),
        true=len(asked),
        dropped=dropped,
        mean_to_truth=float(to_truth.mean()),
        median_to_truth=float(np.median(to_truth)),
        mean_to_predicted=float(to_predicted.mean()),
        median_to_predicted=float(np.median(to_predicted)),
        distances=to_truth,
    )


def evaluate_geometry_files(
    predicted: str | Path,
    truth: str | Path,
    thresholds: Sequence[float],
    out: str | Path | None = None,
    *,
    seed: int = 0,
    workers: int = -1,
) -> Accuracy:
    """Compare two PLY files; a mesh is compared by points drawn evenly from its surface.

    Args:
        predicted: cloud or mesh of the reconstruction.
        truth: true cloud or mesh.
        thresholds: scene units.
        out: where to write the predicted points coloured by their error, from blue (none) to red (the largest
            threshold and more), with the property `error`; nowhere by default.
        seed: of the points drawn from meshes.
        workers: threads; -1 takes all cores.

    Raises:
        FormatError: a file is not a whole PLY.
        OptionError: no threshold, or one that is not positive.
        SceneError: no finite point on one side.
        WorkspaceError: `out` cannot be written.
    """
    p = _surface_points(read_ply(predicted), seed, Path(predicted))
    q = _surface_points(read_ply(truth), seed + 1, Path(truth))
    accuracy = evaluate_geometry(p, q, thresholds, workers=workers)
    if out is not None:
        kept = p[np.isfinite(p).all(axis=1)]
        colors = error_colors(accuracy.distances, max(thresholds))
        with atomic_write(Path(out)) as temporary:
            write_ply(temporary, kept, rgb=colors, extra={"error": accuracy.distances.astype(np.float32)})
    return accuracy


def error_colors(distances: Float[np.ndarray, "N"], largest: float) -> UInt8[np.ndarray, "N 3"]:
    """Colours from blue (0) over green and yellow to red (`largest` and more)."""
    stops = np.array([[49, 54, 149], [69, 160, 190], [120, 198, 121], [254, 224, 96], [215, 48, 39]], np.float64)
    place = np.clip(np.asarray(distances, np.float64) / largest, 0, 1)
    channels = [np.interp(place, np.linspace(0, 1, len(stops)), stops[:, i]) for i in range(3)]
    colors: UInt8[np.ndarray, "N 3"] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return colors


def truth_cloud(scene: Scene, depths: Mapping[str, Depth]) -> TruthCloud:
    """True surface points from exact depth maps.

    Every pixel with depth gives a point; of those that fall into one cell of 3/4 of a footprint the first stays. A view
    sees a point if the depth of the pixel that the point falls on differs from the point's by less than 1 %.

    Args:
        scene: pinhole views; those without a depth map (test views) take no part.
        depths: view name -> z in the camera frame, 0 where nothing is.

    Raises:
        SceneError: no depth anywhere.
    """
    views = [view for view in scene if view.name in depths]
    medians = [float(np.median(depths[v.name][depths[v.name] > 0])) for v in views if (depths[v.name] > 0).any()]
    if not medians:
        raise SceneError("no true depth", where=scene.root or "the scene", hint="pass the depth of some views")
    median = float(np.median(medians))
    footprint = median / views[0].camera.fx
    points = np.concatenate([_unproject(view, depths[view.name], 4 * median) for view in views])
    cells = np.floor(points / (0.75 * footprint)).astype(np.int64)
    points = points[_first_of_each(cells)]
    count = np.zeros(len(points), np.int64)
    undecided = np.arange(len(points))
    for view in views:
        count[undecided] += _sees(view, depths[view.name], points[undecided])
        undecided = undecided[count[undecided] < 3]
    return TruthCloud(points, count >= 3, footprint)


def score_cloud(predicted: Float[np.ndarray, "N 3"], truth: TruthCloud, *, workers: int = -1) -> Accuracy:
    """Precision against the whole true surface, recall against what three views see, at 1, 2 and 4 footprints.

    Raises:
        SceneError: the prediction has no finite point, or no true point is seen by three views.
    """
    thresholds = [n * truth.footprint for n in _FOOTPRINTS]
    return evaluate_geometry(predicted, truth.surface, thresholds, reachable=truth.seen, workers=workers)


def _finite(points: Float[np.ndarray, "N 3"], what: str) -> tuple[Float64[np.ndarray, "K 3"], int]:
    """The finite points and the number of others."""
    points = np.asarray(points, np.float64)
    kept = points[np.isfinite(points).all(axis=1)]
    if not len(kept):
        raise SceneError("no points to compare", where=what, actual=f"{len(points)} points, none of them finite")
    return kept, len(points) - len(kept)


def _surface_points(ply: Ply, seed: int, path: Path) -> Points:
    """The vertices of a cloud, or points drawn from the surface of a mesh, evenly by area."""
    xyz = ply.xyz
    if ply.faces is None or not len(ply.faces):
        return xyz
    a, b, c = (xyz[ply.faces[:, i]] for i in range(3))
    areas = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    total = np.cumsum(np.where(np.isfinite(areas), areas, 0))
    if not total[-1] > 0:
        raise FormatError("mesh without area", where=path, expected="triangles with distinct finite corners")
    rng = np.random.default_rng(seed)
    faces = np.searchsorted(total, rng.uniform(0, total[-1], _SURFACE_SAMPLES), side="right")
    # A point of the unit square, folded into its lower triangle, is even over the face.
    u, v = rng.uniform(size=(2, _SURFACE_SAMPLES, 1))
    outside = u + v > 1
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    points: Points = a[faces] + u * (b - a)[faces] + v * (c - a)[faces]
    return points


def _unproject(view: View, depth: Depth, farthest: float) -> Points:
    """World points of the pixels that have depth nearer than `farthest`."""
    rows, columns = np.nonzero((depth > 0) & (depth < farthest))
    z = depth[rows, columns].astype(np.float64)
    camera = view.camera
    x, y = (columns + 0.5 - camera.cx) / camera.fx * z, (rows + 0.5 - camera.cy) / camera.fy * z
    world: Points = np.stack([x, y, z], axis=1) @ view.world_from_cam[:3, :3].T + view.center
    return world


def _sees(view: View, depth: Depth, points: Points) -> Bool[np.ndarray, "N"]:
    """Whether each point is what the view shows at the pixel that the point falls on."""
    pose, camera = view.cam_from_world, view.camera
    x, y, z = (points @ pose[:3, :3].T + pose[:3, 3]).T
    front = z > 1e-9
    safe = np.where(front, z, 1.0)
    # Far outside, a column could not be held by an integer; there it does not matter which it is.
    column = np.clip(np.floor(x / safe * camera.fx + camera.cx), -1, camera.width).astype(np.int64)
    row = np.clip(np.floor(y / safe * camera.fy + camera.cy), -1, camera.height).astype(np.int64)
    inside = front & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    shown = np.zeros(len(points), np.float64)
    shown[inside] = depth[row[inside], column[inside]]
    return inside & (shown > 0) & (np.abs(shown - z) < 0.01 * z)


def _first_of_each(
    cells: np.ndarray[tuple[int, int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Index of the first row of each distinct kind, in the order of the kinds."""
    span = cells.max(axis=0) - cells.min(axis=0) + 1
    if float(span[0]) * float(span[1]) * float(span[2]) >= 2.0**62:
        return np.unique(cells, axis=0, return_index=True)[1]
    x, y, z = (cells - cells.min(axis=0)).T
    return np.unique((x * span[1] + y) * span[2] + z, return_index=True)[1]
