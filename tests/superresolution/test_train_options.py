"""Options of a training: what counts when several say something, what cannot be; the schedule of the rate."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anyview.errors import OptionError
from anyview.superresolution import edsr, srresnet, wdsr_a, wdsr_b
from anyview.superresolution.config import chosen
from anyview.superresolution.optimiser import learning_rate
from anyview.superresolution.options import Arch
from anyview.superresolution.train_options import OptimiserOptions, SuperresOptions, usual_network
from anyview.training.config import from_yaml, to_yaml


def test_the_more_particular_wins(tmp_path: Path) -> None:
    assert chosen(tmp_path, None, (), {}) == SuperresOptions()
    made = chosen(tmp_path, None, ("model.num_blocks=3",), {"model.arch": "wdsr-b", "loop.steps": 9})
    assert (made.model.num_blocks, made.model.expansion, made.model.scale, made.loop.steps) == (3, 6, 4, 9)
    file = tmp_path / "o.yaml"
    file.write_text(to_yaml(made))
    assert chosen(tmp_path, file, (), {}) == made
    assert from_yaml(SuperresOptions, to_yaml(made), "text") == made


@pytest.mark.parametrize("network", [edsr(3), wdsr_a(3), wdsr_b(3), srresnet(3)])
def test_usual_networks_are_those_of_the_public_functions(network: object) -> None:
    options = network.options  # type: ignore[attr-defined]
    assert usual_network(options.arch, 3) == options


@pytest.mark.parametrize(
    ("arch", "gan", "rate"), [("edsr", False, 2e-4), ("wdsr-a", False, 1e-3), ("wdsr-b", True, 1e-4)]
)
def test_usual_rates(arch: Arch, gan: bool, rate: float) -> None:
    assert SuperresOptions(model=usual_network(arch, 4), gan=gan).rate == rate
    assert SuperresOptions(optimiser=OptimiserOptions(rate=0.5), gan=gan).rate == 0.5


def test_schedules() -> None:
    cosine = OptimiserOptions(last_rate=0.1)
    assert [learning_rate(cosine, 2.0, share) for share in (0.0, 0.5, 1.0)] == pytest.approx([2.0, 1.1, 0.2])
    steps = OptimiserOptions(schedule="steps", drop=0.5, drops=(0.5, 0.9))
    assert [learning_rate(steps, 2.0, share) for share in (0.0, 0.49, 0.5, 0.95)] == [2.0, 2.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.scale=5", "scale: expected one of 2, 3, 4, 8, found 5"),
        ("data.crop=0", "data.crop: expected 2 or more, found 0"),
        ("data.validation_side=3", "data.validation_side: expected 16 or more"),
        ("data.track=hard", "`data.track`"),
        ("optimiser.batch=0", "optimiser.batch: expected 1 or more"),
        ("optimiser.rate=0", "optimiser.rate: expected above 0"),
        ("optimiser.ema=1", "optimiser.ema: expected 0 or more, below 1"),
        ("optimiser.drops=[2]", "optimiser.drops: expected 0 to 1"),
        ("adversary.adversarial=-1", "adversary.adversarial: expected 0 or more"),
    ],
)
def test_what_cannot_be(setting: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=re.escape(words)):
        chosen(tmp_path, None, (setting,), {})
