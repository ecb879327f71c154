"""The names that others rely on."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch

import anyview.superresolution as package


def test_names_and_their_arguments() -> None:
    from anyview.superresolution import Discriminator, edsr, load_weights, srresnet, wdsr_a, wdsr_b

    assert sorted(package.__all__) == ["Discriminator", "edsr", "load_weights", "srresnet", "wdsr_a", "wdsr_b"]
    images = torch.rand(1, 3, 4, 5)
    assert edsr(scale=4, num_blocks=1, num_features=4)(images).shape == (1, 3, 16, 20)
    assert wdsr_b(scale=4, num_blocks=1, num_features=4, expansion=6)(images).shape == (1, 3, 16, 20)
    assert all(inspect.getdoc(thing) for thing in (Discriminator, edsr, load_weights, srresnet, wdsr_a, wdsr_b))
    defaults = {name: p.default for name, p in inspect.signature(wdsr_b).parameters.items()}
    assert defaults == {"scale": 4, "num_blocks": 32, "num_features": 32, "expansion": 6, "residual_scaling": 1.0}


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'rcan'"):
        _ = package.rcan


def test_importing_the_package_and_its_options_loads_no_torch() -> None:
    program = "import sys, anyview.superresolution.options; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
