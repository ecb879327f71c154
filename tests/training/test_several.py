"""Several processes: what they do together, against numpy; when one fails, none is left waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from anyview.compute import cpu_count
from anyview.errors import SceneError, TrainingError
from anyview.training.group import ALONE, current
from anyview.training.options import LoopOptions
from anyview.training.several import as_one
from several_work import Stop, fails, first_fails, parameters, together, weight
from small_trainee import Notes, same

pytestmark = pytest.mark.skipif(cpu_count() < 2, reason="two processes want two cores")
TWO = LoopOptions(device="cpu", devices=2)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_what_processes_do_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    notes, threads = Notes(), torch.get_num_threads()
    found = as_one(TWO, together, notes, "by the first alone")
    assert notes.said == ["by the first alone"]
    assert found["process"] == os.getpid()
    assert (torch.get_num_threads(), current()) == (threads, ALONE)
    first, second = found["all"]
    assert (first.pop("rank"), second.pop("rank")) == (0, 1)
    share = max(cpu_count() // 2, 1)
    assert (first.pop("threads"), second.pop("threads")) == (min(share, threads), share)
    seeds = first.pop("seed"), second.pop("seed")
    assert seeds[0] == (7, 8)
    assert len({*seeds[0], *seeds[1]}) == 4
    assert same(first, second)

    shares = np.array([float(weight(rank)) for rank in range(2)]) / 7
    torch.testing.assert_close(first["scalars"], torch.tensor([shares @ [1, 2], 5.0], dtype=torch.float32))
    made = [parameters(rank) for rank in range(2)]
    for k, mean in enumerate(first["gradients"][:4]):
        own = [np.zeros(mean.shape) if one[k].grad is None else one[k].grad.numpy() for one in made]
        np.testing.assert_allclose(mean.numpy(), np.tensordot(shares, own, 1), atol=1e-6)  # off by 2e-7
    assert first["gradients"][4] is None
    assert [value.tolist() for value in first["equal weights"]] == [[2.0], [0.5]]
    rows, more = first["joined"]
    assert rows.tolist() == [[0, 1], [10, 11], [12, 13], [14, 15]]
    assert more.tolist() == [0, 1, 1, 1]
    assert first["nothing"] == (0, 2)
    assert first["agreed"] == "by 0"
    assert first["any"] == (True, False)


@pytest.mark.parametrize(
    ("when", "kind", "words"),
    [
        ("before they meet", SceneError, "no views in here"),
        ("a defect", ZeroDivisionError, "of ours"),
        (
            "dies", TrainingError,
            "another process of this training has ended in process 2 of 2: found signal 9; if the memory has run out, "
            "train on fewer devices; the same command goes on from the last checkpoint",
        ),
    ],
)  # fmt: skip
def test_what_fails_elsewhere_is_raised_here(when: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        as_one(TWO, fails, Notes(), when)
    assert str(caught.value) == words
    if when == "a defect":
        (note,) = caught.value.__notes__
        assert note.startswith("in process 2 of 2:\nTraceback")
        assert "several_work.py" in note
    assert current() is ALONE


def test_where_the_first_fails_the_others_end(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        as_one(TWO, first_fails, Notes(), tmp_path)
    assert int((tmp_path / "0").read_text()) == os.getpid()
    other = int((tmp_path / "1").read_text())
    assert gone(other)


def test_where_the_first_is_killed_the_others_end(tmp_path: Path) -> None:
    program = f"""
import os, signal
from anyview.progress import SILENT
from anyview.training.options import LoopOptions
from anyview.training.several import as_one
from pathlib import Path
import several_work
several_work.stop = lambda: os.kill(os.getpid(), signal.SIGKILL)
as_one(LoopOptions(device="cpu", devices=2), several_work.first_fails, SILENT, Path({str(tmp_path)!r}))
"""  # without a main guard
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    other = int((tmp_path / "1").read_text())
    for _ in range(100):
        if gone(other):
            break
        time.sleep(0.05)
    assert gone(other)
    assert done.stdout == ""


def test_one_process_is_called_as_it_is() -> None:
    def local(progress: Notes, word: str) -> str:  # need not be a module's
        return word

    assert as_one(LoopOptions(), local, Notes(), "word") == "word"
