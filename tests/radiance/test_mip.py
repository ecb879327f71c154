"""mip-NeRF as a whole: sizes, levels, gradients, and weights of the Lightning port."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.errors import FormatError
from anyview.radiance import MipNeRF
from anyview.radiance.fields.mip import MipOptions, learning_rate, mip_loss
from anyview.radiance.lightning_port import load_lightning_port
from anyview.radiance.rays import Rays
from camera_rays import camera_rays

POSE = look_at(np.array([4.0, 0, 0]), np.zeros(3), np.array([0.0, 0, 1]))


def some_rays(size: int = 8) -> Rays:
    return camera_rays(Camera.pinhole(size, size, size, size, size / 2, size / 2), POSE, 2.0, 6.0)


def test_the_papers_model_has_612740_parameters() -> None:
    assert sum(p.numel() for p in MipNeRF().parameters()) == 612_740


def test_rays_go_through_pixel_centres_and_cones_have_their_size() -> None:
    camera = Camera.pinhole(6, 4, 10.0, 20.0, 3.0, 2.0)
    rays = camera_rays(camera, POSE, 2.0, 6.0, 16.0)
    assert rays.origins.shape == (24, 3)
    local = rays.directions.double().numpy() @ POSE[:3, :3]
    assert np.allclose(local[:, 2], 1, atol=1e-6)  # t is depth
    assert np.allclose(local[7], [(1.5 - 3) / 10, (1.5 - 2) / 20, 1], atol=1e-6)  # second row, second column
    assert np.allclose(rays.radii, 2 / np.sqrt(12) / 20)
    assert torch.allclose(rays.viewdirs.norm(dim=-1), torch.ones(24))
    assert (rays.lossmult == 16).all()


def test_both_levels_come_from_one_network_and_gradients_reach_all_of_it() -> None:
    model, rays = MipNeRF(MipOptions(intervals=16)), some_rays()
    coarse, fine = model(rays, torch.Generator().manual_seed(0))
    assert coarse.rgb.shape == fine.rgb.shape == (64, 3)
    assert coarse.weights.shape == fine.weights.shape == (64, 16)
    for rendered in (coarse, fine):
        assert ((rendered.opacity >= 0) & (rendered.opacity <= 1 + 1e-5)).all()
        assert ((rendered.rgb > -0.01) & (rendered.rgb < 1.01)).all()
    loss = mip_loss((coarse, fine), torch.rand(64, 3), rays.lossmult)
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_batch_of_blank_pixels_asks_for_nothing() -> None:
    rays = some_rays(2)
    assert mip_loss(MipNeRF(MipOptions(intervals=4))(rays), torch.rand(4, 3), torch.zeros(4, 1)) == 0


def test_the_loss_weighs_pixels_and_levels() -> None:
    model, rays = MipNeRF(MipOptions(intervals=4)), some_rays(2)
    coarse, fine = model(rays)
    rgb, weight = torch.rand(4, 3), torch.tensor([[1.0], [4.0], [16.0], [64.0]])
    found = mip_loss((coarse, fine), rgb, weight)
    wanted = sum(
        share * sum(w * ((level.rgb[i] - rgb[i]) ** 2).mean() for i, w in enumerate(weight.ravel())) / weight.sum()
        for share, level in ((0.1, coarse), (1.0, fine))
    )
    assert torch.allclose(found, wanted, rtol=1e-5)


def test_without_integration_cones_do_not_matter() -> None:
    torch.manual_seed(0)
    plain = MipNeRF(MipOptions(intervals=8, disable_integration=True))
    cones = MipNeRF(MipOptions(intervals=8))
    cones.load_state_dict(plain.state_dict())
    rays = some_rays()
    wide = rays._replace(radii=0 * rays.radii)  # at the same means: only radial variance differs
    assert not torch.allclose(cones(rays)[1].rgb, cones(wide)[1].rgb)
    assert not torch.allclose(plain(rays)[1].rgb, cones(rays)[1].rgb)
    assert torch.allclose(plain(rays)[0].rgb, plain(wide)[0].rgb, atol=1e-6)


def test_the_same_seed_gives_the_same_picture() -> None:
    model, rays = MipNeRF(MipOptions(intervals=8)), some_rays()
    one, same, other = (model(rays, torch.Generator().manual_seed(s))[1].rgb for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_learning_rate() -> None:
    assert learning_rate(0) == pytest.approx(5e-6)  # 0.01 of the first
    assert learning_rate(2500) == pytest.approx(5e-4 * 100 ** (-0.0025))
    assert learning_rate(500_000) == pytest.approx(5e-5)
    assert learning_rate(1_000_000) == pytest.approx(5e-6)
    assert learning_rate(1250) == pytest.approx((0.01 + 0.99 * 0.5**0.5) * 5e-4 * 100 ** (-0.00125))
    # a short training rises over its first twentieth
    assert learning_rate(50, steps=1000) == pytest.approx(5e-4 * 100 ** (-0.05))
    assert learning_rate(3, share=0.025) == pytest.approx((0.01 + 0.99 * 0.5**0.5) * 5e-4 * 100 ** (-0.025))


def port_state() -> dict[str, torch.Tensor]:
    """Names and sizes of the port's layers, with random weights."""
    g, out = torch.Generator().manual_seed(0), {}

    def layer(name: str, inputs: int, outputs: int) -> None:
        out[f"mip_nerf.mlp.{name}.weight"] = torch.randn(outputs, inputs, generator=g) / inputs**0.5
        out[f"mip_nerf.mlp.{name}.bias"] = torch.randn(outputs, generator=g)

    for i, inputs in enumerate([96, 256, 256, 256, 256, 352, 256, 256]):
        layer(f"layers.{i}.0", inputs, 256)
    layer("density_layer", 256, 1)
    layer("extra_layer", 256, 256)
    layer("view_layers.0.0", 283, 128)
    layer("color_layer", 128, 3)
    return out


