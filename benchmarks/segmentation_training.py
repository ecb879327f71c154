"""Seconds of a training step of torchvision's Mask R-CNN and of ours on the same batch; see segmentation.py.

A step is the five losses, the backward pass and SGD. Norms are frozen and three of the body's five stages learn, which
is how both programs begin from weights of COCO. Ours has channels last in memory, as `anyview segment train` has it;
`_bfloat16` is under autocast.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from anyview.segmentation import MaskRCNN
from segmentation_models import Peer
from turns import Stolen, in_turns, ratio

Target = dict[str, Tensor]
PEER = "torchvision"


def training(
    theirs: Peer, ours: MaskRCNN, images: Sequence[Tensor], targets: Sequence[Target], rounds: int
) -> dict[str, Any]:
    """Times and first losses of all programs."""
    programs = {}
    for name, model, reduced in (
        (PEER, theirs, False),
        ("torchvision_bfloat16", theirs, True),
        ("float32", ours, False),
        ("bfloat16", ours, True),
    ):
        own = copy.deepcopy(model).train()
        if model is ours:
            own = own.to(memory_format=torch.channels_last)
        programs[name] = step(own, images, targets, reduced)
    losses, failed = {}, {}
    for name in list(programs):
        try:
            losses[name] = programs[name]()
        except (RuntimeError, NotImplementedError) as error:
            failed[name] = str(error).splitlines()[0]
            del programs[name]
    with Stolen() as host:
        times = in_turns(programs, rounds)
    return {
        "batch": [tuple(image.shape[1:]) for image in images],
        "objects": [len(t["labels"]) for t in targets],
        "rounds": rounds,
        "stolen": host.share,
        "first_loss": losses,
        "seconds": {name: [round(s, 3) for s in t] for name, t in times.items()},
        "images_per_second": {name: round(len(images) / min(t), 3) for name, t in times.items()},
        "ratio": {name: ratio(times, name, PEER) for name in times},
        **({"failed": failed} if failed else {}),
    }


def step(
    model: nn.Module, images: Sequence[Tensor], targets: Sequence[Target], reduced: bool
) -> Callable[[], dict[str, float]]:
    """A step of a model; gives its losses."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(weights, 1e-6, momentum=0.9, weight_decay=1e-4)  # so that all steps see one network

    def run() -> dict[str, float]:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            losses = model(list(images), [dict(t) for t in targets])
        loss: Tensor = sum(losses.values(), torch.zeros(()))
        loss.backward()
        optimiser.step()
        return {name: round(float(value.detach()), 4) for name, value in losses.items()}

    return run
