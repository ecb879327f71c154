"""What the commands of all engines that learn have in common: a training's words, a run's words, and their frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from anyview.cli.command import Command


@dataclass(kw_only=True)
class Training(Command):
    """Words of a training; an engine adds its data."""

    out: Path
    """The run's folder: options, checkpoints, log, TensorBoard's curves, figures and report.html."""
    config: Path | None = None
    """Options as YAML, as a run's config.yaml has them; by default the run's own, or the defaults."""
    set: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="KEY=VALUE")] = ()
    """One option, such as loop.seed=3; may be given many times."""
    max_minutes: float | None = None
    """Train for so many minutes in all; learning rates end with them."""
    steps: int | None = None
    """Train for so many steps in all."""

    def given(self, **more: object) -> dict[str, object]:
        """Options that have words of their own, by dotted key; None where a word was not said."""
        return {**more, "loop.max_minutes": self.max_minutes, "loop.steps": self.steps}


@dataclass
class Trained(Command):
    """Words of what is done with a run."""

    folder: Positional[Annotated[Path, arg(metavar="RUN")]]
    """Folder of a training."""
    weights: Literal["best", "latest"] = field(default="best", kw_only=True)
    """Those of the best validation, or the last ones."""


@dataclass
class Engine(Command):
    """An engine's verbs; its libraries are asked for before any of them."""

    verb: Command

    def run(self) -> int:
        """Do the verb."""
        from anyview.training.extra import require_learn

        require_learn()
        return self.verb.run()
