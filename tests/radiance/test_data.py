"""Batches against the rays of whole cameras and the files' own pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.cameras.rays import pixel_centers, project
from anyview.errors import OptionError, SceneError
from anyview.radiance.data import TrainingPixels, over
from anyview.radiance.pictures import read_picture
from anyview.radiance.rays import RADIUS_PER_PIXEL, Rays
from anyview.scene.load import load_scene
from anyview.scene.pixels import FilePixels
from anyview.scene.scene import ArrayPixels, View
from anyview.scene.undistort import undistorted_camera
from camera_rays import camera_rays
from posed_images import blender, save_image, save_mask


def some_view(folder: Path, number: int, size: tuple[int, int], alpha: bool = True, **values: object) -> View:
    """Noise from a camera of its own."""
    path = folder / f"{number}.png"
    save_image(path, number, alpha=alpha, size=size)
    pose = look_at(np.array([3.0, number, 1.0]), np.zeros(3), np.array([0.0, 0, 1]))
    camera = Camera.pinhole(*size, 10.0 + number, 13.0, size[0] / 2 + 0.3, size[1] / 2)
    return View(f"{number}.png", camera, pose, FilePixels(path), "train", path, 1.5 + number, 7.0, **values)


@pytest.fixture
def views(tmp_path: Path) -> list[View]:
    sizes = [(12, 8), (6, 4), (5, 1)]
    return [some_view(tmp_path, i, size, weight=4.0**i) for i, size in enumerate(sizes)]


def stored(view: View) -> np.ndarray:
    assert view.path is not None
    with Image.open(view.path) as image:
        return np.asarray(image).reshape(-1, len(image.getbands())).astype(np.float32) / 255


def test_every_pixel_has_its_cameras_ray_and_its_files_colour(views: list[View]) -> None:
    pixels = TrainingPixels(views)
    assert pixels.count == 12 * 8 + 6 * 4 + 5
    rays, rgb, alpha = pixels.at(torch.arange(pixels.count))
    assert alpha is not None
    whole = [camera_rays(v.camera, v.world_from_cam, v.near or 0, v.far or 0, v.weight) for v in views]
    for name, found, wanted in zip(Rays._fields, rays, (torch.cat(parts) for parts in zip(*whole, strict=True)),
                                   strict=True):  # fmt: skip
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, rtol=2e-7, atol=2e-7, msg=name)  # one rounding to float32
    files = np.concatenate([stored(view) for view in views])
    assert (rgb.numpy() == files[:, :3]).all()
    assert (alpha.numpy() == files[:, 3:]).all()


def test_all_pixels_are_equally_likely_and_the_seed_decides(views: list[View]) -> None:
    pixels = TrainingPixels(views)
    rays, rgb, _ = pixels.batch(torch.Generator().manual_seed(3), 200_000)
    share = [(rays.lossmult == view.weight).float().mean().item() for view in views]
    assert np.allclose(share, np.array([96, 24, 5]) / 125, atol=0.005)  # 5 deviations
    again = pixels.batch(torch.Generator().manual_seed(3), 200_000)[1]
    assert torch.equal(rgb, again)


def test_a_table_beyond_the_budget_lies_in_a_file(views: list[View], tmp_path: Path) -> None:
    here = TrainingPixels(views, memory_gib=1.0, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    there = TrainingPixels(views, memory_gib=1e-9, folder=tmp_path / "run")
    assert (tmp_path / "run" / "pixels.bin").stat().st_size == 4 * 125
    assert torch.from_numpy(np.fromfile(tmp_path / "run" / "pixels.bin", np.uint8)).reshape(125, 4).equal(here._pixels)
    for one, other in zip(*(p.batch(torch.Generator().manual_seed(1), 50) for p in (here, there)), strict=True):
        assert all(map(torch.equal, one, other)) if isinstance(one, Rays) else torch.equal(one, other)


def test_a_batch_is_one_ray_table_look_up_whatever_the_views(views: list[View]) -> None:
    rays, rgb, alpha = TrainingPixels(views).batch(torch.Generator().manual_seed(0), 7)
    assert [tuple(values.shape) for values in (*rays, rgb, alpha)] == [(7, 3)] * 2 + [(7, 1)] * 4 + [(7, 3), (7, 1)]


def test_views_without_alpha_have_none_and_mixed_ones_are_opaque(tmp_path: Path) -> None:
    plain = some_view(tmp_path, 0, (4, 3), alpha=False)
    assert TrainingPixels([plain]).at(torch.arange(12))[2] is None
    _, _, alpha = TrainingPixels([plain, some_view(tmp_path, 1, (4, 3))]).at(torch.arange(24))
    assert alpha is not None
    assert (alpha[:12] == 1).all()
    assert sorted(set((alpha[12:] * 255).round().int().ravel().tolist())) == [125, 130]


def test_colours_over_a_background() -> None:
    rgb, alpha = torch.rand(9, 3), torch.rand(9, 1)
    assert over(rgb, None, 1.0) is rgb
    assert torch.equal(over(rgb, alpha, 1.0), rgb * alpha + (1 - alpha))
    assert torch.equal(over(rgb, alpha, 0.0), rgb * alpha)
    behind = torch.rand(9, 3)
    assert torch.equal(over(rgb, alpha, behind), rgb * alpha + (1 - alpha) * behind)


def test_straight_alpha_has_its_shades_and_mask_files_have_none(tmp_path: Path) -> None:
    (first, *_) = load_scene(blender(tmp_path)).views
    rgb, alpha = first.read_alpha()
    assert alpha is not None
    shades = stored(first)[:, 3].reshape(alpha.shape)
    assert (alpha == shades).all()
    assert 0 < shades.min() < shades.max() < 1
    assert (rgb == first.image()).all()
    assert ((alpha >= 0.5) == first.mask()).all()
    save_mask(tmp_path / "mask.png", bright=200)
    masked = replace(first, pixels=FilePixels(first.path or Path(), tmp_path / "mask.png"))
    found = masked.read_alpha()[1]
    assert found is not None
    assert found.dtype == np.float32
    assert (found == np.broadcast_to(np.arange(8)[:, None] < 4, (8, 12))).all()
    memory = ArrayPixels(rgb, masked.mask())
    assert (memory.read_alpha()[1] == found).all()
    assert ArrayPixels(rgb).read_alpha() == (rgb, None)
    with pytest.raises(SceneError, match="image size contradicts the camera"):
        replace(first, camera=first.camera.resized(6, 4)).read_alpha()


def test_pictures_over_white_are_the_published_formula(tmp_path: Path) -> None:
    view = some_view(tmp_path, 0, (12, 8))
    rgba = stored(view).reshape(8, 12, 4)
    wanted = rgba[..., :3] * rgba[..., 3:] + (1 - rgba[..., 3:])
    found = read_picture(view).over(1.0)
    assert found.dtype == np.float32
    assert (found == wanted).all()


@pytest.mark.parametrize("by", [2, 3])
def test_reduced_pictures_are_means_and_their_rays_go_through_the_squares_middles(tmp_path: Path, by: int) -> None:
    view = some_view(tmp_path, 0, (13, 9))
    picture = read_picture(view, by)
    rgba = (stored(view) * 255).reshape(9, 13, 4)[: 9 // by * by, : 13 // by * by]
    means = np.stack([rgba[i::by, j::by] for i in range(by) for j in range(by)]).mean(axis=0)
    assert picture.alpha is not None
    assert np.abs(np.dstack([picture.rgb, picture.alpha]) - means).max() <= 0.5 + 1e-4
    assert (picture.camera.width, picture.camera.height) == (13 // by, 9 // by)
    small = TrainingPixels([view], downscale=by)
    rays, rgb, _ = small.at(torch.arange(small.count))
    assert (rgb.numpy() == picture.rgb.reshape(-1, 3).astype(np.float32) / 255).all()
    points = (rays.origins + 2 * rays.directions).double().numpy()
    local = points @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
    wanted = by * pixel_centers(13 // by, 9 // by)
    assert np.abs(project(view.camera, local) - wanted).max() < 1e-4
    assert np.allclose(rays.radii, RADIUS_PER_PIXEL * by / 13.0)
    with pytest.raises(OptionError, match=r"nothing is left of the image in view 0.png"):
        read_picture(view, 20)


def test_distorted_photographs_become_pinhole_pictures(tmp_path: Path) -> None:
    view = some_view(tmp_path, 0, (60, 40), alpha=False)
    x, y = pixel_centers(60, 40).T.reshape(2, 40, 60)
    Image.fromarray(np.dstack([x * 4, y * 6, x + y]).astype(np.uint8)).save(tmp_path / "0.png")
    lens = Camera("OPENCV", 60, 40, (50.0, 50.0, 30.0, 20.0, -0.2, 0.03, 0.001, 0.0))
    distorted = replace(view, camera=lens)
    pixels = TrainingPixels([distorted])
    rays, rgb, alpha = pixels.at(torch.arange(pixels.count))
    made = undistorted_camera(lens)
    assert (made.width * made.height, alpha) == (pixels.count, None)
    local = rays.directions.double().numpy() @ view.world_from_cam[:3, :3]
    at = project(lens, local)  # where in the photograph each ray's colour must come from
    inside = (np.abs(at - (30, 20)) < (28, 18)).all(axis=1)
    assert inside.mean() > 0.8
    assert (
        np.abs(rgb.numpy()[inside] * 255 - np.column_stack([at[:, 0] * 4, at[:, 1] * 6, at.sum(1)])[inside]).max() < 2
    )
    blank = rays.lossmult[:, 0] == 0
    assert blank.float().mean() < 0.1


def test_pixels_outside_the_photograph_have_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = replace(some_view(tmp_path, 0, (8, 6), alpha=False), camera=Camera("RADIAL", 8, 6, (9.0, 4.0, 3.0, 0.1, 0)))
    wide = Camera.pinhole(8, 6, 5.0, 5.0, 4.0, 3.0)
    monkeypatch.setattr("anyview.radiance.pictures.undistorted_camera", lambda camera: wide)
    picture = read_picture(view)
    assert picture.known is not None
    assert picture.alpha is None
    assert 0 < picture.known.mean() < 1
    rays, _, alpha = TrainingPixels([view]).at(torch.arange(48))
    assert alpha is None
    assert ((rays.lossmult[:, 0] == 1).numpy() == picture.known.ravel()).all()
