"""One view of painted solids: exact maps at pixel centres, and a picture that is smooth between them.

Light is a soft sun, a sky and the ground's glow, dimmed by what stands in the way; it depends on the place alone, so
every view sees the same brightness there (Lambert). Only the optional gloss depends on the camera.

Inside a surface, a pixel's colour is the mean of paint at n x n places of the tangent plane, lit once; where surfaces
meet or end, m x m rays are traced and lit each by itself.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from anyview.scene._sdf import (
    BOX,
    CAPSULE,
    CYLINDER,
    PLANE,
    ROUND_CONE,
    SPHERE,
    distance,
    normal,
    span,
    to_object,
    to_world,
    trace,
)
from anyview.scene._textures import albedo, fbm

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")

_INSIDE_SAMPLES = 2  # per side of a pixel within a surface
_BORDER_SAMPLES = 4  # per side of a pixel where surfaces meet
_SUN_SHARPNESS = 9.0  # distance over gap at which the sun begins to be hidden: larger is a smaller sun
_AMBIENT_REACH = 0.42  # how far around a point things dim the sky, scene units


class Light(NamedTuple):
    """What shines.

    Attributes:
        sun: (3,), unit direction towards it.
        sun_color, sky_color, ground_color: (3,), linear RGB irradiance.
        texture: share of the surface that is painted, 0 to 1.
        specular: strength of highlights.
        horizon: distance from the origin at which a floor has faded into the sky; 0 where there is no environment.
    """

    sun: np.ndarray[Any, Any]
    sun_color: np.ndarray[Any, Any]
    sky_color: np.ndarray[Any, Any]
    ground_color: np.ndarray[Any, Any]
    texture: float
    specular: float
    horizon: float


@_jit
def _convex(kind):  # type: ignore[no-untyped-def]
    return kind in (PLANE, SPHERE, BOX, CYLINDER, CAPSULE, ROUND_CONE)


@_jit
def _sunshine(solids, own, light, x, y, z):  # type: ignore[no-untyped-def]
    """Share of the sun that a point sees: the narrowest gap on the way, against the distance to it (after I. Quilez)."""
    seen = 1.0
    sun = light.sun
    for k in range(len(solids.kind)):
        if k == own and _convex(solids.kind[k]):
            continue
        c = solids.center[k]
        ox, oy, oz = to_object(solids, k, x - c[0], y - c[1], z - c[2])
        dx, dy, dz = to_object(solids, k, sun[0], sun[1], sun[2])
        enter, leave = span(solids, k, ox, oy, oz, dx, dy, dz, 0.2)
        t = max(enter, 0.012)
        for _ in range(48):
            if t > leave:
                break
            f = distance(solids, k, ox + t * dx, oy + t * dy, oz + t * dz)
            seen = min(seen, 0.5 + 0.5 * _SUN_SHARPNESS * f / t)
            if seen <= 0.0:
                return 0.0
            t += min(max(abs(f), 0.006 + 0.01 * t), 0.08)
    return seen * seen * (3 - 2 * seen)


@_jit
def _openness(solids, own, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Share of the sky that a point sees, from the free room above it at five heights."""
    hidden, weight = 0.0, 1.0
    for i in range(1, 6):
        height = _AMBIENT_REACH * (i / 5.0) ** 1.5
        free = height
        for k in range(len(solids.kind)):
            if k == own and _convex(solids.kind[k]):
                continue
            c = solids.center[k]
            px, py, pz = x + height * nx - c[0], y + height * ny - c[1], z + height * nz - c[2]
            e = solids.extent[k]
            reach = height + math.sqrt(e[0] * e[0] + e[1] * e[1] + e[2] * e[2])
            if px * px + py * py + pz * pz < reach * reach:
                px, py, pz = to_object(solids, k, px, py, pz)
                free = min(free, distance(solids, k, px, py, pz))
        hidden += weight * (height - max(free, -height)) / height
        weight *= 0.75
    return max(0.08, 1.0 - 0.36 * hidden)


