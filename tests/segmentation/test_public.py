"""The names that others rely on."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import anyview.segmentation as segmentation

SIGNATURES = {
    "mask_rcnn_resnet50_fpn": ["num_classes", "weights", "options", "reset_heads", "progress"],
    "mask_rcnn_resnet50_fpn_v2": ["num_classes", "weights", "options", "reset_heads", "progress"],
    "generate_base_anchors": ["sizes", "ratios"],
    "mask_rcnn_from_backbone": ["backbone", "num_classes", "options", "region_maps"],
    "MaskRCNN": ["options", "backbone", "region_maps"],
}


def test_names() -> None:
    assert set(segmentation.__all__) == set(SIGNATURES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = segmentation.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters_and_words(name: str) -> None:
    thing = getattr(segmentation, name)
    assert thing.__name__ == name
    assert len(inspect.getdoc(thing) or "") > 50
    assert list(inspect.signature(thing).parameters) == SIGNATURES[name]


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, anyview.segmentation.options\nprint(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert not loaded & {"torch", "torchvision", "numpy", "jaxtyping"}
