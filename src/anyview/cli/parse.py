"""Words to a command object.

Defaults depend on what was said: `--quality` chooses the preset that explicit options then override, and a single
stage starts from the options saved in its workspace. So words are read twice: once to learn which command and which of
these, once more with the right defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Annotated, Any, Union, cast

import tyro

from anyview.cli import commands
from anyview.cli.command import Command
from anyview.cli.radiance import Radiance
from anyview.cli.segmentation import Segment
from anyview.cli.superres import Superres
from anyview.errors import OptionError
from anyview.reconstruction.options import DenseOptions, FusionOptions, MeshOptions, SparseOptions

_COMMANDS: dict[str, type[Command]] = {
    "reconstruct": commands.Reconstruct,
    "sparse": commands.Sparse,
    "dense": commands.Dense,
    "fuse": commands.Fuse,
    "mesh": commands.Mesh,
    "radiance": Radiance,
    "segment": Segment,
    "superres": Superres,
    "demo": commands.Demo,
    "doctor": commands.Doctor,
    "info": commands.Info,
    "convert": commands.Convert,
    "evaluate-geometry": commands.EvaluateGeometry,
}
_PARTS = {"sparse": SparseOptions, "dense": DenseOptions, "fusion": FusionOptions, "mesh": MeshOptions}
_STAGED = ("reconstruct", "sparse", "dense", "fuse", "mesh")  # commands that take stages' options
_DESCRIPTION = "From the views you have to any view you want: clouds, meshes and radiance fields from posed images."


def parse(arguments: Sequence[str]) -> Command:
    """The command that the words ask for.

    Raises:
        OptionError: no such command.
        SystemExit: after --help or --version (code 0), or words that make no sense (code 2).
    """
    words = list(arguments)
    if words and not words[0].startswith("-") and words[0] not in _COMMANDS:
        near = get_close_matches(words[0], _COMMANDS, 1)
        raise OptionError(
            "no such command",
            expected="one of " + ", ".join(_COMMANDS),
            actual=words[0],
            hint=f"did you mean `anyview {near[0]}`?" if near else None,
        )
    if words and words[0] in _STAGED:
        words = [_with_stage(word) for word in words]
    if words == ["--version"]:
        from anyview import __version__

        print(f"anyview {__version__}")
        raise SystemExit(0)
    command = _read(words or ["--help"], {})
    defaults = command.with_defaults()
    return command if defaults is None else _read(words, {type(command): defaults})


def _read(words: Sequence[str], defaults: dict[type[Command], Command]) -> Command:
    kinds = [
        Annotated[kind, tyro.conf.subcommand(name, default=defaults.get(kind, tyro.MISSING_NONPROP))]
        for name, kind in _COMMANDS.items()
    ]
    union: Any = Union[tuple(kinds)]  # noqa: UP007 (built at run time)
    return cast(Command, tyro.cli(union, args=words, prog="anyview", description=_DESCRIPTION))


def _with_stage(word: str) -> str:
    """`--pairs` as `--sparse.pairs`: an option's stage may be left out where only one stage has that name."""
    if not word.startswith("--") or "." in word.partition("=")[0]:
        return word
    name, equals, value = word[2:].partition("=")
    bare = name.removeprefix("no-").replace("-", "_")
    stages = [stage for stage, kind in _PARTS.items() if bare in {field.name for field in fields(kind)}]
    if len(stages) != 1:
        return word
    negation = "no-" if name.startswith("no-") else ""
    return f"--{stages[0]}.{negation}{name.removeprefix('no-')}{equals}{value}"
