"""A run's folder as every engine opens it: its options, the wanted checkpoint, the averaged weights.

Nothing here loads the training loop, whose library takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from anyview import __version__
from anyview.errors import FormatError, WorkspaceError
from anyview.formats.files import atomic_write
from anyview.progress import SILENT, Progress
from anyview.training.checkpoint import Checkpoints, Found, load_checkpoint
from anyview.training.config import from_yaml, to_yaml
from anyview.training.settings import has_checkpoints

T = TypeVar("T")


@runtime_checkable
class RunOptions(Protocol):
    """A dataclass of options that says which version of anyview began the run."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def anyview(self) -> str:
        """The version."""


def config_path(run: Path) -> Path:
    """The file of a run's options."""
    return run / "config.yaml"


def read_options(kind: type[T], run: Path, train: str) -> T:
    """The options of a run.

    Args:
        kind: the dataclass.
        run: the folder.
        train: the command that makes such runs, for errors.

    Raises:
        WorkspaceError: the folder is no run.
        FormatError, OptionError: its options are damaged.
    """
    path = config_path(run)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise WorkspaceError(
            "not a run", where=run, expected="a folder with config.yaml", hint=f"run `{train} --out RUN` first"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError("options cannot be read", where=path, actual=str(error)) from error
    return from_yaml(kind, text, str(path))


def write_options(run: Path, options: RunOptions) -> None:
    """Write a run's options, with the version of anyview that began the run.

    Whether a run that has begun may have these options is for its checkpoints to say, and has been asked before.

    Raises:
        FormatError, OptionError: the options that stand there are damaged.
        WorkspaceError: the folder cannot be written to.
    """
    path = config_path(run)
    begun = has_checkpoints(run) and path.exists()
    version = read_options(type(options), run, "anyview").anyview if begun else __version__
    with atomic_write(path) as temporary:
        temporary.write_text(to_yaml(replace(options, anyview=version)), encoding="utf-8")


def wanted_checkpoint(run: Path, which: Literal["best", "latest"], train: str, progress: Progress = SILENT) -> Found:
    """State, facts and file of the wanted checkpoint, or of the newest whole one.

    Args:
        run: the folder.
        which: that of the best validation, or the last one.
        train: the command that makes such runs, for errors.
        progress: told where another checkpoint than the wanted is taken.

    Raises:
        WorkspaceError: nothing is trained yet.
        FormatError: all checkpoints are damaged.
    """
    checkpoints = Checkpoints(run / "checkpoints")
    damaged = None
    if which == "best":
        try:
            return Found(*load_checkpoint(checkpoints.best), checkpoints.best)
        except FormatError as error:
            damaged = error if checkpoints.best.exists() else None
    found = checkpoints.latest(progress.note)
    if found is None:
        raise WorkspaceError("nothing is trained yet", where=run, hint=f"run `{train}` on it first")
    if which == "best":
        why = "this run has no best weights" if damaged is None else str(damaged)
        progress.note(f"{why}; those of step {found.meta['run']['step']} are taken")
    return found


def averaged(state: Mapping[str, Any], key: str) -> dict[str, Tensor]:
    """A network's state dict from a trainee's state: the average's weights (`ema`), where there is one.

    Raises:
        KeyError: the state has no such network.
    """
    weights: dict[str, Tensor] = dict(state[key])
    average = state.get("ema")
    return weights if average is None else {**weights, **average["averages"]}


def check_model(found: Found, run: Path, name: str, version: int) -> None:
    """Raise a WorkspaceError where a checkpoint is of another model, or of another version of it."""
    wanted, actual = (name, version), (found.meta.get("model"), found.meta.get("version"))
    if actual != wanted:
        raise WorkspaceError(
            "the checkpoint is of another model", where=run, expected=f"{name}, version {version}",
            actual=f"{actual[0]}, version {actual[1]}", hint="train it again with another --out",
        )  # fmt: skip


@contextmanager
def fits_the_model(path: Path) -> Iterator[None]:
    """Say of what state and model raise when they do not fit: this checkpoint is of another one.

    Raises:
        WorkspaceError: in the place of KeyError, RuntimeError, TypeError and ValueError.
    """
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WorkspaceError(
            "the checkpoint does not fit the model", where=path, actual=" ".join(str(error).split())[:200],
            hint="config.yaml has been changed, or the file is of another run",
        ) from error  # fmt: skip
