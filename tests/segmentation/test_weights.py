"""Weights from a server, from files, of other times and other numbers of classes."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import resnet18

from anyview.errors import FormatError, OptionError
from anyview.segmentation import MaskRCNN, build, weights
from anyview.segmentation.network.layers import FrozenBatchNorm
from anyview.segmentation.network.state_keys import has_old_names, new_name
from anyview.segmentation.options import MaskRCNNOptions
from anyview.segmentation.weights import load_body, load_weights
from mask_rcnn_pair import OPTIONS, ours

SMALL = replace(OPTIONS, body="resnet18", frozen_norms=True)


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As torchvision's file of 2019 has them."""
    names = {
        r"(_blocks\.\d)\.0\.": r"\1.",
        r"head\.conv\.0\.0\.": "head.conv.",
        r"mask_head\.(\d)\.0\.": lambda m: f"mask_head.mask_fcn{int(m[1]) + 1}.",
    }
    for pattern, old in names.items():
        state = {re.sub(pattern, old, name): tensor for name, tensor in state.items()}
    return state


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and its address; downloads go to another folder."""
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


def published(folder: Path, state: dict[str, Tensor]) -> str:
    """The name of the file, with its hash."""
    torch.save(state, folder / "state.pth")
    digest = hashlib.sha256((folder / "state.pth").read_bytes()).hexdigest()[:8]
    return (folder / "state.pth").rename(folder / f"small-{digest}.pth").name


def test_a_download_of_old_names(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, address = server
    source = MaskRCNN(SMALL)
    state = old_names(source.state_dict())
    assert len(state.keys() - source.state_dict().keys()) == 2 * (8 + 1 + 4)
    name = published(folder, state)
    monkeypatch.setitem(weights.COCO_V1, 1, f"{address}/{name}")
    model = MaskRCNN(SMALL)
    load_weights(model, "COCO_V1", progress=False)
    assert same(model.state_dict(), source.state_dict())
    assert {m.eps for m in model.modules() if isinstance(m, FrozenBatchNorm)} == {0.0}
    assert model.options.norm_epsilon == 0
    (folder / name).unlink()
    load_weights(MaskRCNN(SMALL), "COCO_V1", progress=False)  # from the folder of downloads


def test_a_classifiers_body(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, address = server
    classifier = resnet18()
    monkeypatch.setitem(weights.IMAGENET, "resnet18", f"{address}/{published(folder, classifier.state_dict())}")
    model = MaskRCNN(SMALL)
    load_body(model, progress=False)
    wanted = classifier.state_dict()
    found = model.backbone.body.state_dict()
    assert len(found) == len(wanted) - 2 - sum(name.endswith("num_batches_tracked") for name in wanted)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())
    with pytest.raises(OptionError, match=r"not this model's .*layer1.0.conv1.weight .64, 64, 3, 3., here"):
        load_body(MaskRCNN(replace(SMALL, body="resnet50")), next(folder.glob("*.pth")))


def test_a_damaged_download(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, address = server
    (folder / "small-01234567.pth").write_bytes(b"not what was promised")
    monkeypatch.setitem(weights.COCO_V1, 1, f"{address}/small-01234567.pth")
    with pytest.raises(FormatError, match=r"download of weights is damaged in http.*hash.*; run it again"):
        load_weights(MaskRCNN(SMALL), "COCO_V1", progress=False)


def test_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setitem(weights.COCO_V1, 1, "http://127.0.0.1:1/small-01234567.pth")
    with pytest.raises(OptionError, match=r"cannot be downloaded in http.*refused.*bring the file from another one"):
        load_weights(MaskRCNN(SMALL), "COCO_V1", progress=False)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_files(tmp_path: Path, name: str) -> None:
    source, model = MaskRCNN(SMALL), MaskRCNN(SMALL)
    path = tmp_path / name
    state = source.state_dict()
    if name == "w.pth":
        torch.save({"model": state, "epoch": 3}, path)  # as torchvision's training script does
    else:
        save_file(state, path)
    load_weights(model, path)
    assert same(model.state_dict(), state)
    assert {m.eps for m in model.modules() if isinstance(m, FrozenBatchNorm)} == {1e-5}


class _Code:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    model = MaskRCNN(SMALL)
    with pytest.raises(OptionError, match=r"no such file of weights in .*none.pth: expected a path, or"):
        load_weights(model, tmp_path / "none.pth")
    for name, content in (("a.pth", b""), ("b.pth", b"junk"), ("c.safetensors", b"junk")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match="the file of weights cannot be read"):
            load_weights(model, tmp_path / name)
    torch.save({"x": _Code(tmp_path / "ran")}, tmp_path / "code.pth")
    with pytest.raises(FormatError, match="the file of weights cannot be read"):
        load_weights(model, tmp_path / "code.pth")
    assert not (tmp_path / "ran").exists()
    torch.save({1: torch.ones(2)}, tmp_path / "numbers.pth")
    with pytest.raises(FormatError, match=r"no state dict .*expected tensors by name, found dict"):
        load_weights(model, tmp_path / "numbers.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(FormatError, match=r"no state dict .*expected tensors by name, found list"):
        load_weights(model, tmp_path / "list.pth")


def test_another_number_of_classes(tmp_path: Path) -> None:
    source, model = MaskRCNN(replace(SMALL, num_classes=7)), MaskRCNN(SMALL)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    path = tmp_path / "seven.safetensors"
    save_file(source.state_dict(), path)
    with pytest.raises(OptionError, match="another number of classes") as error:
        load_weights(model, path)
    assert "roi_heads.box_predictor.cls_score.weight (7, 1024), here (5, 1024)" in str(error.value)
    assert "roi_heads.mask_predictor.mask_fcn_logits.bias (7,), here (5,)" in str(error.value)
    assert str(error.value).endswith("pass reset_heads=True (--reset-heads) to start the last layers anew")
    assert same(model.state_dict(), before)
    load_weights(model, path, reset_heads=True)
    for name, tensor in model.state_dict().items():
        head = "box_predictor" in name or "mask_fcn_logits" in name
        assert torch.equal(tensor, before[name] if head else source.state_dict()[name])


def test_another_model(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = MaskRCNN(SMALL).state_dict()
    del state["rpn.head.cls_logits.bias"]
    state["extra"] = torch.zeros(1)
    save_file(state, path)
    with pytest.raises(OptionError, match=r"not this model's in .*cls_logits.bias missing; extra unknown$"):
        load_weights(MaskRCNN(SMALL), path, reset_heads=True)
    with pytest.raises(OptionError, match=r"not this model's .* and \d+ more$"):
        load_weights(MaskRCNN(replace(SMALL, version=2)), path)


def test_learning_and_frozen_norms_read_each_other(tmp_path: Path) -> None:
    frozen, learning = MaskRCNN(SMALL), MaskRCNN(replace(SMALL, frozen_norms=False))
    for source, into in ((frozen, learning), (learning, MaskRCNN(SMALL))):
        save_file(source.state_dict(), tmp_path / "w.safetensors")
        load_weights(into, tmp_path / "w.safetensors")
        wanted = source.state_dict()
        assert all(torch.equal(x, wanted[n]) for n, x in into.state_dict().items() if "num_batches" not in n)
    MaskRCNN(SMALL).load_state_dict(learning.state_dict())


def test_names_of_today_stay() -> None:
    names = ours("18").state_dict().keys()
    assert [new_name(name) for name in names] == list(names)
    assert not has_old_names(names)


def test_what_the_two_builders_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "load_weights", lambda *_: None)
    with torch.device("meta"):
        plain = build.mask_rcnn_resnet50_fpn()
        v1 = build.mask_rcnn_resnet50_fpn(weights="COCO_V1")
        whole_v2 = build.mask_rcnn_resnet50_fpn_v2()
        v2 = build.mask_rcnn_resnet50_fpn_v2(3, weights="COCO_V1")
        own = build.mask_rcnn_resnet50_fpn(4, weights="COCO_V1", options=MaskRCNNOptions(num_classes=2))
    # torchvision's numbers of parameters; frozen norms have none
    assert sum(p.numel() for p in v1.parameters()) == 44401393
    assert sum(p.numel() for p in whole_v2.parameters()) == 46359409
    assert [m.options.num_classes for m in (plain, v1, v2, own)] == [91, 91, 3, 4]
    assert all(p.requires_grad for p in plain.parameters())
    assert all(p.requires_grad for p in own.parameters())
    for model in (v1, v2):
        learning = {
            n.split(".")[2] for n, p in model.named_parameters() if n.startswith("backbone.body") and p.requires_grad
        }
        assert learning == {"layer2", "layer3", "layer4"}
    assert any(isinstance(m, FrozenBatchNorm) for m in v1.modules())
    assert not any(isinstance(m, FrozenBatchNorm) for m in v2.modules())
