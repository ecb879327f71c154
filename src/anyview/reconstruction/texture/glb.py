"""A mesh as binary glTF, through trimesh: with a texture (one material, one image), or with colours of its vertices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Float64, Int32, UInt8
from PIL import Image as PillowImage

Y_UP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
"""glTF's y up from a world with z up."""

_SRGB = np.arange(256) / 255
_LINEAR = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
_ROUGHNESS = 0.9  # photographs have the light in them already: nothing should shine on top


def write_textured_glb(
    path: Path,
    vertices: Float64[np.ndarray, "M 3"],
    faces: Int32[np.ndarray, "F 3"],
    vertex: Int32[np.ndarray, " C"],
    corners: Int32[np.ndarray, "F 3"],
    texels: Float64[np.ndarray, "C 2"],
    image: UInt8[np.ndarray, "H W 3"],
) -> None:
    """Write positions, normals (those of the mesh before it was cut into patches), texture coordinates and the image.

    Args:
        path: where to.
        vertices, faces: the mesh, world frame.
        vertex: of each corner of the atlas.
        corners: of each face.
        texels: where each corner lies in the image, (x, y), y down.
        image: base colour, sRGB.
    """
    normals = np.array(trimesh.Trimesh(vertices, faces, process=False).vertex_normals)
    height, width = image.shape[:2]
    coordinates = np.stack([texels[:, 0] / width, 1 - texels[:, 1] / height], 1)  # trimesh turns v over when it writes
    material = trimesh.visual.material.PBRMaterial(
        name="photographs",
        baseColorTexture=PillowImage.fromarray(image),
        baseColorFactor=[255, 255, 255, 255],
        metallicFactor=0.0,
        roughnessFactor=_ROUGHNESS,
    )
    surface = trimesh.Trimesh(
        vertices[vertex] @ Y_UP[:3, :3].T,
        corners,
        vertex_normals=normals[vertex] @ Y_UP[:3, :3].T,
        visual=trimesh.visual.TextureVisuals(coordinates, material=material),
        process=False,
    )
    path.write_bytes(trimesh.exchange.gltf.export_glb(trimesh.Scene(surface), include_normals=True))


def write_colored_glb(
    path: Path,
    vertices: Float64[np.ndarray, "M 3"],
    faces: Int32[np.ndarray, "F 3"],
    normals: Float[np.ndarray, "M 3"] | None,
    colors: UInt8[np.ndarray, "M 3"] | None,
) -> None:
    """Write positions, normals and a colour per vertex: 16 bits and linear, as glTF wants them, on a matt material.

    Args:
        path: where to.
        vertices, faces, normals: the mesh, world frame.
        colors: sRGB.
    """
    surface = trimesh.Trimesh(vertices, faces, vertex_normals=normals, vertex_colors=colors, process=False)

    def matt(tree: dict[str, Any]) -> None:
        tree["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": _ROUGHNESS}}]
        tree["meshes"][0]["primitives"][0]["material"] = 0

    def linear(buffer_items: dict[Any, bytes], tree: dict[str, Any]) -> None:
        if colors is None:
            return
        accessors = list(tree["accessors"].values())  # a list only after this
        accessor = accessors[tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
        opaque = np.full((len(colors), 4), 0xFFFF, "<u2")  # rows of 8 bytes, for glTF aligns them to 4
        opaque[:, :3] = np.round(0xFFFF * _LINEAR[colors])
        buffer_items[list(buffer_items)[accessor["bufferView"]]] = opaque.tobytes()
        accessor["componentType"] = 5123  # unsigned short
        accessor.pop("min", None), accessor.pop("max", None)

    scene = trimesh.Scene(surface.apply_transform(Y_UP))
    path.write_bytes(trimesh.exchange.gltf.export_glb(scene, tree_postprocessor=matt, buffer_postprocessor=linear))
