"""mip-NeRF's network in bfloat16: PyTorch's matrix products, and kernels for all that lies between them.

Sums are float32, features and gradients between layers bfloat16, as under autocast. What makes it fast: some thousand
samples go through all layers while their features are in a core's cache, each core with samples of its own, and what
lies between two products is one pass over memory, not five.

Letters: B rays, S intervals, N samples, W features of the trunk, H of the head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from anyview.compute import parallel_map
from anyview.radiance.fields.mip_work import array, given_back, taken, telling

Result = TypeVar("Result")

_TOGETHER = 4096  # samples that go through the layers together: 2 MiB of 256 features
_AT_ONCE = 4  # such groups whose gradients are added up before they leave their thread


def field(*arguments: Any) -> Tensor:
    """(B, S, 4): raw density and colour, without their biases; arguments as `mip_float32.field` has them."""
    return cast(Tensor, _Field.apply(*arguments))


class _Features:
    """Of N samples: first their encoding, then what each layer of the trunk gives, then the head.

    Where the encoding joins a layer's features, it stands behind them in the same rows.
    """

    def __init__(self, weights: Sequence[Tensor], count: int, keep: bool) -> None:
        inputs = [w.shape[1] for w in weights]
        widths = [*inputs, len(weights[-1])]
        size = max(sum(widths) * count // 2, 1)  # of numbers of twice the size; widths are even
        self.room = taken(size) if keep else np.empty(size, np.float32)
        flat, at = torch.from_numpy(self.room).view(torch.bfloat16), 0
        self.layers: list[Tensor] = []
        for width in widths:
            self.layers.append(flat[at * count : (at + width) * count].view(count, width))
            at += width


class _Field(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, keep: bool, mean: Tensor, variance: Tensor, seen: Tensor, density: Tensor, color: Tensor,
        head: Tensor, *layers: Tensor,
    ) -> Tensor:  # fmt: skip
        from anyview.radiance.kernels import mip_rows

        rays, per_ray = mean.shape[:2]
        count = rays * per_ray
        weights = [w.detach().bfloat16() for w in (*layers[::2], head)]
        biases = [*(array(b)[None] for b in layers[1::2]), array(seen)]
        gaussians = [array(t).reshape(-1, 3) for t in (mean, variance)]
        last = [array(density)[0], array(color)]
        out = np.empty((count, 4), np.float32)
        features = _Features(weights, count, keep=True) if keep else None

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

        _each(work, _parts(count, _TOGETHER), lambda _: None)
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

        def ray_of(n: int) -> int:
            """Of the n-th sample that is worked on."""
            return int(n if chosen is None else chosen[n]) // per_ray

        def some(a: int, b: int) -> tuple[slice | Tensor, np.ndarray, np.ndarray]:
            """Of the samples from `a` to `b`: where their features are, gradients, rays."""
            if chosen is None:
                return slice(a, b), d_out[a:b], np.arange(a, b) // per_ray
            mine = chosen[a:b]
            return torch.from_numpy(mine), d_out[mine], mine // per_ray

        def work(part: tuple[int, int]) -> tuple[int, _Gradients]:
            first = ray_of(part[0])
            sums = _Gradients(weights, ray_of(part[1] - 1) + 1 - first)
            for a in range(part[0], part[1], _TOGETHER):
                where, d_here, rays_here = some(a, min(a + _TOGETHER, part[1]))
                x = features.layers[-1][where]
                d = torch.empty_like(x)
                given = (d_here, rays_here - first, _halves(x), last[1])
                mip_rows.back_to_head(*given, _halves(d), sums.color, sums.seen)
                for i in range(len(weights) - 1, -1, -1):
                    x = features.layers[i][where]
                    sums.weights[i] += torch.mm(d.T, x)
                    if i == 0:
                        break
                    d = torch.mm(d, weights[i][:, : len(weights[i - 1])])
                    if i == len(weights) - 1:
                        mip_rows.add_density(d_here, _halves(x), last[0], _halves(d), sums.density)
                    mip_rows.back_through(_halves(d), _halves(x), sums.biases[i - 1])
            return first, sums

        total = _Gradients(weights, rays)
        _each(work, _parts(count, _AT_ONCE * _TOGETHER), lambda result: total.add(*result))
        given_back(features.room)
        *trunk, fused = total.weights
        pairs = [g for w, b in zip(trunk, total.biases, strict=True) for g in (w, torch.from_numpy(b))]
        seen, density, color = (torch.from_numpy(x) for x in (total.seen, total.density[None], total.color))
        return None, None, None, seen, density, color, fused, *pairs


class _Gradients:
    """Sums in float32, zero at first; each product of some thousand samples is rounded before it is added.

    Args:
        weights: of the trunk and the head.
        rays: whose head is given something to add.
    """

    def __init__(self, weights: Sequence[Tensor], rays: int) -> None:
        outputs = [len(w) for w in weights]
        self.weights = [torch.zeros(w.shape, dtype=torch.float32, device="cpu") for w in weights]
        self.biases = [np.zeros(n, np.float32) for n in outputs[:-1]]
        self.density = np.zeros(weights[-1].shape[1], np.float32)
        self.color = np.zeros((3, outputs[-1]), np.float32)
        self.seen = np.zeros((rays, outputs[-1]), np.float32)

    def add(self, first: int, other: _Gradients) -> None:
        """Another's sums, whose rays begin with `first`."""
        for weights, more in zip(self.weights, other.weights, strict=True):
            weights += more
        for biases, more_of_them in zip(self.biases, other.biases, strict=True):
            biases += more_of_them
        self.density += other.density
        self.color += other.color
        self.seen[first : first + len(other.seen)] += other.seen


def _each(
    work: Callable[[tuple[int, int]], Result], parts: list[tuple[int, int]], take: Callable[[Result], object]
) -> None:
    """`take` the parts' results in order, each part worked on by one thread: PyTorch's would wait for each other."""
    threads = torch.get_num_threads()

    def alone(part: tuple[int, int]) -> Result:
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)  # of this thread; but new ones begin with it, too, until it is set back below
        return work(part)

    try:
        for result in parallel_map(alone, parts, workers=threads):
            take(result)
    finally:
        torch.set_num_threads(threads)


def _parts(count: int, size: int) -> list[tuple[int, int]]:
    return [(a, min(a + size, count)) for a in range(0, count, size)]


def _halves(x: Tensor) -> np.ndarray:
    """The bits of bfloat16 numbers."""
    return x.view(torch.uint16).numpy()
