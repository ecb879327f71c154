from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import keras_weights as keras
from anyview.errors import FormatError, OptionError
from anyview.superresolution import load_weights
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.options import NetworkOptions
from anyview.superresolution.tensorflow_port import import_tensorflow, to_pixel_shuffle
from anyview.superresolution.weights import save_weights

IMAGES = np.random.default_rng(5).integers(0, 256, (2, 6, 5, 3)).astype(float)


def run(network: Upscaler) -> keras.Array:
    """The network's output as TensorFlow has it."""
    assert not network.training
    with torch.no_grad():
        out = network.double()(torch.from_numpy(IMAGES).movedim(3, 1) / 255)
    return out.movedim(1, 3).numpy() * 255


def agree(network: Upscaler, expected: keras.Array) -> None:
    out = run(network)
    assert out.shape == expected.shape
    assert np.abs(out - expected).max() < 2e-4 * max(np.abs(expected).max(), 1)  # weights are rounded to float32


@pytest.fixture(autouse=True)
def _h5py() -> None:
    pytest.importorskip("h5py")


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("scaling", [1.0, 0.1])
def test_edsr(scale: int, scaling: float, tmp_path: Path) -> None:
    weights = keras.edsr_weights(scale, 6, 3)
    keras.write_h5(tmp_path / "w.h5", weights)
    network = import_tensorflow(tmp_path / "w.h5", scaling)
    assert network.options == NetworkOptions("edsr", scale, 3, 6, residual_scaling=scaling)
    agree(network, keras.edsr_forward(weights, IMAGES, scale, scaling))


@pytest.mark.parametrize("kind", ["a", "b"])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("swapped", [False, True])
def test_wdsr(kind: str, scale: int, swapped: bool, tmp_path: Path) -> None:
    weights = keras.wdsr_weights(kind, scale, 6, 2, 3)
    keras.write_h5(tmp_path / "w.h5", [*weights[:-2], weights[-1], weights[-2]] if swapped else weights)
    network = import_tensorflow(tmp_path / "w.h5")
    assert network.options == NetworkOptions("wdsr-a" if kind == "a" else "wdsr-b", scale, 2, 6, 3)
    agree(network, keras.wdsr_forward(weights, IMAGES, kind, scale))


def test_srgan(tmp_path: Path) -> None:
    weights = keras.srgan_weights(6, 3)
    keras.write_h5(tmp_path / "w.h5", weights)
    network = import_tensorflow(tmp_path / "w.h5")
    assert network.options == NetworkOptions("srresnet", 4, 3, 6)
    agree(network, keras.srgan_forward(weights, IMAGES, 3))


def test_the_published_sizes(tmp_path: Path) -> None:
    for weights, options in (
        (keras.edsr_weights(4, 64, 16), NetworkOptions("edsr", 4, 16, 64)),
        (keras.wdsr_weights("b", 4, 32, 32, 6), NetworkOptions("wdsr-b", 4, 32, 32, 6)),
        (keras.srgan_weights(64, 16), NetworkOptions("srresnet", 4, 16, 64)),
    ):
        keras.write_h5(tmp_path / "w.h5", weights)
        assert import_tensorflow(tmp_path / "w.h5").options == options


def test_a_norm_that_never_ran_leaves_the_kernel_alone(tmp_path: Path) -> None:
    weights = keras.wdsr_weights("b", 2, 6, 1, 3)
    for name, tensors in weights:
        if tensors:
            tensors[f"{name}/initialized:0"] = np.array(False)
    keras.write_h5(tmp_path / "w.h5", weights)
    agree(import_tensorflow(tmp_path / "w.h5"), keras.wdsr_forward(weights, IMAGES, "b", 2))


@pytest.mark.parametrize(("group", "parts"), [("model_weights", 1), (None, 3)])
def test_whole_models_and_long_attributes(group: str | None, parts: int, tmp_path: Path) -> None:
    weights = keras.edsr_weights(2, 4, 2)
    keras.write_h5(tmp_path / "w.h5", weights, group, parts)
    agree(import_tensorflow(tmp_path / "w.h5"), keras.edsr_forward(weights, IMAGES, 2))


def test_an_imported_network_is_saved_like_ours(tmp_path: Path) -> None:
    weights = keras.srgan_weights(4, 1)
    keras.write_h5(tmp_path / "w.h5", weights)
    save_weights(import_tensorflow(tmp_path / "w.h5"), tmp_path / "w.safetensors")
    agree(load_weights(tmp_path / "w.safetensors", scale=4), keras.srgan_forward(weights, IMAGES, 1))


def test_channel_order_is_that_of_the_definitions() -> None:
    channels = torch.arange(12.0)  # cell k of colour c is channel 3 k + c
    assert to_pixel_shuffle(channels, 2).tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]


def refused(path: Path, kind: type[Exception], word: str) -> None:
    with pytest.raises(kind, match=word):
        import_tensorflow(path)


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    refused(path, OptionError, "no such file")
    path.write_bytes(b"")
    refused(path, FormatError, "cannot be read")
    weights = keras.edsr_weights(2, 4, 2)
    keras.write_h5(path, weights)
    path.write_bytes(path.read_bytes()[:3000])
    refused(path, FormatError, "cannot be read")
    keras.write_h5(path, [])
    refused(path, FormatError, "no convolutions")
    for others in (weights[:-1], weights[:4] + weights[5:], [*weights[:-1], ("more", weights[3][1]), weights[-1]]):
        keras.write_h5(path, others)
        refused(path, (FormatError, OptionError), "w.h5")  # type: ignore[arg-type]
    keras.write_h5(path, keras.wdsr_weights("b", 5, 6, 1, 3))
    refused(path, OptionError, r"none of ours in .*2, 3, 4, 8, found 5")
    weights[2][1]["conv2d/kernel:0"][0, 0, 0, 0] = np.nan
    keras.write_h5(path, weights)
    refused(path, FormatError, "conv2d/kernel:0 is not finite")


def test_without_h5py_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    refused(tmp_path / "w.h5", OptionError, r"needs h5py.*pip install 'anyview\[learn\]'")
