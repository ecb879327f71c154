"""A segmentation run's `config.yaml`, and its options from a file, a preset and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from anyview import __version__
from anyview.errors import FormatError, WorkspaceError
from anyview.formats.files import atomic_write
from anyview.segmentation import presets
from anyview.segmentation.train_options import SegmentationOptions
from anyview.segmentation.weight_names import COCO
from anyview.training.config import from_yaml, to_yaml
from anyview.training.settings import has_checkpoints, options_file, settled

_PRETRAINED = ("model.frozen_norms=true", "model.trained_stages=3")
"""As torchvision fine-tunes: the statistics of many images stay, and so do the first edges and textures."""

_SECOND = ("model.version=2", "model.trained_stages=3")
"""The same for the second version, whose norms all learn."""


def config_path(run: Path) -> Path:
    """The file of a run's options."""
    return run / "config.yaml"


def chosen(
    run: Path, config: Path | None, preset: str | None, settings: Sequence[str], given: Mapping[str, object]
) -> SegmentationOptions:
    """Options of a training, the more particular before the more general: `given`, `settings`, the preset, the file's
    (else the run's own, else the defaults). Where no file and no run says otherwise, weights that are given freeze
    norms and the body's first stages, and those of another run bring its model's options.

    Args:
        run: the run's folder, which need not be there.
        config: YAML, as `config.yaml` in a run's folder.
        preset: one of `PRESETS`.
        settings: "KEY=VALUE", see `anyview.training.config.with_values`.
        given: by dotted key; None is not given.

    Raises:
        FormatError: the file is missing or not YAML.
        OptionError: an option or a preset is unknown, or cannot have this value.
    """
    usual = [] if preset is None else [*presets.preset(preset)]
    defaults, weights = SegmentationOptions(), given.get("weights")
    if weights is not None and options_file(run, config) is None:
        usual += _SECOND if weights in COCO and COCO[str(weights)] == 2 else _PRETRAINED
        if config_path(Path(str(weights))).is_file():
            defaults = replace(defaults, model=read_config(Path(str(weights))).model)
    return settled(defaults, run, config, [*usual, *settings], given)


def read_config(run: Path) -> SegmentationOptions:
    """The options of a run.

    Raises:
        WorkspaceError: the folder is no run.
        FormatError, OptionError: its options are damaged.
    """
    path = config_path(run)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise WorkspaceError(
            "not a run", where=run, expected="a folder with config.yaml",
            hint="run `anyview segment train COCO_DIR --out RUN` first",
        ) from None  # fmt: skip
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError("options cannot be read", where=path, actual=str(error)) from error
    return from_yaml(SegmentationOptions, text, str(path))


def write_config(run: Path, options: SegmentationOptions) -> None:
    """Write a run's options, with the version of anyview that began the run.

    Raises:
        FormatError, OptionError: the options that stand there are damaged.
        WorkspaceError: the folder cannot be written to.
    """
    path = config_path(run)
    version = read_config(run).anyview if has_checkpoints(run) and path.exists() else __version__
    with atomic_write(path) as temporary:
        temporary.write_text(to_yaml(replace(options, anyview=version)), encoding="utf-8")
