"""`anyview superres VERB`: what each takes (fields and their docstrings are the help text) and what it calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Union

from tyro.conf import Positional, arg, subcommand

from anyview.cli.command import Command
from anyview.cli.learned import Engine
from anyview.cli.superres_evaluate import Evaluate
from anyview.cli.superres_train import Train
from anyview.cli.superres_upscale import Upscale


@dataclass
class Import(Command):
    """Convert weights of the widely used TensorFlow 2 version: EDSR, WDSR, SRGAN's generator."""

    file: Positional[Annotated[Path, arg(metavar="FILE.h5")]]
    """What Keras's save_weights has written."""
    out: Path
    """The file to write, *.safetensors; `anyview superres upscale --weights` takes it."""
    residual_scaling: float = 1.0
    """That the network was trained with (res_block_scaling), which the file does not tell."""

    def run(self) -> int:
        """See `anyview.superresolution.tensorflow_port.import_tensorflow`."""
        from anyview.cli.output import console
        from anyview.superresolution.tensorflow_port import import_tensorflow
        from anyview.superresolution.weights import save_weights

        network = import_tensorflow(self.file, self.residual_scaling)
        save_weights(network, self.out, {"imported": self.file.name})
        console().print(f"{network.options}, in {self.out}", markup=False)
        return 0


@dataclass
class Superres(Engine):
    """Super-resolution: enlarge images and films x2, x3, x4 or x8; train EDSR, WDSR and SRGAN, and score them."""

    less_memory = (
        "close other programs, and run the same command: it resumes; or upscale with a smaller --tile, or train into "
        "another --out with --set and a lower optimiser.batch"
    )

    verb: Annotated[
        Union[  # noqa: UP007 (tyro reads it)
            Annotated[Upscale, subcommand("upscale", prefix_name=False)],
            Annotated[Train, subcommand("train", prefix_name=False)],
            Annotated[Evaluate, subcommand("eval", prefix_name=False)],
            Annotated[Import, subcommand("import", prefix_name=False)],
        ],
        arg(name=""),
    ]
