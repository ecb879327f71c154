"""A run's `config.yaml`, and its options from a file and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from anyview import __version__
from anyview.errors import WorkspaceError
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.options import Arch
from anyview.superresolution.train_options import SuperresOptions, usual_network
from anyview.superresolution.weights import load_weights
from anyview.training.run_folder import read_options
from anyview.training.settings import options_file, settled

WEIGHTS = "weights.safetensors"
"""What a run exports, for use without the run."""

TRAIN = "anyview superres train DATA"
"""The command, for errors."""


def chosen(run: Path, config: Path | None, settings: Sequence[str], given: Mapping[str, object]) -> SuperresOptions:
    """Options of a training, the more particular before the more general: `given`, `settings`, the file's (else the
    run's own, else the defaults). Where no file and no run says otherwise, weights that are given bring their network,
    and an architecture its usual size.

    Args:
        run: the run's folder, which need not be there.
        config: YAML, as `config.yaml` in a run's folder.
        settings: "KEY=VALUE", see `anyview.training.config.with_values`.
        given: by dotted key, such as "model.arch", "model.scale", "init", "gan"; None is not given.

    Raises:
        FormatError: the file is missing or not YAML, or weights are damaged.
        OptionError: an option is unknown, or cannot have this value; weights are of another network.
    """
    defaults = SuperresOptions()
    if options_file(run, config) is None:
        arch, scale = cast("Arch | None", given.get("model.arch")), cast("int | None", given.get("model.scale"))
        if (init := given.get("init")) is not None:
            model = load_first(str(init), scale, arch).options
        else:
            model = usual_network(arch or defaults.model.arch, scale or defaults.model.scale)
        defaults = replace(defaults, model=model)
    return settled(defaults, run, config, settings, given)


def load_first(init: str, scale: int | None = None, arch: Arch | None = None) -> Upscaler:
    """The network that a training begins with.

    Args:
        init: a run's folder, a file, or a name of shipped weights.
        scale, arch: what it must be; None takes any.

    Raises:
        WorkspaceError: the run has no weights yet.
        OptionError, FormatError: as `load_weights`.
    """
    path = Path(init)
    if path.is_dir():
        path /= WEIGHTS
        if not path.is_file():
            raise WorkspaceError(
                "the run has no weights yet", where=init, expected=WEIGHTS,
                hint="train it until its first validation at least",
            )  # fmt: skip
        init = str(path)
    return load_weights(init, scale, arch)


def read_config(run: Path) -> SuperresOptions:
    """The options of a run.

    Raises:
        WorkspaceError: the folder is no run.
        FormatError, OptionError: its options are damaged.
    """
    return read_options(SuperresOptions, run, TRAIN)


def notes(options: SuperresOptions, command: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """What exported weights say of where they come from: command, data, seed, precision, and the facts as text."""
    words = {
        "anyview": __version__, "command": command, "data": options.folder, "seed": options.loop.seed,
        "precision": options.loop.precision, **facts,
    }  # fmt: skip
    return {key: str(value) for key, value in words.items() if value not in ("", None)}
