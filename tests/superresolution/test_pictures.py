"""Pairs, stacks and crops: what belongs together, decoded once, cut the same way each time."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anyview.errors import FormatError, OptionError, WorkspaceError
from anyview.formats import div2k
from anyview.progress import Silent
from anyview.superresolution.bicubic import imresize, shrunk
from anyview.superresolution.data import stack
from anyview.superresolution.data.batches import Crops, turned
from anyview.superresolution.data.pairs import find_pairs, image_files, read_pair, unmarked
from anyview.superresolution.data.pictures import Pictures, open_files, open_folder, open_pairs, user_cache
from anyview.superresolution.data.stack import ImageStack, stack_files
from anyview.superresolution.degradation import DegradationOptions
from anyview.superresolution.train_data import training_pictures


class Told(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def _picture(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def _folder(root: Path, count: int = 5, size: tuple[int, int] = (50, 61)) -> Path:
    for i in range(count):
        _save(root / f"{i:02}.png", _picture(i, size[0] + i, size[1]))
    return root


def _pairs(root: Path, scale: int = 4, mark: str = "x4") -> tuple[Path, Path]:
    for i in range(3):
        high = _picture(i, 48, 60 + 4 * i)
        _save(root / "HR" / f"{i}.png", high)
        _save(root / "LR" / f"{i}{mark}.png", shrunk(high, scale))
    return root / "HR", root / "LR"


@pytest.mark.parametrize(
    ("name", "scale", "plain"),
    [("0001x4.png", 4, "0001"), ("0001x4m.png", 4, "0001"), ("img_001_SRF_4_LR.png", 4, "img_001"),
     ("baby_HR.png", 2, "baby"), ("box3.png", 4, "box3"), ("x4.png", 4, "x4")],
)  # fmt: skip
def test_names_without_marks(name: str, scale: int, plain: str) -> None:
    assert unmarked(Path(name), scale) == plain


@pytest.mark.parametrize("mark", ["", "x4", "_LR"])
def test_two_folders_are_matched(tmp_path: Path, mark: str) -> None:
    pairs = find_pairs(*_pairs(tmp_path, mark=mark), 4)
    assert [(pair.high.name, pair.low.name) for pair in pairs] == [(f"{i}.png", f"{i}{mark}.png") for i in range(3)]
    low, truth = read_pair(pairs[1], 4)
    assert np.array_equal(low, shrunk(truth, 4))


def test_marks_do_not_change_the_order(tmp_path: Path) -> None:
    for i, name in enumerate(("a", "aa")):  # "aax4.png" comes before "ax4.png", and "a.png" before "aa.png"
        high = _picture(i, 8, 8)
        _save(tmp_path / "HR" / f"{name}.png", high)
        _save(tmp_path / "LR" / f"{name}x4.png", shrunk(high, 4))
    assert [pair.low.name for pair in find_pairs(tmp_path / "HR", tmp_path / "LR", 4)] == ["ax4.png", "aax4.png"]


def test_one_folder_with_both_sides(tmp_path: Path) -> None:
    high = _picture(0, 16, 20)
    _save(tmp_path / "img_001_SRF_4_HR.png", high)
    _save(tmp_path / "img_001_SRF_4_LR.png", shrunk(high, 4))
    (pair,) = find_pairs(tmp_path, tmp_path, 4)
    assert (pair.high.stem[-2:], pair.low.stem[-2:], pair.size) == ("HR", "LR", (4, 5))


def test_what_does_not_match_is_named(tmp_path: Path) -> None:
    high, low = _pairs(tmp_path)
    (low / "1x4.png").rename(low / "7x4.png")
    with pytest.raises(FormatError, match=r"no image belongs to .*HR/1.png in .*LR: expected 1\.\*"):
        find_pairs(high, low, 4)
    (low / "7x4.png").rename(low / "1x4.png")
    _save(low / "1x4.png", _picture(0, 12, 15))
    with pytest.raises(FormatError, match=r"HR/1.png \(64 x 48\) at scale 4 in .*1x4.png: expected 16 x 12, found 15"):
        find_pairs(high, low, 4)
    (low / "1x4.png").unlink()
    with pytest.raises(FormatError, match="no image belongs to"):
        find_pairs(high, low, 4)
    with pytest.raises(OptionError, match="there is no such folder"):
        find_pairs(high, tmp_path / "none", 4)


def test_names_of_two_kinds_are_matched_by_order_and_told(tmp_path: Path) -> None:
    high, low = _pairs(tmp_path)
    for i in range(3):
        (low / f"{i}x4.png").rename(low / f"small{i}.png")
    told = Told()
    assert [pair.low.name for pair in find_pairs(high, low, 4, told)] == [f"small{i}.png" for i in range(3)]
    assert "matched by their order" in told.notes[0]
    (low / "small1.png").unlink()
    with pytest.raises(FormatError, match=r"not as many images .* expected 3, found 2"):
        find_pairs(high, low, 4)


@pytest.mark.parametrize("up", [False, True])
def test_odd_sizes_are_cropped(tmp_path: Path, up: bool) -> None:
    high = _picture(0, 50, 61)
    low = imresize(high, 0.25) if up else shrunk(high[:48, :60], 4)
    pairs = find_pairs(_save(tmp_path / "h" / "a.png", high).parent, _save(tmp_path / "l" / "a.png", low).parent, 4)
    pictures = open_pairs(pairs, 4, tmp_path / "cache")
    assert pictures.high(0).shape == (48, 60, 3)
    assert np.array_equal(pictures.high(0), high[:48, :60])
    assert np.array_equal(pictures.low(0), low[:12, :15])
    assert read_pair(pairs[0], 4)[1].shape == (48, 60, 3)


def test_a_grey_truth_has_one_channel(tmp_path: Path) -> None:
    grey = _picture(0, 16, 16)[:, :, 0]
    _save(tmp_path / "h" / "a.png", grey)
    _save(tmp_path / "l" / "a.png", shrunk(grey, 4))
    low, truth = read_pair(find_pairs(tmp_path / "h", tmp_path / "l", 4)[0], 4)
    assert np.array_equal(truth, grey)
    assert low.shape == (4, 4, 3)


def test_a_folder_makes_its_small_pictures(tmp_path: Path) -> None:
    pictures = open_folder(_folder(tmp_path / "data"), 3, tmp_path / "cache")
    for i in range(5):
        high = _picture(i, 50 + i, 61)[: (50 + i) // 3 * 3, :60]
        assert np.array_equal(pictures.high(i), high)
        assert np.array_equal(pictures.low(i), shrunk(high, 3))


def test_a_stack_is_made_once_and_again_when_a_source_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, reads = _folder(tmp_path / "data"), []
    read = stack.read_rgb
    monkeypatch.setattr(stack, "read_rgb", lambda path: reads.append(path) or read(path))
    first = open_folder(folder, 4, tmp_path / "cache")
    again = open_folder(folder, 4, tmp_path / "cache")
    assert len(reads) == 5
    assert again.fingerprint() == first.fingerprint()
    assert open_folder(folder, 2, tmp_path / "cache").fingerprint() != first.fingerprint()
    assert len(reads) == 5  # another scale has the same large pictures
    _save(folder / "02.png", _picture(77, 52, 61))  # of the same size
    changed = open_folder(folder, 4, tmp_path / "cache")
    assert len(reads) == 10
    assert np.array_equal(changed.high(2), _picture(77, 52, 61)[:52, :60])
    assert np.array_equal(changed.low(2), shrunk(_picture(77, 52, 61)[:52, :60], 4))
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_damaged_stack_is_made_again(tmp_path: Path) -> None:
    files = image_files(_folder(tmp_path / "data"))
    path = tmp_path / "one.pixels"
    pixels = np.array(stack_files(path, files)[3])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError, match="cut short"):
        ImageStack(path)
    assert np.array_equal(stack_files(path, files)[3], pixels)
    path.write_bytes(b"\xff\xd8 nothing")
    assert np.array_equal(stack_files(path, files)[3], pixels)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    def read(index: int) -> np.ndarray:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WorkspaceError, match=r"disk is full in .*one"):
        stack.make_stack(tmp_path / "one.pixels", "", ["a"], [(1, 1)], read)
    assert list(tmp_path.iterdir()) == []


def test_litter_of_killed_runs_is_removed(tmp_path: Path) -> None:
    files = image_files(_folder(tmp_path / "data"))
    old, new = (tmp_path / f".one.0000000{i}.tmp.pixels" for i in (1, 2))
    old.write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (0, 0))
    stack_files(tmp_path / "one.pixels", files)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_picture_of_another_size_than_its_header(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="another size than its header says in a"):
        stack.make_stack(tmp_path / "one.pixels", "", ["a"], [(2, 2)], lambda index: _picture(0, 1, 1))


def _damage(folder: Path, kind: str) -> Path:
    path = folder / "02.png"
    if kind == "0 bytes":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    else:
        path.write_bytes(b"no image at all")
    return path


@pytest.mark.parametrize("kind", ["0 bytes", "truncated", "text"])
def test_a_damaged_image_is_named_and_nothing_is_left(tmp_path: Path, kind: str) -> None:
    path = _damage(_folder(tmp_path / "data"), kind)
    with pytest.raises(FormatError, match=r"image cannot be read in .*02\.png") as caught:
        open_folder(tmp_path / "data", 4, tmp_path / "cache")
    assert str(path) in str(caught.value)
    assert not list((tmp_path / "cache").glob("*"))


def test_odd_kinds_of_images(tmp_path: Path) -> None:
    base = Image.fromarray(_picture(0, 16, 16))
    base.convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    base.quantize(16).save(tmp_path / "b.png")
    frames = [base.quantize(16), Image.fromarray(_picture(1, 16, 16)).quantize(16)]
    frames[0].save(tmp_path / "c.gif", save_all=True, append_images=frames[1:])
    Image.fromarray((np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)).save(tmp_path / "d.png")
    base.convert("RGBA").save(tmp_path / "e.png")
    told = Told()
    pictures = open_folder(tmp_path, 4, tmp_path / ".cache", told)
    assert [pictures.high(i).shape for i in range(5)] == [(16, 16, 3)] * 5
    assert np.array_equal(pictures.high(1), np.array(base.quantize(16).convert("RGB")))
    assert np.array_equal(pictures.high(3)[:, :, 0].ravel(), np.arange(256))
    assert np.array_equal(pictures.high(4), _picture(0, 16, 16))
    assert len(told.notes) == 1
    assert "several frames, of which the first is taken: 1" in told.notes[0]


def test_an_image_smaller_than_a_small_pixel(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", _picture(0, 1, 1))
    with pytest.raises(FormatError, match=r"too small in .*a.png: expected 4 x 4 or more, found 1 x 1"):
        open_folder(tmp_path, 4, tmp_path / "cache")


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(WorkspaceError, match="a file stands where a folder should be"):
        open_folder(_folder(tmp_path / "data"), 4, tmp_path / "cache")


def test_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache() == Path("/somewhere/anyview")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert user_cache() == Path.home() / ".cache" / "anyview"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    root = tmp_path_factory.mktemp("pictures")
    return open_folder(_folder(root / "data"), 2, root / "cache")


def _inner_error(low: torch.Tensor, high: torch.Tensor) -> np.ndarray:
    """Between a small crop and the large one made small; its edges saw other pixels."""
    expected = shrunk(high.permute(1, 2, 0).numpy(), 2).astype(int)
    return np.abs(expected - low.permute(1, 2, 0).numpy())[4:-4, 4:-4]


def test_crops_match(pictures: Pictures) -> None:
    batch = Crops(pictures, 16, 0, crop=32).batch(3)
    assert batch.low.shape == (16, 3, 16, 16)
    assert batch.high.shape == (16, 3, 32, 32)
    assert batch.high.is_contiguous(memory_format=torch.channels_last)
    for low, high in zip(batch.low, batch.high, strict=True):  # turned, so the passes have another order
        assert _inner_error(low, high).mean() < 1
    straight = Crops(pictures, 16, 0, crop=32, turn=False).batch(3)
    for low, high in zip(straight.low, straight.high, strict=True):
        assert _inner_error(low, high).max() == 0
    low, _ = batch.to("cpu")
    assert low.dtype == torch.float32
    assert low.max() <= 1


def test_a_batch_is_of_the_seed_and_the_step_alone(pictures: Pictures) -> None:
    whole = [Crops(pictures, 4, 7, crop=32).batch(step) for step in range(6)]
    crops = Crops(pictures, 4, 7, crop=32)
    for step in (5, 2, 2, 0):
        assert torch.equal(crops.batch(step).high, whole[step].high)
        assert torch.equal(crops.batch(step).low, whole[step].low)
    assert not torch.equal(whole[0].high, whole[1].high)
    assert not torch.equal(Crops(pictures, 4, 8, crop=32).batch(0).high, whole[0].high)
    parts = [Crops(pictures, 4, 7, crop=32, part=(rank, 2)) for rank in (0, 1)]
    for step in range(3):
        for rank, part in enumerate(parts):
            assert torch.equal(part.batch(step).high, whole[2 * step + rank].high)


def test_threads_may_ask_for_steps_of_several_rounds(pictures: Pictures) -> None:
    crops, steps = Crops(pictures, 4, 7, crop=32), [*range(40)] * 3
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(crops.batch, steps))
    for step, batch in zip(steps, found, strict=True):
        assert torch.equal(batch.high, Crops(pictures, 4, 7, crop=32).batch(step).high)


def test_small_crops_may_be_degraded_ones(pictures: Pictures) -> None:
    plain, worse = (Crops(pictures, 4, 7, crop=32, degradation=options) for options in (None, DegradationOptions()))
    for step in (4, 1):
        assert torch.equal(plain.batch(step).high, worse.batch(step).high)
        assert not torch.equal(plain.batch(step).low, worse.batch(step).low)
        assert torch.equal(worse.batch(step).low, worse.batch(step).low)


def test_each_picture_comes_once_a_round_and_every_place_is_drawn(tmp_path: Path) -> None:
    for i in range(6):
        _save(tmp_path / f"{i}.png", np.full((10, 12, 3), 40 * i, np.uint8) + np.arange(12, dtype=np.uint8)[:, None])
    crops = Crops(open_folder(tmp_path, 2, tmp_path / ".cache"), 3, 0, crop=8, turn=False)
    corners = [crops.batch(step).high[:, 0, 0, 0].tolist() for step in range(60)]
    for step in range(0, 60, 2):
        assert sorted(value // 40 for value in corners[step] + corners[step + 1]) == list(range(6))
    assert {value % 40 for row in corners for value in row} == {0, 2, 4}  # columns of the small picture's grid


def test_eight_ways_to_see_a_square() -> None:
    square = _picture(0, 5, 5)
    seen = {turned(square, way).tobytes() for way in range(8)}
    assert len(seen) == 8
    assert np.array_equal(turned(square, 0), square)
    assert np.rot90(square).tobytes() in seen


def test_small_pictures_are_left_out_and_counted(tmp_path: Path) -> None:
    _folder(tmp_path, 3)
    _save(tmp_path / "tiny.png", _picture(0, 20, 90))
    pictures, told = open_folder(tmp_path, 2, tmp_path / ".cache"), Told()
    Crops(pictures, 2, 0, crop=48, progress=told).batch(9)
    assert told.notes == ["images smaller than a crop of 48 x 48, left out: 1, the first is tiny.png"]
    with pytest.raises(OptionError, match="all images are smaller than a crop: expected 96 x 96"):
        Crops(pictures, 2, 0)
    with pytest.raises(OptionError, match="expected a multiple of 2, found 47"):
        Crops(pictures, 2, 0, crop=47)
    with pytest.raises(OptionError, match="a batch without crops"):
        Crops(pictures, 0, 0)


def test_data_of_each_layout(tmp_path: Path) -> None:
    cache, told = tmp_path / "cache", Told()
    plain = training_pictures(_folder(tmp_path / "plain"), 4, cache=cache, progress=told)
    assert plain.val is not None
    assert (len(plain.train), len(plain.val)) == (4, 1)
    assert not set(plain.train.names) & set(plain.val.names)
    assert "1 of 5 are held back" in told.notes[0]
    _folder(tmp_path / "split" / "train", 3)
    _folder(tmp_path / "split" / "test", 12)
    split = training_pictures(tmp_path / "split", 4, cache=cache)
    assert split.val is not None
    assert (len(split.train), len(split.val)) == (3, 10)
    high, low = _pairs(tmp_path / "pairs")
    given = training_pictures(tmp_path / "split", 4, val=tmp_path / "pairs", cache=cache)
    assert given.val is not None
    assert (len(given.train), len(given.val)) == (15, 3)  # both parts are learnt from
    both = training_pictures(tmp_path / "pairs", 4, cache=cache)
    same = training_pictures(high, 4, low=low, cache=cache)
    assert both.train.fingerprint() == same.train.fingerprint()
    assert len(both.train) == 2
    with pytest.raises(OptionError, match="only DIV2K has tracks"):
        training_pictures(high, 4, track="mild", cache=cache)
    with pytest.raises(OptionError, match="there is no such folder"):
        training_pictures(tmp_path / "none", 4, cache=cache)


def test_div2k_is_known_by_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(div2k._NUMBERS, "train", range(1, 4))
    monkeypatch.setitem(div2k._NUMBERS, "val", range(801, 813))
    for split in ("train", "val"):
        high, low = div2k.large(split), div2k.small(split, 4, "mild")
        for i, (one, two) in enumerate(zip(high.files, low.files, strict=True)):
            picture = _picture(i, 24, 32)
            _save(tmp_path / high.folder / one, picture)
            _save(tmp_path / low.folder / two, shrunk(picture, 4) // 2)
    cache = tmp_path / "cache"
    mild = training_pictures(tmp_path, 4, track="mild", cache=cache)
    assert mild.val is not None
    assert (len(mild.train), mild.val.names) == (3, [f"{n:04}.png" for n in range(801, 811)])
    assert np.array_equal(mild.train.low(1), shrunk(_picture(1, 24, 32), 4) // 2)
    made = training_pictures(tmp_path, 2, cache=cache)
    assert np.array_equal(made.train.low(1), shrunk(_picture(1, 24, 32), 2))
    with pytest.raises(FormatError, match=r"images of DIV2K are missing .*expected .*LR_unknown/X4/0001x4\.png"):
        training_pictures(tmp_path, 4, track="unknown", cache=cache)


def test_one_image_is_learnt_from(tmp_path: Path) -> None:
    found = training_pictures(_folder(tmp_path / "one", 1), 4, cache=tmp_path / "cache")
    assert found.val is None
    assert len(found.train) == 1


def test_open_files_keeps_their_order(tmp_path: Path) -> None:
    files = image_files(_folder(tmp_path / "data"))[::-1]
    assert open_files(files, 2, tmp_path / "cache").names == [file.name for file in files]
