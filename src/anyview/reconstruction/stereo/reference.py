"""The dense kernels again, in plain numpy and float64: what `window.py`, `alignment.py` and the rest must agree with.

Nothing runs this but the tests and readers. A plane at pixel (x, y) is (rho, gx, gy): inverse depth at the pixel's
centre, 1 / scene units, and its change per pixel in x and in y. Grey images hold 1..255, and 0 where masked out.

Sources: Schoenberger et al. 2016 (bilateral NCC, geometric term), Xu and Tao 2019 (adaptive sampling, joint view
selection), Gruen 1985 (least-squares matching).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64

from anyview.cameras.poses import inverse
from anyview.typing import Pose

Plane: TypeAlias = tuple[float, float, float]
BAD = 2.0


@dataclass(frozen=True)
class GreyView:
    """A grey image (H, W), its 3x3 calibration matrix in pixels, and its pose."""

    grey: Float[np.ndarray, "H W"]
    matrix: Float64[np.ndarray, "3 3"]
    world_from_cam: Pose


def homography(ref: GreyView, src: GreyView, x: int, y: int, plane: Plane) -> Float64[np.ndarray, "3 3"]:
    """What takes reference pixels (x', y', 1) to source pixels, for points on the plane of pixel (x, y).

    1/z = rho + gx (x' - x - 0.5) + gy (y' - y - 0.5) is a row vector times (x', y', 1); with (R, t) = src_from_ref the
    source sees K_src (R K_ref^-1 q + t / z) of q.
    """
    rho, gx, gy = plane
    inverse_depth = np.array([gx, gy, rho - gx * (x + 0.5) - gy * (y + 0.5)])
    src_from_ref = inverse(src.world_from_cam) @ ref.world_from_cam
    straight = src.matrix @ src_from_ref[:3, :3] @ np.linalg.inv(ref.matrix)
    return straight + np.outer(src.matrix @ src_from_ref[:3, 3], inverse_depth)


def project(h: Float64[np.ndarray, "3 3"], points: Float64[np.ndarray, "N 2"]) -> Float64[np.ndarray, "N 3"]:
    """Source pixels (u, v), and depth in the source relative to the reference's."""
    p = np.column_stack([points, np.ones(len(points))]) @ h.T
    return np.column_stack([p[:, :2] / p[:, 2:], p[:, 2]])


def jacobian(h: Float64[np.ndarray, "3 3"], point: Float64[np.ndarray, "2"]) -> Float64[np.ndarray, "2 2"]:
    """Of the homography at a point: d(u, v) / d(x', y')."""
    u, v, z = project(h, point[None])[0]
    derivative: Float64[np.ndarray, "2 2"] = (h[:2, :2] - np.outer([u, v], h[2, :2])) / z
    return derivative


def window_weights(
    ref: GreyView, x: int, y: int, taps: Float[np.ndarray, "K 2"], color_sigma: float
) -> tuple[Float64[np.ndarray, " K"], Float64[np.ndarray, " K"]]:
    """Bilateral weight (spatial sigma: the radius) and grey of each tap; 0 outside the image or the mask."""
    weight, grey = np.zeros(len(taps)), np.zeros(len(taps))
    radius = np.abs(taps).max()
    for k, (dx, dy) in enumerate(taps.astype(int)):
        inside = 0 <= x + dx < ref.grey.shape[1] and 0 <= y + dy < ref.grey.shape[0]
        if inside and ref.grey[y + dy, x + dx] > 0:
            grey[k] = ref.grey[y + dy, x + dx]
            away, unlike = (dx**2 + dy**2) / (2 * radius**2), (grey[k] - ref.grey[y, x]) ** 2 / (2 * color_sigma**2)
            weight[k] = np.exp(-away - unlike)
    return weight, grey


