"""Checkpoints: the same structure back, every fault found, nothing lost when a write fails."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import subprocess
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from anyview.errors import FormatError, WorkspaceError
from anyview.training.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from small_trainee import same


def round_trip(path: Path, state: Any) -> Any:
    save_checkpoint(path, state, {"step": 3})
    found, meta = load_checkpoint(path)
    assert meta == {"step": 3}
    return found


BASE = torch.arange(12, dtype=torch.float32)
STATES = {
    "scalars": {"a": None, "b": True, "c": 3, "d": 0.1, "e": "é\n", "f": math.inf, "g": -math.inf, "h": math.nan},
    "keys": {0: 1, "0": 2, 1.5: 3, None: 4, True: 5},
    "containers": [(), [], {}, (1, [2, (3,)]), {"x": {"y": ({},)}}],
    "tensors at keys alike": {1: torch.ones(1), "1": torch.zeros(1), "1'": torch.full((1,), 2.0)},
    "the header's own name": {"__metadata__": torch.ones(2)},
    "a tensor alone": torch.ones(2),
    "0-dim": {"x": torch.tensor(3.5, dtype=torch.float64), "n": torch.tensor(7)},
    "empty": {"x": torch.zeros(0, 3), "y": torch.zeros(0, dtype=torch.int64)},
    "transposed": {"x": BASE.reshape(3, 4).T},
    "a view": {"x": BASE[2:5]},
    "shared": {"x": BASE, "y": BASE[:5], "z": [BASE, BASE.reshape(3, 4).T]},
    "expanded": {"x": torch.ones(1).expand(4)},
    "nan": {"x": torch.tensor([math.nan, -0.0, math.inf])},
    "needs grad": {"x": torch.ones(2, requires_grad=True).detach()},
    "channels last": {"x": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)},
    "random state": {"g": torch.Generator().manual_seed(3).get_state()},
}
DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.complex64, torch.float8_e4m3fn,
]  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_the_same_comes_back(name: str, tmp_path: Path) -> None:
    assert same(round_trip(tmp_path / "x.safetensors", STATES[name]), STATES[name])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_comes_back(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {"x": (torch.rand(3, 5) * 9).to(dtype)}
    assert same(round_trip(tmp_path / "x.safetensors", state), state)


def test_what_torch_gives_comes_back(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    model[2].weight = nn.Parameter(model[2].weight.detach())
    for make in (torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop):
        optimizer = make(model.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        model(torch.rand(5, 3)).sum().backward()
        optimizer.step()
        schedule.step()
        state = {"m": model.state_dict(), "o": optimizer.state_dict(), "s": schedule.state_dict()}
        found = round_trip(tmp_path / "x.safetensors", state)
        assert same(found, state)
        assert isinstance(found["m"], OrderedDict)
        assert found["m"]._metadata == state["m"]._metadata  # the versions that layers note for themselves
        optimizer.load_state_dict(found["o"])
        model.load_state_dict(found["m"])


def test_tied_weights_go_back_into_their_model(tmp_path: Path) -> None:
    def tied() -> nn.Sequential:
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    first, second = tied(), tied()
    second.load_state_dict(round_trip(tmp_path / "x.safetensors", first.state_dict()))
    assert torch.equal(first[0].weight, second[1].weight)


def test_the_file_is_plain_safetensors_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.safetensors"
    save_checkpoint(path, {"net": {"w": torch.arange(3)}}, {"model": "m"})
    assert load_file(path)["state/net/w"].tolist() == [0, 1, 2]
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def test_loaded_tensors_do_not_change_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"w": torch.zeros(4096)}, {})
    found, _ = load_checkpoint(path)
    with path.open("r+b") as stream:
        stream.seek(-4096, os.SEEK_END)
        stream.write(b"\xff" * 4096)
    assert not found["w"].any()


@pytest.mark.parametrize("bad", [object(), {"x": {1, 2}}, {"x": 1j}, {(1, 2): 3}])
def test_what_cannot_be_kept_is_refused_before_anything_is_written(bad: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^state.* cannot be kept in a checkpoint: \w+$"):
        save_checkpoint(tmp_path / "x.safetensors", bad, {})
    assert not list(tmp_path.iterdir())


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"w": torch.rand(7), 3: (1.5, None)}, {"step": 1})
    whole = path.read_bytes()
    draw = random.Random(0)
    for place in range(len(whole)):
        bad = bytearray(whole)
        bad[place] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(bad))
        with pytest.raises(FormatError):
            load_checkpoint(path)


def test_every_truncation_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"w": torch.rand(7)}, {})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r"^checkpoint is damaged or cut short in .*x\.safetensors: found "):
            load_checkpoint(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(FormatError):
        load_checkpoint(path)


def test_messages(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(FormatError) as missing:
        load_checkpoint(path)
    assert str(missing.value) == f"checkpoint is missing in {path}"
    save_file({"w": torch.ones(1)}, path, {"format": "pt"})
    with pytest.raises(FormatError) as foreign:
        load_checkpoint(path)
    wanted = f"not a checkpoint of anyview in {path}: expected version 1 in its metadata, found format"
    assert str(foreign.value) == wanted
    save_checkpoint(path, {"w": torch.ones(1)}, {})
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(bytes(body))
    with pytest.raises(
        FormatError, match=r"^checkpoint is damaged in .*: expected digest [0-9a-f]{32}, found [0-9a-f]{32}$"
    ):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "tree",
    ['{"tensor": "state/none"}', '{"code": []}', '{"dict": 3}', "{", '{"dict": [[1]]}', "{}", '{"list": [' * 9000],
)
def test_a_forged_structure_is_refused(tree: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import anyview.training.checkpoint as module

    plain = json.dumps
    monkeypatch.setattr(module.json, "dumps", lambda value, **k: tree if "allow_nan" in k else plain(value, **k))
    save_checkpoint(tmp_path / "x.safetensors", {}, {})
    with pytest.raises(FormatError, match="not a checkpoint of anyview"):
        load_checkpoint(tmp_path / "x.safetensors")


def saved(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def state(step: int) -> dict[str, torch.Tensor]:
    return {"w": torch.full((4,), float(step))}


def test_the_newest_few_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    assert checkpoints.latest(pytest.fail) is None
    for step in (5, 12, 1234, 123456789):
        checkpoints.save(step, state(step), {"step": step})
    checkpoints.save_best(state(1), {"step": 1})
    assert saved(checkpoints.folder) == ["best.safetensors", "step_00001234.safetensors", "step_123456789.safetensors"]
    found = checkpoints.latest(pytest.fail)
    assert found is not None
    assert found[1] == {"step": 123456789}
    assert load_checkpoint(checkpoints.best)[1] == {"step": 1}


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def test_a_damaged_one_gives_way_to_the_one_before(tmp_path: Path) -> None:
    checkpoints, notes = Checkpoints(tmp_path, keep=2), []
    for step in (10, 20):
        checkpoints.save(step, state(step), {"step": step})
    damage(tmp_path / "step_00000020.safetensors")
    found = checkpoints.latest(notes.append)
    assert found is not None
    assert found[1] == {"step": 10}
    (note,) = notes
    assert note.startswith("checkpoint is damaged or cut short in ")
    assert "step_00000020.safetensors" in note
    assert note.endswith("; going on from step 10")
    # the damaged one does not push out the good ones
    checkpoints.save(15, state(15), {"step": 15})
    assert saved(tmp_path) == ["step_00000010.safetensors", "step_00000015.safetensors"]


def test_all_damaged(tmp_path: Path) -> None:
    checkpoints, notes = Checkpoints(tmp_path), []
    for step in (10, 20):
        damage(checkpoints.save(step, state(step), {}))
    with pytest.raises(FormatError) as caught:
        checkpoints.latest(notes.append)
    assert str(caught.value).startswith(f"all checkpoints are damaged in {tmp_path}: found checkpoint is damaged")
    assert str(caught.value).endswith("; remove that folder to train from the start, or choose another --out")
    assert not notes


def test_where_no_step_is_whole_the_best_is_taken(tmp_path: Path) -> None:
    checkpoints, notes = Checkpoints(tmp_path), []
    checkpoints.save_best(state(7), {"step": 7})
    found = checkpoints.latest(pytest.fail)
    assert found is not None
    assert found[1:] == ({"step": 7}, checkpoints.best)
    for step in (10, 20):
        damage(checkpoints.save(step, state(step), {"step": step}))
    found = checkpoints.latest(notes.append)
    assert found is not None
    assert same(found.state, state(7))
    assert [note.split("; ")[-1] for note in notes] == ["going on from best.safetensors"] * 2
    damage(checkpoints.best)
    with pytest.raises(FormatError, match="all checkpoints are damaged"):
        checkpoints.latest(pytest.fail)


def test_nothing_is_removed_when_a_write_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, state(1), {})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        checkpoints.save(2, state(2), {})
    with pytest.raises(WorkspaceError, match="disk is full"):
        checkpoints.save(1, state(3), {})
    assert saved(tmp_path) == ["step_00000001.safetensors"]
    assert same(load_checkpoint(tmp_path / "step_00000001.safetensors")[0], state(1))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(small_disk: Path) -> None:
    checkpoints = Checkpoints(small_disk / "run", keep=1)
    checkpoints.save(1, {"w": torch.zeros(150_000)}, {})
    with pytest.raises(WorkspaceError) as caught:
        checkpoints.save(2, {"w": torch.zeros(150_000)}, {})
    path = small_disk / "run" / "step_00000002.safetensors"
    assert str(caught.value) == f"disk is full in {path}; free space and run the same command: it resumes"
    assert saved(small_disk / "run") == ["step_00000001.safetensors"]
    found = checkpoints.latest(pytest.fail)
    assert found is not None
    assert len(found[0]["w"]) == 150_000


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="a file stands where a folder should be"):
        Checkpoints(tmp_path / "file").save(1, {}, {})