@_jit
def _irradiance(solids, k, light, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Light that falls on a point (linear RGB), and the share of the sun in sight."""
    facing = nx * light.sun[0] + ny * light.sun[1] + nz * light.sun[2]
    sun = 0.0
    if facing > 0.0:
        sun = _sunshine(solids, k, light, x + 0.002 * nx, y + 0.002 * ny, z + 0.002 * nz)
    openness = _openness(solids, k, x, y, z, nx, ny, nz)
    up = 0.5 + 0.5 * nz
    rgb = np.empty(3)
    for i in range(3):
        sky = light.sky_color[i] * up + light.ground_color[i] * (1 - up)
        rgb[i] = light.sun_color[i] * max(facing, 0.0) * sun + sky * openness
    return rgb[0], rgb[1], rgb[2], sun


@_jit
def _sky(light, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Colour of the sky in a direction (linear RGB): a gradient, a bright patch around the sun, thin clouds."""
    up = max(dz, 0.0)
    haze = math.exp(-5.0 * up)
    toward = max(dx * light.sun[0] + dy * light.sun[1] + dz * light.sun[2], 0.0)
    cloud = 0.0
    if dz > 0.0:
        scale = 1.4 / (dz + 0.25)
        cloud = max(0.0, fbm(dx * scale, dy * scale, 2.0, 5, 77) - 0.45) * 2.2 * (1 - haze)
    glow = 0.25 * toward**12
    r = 0.22 + 0.5 * haze + 0.6 * cloud + glow
    g = 0.40 + 0.38 * haze + 0.45 * cloud + 0.9 * glow
    b = 0.72 + 0.12 * haze + 0.2 * cloud + 0.6 * glow
    return r, g, b


@_jit
def _gloss(light, strength, sun, nx, ny, nz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """What a coat of varnish adds, seen along the unit direction d: the sun's highlight and the sky's mirror image."""
    facing = -(nx * dx + ny * dy + nz * dz)
    rx, ry, rz = dx + 2 * facing * nx, dy + 2 * facing * ny, dz + 2 * facing * nz
    toward = max(rx * light.sun[0] + ry * light.sun[1] + rz * light.sun[2], 0.0)
    highlight = sun * (1.4 * toward**90 + 0.25 * toward**14)
    fresnel = 0.04 + 0.7 * (1 - min(max(facing, 0.0), 1.0)) ** 5
    up = 0.5 + 0.5 * rz
    out = np.empty(3)
    for i in range(3):
        mirror = light.sky_color[i] * up * up + light.ground_color[i] * (1 - up)
        out[i] = strength * (highlight * light.sun_color[i] + 1.3 * fresnel * mirror)
    return out[0], out[1], out[2]


@_jit
def _fade(light, x, y, r, g, b, dx, dy, dz):  # type: ignore[no-untyped-def]
    """A far place, faded into the horizon."""
    if light.horizon <= 0.0:
        return r, g, b
    t = min(math.sqrt(x * x + y * y) / light.horizon, 1.0)
    t = t * t * (3 - 2 * t)
    hr, hg, hb = _sky(light, dx, dy, 0.0)
    return r + (hr - r) * t, g + (hg - g) * t, b + (hb - b) * t


@_jit
def _border(depth, solid, normals, i, j):  # type: ignore[no-untyped-def]
    """Whether a pixel's neighbours lie on other surfaces, or bend away from it."""
    height, width = solid.shape
    k, z = solid[i, j], depth[i, j]
    for di in range(-1, 2):
        for dj in range(-1, 2):
            a, b = i + di, j + dj
            if a < 0 or b < 0 or a >= height or b >= width:
                continue
            if solid[a, b] != k:
                return True
            if k >= 0:
                turn = 0.0
                for c in range(3):
                    turn += normals[a, b, c] * normals[i, j, c]
                if turn < 0.9 or abs(depth[a, b] - z) > 0.03 * z:
                    return True
    return False


@_jit
def render(solids, paints, light, camera, world_from_cam, depth, solid, normals, rgba):  # type: ignore[no-untyped-def]
    """Fill the maps of one view.

    Args:
        solids: `Solids`.
        paints: `Paints`.
        light: `Light`.
        camera: (fx, fy, cx, cy), pixels.
        world_from_cam: (4, 4).
        depth: (H, W) float64 out, z in the camera frame, 0 where nothing is.
        solid: (H, W) int64 out, index of the solid at the centre, -1 where nothing is.
        normals: (H, W, 3) float64 out, unit, world frame.
        rgba: (H, W, 4) float64 out, linear RGB of the covered part, and the covered share.
    """
    height, width = solid.shape
    ex, ey, ez = world_from_cam[0, 3], world_from_cam[1, 3], world_from_cam[2, 3]
    for i in range(height):
        for j in range(width):
            dx, dy, dz, long = _ray(camera, world_from_cam, j + 0.5, i + 0.5)
            t, k = trace(solids, ex, ey, ez, dx, dy, dz)
            solid[i, j] = k
            depth[i, j] = 0.0
            for c in range(3):
                normals[i, j, c] = 0.0
            if k >= 0:
                depth[i, j] = t / long
                nx, ny, nz = _normal_at(solids, k, ex + t * dx, ey + t * dy, ez + t * dz)
                normals[i, j, 0], normals[i, j, 1], normals[i, j, 2] = nx, ny, nz
    for i in range(height):
        for j in range(width):
            k = solid[i, j]
            dx, dy, dz, long = _ray(camera, world_from_cam, j + 0.5, i + 0.5)
            nx, ny, nz = normals[i, j, 0], normals[i, j, 1], normals[i, j, 2]
            facing = -(nx * dx + ny * dy + nz * dz)
            if _border(depth, solid, normals, i, j) or (k >= 0 and facing < 0.12):
                r, g, b, a = _many_rays(solids, paints, light, camera, world_from_cam, i, j)
            elif k >= 0:
                t = depth[i, j] * long
                r, g, b = _one_light(solids, paints, light, camera, world_from_cam, i, j, k, t, nx, ny, nz)
                a = 1.0
            elif light.horizon > 0.0:
                r, g, b = _sky(light, dx, dy, dz)
                a = 1.0
            else:
                r, g, b, a = 0.0, 0.0, 0.0, 0.0
            rgba[i, j, 0], rgba[i, j, 1], rgba[i, j, 2], rgba[i, j, 3] = r, g, b, a


@_jit
def _ray(camera, pose, u, v):  # type: ignore[no-untyped-def]
    """Unit direction in the world through a pixel place, and the length of that ray up to z = 1."""
    x, y = (u - camera[2]) / camera[0], (v - camera[3]) / camera[1]
    long = math.sqrt(x * x + y * y + 1.0)
    x, y, z = x / long, y / long, 1.0 / long
    return (
        pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z,
        pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z,
        pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z,
        long,
    )


@_jit
def _normal_at(solids, k, x, y, z):  # type: ignore[no-untyped-def]
    """Unit normal in the world at a point of the world on solid k."""
    c = solids.center[k]
    px, py, pz = to_object(solids, k, x - c[0], y - c[1], z - c[2])
    nx, ny, nz = normal(solids, k, px, py, pz)
    return to_world(solids, k, nx, ny, nz)


@_jit
def _paint_at(solids, paints, k, light, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Albedo at a point of the world with its normal."""
    c = solids.center[k]
    px, py, pz = to_object(solids, k, x - c[0], y - c[1], z - c[2])
    qx, qy, qz = to_object(solids, k, nx, ny, nz)
    return albedo(paints, k, px, py, pz, qx, qy, qz, light.texture)


@_jit
def _one_light(solids, paints, light, camera, pose, i, j, k, t, nx, ny, nz):  # type: ignore[no-untyped-def]
    """A pixel within one surface: one light, many places of paint."""
    ex, ey, ez = pose[0, 3], pose[1, 3], pose[2, 3]
    dx, dy, dz, _ = _ray(camera, pose, j + 0.5, i + 0.5)
    x, y, z = ex + t * dx, ey + t * dy, ez + t * dz
    lr, lg, lb, sun = _irradiance(solids, k, light, x, y, z, nx, ny, nz)
    above = (x - ex) * nx + (y - ey) * ny + (z - ez) * nz
    r, g, b = 0.0, 0.0, 0.0
    n = _INSIDE_SAMPLES
    for a in range(n * n):
        sx, sy, sz, _ = _ray(camera, pose, j + (a % n + 0.5) / n, i + (a // n + 0.5) / n)
        s = above / (sx * nx + sy * ny + sz * nz)
        ar, ag, ab = _paint_at(solids, paints, k, light, ex + s * sx, ey + s * sy, ez + s * sz, nx, ny, nz)
        r, g, b = r + ar, g + ag, b + ab
    r, g, b = r * lr / (n * n), g * lg / (n * n), b * lb / (n * n)
    strength = light.specular * paints.gloss[k]
    if strength > 0.0:
        hr, hg, hb = _gloss(light, strength, sun, nx, ny, nz, dx, dy, dz)
        r, g, b = r + hr, g + hg, b + hb
    return _fade(light, x, y, r, g, b, dx, dy, dz)


@_jit
def _many_rays(solids, paints, light, camera, pose, i, j):  # type: ignore[no-untyped-def]
    """A pixel where surfaces meet: the mean of what is hit, and the share of rays that hit."""
    ex, ey, ez = pose[0, 3], pose[1, 3], pose[2, 3]
    r, g, b, hits = 0.0, 0.0, 0.0, 0
    n = _BORDER_SAMPLES
    for a in range(n * n):
        dx, dy, dz, _ = _ray(camera, pose, j + (a % n + 0.5) / n, i + (a // n + 0.5) / n)
        t, k = trace(solids, ex, ey, ez, dx, dy, dz)
        if k >= 0:
            x, y, z = ex + t * dx, ey + t * dy, ez + t * dz
            nx, ny, nz = _normal_at(solids, k, x, y, z)
            lr, lg, lb, sun = _irradiance(solids, k, light, x, y, z, nx, ny, nz)
            ar, ag, ab = _paint_at(solids, paints, k, light, x, y, z, nx, ny, nz)
            sr, sg, sb = ar * lr, ag * lg, ab * lb
            strength = light.specular * paints.gloss[k]
            if strength > 0.0:
                hr, hg, hb = _gloss(light, strength, sun, nx, ny, nz, dx, dy, dz)
                sr, sg, sb = sr + hr, sg + hg, sb + hb
            sr, sg, sb = _fade(light, x, y, sr, sg, sb, dx, dy, dz)
        elif light.horizon > 0.0:
            sr, sg, sb = _sky(light, dx, dy, dz)
        else:
            continue
        r, g, b, hits = r + sr, g + sg, b + sb, hits + 1
    if hits == 0:
        return 0.0, 0.0, 0.0, 0.0
    return r / hits, g / hits, b / hits, hits / (n * n)
