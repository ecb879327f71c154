from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from anyview.errors import OptionError, WorkspaceError
from anyview.formats.images import read_image
from anyview.scene.synthetic import SyntheticScene, render_scene
from seen_surface import disagreement, march, points_of, rays_of


@pytest.fixture(scope="module")
def still_life() -> SyntheticScene:
    return render_scene(8, (160, 120), test_views=2)


def test_a_sphere_has_its_closed_form_depth() -> None:
    made = render_scene(4, (90, 70), layout="sphere")
    for view in made.scene:
        truth = made.truth[view.name]
        origin, rays = rays_of(view)
        a, b, c = (rays**2).sum(2), rays @ origin, origin @ origin - 1
        root = b * b - a * c
        expected = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, 0)
        assert np.array_equal(truth.depth > 0, expected > 0)
        assert np.abs(truth.depth - expected).max() < 5e-7  # measured 1.2e-7: float32
        hit = truth.depth > 0
        assert np.abs(truth.normal - points_of(view, truth))[hit].max() < 1e-6  # measured 1.4e-7: float32 depth
        assert np.array_equal(truth.instance, hit.astype(int))


def test_a_plane_fills_every_view_at_its_closed_form_depth() -> None:
    made = render_scene(4, (90, 70), seed=2, layout="plane")
    normal = made.truth["train/r_0.png"].normal[0, 0].astype(np.float64)
    assert normal[2] == pytest.approx(np.cos(0.4), abs=1e-6)
    for view in made.scene:
        truth = made.truth[view.name]
        origin, rays = rays_of(view)
        assert np.abs(truth.depth + (origin @ normal) / (rays @ normal)).max() < 1e-6  # measured 2.9e-7, float32 normal
        assert np.abs(truth.normal - normal).max() < 1e-6
        mask = view.mask()
        assert mask is not None
        assert mask.all()


def test_a_box_has_the_depth_of_its_slabs() -> None:
    made = render_scene(4, (90, 70), layout="box")
    half = np.array([0.8, 0.6, 0.45])
    for view in made.scene:
        truth = made.truth[view.name]
        top = truth.normal[truth.instance > 0]
        # The box is turned about z alone: its side normals lie in the world's xy plane.
        side = next(n for n in top if abs(n[2]) < 1e-6)
        angle = np.arctan2(side[1], side[0])
        rotations = [angle, angle + np.pi / 2]
        best = np.inf
        for turn in rotations:
            r = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
            origin, rays = rays_of(view)
            o, d = r @ origin, rays @ r.T
            near = np.minimum((-half - o) / d, (half - o) / d).max(axis=2)
            far = np.maximum((-half - o) / d, (half - o) / d).min(axis=2)
            best = min(best, np.abs(np.where(near < far, near, 0) - truth.depth).max())
        assert best < 2e-6  # measured 4.3e-7: the angle is read off a float32 normal


def test_solids_are_met_where_their_distance_is_zero(still_life: SyntheticScene) -> None:
    """The nearest point of an independent march: small steps through all solids at once, no shortcut."""
    worst = march(still_life, "still_life", 1.0, 400)
    assert worst < 2e-6  # measured 2.6e-7: float32 depth


def test_normals_are_unit_towards_the_camera_and_match_the_depth(still_life: SyntheticScene) -> None:
    angles = []
    for view in still_life.scene:
        truth = still_life.truth[view.name]
        hit = truth.instance > 0
        assert np.array_equal(hit, truth.depth > 0)
        assert np.abs(np.linalg.norm(truth.normal, axis=2)[hit] - 1).max() < 1e-6
        assert not truth.normal[~hit].any()
        points, (_, rays) = points_of(view, truth), rays_of(view)
        assert ((truth.normal * rays).sum(2)[hit] < 1e-6).all()
        du, dv = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
        normal = np.cross(dv, du)
        normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-12)
        same = np.ones_like(hit[1:-1, 1:-1])
        for near in (hit[:-2, 1:-1], hit[2:, 1:-1], hit[1:-1, :-2], hit[1:-1, 2:], hit[1:-1, 1:-1]):
            same &= near
        cosine = (normal * truth.normal[1:-1, 1:-1]).sum(2)[same]
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    # Differences of two pixels see corners and creases wrongly, the rest right.
    assert np.median(np.concatenate(angles)) < 0.01  # measured 0.0003 degrees: most pixels are the table's
    assert (np.concatenate(angles) < 10).mean() > 0.8  # measured 0.83


def test_colours_agree_between_views() -> None:
    """True depth carries a pixel into another view; there it has the same colour, if the surface is matt."""
    matt = render_scene(24, (160, 160), seed=1, layout="sphere")
    glossy = render_scene(24, (160, 160), seed=1, layout="sphere", specular=1.0)
    agreement = disagreement(matt)
    assert agreement < 0.008  # measured 0.0054: resampling, 8 bits
    assert disagreement(matt, 1.02) > 4 * agreement  # measured 7.0 times
    assert disagreement(glossy) > 1.4 * agreement  # measured 1.7 times
    assert disagreement(render_scene(20, (120, 120), seed=1)) < 0.025  # measured 0.0163: fine texture, resampled


def test_same_seed_same_bytes_other_seed_another_scene() -> None:
    options = {"noise": 0.02, "blur": 0.7, "texture": 0.5, "specular": 0.5}
    a, b, c = (render_scene(3, (48, 40), seed, **options) for seed in (4, 4, 5))
    for view, same, other in zip(a.scene, b.scene, c.scene, strict=True):
        assert view.pixels.fingerprint() == same.pixels.fingerprint()
        assert np.array_equal(view.world_from_cam, same.world_from_cam)
        assert np.array_equal(a.truth[view.name].depth, b.truth[view.name].depth)
        assert np.abs(view.image() - other.image()).mean() > 0.02
    assert not np.array_equal(a.scene.views[0].world_from_cam, c.scene.views[0].world_from_cam)


