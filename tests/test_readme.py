"""The README's figures are those of the benchmarks' result files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_measured_table_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # table.py is made of several files
    spec = importlib.util.spec_from_file_location("table", ROOT / "benchmarks" / "table.py")
    assert spec is not None
    assert spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    text = (ROOT / "README.md").read_text()
    assert table.put_into(text, table.table()) == text, "run benchmarks/table.py --write"


def test_its_pictures_are_there() -> None:
    assert (ROOT / "docs/pictures/demo.png").stat().st_size < 1_000_000