def bilinear(
    grey: Float[np.ndarray, "H W"], at: Float64[np.ndarray, "K 2"]
) -> tuple[Float64[np.ndarray, " K"], Float64[np.ndarray, "K 2"]]:
    """Value and derivative between pixel centres; NaN where one of the four neighbours is outside or masked out."""
    padded = np.pad(np.rint(grey), 1)
    corner = np.floor(at + 0.5).astype(int)
    fraction = at + 0.5 - corner
    value, slope = np.full(len(at), np.nan), np.full((len(at), 2), np.nan)
    for k, ((c, r), (fu, fv)) in enumerate(zip(corner, fraction, strict=True)):
        four = padded[max(r, 0) : r + 2, max(c, 0) : c + 2]
        if four.shape == (2, 2) and min(r, c) >= 0 and four.min() > 0:
            value[k] = np.array([1 - fv, fv]) @ four @ np.array([1 - fu, fu])
            slope[k] = np.array([1 - fv, fv]) @ (four[:, 1] - four[:, 0]), (four[1] - four[0]) @ np.array([1 - fu, fu])
    return value, slope


def _samples(
    ref: GreyView, src: GreyView, x: int, y: int, plane: Plane, taps: Float[np.ndarray, "K 2"]
) -> tuple[Float64[np.ndarray, " K"], Float64[np.ndarray, "K 2"]] | None:
    """The source under the linearised window; None where its centre is not in the image."""
    h, center = homography(ref, src, x, y, plane), np.array([x + 0.5, y + 0.5])
    u, v, z = project(h, center[None])[0]
    height, width = src.grey.shape
    if z <= 0 or not (0 <= u <= width and 0 <= v <= height):
        return None
    j, slope = jacobian(h, center), (h[2, :2]) / z
    space = np.exp(-(taps**2).sum(1) / (2 * np.abs(taps).max() ** 2))
    spread = space @ taps[:, 0] ** 2 / space.sum()
    bend = -spread * j @ slope  # the homography's second-order term, averaged over the window
    return bilinear(src.grey, np.array([u, v]) + bend + taps @ j.T)


def matching_cost(
    ref: GreyView, src: GreyView, x: int, y: int, plane: Plane, taps: Float[np.ndarray, "K 2"], color_sigma: float
) -> float:
    """1 - NCC of the linearised window, moved towards 1 by the share of taps that the source lacks; 2 is worst."""
    weight, r = window_weights(ref, x, y, taps, color_sigma)
    found = _samples(ref, src, x, y, plane, taps)
    if found is None:
        return BAD
    s, seen = found[0], np.isfinite(found[0])
    w = weight * seen
    if w.sum() <= 0.5 * weight.sum():
        return BAD
    r, s, share = r[seen], s[seen], w.sum() / weight.sum()
    w = w[seen] / w.sum()
    r, s = r - w @ r, s - w @ s
    if min(w @ r**2, w @ s**2) < 0.4:
        return BAD
    ncc = (w @ (r * s)) / np.sqrt((w @ r**2) * (w @ s**2))
    return float(1 - np.clip(ncc, -1, 1) * share)


def correlation_gradient(
    correlation: Callable[[Plane], float], plane: Plane, rho_step: float, small: float = 1e-3
) -> Float64[np.ndarray, "3"]:
    """Derivative of a function of the plane by central differences, per pixel of displacement (see `alignment.py`)."""
    gradient = np.zeros(3)
    for i in range(3):
        change = np.zeros(3)
        change[i] = small * rho_step
        up, down = np.array(plane) + change, np.array(plane) - change
        gradient[i] = (correlation((up[0], up[1], up[2])) - correlation((down[0], down[1], down[2]))) / (2 * small)
    return gradient


