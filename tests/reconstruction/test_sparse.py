"""The sparse stage from pixels to COLMAP's files, judged by COLMAP itself and by the rendered truth."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap
import pytest

from anyview.cameras.models import Camera
from anyview.cameras.poses import rotation_from_quaternion
from anyview.errors import OptionError, SceneError
from anyview.formats.colmap import read_model
from anyview.reconstruction import pipeline
from anyview.reconstruction import sparse as module
from anyview.reconstruction.options import ReconstructionOptions, SparseOptions
from anyview.reconstruction.points.refinement import with_poses_of
from anyview.reconstruction.sparse import SparseResult, sparse
from anyview.scene import ArrayPixels, Scene
from anyview.scene.synthetic import SyntheticScene, render_scene
from anyview.workspace import Workspace
from point_scene import ring_of_views

FILES = ("database.db", "sparse/cameras.bin", "sparse/images.bin", "sparse/points3D.bin")


class Done(NamedTuple):
    folder: Path
    result: SparseResult
    written: dict[str, bytes]


@cache
def rendered() -> SyntheticScene:
    return render_scene(20, (200, 200), seed=1)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("sparse")
    result = sparse(Workspace(folder), rendered().scene, SparseOptions())
    return Done(folder, result, {name: (folder / name).read_bytes() for name in FILES})


def test_points_lie_on_the_surface(done: Done) -> None:
    folder, result, _ = done
    assert result.points > 100
    assert 0 < result.mean_reprojection_error < 0.6
    model = read_model(folder / "sparse")
    owner = np.repeat(model.points.xyz, model.points.track_lengths, axis=0)
    gaps = np.full(len(owner), np.nan)
    for image in model.images.values():
        view = rendered().scene[image.name]
        depth = rendered().truth[image.name].depth
        mine = model.points.image_ids == image.id
        x, y, z = (owner[mine] @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]).T
        column = (x / z * view.camera.fx + view.camera.cx).astype(int).clip(0, 199)
        row = (y / z * view.camera.fy + view.camera.cy).astype(int).clip(0, 199)
        around = [
            abs(depth[(row + a).clip(0, 199), (column + b).clip(0, 199)] - z) for a in (-1, 0, 1) for b in (-1, 0, 1)
        ]
        gaps[mine] = np.min(around, axis=0) * view.camera.fx / z  # in footprints of a pixel
    assert np.median(gaps) < 0.5
    assert (gaps > 4).mean() < 0.05


def test_colmap_opens_database_and_model_with_the_same_numbers(done: Done) -> None:
    folder, result, _ = done
    model = pycolmap.Reconstruction(folder / "sparse")
    assert model.num_points3D() == result.points
    stored = result.mean_reprojection_error
    model.update_point_3d_errors()
    assert model.compute_mean_reprojection_error() == pytest.approx(stored, abs=1e-9)

    scene = rendered().scene
    names = sorted(view.name for view in scene)
    with pycolmap.Database.open(folder / "database.db") as database:
        assert [(i.image_id, i.name, i.frame_id) for i in database.read_all_images()] == [
            (k, n, k) for k, n in enumerate(names, 1)
        ]
        (camera,) = database.read_all_cameras()
        assert camera.has_prior_focal_length
        assert tuple(camera.params) == scene.views[0].camera.params
        assert (camera.model.name, camera.width, camera.height) == ("PINHOLE", 200, 200)
        assert database.num_rigs() == 1
        assert database.num_frames() == len(names)
        assert database.num_matches() == database.num_inlier_matches() == result.matches
        for number, name in enumerate(names, 1):
            image = model.image(number)
            assert image.name == name
            np.testing.assert_allclose(image.cam_from_world().matrix(), scene[name].cam_from_world[:3], atol=1e-12)
            keypoints = database.read_keypoints(number)
            assert image.num_points2D() == len(keypoints) == len(database.read_descriptors(number).data)
            np.testing.assert_array_equal(keypoints[:, :2], [p.xy for p in image.points2D])
        ids, geometries = database.read_two_view_geometries()
        for pair, geometry in zip(ids, geometries, strict=True):
            first, second = pycolmap.pair_id_to_image_pair(pair)
            assert geometry.config == pycolmap.TwoViewGeometryConfiguration.CALIBRATED
            one, other = (database.read_keypoints(k)[:, :2].astype(float) for k in (first, second))
            p, q = one[geometry.inlier_matches[:, 0]], other[geometry.inlier_matches[:, 1]]
            squared = pycolmap.compute_squared_sampson_error(p, q, geometry.F)
            assert max(squared) < 2.0**2


def test_colmap_triangulates_from_our_database(done: Done, tmp_path: Path) -> None:
    folder, result, _ = done
    options = pycolmap.IncrementalPipelineOptions(extract_colors=False, num_threads=1)
    model = pycolmap.Reconstruction(folder / "sparse")
    again = pycolmap.triangulate_points(model, folder / "database.db", tmp_path, tmp_path, options=options)
    assert again.num_points3D() >= 0.9 * result.points
    assert result.mean_reprojection_error <= again.compute_mean_reprojection_error()


def test_same_seed_same_bytes_whatever_the_order_of_views(done: Done, tmp_path: Path) -> None:
    _, result, written = done
    turned = replace(rendered().scene, views=rendered().scene.views[::-1])
    assert sparse(Workspace(tmp_path), turned, SparseOptions()) == result
    for name in FILES:
        assert (tmp_path / name).read_bytes() == written[name], name


def test_done_work_is_not_repeated_and_damage_is_found(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, result, written = done
    calls: list[int] = []
    original = module.match_pairs
    monkeypatch.setattr(module, "match_pairs", lambda *a: calls.append(1) or original(*a))
    with pycolmap.Database.open(folder / "database.db"):
        pass  # changes bytes of the file, as COLMAP's GUI does, but nothing in it
    assert sparse(Workspace(folder), rendered().scene, SparseOptions()) == result
    assert not calls
    for number, name in enumerate(("sparse/points3D.bin", "database.db"), 1):
        (folder / name).write_bytes(written[name][: len(written[name]) // 2])
        assert sparse(Workspace(folder), rendered().scene, SparseOptions()) == result
        assert len(calls) == number
        assert (folder / name).read_bytes() == written[name]


def test_refined_poses_are_told_and_kept_in_the_model(tmp_path: Path) -> None:
    scene = rendered().scene
    result = sparse(Workspace(tmp_path), scene, SparseOptions(refine_poses=True))
    refined = with_poses_of(scene, read_model(tmp_path / "sparse"))
    moved = [np.linalg.norm(r.center - v.center) for r, v in zip(refined, scene, strict=True)]
    assert result.moved_mean == pytest.approx(np.mean(moved), rel=1e-6)
    assert result.moved_max == pytest.approx(np.max(moved), rel=1e-6)
    assert 0 < result.turned_mean <= result.turned_max < 1  # measured 0.4 degrees: images of 200 pixels
    drift = np.mean([r.center - v.center for r, v in zip(refined, scene, strict=True)], axis=0)
    assert np.abs(drift).max() < 1e-9  # the frame stays


def test_a_smooth_object_ends_well_and_says_so(tmp_path: Path) -> None:
    y, x = np.mgrid[:400, :400] / 400 - 0.5
    shade = np.repeat((0.8 - x**2 - y**2)[:, :, None], 3, 2).astype(np.float32)
    views = tuple(replace(v, pixels=ArrayPixels(shade, np.hypot(x, y) < 0.4)) for v in ring_of_views(4))
    result = sparse(Workspace(tmp_path), Scene(views), SparseOptions(refine_poses=True))
    assert result.points == 0
    assert "sparse points" in result.note
    assert "left as they are" in result.note
    model = pycolmap.Reconstruction(tmp_path / "sparse")
    assert (model.num_reg_images(), model.num_points3D()) == (4, 0)
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        assert (database.num_images(), database.num_matches()) == (4, 0)


def test_refined_poses_reach_the_later_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = rendered().scene
    poses: dict[str, np.ndarray] = {}

    def instead(workspace: Workspace, given: Scene, *rest: object) -> None:
        poses.update({view.name: view.world_from_cam for view in given})
        raise InterruptedError

    monkeypatch.setattr("anyview.reconstruction.dense.dense", instead)
    for refine in (False, True):
        work = tmp_path / str(refine)
        with pytest.raises(InterruptedError):
            pipeline.reconstruct(scene, work, options=ReconstructionOptions(sparse=SparseOptions(refine_poses=refine)))
        model = read_model(Workspace(work).sparse)
        assert len(model.points.ids) >= 100  # otherwise poses are left as they are
        off = [np.abs(view.world_from_cam - poses[view.name]).max() for view in scene]
        assert (max(off) > 1e-6) == refine
        for image in model.images.values():
            centre = -rotation_from_quaternion(image.quaternion).T @ image.translation
            assert np.allclose(poses[image.name][:3, 3], centre, atol=1e-9)


def test_two_views_give_no_points_but_a_model(tmp_path: Path) -> None:
    scene = replace(rendered().scene, views=rendered().scene.views[:2])
    assert sparse(Workspace(tmp_path), scene, SparseOptions()).points == 0
    assert len(read_model(tmp_path / "sparse").images) == 2


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    scene, work = rendered().scene, Workspace(tmp_path)
    with pytest.raises(SceneError, match="single view"):
        sparse(work, replace(scene, views=scene.views[:1]), SparseOptions())
    bent = replace(scene.views[0], camera=Camera("SIMPLE_RADIAL", 200, 200, (200, 100, 100, 0.1)))
    with pytest.raises(SceneError, match="distorted camera"):
        sparse(work, replace(scene, views=(bent, *scene.views[1:])), SparseOptions())
    with pytest.raises(OptionError, match=r"sparse\.partners: expected 1 or more, found 0"):
        SparseOptions(partners=0)
    with pytest.raises(OptionError, match=r"sparse\.ratio: expected above 0 to 1, found 1\.5"):
        SparseOptions(ratio=1.5)
    assert not (tmp_path / "database.db").exists()
