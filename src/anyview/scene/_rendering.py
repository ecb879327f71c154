"""One view of painted solids: exact maps at pixel centres, and a picture that is smooth between them.

Light is a soft sun, a sky and the ground's glow, dimmed by what stands in the way; it depends on the place alone, so
every view sees the same brightness there (Lambert). Only the optional gloss depends on the camera.

Inside a surface, a pixel's colour is the mean of paint at n x n places of the tangent plane, lit once; where surfaces
meet or end, m x m rays are traced and lit each by itself.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from anyview.scene._sdf import (
    BOX,
    CAPSULE,
    CYLINDER,
    NOTHING,
    PLANE,
    ROUND_CONE,
    SPHERE,
    distance,
    jit,
    meet,
    normal,
    passes,
    span,
    to_object,
    to_world,
    trace,
)
from anyview.scene._textures import albedo, fbm

_INSIDE_SAMPLES = 2  # per side of a pixel within a surface
_BORDER_SAMPLES = 3  # per side of a pixel where surfaces meet
_SUN_SHARPNESS = 9.0  # distance over gap at which the sun begins to be hidden: larger is a smaller sun
_PENUMBRA = 0.15  # how far around a solid its half shadow is looked for, scene units
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


@jit
def _convex(kind):  # type: ignore[no-untyped-def]
    return kind in (PLANE, SPHERE, BOX, CYLINDER, CAPSULE, ROUND_CONE)


@jit
def _sunshine(solids, own, sun, x, y, z):  # type: ignore[no-untyped-def]
    """Share of the sun that a point sees: the narrowest gap on the way against the distance to it (after I. Quilez)."""
    seen = 1.0
    for k in range(len(solids.kind)):
        if k == own and _convex(solids.kind[k]):
            continue
        ox, oy, oz = x - solids.center[k, 0], y - solids.center[k, 1], z - solids.center[k, 2]
        if passes(solids, k, ox, oy, oz, sun[0], sun[1], sun[2], _PENUMBRA):
            continue
        ox, oy, oz = to_object(solids, k, ox, oy, oz)
        dx, dy, dz = to_object(solids, k, sun[0], sun[1], sun[2])
        enter, leave = span(solids, k, ox, oy, oz, dx, dy, dz, _PENUMBRA)
        t = max(enter, 0.012)
        while t < leave:
            f = distance(solids, k, ox + t * dx, oy + t * dy, oz + t * dz)
            seen = min(seen, 0.5 + 0.5 * _SUN_SHARPNESS * f / t)
            if seen <= 0.0:
                return 0.0
            t += min(max(abs(f), 0.006 + 0.01 * t), 0.08)
    return seen * seen * (3 - 2 * seen)


@jit
def _openness(solids, own, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Share of the sky that a point sees: for each solid, how much of the room above the point it takes away."""
    seen = 1.0
    for k in range(len(solids.kind)):
        if k == own and _convex(solids.kind[k]):
            continue
        px, py, pz = x - solids.center[k, 0], y - solids.center[k, 1], z - solids.center[k, 2]
        reach = 2 * _AMBIENT_REACH + solids.ball[k]
        if px * px + py * py + pz * pz > reach * reach:
            continue
        px, py, pz = to_object(solids, k, px, py, pz)
        qx, qy, qz = to_object(solids, k, nx, ny, nz)
        hidden, height, weight = 0.0, _AMBIENT_REACH, 0.36
        for _ in range(5):
            f = distance(solids, k, px + height * qx, py + height * qy, pz + height * qz)
            if f > 2 * height:
                break  # nearer to the point there is even more room
            hidden += weight * min(max(1.0 - f / height, 0.0), 1.6)
            height *= 0.5
        seen *= max(0.12, 1.0 - hidden)
    return seen


