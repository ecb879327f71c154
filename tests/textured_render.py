"""A picture of a textured mesh, in numpy: what a viewer without lights would show. Also reads `mesh.glb` by hand."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anyview.reconstruction.texture.zbuffer import fill
from anyview.scene.scene import View

_TYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass
class Glb:
    """Content of a binary glTF with one primitive; vertices turned back to the world's z up."""

    tree: dict[str, Any]
    blob: bytes

    def accessor(self, index: int) -> np.ndarray:
        one = self.tree["accessors"][index]
        view = self.tree["bufferViews"][one["bufferView"]]
        start = view.get("byteOffset", 0) + one.get("byteOffset", 0)
        kind, size = np.dtype(_TYPES[one["componentType"]]), _SIZES[one["type"]]
        assert "byteStride" not in view
        assert start + one["count"] * size * kind.itemsize <= view.get("byteOffset", 0) + view["byteLength"]
        flat = np.frombuffer(self.blob, kind, one["count"] * size, start)
        return flat.reshape(one["count"], size) if size > 1 else flat

    @property
    def primitive(self) -> dict[str, Any]:
        (mesh,) = self.tree["meshes"]
        (primitive,) = mesh["primitives"]
        return primitive

    def attribute(self, name: str) -> np.ndarray:
        return self.accessor(self.primitive["attributes"][name])

    @property
    def faces(self) -> np.ndarray:
        return self.accessor(self.primitive["indices"]).reshape(-1, 3).astype(np.int32)

    @property
    def vertices(self) -> np.ndarray:
        return self.attribute("POSITION").astype(np.float64) @ [[1, 0, 0], [0, 0, 1], [0, -1, 0]]

    @property
    def image(self) -> np.ndarray:
        material = self.tree["materials"][self.primitive["material"]]
        number = material["pbrMetallicRoughness"]["baseColorTexture"]["index"]
        image = self.tree["images"][self.tree["textures"][number]["source"]]
        view = self.tree["bufferViews"][image["bufferView"]]
        data = self.blob[view.get("byteOffset", 0) :][: view["byteLength"]]
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.get_format_mimetype() == image["mimeType"]
            return np.asarray(picture.convert("RGB"))


def read_glb(path: Path) -> Glb:
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    tree = json.loads(data[20 : 20 + size])
    binary, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0"
    return Glb(tree, data[28 + size : 28 + size + binary])


def _weights(
    vertices: np.ndarray, faces: np.ndarray, view: View, fine: int
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Face and barycentric coordinates of each sample, fine * fine per pixel."""
    camera, pose = view.camera.resized(view.camera.width * fine, view.camera.height * fine), view.cam_from_world
    points = np.ascontiguousarray(vertices @ pose[:3, :3].T + pose[:3, 3])
    _, index = fill(points, faces, camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
    row, column = np.nonzero(index >= 0)
    ray = np.stack([(column + 0.5 - camera.cx) / camera.fx, (row + 0.5 - camera.cy) / camera.fy, np.ones(len(row))], 1)
    corners = points[faces[index[row, column]]]
    weight = np.stack([(np.cross(corners[:, (k + 1) % 3], corners[:, (k + 2) % 3]) * ray).sum(1) for k in range(3)], 1)
    return index, weight / weight.sum(1, keepdims=True), (row, column)


def _reduce(color: np.ndarray, index: np.ndarray, fine: int) -> tuple[np.ndarray, np.ndarray]:
    height, width = index.shape[0] // fine, index.shape[1] // fine
    covered = (index >= 0).reshape(height, fine, width, fine).mean((1, 3))
    color = color.reshape(height, fine, width, fine, 3).sum((1, 3)) / np.maximum(covered * fine * fine, 1)[..., None]
    return color, covered


def render_textured(
    vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, image: np.ndarray, view: View, fine: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Colours in [0, 1] and the covered share of each pixel. uv as in glTF: (0, 0) is the image's upper left corner."""
    index, weight, at = _weights(vertices, faces, view, fine)
    value = lookup(image, (uv[faces[index[at]]] * weight[..., None]).sum(1))
    color = np.zeros((*index.shape, 3))
    color[at] = value
    return _reduce(color, index, fine)


def render_vertex_colors(
    vertices: np.ndarray, faces: np.ndarray, rgb: np.ndarray, view: View, fine: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """The same of a mesh with a colour per vertex."""
    index, weight, at = _weights(vertices, faces, view, fine)
    color = np.zeros((*index.shape, 3))
    color[at] = (rgb[faces[index[at]]] / 255 * weight[..., None]).sum(1)
    return _reduce(color, index, fine)


def psnr(image: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """Of the pixels named, dB."""
    return float(-10 * np.log10(np.mean((image[where] - truth[where]) ** 2)))


def lookup(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear colours in [0, 1] at texture coordinates (n, 2)."""
    place = uv * image.shape[1::-1] - 0.5
    corner = np.floor(place).astype(int)
    part = place - corner
    value = np.zeros((len(part), 3))
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x = np.clip(corner[:, 0] + dx, 0, image.shape[1] - 1)
        y = np.clip(corner[:, 1] + dy, 0, image.shape[0] - 1)
        share = np.where(dx, part[:, 0], 1 - part[:, 0]) * np.where(dy, part[:, 1], 1 - part[:, 1])
        value += share[:, None] * image[y, x] / 255
    return value


def seam_steps(glb: Glb) -> np.ndarray:
    """Colour differences (n, 3) between the two sides of each seam, at the middle of its edge."""
    _, place = np.unique(glb.attribute("POSITION"), axis=0, return_inverse=True)
    ends = np.concatenate([glb.faces[:, [0, 1]], glb.faces[:, [1, 2]], glb.faces[:, [2, 0]]])
    ends = np.take_along_axis(ends, np.argsort(place.reshape(-1)[ends], 1), 1)
    named = place.reshape(-1)[ends]
    order = np.lexsort((named[:, 1], named[:, 0]))
    ends, named = ends[order], named[order]
    seam = (named[1:] == named[:-1]).all(1) & (ends[1:] != ends[:-1]).all(1)
    uv = glb.attribute("TEXCOORD_0").astype(np.float64)
    sides = [lookup(glb.image, uv[one[seam]].mean(1)) for one in (ends[:-1], ends[1:])]
    return sides[1] - sides[0]
