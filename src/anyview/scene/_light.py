"""Light on painted solids: a soft sun, a sky and the ground's glow, dimmed by what stands in the way.

Light depends on the place alone, so every view sees the same brightness there (Lambert); only the optional gloss
depends on the camera. Letters: (x, y, z) a point of the world, n its normal, d a unit direction of sight; linear RGB.
"""

from __future__ import annotations

import math

import numpy as np

from anyview.scene._paint import fbm, jit
from anyview.scene._sdf import BOX, CAPSULE, CYLINDER, PLANE, ROUND_CONE, SPHERE, distance, passes, span, to_object

_SUN_SHARPNESS = 9.0  # distance over gap at which the sun begins to be hidden: larger is a smaller sun
_PENUMBRA = 0.15  # how far around a solid its half shadow is looked for, scene units
_AMBIENT_REACH = 0.42  # how far around a point things dim the sky, scene units

LIGHT = np.dtype(
    [
        ("sun", np.float64, 3),  # unit direction towards it
        ("sun_color", np.float64, 3),  # linear RGB irradiance
        ("sky_color", np.float64, 3),
        ("ground_color", np.float64, 3),
        ("texture", np.float64),  # share of the surface that is painted
        ("specular", np.float64),  # strength of highlights
        ("horizon", np.float64),  # distance from the origin where a floor has faded into the sky; 0: no environment
    ]
)


@jit
def _convex(kind):  # type: ignore[no-untyped-def]
    return kind in (PLANE, SPHERE, BOX, CYLINDER, CAPSULE, ROUND_CONE)


@jit
def _sunshine(solids, own, sun, x, y, z):  # type: ignore[no-untyped-def]
    """Share of the sun that a point sees: the narrowest gap on the way against the distance to it (after I. Quilez)."""
    seen = 1.0
    for k in range(len(solids)):
        solid = solids[k]
        if k == own and _convex(solid.kind):
            continue
        ox, oy, oz = x - solid.center[0], y - solid.center[1], z - solid.center[2]
        if passes(solid, ox, oy, oz, sun[0], sun[1], sun[2], _PENUMBRA):
            continue
        ox, oy, oz = to_object(solid, ox, oy, oz)
        dx, dy, dz = to_object(solid, sun[0], sun[1], sun[2])
        enter, leave = span(solid, ox, oy, oz, dx, dy, dz, _PENUMBRA)
        t = max(enter, 0.012)
        while t < leave:
            f = distance(solid, ox + t * dx, oy + t * dy, oz + t * dz)
            seen = min(seen, 0.5 + 0.5 * _SUN_SHARPNESS * f / t)
            if seen <= 0.0:
                return 0.0
            t += min(max(abs(f), 0.006 + 0.01 * t), 0.08)
    return seen * seen * (3 - 2 * seen)


@jit
def _openness(solids, own, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Share of the sky that a point sees: for each solid, how much of the room above the point it takes away."""
    seen = 1.0
    for k in range(len(solids)):
        solid = solids[k]
        if k == own and _convex(solid.kind):
            continue
        px, py, pz = x - solid.center[0], y - solid.center[1], z - solid.center[2]
        reach = 2 * _AMBIENT_REACH + solid.ball
        if px * px + py * py + pz * pz > reach * reach:
            continue
        px, py, pz = to_object(solid, px, py, pz)
        qx, qy, qz = to_object(solid, nx, ny, nz)
        hidden, height, weight = 0.0, _AMBIENT_REACH, 0.36
        for _ in range(5):
            f = distance(solid, px + height * qx, py + height * qy, pz + height * qz)
            if f > 2 * height:
                break  # nearer to the point there is even more room
            hidden += weight * min(max(1.0 - f / height, 0.0), 1.6)
            height *= 0.5
        seen *= max(0.12, 1.0 - hidden)
    return seen


@jit
def visibility(solids, k, light, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Shares of the sun and of the sky that a surface point sees."""
    sun = 0.0
    if nx * light.sun[0] + ny * light.sun[1] + nz * light.sun[2] > 0.0:
        sun = _sunshine(solids, k, light.sun, x + 0.002 * nx, y + 0.002 * ny, z + 0.002 * nz)
    return sun, _openness(solids, k, x, y, z, nx, ny, nz)


@jit
def lit(solid, light, sun, openness, r, g, b, x, y, nx, ny, nz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Colour of a surface of albedo (r, g, b) seen along the unit direction d."""
    direct = sun * max(nx * light.sun[0] + ny * light.sun[1] + nz * light.sun[2], 0.0)
    above, below = openness * (0.5 + 0.5 * nz), openness * (0.5 - 0.5 * nz)
    r *= light.sun_color[0] * direct + light.sky_color[0] * above + light.ground_color[0] * below
    g *= light.sun_color[1] * direct + light.sky_color[1] * above + light.ground_color[1] * below
    b *= light.sun_color[2] * direct + light.sky_color[2] * above + light.ground_color[2] * below
    strength = light.specular * solid.gloss
    if strength > 0.0:
        hr, hg, hb = _gloss(light, sun, openness, nx, ny, nz, dx, dy, dz)
        r, g, b = r + strength * hr, g + strength * hg, b + strength * hb
    return _fade(light, x, y, r, g, b, dx, dy)


@jit
def sky(light, dx, dy, dz):  # type: ignore[no-untyped-def]
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
    hr, hg, hb = sky(light, dx, dy, 0.0)
    return r + (hr - r) * t, g + (hg - g) * t, b + (hb - b) * t
