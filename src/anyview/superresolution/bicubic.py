"""Bicubic resizing as MATLAB's `imresize` does it: the field's low-resolution images are made by it, so small
differences from it are small differences from what every published figure was measured on.

Keys' kernel (1981) with a = -0.5, widened by 1 / scale where the image shrinks (antialiasing). Images of bytes are
rounded to bytes between the two passes, rows first, as MATLAB does. With that, and with the edge repeated, as MATLAB
did it when they were made, the shipped Set5 and Set14 are met to the last grey level.

Letters: H rows, W columns before; h rows, w columns after; C channels.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8
from scipy.sparse import coo_array, csr_array

from anyview.errors import OptionError

Edge: TypeAlias = Literal["repeat", "mirror"]
"""What lies beyond the edge: its last pixel (MATLAB for many years), or the image mirrored (newer MATLAB)."""

_SUPPORT = 4.0  # pixels that the kernel is wide
_PLACES = 1 << 12


def imresize(
    image: UInt8[np.ndarray, "H W *C"] | Float32[np.ndarray, "H W *C"] | Float64[np.ndarray, "H W *C"],
    scale: float | None = None,
    *,
    size: tuple[int, int] | None = None,
    edge: Edge = "repeat",
) -> UInt8[np.ndarray, "h w *C"] | Float32[np.ndarray, "h w *C"] | Float64[np.ndarray, "h w *C"]:
    """A resized image of the same type.

    Args:
        image: bytes, or floats of any range, which are neither rounded nor cut.
        scale: (h, w) is scale * (H, W), rounded up.
        size: (h, w), instead of a scale.
        edge: what lies beyond the edge.

    Raises:
        OptionError: neither or both of scale and size, one that is not positive, or an image without pixels.
    """
    if image.shape[0] == 0 or image.shape[1] == 0:
        raise OptionError("an image without pixels cannot be resized", actual=f"{image.shape[1]} x {image.shape[0]}")
    scales, (height, width) = _goal((image.shape[0], image.shape[1]), scale, size)
    rest = image.shape[2:]
    rows = _weights(image.shape[0], height, scales[0], edge)
    columns = _weights(image.shape[1], width, scales[1], edge)
    # the axis that shrinks most comes first, rows where they are equal
    if scales[0] <= scales[1]:
        return _along_columns(_along_rows(image, rows), columns).reshape(height, width, *rest)
    return _along_rows(_along_columns(image, columns), rows).reshape(height, width, *rest)


def shrunk(image: UInt8[np.ndarray, "H W *C"], scale: int) -> UInt8[np.ndarray, "h w *C"]:
    """The low-resolution image of a high-resolution one whose sides are multiples of the scale.

    Raises:
        OptionError: they are not.
    """
    if image.shape[0] % scale or image.shape[1] % scale or min(image.shape[:2]) == 0:
        raise OptionError(
            "the image's sides are no multiples of the scale", expected=f"multiples of {scale}",
            actual=f"{image.shape[1]} x {image.shape[0]}", hint="crop it",
        )  # fmt: skip
    return imresize(image, size=(image.shape[0] // scale, image.shape[1] // scale))


def _goal(
    have: tuple[int, int], scale: float | None, size: tuple[int, int] | None
) -> tuple[tuple[float, float], tuple[int, int]]:
    """The scale of each axis, and (h, w)."""
    if (scale is None) == (size is None):
        raise OptionError("an image is resized by a scale or to a size", expected="one of them")
    if size is not None:
        if min(size) < 1:
            raise OptionError("no size for an image", expected="1 x 1 or more", actual=f"{size[1]} x {size[0]}")
        return (size[0] / have[0], size[1] / have[1]), size
    assert scale is not None
    if not (math.isfinite(scale) and scale > 0):
        raise OptionError("no scale for an image", expected="more than 0", actual=scale)
    return (scale, scale), (math.ceil(scale * have[0]), math.ceil(scale * have[1]))


@lru_cache(maxsize=32)
def _weights(have: int, want: int, scale: float, edge: Edge) -> csr_array[Any]:
    """(want, have): what each pixel of the result takes from those along an axis."""
    narrow = min(scale, 1.0)
    width = _SUPPORT / narrow
    centre = (np.arange(want) + 0.5) / scale - 0.5  # of the result's pixels, where the first one's centre is 0
    first = np.floor(centre - width / 2).astype(np.int64)
    taken = first[:, None] + np.arange(math.ceil(width) + 2)
    weights = _kernel(narrow * (centre[:, None] - taken))
    weights /= weights.sum(1, keepdims=True)
    if edge == "repeat":
        taken = taken.clip(0, have - 1)
    else:
        taken = taken % (2 * have)
        taken = np.where(taken < have, taken, 2 * have - 1 - taken)
    places = np.repeat(np.arange(want), weights.shape[1]), taken.ravel()
    matrix = coo_array((weights.ravel(), places), shape=(want, have)).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _kernel(x: Float64[np.ndarray, "N M"]) -> Float64[np.ndarray, "N M"]:
    """Keys' cubic, a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def _along_rows(image: np.ndarray, weights: csr_array[Any]) -> np.ndarray:
    """(h, W, ...): of the image's type."""
    flat = image.reshape(image.shape[0], -1)
    return _typed(_product(weights, flat), image.dtype).reshape(-1, *image.shape[1:])


def _along_columns(image: np.ndarray, weights: csr_array[Any]) -> np.ndarray:
    """(H, w, ...): of the image's type."""
    turned = np.ascontiguousarray(image.swapaxes(0, 1))
    return np.ascontiguousarray(_along_rows(turned, weights).swapaxes(0, 1))


def _product(weights: csr_array[Any], flat: np.ndarray) -> Float[np.ndarray, "h N"]:
    """Sums in the image's precision. Of bytes they are exact enough to tell how a half is rounded: in single precision
    where every sum of weights and bytes has its place in 24 bits (scales 1/2, 1/4, 2, 4), else in double."""
    short = flat.dtype == np.uint8 and bool(np.all(weights.data * _PLACES == np.rint(weights.data * _PLACES)))
    kind = np.float32 if short or flat.dtype == np.float32 else np.float64
    return weights.astype(kind) @ flat.astype(kind, copy=False)


def _typed(values: Float[np.ndarray, "..."], kind: np.dtype[Any]) -> np.ndarray:
    """Halves are rounded away from zero, and bytes have none below it."""
    return np.clip(values + 0.5, 0, 255).astype(np.uint8) if kind == np.uint8 else values.astype(kind, copy=False)
