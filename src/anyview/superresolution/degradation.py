"""How a large picture becomes the small one that a network learns to undo: bicubic alone, or what cameras and the web
do to photographs (blur, resizing, noise, JPEG; after Zhang et al., arXiv 2103.14006, and Wang et al., 2107.10833).

Letters: H rows, W columns of the large picture, h and w of the small one.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image as PillowImage
from scipy.ndimage import convolve1d

from anyview.errors import OptionError
from anyview.superresolution.bicubic import imresize, shrunk

_REACH = 3.0  # of a Gaussian, in standard deviations
_FILTERS = (PillowImage.Resampling.BOX, PillowImage.Resampling.BILINEAR, PillowImage.Resampling.BICUBIC)


@dataclass(frozen=True)
class DegradationOptions:
    """What happens to a photograph; every pair is a range that is drawn from evenly."""

    blur_sigma: tuple[float, float] = (0.1, 2.4)
    """Standard deviation of the blur, in pixels of the large picture at scale 4; in proportion at other scales."""
    anisotropic: float = 0.5
    """How often the blur has another width in another direction."""
    rough_resize: float = 0.7
    """How often the picture is shrunk by box, bilinear or Pillow's bicubic filter, and not as MATLAB does it."""
    noise: tuple[float, float] = (0.0, 0.06)
    """Standard deviation of Gaussian noise; the range of values is 1."""
    grey_noise: float = 0.4
    """How often noise is the same in all colours."""
    poisson: float = 0.3
    """How often there is Poisson noise instead, as of a sensor."""
    photons: tuple[float, float] = (60.0, 1500.0)
    """How many Poisson noise counts in white."""
    jpeg: float = 0.75
    """How often the small picture is stored as JPEG."""
    quality: tuple[int, int] = (35, 95)
    """JPEG's."""

    def __post_init__(self) -> None:
        for name in ("anisotropic", "rough_resize", "grey_noise", "poisson", "jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError("no share", where=name, expected="0 to 1", actual=getattr(self, name))
        for name, least, most in (
            ("blur_sigma", 0, 100), ("noise", 0, 1), ("photons", 1, 1e9), ("quality", 1, 100)
        ):  # fmt: skip
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise OptionError("no range", where=name, expected=f"{least} to {most}", actual=f"{low} to {high}")


def degraded(
    image: UInt8[np.ndarray, "H W 3"],
    scale: int,
    random: np.random.Generator,
    options: DegradationOptions | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """The small picture: H / scale x W / scale, the same for the same generator.

    Args:
        image: whose sides are multiples of the scale.
        scale: how many times smaller the result is.
        random: what is drawn is drawn from here.
        options: what happens to it; None is bicubic alone.

    Raises:
        OptionError: sides are no multiples of the scale.
    """
    if options is None or image.shape[0] % scale or image.shape[1] % scale or min(image.shape[:2]) == 0:
        return shrunk(image, scale)
    values = _blurred(np.asarray(image, np.float32) / np.float32(255), scale, random, options)
    values = _smaller(values, scale, random, options)
    return _stored(_noisy(values, random, options), random, options)


def _blurred(
    values: Float32[np.ndarray, "H W 3"], scale: int, random: np.random.Generator, options: DegradationOptions
) -> Float32[np.ndarray, "H W 3"]:
    sigmas = random.uniform(*options.blur_sigma, 2) * scale / 4
    angle, anisotropic = random.uniform(0, np.pi), random.random() < options.anisotropic
    if not anisotropic:
        for axis in (0, 1):
            values = convolve1d(values, _gaussian(sigmas[0]), axis, mode="nearest")
        return values
    return _sheared(values, sigmas, angle)


def _sheared(values: Float32[np.ndarray, "H W 3"], sigmas: np.ndarray, angle: float) -> Float32[np.ndarray, "H W 3"]:
    """Blurred by a Gaussian whose axes are turned: one sum of shifted pictures."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    precision = turn @ np.diag(1 / np.maximum(sigmas, 0.1) ** 2) @ turn.T
    reach = max(int(np.ceil(_REACH * sigmas.max())), 1)
    steps = np.arange(-reach, reach + 1)
    places = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1)
    weights = np.exp(-0.5 * np.einsum("ijk,kl,ijl->ij", places, precision, places))
    weights = (weights / weights.sum()).astype(np.float32)
    padded = np.pad(values, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total, (height, width) = np.zeros_like(values), values.shape[:2]
    for (row, column), weight in np.ndenumerate(weights):
        if weight > 1e-4:
            total += weight * padded[row : row + height, column : column + width]
    return total / weights[weights > 1e-4].sum()


def _gaussian(sigma: float) -> Float32[np.ndarray, "N"]:
    steps = np.arange(-max(int(np.ceil(_REACH * sigma)), 1), max(int(np.ceil(_REACH * sigma)), 1) + 1)
    weights = np.exp(-0.5 * (steps / max(sigma, 0.1)) ** 2)
    return (weights / weights.sum()).astype(np.float32)


def _smaller(
    values: Float32[np.ndarray, "H W 3"], scale: int, random: np.random.Generator, options: DegradationOptions
) -> Float32[np.ndarray, "h w 3"]:
    height, width = values.shape[0] // scale, values.shape[1] // scale
    rough, kind = random.random() < options.rough_resize, _FILTERS[random.integers(len(_FILTERS))]
    if not rough:
        return imresize(values, size=(height, width))
    channels = [PillowImage.fromarray(np.ascontiguousarray(values[:, :, c])) for c in range(3)]
    return np.stack([np.asarray(channel.resize((width, height), kind)) for channel in channels], 2)


def _noisy(
    values: Float32[np.ndarray, "h w 3"], random: np.random.Generator, options: DegradationOptions
) -> Float32[np.ndarray, "h w 3"]:
    strength, photons = random.uniform(*options.noise), random.uniform(*options.photons)
    poisson, grey = random.random() < options.poisson, random.random() < options.grey_noise
    values = np.clip(values, 0, 1)
    if poisson:
        seen = values.mean(2, keepdims=True) if grey else values
        noise = random.poisson(seen * photons) / photons - seen
    else:
        noise = strength * random.standard_normal((*values.shape[:2], 1 if grey else 3))
    return np.clip(values + noise, 0, 1).astype(np.float32)


def _stored(
    values: Float32[np.ndarray, "h w 3"], random: np.random.Generator, options: DegradationOptions
) -> UInt8[np.ndarray, "h w 3"]:
    image = np.asarray(values * 255 + 0.5, np.uint8)
    quality, jpeg = int(random.integers(options.quality[0], options.quality[1] + 1)), random.random() < options.jpeg
    if not jpeg:
        return image
    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "JPEG", quality=quality)
    with PillowImage.open(stream) as stored:
        return np.array(stored.convert("RGB"))
