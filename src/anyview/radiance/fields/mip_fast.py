"""`MipMLP` on processors, through compiled kernels: the encoding and all layers, a few samples at a time.

Same values and gradients as the twin's but for rounding. What makes it fast:

- features stay in the cache from layer to layer, and no array is written that is not needed;
- the encoding gets no gradient;
- the bottleneck, which has no rectifier, is multiplied into the head: W_h (W_b x) = (W_h W_b) x;
- once the field has empty and hidden places, most samples get next to no gradient. Those whose gradients add up to
  less than a millionth of all go without a backward pass.

Letters: B rays, S intervals, W features of the trunk, H of the head, V of directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anyview.compute import parallel_map
from anyview.radiance.cones import Gaussians

if TYPE_CHECKING:
    from anyview.radiance.fields.mip import MipMLP

_EVEN = 32  # sizes that the kernels' tiles divide
_LOST = 1e-6  # share of the gradient that may go without a backward pass: about what rounding takes anyway
_FEW = 0.25  # samples that must be spared so that it pays to gather the others


def runs_here(mlp: MipMLP, places: Tensor) -> bool:
    """Whether the kernels can do this network's work: float32 on a processor, widths in multiples of 32."""
    tensors = (places, *mlp.parameters())
    sizes = (mlp.density.in_features, mlp.head.out_features, next(mlp.trunk.parameters()).shape[1])
    return (
        all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)
        and not places.requires_grad
        and not torch.is_autocast_enabled("cpu")
        and all(size % _EVEN == 0 for size in sizes)
        and mlp.density.in_features == mlp.bottleneck.out_features
    )


def field(
    mlp: MipMLP, gaussians: Gaussians, directions: Float[Tensor, "B V"]
) -> tuple[Float[Tensor, "B S"], Float[Tensor, "B S 3"]]:
    """What `mlp(integrated_encoding(*gaussians), directions)` gives; no gradient reaches the Gaussians.

    Args:
        mlp: one that `runs_here`.
        gaussians: in the world.
        directions: encoded unit directions.
    """
    width = mlp.bottleneck.out_features
    places, sight = mlp.head.weight[:, :width], mlp.head.weight[:, width:]
    seen = directions @ sight.T + (places @ mlp.bottleneck.bias + mlp.head.bias)
    layers = [p for layer in mlp.trunk for p in (layer.weight, layer.bias)]
    raw = cast(
        Tensor,
        _Field.apply(*gaussians, seen, mlp.density.weight, mlp.color.weight, places @ mlp.bottleneck.weight, *layers),
    )
    return raw[..., 0] + mlp.density.bias, raw[..., 1:] + mlp.color.bias


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
    """(B, S, 4): raw density and colour, without their biases."""

    @staticmethod
    def forward(
        ctx: Any, mean: Tensor, variance: Tensor, seen: Tensor, density: Tensor, color: Tensor, head: Tensor,
        *layers: Tensor,
    ) -> Tensor:  # fmt: skip
        weights = [*layers[::2], head]
        plan = _Plan(weights)
        k = plan.kernels
        arrays = [_array(t) for t in (mean, variance, seen)]
        flat, biases = plan.strips(weights), _joined([b.reshape(-1) for b in layers[1::2]])
        last = [_array(density)[0], _array(color)]
        out = np.empty((*mean.shape[:2], 4), np.float32)
        panels = len(mean) * -(-mean.shape[1] // k.PANEL)
        keep = any(ctx.needs_input_grad)
        features = _taken(panels * plan.features * k.PANEL) if keep else None

        def work(part: tuple[int, int]) -> None:
            x = np.empty(k.TOGETHER * plan.features * k.PANEL, np.float32) if features is None else features
            k.forward(*arrays, flat, biases, *last, plan.table, plan.degrees, x, keep, out, *part)

        for _ in parallel_map(work, _parts(panels, 16), workers=torch.get_num_threads()):
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
        back, d_out = plan.strips_back(weights), _array(d_raw).reshape(-1, 4)
        last = [_array(density)[0], _array(color)]
        shapes = (plan.size, plan.biases, last[0].shape, last[1].shape)
        size = plan.features * k.PANEL
        chosen = _telling(d_raw.abs().sum(-1).reshape(-1))
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
        for ray, found in parallel_map(work, _parts(len(samples), 64), workers=torch.get_num_threads()):
            sums_here = [*sums, seen[ray : ray + len(found[-1])]]
            for sum_, part in zip(sums_here, found, strict=True):
                sum_ += part
        ctx.features = None
        _given_back(features)
        *trunk, fused = plan.unstripped(sums[0], weights)
        biases = torch.from_numpy(sums[1]).split([len(b) for b in layers[1::2]])
        pairs = [g for pair in zip(trunk, biases, strict=True) for g in pair]
        return (
            None,
            None,
            torch.from_numpy(seen),
            torch.from_numpy(sums[2])[None],
            torch.from_numpy(sums[3]),
            fused,
            *pairs,
        )


def _telling(size: Float[Tensor, "N"]) -> np.ndarray | None:
    """The samples that make up all of the gradient but `_LOST`; None where those are most.

    Args:
        size: of each sample's gradient.
    """
    ordered, order = size.sort(stable=True)
    sums = ordered.double().cumsum(0)
    lost = int((sums <= _LOST * sums[-1]).sum())
    return order[lost:].sort().values.numpy() if lost > _FEW * len(size) else None


def _panels(samples: np.ndarray, lanes: int) -> np.ndarray:
    """Side by side, with -1 behind the last."""
    padded = np.full(-(-len(samples) // lanes) * lanes, -1)
    padded[: len(samples)] = samples
    return padded.reshape(-1, lanes)


def _all_panels(rays: int, per_ray: int, lanes: int) -> np.ndarray:
    """All samples as the way forward has them: each panel of one ray."""
    place = np.arange(-(-per_ray // lanes) * lanes)
    return np.where(place < per_ray, np.arange(rays)[:, None] * per_ray + place, -1).reshape(-1, lanes)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _parts(panels: int, most: int) -> list[tuple[int, int]]:
    """Shares of the work: a function of its size alone, so that sums do not depend on the number of threads."""
    step = min(most, max(4, panels // 16))
    return [(first, min(first + step, panels)) for first in range(0, panels, step)]


_free: list[np.ndarray] = []  # memory that the system has already given: new memory costs more than the work on it


def _taken(size: int) -> np.ndarray:
    """Room for so many numbers, of any content: given back before, or new. What has other sizes is freed."""
    while _free:
        array = _free.pop()
        if array.size == size:
            return array
    return np.empty(size, np.float32)


def _given_back(array: np.ndarray) -> None:
    """Keeps the memory for the next step: two at most, one for each level."""
    _free.append(array)
    del _free[:-2]
