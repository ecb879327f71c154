"""Variations of a labelled image: mirroring, scale, large-scale jitter, copy-paste, colours.

Large-scale jitter and copy-paste are those of Ghiasi et al. 2021, "Simple copy-paste is a strong data augmentation
method for instance segmentation" (arXiv 2012.07177, section 3). Masks are resized to the nearest pixel centre, images
bilinearly with antialiasing; boxes are those of the masks where these are cut or covered. What has no pixel is gone.

Letters: H rows, W columns. Everything random comes from the generator that is given.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import UInt8
from torch import Tensor

from anyview.segmentation.data.augment_options import AugmentOptions
from anyview.segmentation.data.items import InstanceData, Item, Target, keep, mask_boxes, remasked, uncovered
from anyview.segmentation.data.scaling import scaled

_LUMA = (0.299, 0.587, 0.114)
_CHROMA = ((0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))  # of NTSC's YIQ: hue is an angle in its plane

_CUT = 1e-3  # how far a box may lie beyond a window that does not cut it, pixels

PADDING = (124, 116, 104)
"""The mean colour of ImageNet, which a model's normalisation makes 0."""


def augmented(data: InstanceData, index: int, options: AugmentOptions, generator: torch.Generator) -> Item:
    """An image of some data, varied; with copy-paste, a second image is drawn from the data.

    Raises:
        FormatError: an image is damaged.
    """
    item = _placed(data[index], options, generator)
    if options.copy_paste and uniform(generator) < options.copy_paste:
        other = int(torch.randint(len(data), (1,), generator=generator))
        item = copy_paste(item, _placed(data[other], options, generator), generator)
    strengths = (options.brightness, options.contrast, options.saturation, options.hue)
    return color_jitter(item, generator, *strengths) if any(strengths) else item


def _placed(item: Item, options: AugmentOptions, generator: torch.Generator) -> Item:
    """The variations of where things are."""
    if options.flip and uniform(generator) < options.flip:
        item = flipped(item)
    low, high = options.scale_low, options.scale_high
    if options.crop_size:
        return large_scale_jitter(item, generator, options.crop_size, low, high)
    return scale_jitter(item, generator, low, high) if (low, high) != (1.0, 1.0) else item


