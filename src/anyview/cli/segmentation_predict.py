"""`anyview segment predict`: its words (fields and their docstrings are the help text) and what it calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

from tyro.conf import Positional, UseAppendAction, arg

from anyview.cli.command import Command


@dataclass
class Predict(Command):
    """Find objects in images: pictures, masks, COCO's JSON. Run again, the same command goes on from where it was."""

    images: Positional[Annotated[tuple[str, ...], arg(metavar="IMAGES")]]
    """Image files, folders of them, or patterns in quotes such as 'photos/*.jpg'."""
    weights: str
    """The folder of `anyview segment train`; a file of torchvision's Mask R-CNN (.pth, .safetensors); or COCO_V1
    (maskrcnn_resnet50_fpn) or COCO_V1_V2 (maskrcnn_resnet50_fpn_v2, better and slower), downloaded once."""
    out: Path
    """Folder for overlays/, masks/, instances/, rle/ and predictions.json."""
    keep: tuple[str, ...] = ()
    """Only objects of these classes, such as: --keep person dog. By default of all."""
    min_score: float = 0.5
    """Least probability of an object; what has less than a model's own threshold (0.05) is never found."""
    format: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="{coco,png,rle}")] = ()
    """What is written: `coco` is predictions.json; `png` is masks/ (white on any object, for `anyview reconstruct
    --masks`) and instances/ (16 bits, numbers of objects); `rle` is a JSON for each image. Several with commas, or
    given many times; by default coco,png."""
    overlays: bool = True
    """Whether pictures of what was found are drawn."""
    tile: int | Literal["auto"] = "auto"
    """Side of the overlapping tiles that large images are looked at in, pixels; 0 for none. `auto` takes tiles only
    for images so large that small objects would vanish (more than 5332 pixels for COCO's models)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks run; `auto` is a CUDA device where there is one."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """Of the networks; `auto` is bf16 where the device has instructions for it."""
    compile: bool = False
    """Compile the network: takes a minute or more for each size of images. On two cores it was slower after that."""

    def run(self) -> int:
        """See `anyview.segmentation.predict.predict`."""
        from anyview.cli.output import console
        from anyview.cli.progress import TerminalProgress
        from anyview.errors import FormatError, OptionError
        from anyview.segmentation.detector import Detector
        from anyview.segmentation.predict import PredictOptions, predict
        from anyview.segmentation.prediction_files import Format
        from anyview.segmentation.pretrained import open_pretrained
        from anyview.segmentation.tiles import TileOptions

        words = self.format or ("coco,png",)
        formats = tuple(dict.fromkeys(name for word in words for name in word.split(",") if name))
        if strange := [name for name in formats if name not in ("coco", "png", "rle")]:
            raise OptionError("no such format", where="--format", expected="coco, png or rle", actual=strange[0])
        if not 0 <= self.min_score <= 1:
            raise OptionError("option out of range", where="--min-score", expected="0 to 1", actual=self.min_score)
        options = PredictOptions(
            cast("tuple[Format, ...]", formats), self.overlays, tuple(self.keep), TileOptions(self.tile)
        )
        with TerminalProgress() as progress:
            pretrained = open_pretrained(self.weights, notes=progress)
            detector = Detector(
                pretrained.model, min_score=self.min_score, device=self.device, precision=self.precision,
                compile=self.compile,
            )  # fmt: skip
            done = predict(self.images, self.out, pretrained, detector, options, progress)
        console().print(f"{done.objects} objects in {done.images} images, in {done.out}", markup=False)
        if "png" in formats:
            console().print(f"masks   {done.out / 'masks'}, for `anyview reconstruct --masks`", markup=False)
        if done.damaged:
            names = [Path(str(error.where)).name for error in done.damaged]
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise FormatError(
                f"{len(names)} of {len(names) + done.images} images cannot be read ({shown})",
                hint="the others are done; mend or remove these, and run the same command",
            )
        return 0
