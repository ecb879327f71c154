"""Models from what users have."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from anyview.errors import FormatError, OptionError
from anyview.progress import Progress
from anyview.segmentation.data.classes import named_classes
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.options import NINE_ANCHORS, MaskRCNNOptions, ProposalOptions
from anyview.segmentation.pretrained import Pretrained, _options_of, open_pretrained
from little_coco import Notes
from mask_rcnn_pair import CLASSES, own_pair, pair

KINDS = [
    MaskRCNNOptions(),
    MaskRCNNOptions(version=2, num_classes=7),
    MaskRCNNOptions(body="resnet18", frozen_norms=True),
    MaskRCNNOptions(body="resnet34", anchors=NINE_ANCHORS),
    MaskRCNNOptions(body="resnet101", num_classes=2),
    MaskRCNNOptions(channels=48, proposals=ProposalOptions(depth=3)),
    MaskRCNNOptions(version=2, channels=16, proposals=ProposalOptions(depth=0)),
]


@pytest.mark.parametrize("options", KINDS)
def test_what_a_file_is_of(options: MaskRCNNOptions) -> None:
    with torch.device("meta"):
        state = MaskRCNN(options).state_dict()
    assert _options_of(state, Path("w.pth")) == options


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file(tmp_path: Path, suffix: str) -> None:
    theirs, mine = pair("18")
    path = tmp_path / f"w{suffix}"
    state = theirs.state_dict()
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    opened = open_pretrained(path)
    assert opened.classes.names == ("background", *(f"class {k}" for k in range(1, CLASSES)))
    assert not opened.model.training
    found = opened.model.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in mine.state_dict().items())


def test_cocos_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyview.segmentation.pretrained.load_weights", lambda *_, **__: None)
    for name, version in (("COCO_V1", 1), ("COCO_V1_V2", 2)):
        opened = open_pretrained(name)
        assert opened.model.options.version == version
        assert len(opened.classes) == opened.model.options.num_classes == 91
        assert len(opened.classes.used) == 80
        assert opened.classes.ids[90] == 90
        assert opened.classes.names[90] == "toothbrush"


def test_a_digest_is_of_the_weights() -> None:
    _, mine = own_pair("18")
    before, again = (Pretrained(mine, named_classes(["a"] * 4), "x").digest() for _ in range(2))
    with torch.no_grad():
        mine.backbone.body.conv1.weight[0, 0, 0, 0] += 1e-3
    assert before == again != Pretrained(mine, named_classes(["a"] * 4), "x").digest()


def test_no_mask_rcnn(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(FormatError, match="the file holds no Mask R-CNN"):
        open_pretrained(tmp_path / "other.pth")
    with pytest.raises(OptionError, match="there is no such file of weights"):
        open_pretrained(tmp_path / "none.pth")
    with pytest.raises(OptionError, match=r"weights of a backbone only, .* in IMAGENET1K_V1: .*; train from them"):
        open_pretrained("IMAGENET1K_V1")


def test_a_run_says_what_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(folder: Path, progress: Progress) -> SimpleNamespace:
        progress.note(f"{folder}: those of step 3 are taken")
        return SimpleNamespace(model=pair("18")[1], classes=named_classes(["a"] * 4))

    monkeypatch.setattr("anyview.segmentation.run.open_run", opened)
    notes = Notes()
    open_pretrained(tmp_path, notes=notes)
    assert notes.lines == [f"{tmp_path}: those of step 3 are taken"]
