"""One view of painted solids: exact maps at pixel centres, and a picture that is smooth between them.

Inside a surface, a pixel's colour is the mean of paint at n x n places of the tangent plane, lit once; where surfaces
meet or end, m x m rays are traced and lit each by itself.
"""

from __future__ import annotations

import math

import numpy as np

from anyview.scene._light import lit, sky, visibility
from anyview.scene._paint import jit
from anyview.scene._sdf import NOTHING, meet, normal, to_object, to_world, trace
from anyview.scene._textures import albedo

_INSIDE_SAMPLES = 2  # per side of a pixel within a surface
_BORDER_SAMPLES = 3  # per side of a pixel where surfaces meet

VIEW = np.dtype(
    [
        ("focal", np.float64, 2),  # pixels
        ("middle", np.float64, 2),  # principal point, pixels
        ("axes", np.float64, (3, 3)),  # rotation of world_from_cam
        ("eye", np.float64, 3),  # the camera's position
    ]
)

PIXEL = np.dtype(
    [
        ("depth", np.float64),  # z in the camera frame, 0 where nothing is
        ("solid", np.int64),  # index, or NOTHING
        ("normal", np.float64, 3),  # unit, world
        ("sun", np.float64),  # share of it in sight
        ("sky", np.float64),  # share of it in sight; negative where not known
        ("border", np.bool_),  # whether surfaces meet or end here
        ("color", np.float64, 3),  # linear RGB of the covered part
        ("alpha", np.float64),  # covered share
    ]
)


_MEMO = np.dtype(
    [
        ("near", np.bool_),  # whether a pixel shows the solid nearby
        ("sun", np.float64),
        ("sky", np.float64),  # negative where not known
        ("distance", np.float64),
        ("normal", np.float64, 3),
    ]
)


@jit
def render(solids, light, view, pixels):  # type: ignore[no-untyped-def]
    """Fill the pixels of one view.

    Args:
        solids: (K,) of `SOLID`.
        light: `LIGHT`.
        view: `VIEW`.
        pixels: (H, W) of `PIXEL`, out.
    """
    height, width = pixels.shape
    eye = view.eye
    k = NOTHING
    for i in range(height):
        for j in range(width):
            pixel = pixels[i, j]
            dx, dy, dz, long = _ray(view, j + 0.5, i + 0.5)
            t, k = trace(solids, k, eye[0], eye[1], eye[2], dx, dy, dz)
            nx, ny, nz = 0.0, 0.0, 0.0
            if k >= 0:
                nx, ny, nz = _normal_at(solids[k], eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz)
            pixel.solid, pixel.depth = k, t / long if k >= 0 else 0.0
            pixel.normal[0], pixel.normal[1], pixel.normal[2] = nx, ny, nz
    for i in range(height):
        for j in range(width):
            pixel = pixels[i, j]
            pixel.border, pixel.sky = _is_border(pixels, view, i, j), -1.0
    _fill_visibility(solids, light, view, pixels)
    memo = np.empty(len(solids), _MEMO)
    for i in range(height):
        for j in range(width):
            pixel = pixels[i, j]
            r, g, b, a = 0.0, 0.0, 0.0, 0.0
            if pixel.border:
                r, g, b, a = _many_rays(solids, light, view, pixels, i, j, memo)
            elif pixel.solid >= 0:
                r, g, b = _one_surface(solids[pixel.solid], light, view, pixel, i, j)
                a = 1.0
            elif light.horizon > 0.0:
                dx, dy, dz, _ = _ray(view, j + 0.5, i + 0.5)
                r, g, b = sky(light, dx, dy, dz)
                a = 1.0
            pixel.color[0], pixel.color[1], pixel.color[2], pixel.alpha = r, g, b, a


@jit
def _is_border(pixels, view, i, j):  # type: ignore[no-untyped-def]
    """Whether a pixel's neighbours lie on other surfaces or bend away from it, or it is seen at a grazing angle."""
    height, width = pixels.shape
    here = pixels[i, j]
    n = here.normal
    if here.solid >= 0:
        dx, dy, dz, _ = _ray(view, j + 0.5, i + 0.5)
        if n[0] * dx + n[1] * dy + n[2] * dz > -0.12:
            return True
    for a in range(max(i - 1, 0), min(i + 2, height)):
        for b in range(max(j - 1, 0), min(j + 2, width)):
            there = pixels[a, b]
            if there.solid != here.solid:
                return True
            if here.solid >= 0:
                turn = n[0] * there.normal[0] + n[1] * there.normal[1] + n[2] * there.normal[2]
                if turn < 0.9 or abs(there.depth - here.depth) > 0.03 * here.depth:
                    return True
    return False


@jit
def _fill_visibility(solids, light, view, pixels):  # type: ignore[no-untyped-def]
    """Shares of sun and sky within surfaces: exact at every second pixel, between them the mean of two or four."""
    height, width = pixels.shape
    for odd in range(2):
        for i in range(height):
            for j in range(width):
                pixel = pixels[i, j]
                di, dj = i % 2, j % 2
                if pixel.solid < 0 or pixel.border or (di + dj > 0) != (odd == 1):
                    continue
                sun, sky, parts = 0.0, 0.0, 0
                if odd:  # the 3 x 3 pixels around one that is no border lie on its solid
                    for a in range(i - di, min(i + di + 1, height), 2):
                        for b in range(j - dj, min(j + dj + 1, width), 2):
                            if pixels[a, b].sky >= 0.0:
                                sun, sky, parts = sun + pixels[a, b].sun, sky + pixels[a, b].sky, parts + 1
                if odd and parts == (1 + di) * (1 + dj):
                    pixel.sun, pixel.sky = sun / parts, sky / parts
                else:
                    dx, dy, dz, long = _ray(view, j + 0.5, i + 0.5)
                    t = pixel.depth * long
                    x, y, z = view.eye[0] + t * dx, view.eye[1] + t * dy, view.eye[2] + t * dz
                    n = pixel.normal
                    pixel.sun, pixel.sky = visibility(solids, pixel.solid, light, x, y, z, n[0], n[1], n[2])


