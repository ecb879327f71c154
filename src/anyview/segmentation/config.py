"""A segmentation run's `config.yaml`, and its options from a file, a preset and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from anyview.segmentation import presets
from anyview.segmentation.train_options import SegmentationOptions
from anyview.segmentation.weight_names import COCO
from anyview.training.run_folder import config_path, read_options
from anyview.training.settings import options_file, settled

TRAIN = "anyview segment train COCO_DIR"
"""The command, for errors."""

_PRETRAINED = ("model.frozen_norms=true", "model.trained_stages=3")
"""As torchvision fine-tunes: the statistics of many images stay, and so do the first edges and textures."""

_SECOND = ("model.version=2", "model.trained_stages=3")
"""The same for the second version, whose norms all learn."""


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
    return read_options(SegmentationOptions, run, TRAIN)