@jit
def _visibility(solids, k, light, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Shares of the sun and of the sky that a surface point sees."""
    sun = 0.0
    if nx * light.sun[0] + ny * light.sun[1] + nz * light.sun[2] > 0.0:
        sun = _sunshine(solids, k, light.sun, x + 0.002 * nx, y + 0.002 * ny, z + 0.002 * nz)
    return sun, _openness(solids, k, x, y, z, nx, ny, nz)


@jit
def _lit(solids, paints, light, k, sun, openness, r, g, b, x, y, nx, ny, nz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Colour of a surface of albedo (r, g, b) seen along the unit direction d."""
    direct = sun * max(nx * light.sun[0] + ny * light.sun[1] + nz * light.sun[2], 0.0)
    above, below = openness * (0.5 + 0.5 * nz), openness * (0.5 - 0.5 * nz)
    r *= light.sun_color[0] * direct + light.sky_color[0] * above + light.ground_color[0] * below
    g *= light.sun_color[1] * direct + light.sky_color[1] * above + light.ground_color[1] * below
    b *= light.sun_color[2] * direct + light.sky_color[2] * above + light.ground_color[2] * below
    strength = light.specular * paints.gloss[k]
    if strength > 0.0:
        hr, hg, hb = _gloss(light, sun, openness, nx, ny, nz, dx, dy, dz)
        r, g, b = r + strength * hr, g + strength * hg, b + strength * hb
    return _fade(light, x, y, r, g, b, dx, dy)


@jit
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


@jit
def _gloss(light, sun, openness, nx, ny, nz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """What a coat of varnish adds, seen along the unit direction d: the sun's highlight and the sky's mirror image."""
    facing = -(nx * dx + ny * dy + nz * dz)
    rx, ry, rz = dx + 2 * facing * nx, dy + 2 * facing * ny, dz + 2 * facing * nz
    toward = max(rx * light.sun[0] + ry * light.sun[1] + rz * light.sun[2], 0.0)
    highlight = sun * (1.4 * toward**90 + 0.25 * toward**14)
    mirror = 1.3 * openness * (0.04 + 0.7 * (1 - min(max(facing, 0.0), 1.0)) ** 5)
    above, below = mirror * (0.5 + 0.5 * rz) ** 2, mirror * (0.5 - 0.5 * rz)
    return (
        highlight * light.sun_color[0] + above * light.sky_color[0] + below * light.ground_color[0],
        highlight * light.sun_color[1] + above * light.sky_color[1] + below * light.ground_color[1],
        highlight * light.sun_color[2] + above * light.sky_color[2] + below * light.ground_color[2],
    )


@jit
def _fade(light, x, y, r, g, b, dx, dy):  # type: ignore[no-untyped-def]
    """A far place, faded into the horizon."""
    if light.horizon <= 0.0:
        return r, g, b
    t = min(math.sqrt(x * x + y * y) / light.horizon, 1.0)
    t = t * t * (3 - 2 * t)
    hr, hg, hb = _sky(light, dx, dy, 0.0)
    return r + (hr - r) * t, g + (hg - g) * t, b + (hb - b) * t


@jit
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


@jit
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
    k = NOTHING
    for i in range(height):
        for j in range(width):
            dx, dy, dz, long = _ray(camera, world_from_cam, j + 0.5, i + 0.5)
            t, k = trace(solids, k, ex, ey, ez, dx, dy, dz)
            solid[i, j], depth[i, j] = k, 0.0
            normals[i, j, 0], normals[i, j, 1], normals[i, j, 2] = 0.0, 0.0, 0.0
            if k >= 0:
                depth[i, j] = t / long
                nx, ny, nz = _normal_at(solids, k, ex + t * dx, ey + t * dy, ez + t * dz)
                normals[i, j, 0], normals[i, j, 1], normals[i, j, 2] = nx, ny, nz
    border = np.empty((height, width), np.bool_)
    for i in range(height):
        for j in range(width):
            dx, dy, dz, _ = _ray(camera, world_from_cam, j + 0.5, i + 0.5)
            facing = -(normals[i, j, 0] * dx + normals[i, j, 1] * dy + normals[i, j, 2] * dz)
            border[i, j] = _border(depth, solid, normals, i, j) or (solid[i, j] >= 0 and facing < 0.12)
    seen = _visibility_map(solids, light, camera, world_from_cam, depth, solid, normals, border)
    memo = np.zeros((len(solids.kind), 6))
    for i in range(height):
        for j in range(width):
            if border[i, j]:
                r, g, b, a = _many_rays(solids, paints, light, camera, world_from_cam, i, j, solid, memo)
            elif solid[i, j] >= 0:
                r, g, b = _one_surface(solids, paints, light, camera, world_from_cam, i, j, depth, solid, normals, seen)
                a = 1.0
            elif light.horizon > 0.0:
                dx, dy, dz, _ = _ray(camera, world_from_cam, j + 0.5, i + 0.5)
                r, g, b = _sky(light, dx, dy, dz)
                a = 1.0
            else:
                r, g, b, a = 0.0, 0.0, 0.0, 0.0
            rgba[i, j, 0], rgba[i, j, 1], rgba[i, j, 2], rgba[i, j, 3] = r, g, b, a


@jit
def _visibility_map(solids, light, camera, pose, depth, solid, normals, border):  # type: ignore[no-untyped-def]
    """Shares of sun and sky within surfaces: exact at every second pixel, between them the mean of two or four."""
    height, width = solid.shape
    seen = np.full((height, width, 2), -1.0)
    for exact in range(2):
        for i in range(height):
            for j in range(width):
                even = i % 2 == 0 and j % 2 == 0
                k = solid[i, j]
                if k < 0 or border[i, j] or even == (exact == 1):
                    continue
                sun, openness, parts = 0.0, 0.0, 0
                if not even:  # none of the neighbours is border, so all of the 3 x 3 lie on this solid
                    di, dj = i % 2, j % 2
                    for a in range(i - di, i + di + 1, 2):
                        for b in range(j - dj, j + dj + 1, 2):
                            if a < height and b < width and seen[a, b, 1] >= 0.0:
                                sun, openness, parts = sun + seen[a, b, 0], openness + seen[a, b, 1], parts + 1
                    if parts == (1 + di) * (1 + dj):
                        seen[i, j, 0], seen[i, j, 1] = sun / parts, openness / parts
                        continue
                dx, dy, dz, long = _ray(camera, pose, j + 0.5, i + 0.5)
                t = depth[i, j] * long
                x, y, z = pose[0, 3] + t * dx, pose[1, 3] + t * dy, pose[2, 3] + t * dz
                nx, ny, nz = normals[i, j, 0], normals[i, j, 1], normals[i, j, 2]
                seen[i, j, 0], seen[i, j, 1] = _visibility(solids, k, light, x, y, z, nx, ny, nz)
    return seen


@jit
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


@jit
def _normal_at(solids, k, x, y, z):  # type: ignore[no-untyped-def]
    """Unit normal in the world at a point of the world on solid k."""
    px, py, pz = x - solids.center[k, 0], y - solids.center[k, 1], z - solids.center[k, 2]
    px, py, pz = to_object(solids, k, px, py, pz)
    nx, ny, nz = normal(solids, k, px, py, pz)
    return to_world(solids, k, nx, ny, nz)


@jit
def _paint_at(solids, paints, k, light, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Albedo at a point of the world with its normal."""
    px, py, pz = x - solids.center[k, 0], y - solids.center[k, 1], z - solids.center[k, 2]
    px, py, pz = to_object(solids, k, px, py, pz)
    qx, qy, qz = to_object(solids, k, nx, ny, nz)
    return albedo(paints, k, px, py, pz, qx, qy, qz, light.texture)


@jit
def _one_surface(solids, paints, light, camera, pose, i, j, depth, solid, normals, seen):  # type: ignore[no-untyped-def]
    """A pixel within one surface: one light, many places of paint."""
    ex, ey, ez = pose[0, 3], pose[1, 3], pose[2, 3]
    k, nx, ny, nz = solid[i, j], normals[i, j, 0], normals[i, j, 1], normals[i, j, 2]
    dx, dy, dz, long = _ray(camera, pose, j + 0.5, i + 0.5)
    t = depth[i, j] * long
    above = t * (dx * nx + dy * ny + dz * nz)
    r, g, b = 0.0, 0.0, 0.0
    n = _INSIDE_SAMPLES
    for a in range(n * n):
        sx, sy, sz, _ = _ray(camera, pose, j + (a % n + 0.5) / n, i + (a // n + 0.5) / n)
        s = above / (sx * nx + sy * ny + sz * nz)
        ar, ag, ab = _paint_at(solids, paints, k, light, ex + s * sx, ey + s * sy, ez + s * sz, nx, ny, nz)
        r, g, b = r + ar, g + ag, b + ab
    r, g, b = r / (n * n), g / (n * n), b / (n * n)
    x, y = ex + t * dx, ey + t * dy
    return _lit(solids, paints, light, k, seen[i, j, 0], seen[i, j, 1], r, g, b, x, y, nx, ny, nz, dx, dy, dz)


@jit
def _many_rays(solids, paints, light, camera, pose, i, j, solid, memo):  # type: ignore[no-untyped-def]
    """A pixel where surfaces meet: the mean of what is hit, and the share of rays that hit.

    Only the solids that the 3 x 3 pixels around show are tried. `memo` (K, 6) keeps, per solid, normal, distance and
    visibility of the last place lit in this pixel; where the next ray meets the same solid near there, it is lit alike.
    """
    height, width = solid.shape
    ex, ey, ez = pose[0, 3], pose[1, 3], pose[2, 3]
    for k in range(len(memo)):
        memo[k, 5] = -2.0  # not around
    for a in range(max(i - 1, 0), min(i + 2, height)):
        for b in range(max(j - 1, 0), min(j + 2, width)):
            if solid[a, b] >= 0:
                memo[solid[a, b], 5] = -1.0  # around, not lit
    red, green, blue, hits = 0.0, 0.0, 0.0, 0
    n = _BORDER_SAMPLES
    for a in range(n * n):
        dx, dy, dz, _ = _ray(camera, pose, j + (a % n + 0.5) / n, i + (a // n + 0.5) / n)
        t, k = math.inf, NOTHING
        for m in range(len(memo)):
            if memo[m, 5] > -2.0:
                s = meet(solids, m, ex, ey, ez, dx, dy, dz, t)
                if s < t:
                    t, k = s, m
        if k >= 0:
            x, y, z = ex + t * dx, ey + t * dy, ez + t * dz
            nx, ny, nz = _normal_at(solids, k, x, y, z)
            turn = memo[k, 0] * nx + memo[k, 1] * ny + memo[k, 2] * nz
            if memo[k, 5] < 0.0 or turn < 0.97 or abs(memo[k, 3] - t) > 0.01 * t:
                memo[k, 0], memo[k, 1], memo[k, 2], memo[k, 3] = nx, ny, nz, t
                memo[k, 4], memo[k, 5] = _visibility(solids, k, light, x, y, z, nx, ny, nz)
            sun, openness = memo[k, 4], memo[k, 5]
            r, g, b = _paint_at(solids, paints, k, light, x, y, z, nx, ny, nz)
            r, g, b = _lit(solids, paints, light, k, sun, openness, r, g, b, x, y, nx, ny, nz, dx, dy, dz)
        elif light.horizon > 0.0:
            r, g, b = _sky(light, dx, dy, dz)
        else:
            continue
        red, green, blue, hits = red + r, green + g, blue + b, hits + 1
    if hits == 0:
        return 0.0, 0.0, 0.0, 0.0
    return red / hits, green / hits, blue / hits, hits / (n * n)
