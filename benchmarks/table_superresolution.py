"""Super-resolution's part of the README's table; see table.py."""

from __future__ import annotations

from statistics import median
from typing import Any

TITLES = {
    "edsr": "EDSR-baseline", "wdsr-b": "WDSR-B", "bicubic": "bicubic (MATLAB's `imresize`)",
}  # fmt: skip


def title(name: str) -> str:
    """Of a network or a method, as the README has it: `edsr-x4` is "EDSR-baseline x4"."""
    arch, _, scale = name.partition("-x")
    return TITLES.get(arch, arch) + (f" x{scale}" if scale else "")


def scores(run: dict[str, Any]) -> list[str]:
    """PSNR and SSIM of the shipped weights."""
    lines = ["| x4, luma | steps | Set5 PSNR / SSIM | Set14 PSNR / SSIM |", "|---|---|---|---|"]
    for name, found in run["networks"].items():
        sets = [f"{found[s]['psnr_y']:.2f} dB / {found[s]['ssim_y']:.4f}" for s in ("Set5", "Set14")]
        lines.append(f"| {title(name)} | {found.get('steps', '')} | {' | '.join(sets)} |")
    return lines


def upscale(runs: dict[str, Any]) -> list[str]:
    """Seconds of enlarging beside plain modules'."""
    lines = [
        "| 400 x 400 pixels x4 | plain PyTorch, float32 | **anyview** | times as fast | PSNR between both |",
        "|---|---|---|---|---|",
    ]
    for part in ("upscale", "upscale_float32"):
        for name, found in runs[part]["networks"].items() if part in runs else ():
            plain, fast = (median(found["seconds"][program]) for program in ("plain", "fast"))
            lines.append(
                f"| {title(name)}, {found['dtype']} | {plain:.2f} s | {fast:.2f} s | {found['ratio']:.1f}x | "
                f"{found['psnr_between']:.0f} dB |"
            )
    return lines


def memory(run: dict[str, Any]) -> list[str]:
    """Peaks above the output's own size."""
    lines = ["| a photograph x4 | of | output | peak of the process above that |", "|---|---|---|---|"]
    for name, found in run["networks"].items():
        width, height = found["size"]
        output, above = found["output_mib"] / 1024, found["above_output_mib"] / 1024
        lines.append(f"| {title(name)} | {width} x {height} | {output:.2f} GiB | {above:.2f} GiB |")
    return lines


def training(record: dict[str, Any]) -> list[str]:
    """Patches per second of training steps."""
    programs = {"plain": "plain PyTorch, float32, PNG", "float32": "anyview, float32", "bfloat16": "**anyview**"}
    lines = [f"| patches per second in training | {' | '.join(programs.values())} |", "|---|---|---|---|"]
    for name, run in record["runs"].items():
        rates = {one: run["batch"] / median(seconds) for one, seconds in run["seconds"].items()}
        cells = [f"{rates[one]:.1f}" + (f" ({run['ratio'][one]:.1f}x)" if one != "plain" else "") for one in programs]
        lines.append(f"| {title(name)} | {' | '.join(cells)} |")
    return lines


def tables(record: dict[str, Any] | None, learning: dict[str, Any] | None) -> list[str]:
    """All of them, as far as they were measured."""
    runs = (record or {"runs": {}})["runs"]
    found = [make(runs[name]) for name, make in (("scores", scores), ("memory", memory)) if name in runs]
    found += [upscale(runs)] if "upscale" in runs else []
    found += [training(learning)] if learning else []
    return [line for lines in found for line in ["", *lines]][1:]
