"""Imports point one way: down the list below. Engines never import each other.

A part is a module or a package right under `anyview`. Imports inside functions count too: a lazy import is an import.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "anyview"

# Low to high. Parts of one row do not import each other, except in the first row.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "typing", "progress", "jit", "kernels"),
    ("formats",),
    ("cameras",),
    ("scene",),
    ("compute",),
    ("workspace",),
    ("training",),
    ("reconstruction", "radiance", "segmentation", "superresolution", "diffusion"),
    ("report", "viewer"),
    ("pipelines",),
    ("demo",),
    ("cli",),
    ("__main__",),
)
LEVEL = {part: level for level, row in enumerate(LAYERS) for part in row}

# The same inside reconstruction: parts, then the stages made of them, then what runs the stages.
ROOMS: tuple[tuple[str, ...], ...] = (
    ("options", "accuracy", "consistency", "surface", "texture", "views"),
    ("points", "stereo"),
    ("dense_tasks",),
    ("prepare", "sparse", "dense", "fusion", "texturing"),
    ("meshing", "summary"),
    ("pipeline",),
)
HEAVY = {"numba", "pycolmap", "matplotlib", "torch", "scipy", "trimesh"}


def _part(module: str) -> str | None:
    """The part of anyview that a dotted name belongs to; "" for the root itself; None for other packages."""
    names = module.split(".")
    return None if names[0] != "anyview" else names[1] if len(names) > 1 else ""


def _imports(source: str, module: str) -> list[tuple[int, str]]:
    """(line, dotted name) of everything a module imports; relative imports are resolved."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: -node.level]
                base = ".".join([*above, base] if base else above)
            # `from anyview import errors` names a part, `from anyview.errors import X` stands in one already
            found += [(node.lineno, f"anyview.{a.name}") for a in node.names] if base == "anyview" else []
            found += [(node.lineno, base)] if base != "anyview" else []
    return found


def violations(source: str, module: str) -> list[str]:
    """One sentence per import that points the wrong way."""
    here = _part(module)
    if not here:
        return []  # the root only re-exports, which tests/test_public_api.py looks after
    wrong = []
    for line, name in _imports(source, module):
        there = _part(name)
        if there is None or there == here or name == "anyview.__version__":
            continue
        if there not in LEVEL:
            wrong.append(f"{module}:{line} imports {name}, which stands in no layer")
        elif LEVEL[there] > LEVEL[here]:
            wrong.append(f"{module}:{line} imports {name}, which stands above it")
        elif LEVEL[there] == LEVEL[here] != 0:
            wrong.append(f"{module}:{line} imports {name}, its neighbour")
    return wrong


def _modules() -> list[tuple[str, Path]]:
    modules = []
    for path in sorted(SOURCE.rglob("*.py")):
        names = ("anyview", *path.relative_to(SOURCE).with_suffix("").parts)
        modules.append((".".join(names[:-1] if names[-1] == "__init__" else names), path))
    return modules


def test_every_part_stands_in_a_layer() -> None:
    parts = {_part(module) for module, _ in _modules()} - {"", None}
    assert parts <= set(LEVEL)
    assert len(parts) >= 6  # the walk found the package


def test_imports_point_one_way() -> None:
    wrong = [sentence for module, path in _modules() for sentence in violations(path.read_text(), module)]
    assert not wrong, "\n".join(wrong)


def test_reconstruction_is_built_from_the_bottom() -> None:
    height = {room: level for level, row in enumerate(ROOMS) for room in row}
    seen, wrong = set(), []
    for module, path in _modules():
        names = module.split(".")
        if names[:2] != ["anyview", "reconstruction"] or len(names) < 3:
            continue
        seen.add(names[2])
        for line, name in _imports(path.read_text(), module):
            there = name.split(".")
            if there[:2] == names[:2] and len(there) > 2 and there[2] != names[2]:
                low = height[there[2]] < height[names[2]] or there[2] == "options"
                wrong += [] if low else [f"{module}:{line} imports {name}"]
    assert seen == set(height)
    assert not wrong, "\n".join(wrong)


def test_rooms_of_segmentation_stand_alone() -> None:
    """The network's parts know no data, data knows no network, and neither knows what is made of them."""
    own = {"network": {"network", "options", "kernels"}, "data": {"data"}}
    seen, wrong = set(), []
    for module, path in _modules():
        names = module.split(".")
        if names[:2] != ["anyview", "segmentation"] or len(names) < 4 or names[2] not in own:
            continue
        seen.add(names[2])
        for line, name in _imports(path.read_text(), module):
            there = name.split(".")
            if there[:2] == names[:2] and (len(there) < 3 or there[2] not in own[names[2]]):
                wrong.append(f"{module}:{line} imports {name}")
    assert seen == set(own)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source", "word"),
    [
        ("anyview.formats.ply", "from anyview.cameras.models import Camera", "above"),
        ("anyview.scene.load", "def f():\n    import anyview.workspace.workspace", "above"),
        ("anyview.reconstruction.dense", "from anyview.radiance import train", "neighbour"),
        ("anyview.report.page", "from anyview import cli", "above"),
        ("anyview.formats.images", "from ..scene.scene import Scene", "above"),
        ("anyview.compute.executor", "from anyview.helpers import x", "no layer"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str, word: str) -> None:
    (sentence,) = violations(source, module)
    assert word in sentence


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("anyview.scene.load", "from anyview.formats import ply\nfrom anyview.errors import SceneError\nimport numpy"),
        ("anyview.reconstruction.dense", "from anyview.reconstruction.stereo.search import x\nfrom .views import y"),
        ("anyview.errors", "from anyview.typing import Pose"),
        ("anyview.cli.main", "from anyview import __version__"),
    ],
)
def test_a_downward_import_is_fine(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_the_command_line_starts_light() -> None:
    """No module that the command line imports at its top loads a heavy library; those come when they are used."""
    wrong = []
    for module, path in _modules():
        if _part(module) in {"cli", "errors", "progress"} or module == "anyview" or module.endswith(".options"):
            wrong += [
                f"{module}:{node.lineno}"
                for node in ast.parse(path.read_text()).body
                if isinstance(node, ast.Import | ast.ImportFrom)
                for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""])
                if name.split(".")[0] in HEAVY
            ]
    assert not wrong