def test_a_checkpoint_of_the_port_gives_its_network(tmp_path: Path) -> None:
    state = port_state()
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"nerf.num_samples": 128}}, tmp_path / "last.ckpt")
    model = load_lightning_port(tmp_path / "last.ckpt")
    places, seen = torch.randn(2, 5, 96), torch.randn(2, 27)

    def dense(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ state[f"mip_nerf.mlp.{name}.weight"].T + state[f"mip_nerf.mlp.{name}.bias"]

    x = places
    for i in range(8):
        x = dense(f"layers.{i}.0", x).clamp_min(0)
        if i == 4:
            x = torch.cat([x, places], -1)
    hidden = torch.cat([dense("extra_layer", x), seen[:, None].expand(2, 5, 27)], -1)
    color = dense("color_layer", dense("view_layers.0.0", hidden).clamp_min(0))
    density, rgb = model.mlp(places, seen)
    assert torch.allclose(density, dense("density_layer", x)[..., 0], atol=1e-4)
    assert torch.allclose(rgb, color, atol=1e-4)


@pytest.mark.parametrize("core", [b"numpy.core.", b"numpy._core."])  # NumPy 1 and 2
def test_what_its_schedule_leaves_in_a_checkpoint_is_read(core: bytes, tmp_path: Path) -> None:
    state, lr = port_state(), np.float64(5e-4)
    rest = {"optimizer_states": [{"param_groups": [{"lr": lr}]}], "lr_schedulers": [{"_last_lr": [lr]}]}
    torch.save({"state_dict": state, **rest}, tmp_path / "new.ckpt")
    with ZipFile(tmp_path / "new.ckpt") as new, ZipFile(tmp_path / "last.ckpt", "w") as last:
        for entry in new.infolist():
            content = new.read(entry)
            if entry.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.", core)
            last.writestr(entry, content)
    model = load_lightning_port(tmp_path / "last.ckpt")
    assert torch.equal(model.mlp.density.bias, state["mip_nerf.mlp.density_layer.bias"])


def test_a_checkpoint_without_weights(tmp_path: Path) -> None:
    for content in ({"state_dict": [1]}, {"state_dict": {"mip_nerf.mlp.density_layer.bias": 1}}, torch.zeros(3)):
        torch.save(content, tmp_path / "last.ckpt")
        with pytest.raises(FormatError, match="not a checkpoint with weights"):
            load_lightning_port(tmp_path / "last.ckpt")


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises(FormatError, match=r"^no such checkpoint in .*; check the path$"):
        load_lightning_port(path)
    path.write_bytes(b"PK no")
    with pytest.raises(FormatError, match="not a checkpoint that can be read safely"):
        load_lightning_port(path)

    class Code:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "executed",))  # type: ignore[return-value]

    torch.save({"state_dict": Code()}, path)
    with pytest.raises(FormatError, match="not a checkpoint that can be read safely"):
        load_lightning_port(path)
    assert not (tmp_path / "executed").exists()
    state = port_state()
    torch.save({"state_dict": {k: v for k, v in state.items() if "color" not in k}}, path)
    with pytest.raises(FormatError, match=r"none for mlp\.color\.bias"):
        load_lightning_port(path)
    state["mip_nerf.mlp.layers.0.0.weight"] = torch.zeros(256, 90)
    torch.save({"state_dict": state}, path)
    with pytest.raises(FormatError, match=r"a layer that mip-NeRF does not have .*layers\.0\.0\.weight \(256, 90\)"):
        load_lightning_port(path)
