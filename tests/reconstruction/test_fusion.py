"""Fusion of maps whose surface is known: where points lie, what evidence they carry, what must never be fused."""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import trimesh

from anyview.errors import OptionError
from anyview.formats.ply import Ply, read_ply
from anyview.formats.ply_stream import read_visibility
from anyview.progress import SILENT
from anyview.reconstruction.consistency import maps as fusion_maps
from anyview.reconstruction.consistency.agreement import Maps
from anyview.reconstruction.consistency.confidence import PIXELS, confidence
from anyview.reconstruction.fusion import fuse, fuse_with_threads
from anyview.reconstruction.options import FusionOptions
from anyview.scene import Scene
from anyview.workspace import Workspace
from plane_maps import SIZE, plane_workspace

COLMAPS = ("x", "y", "z", "nx", "ny", "nz", "red", "green", "blue")
EVIDENCE = ("views", "cost", "angle", "confidence")


def fused(workspace: Workspace) -> tuple[Ply, list[np.ndarray]]:
    return read_ply(workspace.fused), read_visibility(workspace.fused.with_name("fused.ply.vis"))


def plain_confidence(views: np.ndarray, cost: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The formula of `confidence`, array by array."""
    sine = np.sin(np.radians(np.minimum(angle, 90)))
    square = PIXELS**2 * cost / np.clip(1 - cost, 0.01, 1) / ((views - 1) * sine**2)
    return 1 / (1 + square)


def plain_evidence(scene: Scene, cloud: Ply, seen: list[np.ndarray], costs: np.ndarray) -> dict[str, np.ndarray]:
    """The numpy twin of `weigh`, from positions and who saw them; `costs` are the same all over a view's map."""
    centers = np.stack([view.center for view in scene])
    widest = []
    for point, who in zip(cloud.xyz, seen, strict=True):
        rays = centers[who] - point
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        widest.append(np.degrees(np.arccos(np.clip(rays @ rays.T, -1, 1))).max())
    views, cost = np.array([len(who) for who in seen]), np.array([costs[who].mean() for who in seen])
    return {
        "views": views,
        "cost": cost,
        "angle": np.array(widest),
        "confidence": plain_confidence(views, cost, np.array(widest)),
    }


def test_who_saw_a_point_is_numbered_by_sorted_names(tmp_path: Path) -> None:
    """COLMAP numbers a model's images so; a scene may list its views in any order."""
    costs = np.array([0.05, 0.2, 0.6, 0.1, 0.3, 0.02])
    workspace, scene = plane_workspace(tmp_path, cost=lambda i: costs[i])  # named 0.png to 5.png
    fuse(workspace, replace(scene, views=scene.views[::-1]), FusionOptions())
    cloud, seen = fused(workspace)
    expected = plain_evidence(scene, cloud, seen, costs)
    assert np.abs(cloud.vertices["angle"] - expected["angle"]).max() < 0.01
    assert np.abs(cloud.vertices["cost"] - expected["cost"]).max() < 2 / 255


def test_points_lie_on_the_plane_and_carry_their_evidence(tmp_path: Path) -> None:
    costs = np.array([0.05, 0.2, 0.6, 0.1, 0.3, 0.02])
    workspace, scene = plane_workspace(tmp_path, cost=lambda i: costs[i])
    count = fuse(workspace, scene, FusionOptions()).points
    cloud, seen = fused(workspace)
    assert len(cloud.xyz) == len(seen) == count > SIZE * SIZE
    assert np.abs(cloud.xyz[:, 2]).max() < 1e-5  # exact maps; measured 9e-7
    expected = plain_evidence(scene, cloud, seen, costs)
    assert {len(who) for who in seen} > {3, 4}
    assert (cloud.vertices["views"] == expected["views"]).all()
    # costs are held in 255 steps of 2 / 255; measured 0.002, 0.0006 degrees, 0.003
    for name, tolerance in (("cost", 2 / 255), ("angle", 0.01), ("confidence", 0.02)):
        assert np.abs(cloud.vertices[name] - expected[name]).max() < tolerance, name
    assert np.ptp(cloud.vertices["confidence"]) > 0.1


def test_the_formula() -> None:
    views, cost, angle = (a.ravel() for a in np.meshgrid([2, 3, 5, 9], [0, 0.1, 0.5, 1.5], [0.5, 5, 30, 90, 150]))
    found = np.array([confidence(*row) for row in zip(views, cost, angle, strict=True)])
    assert np.allclose(found, plain_confidence(views, cost, angle))
    assert ((found > 0) & (found <= 1)).all()
    grid = found.reshape(4, 4, 5)  # cost, views, angle: meshgrid's first two are swapped
    assert (np.diff(grid, axis=0) <= 0).all()
    assert (np.diff(grid, axis=1) >= 0).all()
    assert (np.diff(grid, axis=2) >= -1e-12).all()
    assert confidence(1, 0.0, 10.0) == confidence(4, 0.0, 0.0) == 0


def test_confidence_tells_good_points_from_bad_ones(tmp_path: Path) -> None:
    """Depth that is off by more where the matching cost is higher, and is off at random."""
    rng = np.random.default_rng(0)
    costs = [rng.uniform(0.01, 0.5, (SIZE, SIZE)) for _ in range(6)]
    noise = [rng.normal(0, 0.006, (SIZE, SIZE)) * np.sqrt(c / (1 - c)) for c in costs]
    workspace, scene = plane_workspace(tmp_path, cost=lambda i: costs[i], noise=lambda i: noise[i])
    fuse(workspace, scene, FusionOptions(min_consensus=0))
    cloud, _ = fused(workspace)
    order = np.argsort(cloud.vertices["confidence"])
    error = np.abs(cloud.xyz[order, 2])
    quarter = len(order) // 4
    assert error[:quarter].mean() > 1.5 * error[-quarter:].mean()  # measured 1.0


@pytest.mark.parametrize("min_views", [2, 3])
def test_every_point_has_its_views_even_where_maps_hardly_agree(min_views: int, tmp_path: Path) -> None:
    """Maps that lie 3.5 footprints apart agree by the limits, but what is far from the rest is no witness."""
    shift = np.array([0, 0, 0.058, 0, 0, 0.058])  # a footprint is 1/60 of the depth
    workspace, scene = plane_workspace(tmp_path, noise=lambda i: shift[i])
    options = FusionOptions(min_views=min_views, max_reprojection_error=20, max_depth_error=0.2, min_consensus=0)
    fuse(workspace, scene, options)
    cloud, seen = fused(workspace)
    counts = np.array([len(who) for who in seen])
    assert len(counts) > 100
    assert (counts == cloud.vertices["views"]).all()
    assert counts.min() >= min_views


def test_other_programs_read_the_cloud(tmp_path: Path) -> None:
    workspace, scene = plane_workspace(tmp_path)
    count = fuse(workspace, scene, FusionOptions()).points
    header = workspace.fused.read_bytes().partition(b"end_header\n")[0].decode().splitlines()
    names = [line.split()[-1] for line in header if line.startswith("property")]
    assert names == [*COLMAPS, *EVIDENCE]
    assert len(trimesh.load(workspace.fused).vertices) == count
    surface = tmp_path / "surface.ply"
    pycolmap.poisson_meshing(workspace.fused, surface, pycolmap.PoissonMeshingOptions(depth=5, trim=0))
    assert len(read_ply(surface).xyz) > 100


def test_nothing_outside_the_masks(tmp_path: Path) -> None:
    """The left half of one view is no object: neither that view nor any other puts a point there."""
    half = np.tile(np.arange(SIZE) >= SIZE // 2, (SIZE, 1))
    plain, scene = plane_workspace(tmp_path / "plain")
    workspace, masked = plane_workspace(tmp_path / "masked", mask=lambda i: half)
    fuse(plain, scene, FusionOptions())
    fuse(workspace, masked, FusionOptions())

    def outside(cloud: Ply, seen: list[np.ndarray]) -> int:
        """Points that one of the views which made them shows left of the middle."""
        bad = 0
        for point, who in zip(cloud.xyz, seen, strict=True):
            local = [scene.views[i].cam_from_world @ [*point, 1] for i in who]
            bad += any(x / z < -1e-3 / SIZE for x, _, z, _ in local)
        return bad

    assert outside(*fused(plain)) > 1000
    assert outside(*fused(workspace)) == 0
    assert len(fused(workspace)[0].xyz) > 100


def test_nothing_outside_the_region(tmp_path: Path) -> None:
    workspace, scene = plane_workspace(tmp_path)
    everything = fuse(workspace, scene, FusionOptions()).points
    region = (-0.2, -0.3, -0.1, 0.4, 0.1, 0.1)
    within = fuse(workspace, scene, FusionOptions(region=region)).points
    xyz = fused(workspace)[0].xyz
    low, high = np.array(region).reshape(2, 3)
    assert ((xyz >= low - 1e-6) & (xyz <= high + 1e-6)).all()
    assert 0 < within == len(xyz) < 0.2 * everything
    assert np.allclose([xyz.min(0)[:2], xyz.max(0)[:2]], [low[:2], high[:2]], atol=0.05)  # up to the box's sides
    bounded = replace(scene, bounds=np.array([[-1, -1, -1], [0.0, 1, 1]]))
    fuse(workspace, bounded, FusionOptions(region=region))
    assert fused(workspace)[0].xyz[:, 0].max() <= 1e-6  # both hold
    with pytest.raises(OptionError, match="outside the scene's bounds"):
        fuse(workspace, bounded, FusionOptions(region=(0.5, 0, 0, 1, 1, 1)))


def test_nothing_outside_the_depth_range(tmp_path: Path) -> None:
    workspace, scene = plane_workspace(tmp_path)
    everything = fuse(workspace, scene, FusionOptions()).points
    within = fuse(workspace, scene, FusionOptions(), depth_range=(2.6, 2.8)).points
    cloud, seen = fused(workspace)
    depths = [(scene.views[who[0]].cam_from_world @ [*p, 1])[2] for p, who in zip(cloud.xyz, seen, strict=True)]
    assert 2.6 - 1e-5 <= min(depths) < 2.61
    assert 2.79 < max(depths) <= 2.8 + 1e-5
    assert 0 < within < everything


@pytest.mark.parametrize("region", [(0, 0, 0, 1, 1, 0), (0, 0, 0, 1, 1, float("nan")), (0, 0, 0, 1, 1, float("inf"))])
def test_a_region_that_is_none(region: tuple[float, float, float, float, float, float]) -> None:
    with pytest.raises(OptionError, match=r"not a box in fusion\.region"):
        FusionOptions(region=region)


class LiveMaps:
    """Counts the bytes of all maps that are alive, by watching what is loaded and when it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.peak = self.loads = 0
        self._lock, load = threading.Lock(), fusion_maps.load_maps

        def watched(*arguments: object) -> Maps:
            maps = load(*arguments)  # type: ignore[arg-type]
            for array in maps:
                self._add(array.nbytes)
                weakref.finalize(array, self._add, -array.nbytes)
            self.loads += 1
            return maps

        monkeypatch.setattr(fusion_maps, "load_maps", watched)

    def _add(self, count: int) -> None:
        with self._lock:
            self.now += count
            self.peak = max(self.peak, self.now)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("views", [8, 80])
def test_memory_does_not_grow_with_the_views(
    views: int, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times the views, the same ceiling, and the same bytes as with everything in memory."""
    ceiling = 1.2 * 2**20
    all_maps = views * SIZE * SIZE * fusion_maps.BYTES_HELD
    assert (all_maps > 2 * ceiling) == (views == 80)
    workspace, scene = plane_workspace(tmp_path, views)
    live = LiveMaps(monkeypatch)
    fuse_with_threads(workspace, scene, FusionOptions(), SILENT, threads)
    roomy = [path.read_bytes() for path in sorted(tmp_path.glob("fused.ply*"))]
    assert live.peak >= all_maps  # nothing had to leave
    assert live.loads == views
    live.peak = live.now
    assert live.now == 0
    tight = FusionOptions(max_memory_gib=ceiling / 2**30)
    result = fuse_with_threads(workspace, scene, tight, SILENT, threads)
    assert live.peak <= ceiling
    assert result.map_bytes <= live.peak  # what fusion itself tells is no less than what it keeps
    if views == 80:
        assert live.peak < 0.5 * all_maps
        assert live.loads > 2 * views  # maps had to leave and come back
    assert [path.read_bytes() for path in sorted(tmp_path.glob("fused.ply*"))] == roomy
    assert [path.name for path in sorted(tmp_path.glob("fused.ply*"))] == ["fused.ply", "fused.ply.vis"]
