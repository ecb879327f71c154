"""The commands: what each takes (fields and their docstrings are the help text) and what it calls.

Modules that compute are imported when a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from tyro.conf import Positional, arg

from anyview.cli.command import Command
from anyview.reconstruction.options import (
    DenseOptions,
    FusionOptions,
    MeshOptions,
    Quality,
    ReconstructionOptions,
    SparseOptions,
    preset,
)

_Scene = Positional[Annotated[Path, arg(metavar="SCENE")]]
_Work = Positional[Annotated[Path, arg(metavar="WORK")]]
_Out = Positional[Annotated[Path, arg(metavar="OUT")]]
_Pred = Positional[Annotated[Path, arg(metavar="PRED.ply")]]


@dataclass
class Reconstruct(Command):
    """Posed images to a dense cloud and a mesh: all stages, and a report."""

    scene: _Scene
    """Folder with posed images: NeRF-synthetic (Blender), nerfstudio, instant-ngp, COLMAP, or multi-scale."""
    out: Path
    """Workspace folder for everything that is made. Run again, the same command goes on from where it was."""
    quality: Quality = "medium"
    """Preset behind all options. Those that are given override it; where only one stage has an option of that name,
    the stage may be left out (--pairs for --sparse.pairs)."""
    split: Literal["train", "val", "test"] | None = None
    """Views to use; by default the training views, or all where there are none."""
    masks: Path | None = None
    """Folder of PNG files named like the images, white on what is to be reconstructed, as `anyview segment predict`
    writes it (OUT/masks); they replace alpha and the scene's own masks."""
    options: Annotated[ReconstructionOptions, arg(name="")] = field(default_factory=ReconstructionOptions)

    def with_defaults(self) -> Self:
        """The preset of the quality."""
        return replace(self, options=preset(self.quality))

    def run(self) -> int:
        """See `anyview.reconstruct`."""
        from anyview.cli.output import print_result
        from anyview.cli.progress import TerminalProgress
        from anyview.pipelines.reconstruct import reconstruct

        with TerminalProgress() as progress:
            result = reconstruct(
                self.scene, self.out, self.quality, options=self.options, split=self.split, masks=self.masks,
                progress=progress,
            )  # fmt: skip
        print_result(result)
        return 0


@dataclass
class _Stage(Command):
    stage: ClassVar[Literal["sparse", "dense", "fuse", "mesh"]]

    work: _Work
    """Workspace folder that `anyview reconstruct` has made."""

    def with_defaults(self) -> Self:
        """The options saved in the workspace."""
        saved = self._saved()
        return replace(self, **{name: getattr(saved, name) for name in self._parts()})

    def run(self) -> int:
        """The stage of the same name in `anyview.reconstruction.pipeline`."""
        from anyview.cli.output import print_stage
        from anyview.cli.progress import TerminalProgress
        from anyview.reconstruction import pipeline

        options = replace(self._saved(), **{part: getattr(self, part) for part in self._parts()})
        with TerminalProgress() as progress:
            result = pipeline.run_stage(self.stage, self.work, options, progress)
        print_stage(self.stage, result)
        return 0

    def _parts(self) -> list[str]:
        return [f.name for f in fields(self) if f.name != "work"]

    def _saved(self) -> ReconstructionOptions:
        from anyview.reconstruction.summary import saved_options
        from anyview.workspace import Workspace

        return saved_options(Workspace(self.work, create=False))


@dataclass
class Sparse(_Stage):
    """Only the sparse stage of a workspace: features, matches, triangulated points."""

    stage = "sparse"

    sparse: SparseOptions = field(default_factory=SparseOptions)
    seed: int = 0
    """Start of every random sequence."""


@dataclass
class Dense(_Stage):
    """Only the dense stage of a workspace: a depth map per view."""

    stage = "dense"

    dense: DenseOptions = field(default_factory=DenseOptions)
    seed: int = 0
    """Start of every random sequence."""


