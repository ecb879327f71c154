"""Tables of figures, in a terminal of 80 letters."""

from __future__ import annotations

import pytest

from anyview.cli.segmentation_output import print_figures
from anyview.formats.coco import CocoData, CocoImage
from anyview.segmentation.average_precision import FIGURES, ClassPrecision, Precision
from anyview.segmentation.evaluate import Scores


def test_every_figure_is_readable(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    own = {"AP": 0.123, "AP50": 0.456, "AP75": None, "AR_100": 0.789}
    classes = (ClassPrecision("refrigerator", 12_345, own), ClassPrecision("[red] baseball glove", 7, own))
    part = Precision({name: 0.5 + i / 1000 for i, name in enumerate(FIGURES)}, classes)
    truth = CocoData(tuple(CocoImage(i, f"{i}.png", 8, 8) for i in range(5000)), (), ())
    print_figures(Scores(part, part, truth, ()), "val")
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("5,000 images, val")
    assert "…" not in shown
    (masks,) = [line for line in lines if "masks" in line and "│" in line]
    assert [word.strip() for word in masks.split("│")[1:-1]] == [
        "masks", "12,352", "0.500", "0.501", "0.502", "0.503", "0.504", "0.505", "0.508",
    ]  # fmt: skip
    (fridge,) = [line for line in lines if "refrig" in line]
    assert [word.strip() for word in fridge.split("│")[1:-1]][1:] == [
        "12,345", "0.123", "0.456", "-", "", "", "", "0.789",
    ]  # fmt: skip
    assert "[red]" in shown  # a name, not a colour
