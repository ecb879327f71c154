"""mip-NeRF's network in bfloat16: PyTorch's matrix products, and kernels for all that lies between them.

Sums are float32, features and gradients between layers bfloat16, as under autocast. What makes it fast: some thousand
samples go through all layers while their features are in a core's cache, each core with samples of its own, and what
lies between two products is one pass over memory, not five.

Letters: B rays, S intervals, N samples, W features of the trunk, H of the head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from anyview.compute import parallel_map
from anyview.radiance.fields.mip_work import array, given_back, taken, telling

Result = TypeVar("Result")

_TOGETHER = 4096  # samples that go through the layers together: 2 MiB of 256 features
_AT_ONCE = 4  # such groups whose gradients are added up before they leave their thread


def field(
    mean: Tensor, variance: Tensor, seen: Tensor, density: Tensor, color: Tensor, head: Tensor, *layers: Tensor
) -> Tensor:
    """(B, S, 4): raw density and colour, without their biases.

    Arguments as `mip_float32.field` has them.
    """
    return cast(Tensor, _Field.apply(mean, variance, seen, density, color, head, *layers))


class _Features:
    """Of N samples: first their encoding, then what each layer of the trunk gives, then the head.

    Where the encoding joins a layer's features, it stands behind them in the same rows.
    """

    def __init__(self, weights: Sequence[Tensor], count: int, keep: bool) -> None:
        inputs = [w.shape[1] for w in weights]
        widths = [*inputs, len(weights[-1])]
        size = sum(widths) * count // 2  # of numbers of twice the size; widths are even
        self.room = taken(size) if keep else np.empty(size, np.float32)
        flat, at = torch.from_numpy(self.room).view(torch.bfloat16), 0
        self.layers: list[Tensor] = []
        for width in widths:
            self.layers.append(flat[at * count : (at + width) * count].view(count, width))
            at += width


class _Field(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, mean: Tensor, variance: Tensor, seen: Tensor, density: Tensor, color: Tensor, head: Tensor,
        *layers: Tensor,
    ) -> Tensor:  # fmt: skip
        from anyview.radiance.kernels import mip_rows

        rays, per_ray = mean.shape[:2]
        count = rays * per_ray
        weights = [w.detach().bfloat16() for w in (*layers[::2], head)]
        biases = [*(array(b)[None] for b in layers[1::2]), array(seen)]
        gaussians = [array(t).reshape(-1, 3) for t in (mean, variance)]
        last = [array(density)[0], array(color)]
        out = np.empty((count, 4), np.float32)
        features = _Features(weights, count, keep=True) if any(ctx.needs_input_grad) else None

        def work(part: tuple[int, int]) -> None:
            a, b = part
            here = [x[a:b] for x in features.layers] if features else _Features(weights, b - a, keep=False).layers
            mip_rows.encode_rows(*(g[a:b] for g in gaussians), weights[0].shape[1] // 6, _halves(here[0]))
            for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                x, y = here[i], here[i + 1]
                torch.mm(x, weight.T, out=y[:, : len(weight)])
                is_head = i == len(weights) - 1
                mip_rows.rectify(_halves(y), bias, a if is_head else 0, per_ray if is_head else count)
                if y.shape[1] > len(weight):
                    y[:, len(weight) :] = here[0]
            mip_rows.answers(_halves(here[-2]), _halves(here[-1]), *last, out[a:b])

        for _ in _each(work, _parts(count, _TOGETHER)):
            pass
        ctx.features = features
        ctx.save_for_backward(density, color, head, *layers)
        return torch.from_numpy(out).view(rays, per_ray, 4)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_raw: Tensor) -> tuple[Tensor | None, ...]:
        from anyview.radiance.kernels import mip_rows

        density, color, head, *layers = ctx.saved_tensors
        features: _Features | None = ctx.features
        if features is None:
            raise RuntimeError("a second backward pass through the same picture: render it again")
        ctx.features = None
        rays, per_ray = d_raw.shape[:2]
        weights = [w.detach().bfloat16() for w in (*layers[::2], head)]
        last, d_out = [array(density)[0], array(color)], array(d_raw).reshape(-1, 4)
        chosen = telling(d_raw.abs().sum(-1).reshape(-1))
        count = len(d_out) if chosen is None else len(chosen)

        def some(a: int, b: int) -> tuple[slice | Tensor, np.ndarray, np.ndarray]:
            """Of the samples from `a` to `b`: where their features are, gradients, rays."""
            if chosen is None:
                return slice(a, b), d_out[a:b], np.arange(a, b) // per_ray
            mine = chosen[a:b]
            return torch.from_numpy(mine), d_out[mine], mine // per_ray

        def work(part: tuple[int, int]) -> tuple[int, list[Tensor]]:
            sums = [torch.zeros(w.shape) for w in (*weights, *layers[1::2], *last)]
            products, others = sums[: len(weights)], [s.numpy() for s in sums[len(weights) :]]
            first = int(some(part[0], part[0] + 1)[2][0])
            end = int(some(part[1] - 1, part[1])[2][0]) + 1
            seen = torch.zeros(end - first, len(head))
            for a in range(part[0], part[1], _TOGETHER):
                where, d_here, rays_here = some(a, min(a + _TOGETHER, part[1]))
                x = features.layers[-1][where]
                d = torch.empty_like(x)
                mip_rows.back_to_head(
                    d_here, rays_here - first, _halves(x), last[1], _halves(d), others[-1], seen.numpy()
                )
                for i in range(len(weights) - 1, -1, -1):
                    x = features.layers[i][where]
                    products[i] += torch.mm(d.T, x)
                    if i == 0:
                        break
                    d = torch.mm(d, weights[i][:, : len(weights[i - 1])])
                    if i == len(weights) - 1:
                        mip_rows.add_density(d_here, _halves(x), last[0], _halves(d), others[-2])
                    mip_rows.back_through(_halves(d), _halves(x), others[i - 1])
            return first, [*sums, seen]

        seen = torch.zeros(rays, len(head))
        sums = [torch.zeros(w.shape) for w in (*weights, *layers[1::2], *last)]
        for first, (*found, seen_here) in _each(work, _parts(count, _AT_ONCE * _TOGETHER)):
            seen[first : first + len(seen_here)] += seen_here
            for sum_, part in zip(sums, found, strict=True):
                sum_ += part
        given_back(features.room)
        *trunk, fused = sums[: len(weights)]
        *biases, d_density, d_color = sums[len(weights) :]
        pairs = [g for pair in zip(trunk, biases, strict=True) for g in pair]
        return None, None, seen, d_density[None], d_color, fused, *pairs


def _each(work: Callable[[tuple[int, int]], Result], parts: list[tuple[int, int]]) -> Iterator[Result]:
    """Results of the parts, each worked on by one thread: PyTorch's own threads would wait for each other."""
    threads = torch.get_num_threads()

    def alone(part: tuple[int, int]) -> Result:
        torch.set_num_threads(1)
        return work(part)

    try:
        yield from parallel_map(alone, parts, workers=threads)
    finally:
        torch.set_num_threads(threads)


def _parts(count: int, size: int) -> list[tuple[int, int]]:
    return [(a, min(a + size, count)) for a in range(0, count, size)]


def _halves(x: Tensor) -> np.ndarray:
    """The bits of bfloat16 numbers."""
    return x.view(torch.uint16).numpy()
