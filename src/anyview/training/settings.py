"""A training's options from a file and the command line, the more particular before the more general."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from anyview.errors import FormatError
from anyview.training.config import from_yaml, with_values

T = TypeVar("T")


def has_checkpoints(run: Path) -> bool:
    """Whether a run has come as far as a checkpoint: until then, nothing binds it to its options."""
    return any((run / "checkpoints").glob("[!.]*.safetensors"))  # those with a dot are half written


def options_file(run: Path, config: Path | None) -> Path | None:
    """The file of options that counts: the given one, else the run's own once it has checkpoints."""
    own = run / "config.yaml"
    return config if config is not None else own if own.is_file() and has_checkpoints(run) else None


def settled(
    defaults: T, run: Path, config: Path | None, settings: Sequence[str], given: Mapping[str, object] | None = None
) -> T:
    """Options of a training: the file's (else the run's own, else the defaults), then `settings`, then `given`.

    Args:
        defaults: a dataclass of options.
        run: the run's folder, which need not be there; its own options count once it has checkpoints.
        config: YAML, as `config.yaml` in a run's folder.
        settings: "KEY=VALUE", see `with_values`.
        given: by dotted key; None is not given.

    Raises:
        FormatError: the file is missing or not YAML.
        OptionError: an option is unknown or cannot have this value.
    """
    file = options_file(run, config)
    options = defaults
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            what = "no such file" if isinstance(error, FileNotFoundError) else "options cannot be read"
            raise FormatError(what, where=file) from error
        options = from_yaml(type(defaults), text, str(file))
    named = [f"{key}={json.dumps(value)}" for key, value in (given or {}).items() if value is not None]
    return with_values(options, [*settings, *named])
