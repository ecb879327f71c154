"""Which precision a training gets where nobody says, and that its pictures have the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from anyview.compute import machine
from anyview.errors import OptionError
from anyview.radiance.fields import mip_bfloat16
from anyview.radiance.precision import with_precision
from anyview.radiance.rays import Rays
from anyview.radiance.run import open_run, read_config
from anyview.radiance.train import train_field
from soft_run import small_options, soft_scene

MODEL = ("mip.model.degrees=8", "mip.model.head_width=32")  # what kernels can do


@pytest.mark.parametrize(
    ("field", "features", "wanted"),
    [
        ("mip", ["AVX2", "AMX bf16"], "bf16-mixed"),
        ("mip", ["AVX-512 bf16"], "bf16-mixed"),
        ("mip", ["AVX2", "AVX-512"], "32-true"),
        ("grid", ["AMX bf16"], "32-true"),
    ],
)
def test_auto_goes_by_field_and_processor(
    field: str, features: list[str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cpu_features", lambda: features)
    options = small_options(f"field={field}", "loop.precision=auto")
    assert with_precision(options).loop.precision == wanted
    assert with_precision(small_options("loop.precision=32-true")).loop.precision == "32-true"


@pytest.mark.parametrize(
    ("field", "precision"), [("mip", "64-true"), ("mip", "16-mixed"), ("grid", "bf16-mixed"), ("grid", "64-true")]
)
def test_what_no_field_learns_in(field: str, precision: str) -> None:
    with pytest.raises(
        OptionError, match=f"field `{field}` does not learn .* in loop.precision: .*, found {precision}"
    ):
        with_precision(small_options(f"field={field}", f"loop.precision={precision}"))


def test_auto_is_not_bfloat16_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has measured it there yet."""
    monkeypatch.setattr(machine, "cpu_features", lambda: ["AMX bf16"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert with_precision(small_options("loop.precision=auto", "loop.device=auto")).loop.precision == "32-true"
    assert with_precision(small_options("loop.precision=auto", "loop.device=cpu")).loop.precision == "bf16-mixed"


def test_a_run_keeps_its_precision_and_renders_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_features", lambda: ["AMX bf16"])
    train_field(soft_scene(), tmp_path / "run", small_options("loop.precision=auto", *MODEL))
    assert read_config(tmp_path / "run").loop.precision == "bf16-mixed"
    asked, real = [], mip_bfloat16.field

    def field(keep: bool, *arguments: torch.Tensor) -> torch.Tensor:
        assert not keep
        asked.append(len(arguments[0]))
        return real(keep, *arguments)

    monkeypatch.setattr(mip_bfloat16, "field", field)
    monkeypatch.setattr(machine, "cpu_features", list)  # on another machine too
    run = open_run(tmp_path / "run", device="cpu")
    one = torch.ones(7, 1)
    run.renderer.render(Rays(torch.zeros(7, 3), torch.ones(7, 3), 1e-3 * one, 2 * one, 6 * one, one))
    assert asked == [7, 7]  # both levels
