"""The log: what is written can be read, also after kills, resumes and new columns."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from time import sleep, time

import numpy as np
import pytest
from PIL import Image

from anyview.errors import FormatError, WorkspaceError
from anyview.training.log import TrainingLog, read_log


def write(run: Path, steps: range, step: int = 0) -> None:
    with TrainingLog(run, step) as log:
        for s in steps:
            log.add(s, {"loss": 1 / s, "seconds": s * 0.5})


@pytest.fixture(autouse=True)
def without_tensorboard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is slow, and off where it is missing."""
    if "tensorboard" not in request.node.name:
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def test_rows_come_back_to_the_last_digit(tmp_path: Path) -> None:
    write(tmp_path, range(1, 8))
    found = read_log(tmp_path)
    assert list(found) == ["step", "loss", "seconds"]
    assert found["step"].tolist() == [*range(1, 8)]
    assert found["loss"].tolist() == [1 / s for s in range(1, 8)]
    assert not (tmp_path / "tensorboard").exists()


def test_columns_may_appear_later_and_rows_of_one_step_are_one(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as log:
        log.add(1, {"loss": 3})
        log.add(2, {"loss": 2})
        log.add(2, {"validation/psnr": 20.5})
        log.add(3, {"loss": 1})
    assert (tmp_path / "log.csv").read_text() == "step,loss,validation/psnr\n1,3.0,\n2,2.0,20.5\n3,1.0,\n"
    assert np.array_equal(read_log(tmp_path)["validation/psnr"], [np.nan, 20.5, np.nan], equal_nan=True)
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_a_row_is_completed_after_a_resume_too(tmp_path: Path) -> None:
    write(tmp_path, range(1, 3))
    with TrainingLog(tmp_path, 2) as log:
        log.add(2, {"psnr": 7})
        log.add(3, {"psnr": 8})
    assert np.array_equal(read_log(tmp_path)["psnr"], [np.nan, 7, 8], equal_nan=True)
    assert read_log(tmp_path)["loss"][:2].tolist() == [1, 0.5]


def test_rows_after_the_step_are_dropped(tmp_path: Path) -> None:
    write(tmp_path / "whole", range(1, 10))
    write(tmp_path / "two", range(1, 8))
    write(tmp_path / "two", range(5, 10), step=4)
    assert (tmp_path / "two" / "log.csv").read_bytes() == (tmp_path / "whole" / "log.csv").read_bytes()
    TrainingLog(tmp_path / "two", 0).close()
    assert len(read_log(tmp_path / "two")["step"]) == 0


def test_a_file_cut_anywhere_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "whole", range(1, 5))
    whole = (tmp_path / "whole" / "log.csv").read_bytes()
    (tmp_path / "cut").mkdir()
    for length in range(len(whole)):
        (tmp_path / "cut" / "log.csv").write_bytes(whole[:length])
        done = max(whole[:length].count(b"\n") - 1, 0)  # rows that are whole
        write(tmp_path / "cut", range(done + 1, 5), step=4)
        assert (tmp_path / "cut" / "log.csv").read_bytes() == whole, length


def test_damaged_rows_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"step,loss\n1,0.5\n2\n3,x\n,4\n\xff\xfe,1\n5,0.1\n")
    assert read_log(tmp_path)["step"].tolist() == [1, 5]
    TrainingLog(tmp_path, 9).close()
    assert (tmp_path / "log.csv").read_text() == "step,loss\n1,0.5\n5,0.1\n"


def test_not_a_number_and_infinity_come_back(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as log:
        log.add(1, {"a": float("nan"), "b": float("inf")})
    found = read_log(tmp_path)
    assert np.isnan(found["a"][0])
    assert found["b"][0] == np.inf


def test_no_log(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        read_log(tmp_path)
    assert str(caught.value) == f"no log in {tmp_path / 'log.csv'}; has this run been trained?"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = TrainingLog(tmp_path)
    log.add(1, {"loss": 1})
    plain = Path.open

    def full(path: Path, mode: str = "r", **more: object) -> object:
        if mode == "a":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(path, mode, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(WorkspaceError, match=r"^disk is full in .*log\.csv; free space and run the same command"):
        log.add(2, {"loss": 1})


def grey(level: int) -> np.ndarray:
    return np.full((4, 12, 3), level, np.uint8)


def test_pictures_after_the_step_are_dropped(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as log:
        for step in (3, 6, 9):
            log.add_picture(step, grey(step))
    folder = tmp_path / "validation"
    (folder / "7.png").write_bytes(b"someone's")
    with TrainingLog(tmp_path, 6) as log:
        assert sorted(path.name for path in folder.iterdir()) == ["00000003.png", "00000006.png", "7.png"]
        log.add_picture(6, grey(60))  # again
    assert np.array_equal(np.asarray(Image.open(folder / "00000006.png")), grey(60))
    assert len([*folder.iterdir()]) == 3


def test_a_full_disk_under_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with TrainingLog(tmp_path) as log, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            WorkspaceError, match=r"^disk is full in .*00000003\.png; free space and run the same command"
        ):
            log.add_picture(3, grey(1))
    assert not list((tmp_path / "validation").iterdir())


def test_tensorboard_has_the_pictures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TrainingLog(tmp_path) as log:
        log.add_picture(3, grey(1))
        log.add_picture(6, grey(2))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = events.Images("validation/picture")
    assert [(image.step, image.width, image.height) for image in found] == [(3, 12, 4), (6, 12, 4)]
    shown = Image.open(io.BytesIO(found[1].encoded_image_string))
    assert np.array_equal(np.asarray(shown), grey(2))


def test_tensorboard_has_the_same_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write(tmp_path, range(1, 8))
    begun = int(time())
    while int(time()) == begun:  # names of its files tell seconds, and then a process's count of them, as words
        sleep(0.05)
    write(tmp_path, range(5, 10), step=4)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {event.step: event.value for event in events.Scalars("loss")}
    assert found == pytest.approx({s: 1 / s for s in range(1, 10)}, rel=1e-6)
    assert len(events.Scalars("loss")) == 9  # the dropped rows are gone here too
