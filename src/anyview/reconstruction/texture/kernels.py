"""What one photograph says of each face of a mesh, and of each texel of its atlas, compiled.

`score` weighs a view for every face, after Waechter, Moehrle and Goesele 2014, section 4.1: how large the face appears
and how much detail the image has there, counted only where the view sees it. `bake` fetches the texels of the faces
that a view was chosen for.

Letters: H, W rows and columns of the image; M vertices, F faces, C corners of the atlas; K candidates kept per face.
Frames: vertices in the camera (z ahead) for `score`, corners in the camera for `bake`; the first pixel's centre is at
(0.5, 0.5), texels alike. A photograph's `state` is 0 outside the mask, 1 within `MARGIN` pixels of its edge or of the
image's, 2 inside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anyview.jit import njit

MARGIN = 2
"""Pixels next to an outline, a surface's or a mask's, in which colours of what lies behind may be mixed."""

FLAT = 0.02
"""Added to the mean gradient (sRGB in [0, 1] per pixel), so that a face without texture still prefers a near view."""

LEAST_COSINE = 0.1
"""Of the angle between a face's normal and the ray, for a view to count: 84 degrees."""

LEAST_SHARE = 0.5
"""Of a face's samples that a view must see to be a candidate."""

_DOUBT = 0.9  # taken off the weight of what lies in the margin
_SHARPNESS = 8  # power of the seen share in the weight
_FINEST = 6  # a face has at most this many samples along a side
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}

EMPTY, AROUND, SEEN = 0, 1, 2
"""Of a texel: no face's; beside its face, or hidden in the view that it should come from; on its face and seen."""


class Photograph(NamedTuple):
    """One view, ready to be looked things up in."""

    image: np.ndarray  # (H, W, 3) float32, colours continued past the mask
    gradient: np.ndarray  # (H, W) float32, of the grey image
    state: np.ndarray  # (H, W) uint8
    depth: np.ndarray  # (H, W) float32 of the mesh's nearest surface, infinite where there is none
    near: np.ndarray  # (H, W) float32, the least depth within MARGIN
    camera: np.ndarray  # (4,) float64: fx, fy, cx, cy


class Candidates(NamedTuple):
    """The best views of each face, in no order."""

    source: np.ndarray  # (F, K) int32, view, -1 where there is none
    weight: np.ndarray  # (F, K) float32, 0 where there is none
    color: np.ndarray  # (F, K, 3) float32, mean over the face
    whole: np.ndarray  # (F, K) bool: all of the face is seen


class Atlas(NamedTuple):
    """The texture while it is made, written to."""

    color: np.ndarray  # (rows, columns, 3) float32
    owner: np.ndarray  # (rows, columns) int32, face or -1
    state: np.ndarray  # (rows, columns) uint8


@njit(**_OPTIONS)
def tolerance(z, slope, pixels, camera):
    """How much nearer than z a surface may lie without being another one, within so many pixels; scene units."""
    return pixels * z / camera[0] * (1 + slope)


@njit(**_OPTIONS)
def score(view, photo, vertices, faces, first, last, candidates):
    """Weigh a view for faces first .. last - 1 and keep it where it is among the K best.

    The weight is projected area times (FLAT + mean gradient), times the eighth power of the seen share, less 90 %
    of what lies in the margin. Samples are the centroids of the m * m triangles that a face divides into.

    Args:
        view: number of the view.
        photo: `Photograph`.
        vertices: (M, 3) float64, camera frame.
        faces: (F, 3) int32.
        first, last: which faces.
        candidates: `Candidates`, written to.
    """
    camera = photo.camera
    fx, fy, cx, cy = camera
    height, width = photo.depth.shape
    color = np.empty(3, np.float64)
    for f in range(first, last):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        if not (a[2] > 0 and b[2] > 0 and c[2] > 0):
            continue
        ux, uy, vx, vy = fx * a[0] / a[2] + cx, fy * a[1] / a[2] + cy, fx * b[0] / b[2] + cx, fy * b[1] / b[2] + cy
        wx, wy = fx * c[0] / c[2] + cx, fy * c[1] / c[2] + cy
        if min(ux, vx, wx) < 0 or max(ux, vx, wx) >= width or min(uy, vy, wy) < 0 or max(uy, vy, wy) >= height:
            continue
        cosine = facing(a, b, c)
        if cosine < LEAST_COSINE:
            continue
        slope = np.sqrt(1 / (cosine * cosine) - 1)
        area = 0.5 * abs((vx - ux) * (wy - uy) - (vy - uy) * (wx - ux))
        side = int(min(max(np.ceil(0.5 * np.sqrt(area)), 1.0), _FINEST))
        seen, doubtful, detail = 0, 0, 0.0
        color[:] = 0
        for i in range(side):
            for j in range(2 * i + 1):  # row i of the division has i + 1 triangles that point up and i that point down
                down = j & 1
                s, t = (i + (2 - down) / 3) / side, ((j >> 1) + (1 + down) / 3) / side
                p, q, r = 1 - s, s - t, t
                x, y, z = p * a[0] + q * b[0] + r * c[0], p * a[1] + q * b[1] + r * c[1], p * a[2] + q * b[2] + r * c[2]
                column, row = int(fx * x / z + cx), int(fy * y / z + cy)
                if not (0 <= column < width and 0 <= row < height):
                    continue
                state = photo.state[row, column]
                if state == 0 or photo.depth[row, column] < z - tolerance(z, slope, 1.0, camera):
                    continue
                seen += 1
                doubtful += state == 1 or photo.near[row, column] < z - tolerance(z, slope, MARGIN + 1.0, camera)
                detail += photo.gradient[row, column]
                for k in range(3):
                    color[k] += photo.image[row, column, k]
        if seen == 0 or seen < LEAST_SHARE * side * side:
            continue
        share = seen / (side * side)
        weight = area * (FLAT + detail / seen) * share**_SHARPNESS * (1 - _DOUBT * doubtful / seen)
        _keep(candidates, f, view, np.float32(weight), color, seen, seen == side * side)


