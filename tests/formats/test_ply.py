from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from anyview.errors import FormatError
from anyview.formats.ply import read_ply, write_ply


def _cloud(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return rng.normal(size=(count, 3)), normals, rng.integers(0, 256, (count, 3), dtype=np.uint8)


def test_cloud_comes_back(tmp_path: Path) -> None:
    xyz, normals, rgb = _cloud(1000)
    views = np.arange(1000, dtype=np.uint16)
    cost = xyz[:, 0].copy()
    write_ply(tmp_path / "a.ply", xyz, normals, rgb, extra={"views": views, "cost": cost, "inside": cost > 0})
    ply = read_ply(tmp_path / "a.ply")
    assert np.array_equal(ply.xyz, xyz.astype(np.float32))
    assert np.array_equal(ply.normals, normals.astype(np.float32))
    assert np.array_equal(ply.rgb, rgb)
    assert ply.vertices["views"].dtype == np.uint16
    assert np.array_equal(ply.vertices["views"], views)
    assert np.array_equal(ply.vertices["cost"], cost)
    assert np.array_equal(ply.vertices["inside"], (cost > 0).astype(np.uint8))
    assert ply.faces is None
    assert (tmp_path / "a.ply").read_bytes().count(b"property") == 12


def test_trimesh_reads_ours(tmp_path: Path) -> None:
    xyz, normals, rgb = _cloud(100)
    write_ply(tmp_path / "cloud.ply", xyz, normals, rgb)
    cloud = trimesh.load(tmp_path / "cloud.ply")
    assert np.array_equal(cloud.vertices, xyz.astype(np.float32))
    assert np.array_equal(cloud.colors[:, :3], rgb)
    box = trimesh.creation.icosphere(2)
    write_ply(tmp_path / "mesh.ply", box.vertices, faces=box.faces)
    mesh = trimesh.load(tmp_path / "mesh.ply", process=False)
    assert np.array_equal(mesh.faces, box.faces)
    assert np.array_equal(mesh.vertices, box.vertices.astype(np.float32))


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_we_read_trimeshs(tmp_path: Path, encoding: str) -> None:
    sphere = trimesh.creation.icosphere(2)
    sphere.visual.vertex_colors = np.random.default_rng(1).integers(0, 256, (len(sphere.vertices), 4), dtype=np.uint8)
    (tmp_path / "a.ply").write_bytes(
        trimesh.exchange.ply.export_ply(sphere, encoding="ascii" if encoding == "ascii" else "binary_little_endian")
    )
    ply = read_ply(tmp_path / "a.ply")
    assert np.abs(ply.xyz - sphere.vertices).max() < 1e-6  # measured 2e-8 binary (float32), 5e-9 ascii (8 digits)
    assert np.array_equal(ply.faces, sphere.faces)
    assert np.array_equal(ply.rgb, sphere.visual.vertex_colors[:, :3])


_MIXED_HEADER = """ply
format {} 1.0
comment end_header is a word that comments may hold
obj_info nothing
element vertex 5
property double x
property float y
property list uchar short seen
property int z
property float nx
property float ny
property float nz
property list int uint far
property float red
property float green
property float blue
element camera 1
property float focal
element face 3
property uchar flag
property list uchar int vertex_indices
element tail 0
property float a
end_header
"""
_SEEN = [[], [7], [1, -2, 3], [4], [5, 6]]
_FAR = [[9], [], [8, 8], [], []]
_FACES = [[0, 1, 2], [0, 1, 2, 3, 4], [4, 3, 1, 0]]
_FANS = [[0, 1, 2], [0, 1, 2], [0, 2, 3], [0, 3, 4], [4, 3, 1], [4, 1, 0]]


def _mixed_body(order: str) -> bytes:
    """The body written number by number."""

    def put(kind: str, *values: float) -> bytes:
        if order == "ascii":
            return (" ".join(str(v) for v in values) + (" " if values else "")).encode()
        return np.array(values, (">" if "big" in order else "<") + kind).tobytes()

    line = b"\n" if order == "ascii" else b""
    body = b""
    for i in range(5):
        body += put("f8", i / 3) + put("f4", i / 2) + put("u1", len(_SEEN[i])) + put("i2", *_SEEN[i]) + put("i4", -i)
        body += put("f4", 0, 0, 1) + put("i4", len(_FAR[i])) + put("u4", *_FAR[i]) + put("f4", 1, i / 4, 0) + line
    body += put("f4", 2.5) + line
    for face in _FACES:
        body += put("u1", 1) + put("u1", len(face)) + put("i4", *face) + line
    return body


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_property_in_any_order(tmp_path: Path, order: str, newline: str) -> None:
    header = _MIXED_HEADER.format(order).replace("\n", newline).encode()
    (tmp_path / "a.ply").write_bytes(header + _mixed_body(order))
    ply = read_ply(tmp_path / "a.ply")
    i = np.arange(5)
    assert np.array_equal(ply.xyz, np.stack([i / 3, i / 2, -i], axis=1))
    assert np.array_equal(ply.normals, np.tile(np.float32([0, 0, 1]), (5, 1)))
    assert np.array_equal(ply.rgb, np.stack([[255] * 5, np.rint(i / 4 * 255), [0] * 5], axis=1))
    assert ply.vertices["z"].dtype == np.int32
    assert ply.vertices["z"].dtype.isnative
    assert np.array_equal(ply.faces, _FANS)
    assert "seen" not in ply.vertices


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_every_cut_is_noticed(tmp_path: Path, order: str) -> None:
    data = _MIXED_HEADER.format(order).encode() + _mixed_body(order).rstrip(b" \n")
    for end in range(0, len(data) - (1 if order == "ascii" else 0), 3):  # a cut number may still be a number
        (tmp_path / "a.ply").write_bytes(data[:end])
        with pytest.raises(FormatError):
            read_ply(tmp_path / "a.ply")


def test_fixed_records_that_are_cut(tmp_path: Path) -> None:
    xyz, normals, rgb = _cloud(50)
    write_ply(tmp_path / "a.ply", xyz, normals, rgb, faces=np.array([[0, 1, 2], [1, 2, 3]]))
    data = (tmp_path / "a.ply").read_bytes()
    for end in (len(data) - 1, len(data) - 30, len(data) // 2):
        (tmp_path / "b.ply").write_bytes(data[:end])
        with pytest.raises(FormatError, match="cut short"):
            read_ply(tmp_path / "b.ply")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a PLY"),
        ("plywood\n", "not a PLY"),
        ("ply\nformat ascii 1.0\nelement vertex 1\n", "without end"),
        ("ply\nformat ascii 2.0\nend_header\n", "means nothing"),
        ("ply\nformat ascii 1.0\nelement vertex 1\nproperty quad x\nend_header\n1\n", "means nothing"),
        ("ply\nelement vertex 0\nend_header\n", "without format"),
        ("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n", "without positions"),
        ("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\nhello\n", "PLY file"),
        (
            "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
            "element face 1\nproperty list uchar int vertex_index\nend_header\n1 2 3\n3 0 1 2\n",
            "do not exist",
        ),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.ply").write_text(text)
    with pytest.raises(FormatError, match=message) as error:
        read_ply(tmp_path / "a.ply")
    assert "a.ply" in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot read"):
        read_ply(tmp_path / "none.ply")


def test_an_empty_cloud(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", np.empty((0, 3)), rgb=np.empty((0, 3), np.uint8), faces=np.empty((0, 3), np.int64))
    ply = read_ply(tmp_path / "a.ply")
    assert ply.xyz.shape == (0, 3)
    assert ply.rgb is not None
    assert ply.faces is not None
    assert ply.faces.shape == (0, 3)


def test_bad_arrays_are_refused(tmp_path: Path) -> None:
    xyz, normals, rgb = _cloud(5)
    with pytest.raises(FormatError, match="nx ny nz"):
        write_ply(tmp_path / "a.ply", xyz, normals[:4])
    with pytest.raises(FormatError, match="red green blue"):
        write_ply(tmp_path / "a.ply", xyz, rgb=rgb / 255)
    with pytest.raises(FormatError, match="faces"):
        write_ply(tmp_path / "a.ply", xyz, faces=np.zeros((2, 4), np.int64))
    with pytest.raises(FormatError, match="property id"):
        write_ply(tmp_path / "a.ply", xyz, extra={"id": np.zeros(5, np.int64)})
    assert not (tmp_path / "a.ply").exists()
