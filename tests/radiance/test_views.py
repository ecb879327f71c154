"""Which views are for what, between which depths; scenes that cannot be learnt from, each with its sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.errors import OptionError, SceneError
from anyview.radiance.options import DataOptions
from anyview.radiance.views import field_views, scale_of
from anyview.scene.scene import ArrayPixels, Scene, View

SIZE = 20
CAMERA = Camera.pinhole(SIZE, SIZE, 25.0, 25.0, 10.0, 10.0)
BOX = np.array([[-1.0, -1, -1], [1, 1, 1]])


def ring(count: int = 4, distance: float = 4.0, split: str = "train", **values: object) -> list[View]:
    """Views around the origin."""
    made = []
    for i in range(count):
        angle = 2 * np.pi * (i + (0.5 if split != "train" else 0)) / count
        eye = np.array([0.8 * np.cos(angle), 0.8 * np.sin(angle), 0.6])
        pose = look_at(distance * eye, np.zeros(3), np.array([0, 0, 1.0]))
        pixels = ArrayPixels(np.zeros((SIZE, SIZE, 3), np.float32))
        made.append(View(f"{split}/{i}.png", CAMERA, pose, pixels, split, **values))
    return made


def depths(scene: Scene, **options: object) -> tuple[float, float]:
    made = field_views(scene, DataOptions(**options))
    assert all((v.near, v.far) == (made.near, made.far) for v in (*made.train, *made.val))
    return made.near, made.far


def test_depths_from_the_options_the_views_and_blenders_habit() -> None:
    blender = Scene(tuple(ring()), format="blender")
    assert depths(blender) == (2.0, 6.0)
    assert depths(blender, near=1.0, far=9.0) == (1.0, 9.0)
    assert depths(blender, near=1.0) == (1.0, 6.0)
    told = Scene(tuple(ring(near=3.0, far=5.0)), format="blender")
    assert depths(told) == (3.0, 5.0)
    assert depths(told, far=4.5)[1] == 4.5


def test_views_that_tell_their_own_depths_keep_them() -> None:
    views = ring(2, near=3.0, far=5.0)
    made = field_views(Scene((views[0], replace(views[1], near=1.0, far=7.0))), DataOptions())
    assert [(v.near, v.far) for v in made.train] == [(3.0, 5.0), (1.0, 7.0)]
    assert (made.near, made.far) == (1.0, 7.0)


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_depths_from_points_grow_with_the_scene_and_leave_out_strays(scale: float) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (5000, 3)) * scale
    points[0] = [3.4 * scale, 0, 0]  # right before the first camera
    scene = Scene(tuple(ring(distance=4 * scale)), points=points)
    near, far = depths(scene)
    corner = 4 + np.sqrt(2)  # the farthest that anything is
    assert 0.6 * (4 - np.sqrt(2)) * scale < near < 3 * scale
    assert 5 * scale < far < 1.25 * corner * scale


def test_depths_from_the_box_and_from_where_cameras_look() -> None:
    near, far = depths(Scene(tuple(ring()), bounds=BOX))
    corner = 0.8 + 0.6  # of the box, along the axis of a camera: one horizontal side and the vertical one
    assert (near, far) == (pytest.approx(4 - corner), pytest.approx(4 + corner))
    near, far = depths(Scene(tuple(ring())))
    reach = 1.2 * 4 * 0.4  # half of the image is 0.4 wide at depth 1
    assert (near, far) == (pytest.approx(4 - reach), pytest.approx(4 + reach))
    big = Scene(tuple(ring(distance=40.0)), format="blender")  # Blender's layout, but not its scale
    assert depths(big) == (pytest.approx(40 - 10 * reach), pytest.approx(40 + 10 * reach))


def test_views_are_held_back_where_there_are_none_to_validate_on() -> None:
    scene = Scene((*ring(10), *ring(2, split="test")))
    made = field_views(scene, DataOptions(holdout=4))
    assert [v.name for v in made.val] == ["train/2.png", "train/6.png"]
    assert len(made.train) == 8
    assert [v.name for v in made.split("test")] == ["test/0.png", "test/1.png"]
    assert field_views(scene, DataOptions(holdout=0)).val == ()
    with pytest.raises(OptionError, match=r"every view would be held back in data\.holdout: expected 0, or 2 or more"):
        DataOptions(holdout=1)
    own = field_views(Scene((*ring(10), *ring(2, split="val"))), DataOptions(holdout=4))
    assert (len(own.train), [v.name for v in own.val]) == (10, ["val/0.png", "val/1.png"])
    with pytest.raises(OptionError, match="no views of this split in the scene: expected one of train, test, f"):
        field_views(scene, DataOptions(holdout=0)).split("val")


def test_a_pose_is_held_back_at_all_scales() -> None:
    views = []
    for view in ring(8, near=2.0, far=6.0):
        for level in range(2):
            camera = CAMERA.resized(SIZE >> level, SIZE >> level)
            views.append(replace(view, name=f"{view.name}_{level}", camera=camera, weight=4.0**level))
    made = field_views(Scene(tuple(views), format="multiscale"), DataOptions(holdout=8))
    assert [v.name for v in made.val] == ["train/4.png_0", "train/4.png_1"]
    assert [scale_of(v) for v in made.val] == [1, 2]


def test_no_training_views() -> None:
    with pytest.raises(SceneError) as error:
        field_views(Scene(tuple(ring(split="test"))), DataOptions())
    assert str(error.value) == "no training views in the scene: expected views of the split train, found 4 test"


def test_near_is_not_before_far() -> None:
    with pytest.raises(OptionError) as error:
        DataOptions(near=3.0, far=3.0)
    assert str(error.value) == "near is not before far in data: expected near < far, found 3.0 and 3.0"
    with pytest.raises(SceneError) as found:
        field_views(Scene(tuple(ring()), format="blender"), DataOptions(near=7.0))
    assert str(found.value) == (
        "near is not before far in the scene: expected near < far, found 7 and 6; set data.near and data.far"
    )


def test_images_of_different_sizes() -> None:
    views = ring()
    views[2] = replace(views[2], camera=CAMERA.resized(10, 12))
    with pytest.raises(SceneError) as error:
        field_views(Scene(tuple(views)), DataOptions())
    assert str(error.value) == (
        "images of different sizes in one scene in views train/0.png and train/2.png: expected 20x20, found 10x12; "
        "resize them; of one picture at several sizes, `anyview convert --to multiscale` makes a scene"
    )


def test_a_camera_that_does_not_see_the_box() -> None:
    views = ring()
    away = views[1].world_from_cam.copy()
    away[:3, 3] *= 3
    away[:3, :3] = away[:3, :3] @ np.diag([1.0, -1, -1])  # looks the other way
    views[1] = replace(views[1], world_from_cam=away)
    with pytest.raises(SceneError) as error:
        field_views(Scene(tuple(views), bounds=BOX), DataOptions(near=1.0, far=20.0))
    text = str(error.value)
    assert text.startswith("a camera sees nothing of the box of interest in view train/1.png: expected rays that meet")
    assert "(-1, -1, -1) to (1, 1, 1)" in text
    field_views(Scene(tuple(ring()), bounds=BOX), DataOptions())
    with pytest.raises(SceneError, match=r"nothing of the box of interest in view train/0.png"):
        field_views(Scene(tuple(ring())), DataOptions(near=3.9, far=6.0, bounds=(1.9, -0.1, 1.4, 2.0, 0.1, 1.6)))


def test_cameras_that_look_at_something_outside_near_and_far() -> None:
    with pytest.raises(SceneError) as error:
        field_views(Scene(tuple(ring(distance=40.0))), DataOptions(near=2.0, far=6.0))
    text = str(error.value)
    assert text.startswith("the cameras look at something outside near and far in the scene: expected depths between 2")
    assert text.endswith("set data.near and data.far")


def test_nothing_tells_how_far_the_scene_is() -> None:
    views = []
    for i, view in enumerate(ring()):
        pose = np.eye(4)
        pose[0, 3] = i
        views.append(replace(view, world_from_cam=pose))
    with pytest.raises(SceneError, match="nothing tells how far away the scene is"):
        field_views(Scene(tuple(views)), DataOptions())
    assert depths(Scene(tuple(views)), near=1.0, far=2.0) == (1.0, 2.0)


def test_options_out_of_range() -> None:
    with pytest.raises(OptionError, match=r"option out of range in data.downscale: expected 1 or more, found 0"):
        DataOptions(downscale=0)
    with pytest.raises(OptionError, match=r"the box is empty in data.bounds"):
        DataOptions(bounds=(0.0, 0.0, 0.0, 1.0, 0.0, 1.0))
