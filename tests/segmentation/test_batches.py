"""Batches: like shapes together, each image once a round, the same whatever threads and interruptions do."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from anyview.errors import FormatError, OptionError
from anyview.formats.coco import CocoData
from anyview.segmentation.data.batch_order import BatchOrder
from anyview.segmentation.data.batches import Batch, Batches, item_generator
from anyview.segmentation.data.classes import Classes, named_classes
from anyview.segmentation.data.items import InstanceData, Item, make_target
from anyview.training.trainee import Stateful

SIZES = [(30 + 7 * (i % 5), 20 + 11 * (i % 7)) for i in range(53)]


class Numbered:
    """Images that say their number; threads that read them are counted."""

    def __init__(self, broken: int = -1, seconds: float = 0.0) -> None:
        self.broken, self.seconds, self.reads = broken, seconds, 0
        self.threads: set[str] = set()
        self._lock = threading.Lock()

    @property
    def classes(self) -> Classes:
        return named_classes(["thing"])

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        return SIZES

    def __len__(self) -> int:
        return len(SIZES)

    def __getitem__(self, index: int) -> Item:
        with self._lock:
            self.reads += 1
            self.threads.add(threading.current_thread().name)
        time.sleep(self.seconds)
        if index == self.broken:
            raise FormatError("image cannot be read", where=f"{index}.png")
        masks = torch.ones((1, *SIZES[index]), dtype=torch.uint8)
        return torch.full((3, *SIZES[index]), index, dtype=torch.uint8), make_target(masks, torch.tensor([1]), index)

    @property
    def names(self) -> Sequence[str]:
        return [f"{index}.png" for index in range(len(SIZES))]

    def ground_truth(self, chosen: Sequence[int] | None = None) -> CocoData:
        raise NotImplementedError


def noisy(data: InstanceData, index: int, generator: torch.Generator) -> Item:
    image, target = data[index]
    draw = torch.randint(0, 256, (), generator=generator, dtype=torch.int64)
    time.sleep(float(draw) / 1e6)  # threads finish in another order than they began
    return image, {**target, "draw": draw}


def told(batch: Batch) -> list[tuple[int, int]]:
    """Number and random draw of every image."""
    return [(int(t["image_id"]), int(t.get("draw", -1))) for t in batch.targets]


def test_every_image_comes_once_a_round_in_batches_of_like_shapes() -> None:
    order = BatchOrder(SIZES, 4, seed=3)
    drawn = [next(order) for _ in range(200)]
    assert all(len(plan.images) == 4 for plan in drawn)
    assert [plan.number for plan in drawn] == list(range(200))
    assert [plan.first for plan in drawn] == list(range(0, 800, 4))
    for plan in drawn:
        assert len({SIZES[i][1] > SIZES[i][0] for i in plan.images}) == 1
    counts = Counter(i for plan in drawn for i in plan.images)
    assert set(counts) == set(range(53))
    assert max(counts.values()) - min(counts.values()) <= 1  # 800 of 53: 15 or 16 each
    assert [p.images for p in drawn[:13]] != [p.images for p in drawn[13:26]]
    other = BatchOrder(SIZES, 4, seed=4)
    assert [next(other).images for _ in range(13)] != [p.images for p in drawn[:13]]


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_bins_are_equal_ratios(bins: int) -> None:
    sizes = [(100, round(100 * 2 ** (i / 10))) for i in range(-15, 16)]
    order = BatchOrder(sizes, 1, 0, bins)
    edges = [2 ** (-1 + 2 * (k + 1) / bins) for k in range(bins - 1)]
    for bin_, (height, width) in zip(order._bin, sizes, strict=True):
        assert bin_ == sum(width / height > edge * (1 + 1e-12) for edge in edges)


@pytest.mark.parametrize("stop", [0, 1, 7, 13, 14, 40])
@pytest.mark.parametrize("threads", [0, 3])
def test_a_state_goes_on_with_the_very_next_batch(stop: int, threads: int) -> None:
    with Batches(Numbered(), 4, 1, vary=noisy, threads=0) as whole:
        expected = [told(next(whole)) for _ in range(stop + 20)]
    with Batches(Numbered(), 4, 1, vary=noisy, threads=threads) as first:
        assert isinstance(first, Stateful)
        assert [told(next(first)) for _ in range(stop)] == expected[:stop]
        state = json.loads(json.dumps(first.state_dict()))  # plain values only
    with Batches(Numbered(), 4, 1, vary=noisy, threads=threads) as second:
        next(second)  # what was made ahead of another place is thrown away
        second.load_state_dict(state)
        assert second.state_dict() == state
        assert [told(next(second)) for _ in range(20)] == expected[stop:]
        assert next(second).number == stop + 20


def test_threads_change_neither_order_nor_random_numbers() -> None:
    seen = []
    for threads, ahead in ((0, None), (1, None), (4, 1), (4, 5)):
        data = Numbered()
        with Batches(data, 3, 9, vary=noisy, threads=threads, ahead=ahead) as batches:
            seen.append([told(next(batches)) for _ in range(30)])
        assert (threading.current_thread().name in data.threads) == (threads == 0)
    assert seen[0] == seen[1] == seen[2] == seen[3]
    draws = [draw for batch in seen[0] for _, draw in batch]
    assert len(set(draws)) > 60  # of 90


def test_memory_is_bounded() -> None:
    data = Numbered()
    with Batches(data, 4, 0, threads=2, ahead=3) as batches:
        for taken in range(1, 8):
            next(batches)
            time.sleep(0.02)
            assert data.reads <= 4 * (taken + 3)


def test_processes_share_the_batches_and_the_state() -> None:
    def parts(state: dict[str, Any] | None) -> tuple[list[list[tuple[int, int]]], list[dict[str, Any]]]:
        made, states = [], []
        for rank in range(3):
            with Batches(Numbered(), 4, 1, vary=noisy, part=(rank, 3)) as batches:
                if state:
                    batches.load_state_dict(state)
                made += [told(next(batches)) for _ in range(5)]
                states.append(batches.state_dict())
        return made, states

    with Batches(Numbered(), 4, 1, vary=noisy) as whole:
        expected = [told(next(whole)) for _ in range(30)]
    made, states = parts(None)
    assert [made[5 * (i % 3) + i // 3] for i in range(15)] == expected[:15]
    assert states[0] == states[1] == states[2]
    made, _ = parts(states[0])
    assert [made[5 * (i % 3) + i // 3] for i in range(15)] == expected[15:]


def test_a_batch_on_its_way_to_a_model() -> None:
    with Batches(Numbered(), 2, 0) as batches:
        batch = next(iter(batches))
    images, targets = batch.to("cpu")
    for image, before, target in zip(images, batch.images, targets, strict=True):
        assert image.dtype == torch.float32
        assert torch.equal((image * 255).round().byte(), before)
        assert float(image.max()) <= 1
        assert torch.equal(target["boxes"], torch.tensor([[0.0, 0, before.shape[2], before.shape[1]]]))


@pytest.mark.parametrize("threads", [0, 2])
def test_a_damaged_image_ends_it(threads: int) -> None:
    order = BatchOrder(SIZES, 4, 0)
    before = next(i for i in range(20) if 20 in next(order).images)
    with Batches(Numbered(broken=20), 4, 0, threads=threads) as batches:
        for _ in range(before):
            next(batches)
        with pytest.raises(FormatError, match=r"cannot be read in 20\.png"):
            next(batches)


def test_leaving_does_not_wait_for_what_nobody_wants() -> None:
    data = Numbered(seconds=0.01)
    with Batches(data, 4, 0, threads=2, ahead=30) as batches:
        next(batches)
    assert data.reads < 60  # of 124
    assert not [t for t in threading.enumerate() if t.name.startswith("images")]


def test_states_of_other_data_are_refused() -> None:
    state = BatchOrder(SIZES, 4, 0).state_dict()
    for order, message in (
        (BatchOrder(SIZES[:-1], 4, 0), "images was 53 and is now 52"),
        (BatchOrder(SIZES, 5, 0), "batch_size was 4 and is now 5"),
        (BatchOrder(SIZES, 4, 1), "seed was 0 and is now 1"),
        (BatchOrder(SIZES, 4, 0, bins=3), "there were 2 bins and are now 3"),
    ):
        with pytest.raises(ValueError, match=message):
            order.load_state_dict(state)
    with pytest.raises(OptionError, match=r"no batches can be made: .* found 0 images, batches of 4, 2 bins"):
        BatchOrder([], 4, 0)


def test_random_numbers_of_positions_are_unlike() -> None:
    drawn = {float(torch.rand((), generator=item_generator(s, p))) for s in range(20) for p in range(50)}
    assert len(drawn) == 1000
