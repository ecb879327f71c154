"""mip-NeRF's network in float32, through kernels of our own: the encoding and all layers, a few samples at a time.

Same values and gradients as the twin's, `MipMLP`, but for rounding. What makes it fast:

- features stay in the cache from layer to layer, and no array is written that is not needed;
- once the field has empty and hidden places, most samples get next to no gradient. Those whose gradients add up to
  less than a millionth of all go without a backward pass.

Letters: B rays, S intervals, W features of the trunk, H of the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from anyview.compute import parallel_map
from anyview.radiance.fields.mip_work import array, given_back, shares, taken, telling


def field(
    keep: bool, mean: Tensor, variance: Tensor, seen: Tensor, density: Tensor, color: Tensor, head: Tensor,
    *layers: Tensor,
) -> Tensor:  # fmt: skip
    """(B, S, 4): raw density and colour, without their biases.

    Args:
        keep: features for a backward pass; autograd does not tell its functions whether there will be one.
        mean, variance: (B, S, 3) of the Gaussians.
        seen: (B, H) what the head adds to its sums for each ray.
        density, color, head: (1, W), (3, H) and (H, W) weights.
        layers: weight and bias of each layer of the trunk.
    """
    return cast(Tensor, _Field.apply(keep, mean, variance, seen, density, color, head, *layers))


class _Plan:
    """Where each layer's weights and features lie."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        from anyview.radiance.kernels import layers

        self.kernels = layers
        encoded = weights[0].shape[1]
        row, size, back, bias, rows = encoded, 0, 0, 0, []
        known = 0
        for weight in weights:  # of the trunk, then of the head
            outputs, inputs = weight.shape
            rows.append((row - known, known, inputs - known, row, outputs, size, back, bias))
            row, size, back, bias = row + outputs, size + inputs * outputs, back + known * outputs, bias + outputs
            known = outputs
        self.table = np.array(rows, np.int64)
        self.degrees, self.features, self.size = encoded // 6, row, size
        self.biases = bias - known

    def strips(self, weights: Sequence[Tensor]) -> np.ndarray:
        """All weights as the way forward needs them."""
        return _joined([_strips(w, self.kernels.R) for w in weights])

    def strips_back(self, weights: Sequence[Tensor]) -> np.ndarray:
        """And as the way back does: only what the layer before gives."""
        inputs = self.table[:, self.kernels.INPUTS]
        return _joined([_strips(w.T[:k], self.kernels.R) for w, k in zip(weights, inputs, strict=True) if k])

    def unstripped(self, gradient: np.ndarray, weights: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of all weights, in their own shapes."""
        flat, lanes = torch.from_numpy(gradient), self.kernels.L
        parts = flat.split([w.numel() for w in weights])
        return [
            part.view(-1, w.shape[1], lanes).transpose(1, 2).reshape(w.shape)
            for part, w in zip(parts, weights, strict=True)
        ]


def _strips(weight: Tensor, rows: int) -> Tensor:
    return weight.reshape(-1, rows, weight.shape[1]).transpose(1, 2).reshape(-1)


def _joined(parts: list[Tensor]) -> np.ndarray:
    return torch.cat([part.detach() for part in parts]).numpy()


class _Field(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, keep: bool, mean: Tensor, variance: Tensor, seen: Tensor, density: Tensor, color: Tensor,
        head: Tensor, *layers: Tensor,
    ) -> Tensor:  # fmt: skip
        weights = [*layers[::2], head]
        plan = _Plan(weights)
        k = plan.kernels
        arrays = [array(t) for t in (mean, variance, seen)]
        flat, biases = plan.strips(weights), _joined([b.reshape(-1) for b in layers[1::2]])
        last = [array(density)[0], array(color)]
        out = np.empty((*mean.shape[:2], 4), np.float32)
        panels = len(mean) * -(-mean.shape[1] // k.PANEL)
        features = taken(panels * plan.features * k.PANEL) if keep else None

        def work(part: tuple[int, int]) -> None:
            x = np.empty(k.TOGETHER * plan.features * k.PANEL, np.float32) if features is None else features
            k.forward(*arrays, flat, biases, *last, plan.table, plan.degrees, x, keep, out, *part)

        for _ in parallel_map(work, shares(panels, 16), workers=torch.get_num_threads()):
            pass
        ctx.plan, ctx.features, ctx.panels = plan, features, panels
        ctx.save_for_backward(density, color, head, *layers)
        return torch.from_numpy(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_raw: Tensor) -> tuple[Tensor | None, ...]:
        from anyview.radiance.kernels.gradients import backward

        density, color, head, *layers = ctx.saved_tensors
        weights = [*layers[::2], head]
        plan, features = ctx.plan, ctx.features
        if features is None:
            raise RuntimeError("a second backward pass through the same picture: render it again")
        k = plan.kernels
        rays, per_ray = d_raw.shape[:2]
        back, d_out = plan.strips_back(weights), array(d_raw).reshape(-1, 4)
        last = [array(density)[0], array(color)]
        shapes = (plan.size, plan.biases, last[0].shape, last[1].shape)
        size = plan.features * k.PANEL
        chosen = telling(d_raw.abs().sum(-1).reshape(-1))
        samples = _panels(chosen, k.PANEL) if chosen is not None else _all_panels(rays, per_ray, k.PANEL)

        def work(part: tuple[int, int]) -> tuple[int, list[np.ndarray]]:
            mine = samples[part[0] : part[1]]
            ray = int(mine[0, 0]) // per_ray
            here = np.where(mine < 0, -1, mine - ray * per_ray)  # counted from the first ray that is met
            seen = np.zeros((int(here.max()) // per_ray + 1, len(head)), np.float32)
            found = [np.zeros(shape, np.float32) for shape in shapes]
            first = ray * (ctx.panels // rays) if chosen is not None else part[0]
            x = features[first * size :]
            backward(d_out[ray * per_ray :], per_ray, here, chosen is not None, back, *last, plan.table, x, size,
                       *found, seen)  # fmt: skip
            return ray, [*found, seen]

        sums = [np.zeros(shape, np.float32) for shape in shapes]
        seen = np.zeros((rays, len(head)), np.float32)
        for ray, found in parallel_map(work, shares(len(samples), 64), workers=torch.get_num_threads()):
            sums_here = [*sums, seen[ray : ray + len(found[-1])]]
            for sum_, part in zip(sums_here, found, strict=True):
                sum_ += part
        ctx.features = None
        given_back(features)
        *trunk, fused = plan.unstripped(sums[0], weights)
        biases = torch.from_numpy(sums[1]).split([len(b) for b in layers[1::2]])
        pairs = [g for pair in zip(trunk, biases, strict=True) for g in pair]
        return (
            None,
            None,
            None,
            torch.from_numpy(seen),
            torch.from_numpy(sums[2])[None],
            torch.from_numpy(sums[3]),
            fused,
            *pairs,
        )


def _panels(samples: np.ndarray, lanes: int) -> np.ndarray:
    """Side by side, with -1 behind the last."""
    padded = np.full(-(-len(samples) // lanes) * lanes, -1)
    padded[: len(samples)] = samples
    return padded.reshape(-1, lanes)


def _all_panels(rays: int, per_ray: int, lanes: int) -> np.ndarray:
    """All samples as the way forward has them: each panel of one ray."""
    place = np.arange(-(-per_ray // lanes) * lanes)
    return np.where(place < per_ray, np.arange(rays)[:, None] * per_ray + place, -1).reshape(-1, lanes)
