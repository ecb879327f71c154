"""Commands that must be refused, with one sentence and exit code 2."""

from __future__ import annotations

import pytest

from anyview.cli.main import main


def refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    """Run the command, which must refuse; gives its sentence."""
    capsys.readouterr()
    assert main(words) == 2
    error = capsys.readouterr().err
    sentences = [line for line in error.splitlines() if line.startswith("anyview: ")]
    assert len(sentences) == 1, error
    assert "Traceback" not in error
    return sentences[0]
