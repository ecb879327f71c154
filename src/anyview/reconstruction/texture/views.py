"""Which view each face takes its colours from: good views, in patches as large as that allows.

Labels x minimise sum_f cost_f(x_f) + sum_edges w_e [x_f != x_g], a Markov random field with Potts terms (Waechter,
Moehrle and Goesele 2014, section 4.1). It is solved by sequential tree-reweighted message passing (Kolmogorov 2006,
section 3.2; exact on trees, deterministic), and faces are then changed one by one as long as that helps.

Letters: F faces, K candidates per face, E pairs of faces that share an edge. A label is a candidate's place, 0..K-1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32

from anyview.jit import njit
from anyview.reconstruction.texture.kernels import Candidates

_SWEEPS = 12  # forward and back
_POLISH = 10
_PATCH = 0.03
_GAIN = 0.2  # share of the best weight that a change of views should win there
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}


def choose(
    candidates: Candidates,
    areas: Float64[np.ndarray, " F"],
    pairs: Int[np.ndarray, "E 2"],
    lengths: Float64[np.ndarray, " E"],
) -> Int32[np.ndarray, " F"]:
    """The candidate of each face, 0..K-1; -1 for faces that no view sees.

    The cost of a face is its area times the share by which a view's weight falls short of its best view's; that of a
    seam its length, weighed so that a patch of radius 0.03 roots of the whole area changes its view for a gain of 20 %.

    Args:
        candidates: of the faces.
        areas: of the faces, scene units squared.
        pairs: faces that share an edge.
        lengths: of those edges, scene units.
    """
    best = candidates.weight.max(1, keepdims=True, initial=0)
    seen = best[:, 0] > 0
    scale = float(np.sqrt(areas.sum())) or 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        short = np.where(candidates.weight > 0, 1 - candidates.weight / best, np.inf)
    cost = (short * np.maximum(areas, 1e-12 * scale**2)[:, None] / scale**2).astype(np.float32)
    cost[~seen] = np.inf
    weight = (0.5 * _GAIN * _PATCH * lengths / scale).astype(np.float32)
    both = seen[pairs[:, 0]] & seen[pairs[:, 1]]
    label = minimise(cost, candidates.source, np.asarray(pairs[both], np.int32), weight[both])
    label[~seen] = -1
    return label


def minimise(
    cost: Float32[np.ndarray, "F K"],
    names: Int32[np.ndarray, "F K"],
    pairs: Int32[np.ndarray, "E 2"],
    weights: Float32[np.ndarray, " E"],
) -> Int32[np.ndarray, " F"]:
    """Places that (nearly) minimise the energy of this file's head; neighbours agree if their places' names do.

    Args:
        cost: infinite where a place cannot be taken.
        names: what each place stands for.
        pairs: of neighbours.
        weights: of disagreement, per pair.
    """
    # every pair twice: message e goes from tail[e] to head[e], its opposite is e + E or e - E
    count = len(pairs)
    tail, head = np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]])
    order = np.argsort(tail, kind="stable").astype(np.int64)
    start = np.concatenate([[0], np.cumsum(np.bincount(tail, minlength=len(cost)))]).astype(np.int64)
    message = np.zeros((2 * count, cost.shape[1]), np.float32)
    label = np.argmin(cost, 1).astype(np.int32)
    if count:
        _pass_messages(cost, names, head, order, start, weights, message, _SWEEPS)
        _decode(cost, names, head, order, start, weights, message, label)
        _polish(cost, names, head, order, start, weights, label, _POLISH)
    return label


def energy(
    cost: Float32[np.ndarray, "F K"],
    names: Int32[np.ndarray, "F K"],
    pairs: Int32[np.ndarray, "E 2"],
    weights: Float32[np.ndarray, " E"],
    label: Int32[np.ndarray, " F"],
) -> float:
    """What `minimise` makes small."""
    rows = np.arange(len(label))
    name = names[rows, label]
    differ = name[pairs[:, 0]] != name[pairs[:, 1]]
    return float(cost[rows, label].sum(dtype=np.float64) + weights[differ].sum(dtype=np.float64))


@njit(**_OPTIONS)
def _pass_messages(cost, names, head, order, start, weights, message, sweeps):
    """Sequential tree-reweighted messages: forth to higher numbers, back to lower ones."""
    faces, places = cost.shape
    half = len(weights)
    belief = np.empty(places, np.float32)
    for sweep in range(2 * sweeps):
        forward = sweep % 2 == 0
        for step in range(faces):
            f = step if forward else faces - 1 - step
            first, last = start[f], start[f + 1]
            if first == last:
                continue
            higher = 0
            belief[:] = cost[f]
            for n in range(first, last):
                e = order[n]
                higher += head[e] > f
                back = e + half if e < half else e - half
                for k in range(places):
                    belief[k] += message[back, k]
            gamma = np.float32(1.0 / max(higher, last - first - higher))
            for n in range(first, last):
                e = order[n]
                g = head[e]
                if (g > f) != forward:
                    continue
                back = e + half if e < half else e - half
                least = np.inf
                for k in range(places):
                    if cost[f, k] < np.inf:
                        least = min(least, gamma * belief[k] - message[back, k])
                lowest = np.inf
                for m in range(places):
                    if cost[g, m] == np.inf:
                        message[e, m] = 0
                        continue
                    value = least + weights[e % half]
                    for k in range(places):
                        if names[f, k] == names[g, m] and cost[f, k] < np.inf:
                            value = min(value, gamma * belief[k] - message[back, k])
                    message[e, m] = value
                    lowest = min(lowest, value)
                for m in range(places):
                    if cost[g, m] < np.inf:
                        message[e, m] -= lowest


@njit(**_OPTIONS)
def _decode(cost, names, head, order, start, weights, message, label):
    """Take places one by one: those taken already count as they are, the others through their messages."""
    half = len(weights)
    for f in range(len(label)):
        if start[f] == start[f + 1]:
            continue
        lowest = np.inf
        for k in range(cost.shape[1]):
            value = cost[f, k]
            for n in range(start[f], start[f + 1]):
                e = order[n]
                g = head[e]
                if g < f:
                    value += weights[e % half] * (names[g, label[g]] != names[f, k])
                else:
                    value += message[e + half if e < half else e - half, k]
            if value < lowest:
                lowest, label[f] = value, k


@njit(**_OPTIONS)
def _polish(cost, names, head, order, start, weights, label, sweeps):
    """Change one face at a time while the energy falls."""
    half = len(weights)
    for _ in range(sweeps):
        changed = False
        for f in range(len(label)):
            here, lowest = label[f], np.inf
            for turn in range(cost.shape[1] + 1):  # the present place first: of equals it stays
                k = here if turn == 0 else turn - 1
                value = cost[f, k]
                if value == np.inf:
                    continue
                for n in range(start[f], start[f + 1]):
                    e = order[n]
                    g = head[e]
                    value += weights[e % half] * (names[g, label[g]] != names[f, k])
                if value < lowest:
                    lowest, label[f] = value, k
            changed |= label[f] != here
        if not changed:
            return
