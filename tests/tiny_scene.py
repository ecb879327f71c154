"""A small synthetic scene in files, rendered once per test run and copied for each test that wants to spoil it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from anyview.scene.synthetic import render_scene


@cache
def _rendered(views: int, size: int) -> Path:
    folder = Path(mkdtemp(prefix="anyview-tiny-"))
    render_scene(views, (size, size), seed=1).write(folder)
    return folder


def write_tiny_scene(folder: Path, views: int = 8, size: int = 96) -> Path:
    """NeRF-synthetic layout: `transforms_train.json`, `train/r_0.png` ... with alpha, and the truth in `.npz`."""
    shutil.copytree(_rendered(views, size), folder)
    return folder


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
