"""The public names, as users rely on them: a change here is a change of the interface and belongs in the changelog."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import anyview

PUBLIC = ["AnyviewError", "Camera", "ReconstructionOptions", "Scene", "View", "load_scene", "reconstruct"]

SIGNATURES = {
    "load_scene": ["path"],
    "reconstruct": ["scene", "out", "quality", "options", "split", "seed", "masks", "progress"],
    "View": ["name", "camera", "world_from_cam", "pixels", "split", "path", "near", "far", "weight"],
    "Camera": ["model", "width", "height", "params"],
    "Scene": ["views", "root", "format", "bounds", "points"],
    "ReconstructionOptions": ["sparse", "dense", "fusion", "mesh", "seed"],
}


def test_public_names() -> None:
    assert anyview.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(anyview))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    thing = getattr(anyview, name)
    assert thing.__name__ == name
    assert len(inspect.getdoc(thing) or "") > 10


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters(name: str) -> None:
    assert list(inspect.signature(getattr(anyview, name)).parameters) == SIGNATURES[name]


def test_view_attributes() -> None:
    assert {"cam_from_world", "center", "image", "mask", "read"} <= set(dir(anyview.View))
    assert {"where", "split"} <= set(dir(anyview.Scene))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = anyview.nothing  # type: ignore[attr-defined]


def test_version_is_the_packages() -> None:
    assert anyview.__version__ == version("anyview")


@pytest.mark.parametrize("code", ["import anyview", "import anyview.cli.main"])
def test_importing_loads_nothing_heavy(code: str) -> None:
    program = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = set(subprocess.check_output([sys.executable, "-c", program], text=True).split())
    assert not loaded & {"numba", "pycolmap", "matplotlib", "scipy", "torch", "trimesh", "PIL", "numpy"}


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom anyview.cli.main import main\nmain(['--help'])\n"
        "print('loaded:', *{n.split('.')[0] for n in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)
    loaded = set(done.stderr.split("loaded:")[1].split())
    assert "reconstruct" in done.stdout
    assert not loaded & {"numba", "pycolmap", "matplotlib", "scipy", "torch", "trimesh", "PIL"}