def test_a_view_does_not_depend_on_how_many_are_rendered_with_it() -> None:
    one = render_scene(3, (40, 40), noise=0.05)
    two = render_scene(3, (40, 40), noise=0.05, test_views=2)
    assert [v.pixels.fingerprint() for v in one.scene] == [v.pixels.fingerprint() for v in two.scene][:3]
    assert [v.split for v in two.scene] == ["train"] * 3 + ["test"] * 2


def test_every_object_is_seen(still_life: SyntheticScene) -> None:
    seen = set()
    for truth in still_life.truth.values():
        seen |= set(np.unique(truth.instance).tolist())
    assert len(seen) >= 13
    bounds = still_life.scene.bounds
    assert bounds is not None
    for view in still_life.scene:
        truth = still_life.truth[view.name]
        points = points_of(view, truth)[truth.depth > 0]
        assert (points > bounds[0] - 1e-5).all()
        assert (points < bounds[1] + 1e-5).all()


def test_silhouettes_are_smooth_and_straight(still_life: SyntheticScene) -> None:
    view = still_life.scene.views[0]
    rgba = still_life.rgba[view.name]
    truth = still_life.truth[view.name]
    alpha = rgba[:, :, 3]
    assert (alpha[truth.instance > 0] > 0).all()
    partial = (alpha > 0) & (alpha < 255)
    assert 0.005 < partial.mean() < 0.1
    assert not rgba[alpha == 0].any()
    # Straight colours: partly covered pixels are as bright as covered ones, not darkened by the missing background.
    assert rgba[partial][:, :3].mean() > 0.6 * rgba[alpha == 255][:, :3].mean()
    mask = view.mask()
    assert mask is not None
    assert (mask == (truth.instance > 0)).mean() > 0.99


def test_environment_has_no_mask() -> None:
    made = render_scene(2, (40, 40), transparent=False)
    for view in made.scene:
        assert view.mask() is None
        assert made.rgba[view.name].shape == (40, 40, 3)
        assert (made.truth[view.name].instance > 0).mean() > 0.5
        assert view.image().min(axis=2).max() > 0.3


def test_noise_blur_and_texture_do_what_they_say() -> None:
    plain, noisy, blurred, flat = (
        render_scene(1, (80, 80), layout="plane", **o).scene.views[0].image()
        for o in ({}, {"noise": 0.03}, {"blur": 2.0}, {"texture": 0.0})
    )
    inside = (plain > 0.15) & (plain < 0.85)
    assert np.std((noisy - plain)[inside]) == pytest.approx(0.03, rel=0.05)  # measured 0.0298
    assert np.abs(np.diff(blurred, axis=0)).mean() < 0.5 * np.abs(np.diff(plain, axis=0)).mean()
    assert np.abs(np.diff(flat, axis=0)).max() < 0.005  # one step of 8 bits; measured 0


def test_written_folder_has_the_layout_of_the_benchmark(still_life: SyntheticScene, tmp_path: Path) -> None:
    still_life.write(tmp_path)
    meta = json.loads((tmp_path / "transforms_train.json").read_text())
    assert len(meta["frames"]) == 8
    assert len(json.loads((tmp_path / "transforms_test.json").read_text())["frames"]) == 2
    for view, frame in zip(still_life.scene, meta["frames"], strict=False):
        truth = still_life.truth[view.name]
        assert frame["file_path"] == "./" + view.name[:-4]
        pose = np.array(frame["transform_matrix"]) @ np.diag([1, -1, -1, 1])
        assert np.array_equal(pose, view.world_from_cam)
        focal = 0.5 * view.camera.width / np.tan(0.5 * meta["camera_angle_x"])
        assert focal == pytest.approx(view.camera.fx, rel=1e-14)
        rgb, alpha = read_image(tmp_path / view.name)
        assert np.array_equal(rgb, view.image())
        assert alpha is not None
        assert np.array_equal(alpha >= 0.5, view.mask())
        with np.load(tmp_path / (frame["file_path"] + ".npz")) as arrays:
            assert {k: (v.dtype, v.shape) for k, v in arrays.items()} == {
                "depth_z": (np.float32, (120, 160)),
                "normal_world": (np.int8, (120, 160, 3)),
                "instance": (np.uint8, (120, 160)),
            }
            depth = np.where(np.isfinite(arrays["depth_z"]), arrays["depth_z"], 0)
            assert np.array_equal(depth, truth.depth)
            assert np.array_equal(arrays["instance"], truth.instance)
            assert np.abs(arrays["normal_world"] / 127 - truth.normal).max() < 0.004
    assert (tmp_path / "test/r_1.png").exists()
    assert not (tmp_path / "test/r_1.npz").exists()


def test_a_file_in_the_way(still_life: SyntheticScene, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError):
        still_life.write(tmp_path / "file")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 0}, "nothing to render"),
        ({"size": (0, 10)}, "nothing to render"),
        ({"test_views": -1}, "nothing to render"),
        ({"noise": -0.1}, "`noise`"),
        ({"texture": 1.5}, "`texture`"),
        ({"specular": float("nan")}, "`specular`"),
        ({"blur": float("inf")}, "`blur`"),
        ({"seed": -1}, "`seed`"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        render_scene(**options)
