"""Poses and depths that cannot be right: views that see nothing of what is learnt, and how a user is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.errors import SceneError
from anyview.radiance.options import DataOptions
from anyview.radiance.sight import alone, beside, check_sight, out_of_range
from anyview.radiance.train import train_field
from anyview.radiance.views import FieldViews, field_views
from anyview.scene.scene import ArrayPixels, Scene, View
from small_trainee import Notes
from soft_run import small_options
from soft_scene import write_soft_scene
from tiny_scene import edit_json

CAMERA = Camera.pinhole(20, 20, 25.0, 25.0, 10.0, 10.0)
UP = np.array([0.0, 0, 1])
PIXELS = ArrayPixels(np.zeros((20, 20, 3), np.float32))


def ring(count: int = 8, split: str = "train", distance: float = 4.0) -> list[View]:
    """Around the origin, which lies at the distance; near 2, far 6."""
    angles = 2 * np.pi * np.arange(count) / count + 0.1
    eyes = distance * np.stack([0.8 * np.cos(angles), 0.8 * np.sin(angles), np.full(count, 0.6)], 1)
    return [
        View(f"{split}/{i}.png", CAMERA, look_at(eye, np.zeros(3), UP), PIXELS, split, None, 2.0, 6.0)
        for i, eye in enumerate(eyes)
    ]


def turned(view: View) -> View:
    """Looks the other way, as where the axes of a file are mistaken."""
    pose = view.world_from_cam.copy()
    pose[:3, :3] = pose[:3, :3] @ np.diag([1.0, -1, -1])
    return replace(view, world_from_cam=pose)


def scaled(view: View, by: float) -> View:
    """Its position is in other units."""
    pose = view.world_from_cam.copy()
    pose[:3, 3] *= by
    return replace(view, world_from_cam=pose)


def said(views: FieldViews) -> list[str]:
    notes: list[str] = []
    of_training = replace(views.scene, views=views.train)
    check_sight(views.train, {"val": views.val, "test": views.test}, of_training, notes.append)
    return notes


def test_good_poses_are_not_spoken_of() -> None:
    assert said(field_views(Scene((*ring(), *ring(3, "val"), *ring(5, "test"))), DataOptions())) == []
    assert said(field_views(Scene(tuple(ring(1))), DataOptions(holdout=0))) == []  # who has no others is not judged


@pytest.mark.parametrize("change", [turned, lambda view: scaled(view, 10.0)])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_one_wrong_pose_is_named(split: str, change: object) -> None:
    views = [*ring(), *ring(3, "val"), *ring(3, "test")]
    at = next(i for i, view in enumerate(views) if view.name == f"{split}/1.png")
    views[at] = change(views[at])  # type: ignore[operator]
    notes = said(field_views(Scene(tuple(views)), DataOptions()))
    assert notes[0] == (
        f"1 of {8 if split == 'train' else 3} views of the split {split} ({split}/1.png) see nothing, between near and "
        "far, that another training view sees: check their poses, and data.near and data.far"
    )


def test_many_wrong_poses_are_counted() -> None:
    views = [scaled(v, 20.0) if i < 5 else v for i, v in enumerate(ring(12))]
    (note, *_) = said(field_views(Scene(tuple(views)), DataOptions(holdout=0, near=2.0, far=6.0)))
    assert note.startswith(
        "5 of 12 views of the split train (train/0.png, train/1.png, train/2.png and others) see not"
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_in_other_units_is_refused(split: str) -> None:
    views = (*ring(), *(scaled(view, 30.0) for view in ring(3, split)))
    with pytest.raises(SceneError) as error:
        said(field_views(Scene(views), DataOptions(holdout=0)))
    assert str(error.value) == (
        f"the views of the split {split} see nothing, between near and far, that another training view sees in the "
        "scene: expected poses and depths in the same units, found depths from 2 to 6; check the poses, and set "
        "data.near and data.far"
    )


def test_depths_of_another_scale_are_refused() -> None:
    """Cameras side by side that look the same way, so no place tells; near and far end before their pictures meet."""
    views = []
    for i in range(4):
        pose = np.eye(4)
        pose[0, 3] = i
        views.append(View(f"{i}.png", CAMERA, pose, PIXELS))
    assert said(field_views(Scene(tuple(views)), DataOptions(holdout=0, near=1.0, far=8.0))) == []
    with pytest.raises(SceneError, match=r"views of the split train see nothing.* found depths from 0.01 to 0.08"):
        said(field_views(Scene(tuple(views)), DataOptions(holdout=0, near=0.01, far=0.08)))


def test_known_points_outside_near_and_far_are_refused() -> None:
    views = []
    for i in range(4):  # side by side: no place tells
        pose = np.eye(4)
        pose[0, 3] = 0.1 * i
        views.append(View(f"{i}.png", CAMERA, pose, PIXELS))
    scene = Scene(tuple(views), points=np.random.default_rng(0).uniform((-1, -1, 6), (1, 1, 8), (100, 3)))
    assert field_views(scene, DataOptions(near=6.5)).far > 7
    with pytest.raises(SceneError) as error:
        field_views(scene, DataOptions(near=50.0, far=90.0))
    text = str(error.value)
    assert text.startswith(
        "the known points lie outside near and far in the scene: expected depths between 50 and 90, "
    )
    assert text.endswith("; set data.near and data.far")


def test_a_place_before_near_is_spoken_of() -> None:
    close = scaled(ring(3, "test")[1], 0.4)
    assert [v.name for v in out_of_range([*ring(), close], Scene(tuple(ring())))] == ["test/1.png"]
    (note,) = said(field_views(Scene((*ring(), *ring(1, "val"), close)), DataOptions()))
    assert note.startswith(
        "1 of 1 views of the split test (test/1.png) have the place that the cameras look at before "
    )


def test_a_narrow_view_amid_a_wide_one_is_not_alone() -> None:
    narrow = Camera.pinhole(20, 20, 2000.0, 2000.0, 10.0, 10.0)
    views = ring(4)
    one = replace(views[0], camera=narrow, near=3.9, far=4.0)
    assert alone([one], [views[1]]) == []
    assert alone([views[1]], [one]) == []
    assert alone([one], [turned(views[1])]) == [one]


def test_reductions_of_one_picture_do_not_vouch_for_each_other() -> None:
    wrong = turned(ring()[0])
    half = replace(wrong, name="half", camera=CAMERA.resized(10, 10), weight=4.0)
    assert alone([wrong, half], [wrong, half, *ring()[1:]]) == [wrong, half]


def test_test_views_must_see_the_box_too() -> None:
    box = np.array([[-1.0, -1, -1], [1, 1, 1]])
    views = (*ring(), turned(ring(2, "test")[1]))
    assert [view.name for view in beside(views, box)] == ["test/1.png"]
    with pytest.raises(SceneError, match=r"a camera sees nothing of the box of interest in view test/1.png"):
        field_views(Scene(views, bounds=box), DataOptions())


@pytest.mark.parametrize("field", ["grid", "mip"])
def test_training_tells(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
    scene, notes = write_soft_scene(tmp_path / "scene", 4, 1, size=16, alpha=False), Notes()

    def turn(content: dict[str, list[dict[str, list[list[float]]]]]) -> None:
        matrix = np.array(content["frames"][2]["transform_matrix"])
        content["frames"][2]["transform_matrix"] = (matrix @ np.diag([-1.0, 1, -1, 1])).tolist()

    edit_json(scene / "transforms_train.json", turn)
    settings = (f"field={field}", "loop.steps=1", "data.near=2", "data.far=6")
    train_field(scene, tmp_path / "run", small_options(*settings), notes)
    assert any(
        text.startswith("1 of 4 views of the split train (train/r_2.png) see nothing, between") for text in notes.said
    )
    assert any("see nothing of the cube that the field fills" in text for text in notes.said) == (field == "grid")
