from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from anyview.errors import FormatError, OptionError
from anyview.superresolution import edsr, load_weights, srresnet, wdsr_a, wdsr_b
from anyview.superresolution import weights as module
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.network.wdsr import has_weight_norm
from anyview.superresolution.weights import blend, read_notes, save_weights


def networks() -> list[Upscaler]:
    return [edsr(2, 2, 8, 0.5), wdsr_a(3, 2, 8, 2), wdsr_b(4, 2, 8, 3), srresnet(8, 2, 8)]


@pytest.mark.parametrize("index", range(4))
def test_a_file_brings_the_network_back(index: int, tmp_path: Path) -> None:
    network = networks()[index].eval()
    images = torch.rand(1, 3, 7, 6)
    before = network(images)
    normed = has_weight_norm(network)
    save_weights(network, tmp_path / "a.safetensors", {"steps": "12"})
    assert has_weight_norm(network) == normed  # saving changes nothing
    other = load_weights(tmp_path / "a.safetensors")
    assert type(other) is type(network)
    assert other.options == network.options
    assert not other.training
    assert not has_weight_norm(other)
    torch.testing.assert_close(other(images), before, atol=1e-6, rtol=0)
    assert read_notes(tmp_path / "a.safetensors")["steps"] == "12"
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_another_scale_or_architecture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(wdsr_b(2, 1, 8), path)
    assert load_weights(path, scale=2, arch="wdsr-b").options.scale == 2
    with pytest.raises(OptionError, match=r"another scale.*expected scale 4, found scale 2 \(wdsr-b x2, 1 blocks"):
        load_weights(path, scale=4)
    with pytest.raises(OptionError, match=r"another architecture.*expected architecture edsr, found .* wdsr-b"):
        load_weights(path, arch="edsr")


def test_names_are_those_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHIPPED", tmp_path)
    save_weights(edsr(2, 1, 4), tmp_path / "edsr-small-x2.safetensors")
    assert module.names() == ["edsr-small-x2"]
    assert load_weights("edsr-small-x2").options.scale == 2
    with pytest.raises(OptionError, match="edsr-small-x2, or a file"):
        load_weights("edsr-small-x4")


def good(tmp_path: Path) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    network = edsr(2, 1, 4)
    save_weights(network, tmp_path / "good.safetensors")
    options = json.loads(read_notes(tmp_path / "good.safetensors")["network"])
    return {k: v.detach().clone() for k, v in network.state_dict().items()}, options


def test_damaged_files(tmp_path: Path) -> None:
    state, options = good(tmp_path)
    path = tmp_path / "bad.safetensors"

    def refused(word: str) -> None:
        with pytest.raises(FormatError, match=word):
            load_weights(path)

    path.write_bytes((tmp_path / "good.safetensors").read_bytes()[:-10])
    refused("cannot be read")
    path.write_bytes(b"")
    refused("cannot be read")
    save_file(state, path)
    refused("superres import")
    for words in (
        "{",
        "[]",
        '{"arch": "edsr", "scale": 7}',
        '{"surprise": 1}',
        '{"num_blocks": 1.5}',
        '{"scale": [2]}',
    ):
        save_file(state, path, {"network": words})
        refused("no network of ours")
    save_file(state, path, {"network": json.dumps({**options, "num_blocks": 4000, "num_features": 4000})})
    refused("not those of the network")  # and no memory is spent on it
    save_file({**state, "extra": torch.zeros(1)}, path, {"network": json.dumps(options)})
    refused("1 others, first extra")
    state["tail.bias"][0] = float("nan")
    save_file(state, path, {"network": json.dumps(options)})
    refused("not finite: found tail.bias|finite in .*tail.bias")


def test_files_that_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="safetensors"):
        save_weights(edsr(2, 1, 4), tmp_path / "a.pth")
    with pytest.raises(OptionError, match="network"):
        save_weights(edsr(2, 1, 4), tmp_path / "a.safetensors", {"network": "x"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("index", range(4))
def test_blending(index: int) -> None:
    a, b = networks()[index].eval(), networks()[index].eval()
    images = torch.rand(1, 3, 5, 5)
    for share, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(blend(a, b, share)(images), end(images), atol=1e-6, rtol=0)
    middle = blend(a, b, 0.25)
    expected = 0.75 * a.get_submodule("tail").weight + 0.25 * b.get_submodule("tail").weight
    torch.testing.assert_close(middle.get_submodule("tail").weight, expected)
    assert has_weight_norm(a) == (index in (1, 2))


def test_what_cannot_be_blended() -> None:
    with pytest.raises(OptionError, match=r"edsr x2, 1 blocks.*edsr x2, 2 blocks"):
        blend(edsr(2, 1, 4), edsr(2, 2, 4), 0.5)
    with pytest.raises(OptionError, match="0 to 1"):
        blend(edsr(2, 1, 4), edsr(2, 1, 4), 1.5)
