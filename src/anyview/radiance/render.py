"""A film from a field: frames of colour and depth along a camera path, then both as films.

A frame that is done for the same checkpoint and camera is not rendered again. Each frame has a record in the folder's
`.anyview`, by which files of ours are told from others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from anyview.errors import WorkspaceError
from anyview.formats.files import atomic_write, digest_file
from anyview.formats.images import read_image, write_image
from anyview.formats.video import VideoWriter
from anyview.progress import SILENT, Progress
from anyview.radiance.colors import colored, depth_limits
from anyview.radiance.image import render_view
from anyview.radiance.paths import KINDS, camera_path
from anyview.radiance.ray_table import Shot
from anyview.radiance.run import Run, shot_depths
from anyview.training.memory import Chunk
from anyview.typing import Depth
from anyview.workspace.lock import hold
from anyview.workspace.workspace import Workspace

_SAMPLES = 2048  # depths of each frame that their scale comes from


@dataclass(frozen=True)
class Film:
    """What a rendered path has.

    Attributes:
        frames: how many.
        color, depth: the films.
        folder: of `color/NNNNN.png`, `depth/NNNNN.png` and `depth/NNNNN.npy` (z, scene units, 0 means none).
    """

    frames: int
    color: Path
    depth: Path
    folder: Path


def render_path(
    run: Run,
    kind: str,
    frames: int = 120,
    size: tuple[int, int] | None = None,
    fps: float = 30.0,
    out: Path | None = None,
    progress: Progress = SILENT,
) -> Film:
    """Render a camera path to `OUT/color.mp4`, `OUT/depth.mp4` and their frames.

    Args:
        run: from `open_run`.
        kind: "orbit", "spiral", "interpolate" or a file, see `anyview.radiance.paths.camera_path`.
        frames: how many; a file has its own.
        size: width and height, pixels; the first view's by default.
        fps: frames per second.
        out: the folder; by default `RUN/renders/KIND`, for a file `RUN/renders/STEM-DIGEST` (of its content).
        progress: told of every frame.

    Raises:
        OptionError: a path that the scene does not allow, a bad file, or films cannot be written here.
        WorkspaceError: the folder cannot be written to, holds pictures of others, or another process renders there.
    """
    path = camera_path(run.views.scene, kind, frames, size)
    out = run.folder / "renders" / _film_name(kind) if out is None else out
    near, far = shot_depths(run.views)
    camera = path[0][0]
    color, depth = (VideoWriter(out / f"{name}.mp4", camera.width, camera.height, fps) for name in ("color", "depth"))
    _refuse_strangers(out)
    workspace, chunk = Workspace(out), Chunk(run.renderer.rays_at_once, note=progress.note)
    with hold(workspace):
        with progress.stage("render", len(path)) as advance:
            for number, (camera, pose) in enumerate(path):
                _render_frame(run, Shot(camera, pose, near, far), number, workspace, chunk)
                advance()
        _remove_others(out, len(path))
        with color:
            for number in range(len(path)):
                color.write(np.rint(read_image(_color(out, number))[0] * 255).astype(np.uint8))
        low, high = _scale(out, len(path))
        with depth:
            for number in range(len(path)):
                values = np.load(_depth(out, number))
                picture = colored(values, low, high, "turbo_r", values == 0)
                with atomic_write(_depth(out, number).with_suffix(".png")) as temporary:
                    write_image(temporary, picture)
                depth.write(picture)
    return Film(len(path), color.path, depth.path, out)


def _film_name(kind: str) -> str:
    """A folder's name; files of one name, or of a kind's, are told apart by their content."""
    return kind if kind in KINDS else f"{Path(kind).stem}-{digest_file(Path(kind))[:8]}"


def _records(out: Path) -> Path:
    """Where a record lies for each frame of ours."""
    return out / ".anyview" / "tasks" / "frame"


def _color(out: Path, number: int) -> Path:
    return out / "color" / f"{number:05d}.png"


def _depth(out: Path, number: int) -> Path:
    return out / "depth" / f"{number:05d}.npy"


def _render_frame(run: Run, shot: Shot, number: int, workspace: Workspace, chunk: Chunk) -> None:
    """Colour and depth of one frame, if they are not there already."""
    task = workspace.task(f"frame/{number:05d}", (run.digest, run.background, asdict(shot)))
    if task.fresh:
        return
    seen = render_view(run.renderer, shot, chunk)
    workspace.task(task.name, None).done([])  # killed from here on, the frame is known as ours
    color, depth = _color(workspace.root, number), _depth(workspace.root, number)
    with atomic_write(color) as temporary:
        write_image(temporary, seen.rgb.clip(0, 1))
    with atomic_write(depth) as temporary:
        np.save(temporary, np.where(seen.opacity >= 0.5, seen.depth, np.float32(0)))
    task.done([color, depth])


def _scale(out: Path, frames: int) -> tuple[float, float]:
    """One scale of depth for all frames."""
    found = []
    for number in range(frames):
        depth: Depth = np.load(_depth(out, number))
        there = depth[depth > 0]
        found.append(there[:: max(len(there) // _SAMPLES, 1)])
    return depth_limits(np.concatenate(found))


def _refuse_strangers(out: Path) -> None:
    """Raise a WorkspaceError where the frames' folders hold a file that is none of ours; hidden files do not count."""
    for folder, suffixes in ((out / "color", (".png",)), (out / "depth", (".png", ".npy"))):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            ours = path.suffix in suffixes and (_records(out) / f"{path.stem}.json").is_file()
            if not ours and not path.name.startswith("."):
                raise WorkspaceError(
                    "a film's frames would mix with files that are none of its own", where=folder, actual=path.name,
                    hint="choose another --out, or move them away",
                )  # fmt: skip


def _remove_others(out: Path, frames: int) -> None:
    """Frames of a longer path that was rendered here before."""
    for record in sorted(_records(out).glob("[0-9]*.json")):
        number = int(record.stem)
        if number >= frames:
            for path in (_color(out, number), _depth(out, number), _depth(out, number).with_suffix(".png")):
                path.unlink(missing_ok=True)
            record.unlink()
