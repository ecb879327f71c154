"""From images of any size to one batch of the network's, and the way back (Mask R-CNN, arXiv 1703.06870, section 3.1).

Letters: B images; H, W the sides of the padded batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from anyview.errors import OptionError
from anyview.segmentation.options import ImageOptions

Images: TypeAlias = Sequence[Tensor] | Tensor
"""A list of (3, H, W), or one batch (B, 3, H, W); sRGB in [0, 1]."""

Size: TypeAlias = tuple[int, int]
"""Height and width, pixels."""


class Batch(NamedTuple):
    """Images of one size.

    Attributes:
        images: normalised, each in the upper left corner, 0 around it.
        sizes: of each image in the batch.
        originals: of each image as it was given.
    """

    images: Float[Tensor, "B 3 H W"]
    sizes: list[Size]
    originals: list[Size]

    @property
    def limits(self) -> Float[Tensor, "B 2"]:
        """The sizes as a tensor."""
        return self.images.new_tensor(self.sizes, dtype=torch.float32)


def prepare(
    images: Images, options: ImageOptions, training: bool = False, generator: torch.Generator | None = None
) -> Batch:
    """Normalise, resize (bilinear) and pad; images of equal size go through together.

    Args:
        images: see `Images`.
        options: what sizes are wanted.
        training: whether each image draws one of several sizes.
        generator: of that draw.

    Raises:
        OptionError: no images, or one that is no float tensor of three channels.
    """
    originals = check_images(images)
    shorter = [options.min_size[-1]] * len(images)
    if training and len(options.min_size) > 1:
        device = None if generator is None else generator.device
        drawn = torch.randint(len(options.min_size), (len(images),), generator=generator, device=device)
        shorter = [options.min_size[i] for i in drawn.tolist()]
    sizes = [resized_size(size, side, options.max_size) for size, side in zip(originals, shorter, strict=True)]
    height, width = (math.ceil(max(x) / options.multiple) * options.multiple for x in zip(*sizes, strict=True))
    groups: dict[tuple[Size, Size], list[int]] = {}
    for i, key in enumerate(zip(originals, sizes, strict=True)):
        groups.setdefault(key, []).append(i)
    if len(groups) == 1:
        whole = images if isinstance(images, Tensor) else _stacked(images)
        small = _normal_and_resized(whole, sizes[0], options)
        return Batch(functional.pad(small, (0, width - sizes[0][1], 0, height - sizes[0][0])), sizes, originals)
    batch = images[0].new_zeros((len(images), 3, height, width), dtype=torch.float32)
    for (_, size), index in groups.items():
        small = _normal_and_resized(_stacked([images[i] for i in index]), size, options)
        batch[index, :, : size[0], : size[1]] = small
    return Batch(batch, sizes, originals)


def check_images(images: Images) -> list[Size]:
    """The images' sizes.

    Raises:
        OptionError: see `prepare`.
    """
    if len(images) == 0:
        raise OptionError("there are no images", expected="one at least")
    for i, image in enumerate(images):
        if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
            shape = tuple(image.shape)
            raise OptionError("an image has the wrong shape", where=f"images[{i}]", expected="(3, H, W)", actual=shape)
        if not image.is_floating_point():
            raise OptionError(
                "an image has the wrong type",
                where=f"images[{i}]",
                expected="floats in [0, 1]",
                actual=image.dtype,
                hint="divide 8-bit values by 255",
            )
    return [(int(image.shape[1]), int(image.shape[2])) for image in images]


def resized_size(size: Size, shorter: int, longest: int) -> Size:
    """The size at which the shorter side is as wanted, or the longer one as long as it may be, rounded down."""
    factor = min(shorter / min(size), longest / max(size))
    return max(math.floor(size[0] * factor), 1), max(math.floor(size[1] * factor), 1)


def _stacked(images: Sequence[Tensor]) -> Tensor:
    """Images of one size as a batch; a single one, which may be huge, is not copied."""
    return images[0][None] if len(images) == 1 else torch.stack(list(images))


def _normal_and_resized(images: Tensor, size: Size, options: ImageOptions) -> Tensor:
    """Images of one size at another, in units of the training images' deviation."""
    images = images.float()
    mean, std = images.new_tensor(options.mean)[:, None, None], images.new_tensor(options.std)[:, None, None]
    return functional.interpolate((images - mean).div_(std), size, mode="bilinear", align_corners=False)
