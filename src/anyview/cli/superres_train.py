"""`anyview superres train`: what it takes (fields and their docstrings are the help text) and what it calls."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from anyview.cli.learned import Training


@dataclass
class Train(Training):
    """Train EDSR, WDSR or SRResNet on pictures, or one of them as a GAN. Run again, the same command goes on from where
    it was."""

    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of pictures: any; DIV2K's; `HR` and `LR` that fit by order; `train` and `val`. Told neither steps nor
    minutes, training takes 100,000 steps."""
    arch: Literal["edsr", "wdsr-a", "wdsr-b", "srresnet"] | None = None
    """The network, in its usual size (--set model.num_blocks=8 for another); by default edsr, or that of --init."""
    scale: Literal[2, 3, 4, 8] | None = None
    """How many times as large pictures become; by default 4, or that of --init."""
    low: Path | None = None
    """Folder of small pictures that belong to those in DATA; by default they are made, as MATLAB's imresize does."""
    val: Path | None = None
    """Folder of pictures to validate on, ten of them; by default the data's own, or some that are held back."""
    track: Literal["bicubic", "unknown", "mild", "difficult"] | None = None
    """Of DIV2K."""
    blind: bool = False
    """Learn to undo blur, noise and JPEG as well, for photographs."""
    gan: bool = False
    """Train on against a discriminator, for crisper pictures with invented detail; needs --init."""
    init: str | None = None
    """What training begins with: the folder of another run, a file of weights, or a name of shipped ones."""

    def run(self) -> int:
        """See `anyview.superresolution.train.train_superresolution`."""
        from anyview.cli.learned_output import print_training
        from anyview.cli.progress import TerminalProgress
        from anyview.superresolution.config import WEIGHTS, chosen

        given = self.given(**{
            "model.arch": self.arch, "model.scale": self.scale, "init": self.init, "gan": self.gan or None,
            "data.low": None if self.low is None else str(self.low),
            "data.val": None if self.val is None else str(self.val), "data.track": self.track,
            "data.blind": self.blind or None,
        })  # fmt: skip
        options = chosen(self.out, self.config, self.set, given)
        from anyview.superresolution.train import train_superresolution

        command = shlex.join(["anyview", *sys.argv[1:]])
        with TerminalProgress() as progress:
            result = train_superresolution(self.data, self.out, options, progress, command=command)
        print_training(result, None, f"anyview superres upscale IMAGES --weights {self.out / WEIGHTS} --out OUT")
        return 0
