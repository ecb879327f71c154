"""A run's folder opened for use: its options, and its network with the trained weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from anyview.progress import SILENT, Progress
from anyview.superresolution.build import build, without_weight_norm
from anyview.superresolution.config import TRAIN, read_config
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.train_options import SuperresOptions
from anyview.superresolution.trainee import NAME, VERSION
from anyview.training.run_folder import averaged, check_model, fits_the_model, wanted_checkpoint


@dataclass(frozen=True, eq=False)
class SuperresRun:
    """A run that has something to show.

    Attributes:
        network: in eval mode, on the processor, without weight norm; with the average of the weights where the run has
            one.
        options: that it was trained with.
        folder: where it lies.
        step: steps that its weights have seen.
        minutes: of training until then.
        figures: of the validation before the checkpoint.
    """

    network: Upscaler = field(repr=False)
    options: SuperresOptions
    folder: Path
    step: int
    minutes: float
    figures: dict[str, float]


def open_run(
    run: Path | str, checkpoint: Literal["best", "latest"] | None = None, progress: Progress = SILENT
) -> SuperresRun:
    """A run's weights, ready to use.

    Args:
        run: the folder.
        checkpoint: that of the best validation, or the last one; None is the best, but the last of a GAN, whose PSNR
            falls as images get crisper. Without a whole best one, the last is taken, and said.
        progress: told where another checkpoint than the wanted is taken.

    Raises:
        WorkspaceError: no run, nothing trained, or weights of another model or version.
        FormatError, OptionError: options or all checkpoints are damaged.
    """
    run = Path(run)
    options = read_config(run)
    found = wanted_checkpoint(run, checkpoint or ("latest" if options.gan else "best"), TRAIN, progress)
    check_model(found, run, NAME, VERSION)
    network = build(options.model)
    with fits_the_model(found.path):
        network.load_state_dict(averaged(found.state["trainee"], "network"))
        record = found.meta["run"]
        step, minutes, figures = int(record["step"]), float(record["seconds"]) / 60, dict(record["figures"])
    return SuperresRun(without_weight_norm(network).eval(), options, run, step, minutes, figures)
