"""RoIAlign (Mask R-CNN, arXiv 1703.06870, section 3) of maps whose channels lie last, in float32 or bfloat16.

Every output value is the mean of four samples, each bilinear: 16 pixels with their weights, the same for all channels.
Channels are taken 16 at a time, with the sum in a register. Readable twin: `torchvision.ops.roi_align`.

Letters: B images, H rows and W columns of a map, C channels, R regions, S values along each side of a region.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from anyview.jit import njit
from anyview.kernels.bfloat16 import LANES, load_wide, pointer_to, store_narrow

FAST = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "arcp", "nsz", "reassoc"}}

_SAMPLES = 2  # along each side of a value
_CORNERS = 2 * _SAMPLES  # pixels that a value looks at along each axis
_TERMS = _CORNERS**2
_NUMBERS = ir.VectorType(ir.FloatType(), LANES)


def _load(builder: Any, kind: Any, pointer: Any) -> Any:
    """16 numbers as float32."""
    if kind.dtype == types.uint16:
        return load_wide(builder, pointer)
    return builder.load(builder.bitcast(pointer, _NUMBERS.as_pointer()), align=4)


def _splat(builder: Any, number: Any) -> Any:
    """A number, 16 times."""
    first = builder.insert_element(ir.Constant(_NUMBERS, ir.Undefined), number, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, first, mask)


@intrinsic
def _blend(typing: Any, maps: Any, places: Any, c: Any, weights: Any, out: Any, n: Any) -> Any:
    """out[n + l] = sum of weights[k] maps[places[k] + c + l] over k < 16, for l < 16. Places are not checked."""
    signature = types.void(maps, places, types.int64, weights, out, types.int64)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds, integer = signature.args, ir.IntType(64)
        total = ir.Constant(_NUMBERS, [0.0] * LANES)
        for k in range(_TERMS):
            at = builder.load(pointer_to(context, builder, kinds[1], values[1], integer(k)))
            at = builder.add(at, values[2])
            pixels = _load(builder, kinds[0], pointer_to(context, builder, kinds[0], values[0], at))
            weight = builder.load(pointer_to(context, builder, kinds[3], values[3], integer(k)))
            product = builder.fmul(_splat(builder, weight), pixels, flags=("contract",))
            total = builder.fadd(total, product, flags=("contract",))
        target = pointer_to(context, builder, kinds[4], values[4], values[5])
        if kinds[4].dtype == types.uint16:
            store_narrow(builder, total, target)
        else:
            builder.store(total, builder.bitcast(target, _NUMBERS.as_pointer()), align=4)
        return context.get_dummy_value()

    return signature, code


@intrinsic
def _spread(typing: Any, given: Any, n: Any, weights: Any, maps: Any, places: Any, c: Any) -> Any:
    """maps[places[k] + c + l] += weights[k] given[n + l] for k < 16, for l < 16. Places are not checked."""
    signature = types.void(given, types.int64, weights, maps, places, types.int64)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds, integer = signature.args, ir.IntType(64)
        numbers = _load(builder, kinds[0], pointer_to(context, builder, kinds[0], values[0], values[1]))
        for k in range(_TERMS):
            at = builder.load(pointer_to(context, builder, kinds[4], values[4], integer(k)))
            target = pointer_to(context, builder, kinds[3], values[3], builder.add(at, values[5]))
            target = builder.bitcast(target, _NUMBERS.as_pointer())
            weight = builder.load(pointer_to(context, builder, kinds[2], values[2], integer(k)))
            product = builder.fmul(_splat(builder, weight), numbers, flags=("contract",))
            # one after the other: two of the places may be the same
            builder.store(builder.fadd(builder.load(target, align=4), product, flags=("contract",)), target, align=4)
        return context.get_dummy_value()

    return signature, code


@njit(**FAST)
def _axis(first, last, size, side, pixels, weights):
    """For each of S values: the four pixels that it looks at along an axis, and their weights.

    Args:
        first, last: of the region, pixels of the map.
        size: of the map.
        side: S.
        pixels, weights: (4 S), written.
    """
    step = max(last - first, np.float32(1.0)) / np.float32(side)
    for i in range(side):
        for s in range(_SAMPLES):
            x = first + np.float32(i) * step + (np.float32(s) + np.float32(0.5)) * step / np.float32(_SAMPLES)
            share = np.float32(1.0 / _SAMPLES)
            if x < -1 or x > size:  # samples well outside are zero
                x, share = np.float32(0), np.float32(0)
            x = max(x, np.float32(0))
            low = min(np.int64(x), size - 1)
            high = min(low + 1, size - 1)
            beyond = x - np.float32(low) if high > low else np.float32(0)
            k = _CORNERS * i + 2 * s
            pixels[k], weights[k] = low, (np.float32(1) - beyond) * share
            pixels[k + 1], weights[k + 1] = high, beyond * share


class _Work(NamedTuple):
    """Of a region: the pixels along both axes and their weights. Of a value: where in the map its terms begin."""

    rows: np.ndarray
    down: np.ndarray
    columns: np.ndarray
    across: np.ndarray
    places: np.ndarray
    weights: np.ndarray


@njit(**FAST)
def _room(side):
    """For S values along each axis."""
    count = _CORNERS * side
    return _Work(
        np.empty(count, np.int64),
        np.empty(count, np.float32),
        np.empty(count, np.int64),
        np.empty(count, np.float32),
        np.empty(_TERMS, np.int64),
        np.empty(_TERMS, np.float32),
    )


@njit(**FAST)
def _look(region, scale, height, width, side, work):
    """Both axes of a region."""
    _axis(region[2] * scale, region[4] * scale, height, side, work.rows, work.down)
    _axis(region[1] * scale, region[3] * scale, width, side, work.columns, work.across)


@njit(**FAST)
def _terms(i, j, image, shape, work):
    """The 16 pixels of value (i, j)."""
    height, width, channels = shape
    for a in range(_CORNERS):
        row = (np.int64(image) * height + work.rows[_CORNERS * i + a]) * width
        for b in range(_CORNERS):
            k = _CORNERS * a + b
            work.places[k] = (row + work.columns[_CORNERS * j + b]) * channels
            work.weights[k] = work.down[_CORNERS * i + a] * work.across[_CORNERS * j + b]


@njit(**FAST)
def pool_regions(maps, shape, regions, chosen, scale, side, out):
    """Features of some regions.

    Args:
        maps: B H W C values, float32 or (bfloat16's bits) uint16; C in multiples of 16.
        shape: H, W, C.
        regions: (R, 5) float32, index of the image and box (x0, y0, x1, y1).
        chosen: numbers of the regions that are looked at.
        scale: pixels of the map per pixel of the boxes, float32.
        side: S.
        out: R S S C values like `maps`; those of the chosen regions are written.
    """
    height, width, channels = shape
    work = _room(side)
    for r in chosen:
        _look(regions[r], scale, height, width, side, work)
        for i in range(side):
            for j in range(side):
                _terms(i, j, regions[r, 0], shape, work)
                n = ((r * side + i) * side + j) * channels
                for c in range(0, channels, LANES):
                    _blend(maps, work.places, c, work.weights, out, n + c)


@njit(**FAST)
def spread_regions(given, shape, regions, chosen, scale, side, first, last, maps):
    """Add the gradient of `pool_regions` with respect to its maps.

    Args:
        given: gradient of its result, R S S C, float32 or uint16.
        shape, regions, chosen, scale, side: see there.
        first, last: channels that are worked on, multiples of 16: threads that share no channel share no sum.
        maps: B H W C, float32, added to.
    """
    height, width, channels = shape
    work = _room(side)
    for r in chosen:
        _look(regions[r], scale, height, width, side, work)
        for i in range(side):
            for j in range(side):
                _terms(i, j, regions[r, 0], shape, work)
                n = ((r * side + i) * side + j) * channels
                for c in range(first, last, LANES):
                    _spread(given, n + c, work.weights, maps, work.places, c)
