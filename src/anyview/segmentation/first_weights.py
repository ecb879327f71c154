"""What a training begins with: torchvision's weights, a file's, or those of another run."""

from __future__ import annotations

from pathlib import Path

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.train_options import SegmentationOptions
from anyview.segmentation.weights import load_body, load_state, load_weights

_COCO_OUTPUTS = 91
_KNOWN = ("COCO_V1", "IMAGENET1K_V1")


def check_first(options: SegmentationOptions) -> None:
    """Raise an OptionError where the weights that the options name are not there, before any work is done."""
    name = options.weights
    if name is not None and name not in _KNOWN and not Path(name).exists():
        raise OptionError(
            "there is no such file of weights", where=name, expected=f"{', '.join(_KNOWN)}, a file, or a run's folder"
        )


def load_first(model: MaskRCNN, options: SegmentationOptions, progress: Progress = SILENT) -> None:
    """Load the weights that the options name; none means that the random ones stay.

    Args:
        model: takes them.
        options: `weights` and `reset_heads`. The last layers of COCO_V1 are left out where classes differ, which is
            what everybody wants who trains on other things; with a file or a run, it must be said.
        progress: told where last layers begin anew.

    Raises:
        OptionError, FormatError, WorkspaceError: weights that cannot be had, are damaged or do not fit.
    """
    name = options.weights
    if name is None:
        return
    if name == "IMAGENET1K_V1":
        load_body(model, name)
    elif name == "COCO_V1":
        load_weights(model, name, reset_heads=True)
        if options.model.num_classes != _COCO_OUTPUTS:
            progress.note(f"the last layers begin anew: {options.model.num_classes - 1} classes, not COCO's")
    elif Path(name).is_dir():
        from anyview.segmentation.run import open_run

        load_state(model, open_run(Path(name)).model.state_dict(), name, options.reset_heads)
    else:
        load_weights(model, Path(name), options.reset_heads)