def geometric_error(
    ref: GreyView, src: GreyView, depth: Float[np.ndarray, "h w"], x: int, y: int, rho: float, most: float = 3.0
) -> float:
    """Pixels between (x, y) and where the source's own depth, at the pixel it falls in, puts that point back."""
    u, v, z = project(homography(ref, src, x, y, (rho, 0, 0)), np.array([[x + 0.5, y + 0.5]]))[0]
    height, width = src.grey.shape
    if z <= 0 or not (0 <= u < width and 0 <= v < height):
        return most
    far = float(depth[int(v * depth.shape[0] / height), int(u * depth.shape[1] / width)])
    if far <= 0:
        return most
    point = np.linalg.inv(src.matrix) @ np.array([u, v, 1]) * far
    ref_from_src = inverse(ref.world_from_cam) @ src.world_from_cam
    back = ref.matrix @ (ref_from_src[:3, :3] @ point + ref_from_src[:3, 3])
    if back[2] <= 0:
        return most
    return float(min(np.hypot(*(back[:2] / back[2] - [x + 0.5, y + 0.5])), most))


def candidate_pixels(
    cost: Float[np.ndarray, "H W"], mask: Float[np.ndarray, "H W"], x: int, y: int
) -> list[tuple[int, int] | None]:
    """The cheapest pixel (x, y) of each of the eight regions: near V up, down, left, right; then the far lines."""
    near = [(0, 1), (-1, 2), (1, 2), (-2, 3), (2, 3), (-3, 4), (3, 4)]  # (across, along)
    far = [(0, along) for along in range(3, 25, 2)]
    turns: list[Callable[[int, int], tuple[int, int]]] = [
        lambda across, along: (across, -along),
        lambda across, along: (across, along),
        lambda across, along: (-along, across),
        lambda across, along: (along, across),
    ]
    chosen: list[tuple[int, int] | None] = []
    for offsets in (near, far):
        for turn in turns:
            places = [(x + dx, y + dy) for dx, dy in (turn(*o) for o in offsets)]
            inside = [(px, py) for px, py in places if 0 <= px < cost.shape[1] and 0 <= py < cost.shape[0]]
            valid = [(px, py) for px, py in inside if mask[py, px] > 0]
            chosen.append(min(valid, key=lambda p: cost[p[1], p[0]], default=None))
    return chosen


def move_plane(plane: Plane, dx: float, dy: float) -> Plane:
    """The same plane as a pixel (dx, dy) away writes it."""
    return plane[0] + plane[1] * dx + plane[2] * dy, plane[1], plane[2]


def joint_score(costs: Sequence[float], iteration: int) -> float:
    """How well a source shows a pixel, from the costs of its candidate planes there (Xu and Tao 2019, section 4.2)."""
    tau = 0.8 * np.exp(-(iteration**2) / 90)
    m = np.asarray(costs, np.float64)
    if (m > 1.2).sum() >= 3:
        return 0.0
    good = m[m < tau]
    return float(np.mean(np.exp(-(good**2) / 0.18)) if len(good) > 2 else np.exp(-(tau**2) / 0.32))


def select_views(scores: Sequence[float], most: int, share: float = 0.2) -> set[int]:
    """The two best sources, and up to `most` in all of those that reach this share of the best one's score."""
    order = sorted((j for j, s in enumerate(scores) if s > 0), key=lambda j: (-scores[j], j))
    return {j for i, j in enumerate(order[:most]) if i < 2 or scores[j] > share * scores[order[0]]}


def smooth_plane(
    planes: Float64[np.ndarray, "3 H W"], cost: Float64[np.ndarray, "H W"], step: float, radius: int, x: int, y: int
) -> Float64[np.ndarray, "3"]:
    """Mean of the planes within a square that pass this pixel, and that this pixel's plane passes, within `step`."""
    own, total, acc = planes[:, y, x], 0.0, np.zeros(3)
    for yy in range(max(y - radius, 0), min(y + radius + 1, cost.shape[0])):
        for xx in range(max(x - radius, 0), min(x + radius + 1, cost.shape[1])):
            theirs = planes[:, yy, xx]
            moved = move_plane((theirs[0], theirs[1], theirs[2]), x - xx, y - yy)
            back = move_plane((own[0], own[1], own[2]), xx - x, yy - y)
            if theirs[0] > 0 and abs(moved[0] - own[0]) < step and abs(back[0] - theirs[0]) < step:
                weight = 1 / (0.1 + cost[yy, xx])
                total, acc = total + weight, acc + weight * np.array(moved)
    return acc / total
