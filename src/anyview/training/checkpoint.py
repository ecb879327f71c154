"""Checkpoints: one safetensors file each, with everything that a run needs to go on, and nothing that can be executed.

Tensors lie in the file as such; the structure around them, and the run's own facts, are JSON in the file's metadata. A
digest over all of it is stored and checked, so a flipped bit or a file cut short is found.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from anyview.errors import FormatError, is_out_of_memory
from anyview.formats.files import atomic_write
from anyview.training.tree import flatten, restore

_VERSION = "1"
_NAME = re.compile(r"step_(\d{8,})\.safetensors")


def save_checkpoint(path: Path, state: Any, meta: Mapping[str, Any]) -> None:
    """Write a state and facts about it, whole or not at all.

    Args:
        path: the file.
        state: nested dicts, lists and tuples of tensors (any device, layout and dtype), numbers, strings, None.
        meta: JSON-like: the model's name and version, the step, options. Tuples come back as lists.

    Raises:
        WorkspaceError: the disk is full or the folder is not writable; an earlier file is as it was.
        TypeError: something in the state or meta cannot be kept.
    """
    tree, tensors = flatten(state)
    words = {"state": json.dumps(tree, allow_nan=False), "meta": json.dumps(meta)}
    words |= {"anyview_checkpoint": _VERSION, "digest": _digest(words, tensors)}
    write_tensors(path, tensors, words)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> None:
    """Write a safetensors file, whole or not at all.

    Args:
        path: the file.
        tensors: contiguous, on the processor.
        words: the file's metadata.

    Raises:
        WorkspaceError: the disk is full or the folder is not writable; an earlier file is as it was.
    """
    with atomic_write(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(dict(tensors), temporary, metadata=dict(words))
        except SafetensorError as error:  # an OSError in Rust's words
            number = re.search(r"os error (\d+)|code: (\d+)", str(error))
            raise OSError(*([int(number[1] or number[2])] if number else []), str(error)) from error
        temporary.chmod(mode)  # safetensors makes a file of its own that only the owner may read


def load_checkpoint(path: Path) -> tuple[Any, dict[str, Any]]:
    """The state, its tensors on the CPU, and the facts. Nothing in the file is executed.

    Raises:
        FormatError: the file is missing, damaged or cut short, or is no checkpoint of anyview.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            words = dict(file.metadata() or {})
            # the file's pages would change with the file: copies stay as they were read
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # Rust and torch raise what they like
        if is_out_of_memory(error):
            raise
        missing = isinstance(error, FileNotFoundError)
        what = "checkpoint is missing" if missing else "checkpoint is damaged or cut short"
        raise FormatError(what, where=path, actual=None if missing else " ".join(str(error).split())) from error
    if words.pop("anyview_checkpoint", None) != _VERSION or not {"state", "meta", "digest"} <= words.keys():
        raise FormatError(
            "not a checkpoint of anyview", where=path, expected=f"version {_VERSION} in its metadata",
            actual=", ".join(sorted(words)) or "no metadata",
        )  # fmt: skip
    noted, found = words.pop("digest"), _digest(words, tensors)
    if noted != found:
        raise FormatError("checkpoint is damaged", where=path, expected=f"digest {noted}", actual=found)
    try:
        return restore(json.loads(words["state"]), tensors), json.loads(words["meta"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(
            "not a checkpoint of anyview", where=path, actual=f"{type(error).__name__}: {error}"
        ) from error


class Found(NamedTuple):
    """A whole checkpoint."""

    state: Any
    meta: dict[str, Any]
    path: Path


class Checkpoints:
    """A run's folder of checkpoints: the newest few, and the best.

    Args:
        folder: made when first written to.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, max(keep, 1)

    @property
    def best(self) -> Path:
        """The file of the best; it need not be there."""
        return self.folder / "best.safetensors"

    def path(self, step: int) -> Path:
        """The file of a step."""
        return self.folder / f"step_{step:08d}.safetensors"

    def save(self, step: int, state: Any, meta: Mapping[str, Any]) -> Path:
        """Write the checkpoint of a step; older ones beyond `keep` go when it is in place, and so do those of later
        steps: they are damaged, or from a past that this run has not had.

        Raises:
            WorkspaceError: as `save_checkpoint`; nothing is removed then.
        """
        path = self.path(step)
        save_checkpoint(path, state, meta)
        steps = self._steps()
        kept = [s for s in steps if s <= step][-self.keep :]
        for old in set(steps) - set(kept):
            self.path(old).unlink(missing_ok=True)
        return path

    def save_best(self, state: Any, meta: Mapping[str, Any]) -> Path:
        """Write the best checkpoint, in the place of the one before.

        Raises:
            WorkspaceError: as `save_checkpoint`.
        """
        save_checkpoint(self.best, state, meta)
        return self.best

    def latest(self, note: Callable[[str], None]) -> Found | None:
        """The newest that is whole, the best where none of a step is, or None where there is nothing.

        Args:
            note: told in one sentence where a damaged one had to be left aside.

        Raises:
            FormatError: there are some, and all are damaged.
        """
        damaged: list[FormatError] = []
        there = {f"step {step}": self.path(step) for step in reversed(self._steps())}
        if self.best.exists():
            there[self.best.name] = self.best  # it holds the full state of its step
        for name, path in there.items():
            try:
                found = Found(*load_checkpoint(path), path)
            except FormatError as error:
                damaged.append(error)
                continue
            for left in damaged:
                note(f"{left}; going on from {name}")
            return found
        if not damaged:
            return None
        raise FormatError(
            "all checkpoints are damaged", where=self.folder, actual=str(damaged[0]),
            hint="remove that folder to train from the start, or choose another --out",
        ) from damaged[0]  # fmt: skip

    def _steps(self) -> list[int]:
        """Rising."""
        names = (_NAME.fullmatch(path.name) for path in self.folder.glob("step_*.safetensors"))
        return sorted(int(name[1]) for name in names if name)


def _digest(words: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for key in ("state", "meta"):
        digest.update(f"{key} {len(words[key])} {words[key]}".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
