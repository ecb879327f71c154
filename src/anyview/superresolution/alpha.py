"""Transparency beside a network that knows colours only.

Letters: H rows, W columns, C channels; s is the scale.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8, UInt16
from scipy.ndimage import distance_transform_edt

from anyview.superresolution.bicubic import imresize

_AROUND = 4  # rows that bicubic looks at, and more


def filled(
    pixels: UInt8[np.ndarray, "H W C"] | UInt16[np.ndarray, "H W C"],
    alpha: UInt8[np.ndarray, "H W 1"] | UInt16[np.ndarray, "H W 1"],
) -> UInt8[np.ndarray, "H W C"] | UInt16[np.ndarray, "H W C"]:
    """Colours that nobody sees replaced by the nearest that are seen: programs leave black there, which a network would
    draw into the outline.

    Args:
        pixels: straight colours.
        alpha: 0 where nothing is seen.
    """
    hidden = alpha[:, :, 0] == 0
    if not hidden.any() or hidden.all():
        return pixels
    nearest = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return pixels[nearest[0], nearest[1]]


def enlarged_alpha(
    alpha: UInt8[np.ndarray, "H W 1"] | UInt16[np.ndarray, "H W 1"], scale: int, top: int, bottom: int
) -> UInt8[np.ndarray, "h sW 1"] | UInt16[np.ndarray, "h sW 1"]:
    """Some rows of the bicubically enlarged alpha; what is wholly clear or opaque stays so.

    Args:
        alpha: of the small image.
        scale: s.
        top, bottom: rows of the large image.
    """
    first = max(top // scale - _AROUND, 0)
    part = alpha[first : -(-bottom // scale) + _AROUND].astype(np.float32)
    large = imresize(part, size=(len(part) * scale, part.shape[1] * scale))[
        top - first * scale : bottom - first * scale
    ]
    return np.rint(large).clip(0, np.iinfo(alpha.dtype).max).astype(alpha.dtype)
