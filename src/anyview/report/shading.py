"""Light for the renderers: a key light, a cool fill, a sky, and ambient occlusion from the depth buffer.

Works in the camera frame (lights move with the camera), on samples that are averaged to pixels in linear light.
Letters: h, w samples; H, W pixels; S samples per pixel and axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from anyview.jit import njit

CLAY = np.array([0.72, 0.685, 0.64], np.float32)
"""The neutral material, linear light."""

_TAPS = 12
_REACH = 0.035  # of occlusion, as a share of the picture's width at the surface's depth
_SAME_SURFACE = 1.02  # samples within this factor of the nearest depth belong to one surface

_LEVELS = np.arange(256) / 255.0
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)


@dataclass(frozen=True)
class Surface:
    """What each sample shows: albedo (h, w, 3) in linear light, and unit normal (h, w, 3) towards the camera."""

    albedo: NDArray[np.float32]
    normal: NDArray[np.float32]

    @classmethod
    def of_points(
        cls,
        points: NDArray[np.float64],
        axes: NDArray[np.float64],
        index: NDArray[np.int32],
        depth: NDArray[np.float32],
        lens: tuple[float, float, float, float],
        rgb: UInt8[np.ndarray, "N 3"] | None,
    ) -> Surface:
        """The surface of discs; without axes (N, 3) in the camera frame, normals come from the depth buffer."""
        albedo, normal = _resolve_points(points, axes, index, _colors(rgb))
        if len(axes) == 0:
            normal = _normals_from_depth(depth, *lens)
        return cls(albedo, normal)

    @classmethod
    def of_faces(
        cls,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int32],
        normals: NDArray[np.float64],
        index: NDArray[np.int32],
        lens: tuple[float, float, float, float],
        rgb: UInt8[np.ndarray, "N 3"] | None,
    ) -> Surface:
        """The surface of triangles: vertices' colours and normals interpolated where each sample's ray meets them."""
        return cls(*_resolve_faces(vertices, faces, normals, index, *lens, _colors(rgb)))


def shade(
    surface: Surface,
    depth: NDArray[np.float32],
    lens: tuple[float, float, float, float],
    supersample: int,
    *,
    strength: float,
) -> tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """Light the samples and average them to pixels.

    Args:
        surface: what the samples show.
        depth: z of each sample, 0 = none.
        lens: fx, fy, cx, cy in samples.
        supersample: S; h and w are multiples of it.
        strength: 0 shows the albedo as it is, 1 is full light and shadow.

    Returns:
        sRGB colours, depth of the nearest surface (0 = none), and coverage.
    """
    # Occlusion is smooth: one value per pixel is enough, and its pattern of taps is blurred away.
    open_sky = _blur(_occlusion(depth, surface.normal, *lens, supersample), depth, supersample)
    return _light(surface.albedo, surface.normal, depth, open_sky, supersample, strength)


def _colors(rgb: UInt8[np.ndarray, "N 3"] | None) -> NDArray[np.float32]:
    out: NDArray[np.float32] = np.zeros((0, 3), np.float32) if rgb is None else _LINEAR[np.asarray(rgb, np.uint8)]
    return out


@njit(nogil=True, cache=True)
def _resolve_points(
    points: NDArray[np.float64], axes: NDArray[np.float64], index: NDArray[np.int32], colors: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    height, width = index.shape
    albedo = np.zeros((height, width, 3), np.float32)
    normal = np.zeros((height, width, 3), np.float32)
    for r in range(height):
        for c in range(width):
            i = index[r, c]
            if i < 0:
                continue
            if len(colors) > 0:
                albedo[r, c] = colors[i]
            if len(axes) > 0:
                facing = axes[i, 0] * points[i, 0] + axes[i, 1] * points[i, 1] + axes[i, 2] * points[i, 2]
                sign = -1.0 if facing > 0 else 1.0
                for k in range(3):
                    normal[r, c, k] = sign * axes[i, k]
    return albedo, normal


@njit(nogil=True, cache=True)
def _normals_from_depth(depth: NDArray[np.float32], fx: float, fy: float, cx: float, cy: float) -> NDArray[np.float32]:
    """Normals from differences of neighbouring samples, taking the smaller of the two differences per axis."""
    height, width = depth.shape
    normal = np.zeros((height, width, 3), np.float32)
    for r in range(height):
        for c in range(width):
            z = depth[r, c]
            if z == 0:
                continue
            du, dv = np.inf, np.inf
            for step in (-2, 2):
                if 0 <= c + step < width and depth[r, c + step] > 0:
                    change = (depth[r, c + step] - z) / step
                    if abs(change) < abs(du):
                        du = change
                if 0 <= r + step < height and depth[r + step, c] > 0:
                    change = (depth[r + step, c] - z) / step
                    if abs(change) < abs(dv):
                        dv = change
            # Steps of many pixels' worth of depth are gaps between surfaces, not slopes.
            if abs(du) * fx > 6 * z:
                du = 0.0
            if abs(dv) * fy > 6 * z:
                dv = 0.0
            dx, dy = (c + 0.5 - cx) / fx, (r + 0.5 - cy) / fy
            nx, ny, nz = fx * du, fy * dv, -z - du * fx * dx - dv * fy * dy
            norm = np.sqrt(nx * nx + ny * ny + nz * nz)
            normal[r, c, 0], normal[r, c, 1], normal[r, c, 2] = nx / norm, ny / norm, nz / norm
    return normal


@njit(nogil=True, cache=True)
def _resolve_faces(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],
    index: NDArray[np.int32],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    colors: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    height, width = index.shape
    albedo = np.zeros((height, width, 3), np.float32)
    normal = np.zeros((height, width, 3), np.float32)
    weight = np.empty(3)
    for r in range(height):
        for c in range(width):
            f = index[r, c]
            if f < 0:
                continue
            dx, dy = (c + 0.5 - cx) / fx, (r + 0.5 - cy) / fy
            total = 0.0
            for k in range(3):
                p, q = vertices[faces[f, (k + 1) % 3]], vertices[faces[f, (k + 2) % 3]]
                weight[k] = (
                    (p[1] * q[2] - p[2] * q[1]) * dx + (p[2] * q[0] - p[0] * q[2]) * dy + (p[0] * q[1] - p[1] * q[0])
                )
                total += weight[k]
            nx, ny, nz = 0.0, 0.0, 0.0
            for k in range(3):
                share = weight[k] / total
                i = faces[f, k]
                nx += share * normals[i, 0]
                ny += share * normals[i, 1]
                nz += share * normals[i, 2]
                if len(colors) > 0:
                    for channel in range(3):
                        albedo[r, c, channel] += share * colors[i, channel]
            norm = np.sqrt(nx * nx + ny * ny + nz * nz)
            if norm == 0:
                nx, ny, nz, norm = -dx, -dy, -1.0, np.sqrt(dx * dx + dy * dy + 1)
            if nx * dx + ny * dy + nz > 0:  # both sides are drawn
                norm = -norm
            normal[r, c, 0], normal[r, c, 1], normal[r, c, 2] = nx / norm, ny / norm, nz / norm
    return albedo, normal


@njit(nogil=True, cache=True)
def _occlusion(
    depth: NDArray[np.float32],
    normal: NDArray[np.float32],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    supersample: int,
) -> NDArray[np.float32]:
    """Share of the sky that each pixel's first sample sees, from surfaces that rise above its tangent plane nearby."""
    rows, columns = depth.shape[0] // supersample, depth.shape[1] // supersample
    out = np.ones((rows, columns), np.float32)
    golden = 2.399963229728653
    for row in range(rows):
        for column in range(columns):
            r, c = row * supersample, column * supersample
            z = depth[r, c]
            if z == 0:
                continue
            x, y = (c + 0.5 - cx) / fx * z, (r + 0.5 - cy) / fy * z
            reach = _REACH * depth.shape[1]
            limit = reach * z / fx
            turn = ((column % 4) * 4 + (row % 4) * 7 % 16) * 0.39269908
            blocked = 0.0
            for tap in range(_TAPS):
                distance = reach * np.sqrt((tap + 0.5) / _TAPS)
                sc = c + int(np.rint(distance * np.cos(turn + tap * golden)))
                sr = r + int(np.rint(distance * np.sin(turn + tap * golden)))
                if not (0 <= sc < depth.shape[1] and 0 <= sr < depth.shape[0]) or depth[sr, sc] == 0:
                    continue
                other = depth[sr, sc]
                vx = (sc + 0.5 - cx) / fx * other - x
                vy = (sr + 0.5 - cy) / fy * other - y
                vz = other - z
                length = np.sqrt(vx * vx + vy * vy + vz * vz)
                if length < 1e-12:
                    continue
                rise = (vx * normal[r, c, 0] + vy * normal[r, c, 1] + vz * normal[r, c, 2]) / length
                # The offset hides the grain of a rough surface; what is much nearer is another object, not a crease.
                blocked += max(0.0, rise - 0.12) * max(0.0, 1 - (length / (2.5 * limit)) ** 2)
            out[row, column] = max(0.0, 1 - 2.2 * blocked / _TAPS)
    return out


