"""A model and its classes from what a user has: a name, a file of torchvision's, or the folder of a training run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from torch import Tensor

from anyview.errors import FormatError
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.classes import Classes, coco_classes, named_classes
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.network.state_keys import new_name
from anyview.segmentation.options import NINE_ANCHORS, AnchorOptions, Body, MaskRCNNOptions, ProposalOptions
from anyview.segmentation.weight_names import COCO, refuse_body
from anyview.segmentation.weights import load_weights, read_state

_BODIES: Final[dict[tuple[bool, int], Body]] = {
    (False, 2): "resnet18",
    (False, 6): "resnet34",
    (True, 6): "resnet50",
    (True, 23): "resnet101",
}
"""By whether blocks have three convolutions, and how many blocks the third layer has."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A model that can be used, in eval mode.

    Attributes:
        model: with its weights.
        classes: what its labels mean.
        source: where it came from, as the user said it.
    """

    model: MaskRCNN
    classes: Classes
    source: str

    def digest(self) -> str:
        """Of all weights and options: the same for the same function."""
        digest = hashlib.blake2b(repr(self.model.options).encode(), digest_size=16)
        for name, tensor in self.model.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def open_pretrained(weights: str | Path, progress: bool = True, notes: Progress = SILENT) -> Pretrained:
    """A model by a word of the user's.

    Args:
        weights: "COCO_V1" or "COCO_V1_V2", downloaded once; a file (.pth, .safetensors) of torchvision's Mask R-CNN
            with any ResNet of ours, where 91 classes are taken for COCO's and others have no names; or the folder of
            `anyview segment train`, whose best weights are taken.
        progress: whether a download draws a bar.
        notes: told where a run has no best weights, and others are taken.

    Raises:
        OptionError: no such file, no connection, weights of another model, or of a backbone only.
        FormatError: the file is damaged, or no Mask R-CNN's.
    """
    refuse_body(str(weights))
    if str(weights) in COCO:
        version = COCO[str(weights)]
        model = MaskRCNN(MaskRCNNOptions(version=version, frozen_norms=version == 1))
        load_weights(model, weights, progress=progress)
        return Pretrained(model.eval(), coco_classes(), str(weights))
    path = Path(weights)
    if path.is_dir():
        from anyview.segmentation.run import open_run  # type: ignore[import-not-found, unused-ignore]

        run = open_run(path, progress=notes)
        return Pretrained(run.model.eval(), run.classes, str(path))
    options = _options_of({new_name(name): tensor for name, tensor in read_state(path).items()}, path)
    model = MaskRCNN(options)
    load_weights(model, path)
    count = options.num_classes
    known = coco_classes()
    classes = known if count == len(known) else named_classes([f"class {label}" for label in range(1, count)])
    return Pretrained(model.eval(), classes, str(path))


def _options_of(state: dict[str, Tensor], path: Path) -> MaskRCNNOptions:
    """What a model is made of, by the names and shapes of its tensors."""
    try:
        classes = len(state["roi_heads.box_predictor.cls_score.weight"])
        anchors = len(state["rpn.head.cls_logits.weight"])
        blocks = len({name.split(".")[3] for name in state if name.startswith("backbone.body.layer3.")})
        body = _BODIES["backbone.body.layer1.0.conv3.weight" in state, blocks]
        channels = len(state["backbone.fpn.layer_blocks.0.0.weight"])
    except KeyError as error:
        raise FormatError(
            "the file holds no Mask R-CNN", where=path, expected="a state dict as torchvision's maskrcnn_* models have",
            hint="pass COCO_V1, COCO_V1_V2, or the folder of `anyview segment train`",
        ) from error  # fmt: skip
    depth = len({name for name in state if name.startswith("rpn.head.conv.") and name.endswith(".weight")})
    version: Literal[1, 2] = 2 if "backbone.fpn.inner_blocks.0.1.weight" in state else 1
    return MaskRCNNOptions(
        num_classes=classes,
        body=body,
        version=version,
        channels=channels,
        proposals=ProposalOptions(depth=None if depth == version else depth),
        frozen_norms="backbone.body.bn1.num_batches_tracked" not in state,
        anchors=NINE_ANCHORS if anchors == 9 else AnchorOptions(),
    )
