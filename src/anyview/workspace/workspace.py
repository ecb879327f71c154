"""A run's folder: atomic writes, and a record per task of what it was made from and what it made.

A task is fresh when its record carries the same key (options, inputs, algorithm version) and each of its outputs still
has the recorded content. Existence proves nothing: a file cut short by a kill or a full disk is found by its digest.
Records lie in `WORK/.anyview/tasks/NAME.json`, one small file each, written after the outputs.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anyview.errors import WorkspaceError
from anyview.formats.files import atomic_write, digest_file, explain_os_error


def fingerprint(*parts: object) -> str:
    """A short digest of JSON-like values (dicts by sorted key, floats exactly)."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    import dataclasses

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot fingerprint {type(value).__name__}")


class Task:
    """One resumable piece of work: a key of what goes in, a record of what came out."""

    def __init__(self, workspace: Workspace, name: str, key: object) -> None:
        self._workspace, self.name, self._key = workspace, name, fingerprint(key)
        self._path = workspace.root / ".anyview" / "tasks" / f"{name}.json"

    def record(self) -> dict[str, Any] | None:
        """The record if it is whole, made from the same key, and every output has its recorded content; else None."""
        try:
            record: dict[str, Any] = json.loads(self._path.read_text())
            if record["key"] != self._key:
                return None
            for relative, digest in record["outputs"].items():
                if digest_file(self._workspace.root / relative) != digest:
                    return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return record

    def recorded(self) -> dict[str, Any] | None:
        """The record as it stands, whatever its key and whether or not the outputs still match."""
        try:
            record = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) and isinstance(record.get("outputs"), dict) else None

    @property
    def fresh(self) -> bool:
        """Whether the work is done already."""
        return self.record() is not None

    def done(self, outputs: Sequence[Path], **notes: object) -> dict[str, Any]:
        """Record that the outputs are written; `notes` are JSON-like facts to be found again (counts, seconds)."""
        root = self._workspace.root
        record = {
            "key": self._key,
            "outputs": {path.relative_to(root).as_posix(): digest_file(path) for path in outputs},
            "notes": notes,
        }
        with atomic_write(self._path) as temporary:
            temporary.write_text(json.dumps(record, indent=1, sort_keys=True))
        return record

    def fingerprint(self) -> str:
        """Digest of the outputs' content, for the keys of the tasks that read them.

        Raises:
            WorkspaceError: the task has not been done, or its outputs are damaged.
        """
        record = self.record()
        if record is None:
            raise WorkspaceError("an earlier step is missing or damaged", where=f"{self._workspace.root} ({self.name})")
        return fingerprint(record["outputs"])


class Workspace:
    """A run's folder and the paths of its artefacts.

    Raises:
        WorkspaceError: the folder cannot be created or written to, or (with create=False) is not a workspace.
    """

    def __init__(self, root: str | Path, *, create: bool = True) -> None:
        self.root = Path(root)
        marker = self.root / ".anyview"
        if not create and not marker.is_dir():
            raise WorkspaceError(
                "not a workspace", where=self.root, hint="run `anyview reconstruct SCENE --out WORK` first"
            )
        try:
            (marker / "tasks").mkdir(parents=True, exist_ok=True)
            probe = marker / f"probe-{os.getpid()}-{secrets.token_hex(4)}"
            probe.write_bytes(b"ok")
            probe.unlink()
        except OSError as error:
            raise explain_os_error(error, self.root) from error

    def task(self, name: str, key: object) -> Task:
        """The task of that name ("dense/r_0.png"), made from `key` (JSON-like values, dataclasses, arrays)."""
        return Task(self, name, key)

    @property
    def scene_file(self) -> Path:
        """The scene that the stages work on: pinhole cameras, poses, image files."""
        return self.root / "scene.json"

    @property
    def database(self) -> Path:
        """COLMAP's database of keypoints, matches and two-view geometries."""
        return self.root / "database.db"

    @property
    def sparse(self) -> Path:
        """COLMAP's binary model with the triangulated points."""
        return self.root / "sparse"

    @property
    def dense(self) -> Path:
        """COLMAP's dense workspace: images/, sparse/, stereo/."""
        return self.root / "dense"

    @property
    def fused(self) -> Path:
        """The dense cloud."""
        return self.root / "fused.ply"

    @property
    def mesh(self) -> Path:
        """The mesh."""
        return self.root / "mesh.ply"

    @property
    def report(self) -> Path:
        """The self-contained page."""
        return self.root / "report.html"

    @property
    def summary(self) -> Path:
        """Numbers of the run, as JSON."""
        return self.root / "summary.json"

    def depth_map(self, name: str, kind: str = "geometric") -> Path:
        """Depth of one view in COLMAP's array format; kind is "photometric" or "geometric"."""
        return self.dense / "stereo" / "depth_maps" / f"{name}.{kind}.bin"

    def normal_map(self, name: str, kind: str = "geometric") -> Path:
        """Normals of one view in COLMAP's array format, camera frame."""
        return self.dense / "stereo" / "normal_maps" / f"{name}.{kind}.bin"

    def confidence_map(self, name: str, kind: str = "geometric") -> Path:
        """Matching cost of one view (0 best, 2 worst), in COLMAP's array format."""
        return self.dense / "stereo" / "confidence_maps" / f"{name}.{kind}.bin"

    def write_json(self, path: Path, value: Mapping[str, Any]) -> None:
        """Write JSON atomically."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(value, indent=1) + "\n")
