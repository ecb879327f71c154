"""How far networks look, and what memory they take: from these follow the tiles of large images.

An output pixel depends on no input pixel further away than the reach, so a tile that sees that much more on each side
gives what the whole image would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anyview.superresolution.options import NetworkOptions

_MAPS: Final = 5  # of all channels that are there at once: a block's input, its inner maps, the first one, work space
_OUTPUTS: Final = 6  # of the output in float32: before and after the shuffle, normalised, averages, blends


def reach(network: NetworkOptions) -> int:
    """Input pixels to each side that a network's output depends on, at most: the halves of all its kernels.

    Kernels after a pixel shuffle count by the size of their pixels; up to two are added for what is rounded up.
    """
    blocks = network.num_blocks
    if network.arch == "edsr":
        return 2 * blocks + 4  # two 3x3 in a block; head, body's end, and two for all shuffles with the tail
    if network.arch == "srresnet":
        return 4 + 2 * blocks + 1 + 3  # 9x9 at both ends
    return (2 if network.arch == "wdsr-a" else 1) * blocks + 2


def reach_of_all(networks: Sequence[NetworkOptions]) -> int:
    """That of networks one after the other, in pixels of the first one's input."""
    total, size = 0.0, 1
    for network in networks:
        total += reach(network) / size
        size *= network.scale
    return int(-(-total // 1))


def bytes_for_each_pixel(networks: Sequence[NetworkOptions], bytes_of_a_number: int) -> int:
    """Memory for each input pixel at once, about, while networks work one after the other.

    Args:
        networks: in order.
        bytes_of_a_number: in their maps.
    """
    most, size = 0, 1
    for network in networks:
        out = 3 * 4 * network.scale**2
        maps = _MAPS * network.num_features * bytes_of_a_number
        if network.arch == "srresnet":  # its last maps are as large as the output: shuffled, and before that
            maps += 2 * network.num_features * bytes_of_a_number * network.scale**2
        elif network.arch == "wdsr-a":
            maps += 2 * network.num_features * network.expansion * bytes_of_a_number
        most = max(most, size * (maps + _OUTPUTS * out))
        size *= network.scale**2
    return most
