"""The README's table of measured comparisons, made from `benchmarks/results/*.json`; no figure in it is typed.

usage: python benchmarks/table.py            print it
       python benchmarks/table.py --write    put it into README.md, between its two marks
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import table_superresolution

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- measured: benchmarks/table.py --write -->", "<!-- /measured -->"
SCENES = {
    "still_life": "48 renders of 640x640, true depth known",
    "lego": "100 renders of 800x800 (NeRF-synthetic)",
    "herz_jesu_p8": "8 photographs of 1536x1024",
}


def read(name: str) -> dict[str, Any] | None:
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def whole_runs() -> list[str]:
    """One row per scene, and the peer's where somebody measured it on the same work."""
    lines = [
        "| scene | program | F1 at 1 / 2 / 4 pixel footprints | to the cloud | with mesh, report | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    peers = json.loads((HERE / "peers.json").read_text())
    for name, what in SCENES.items():
        run = read(f"geometry_{name}")
        if run is None:
            continue
        score = run.get("score")
        f1 = " / ".join(f"{score[k]['f1']:.3f}" for k in ("1px", "2px", "4px")) if score else "no truth"
        stages = run["stages"]
        cloud = sum(stages[k] for k in ("sparse", "dense", "fuse"))
        memory = f"{run['peak_memory_bytes'] / 2**30:.1f} GiB"
        lines.append(f"| `{name}`: {what} | **anyview** | {f1} | {cloud:.0f} s | {run['seconds']:.0f} s | {memory} |")
        for peer in peers.get(name, []):
            f1 = " / ".join(f"{value:.3f}" for value in peer["f1"])
            lines.append(f"| | {peer['program']} | {f1} | {peer['seconds']:.0f} s | | |")
    return lines


def sparse_runs() -> list[str]:
    """anyview's sparse stage beside pycolmap's flow, both in the same run."""
    lines = ["| scene | sparse stage | points | reprojection error | CPU time |", "|---|---|---|---|---|"]
    for name in SCENES:
        run = read(f"sparse_{name}")
        if run is None:
            continue
        for program, title in (("anyview", "**anyview**"), ("pycolmap", "pycolmap, exhaustive")):
            r = run[program]
            lines.append(
                f"| {f'`{name}`' if program == 'anyview' else ''} | {title} | {r['points']:,} | "
                f"{r['mean_reprojection_error']:.2f} px | {r['cpu_seconds']:.0f} s |"
            )
    return lines if len(lines) > 2 else []


def radiance_runs() -> list[str]:
    """PSNR of the grid field by minutes of training, on views that it has not seen."""
    lines = [
        "| scene | field `grid` | minutes | PSNR | SSIM | one view | on the way, on a few pixels of each view |",
        "|---|---|---|---|---|---|---|",
    ]
    for scene in ("lego_half",):
        for suffix, title in (("", "visual hull"), ("_geometry", "`--geometry`")):
            record = read(f"radiance_{scene}{suffix}")
            for minutes, r in (record or {"runs": {}})["runs"].items():
                before = r.get("reconstruction_seconds")
                after = "" if before is None else f" (reconstructed in {before / 60:.1f} min before)"
                lines.append(
                    f"| `{scene}` | {title}{after} | {minutes} | {r['psnr']:.2f} dB | {r['ssim']:.3f} | "
                    f"{r['render_seconds']:.1f} s | {on_the_way(r.get('curve', []))} |"
                )
    return lines if len(lines) > 2 else []


def on_the_way(curve: list[tuple[float, float]], most: int = 4) -> str:
    """Some points of a curve of validation: dB at minutes."""
    some = curve[:: max(1, -(-len(curve) // most))]
    return ", ".join(f"{psnr:.1f} at {seconds / 60:.1f} min" for seconds, psnr in some)


def mip_steps() -> list[str]:
    """Rays per second of mip-NeRF's training step beside a plain port's, all in the same run."""
    record = read("mip_step")
    if record is None:
        return []
    lines = [
        "| training step of mip-NeRF | rays per second, weights random | once it has learnt a little |",
        "|---|---|---|",
    ]
    titles = {
        "bfloat16": "**anyview**, `--field mip`", "float32": "**anyview**, float32",
        "plain_bfloat16": "plain PyTorch, bfloat16 autocast", "plain_float32": "plain PyTorch, float32",
    }  # fmt: skip
    for name, title in titles.items():
        cells = []
        for state in ("random_weights", "taught"):
            part = record[state]
            times = f" ({part['ratio'][name]:.1f}x)" if name in part["ratio"] else ""
            cells.append(f"{part['rays_per_second'][name]:.0f}{times}")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def segmentation_tables() -> list[str]:
    """Mask R-CNN beside torchvision's, the same weights and images."""
    runs = (read("segmentation") or {"runs": {}})["runs"]
    tables = [make(runs[name]) for name, make in SEGMENTATION.items() if name in runs]
    return [line for lines in tables for line in ["", *lines]][1:]


def segmentation_steps(run: dict[str, Any]) -> list[str]:
    """Photographs per second, one step after the other."""
    titles = {
        "torchvision": "torchvision's `maskrcnn_resnet50_fpn`",
        "torchvision_bfloat16": "the same, channels last, bfloat16 autocast",
        "plain": "ours, plain PyTorch, float32",
        "roi_align": "+ RoIAlign of our own",
        "crops": "+ masks in their boxes only",
        "folded": "+ norms folded into convolutions",
        "channels_last": "+ channels last: **anyview**, float32",
        "packed": "+ weights laid out beforehand, sums and ReLU on the way out: slower, so not done in float32",
        "bfloat16": "+ bfloat16: **anyview**",
        "confident": "the same, objects of score 0.5 and more only",
    }
    objects = f"{run['objects']['torchvision']:.0f} objects in each on the mean, weights {run['weights']}"
    lines = [f"| Mask R-CNN; {objects} | photographs per second, median turns | to torchvision |", "|---|---|---|"]
    rates = {name: rate(*step["seconds"]) for name, step in run["steps"].items()}
    for name, value in rates.items():
        lines.append(f"| {titles[name]} | {value:.2f} | {value / rates['torchvision']:.2f}x |")
    if compiled := run.get("compiled"):  # of one photograph, with turns of its own
        own = {name: rate(*step["seconds"]) for name, step in compiled["steps"].items()}
        ratio = own["compiled"] / own["torchvision"]
        seconds = compiled["first_seconds"]
        lines.append(
            f"| bfloat16 and `torch.compile` instead ({seconds:.0f} s at first): slower, not the default "
            f"| {own['compiled']:.2f} | {ratio:.2f}x |"
        )
    return lines


def rate(*turns: list[float]) -> float:
    """Parts of some work per second, each part's time the median of its turns."""
    return len(turns) / sum(map(median, turns))


def segmentation_training(run: dict[str, Any]) -> list[str]:
    """Images per second of a training step."""
    titles = {
        "torchvision": "torchvision, float32", "torchvision_bfloat16": "torchvision, bfloat16 autocast",
        "float32": "**anyview**, float32", "bfloat16": "**anyview**, bfloat16",
    }  # fmt: skip
    what = f"training step of Mask R-CNN, {len(run['batch'])} photographs"
    lines = [f"| {what} | images per second, median turn | to torchvision |", "|---|---|---|"]
    rates = {name: len(run["batch"]) * rate(turns) for name, turns in run["seconds"].items()}
    for name, value in rates.items():
        lines.append(f"| {titles[name]} | {value:.3f} | {value / rates['torchvision']:.2f}x |")
    return lines


def segmentation_memory(run: dict[str, Any]) -> list[str]:
    """Memory for a large photograph's detections."""
    titles = {
        "torchvision": "torchvision: probabilities at every pixel", "floats": "**anyview**, called in the same way",
        "anyview": "**anyview**, as `segment predict` does it",
    }  # fmt: skip
    width, height = run["photograph"]
    lines = [f"| objects in a photograph of {width} x {height} | number | memory, without the model |", "|---|---|---|"]
    for name, found in run["programs"].items():
        lines.append(f"| {titles[name]} | {found['objects']} | {found['above_mib'] / 1024:.1f} GiB |")
    return lines


def segmentation_exactness(run: dict[str, Any]) -> list[str]:
    """AP of the same trained weights in both programs."""
    titles = {"torchvision": "torchvision", "float32": "**anyview**, float32", "bfloat16": "**anyview**, bfloat16"}
    what = f"trained weights on {run['images']} labelled images ({run['data']})"
    lines = [f"| {what} | box AP | mask AP |", "|---|---|---|"]
    for name, ap in run["ap"].items():
        lines.append(f"| {titles[name]} | {ap['box']:.2f} | {ap['mask']:.2f} |")
    return lines


def segmentation_noise(run: dict[str, Any]) -> list[str]:
    """The same on few photographs."""
    lines = segmentation_exactness(run | {"data": "photographs, learnt by heart"})
    lost = run["bfloat16_less_float32"]
    cells = " | ".join(f"{lost[k]['mean']:+.2f} ± {lost[k]['standard_error']:.2f}" for k in ("box", "mask"))
    times = len(run["rounds"])
    return [*lines, f"| bfloat16 less float32, mean of {times} times with noise of half a grey level | {cells} |"]


def segmentation_trained() -> list[str]:
    """What models learn that begin with random weights."""
    lines = []
    if run := read("segmentation_demo"):
        what = f"`segment demo --max-minutes {run['minutes']:.0f}`, {run['pictures']} held-back rendered pictures"
        lines += _ap_rows(what, run["ap"])
    if run := read("segmentation_overfit"):
        lines += _ap_rows(
            f"{run['images']} photographs of COCO, {run['objects']} objects, learnt by heart in {run['steps']} steps",
            run["ap"],
        )
    return ["| trained from random weights | | AP | AP50 | AP75 |", "|---|---|---|---|---|", *lines] if lines else []


def _ap_rows(what: str, ap: dict[str, dict[str, float]]) -> list[str]:
    rows = []
    for kind, title in (("box", "boxes"), ("mask", "masks")):
        cells = " | ".join(f"{ap[kind][name]:.2f}" for name in ("AP", "AP50", "AP75"))
        rows.append(f"| {what if not rows else ''} | {title} | {cells} |")
    return rows


def radiance_memory() -> list[str]:
    """Peaks of radiance's commands at growing sizes."""
    run = read("radiance_memory")
    if run is None:
        return []
    sizes = list(run["sizes"])
    head = " | ".join(f"{size} x {size}" for size in sizes)
    lines = [f"| peak memory, pictures of | {head} |", "|---|" + "---|" * len(sizes)]
    for field, command in (("grid", "train"), ("grid", "eval"), ("grid", "render"), ("mip", "train")):
        cells = " | ".join(f"{run['sizes'][size][field][command] / 1024:.1f} GiB" for size in sizes)
        lines.append(f"| `radiance {command}`, `{field}` | {cells} |")
    return lines


def radiance_surfaces() -> list[str]:
    """What a field says about the surface, beside the truth."""
    lines = []
    for name in SCENES:
        run = read(f"radiance_surface_{name}")
        for kind, title in (("points", "points"), ("mesh", "vertices of the mesh")) if run else ():
            f1 = " / ".join(f"{run[kind][k]['f1']:.3f}" for k in ("1px", "2px", "4px"))
            what = f"`{name}` | {run['minutes']:.0f} minutes" if kind == "points" else " | "
            lines.append(f"| {what} | {title} | {f1} |")
    head = "| scene | field `grid` | `radiance export` | F1 at 1 / 2 / 4 pixel footprints |"
    return [head, "|---|---|---|---|", *lines] if lines else []


SEGMENTATION = {
    "inference": segmentation_steps,
    "training": segmentation_training,
    "memory": segmentation_memory,
    "exactness": segmentation_exactness,
    "noise": segmentation_noise,
}


def measured(*names: str) -> str:
    """Where and when these records were made."""
    found = {}
    for record in filter(None, map(read, names)):
        days = [record["date"]] if "date" in record else [run["date"] for run in record["runs"].values()]
        machine = f"{record['machine']['cores']} cores ({record['machine']['cpu']})"
        found.setdefault(machine, set()).update(days)
    places = [f"{machine}, no GPU, {' and '.join(sorted(days))}" for machine, days in found.items()]
    return f"Measured on {'; '.join(places)}."


def table() -> str:
    """All tables, and where they were measured."""
    parts = [
        (whole_runs(), [f"geometry_{name}" for name in SCENES], " " + NOTE),
        (sparse_runs(), [f"sparse_{name}" for name in SCENES], ""),
        (radiance_runs(), ["radiance_lego_half", "radiance_lego_half_geometry"], ""),
        (radiance_surfaces(), [f"radiance_surface_{name}" for name in SCENES], ""),
        (mip_steps(), ["mip_step"], ""),
        (radiance_memory(), ["radiance_memory"], ""),
        (segmentation_tables(), ["segmentation"], ""),
        (segmentation_trained(), ["segmentation_demo", "segmentation_overfit"], ""),
        (
            table_superresolution.tables(read("superresolution"), read("superresolution_train")),
            ["superresolution", "superresolution_train"],
            "",
        ),
    ]
    return "\n\n".join("\n".join([*lines, "", measured(*names) + note]) for lines, names, note in parts if lines)


NOTE = "The peer's whole-run figures were handed to us with the scene and not run again (`benchmarks/peers.json`)."


def put_into(text: str, content: str) -> str:
    """The text with what stands between the marks replaced."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{content}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        README.write_text(put_into(README.read_text(), table()))
    else:
        print(table())
