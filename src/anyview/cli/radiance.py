"""`anyview radiance VERB`: what each takes (fields and their docstrings are the help text) and what it calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Union

from tyro.conf import Positional, arg, subcommand

from anyview.cli.learned import Engine, Trained, Training

_Scene = Positional[Annotated[Path, arg(metavar="SCENE")]]


@dataclass
class Train(Training):
    """Train a field on a scene. Run again, the same command goes on from where it was."""

    scene: _Scene
    """Folder with posed images: NeRF-synthetic (Blender), nerfstudio, instant-ngp, COLMAP, or multi-scale."""
    field: Literal["grid", "mip"] | None = None
    """`grid` trains in minutes on a processor; `mip` is mip-NeRF to the letter. By default what the options say. Told
    neither steps nor minutes, `grid` takes 10,000 steps and `mip` the paper's 1,000,000."""
    geometry: Path | None = None
    """Workspace of `anyview reconstruct` on the same scene: samples go only where its surface can be."""

    def run(self) -> int:
        """See `anyview.pipelines.radiance.train_field`."""
        from anyview.cli.learned_output import print_training
        from anyview.cli.progress import TerminalProgress
        from anyview.radiance.settings import settled

        geometry = None if self.geometry is None else str(self.geometry.resolve())
        given = self.given(field=self.field, geometry=geometry)
        options = settled(self.out, self.config, self.set, given)
        from anyview.pipelines.radiance import train_field

        with TerminalProgress() as progress:
            result, page = train_field(self.scene, self.out, options, progress)
        print_training(result, page, f"anyview radiance eval {self.out}")
        return 0


@dataclass
class _OfField(Trained):
    scene: Path | None = field(default=None, kw_only=True)
    """Where the run's scene lies now, if it has moved."""


@dataclass
class Evaluate(_OfField):
    """PSNR and SSIM of a run on views that it has not learnt from, and pictures of where it errs."""

    split: Literal["train", "val", "test"] | None = None
    """Views to compare with; test where there are some, else val (which training holds back if need be)."""
    scale: int | None = None
    """How much smaller than the original: chooses the views of a multi-scale scene, and reduces those of others."""
    json: Path | None = None
    """Where the figures go as JSON."""
    lpips: bool = False
    """Compute LPIPS too; its weights are downloaded once."""

    def run(self) -> int:
        """See `anyview.pipelines.radiance.evaluate_field`."""
        from anyview.cli.progress import TerminalProgress
        from anyview.cli.radiance_output import print_figures
        from anyview.pipelines.radiance import evaluate_field

        with TerminalProgress() as progress:
            figures, page = evaluate_field(
                self.folder, self.split, self.scale, self.json, with_lpips=self.lpips, weights=self.weights,
                scene=self.scene, progress=progress,
            )  # fmt: skip
        print_figures(figures, page)
        return 0


@dataclass
class Render(_OfField):
    """A film along a camera path, in colour and depth, and its frames."""

    path: str
    """orbit, spiral, interpolate, or a file *.json with cameras."""
    frames: int = 120
    """How many; a file has its own."""
    elevation: float | None = None
    """Of an orbit: degrees above the horizon at which it is seen from the middle, -90 to 90; by default radius and
    height are the medians of the training cameras'."""
    size: Annotated[tuple[int, int] | None, arg(metavar="W H")] = None
    """Of the frames, pixels; by default the first view's."""
    fps: float = 30.0
    """Frames per second."""
    out: Path | None = None
    """Folder for films and frames; by default in the run's folder."""

    def run(self) -> int:
        """See `anyview.pipelines.radiance.render_film`."""
        from anyview.cli.progress import TerminalProgress
        from anyview.cli.radiance_output import print_film
        from anyview.pipelines.radiance import render_film

        with TerminalProgress() as progress:
            film, page = render_film(
                self.folder, self.path, self.frames, self.size, self.fps, self.out, elevation=self.elevation,
                weights=self.weights, scene=self.scene, progress=progress,
            )  # fmt: skip
        print_film(film, page)
        return 0


@dataclass
class Export(_OfField):
    """The field's surface as a cloud or a mesh, in the scene's own coordinates and scale."""

    to: Literal["points", "mesh"] = "points"
    """`points`: a PLY cloud with colours and normals. `mesh`: triangles with colours and normals, PLY or GLB."""
    spacing: float | None = None
    """Distance between points, scene units; by default what a pixel covers, of a picture of one megapixel at most."""
    faces: int | None = None
    """Faces of the mesh at most: it is simplified. By default all are kept."""
    views: int = 50
    """Most training views that the surface is rendered from; more find more of it, and take longer."""
    out: Path | None = None
    """The file; by default points.ply or mesh.ply in the run's folder. A mesh whose name ends in .glb becomes glTF (y
    up)."""

    def run(self) -> int:
        """See `anyview.radiance.export.export_points` and `anyview.pipelines.radiance_mesh.export_mesh`."""
        self._check()
        from anyview.cli.output import console
        from anyview.cli.progress import TerminalProgress
        from anyview.radiance.export import export_points
        from anyview.radiance.run import open_run

        out = self.out or self.folder / f"{self.to}.ply"
        with TerminalProgress() as progress:
            run = open_run(self.folder, self.weights, self.scene, progress=progress)
            if self.to == "points":
                made = f"{export_points(run, out, self.spacing, progress, self.views):,} points"
            else:
                from anyview.pipelines.radiance_mesh import export_mesh

                mesh = export_mesh(run, out, self.faces, progress, self.views)
                made = f"{mesh.vertices:,} vertices, {mesh.faces:,} faces"
        console().print(f"{made} {out}", markup=False)
        return 0

    def _check(self) -> None:
        """Refuse an option of the other kind."""
        from anyview.errors import OptionError

        for name, value, kind in (("--spacing", self.spacing, "points"), ("--faces", self.faces, "mesh")):
            if value is not None and self.to != kind:
                raise OptionError(
                    f"an option of --to {kind}", where=name, actual=f"--to {self.to}", hint="leave it out"
                )


@dataclass
class Radiance(Engine):
    """Radiance fields: train one on posed images, score it, render films of it, export its surface."""

    less_memory = (
        "close other programs, and run the same command: it resumes; or train into another --out with --set and a "
        "higher data.downscale, or a lower grid.log2_entries or mip.batch"
    )

    verb: Annotated[
        Union[  # noqa: UP007 (tyro reads it)
            Annotated[Train, subcommand("train", prefix_name=False)],
            Annotated[Evaluate, subcommand("eval", prefix_name=False)],
            Annotated[Render, subcommand("render", prefix_name=False)],
            Annotated[Export, subcommand("export", prefix_name=False)],
        ],
        arg(name=""),
    ]
