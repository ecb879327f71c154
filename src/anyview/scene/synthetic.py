"""Procedural scenes with exact geometry: the demo's input and the tests' ground truth.

Solids given by signed distance functions are sphere-traced; depth, normals and instances are exact at pixel centres,
pictures are anti-aliased. The same arguments give the same bytes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Float64, Int32, UInt8

from anyview.cameras.models import Camera
from anyview.cameras.poses import CV_FROM_GL
from anyview.errors import OptionError
from anyview.formats.files import atomic_write
from anyview.formats.images import write_image
from anyview.progress import SILENT, Progress
from anyview.scene._layouts import LAYOUTS, Stage, camera_poses
from anyview.scene.scene import ArrayPixels, Scene, View
from anyview.typing import Depth, Normals, Pose

Layout: TypeAlias = Literal["still_life", "plane", "sphere", "box", "ceramics"]

_PRETTIEST = 5  # what seed 0 stands for: a wooden table with a knot
_FIELD_OF_VIEW = math.radians(40.0)  # across the picture's shorter side


@dataclass(frozen=True, eq=False)
class Truth:
    """What a view really sees, at its pixel centres.

    Attributes:
        depth: z in the camera frame, scene units, 0 where nothing is.
        normal: unit, world frame, towards the camera; 0 where nothing is.
        instance: number of the thing, from 1; 0 where nothing is.
    """

    depth: Depth = field(repr=False)
    normal: Normals = field(repr=False)
    instance: Int32[np.ndarray, "H W"] = field(repr=False)


@dataclass(frozen=True, eq=False)
class SyntheticScene:
    """A rendered scene.

    Attributes:
        scene: its views, those of the test split last.
        truth: per view name.
        rgba: per view name, 8-bit sRGB with straight alpha; three channels where there is an environment.
    """

    scene: Scene
    truth: Mapping[str, Truth] = field(repr=False)
    rgba: Mapping[str, UInt8[np.ndarray, "H W C"]] = field(repr=False)

    @property
    def depths(self) -> dict[str, Depth]:
        """The training views' true depth, by view name."""
        return {view.name: self.truth[view.name].depth for view in self.scene if view.split == "train"}

    def write(self, folder: str | Path) -> None:
        """Write the layout of NeRF-synthetic, with the truth beside each training image as `.npz`.

        The arrays are `depth_z` (float32, z in the camera frame, infinite where nothing is), `normal_world` (int8,
        times 127) and `instance` (0 = nothing). Loading the folder gives the scene back.

        Raises:
            WorkspaceError: the folder is not writable or the disk is full.
        """
        folder = Path(folder)
        for view in self.scene:
            with atomic_write(folder / view.name) as temporary:
                write_image(temporary, self.rgba[view.name])
            if view.split == "train":
                with atomic_write((folder / view.name).with_suffix(".npz")) as temporary:
                    np.savez_compressed(temporary, **_npz_arrays(self.truth[view.name]))
        for split in ("train", "test"):
            views = [view for view in self.scene if view.split == split]
            if views:
                with atomic_write(folder / f"transforms_{split}.json") as temporary:
                    temporary.write_text(json.dumps(_transforms(views), indent=1) + "\n")


def render_scene(
    views: int = 48,
    size: tuple[int, int] = (400, 400),
    seed: int = 0,
    *,
    layout: Layout = "still_life",
    noise: float = 0.0,
    blur: float = 0.0,
    texture: float = 1.0,
    specular: float = 0.0,
    transparent: bool = True,
    test_views: int = 0,
    progress: Progress = SILENT,
) -> SyntheticScene:
    """Render a procedural scene from cameras around it.

    Args:
        views: training views, named `train/r_0.png` and so on.
        size: width and height, pixels.
        seed: chooses things, colours, places, sun and cameras.
        layout: "still_life" (things on a table), or one thing: "plane" (tilted, fills every view), "sphere" (radius 1
            at the origin), "box" (half sides 0.8, 0.6, 0.45); "ceramics" is a table of glazed, plain and printed things
            with hardly any texture.
        noise: standard deviation of the camera's noise, sRGB in [0, 1].
        blur: standard deviation of the lens' blur, pixels.
        texture: share of the surfaces that is painted; less leaves areas without texture.
        specular: strength of highlights, which move with the camera; 0 is matt, 1 is varnished.
        transparent: nothing behind the things (RGBA); otherwise ground and sky, and no mask.
        test_views: further views, between the others, named `test/r_0.png` and so on, of the split "test".
        progress: told of every view.

    Raises:
        OptionError: no views, no pixels, an unknown layout, a negative seed, or a share outside [0, 1].
    """
    _check(views, size, seed, layout, noise, blur, texture, specular, test_views)
    rng = np.random.default_rng([seed + _PRETTIEST, list(LAYOUTS).index(layout)])
    stage = LAYOUTS[layout](rng, float(texture), float(specular), not transparent)
    width, height = size
    focal = 0.5 * min(width, height) / math.tan(0.5 * _FIELD_OF_VIEW)
    camera = Camera.pinhole(width, height, focal, focal, width / 2, height / 2)
    distance = stage.radius / math.sin(0.5 * _FIELD_OF_VIEW)
    jobs: list[tuple[str, str, Pose, int]] = []
    for number, (split, count) in enumerate((("train", views), ("test", test_views))):
        poses = camera_poses(stage, count, distance, np.random.default_rng([seed, 7, number]))
        jobs += [(f"{split}/r_{i}.png", split, pose, len(jobs) + i) for i, pose in enumerate(poses)]
    progress.note("rendering; the first time, compiling takes up to a minute")

    with progress.stage("render", len(jobs)) as advance:

        def work(job: tuple[str, str, Pose, int]) -> tuple[View, Truth, UInt8[np.ndarray, "H W C"]]:
            name, split, pose, number = job
            linear, truth = render_view(stage, camera, pose)
            rgba = develop(linear, noise, blur, transparent, np.random.default_rng([seed, 11, number]))
            rgb = rgba[:, :, :3].astype(np.float32) / np.float32(255)
            pixels = ArrayPixels(rgb, rgba[:, :, 3] >= 128 if transparent else None)
            advance()
            return View(name, camera, pose, pixels, split), truth, rgba

        with ThreadPoolExecutor(_cores()) as pool:
            done = list(pool.map(work, jobs))
    scene = Scene(tuple(view for view, _, _ in done), format="synthetic", bounds=stage.bounds)
    return SyntheticScene(
        scene, {view.name: truth for view, truth, _ in done}, {view.name: rgba for view, _, rgba in done}
    )