@njit(**_OPTIONS)
def facing(a, b, c):
    """Cosine between a triangle's outward normal and the ray to the camera's centre; corners in the camera frame.

    Counter-clockwise from outside, as everywhere here; camera axes are right-handed, so the usual cross product serves.
    """
    nx = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1])
    ny = (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2])
    nz = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    mx, my, mz = a[0] + b[0] + c[0], a[1] + b[1] + c[1], a[2] + b[2] + c[2]
    length = np.sqrt((nx * nx + ny * ny + nz * nz) * (mx * mx + my * my + mz * mz))
    return -(nx * mx + ny * my + nz * mz) / length if length > 0 else 0.0


@njit(**_OPTIONS)
def _keep(candidates, f, view, weight, color, seen, whole):
    """Put a view in the place of the weakest, if it is better; of equals the earlier stays."""
    worst = 0
    for k in range(1, candidates.weight.shape[1]):
        if candidates.weight[f, k] < candidates.weight[f, worst]:
            worst = k
    if weight > candidates.weight[f, worst]:
        candidates.source[f, worst], candidates.weight[f, worst] = view, weight
        candidates.whole[f, worst] = whole
        for k in range(3):
            candidates.color[f, worst, k] = color[k] / seen


@njit(**_OPTIONS)
def bake(faces, corners, texels, points, fallback, photo, seen_only, atlas):
    """Fill the texels of faces from one photograph.

    A texel belongs to a face if its centre lies on it, or less than a texel and a half beside it (bilinear filters look
    there; colours go on as the face's plane does). Where the view does not see the point, `fallback` is used.

    Args:
        faces: (n,) int32, which faces.
        corners: (F, 3) int32, the faces' corners in the atlas.
        texels: (C, 2) float64, where each corner lies in the texture, texels.
        points: (C, 3) float64, where it lies in the camera's frame.
        fallback: (C, 3) float32, colours for what is not seen.
        photo: `Photograph`; not looked at where `seen_only` is False.
        seen_only: whether the faces have a view; if not, all of their texels are made from `fallback`.
        atlas: `Atlas`, written to.
    """
    rows, columns = atlas.owner.shape
    color = np.empty(3, np.float64)
    for f in faces:
        i, j, k = corners[f]
        ax, ay = texels[i]
        e1x, e1y, e2x, e2y = texels[j, 0] - ax, texels[j, 1] - ay, texels[k, 0] - ax, texels[k, 1] - ay
        double = e1x * e2y - e1y * e2x
        if double == 0:
            continue
        # a texel and a half beside a side is this much below zero in that side's barycentric coordinate
        reach0 = 1.5 * np.hypot(e2x - e1x, e2y - e1y) / abs(double)
        reach1 = 1.5 * np.hypot(e2x, e2y) / abs(double)
        reach2 = 1.5 * np.hypot(e1x, e1y) / abs(double)
        cosine = facing(points[i], points[j], points[k])
        slope = np.sqrt(1 / max(cosine * cosine, LEAST_COSINE**2) - 1)
        left, right = ax + min(0.0, e1x, e2x), ax + max(0.0, e1x, e2x)
        top, bottom = ay + min(0.0, e1y, e2y), ay + max(0.0, e1y, e2y)
        for row in range(max(0, int(np.floor(top - 1.5))), min(rows, int(np.ceil(bottom + 1.5)) + 1)):
            for column in range(max(0, int(np.floor(left - 1.5))), min(columns, int(np.ceil(right + 1.5)) + 1)):
                dx, dy = column + 0.5 - ax, row + 0.5 - ay
                q, r = (dx * e2y - dy * e2x) / double, (e1x * dy - e1y * dx) / double
                p = 1 - q - r
                if p < -reach0 or q < -reach1 or r < -reach2:
                    continue
                state = SEEN if p >= 0 and q >= 0 and r >= 0 else AROUND
                if atlas.state[row, column] >= state:
                    continue
                found = False
                if seen_only:
                    x = p * points[i, 0] + q * points[j, 0] + r * points[k, 0]
                    y = p * points[i, 1] + q * points[j, 1] + r * points[k, 1]
                    z = p * points[i, 2] + q * points[j, 2] + r * points[k, 2]
                    found = _fetch(photo, x, y, z, slope, 1.0 if state == SEEN else MARGIN + 1.0, color)
                    if not found and state == AROUND:
                        continue  # the nearest texel that is there will do
                if not found:
                    if seen_only:
                        state = AROUND
                    if atlas.state[row, column] >= state:
                        continue
                    for n in range(3):
                        shade = p * fallback[i, n] + q * fallback[j, n] + r * fallback[k, n]
                        color[n] = min(max(shade, 0.0), 1.0)
                atlas.state[row, column], atlas.owner[row, column] = state, f
                for n in range(3):
                    atlas.color[row, column, n] = color[n]


