"""Writes small scenes to disk in every layout, by hand: nothing here uses anyview's own writers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

SIZE = (12, 8)


def gl_pose(number: int) -> np.ndarray:
    """world_from_cam in OpenGL's axes, different for every number."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0.3 * number, 0.5 - 0.2 * number, 0.1]).as_matrix()
    pose[:3, 3] = [number, 2 * number - 1, 4.0]
    return pose


def cv_pose(number: int) -> np.ndarray:
    """The same, OpenCV's axes: y and z of the camera turned round."""
    pose = gl_pose(number)
    pose[:3, 1:3] *= -1
    return pose


def save_image(path: Path, number: int = 0, *, alpha: bool = False, size: tuple[int, int] = SIZE) -> None:
    """Noise that differs by number; with alpha, the left half is the object (51 % opaque), the right is not (49 %)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 4 if alpha else 3)).astype(np.uint8)
    if alpha:
        pixels[..., 3] = np.where(np.arange(size[0]) < size[0] // 2, 130, 125)
    Image.fromarray(pixels).save(path)


def save_mask(path: Path, *, bright: int = 255, size: tuple[int, int] = SIZE) -> None:
    """Bright in the upper half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.where(np.arange(size[1]) < size[1] // 2, bright, 0).astype(np.uint8)
    Image.fromarray(np.repeat(rows[:, None], size[0], axis=1)).save(path)


def frame(number: int, path: str, **values: Any) -> dict[str, Any]:
    """An entry of `frames`."""
    return {"file_path": path, "transform_matrix": gl_pose(number).tolist(), **values}


def write_json(path: Path, content: Any) -> Path:
    """Write it; gives the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path.parent


def blender(folder: Path, *, extension: bool = False) -> Path:
    """Two train views, one of each other split, RGBA."""
    number = 0
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        frames = []
        for i in range(count):
            save_image(folder / split / f"r_{i}.png", number, alpha=True)
            frames.append(frame(number, f"./{split}/r_{i}" + (".png" if extension else "")))
            number += 1
        write_json(folder / f"transforms_{split}.json", {"camera_angle_x": 0.8, "frames": frames})
    return folder


def nerfstudio(folder: Path, frames: list[dict[str, Any]] | None = None, **shared: Any) -> Path:
    """Two views in `images/`."""
    for i in range(2):
        save_image(folder / "images" / f"{i}.png", i)
    frames = [frame(i, f"images/{i}.png") for i in range(2)] if frames is None else frames
    return write_json(folder / "transforms.json", {"fl_x": 10.0, **shared, "frames": frames})


def colmap(
    folder: Path, camera: str = "PINHOLE 12 8 10 11 6.5 4.25", model: str = "sparse", names: str = "{}.png"
) -> Path:
    """Two views in `images/` and a text model; the second image comes first in the file."""
    (folder / model).mkdir(parents=True, exist_ok=True)
    (folder / model / "cameras.txt").write_text(f"1 {camera}\n")
    lines = []
    for i in (1, 0):
        save_image(folder / "images" / names.format(i), i)
        pose = np.linalg.inv(cv_pose(i))
        quaternion = Rotation.from_matrix(pose[:3, :3]).as_quat(scalar_first=True)
        words = [i + 1, *quaternion.tolist(), *pose[:3, 3].tolist(), 1, names.format(i)]
        lines += [" ".join(map(str, words)), ""]
    (folder / model / "images.txt").write_text("\n".join(lines) + "\n")
    (folder / model / "points3D.txt").write_text("1 0.5 1.5 2.5 9 8 7 0.1\n2 1 2 3 9 8 7 0.1\n")
    return folder
