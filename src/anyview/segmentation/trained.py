"""What a checkpoint of a training means, for those who write it and those who open it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.network.layers import FrozenBatchNorm

NAME: Final = "mask-rcnn"
VERSION: Final = 1
"""Of what a checkpoint's state means."""


class NormEpsilon:
    """The epsilon of a model's frozen norms, which weights may bring with them; kept with a run's state."""

    def __init__(self, model: MaskRCNN) -> None:
        self._model = model
        self._norms = [m for m in model.backbone.modules() if isinstance(m, FrozenBatchNorm)]

    def state_dict(self) -> dict[str, float | None]:
        """The value; None where no norm is frozen."""
        return {"epsilon": self._norms[0].eps if self._norms else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the value, where there is one and a norm for it."""
        if self._norms and state["epsilon"] is not None:
            epsilon = float(state["epsilon"])
            for norm in self._norms:
                norm.eps = epsilon
            self._model.options = replace(self._model.options, norm_epsilon=epsilon)