@dataclass
class Fuse(_Stage):
    """Only the fusion of a workspace's depth maps into one cloud."""

    stage = "fuse"

    fusion: FusionOptions = field(default_factory=FusionOptions)


@dataclass
class Mesh(_Stage):
    """Only the mesh of a workspace's cloud."""

    stage = "mesh"

    mesh: MeshOptions = field(default_factory=MeshOptions)


@dataclass
class Demo(Command):
    """Make a synthetic scene, reconstruct it, and score the result against the truth."""

    out: Path = Path("anyview-demo")
    """Folder for the scene and everything that is made from it."""

    def run(self) -> int:
        """See `anyview.demo.demo`."""
        from anyview.cli.output import print_demo
        from anyview.cli.progress import TerminalProgress
        from anyview.demo import demo

        with TerminalProgress() as progress:
            result = demo(self.out, progress=progress)
        print_demo(result)
        return 0


@dataclass
class Doctor(Command):
    """Look at this machine: versions, processor, graphics card, memory, disk; advice for each problem.

    After an installation it also compiles the kernels, so that the first run does not have to.
    """

    def run(self) -> int:
        """See `anyview.compute.doctor` and `anyview.pipelines.warm_up`."""
        from anyview.cli.output import print_checks
        from anyview.cli.progress import TerminalProgress
        from anyview.compute.doctor import examine, healthy

        checks = examine()
        print_checks(checks)
        if not healthy(checks):
            return 1
        from anyview.pipelines.warm_up import warm_up

        with TerminalProgress() as progress:
            warm_up(progress)
        return 0


@dataclass
class Info(Command):
    """Cameras, sizes, baselines and overlap of a scene, and a drawing of where the cameras stand."""

    scene: _Scene
    """Folder with posed images: NeRF-synthetic (Blender), nerfstudio, instant-ngp, COLMAP, or multi-scale."""
    png: Path = Path("cameras.png")
    """Where the drawing goes."""

    def run(self) -> int:
        """See `anyview.scene.statistics.describe` and `anyview.report.cameras_plot.draw_cameras`."""
        from anyview.cli.output import print_info
        from anyview.report.cameras_plot import draw_cameras
        from anyview.scene.load import load_scene
        from anyview.scene.statistics import describe

        scene = load_scene(self.scene)
        print_info(scene, describe(scene))
        draw_cameras(scene, self.png)
        print(f"drawing  {self.png}")
        return 0


@dataclass
class Convert(Command):
    """Write a scene in another layout; images are linked or copied along."""

    scene: _Scene
    """Folder with posed images: NeRF-synthetic (Blender), nerfstudio, instant-ngp, COLMAP, or multi-scale."""
    out: _Out
    """Folder to write to."""
    to: Literal["blender", "nerfstudio", "colmap-txt", "colmap-bin", "multiscale"]
    """Layout to write. "multiscale" is mip-NeRF's: every image at four sizes."""

    def run(self) -> int:
        """See `anyview.scene.save.convert_scene`."""
        from anyview.scene.load import load_scene
        from anyview.scene.save import convert_scene

        convert_scene(load_scene(self.scene), self.out, self.to, print)
        print(f"written to {self.out}")
        return 0


@dataclass
class EvaluateGeometry(Command):
    """Precision, recall and F1 of a cloud against the true one, and a cloud coloured by error."""

    pred: _Pred
    """Cloud or mesh to judge, PLY."""
    truth: Path
    """True cloud, PLY."""
    thresholds: tuple[float, ...]
    """Distances within which a point counts as right, scene units."""
    out: Path = Path("error.ply")
    """Where the points coloured by their error go, blue (none) to red (the largest threshold and more)."""

    def run(self) -> int:
        """See `anyview.reconstruction.accuracy.evaluate_geometry_files`."""
        from anyview.cli.output import print_accuracy
        from anyview.reconstruction.accuracy import evaluate_geometry_files

        accuracy = evaluate_geometry_files(self.pred, self.truth, self.thresholds, self.out)
        print_accuracy(accuracy)
        print(f"errors  {self.out}")
        return 0