def _check(
    views: int,
    size: tuple[int, int],
    seed: int,
    layout: str,
    noise: float,
    blur: float,
    texture: float,
    specular: float,
    test_views: int,
) -> None:
    if layout not in LAYOUTS:
        raise OptionError("no such layout", expected="one of " + ", ".join(get_args(Layout)), actual=layout)
    if views < 1 or test_views < 0 or min(size) < 1:
        actual = f"{views} views and {test_views} test views of {size[0]}x{size[1]}"
        raise OptionError("nothing to render", expected="at least one view of at least 1x1", actual=actual)
    if seed < 0:
        raise OptionError("`seed` is out of range", expected="0 or more", actual=seed)
    shares = {"noise": noise, "texture": texture, "specular": specular}
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise OptionError(f"`{name}` is out of range", expected="0 to 1", actual=value)
    if not 0 <= blur < math.inf:
        raise OptionError("`blur` is out of range", expected="0 or more pixels", actual=blur)


def render_view(stage: Stage, camera: Camera, pose: Pose) -> tuple[Float64[np.ndarray, "H W 4"], Truth]:
    """Linear RGB of the covered part with the covered share, and the truth."""
    from anyview.scene._rendering import PIXEL, VIEW, render

    view = np.array(
        [((camera.fx, camera.fy), (camera.cx, camera.cy), pose[:3, :3], pose[:3, 3])],
        VIEW,
    )[0]
    pixels = np.zeros((camera.height, camera.width), PIXEL)
    render(stage.solids, stage.light, view, pixels)
    instance = np.where(pixels["solid"] >= 0, stage.instances[pixels["solid"]], 0).astype(np.int32)
    truth = Truth(pixels["depth"].astype(np.float32), pixels["normal"].astype(np.float32), instance)
    return np.concatenate([pixels["color"], pixels["alpha"][:, :, None]], axis=2), truth


def develop(
    linear: Float64[np.ndarray, "H W 4"], noise: float, blur: float, transparent: bool, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W C"]:
    """Linear light to 8-bit sRGB with straight alpha: soft shoulder, lens blur, noise."""
    light, alpha = linear[:, :, :3], linear[:, :, 3:]
    if blur > 0:
        from scipy.ndimage import gaussian_filter

        covered = gaussian_filter(light * alpha, (blur, blur, 0), mode="nearest")
        alpha = gaussian_filter(alpha, (blur, blur, 0), mode="nearest")
        light = np.divide(covered, alpha, out=np.zeros_like(covered), where=alpha > 1e-6)
    # Linear up to 0.6, then bent so that 1.8 and more become white.
    over = np.maximum(light - 0.6, 0)
    light = np.minimum(light, 0.6) + over / (1 + over / 0.4)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    if noise > 0:
        srgb = srgb + rng.normal(0, noise, srgb.shape)
    channels = np.concatenate([srgb, alpha], axis=2) if transparent else srgb
    pixels: UInt8[np.ndarray, "H W C"] = (np.clip(channels, 0, 1) * 255 + 0.5).astype(np.uint8)
    if transparent:
        pixels[pixels[:, :, 3] == 0] = 0
    return pixels


def _npz_arrays(truth: Truth) -> dict[str, Any]:
    small = truth.instance.max(initial=0) < 256
    return {
        "depth_z": np.where(truth.depth > 0, truth.depth, np.float32(np.inf)),
        "normal_world": np.rint(truth.normal * 127).astype(np.int8),
        "instance": truth.instance.astype(np.uint8) if small else truth.instance,
    }


def _transforms(views: list[View]) -> dict[str, Any]:
    """The JSON of NeRF-synthetic; poses in Blender's axes."""
    camera = views[0].camera
    return {
        "camera_angle_x": 2 * math.atan(0.5 * camera.width / camera.fx),
        "frames": [
            {
                "file_path": "./" + view.name.removesuffix(".png"),
                "transform_matrix": (view.world_from_cam @ CV_FROM_GL).tolist(),
            }
            for view in views
        ],
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
