"""Exit codes and the one sentence that an error becomes."""

from __future__ import annotations

import subprocess
import sys

import pytest

import anyview
from anyview.cli import commands
from anyview.cli.main import main
from anyview.cli.radiance import Radiance
from anyview.errors import SceneError


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(self: commands.Doctor) -> int:
        raise error

    monkeypatch.setattr(commands.Doctor, "run", run)


def test_a_users_error_is_one_sentence_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(
        monkeypatch,
        SceneError(
            "image size contradicts the camera", where="r_0.png", expected="8x8", actual="4x4", hint="resize the image"
        ),
    )
    assert main(["doctor"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == (
        "anyview: image size contradicts the camera in r_0.png: expected 8x8, found 4x4; resize the image\n"
    )


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyError("ours"))
    with pytest.raises(KeyError, match="ours"):
        main(["doctor"])


def test_too_little_memory_names_the_commands_own_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, MemoryError())
    monkeypatch.setattr(Radiance, "run", commands.Doctor.run)
    assert main(["doctor"]) == 2
    said = capsys.readouterr().err
    assert "--dense.max-image-size" in said
    assert "grid.log2_entries" not in said
    assert main(["radiance", "eval", "R"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("anyview: out of memory; close other programs")
    assert all(option in said for option in ("data.downscale", "grid.log2_entries", "mip.batch"))
    assert "--dense" not in said


def test_interruption(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert main(["doctor"]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"anyview {anyview.__version__}\n"
    assert main([]) == 0
    assert "reconstruct" in capsys.readouterr().out
    assert main(["nonsense"]) == 2


def test_the_installed_command() -> None:
    done = subprocess.run([sys.executable, "-m", "anyview", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"anyview {anyview.__version__}\n"


@pytest.mark.slow
def test_doctor_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "BROKEN" not in text
    for name in ("python", "numba", "processor", "memory", "disk", "torch"):
        assert name in text


def test_asked_to_end() -> None:
    """SIGTERM is answered as Ctrl-C is, also after COLMAP's library came, which would print a stack trace."""
    code = (
        "import signal\n"
        "from anyview.cli import main\n"
        "import threading\n"
        "from anyview.cli.commands import Doctor\n"
        "def work(self):\n"
        "    thread = threading.Thread(target=lambda: __import__('anyview.cameras.colmap'))\n"
        "    thread.start(), thread.join()\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "Doctor.run = work\n"
        "main.sys.argv = ['anyview', 'doctor']\n"
        "main.entry()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "\nanyview: interrupted; the same command goes on from here\n"