@njit(**_OPTIONS)
def _fetch(photo, x, y, z, slope, pixels, color):
    """The colour of a point in the camera's frame; False where another surface hides it or it leaves the object."""
    height, width = photo.depth.shape
    if not z > 0:
        return False
    u, v = photo.camera[0] * x / z + photo.camera[2], photo.camera[1] * y / z + photo.camera[3]
    if not (0 <= u < width and 0 <= v < height):
        return False
    if photo.state[int(v), int(u)] == 0:
        return False
    if photo.depth[int(v), int(u)] < z - tolerance(z, slope, pixels, photo.camera):
        return False
    bilinear(photo.image, u, v, color)
    return True


@njit(**_OPTIONS)
def bilinear(image, u, v, color):
    """The image between its pixels' centres; its edge goes on beyond them."""
    height, width = image.shape[:2]
    left, top = int(np.floor(u - 0.5)), int(np.floor(v - 0.5))
    s, t = u - 0.5 - left, v - 0.5 - top
    x0, x1 = min(max(left, 0), width - 1), min(max(left + 1, 0), width - 1)
    y0, y1 = min(max(top, 0), height - 1), min(max(top + 1, 0), height - 1)
    for n in range(3):
        upper = (1 - s) * image[y0, x0, n] + s * image[y0, x1, n]
        lower = (1 - s) * image[y1, x0, n] + s * image[y1, x1, n]
        color[n] = (1 - t) * upper + t * lower


@njit(**_OPTIONS)
def look(photo, points, slopes, colors, seen):
    """Colours of points in the camera's frame, and which of them the view sees clear of any outline's margin.

    Args:
        photo: `Photograph`.
        points: (n, 3) float64.
        slopes: (n,) float64, tangent of the angle between surface normal and ray.
        colors: (n, 3) float32, written to; left alone where nothing is seen.
        seen: (n,) bool, written to.
    """
    color = np.empty(3, np.float64)
    for i in range(len(points)):
        x, y, z = points[i]
        seen[i] = _fetch(photo, x, y, z, slopes[i], 1.0, color)
        if seen[i]:
            u, v = photo.camera[0] * x / z + photo.camera[2], photo.camera[1] * y / z + photo.camera[3]
            close = z - tolerance(z, slopes[i], MARGIN + 1.0, photo.camera)
            seen[i] = photo.state[int(v), int(u)] == 2 and photo.near[int(v), int(u)] >= close
            for n in range(3):
                colors[i, n] = color[n]


@njit(**_OPTIONS)
def adjust(corners, texels, values, atlas):
    """Add to every texel what its face's corners say (`values`, (C, 3)), linearly between them."""
    rows, columns = atlas.owner.shape
    for row in range(rows):
        for column in range(columns):
            f = atlas.owner[row, column]
            if f < 0:
                continue
            i, j, k = corners[f]
            ax, ay = texels[i]
            e1x, e1y, e2x, e2y = texels[j, 0] - ax, texels[j, 1] - ay, texels[k, 0] - ax, texels[k, 1] - ay
            dx, dy, double = column + 0.5 - ax, row + 0.5 - ay, e1x * e2y - e1y * e2x
            # texels beside the face take the nearest corners' mixture: slivers would throw them far off
            q = min(max((dx * e2y - dy * e2x) / double, 0.0), 1.0)
            r = min(max((e1x * dy - e1y * dx) / double, 0.0), 1.0 - q)
            for n in range(3):
                atlas.color[row, column, n] += (1 - q - r) * values[i, n] + q * values[j, n] + r * values[k, n]
