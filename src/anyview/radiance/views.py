"""The views that a field is trained and judged on, each with its near and far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from anyview.errors import OptionError, SceneError
from anyview.radiance.depths import box_of_interest, check_bounds, depth_range
from anyview.radiance.options import DataOptions
from anyview.scene.scene import Scene, View
from anyview.workspace.workspace import fingerprint


@dataclass(frozen=True, eq=False)
class FieldViews:
    """Views by what they are for; no view is in two splits.

    Attributes:
        scene: all of them.
        train: to learn from.
        val: to choose the best weights by; held back from training where the scene has none of its own.
        test: for the last figures.
        near, far: depths that hold for the whole scene, scene units.
        multiscale: whether the views are reductions of one another, so that sizes may differ.
    """

    scene: Scene
    train: tuple[View, ...]
    val: tuple[View, ...]
    test: tuple[View, ...]
    near: float
    far: float
    multiscale: bool

    def split(self, name: str) -> tuple[View, ...]:
        """The views of a split.

        Raises:
            OptionError: there are none.
        """
        there = {split: getattr(self, split) for split in ("train", "val", "test") if getattr(self, split)}
        if name not in there:
            raise OptionError(
                "no views of this split", where=self.scene.root or "the scene",
                expected="one of " + ", ".join(there), actual=name,
            )  # fmt: skip
        return there[name]

    def fingerprint(self) -> str:
        """Digest of cameras, poses, depths and names; not of the pixels."""
        key = [
            (v.name, v.camera, v.world_from_cam, v.near, v.far, v.weight) for v in (*self.train, *self.val, *self.test)
        ]
        return fingerprint(key)

    def pixels_fingerprint(self) -> str | None:
        """Digest of the files of all images that are trained on and validated with, in about a second per gigabyte.

        None where one cannot be read: whoever decodes it has the words for that.
        """
        try:
            return fingerprint([(v.name, v.pixels.fingerprint()) for v in (*self.train, *self.val)])
        except OSError:
            return None


def scale_of(view: View) -> int:
    """How much smaller than its original a view's image is, per side: its pixels weigh the square of that."""
    return max(round(view.weight**0.5), 1)


def field_views(scene: Scene, data: DataOptions) -> FieldViews:
    """Splits and depths of a scene. No image is opened.

    Raises:
        SceneError: no training views, images of different sizes, depths that are unknown or impossible, or a camera
            that does not see the box of interest.
    """
    where = scene.root or "the scene"
    by_split = {name: tuple(v for v in scene if v.split == name) for name in ("train", "val", "test")}
    train, val, test = by_split.values()
    if not train:
        raise SceneError(
            "no training views", where=where, expected="views of the split train",
            actual=", ".join(f"{len(views)} {name}" for name, views in by_split.items() if views),
        )  # fmt: skip
    multiscale = scene.format == "multiscale"
    if not multiscale:
        _check_sizes((*train, *val, *test))
    if not val:
        train, val = _hold_back(train, data.holdout)
    near, far = depth_range(replace(scene, views=train), data)

    def with_depths(views: Iterable[View]) -> tuple[View, ...]:
        return tuple(
            replace(
                v,
                near=near if data.near is not None or v.near is None else v.near,
                far=far if data.far is not None or v.far is None else v.far,
            )
            for v in views
        )

    made = FieldViews(scene, with_depths(train), with_depths(val), with_depths(test), near, far, multiscale)
    box = box_of_interest(scene, data)
    if box is not None:
        check_bounds((*made.train, *made.val, *made.test), box)
    return made


def _check_sizes(views: tuple[View, ...]) -> None:
    first = views[0]
    for view in views:
        if (view.camera.width, view.camera.height) != (first.camera.width, first.camera.height):
            raise SceneError(
                "images of different sizes in one scene", where=f"views {first.name} and {view.name}",
                expected=f"{first.camera.width}x{first.camera.height}",
                actual=f"{view.camera.width}x{view.camera.height}",
                hint="resize them; of one picture at several sizes, `anyview convert --to multiscale` makes a scene",
            )  # fmt: skip


def _hold_back(train: tuple[View, ...], every: int) -> tuple[tuple[View, ...], tuple[View, ...]]:
    """Training views, and every n-th pose's; a pose's images of all scales stay together."""
    if every < 1:
        return train, ()
    numbers: dict[bytes, int] = {}
    for view in train:
        numbers.setdefault(view.world_from_cam.tobytes(), len(numbers))
    held = {pose for pose, number in numbers.items() if number % every == every // 2}
    return (
        tuple(v for v in train if v.world_from_cam.tobytes() not in held),
        tuple(v for v in train if v.world_from_cam.tobytes() in held),
    )
