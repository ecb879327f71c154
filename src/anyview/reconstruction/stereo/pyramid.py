"""Grey images at the scales of the coarse-to-fine search; masked pixels never enter a mean.

A stored grey image is uint8: 0 where masked out, 1..255 elsewhere. Scale k halves k times; odd sides are rounded up, so
that focal lengths and principal point are divided by exactly 2^k.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from anyview.jit import njit
from anyview.typing import Grey, Image, Mask


def grey_from_rgb(rgb: Image, mask: Mask | None) -> UInt8[np.ndarray, "H W"]:
    """Luma (Rec. 601) of an sRGB image as 1..255, 0 where the mask is False."""
    luma: Grey = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    grey: UInt8[np.ndarray, "H W"] = np.clip(np.rint(luma * 254) + 1, 1, 255).astype(np.uint8)
    if mask is not None:
        grey[~mask] = 0
    return grey


def halve(grey: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "h w"]:
    """Mean of each 2x2 block's unmasked pixels; 0 where all four are masked."""
    half: Float32[np.ndarray, "h w"] = _halve(grey)
    return half


def at_scale(grey: UInt8[np.ndarray, "H W"], scale: int) -> Float32[np.ndarray, "h w"]:
    """The image halved `scale` times, still 1..255 with 0 for masked."""
    out = grey.astype(np.float32)
    for _ in range(scale):
        out = halve(out)
    return out


@njit(nogil=True, cache=True)
def _halve(grey):
    height, width = grey.shape
    out = np.zeros(((height + 1) // 2, (width + 1) // 2), np.float32)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            total, count = np.float32(0), 0
            for yy in range(2 * y, min(2 * y + 2, height)):
                for xx in range(2 * x, min(2 * x + 2, width)):
                    if grey[yy, xx] > 0:
                        total += grey[yy, xx]
                        count += 1
            if count:
                out[y, x] = total / np.float32(count)
    return out


@njit(nogil=True, cache=True)
def refine_planes(grey, coarse_grey, rho, gx, gy, cost, views):
    """Planes of a scale from those of the scale above: each pixel takes the one among its four nearest coarse pixels
    whose grey is most alike, moved to its own centre.

    Args:
        grey, coarse_grey: (H, W) and (ceil H/2, ceil W/2) float32.
        rho, gx, gy, cost, views: the coarse state.

    Returns:
        The fine state; rho is 0 where no coarse neighbour had a plane.
    """
    height, width = grey.shape
    coarse_height, coarse_width = coarse_grey.shape
    out_rho = np.zeros((height, width), np.float32)
    out_gx = np.zeros((height, width), np.float32)
    out_gy = np.zeros((height, width), np.float32)
    out_cost = np.full((height, width), np.float32(2))
    out_views = np.zeros((height, width), np.uint32)
    for y in range(height):
        for x in range(width):
            if grey[y, x] <= 0:
                continue
            best = np.float32(1e9)
            for k in range(4):
                qx = x // 2 + ((1 if x & 1 else -1) if k & 1 else 0)
                qy = y // 2 + ((1 if y & 1 else -1) if k & 2 else 0)
                if not (0 <= qx < coarse_width and 0 <= qy < coarse_height) or rho[qy, qx] <= 0:
                    continue
                unlike = abs(grey[y, x] - coarse_grey[qy, qx]) + np.float32(2 * k) + np.float32(20) * cost[qy, qx]
                if unlike < best:
                    best = unlike
                    dx = np.float32(0.5 * (x + 0.5) - (qx + 0.5))
                    dy = np.float32(0.5 * (y + 0.5) - (qy + 0.5))
                    out_rho[y, x] = rho[qy, qx] + dx * gx[qy, qx] + dy * gy[qy, qx]
                    out_gx[y, x] = np.float32(0.5) * gx[qy, qx]
                    out_gy[y, x] = np.float32(0.5) * gy[qy, qx]
                    out_cost[y, x] = cost[qy, qx]
                    out_views[y, x] = views[qy, qx]
    return out_rho, out_gx, out_gy, out_cost, out_views