@jit
def _one_surface(solid, light, view, pixel, i, j):  # type: ignore[no-untyped-def]
    """A pixel within one surface: one light, many places of paint."""
    eye, n = view.eye, pixel.normal
    dx, dy, dz, long = _ray(view, j + 0.5, i + 0.5)
    t = pixel.depth * long
    above = t * (dx * n[0] + dy * n[1] + dz * n[2])
    r, g, b = 0.0, 0.0, 0.0
    side = _INSIDE_SAMPLES
    for a in range(side * side):
        sx, sy, sz, _ = _ray(view, j + (a % side + 0.5) / side, i + (a // side + 0.5) / side)
        s = above / (sx * n[0] + sy * n[1] + sz * n[2])
        x, y, z = eye[0] + s * sx, eye[1] + s * sy, eye[2] + s * sz
        ar, ag, ab = _paint_at(solid, light, x, y, z, n[0], n[1], n[2])
        r, g, b = r + ar, g + ag, b + ab
    r, g, b = r / (side * side), g / (side * side), b / (side * side)
    x, y = eye[0] + t * dx, eye[1] + t * dy
    return lit(solid, light, pixel.sun, pixel.sky, r, g, b, x, y, n[0], n[1], n[2], dx, dy, dz)


@jit
def _many_rays(solids, light, view, pixels, i, j, memo):  # type: ignore[no-untyped-def]
    """A pixel where surfaces meet: the mean of what is hit, and the share of rays that hit.

    Only the solids that the 3 x 3 pixels around show are tried. `memo` (K,) keeps the last place of each that was lit;
    where the next ray meets the same solid near there, it is lit alike.
    """
    height, width = pixels.shape
    eye = view.eye
    for k in range(len(memo)):
        memo[k].near, memo[k].sky = False, -1.0
    for a in range(max(i - 1, 0), min(i + 2, height)):
        for b in range(max(j - 1, 0), min(j + 2, width)):
            if pixels[a, b].solid >= 0:
                memo[pixels[a, b].solid].near = True
    red, green, blue, hits = 0.0, 0.0, 0.0, 0
    side = _BORDER_SAMPLES
    for a in range(side * side):
        dx, dy, dz, _ = _ray(view, j + (a % side + 0.5) / side, i + (a // side + 0.5) / side)
        t, k = math.inf, NOTHING
        for m in range(len(memo)):
            if memo[m].near:
                s = meet(solids[m], eye[0], eye[1], eye[2], dx, dy, dz, t)
                if s < t:
                    t, k = s, m
        if k >= 0:
            x, y, z = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            nx, ny, nz = _normal_at(solids[k], x, y, z)
            last = memo[k]
            turn = last.normal[0] * nx + last.normal[1] * ny + last.normal[2] * nz
            if last.sky < 0.0 or turn < 0.97 or abs(last.distance - t) > 0.01 * t:
                last.normal[0], last.normal[1], last.normal[2], last.distance = nx, ny, nz, t
                last.sun, last.sky = visibility(solids, k, light, x, y, z, nx, ny, nz)
            r, g, b = _paint_at(solids[k], light, x, y, z, nx, ny, nz)
            r, g, b = lit(solids[k], light, last.sun, last.sky, r, g, b, x, y, nx, ny, nz, dx, dy, dz)
        elif light.horizon > 0.0:
            r, g, b = sky(light, dx, dy, dz)
        else:
            continue
        red, green, blue, hits = red + r, green + g, blue + b, hits + 1
    if hits == 0:
        return 0.0, 0.0, 0.0, 0.0
    return red / hits, green / hits, blue / hits, hits / (side * side)


@jit
def _ray(view, u, v):  # type: ignore[no-untyped-def]
    """Unit direction in the world through a pixel place, and the length of that ray up to z = 1."""
    x, y, r = (u - view.middle[0]) / view.focal[0], (v - view.middle[1]) / view.focal[1], view.axes
    long = math.sqrt(x * x + y * y + 1.0)
    x, y, z = x / long, y / long, 1.0 / long
    return (
        r[0, 0] * x + r[0, 1] * y + r[0, 2] * z,
        r[1, 0] * x + r[1, 1] * y + r[1, 2] * z,
        r[2, 0] * x + r[2, 1] * y + r[2, 2] * z,
        long,
    )


@jit
def _normal_at(solid, x, y, z):  # type: ignore[no-untyped-def]
    """Unit normal in the world at a point of the world on a solid."""
    px, py, pz = to_object(solid, x - solid.center[0], y - solid.center[1], z - solid.center[2])
    nx, ny, nz = normal(solid, px, py, pz)
    return to_world(solid, nx, ny, nz)


@jit
def _paint_at(solid, light, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Albedo at a point of the world with its normal."""
    px, py, pz = to_object(solid, x - solid.center[0], y - solid.center[1], z - solid.center[2])
    qx, qy, qz = to_object(solid, nx, ny, nz)
    return albedo(solid, px, py, pz, qx, qy, qz, light.texture)
