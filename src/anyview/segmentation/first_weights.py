"""What a training begins with: torchvision's weights, a file's, or those of another run."""

from __future__ import annotations

from pathlib import Path

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.classes import coco_classes
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.train_options import SegmentationOptions
from anyview.segmentation.trained import NormEpsilon
from anyview.segmentation.weight_names import BODY, COCO, coco_version
from anyview.segmentation.weights import HEADS, load_body, load_state, load_weights

_KNOWN = (*COCO, BODY)


def check_first(options: SegmentationOptions) -> None:
    """Raise an OptionError where the weights that the options name are not there, or of another version of the model,
    before any work is done."""
    name = options.weights
    if name in COCO:
        coco_version(name, options.model.version)
    if name is not None and name not in _KNOWN and not Path(name).exists():
        raise OptionError(
            "there is no such file of weights", where=name, expected=f"{', '.join(_KNOWN)}, a file, or a run's folder"
        )


def load_first(model: MaskRCNN, options: SegmentationOptions, progress: Progress = SILENT) -> None:
    """Load the weights that the options name; none means that the random ones stay.

    Args:
        model: takes them.
        options: `weights` and `reset_heads`. The last layers of COCO's are left out where classes differ, which is
            what everybody wants who trains on other things; with a file or a run, it must be said.
        progress: told where last layers begin anew.

    Raises:
        OptionError, FormatError, WorkspaceError: weights that cannot be had, are damaged or do not fit.
    """
    name = options.weights
    if name is None:
        return
    if name == BODY:
        load_body(model, name)
    elif name in COCO:
        own = {key: value.clone() for key, value in model.state_dict().items() if key.startswith(HEADS)}
        load_weights(model, name, reset_heads=True)
        if options.classes != coco_classes().names:
            model.load_state_dict(own, strict=False)  # as many classes are not the same classes
            progress.note(f"the last layers begin anew: {options.model.num_classes - 1} classes, not COCO's")
    elif Path(name).is_dir():
        _load_run(model, Path(name), options, progress)
    else:
        load_weights(model, Path(name), options.reset_heads)


def _load_run(model: MaskRCNN, folder: Path, options: SegmentationOptions, progress: Progress) -> None:
    """Take another run's weights, with the epsilon that its norms have learnt with."""
    from anyview.segmentation.run import open_run

    other = open_run(folder, progress=progress)
    state = other.model.state_dict()
    if options.classes != other.classes.names and len(options.classes) == len(other.classes):
        if options.reset_heads:
            state |= {key: value for key, value in model.state_dict().items() if key.startswith(HEADS)}
        else:
            before, now = (", ".join(names[1:]) for names in (other.classes.names, options.classes))
            progress.note(
                f"{folder} has as many classes, but others ({before}; here {now}): the last layers learn from there, "
                "or anew with --reset-heads"
            )
    load_state(model, state, str(folder), options.reset_heads)
    NormEpsilon(model).load_state_dict(NormEpsilon(other.model).state_dict())
