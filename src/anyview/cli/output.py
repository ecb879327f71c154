"""What the commands say at their end: tables and paths, on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from anyview.compute.doctor import Check
    from anyview.demo import DemoResult
    from anyview.reconstruction.accuracy import Accuracy
    from anyview.reconstruction.pipeline import ReconstructionResult
    from anyview.scene.scene import Scene
    from anyview.scene.statistics import SceneStatistics

_MARKS = {"fine": ("green", "ok"), "note": ("cyan", "--"), "slow": ("yellow", "!"), "broken": ("red", "BROKEN")}


def console() -> Console:
    """Prints to stdout; long paths are not broken into lines."""
    return Console(soft_wrap=True, highlight=False)


def print_result(result: ReconstructionResult) -> None:
    """The table of a run and where its results lie."""
    screen = console()
    screen.print(result_table(result.summary))
    for name, path in (("cloud", result.cloud), ("mesh", result.mesh), ("report", result.report)):
        if path.exists():
            screen.print(f"{name:<7} {path}", markup=False)


def result_table(summary: dict[str, Any]) -> Table:
    """Views, points, times and memory."""
    sparse, dense, mesh = summary["sparse"], summary["dense"], summary["mesh"]
    facts = {
        "sparse": [f"{_count(sparse.get('points'))} points", _pixels(sparse.get("mean_reprojection_error"))],
        "dense": [f"{_count(dense.get('depth_maps'))} depth maps"],
        "fuse": [f"{_count(dense.get('points'))} points"],
        "mesh": [f"{_count(mesh.get('vertices'))} vertices", f"{_count(mesh.get('faces'))} faces"],
    }
    table = Table(title=f"{summary.get('views', '?')} views", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("peak memory", justify="right")
    table.add_column("result")
    memory = summary["stage_memory_bytes"]
    for stage, seconds in summary["stages"].items():
        table.add_row(stage, f"{seconds:.1f}", gib(memory.get(stage, 0)), ", ".join(filter(None, facts.get(stage, []))))
    table.add_section()
    table.add_row("all", f"{sum(summary['stages'].values()):.1f}", gib(summary.get("peak_memory_bytes", 0)), "")
    return table


def print_stage(name: str, result: ReconstructionResult) -> None:
    """One stage's line."""
    seconds = result.summary["stages"].get(name, 0.0)
    console().print(f"{name}: done in {seconds:.1f} s, in {result.work}", markup=False)


def print_accuracy(accuracy: Accuracy, labels: Sequence[str] = ()) -> None:
    """Precision, recall and F1 per threshold; `labels` say what the thresholds are."""
    table = Table()
    table.add_column("within")
    for name in ("precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for index, score in enumerate(accuracy.scores):
        label = f"{score.threshold:.4g}" + (f" ({labels[index]})" if labels else "")
        table.add_row(label, f"{score.precision:.4f}", f"{score.recall:.4f}", f"{score.f1:.4f}")
    screen = console()
    screen.print(table)
    if accuracy.dropped:
        screen.print(f"{accuracy.dropped:,} points that are not finite were left out")


def print_demo(demo: DemoResult) -> None:
    """The run's table, the scores against the truth, and the report's path."""
    print_accuracy(demo.accuracy, ("1 pixel", "2 pixels", "4 pixels"))
    print_result(demo.result)


def print_info(scene: Scene, statistics: SceneStatistics) -> None:
    """What a scene holds."""
    screen = console()
    splits = ", ".join(f"{count} {split}" for split, count in statistics.views.items())
    screen.print(f"{scene.root or 'scene'}: {scene.format}, {len(scene)} views ({splits})", markup=False)
    for camera, count in statistics.cameras.items():
        screen.print(f"{count:>5} x {camera}", markup=False)
    table = Table()
    table.add_column("")
    for name in ("least", "median", "largest"):
        table.add_column(name, justify="right")
    rows = {
        "distance to the nearest camera, scene units": statistics.baseline,
        "distance to what cameras look at, scene units": statistics.distance,
        "angle between neighbours, degrees": statistics.angle,
        "overlap with the best neighbour, %": tuple(100 * share for share in statistics.overlap),
        "views that share a quarter of the image": statistics.partners,
    }
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.4g}" for value in values))
    screen.print(table)
    if scene.bounds is not None:
        low, high = (", ".join(f"{x:.4g}" for x in corner) for corner in scene.bounds)
        screen.print(f"bounds   ({low}) to ({high})")
    if scene.points is not None:
        screen.print(f"points   {len(scene.points):,}")
    if statistics.lonely:
        names = ", ".join(statistics.lonely[:5]) + (" ..." if len(statistics.lonely) > 5 else "")
        screen.print(f"{len(statistics.lonely)} views overlap with no other: {names}", markup=False)


def print_checks(checks: Sequence[Check]) -> None:
    """A line per check, and under it the advice where there is some."""
    screen = console()
    width = max(len(check.name) for check in checks)
    for check in checks:
        color, mark = _MARKS[check.state]
        screen.print(f"[{color}]{mark:>6}[/] {check.name:<{width}}  ", end="")
        screen.print(check.found, markup=False)
        if check.advice:
            screen.print(f"{'':>6} {'':<{width}}  -> {check.advice}", markup=False)


def gib(size: int) -> str:
    """Bytes in GiB."""
    return f"{size / (1 << 30):.2f} GiB"


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _pixels(error: float | None) -> str:
    return "" if error is None else f"{error:.3f} px"
