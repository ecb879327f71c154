"""Variations: mirrored twice is the same, masks and boxes and pixels stay together, sizes are those asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate
from torchvision.transforms.functional import adjust_brightness, adjust_contrast, adjust_saturation

from anyview.errors import OptionError
from anyview.segmentation.data.augment import (
    PADDING,
    _window,
    augmented,
    color_jitter,
    copy_paste,
    flipped,
    large_scale_jitter,
    resized,
    scale_jitter,
    uniform,
)
from anyview.segmentation.data.augment_options import AugmentOptions
from anyview.segmentation.data.items import Item, make_target, mask_areas, mask_boxes, uncovered
from anyview.segmentation.data.synthetic_data import SyntheticInstances


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def discs(seed: int, height: int = 60, width: int = 80, count: int = 5) -> Item:
    """An image whose pixels say which thing they show: 40 times its number."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    owner = np.zeros((height, width), np.int64)
    for number in range(1, count + 1):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 18)
        owner[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = number
    masks = torch.from_numpy((owner == np.arange(1, count + 1)[:, None, None]).astype(np.uint8))
    image = torch.from_numpy(np.repeat((40 * owner).astype(np.uint8)[None], 3, 0))
    return image, make_target(masks, torch.arange(1, count + 1), seed)


def agree(item: Item, boxes: float = 1.0) -> None:
    """Boxes hold their masks to within `boxes` pixels: a mask that is made smaller loses its tips, and rounds."""
    image, target = item
    assert image.dtype == target["masks"].dtype == torch.uint8
    assert image.is_contiguous()
    assert target["masks"].shape[1:] == image.shape[1:]
    beyond = (target["boxes"] - mask_boxes(target["masks"])) * torch.tensor([1, 1, -1, -1])
    assert (beyond <= boxes).all()
    assert boxes or (beyond == 0).all()
    assert torch.equal(target["area"], mask_areas(target["masks"]))
    assert (target["area"] > 0).all()
    assert len({len(target[k]) for k in ("boxes", "labels", "masks", "iscrowd", "area")}) == 1


def shows_its_things(item: Item, least: float) -> None:
    """The share of each mask's pixels that have its colour; images are blended at outlines."""
    image, target = item
    for label, mask in zip(target["labels"].tolist(), target["masks"].bool(), strict=True):
        if mask.sum() > 50:
            assert (image[0][mask] == 40 * label).float().mean() > least


def test_mirrored_twice_is_the_same() -> None:
    for seed in range(5):
        item = discs(seed)
        once = flipped(item)
        agree((once[0].contiguous(), once[1]), 0)
        assert torch.equal(once[0], item[0].flip(2))
        shows_its_things(once, 0.999)
        twice = flipped(once)
        assert torch.equal(twice[0], item[0])
        assert all(torch.equal(twice[1][name], item[1][name]) for name in item[1])


@pytest.mark.parametrize("size", [(60, 80), (30, 40), (97, 131), (120, 160), (7, 200), (1, 1)])
def test_resized(size: tuple[int, int]) -> None:
    item = resized(discs(0), *size)
    agree(item)
    assert tuple(item[0].shape) == (3, *size)
    if min(size) > 7:
        shows_its_things(item, 0.6)
    exact = interpolate(discs(0)[0][None].float(), size, mode="bilinear", antialias=True)[0]
    assert (item[0] - exact).abs().max() <= 1  # measured 0.59: the rounding of bytes
    if size == (60, 80):
        assert torch.equal(item[0], discs(0)[0])
    if size == (120, 160):  # every mask pixel becomes four
        assert torch.equal(item[1]["masks"][:, ::2, ::2], discs(0)[1]["masks"])
        assert torch.equal(item[1]["area"], 4 * discs(0)[1]["area"])


def test_boxes_stay_exact_until_their_masks_are_cut() -> None:
    masks = torch.zeros((3, 40, 40), dtype=torch.uint8)
    masks[0, 10:15, 10:15] = masks[1, 30:38, 5:25] = masks[2, 2:6, 30:38] = 1
    boxes = torch.tensor([[9.75, 10.2, 15.3, 14.9], [4.6, 30.3, 24.9, 38.2], [30.1, 2.2, 38.4, 5.7]])
    image = torch.zeros((3, 40, 40), dtype=torch.uint8)
    item = (image, make_target(masks, torch.tensor([1, 2, 3]), 0, boxes=boxes))
    assert torch.allclose(flipped(flipped(item))[1]["boxes"], boxes, atol=1e-5)
    assert torch.allclose(flipped(item)[1]["boxes"][0], torch.tensor([24.7, 10.2, 30.25, 14.9]))
    assert torch.allclose(resized(item, 80, 60)[1]["boxes"], boxes * torch.tensor([1.5, 2, 1.5, 2]))
    _, target = _window(item, (80, 80), (10, 10, 50, 50))  # of pixels 5 to 30
    assert target["labels"].tolist() == [1]  # the others lie beside it
    assert torch.allclose(target["boxes"][0], 2 * boxes[0] - 10)
    _, target = _window(item, (80, 80), (10, 10, 60, 50))  # of pixels 5 to 35, and 30
    assert target["labels"].tolist() == [1, 2]
    assert target["boxes"][1].tolist() == [0, 50, 40, 60]
    cover = torch.zeros((40, 40), dtype=torch.uint8)
    cover[:, :8] = 1
    left = uncovered(item[1], cover)
    assert torch.equal(left["boxes"][[0, 2]], boxes[[0, 2]])
    assert left["boxes"][1].tolist() == [8, 30, 25, 38]


def test_masks_are_resized_to_the_nearest_centre() -> None:
    masks = torch.arange(30, dtype=torch.uint8).reshape(1, 5, 6).clamp_max(1)
    masks[0, 2, 3] = 0
    item = (torch.zeros((3, 5, 6), dtype=torch.uint8), make_target(masks, torch.tensor([1]), 0))
    for height, width in ((3, 4), (9, 7), (5, 13)):
        nearest = Image.fromarray(masks[0].numpy()).resize((width, height), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(resized(item, height, width)[1]["masks"][0], nearest)


def test_scale_jitter_draws_between_its_ends() -> None:
    drawn = []
    for seed in range(40):
        item = scale_jitter(discs(0), generator(seed), 0.5, 1.5)
        agree(item)
        height, width = item[0].shape[1:]
        assert abs(height / 60 - width / 80) < 0.02
        drawn.append(height / 60)
    assert 0.5 <= min(drawn) < 0.6
    assert 1.4 < max(drawn) <= 1.5


def test_large_scale_jitter_makes_squares() -> None:
    small, cut = 0, 0
    for seed in range(40):
        image, target = item = large_scale_jitter(discs(seed % 4), generator(seed), 64)
        agree(item)
        assert tuple(image.shape) == (3, 64, 64)
        shows_its_things(item, 0.5)
        padded = (image == torch.tensor(PADDING, dtype=torch.uint8)[:, None, None]).all(0)
        assert not target["masks"].amax(0)[padded].any()
        small += bool(padded.any())
        cut += len(target["labels"]) < len(discs(seed % 4)[1]["labels"])
    assert small > 5
    assert cut > 5


def test_a_factor_of_one_makes_the_longer_side_fit() -> None:
    image, target = large_scale_jitter(discs(1), generator(0), 80, 1.0, 1.0)
    before = discs(1)
    assert torch.equal(image[:, :60], before[0])
    assert torch.equal(target["masks"][:, :60], before[1]["masks"])
    assert (image[:, 60:] == torch.tensor(PADDING, dtype=torch.uint8)[:, None, None]).all()


def test_pasted_things_lie_above() -> None:
    pasted = 0
    for seed in range(30):
        below, above = discs(seed), discs(seed + 100)
        above[1]["labels"] += 10
        image, target = item = copy_paste(below, above, generator(seed))
        agree((image.contiguous(), target), 0)
        assert int(target["image_id"]) == seed
        assert int(target["masks"].sum(0).max()) <= 1  # none of these things overlap in their own images
        added = target["labels"] > 10
        pasted += int(added.sum())
        for label, mask in zip(target["labels"].tolist(), target["masks"].bool(), strict=True):
            assert (image[0][mask] == 40 * (label % 10)).all()
        cover = target["masks"][added].bool().any(0) if added.any() else torch.zeros(60, 80, dtype=torch.bool)
        for label, mask in zip(below[1]["labels"].tolist(), below[1]["masks"].bool(), strict=True):
            left = mask & ~cover
            rest = target["masks"][target["labels"] == label].bool()
            assert torch.equal(rest[0], left) if left.any() else not len(rest)
        assert torch.equal(image[:, ~cover], below[0][:, ~cover])
        assert len(item[1]["labels"]) >= int(added.sum())
    assert 40 < pasted < 110  # about half of five in each


def test_what_is_covered_wholly_is_gone() -> None:
    small = torch.zeros((1, 10, 10), dtype=torch.uint8)
    small[0, 4:6, 4:6] = 1
    below = (torch.zeros((3, 10, 10), dtype=torch.uint8), make_target(small, torch.tensor([1]), 3))
    full = (torch.full((3, 10, 10), 9, dtype=torch.uint8), make_target(torch.ones_like(small), torch.tensor([2]), 4))
    seen = {tuple(copy_paste(below, full, generator(seed))[1]["labels"].tolist()) for seed in range(20)}
    assert seen == {(1,), (2,)}
    full[1]["iscrowd"][:] = 1  # a crowd is never pasted
    assert {tuple(copy_paste(below, full, generator(seed))[1]["labels"].tolist()) for seed in range(20)} == {(1,)}
    with pytest.raises(ValueError, match="cannot be pasted together"):
        copy_paste(below, discs(0), generator(0))


def uniform_after(seed: int, before: int, strength: float) -> float:
    """The factor that the generator gives after some others."""
    source = generator(seed)
    drawn = [uniform(source, 1 - strength, 1 + strength) for _ in range(before + 1)]
    return drawn[-1]


def test_colours_change_and_nothing_else() -> None:
    image = torch.from_numpy(np.random.default_rng(0).integers(60, 190, (3, 20, 30), np.uint8))
    item = (image, discs(0, 20, 30)[1])
    for only in range(4):
        strengths = [0.0] * 4
        strengths[only] = 0.4
        changed, target = color_jitter(item, generator(1), *strengths)
        assert target is item[1]
        assert changed.dtype == torch.uint8
        off = (changed.float() - image.float()).abs()
        assert 1 < off.mean() < 120
        factor = uniform_after(1, only, 0.4)
        if only < 3:
            reference = (adjust_brightness, adjust_contrast, adjust_saturation)[only](image, factor)
            inside = (reference > 0) & (reference < 255)
            off = (changed.float() - reference.float()).abs()[inside]
            assert off.max() <= 1  # it rounds downwards, and rounds its greys
        else:  # the brightness as eyes see it stays
            luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
            inside = ((changed > 0) & (changed < 255)).all(0)
            assert ((luma * (changed.float() - image.float())).sum(0)[inside]).abs().max() < 1  # rounding
    assert torch.equal(color_jitter(item, generator(1), 0, 0, 0, 0)[0], image)


FULL = AugmentOptions(0.5, 0.3, 1.7, 72, 0.7, 0.2, 0.2, 0.2, 0.05)


@pytest.mark.parametrize(
    "options", [AugmentOptions(), AugmentOptions(0.5, 0.8, 1.2), replace(FULL, copy_paste=0.0), FULL]
)
def test_recipes_keep_things_together_and_depend_on_the_generator_alone(options: AugmentOptions) -> None:
    data = SyntheticInstances(3, (64, 48), 5, most=4)
    first = [augmented(data, i % 3, options, generator(i)) for i in range(12)]
    again = [augmented(data, i % 3, options, generator(i)) for i in range(12)]
    for one, two in zip(first, again, strict=True):
        agree((one[0].contiguous(), one[1]))
        assert torch.equal(one[0], two[0])
        assert all(torch.equal(one[1][name], two[1][name]) for name in one[1])
    assert any(not torch.equal(first[0][0], item[0]) for item in first[3::3])  # of one image
    if options.crop_size:
        assert all(item[0].shape == (3, 72, 72) for item in first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flip": 1.5}, "`flip` is out of range: expected 0 to 1, found 1.5"),
        ({"hue": 0.6}, "`hue` is out of range"),
        ({"scale_low": 0.0}, "impossible scale jitter: .*found 0.0 and 1.7"),
        ({"scale_low": 3.0}, "impossible scale jitter"),
        ({"crop_size": -1}, "`crop_size` is out of range"),
        ({"crop_size": 0}, "copy-paste without `crop_size`"),
    ],
)
def test_impossible_options(change: dict[str, float], message: str) -> None:
    FULL.check()
    with pytest.raises(OptionError, match=message):
        replace(FULL, **change).check()  # type: ignore[arg-type]


def test_every_function_gives_the_same_for_the_same_generator() -> None:
    makers: list[Callable[[torch.Generator], Item]] = [
        lambda g: scale_jitter(discs(0), g),
        lambda g: large_scale_jitter(discs(0), g, 50),
        lambda g: copy_paste(discs(0), discs(1), g),
        lambda g: color_jitter(discs(0), g),
    ]
    for make in makers:
        one, two = make(generator(3)), make(generator(3))
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1]["masks"], two[1]["masks"])