def uniform(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """A number between two."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def flipped(item: Item) -> Item:
    """Left and right changed."""
    image, target = item
    width = image.shape[2]
    left, top, right, bottom = target["boxes"].unbind(1)
    boxes = torch.stack([width - right, top, width - left, bottom], 1)
    return image.flip(2), {**target, "boxes": boxes, "masks": target["masks"].flip(2)}


def resized(item: Item, height: int, width: int) -> Item:
    """Scaled to a size, whatever that does to the shape."""
    return _window(item, (height, width), (0, 0, height, width))


def scale_jitter(item: Item, generator: torch.Generator, low: float = 0.8, high: float = 1.25) -> Item:
    """Both sides times one factor, drawn evenly; no side gets shorter than a pixel."""
    factor = uniform(generator, low, high)
    height, width = item[0].shape[1:]
    return resized(item, max(round(height * factor), 1), max(round(width * factor), 1))


def large_scale_jitter(item: Item, generator: torch.Generator, size: int, low: float = 0.1, high: float = 2.0) -> Item:
    """Scaled, then cut or padded to a square.

    Args:
        item: of any shape, which is kept.
        generator: draws the factor evenly, then the place of the cut evenly.
        size: side of the square, pixels.
        low, high: of the factor; 1 makes the longer side `size`.
    """
    height, width = item[0].shape[1:]
    factor = uniform(generator, low, high) * size / max(height, width)
    height, width = max(round(height * factor), 1), max(round(width * factor), 1)
    top, left = (int(uniform(generator) * (max(side - size, 0) + 1)) for side in (height, width))
    image, target = _window(item, (height, width), (top, left, min(height, size), min(width, size)))
    return _padded(image, target, size)


def copy_paste(item: Item, other: Item, generator: torch.Generator) -> Item:
    """Some things of another image, each with even chances, laid over an image of the same size.

    What they cover is taken from the masks below; things that are covered wholly are gone.

    Raises:
        ValueError: the images' sizes differ.
    """
    image, target = item
    source, extra = other
    if source.shape != image.shape:
        raise ValueError(f"images of {tuple(source.shape)} and {tuple(image.shape)} cannot be pasted together")
    chosen = torch.rand(len(extra["labels"]), generator=generator) < 0.5
    chosen &= extra["iscrowd"] == 0
    if not bool(chosen.any()):
        return item
    pasted = keep(extra, chosen)
    above = pasted["masks"].amax(0)
    image = torch.where(above.bool(), source, image)
    below = uncovered(target, above)
    joined = {name: torch.cat([below[name], pasted[name]]) for name in below if name != "image_id"}
    return image, {**joined, "image_id": target["image_id"]}


def color_jitter(
    item: Item,
    generator: torch.Generator,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
    hue: float = 0.02,
) -> Item:
    """Colours changed, each by up to a share: times a factor, away from the mean grey, away from each pixel's grey, and
    turned around the axis of greys.

    All four are linear, so they are one matrix, and what is too bright or too dark is cut off once.
    """
    image, target = item
    bright, contrasting, colourful = (uniform(generator, 1 - s, 1 + s) for s in (brightness, contrast, saturation))
    angle = 2 * math.pi * uniform(generator, -hue, hue)
    luma = torch.tensor(_LUMA)
    to_grey = luma.expand(3, 3)
    turn = torch.tensor([[1.0, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]])
    yiq = torch.tensor([_LUMA, *_CHROMA])
    matrix = torch.linalg.inv(yiq) @ turn @ yiq @ (colourful * torch.eye(3) + (1 - colourful) * to_grey)
    pixels = image.reshape(3, -1).float()
    mean = bright * float(luma @ pixels.mean(1))
    changed = (bright * contrasting * matrix) @ pixels + (1 - contrasting) * mean
    return changed.round_().clamp_(0, 255).byte().reshape(image.shape), target


def _window(item: Item, size: tuple[int, int], window: tuple[int, int, int, int]) -> Item:
    """A part (top, left, height, width) of an image that is scaled to a size; only that part of the masks is made."""
    image, target = item
    rows, columns = image.shape[1:]
    top, left, height, width = window
    seen = scaled(image, *size)[:, top : top + height, left : left + width]
    y = _nearest(torch.arange(top, top + height), rows, size[0])
    x = _nearest(torch.arange(left, left + width), columns, size[1])
    masks = target["masks"].index_select(1, y).index_select(2, x)
    boxes = target["boxes"] * torch.tensor([size[1] / columns, size[0] / rows] * 2)
    boxes = boxes - torch.tensor([left, top, left, top])
    whole = ((boxes > -_CUT) & (boxes < torch.tensor([width, height, width, height]) + _CUT)).all(1, keepdim=True)
    return seen.contiguous(), remasked(target, masks, torch.where(whole, boxes, mask_boxes(masks)))


def _nearest(places: Tensor, before: int, after: int) -> Tensor:
    """The old pixel in which the centre of each new one lies."""
    return ((2 * places + 1) * before).div(2 * after, rounding_mode="floor").clamp_max(before - 1)


def _padded(image: UInt8[Tensor, "3 H W"], target: Target, size: int) -> Item:
    """Right and below filled up to a square."""
    height, width = image.shape[1:]
    if (height, width) == (size, size):
        return image, target
    canvas = torch.tensor(PADDING, dtype=torch.uint8)[:, None, None].repeat(1, size, size)
    canvas[:, :height, :width] = image
    masks = torch.zeros((len(target["labels"]), size, size), dtype=torch.uint8)
    masks[:, :height, :width] = target["masks"]
    return canvas, {**target, "masks": masks}
