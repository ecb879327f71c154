"""`anyview superres eval`: its words (fields and their docstrings are the help text) and what it calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from anyview.cli.command import Command

if TYPE_CHECKING:
    from anyview.superresolution.evaluate import Evaluation


@dataclass
class Evaluate(Command):
    """PSNR and SSIM on test sets, in both ways that figures are given: of the luma without a border, and of RGB."""

    folder: Positional[Annotated[str | None, arg(metavar="RUN")]] = None
    """Folder of a training; or leave it out and name --weights."""
    weights: str | None = None
    """A name of weights that come with anyview, a file, or a run's folder; `bicubic` for no network at all."""
    set: tuple[str, ...] = ()
    """Test sets: folders of --sets-folder, or paths; such as: --set Set5 Set14."""
    sets_folder: Path = Path()
    """Folder that holds the sets."""
    hr: Path | None = None
    """Instead of sets: folder of large images ..."""
    lr: Path | None = None
    """... and folder of small ones, matched by sorted order. Left out, they are made as MATLAB's imresize does."""
    scale: Literal[2, 3, 4, 8] | None = None
    """How many times as large; by default that of the weights, for bicubic 4."""
    json: Path | None = None
    """Where the figures go: {"psnr_y": ..., "ssim_y": ..., "psnr_rgb": ..., "ssim_rgb": ...}; by sets."""
    tta: bool = False
    """Mean over eight ways to turn and mirror the image."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks run; `auto` is a CUDA device where there is one."""
    precision: Literal["auto", "bf16", "float32"] = "float32"
    """Of the networks; `auto` is what `upscale` does."""

    def run(self) -> int:
        """See `anyview.superresolution.evaluate.evaluate`."""
        from anyview.cli.progress import TerminalProgress
        from anyview.errors import OptionError
        from anyview.superresolution.benchmark_sets import find_set
        from anyview.superresolution.choice import choose
        from anyview.superresolution.data.pairs import find_pairs, image_files
        from anyview.superresolution.enlarger import Enlarger
        from anyview.superresolution.evaluate import bicubic, by_network, evaluate

        weights = self.weights or self.folder
        if weights is None or (self.weights and self.folder):
            raise OptionError("eval wants one thing to score", expected="the folder of a run, or --weights")
        if bool(self.set) == (self.hr is not None) or (self.lr is not None and self.hr is None):
            raise OptionError("eval wants pictures to score on", expected="--set NAME ..., or --hr DIR (and --lr DIR)")
        with TerminalProgress() as progress:
            if weights == "bicubic":
                scale: int = self.scale or 4
                method = bicubic(scale)
            else:
                chosen = choose(weights, self.scale, progress=progress)
                scale = chosen.scale
                method = by_network(
                    Enlarger(chosen.networks, device=self.device, precision=self.precision, turns=self.tta)
                )
            found: dict[str, Evaluation] = {}
            if self.hr is not None:
                items = image_files(self.hr) if self.lr is None else find_pairs(self.hr, self.lr, scale, progress)
                found[str(self.hr)] = evaluate(items, method, scale, progress)
            for name in self.set:
                found[name] = evaluate(find_set(name, scale, self.sets_folder, progress), method, scale, progress)
        _print(weights, found)
        if self.json is not None:
            _write(self.json, weights, list(found.items()), nested=bool(self.set))
        return 0


def _print(weights: str, found: dict[str, Evaluation]) -> None:
    """A table of means."""
    from rich.table import Table

    from anyview.cli.output import console

    scale = next(iter(found.values())).scale
    table = Table(title=f"{weights}, x{scale}", title_justify="left")
    table.add_column("")
    for name in ("images", "PSNR Y", "SSIM Y", "PSNR RGB", "SSIM RGB"):
        table.add_column(name, justify="right")
    for name, one in found.items():
        m = one.mean
        figures = (f"{m.psnr_y:.2f}", f"{m.ssim_y:.4f}", f"{m.psnr_rgb:.2f}", f"{m.ssim_rgb:.4f}")
        table.add_row(name, str(len(one.each)), *figures)
    console().print(table)
    console().print(f"Y: BT.601, 16 to 235, a border of {scale} pixels cropped; RGB: nothing cropped", markup=False)


def _write(path: Path, weights: str, found: Sequence[tuple[str, Evaluation]], nested: bool) -> None:
    """The figures as JSON."""
    import json

    from anyview.formats.files import atomic_write

    content: dict[str, object] = {"weights": weights}
    content.update({name: one.labelled() for name, one in found} if nested else found[0][1].labelled())
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