@njit(nogil=True, cache=True)
def _blur(values: NDArray[np.float32], depth: NDArray[np.float32], supersample: int) -> NDArray[np.float32]:
    """Mean over 4x4 pixels (the period of the pattern of taps), without crossing a step in depth."""
    rows, columns = values.shape
    out = np.ones_like(values)
    for r in range(rows):
        for c in range(columns):
            z = depth[r * supersample, c * supersample]
            if z == 0:
                continue
            total, count = 0.0, 0
            for sr in range(max(0, r - 2), min(rows, r + 2)):
                for sc in range(max(0, c - 2), min(columns, c + 2)):
                    other = depth[sr * supersample, sc * supersample]
                    if other < _SAME_SURFACE * z and z < _SAME_SURFACE * other:
                        total += values[sr, sc]
                        count += 1
            out[r, c] = total / count if count > 0 else values[r, c]
    return out


@njit(nogil=True, cache=True)
def _light(
    albedo: NDArray[np.float32],
    normal: NDArray[np.float32],
    depth: NDArray[np.float32],
    open_sky: NDArray[np.float32],
    supersample: int,
    strength: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    rows, columns = open_sky.shape
    image = np.zeros((rows, columns, 3), np.float32)
    coarse = np.zeros((rows, columns), np.float32)
    coverage = np.zeros((rows, columns), np.float32)
    key, fill, sky, ground = (0.80, 0.76, 0.70), (0.10, 0.13, 0.18), (0.33, 0.35, 0.38), (0.17, 0.155, 0.14)
    for row in range(rows):
        for column in range(columns):
            nearest = np.float32(np.inf)
            for r in range(row * supersample, (row + 1) * supersample):
                for c in range(column * supersample, (column + 1) * supersample):
                    if 0 < depth[r, c] < nearest:
                        nearest = depth[r, c]
            if nearest == np.inf:
                continue
            covered, on_front, total = 0, 0, 0.0
            for r in range(row * supersample, (row + 1) * supersample):
                for c in range(column * supersample, (column + 1) * supersample):
                    if depth[r, c] == 0:
                        continue
                    covered += 1
                    if depth[r, c] < _SAME_SURFACE * nearest:
                        on_front += 1
                        total += depth[r, c]
                    nx, ny, nz = normal[r, c, 0], normal[r, c, 1], normal[r, c, 2]
                    # Unit directions to the lights: the key over the left shoulder, the fill low on the right.
                    to_key = max(0.0, -0.43 * nx - 0.60 * ny - 0.674 * nz)
                    to_fill = max(0.0, 0.75 * nx + 0.10 * ny - 0.654 * nz)
                    up = 0.5 - 0.5 * ny
                    for k in range(3):
                        ambient = up * sky[k] + (1 - up) * ground[k]
                        light = to_key * key[k] * (0.5 + 0.5 * open_sky[row, column])
                        light += to_fill * fill[k] + ambient * open_sky[row, column]
                        image[row, column, k] += albedo[r, c, k] * (1 - strength + strength * light)
            coverage[row, column] = covered / supersample**2
            coarse[row, column] = total / on_front
            for k in range(3):
                value = min(1.0, image[row, column, k] / covered)
                image[row, column, k] = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return image, coarse, coverage
