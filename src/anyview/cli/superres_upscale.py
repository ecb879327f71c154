"""`anyview superres upscale`: its words (fields and their docstrings are the help text) and what it calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from anyview.cli.command import Command


@dataclass
class Upscale(Command):
    """Enlarge images and films. Run again, the same command goes on from where it was."""

    images: Positional[Annotated[tuple[str, ...], arg(metavar="INPUT")]]
    """Image files and films, folders of them, or patterns in quotes such as 'photos/*.jpg'."""
    out: Path
    """Folder for the results (PNG; films as MP4) and report.html, where they are compared with bicubic."""
    scale: Literal[2, 3, 4, 8] | None = None
    """How many times as large; by default that of the weights, or 4."""
    weights: str | None = None
    """A name of weights that come with anyview; a file of `anyview superres train` or `import`; a run's folder. By
    default what comes with anyview for the scale."""
    second: str | None = None
    """Other weights of the same architecture that are blended in, such as those of a GAN."""
    blend: float | None = None
    """Share of the second weights, 0 (faithful) to 1 (crisp); by default 0.5 where there are some."""
    tta: bool = False
    """Mean over eight ways to turn and mirror the image: a little better, eight times as slow."""
    tile: int | Literal["auto"] = "auto"
    """Side of the tiles that large images are cut into, pixels. The result is the same; less takes less memory."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks run; `auto` is a CUDA device where there is one."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """Of the networks; `auto` is bf16 where the device has instructions for it."""
    page: bool = True
    """Whether report.html is written."""

    def run(self) -> int:
        """See `anyview.superresolution.upscale.upscale`."""
        from anyview.cli.learned_output import print_page
        from anyview.cli.output import console
        from anyview.cli.progress import TerminalProgress
        from anyview.errors import FormatError
        from anyview.report.upscale_page import write_upscale_page
        from anyview.superresolution.choice import choose
        from anyview.superresolution.enlarger import Enlarger
        from anyview.superresolution.upscale import upscale

        with TerminalProgress() as progress:
            chosen = choose(self.weights, self.scale, self.second, self.blend, progress)
            enlarger = Enlarger(
                chosen.networks, device=self.device, precision=self.precision, turns=self.tta, tile=self.tile
            )
            made = upscale(self.images, self.out, chosen, enlarger, progress)
            page = write_upscale_page(made, chosen, enlarger) if self.page and made.done else None
        console().print(f"{len(made.done)} enlarged x{chosen.scale} with {chosen.name}, in {made.out}", markup=False)
        print_page(page)
        if made.damaged:
            names = [Path(str(error.where)).name for error in made.damaged]
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise FormatError(
                f"{len(names)} of {len(names) + len(made.done)} files cannot be read ({shown})",
                hint="the others are done; mend or remove these, and run the same command",
            )
        return 0
