"""COLMAP's files: ours against pycolmap both ways, and damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from anyview.errors import FormatError
from anyview.formats.colmap import (
    CAMERA_MODELS,
    ColmapCamera,
    ColmapImage,
    ColmapModel,
    ColmapPoints,
    is_model,
    read_array,
    read_model,
    write_array,
    write_model,
)


def _model(rng: np.random.Generator, views: int = 4, points: int = 50) -> ColmapModel:
    """Every camera model; names with folders; tracks of 1 to `views` observations that fit the images' keypoints."""
    cameras = {}
    for number, name in enumerate(sorted(CAMERA_MODELS), start=3):
        camera = pycolmap.Camera.create_from_model_name(number, name, 700.123456789, 640, 480)
        extra = rng.uniform(0.01, 0.02, len(camera.params)) if name != "EQUIRECTANGULAR" else 0
        cameras[number] = ColmapCamera(number, name, 640, 480, tuple((np.array(camera.params) + extra).tolist()))
    seen = [rng.random(points) < 0.6 for _ in range(views)]
    seen[0][:] = True
    images, observations = {}, [[] for _ in range(points)]
    for v in range(views):
        ids = np.where(seen[v], np.arange(points) * 7 + 1, -1)
        rng.shuffle(ids)
        for index, point in enumerate(ids):
            if point >= 0:
                observations[(point - 1) // 7].append((v * 5 + 2, index))
        quaternion = rng.normal(size=4)
        images[v * 5 + 2] = ColmapImage(
            v * 5 + 2,
            3 + v,
            f"left/r {v}.png" if v == 0 else f"left/r_{v}.png",
            quaternion / np.linalg.norm(quaternion),
            rng.normal(size=3),
            rng.uniform(0, 480, (points, 2)),
            ids,
        )
    tracks = np.array([pair for track in observations for pair in track], np.uint32)
    return ColmapModel(
        cameras,
        images,
        ColmapPoints(
            np.arange(points) * 7 + 1,
            rng.normal(size=(points, 3)),
            rng.integers(0, 256, (points, 3)).astype(np.uint8),
            rng.uniform(0, 2, points),
            np.array([len(track) for track in observations]),
            tracks[:, 0],
            tracks[:, 1],
        ),
    )


def _equal(a: ColmapModel, b: ColmapModel) -> None:
    assert a.cameras == b.cameras
    assert a.images.keys() == b.images.keys()
    for number, image in a.images.items():
        other = b.images[number]
        assert (image.id, image.camera_id, image.name) == (other.id, other.camera_id, other.name)
        for name in ("quaternion", "translation", "points2d", "point3d_ids"):
            np.testing.assert_array_equal(getattr(image, name), getattr(other, name), name)
    for name in ColmapPoints.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(a.points, name), getattr(b.points, name), name)


def test_table_of_camera_models_is_colmaps() -> None:
    known = {n: int(m) for n, m in pycolmap.CameraModelId.__members__.items() if n != "INVALID"}
    assert {name: number for name, (number, _) in CAMERA_MODELS.items()} == known
    for name, (_, count) in CAMERA_MODELS.items():
        assert len(pycolmap.Camera.create_from_model_name(1, name, 1.0, 10, 10).params) == count


@pytest.mark.parametrize("binary", [True, False])
def test_written_and_read_back_is_the_same_to_the_last_bit(tmp_path: Path, binary: bool) -> None:
    model = _model(np.random.default_rng(0))
    write_model(model, tmp_path, binary)
    _equal(read_model(tmp_path), model)


@pytest.mark.parametrize("binary", [True, False])
def test_pycolmap_opens_what_we_write(tmp_path: Path, binary: bool) -> None:
    model = _model(np.random.default_rng(1))
    if not binary:  # pycolmap's own text reader splits names at spaces
        model.images[2] = ColmapImage(**{**model.images[2].__dict__, "name": "left/r_0.png"})
    write_model(model, tmp_path, binary)
    theirs = pycolmap.Reconstruction(tmp_path)
    assert sorted(theirs.cameras) == sorted(model.cameras)
    for number, camera in model.cameras.items():
        assert (theirs.cameras[number].model_name, tuple(theirs.cameras[number].params)) == (
            camera.model,
            camera.params,
        )
    for number, image in model.images.items():
        other = theirs.images[number]
        assert other.name == image.name
        pose = other.cam_from_world()
        np.testing.assert_allclose(np.roll(pose.rotation.quat, 1), image.quaternion, atol=1e-15)  # measured 1.1e-16
        np.testing.assert_array_equal(pose.translation, image.translation)
        np.testing.assert_array_equal(np.array([p.xy for p in other.points2D]), image.points2d)
    for row, number in enumerate(model.points.ids.tolist()):
        point = theirs.points3D[number]
        np.testing.assert_array_equal(point.xyz, model.points.xyz[row])
        np.testing.assert_array_equal(point.color, model.points.rgb[row])
        assert point.track.length() == model.points.track_lengths[row]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("rigs", [True, False])
def test_we_open_what_pycolmap_writes(tmp_path: Path, binary: bool, rigs: bool) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    target.mkdir()
    model = _model(np.random.default_rng(2))
    write_model(model, source)
    theirs = pycolmap.Reconstruction(source)
    theirs.write_binary(target) if binary else theirs.write_text(target)
    extra = [target / f"{stem}.{'bin' if binary else 'txt'}" for stem in ("rigs", "frames")]
    assert all(file.exists() for file in extra)
    if not rigs:
        for file in extra:
            file.unlink()
    ours = read_model(target)
    assert ours.cameras == model.cameras
    for number, image in model.images.items():
        other = ours.images[number]
        assert other.name == image.name
        np.testing.assert_allclose(other.quaternion, image.quaternion, atol=1e-15)  # measured 1.1e-16
        np.testing.assert_allclose(other.translation, image.translation, atol=1e-15)  # measured 0
        np.testing.assert_array_equal(other.points2d, image.points2d)
        np.testing.assert_array_equal(other.point3d_ids, image.point3d_ids)
    order = np.argsort(ours.points.ids)
    np.testing.assert_array_equal(ours.points.ids[order], model.points.ids)
    np.testing.assert_array_equal(ours.points.xyz[order], model.points.xyz)
    np.testing.assert_array_equal(ours.points.rgb[order], model.points.rgb)
    starts = np.cumsum(ours.points.track_lengths) - ours.points.track_lengths
    for row, start, length in zip(range(len(order)), starts[order], ours.points.track_lengths[order], strict=True):
        track = {
            (int(i), int(k))
            for i, k in zip(
                ours.points.image_ids[start : start + length],
                ours.points.point2d_idxs[start : start + length],
                strict=True,
            )
        }
        assert track == {
            (e.image_id, e.point2D_idx) for e in theirs.points3D[int(model.points.ids[row])].track.elements
        }


def test_a_new_model_replaces_the_other_encoding_and_stale_rigs(tmp_path: Path) -> None:
    model = _model(np.random.default_rng(3))
    write_model(model, tmp_path / "a")
    pycolmap.Reconstruction(tmp_path / "a").write_binary(tmp_path / "a")
    write_model(model, tmp_path / "a", binary=False)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["cameras.txt", "images.txt", "points3D.txt"]


def test_text_without_points_with_comments_and_a_stripped_end(tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_text("# c\n\n1 PINHOLE 8 6 5 5 4 3\n")
    (tmp_path / "images.txt").write_text("# c\n7 1 0 0 0 0 0 0 1 a.png\n\n8 1 0 0 0 1 2 3 1 b c.png")
    model = read_model(tmp_path)
    assert [image.name for image in model.images.values()] == ["a.png", "b c.png"]
    assert model.images[8].translation.tolist() == [1, 2, 3]
    assert len(model.points) == 0


@pytest.mark.parametrize("stem", ["cameras", "images", "points3D"])
def test_binary_cut_anywhere_is_refused(tmp_path: Path, stem: str) -> None:
    write_model(_model(np.random.default_rng(4), points=5), tmp_path)
    file = tmp_path / f"{stem}.bin"
    data = file.read_bytes()
    for size in [*range(0, len(data), 37), len(data) - 1]:
        file.write_bytes(data[:size])
        with pytest.raises(FormatError, match=f"cut short in .*{stem}.bin"):
            read_model(tmp_path)
    file.write_bytes(data + b"x")
    with pytest.raises(FormatError, match="bytes left over"):
        read_model(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("cameras.txt", "1 PINHOLE 8 6 5 5 4\n", "wrong number of parameters.*line 1: expected 4, found 3"),
        ("cameras.txt", "1 PINHOLE 8\n", "broken line.*cameras.txt, line 1"),
        ("cameras.txt", "1 LENSBABY 8 6 5 5 4 3\n", "unknown camera model.*PINHOLE.*found LENSBABY"),
        ("cameras.txt", "2 PINHOLE 8 6 5 5 4 3\n", "image a.png has no camera.*expected a camera 1"),
        ("images.txt", "1 1 0 0 0 0 0\n", "broken line.*images.txt, line 1"),
        ("images.txt", "1 1 0 0 0 0 0 0 1 a.png\n1.5 2\n", "broken line.*images.txt, line 2"),
        ("points3D.txt", "1 0 0 0 300 0 0 0\n", "broken line.*points3D.txt, line 1"),
        ("points3D.txt", "1 0 0 0 30 0 0 0 1\n", "broken line.*points3D.txt, line 1"),
    ],
)
def test_broken_text_names_the_line(tmp_path: Path, file: str, text: str, message: str) -> None:
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 8 6 5 5 4 3\n")
    (tmp_path / "images.txt").write_text("1 1 0 0 0 0 0 0 1 a.png\n\n")
    (tmp_path / "points3D.txt").write_text("")
    read_model(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(FormatError, match=message):
        read_model(tmp_path)


def test_unknown_binary_camera_model(tmp_path: Path) -> None:
    write_model(_model(np.random.default_rng(4), points=5), tmp_path)
    data = bytearray((tmp_path / "cameras.bin").read_bytes())
    data[12:16] = (99).to_bytes(4, "little")
    (tmp_path / "cameras.bin").write_bytes(data)
    with pytest.raises(FormatError, match=r"unknown camera model.*found 99"):
        read_model(tmp_path)


def test_no_model(tmp_path: Path) -> None:
    assert not is_model(tmp_path)
    with pytest.raises(FormatError, match=r"no COLMAP model.*cameras\.bin"):
        read_model(tmp_path)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_maps_read_back_and_have_colmaps_layout(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    write_array(tmp_path / "a.bin", array)
    np.testing.assert_array_equal(read_array(tmp_path / "a.bin"), array)
    header, values = (tmp_path / "a.bin").read_bytes().split(b"&", 3)[:3], (tmp_path / "a.bin").read_bytes()
    assert header == [b"7", b"5", b"3" if len(shape) == 3 else b"1"]
    # COLMAP documents the layout as Fortran order over (width, height, channels)
    flat = np.frombuffer(values[len(b"7&5&1&") :], "<f4")
    expected = flat.reshape((7, 5, -1), order="F").transpose(1, 0, 2).reshape(shape)
    np.testing.assert_array_equal(expected, array)


def test_damaged_maps(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    with pytest.raises(FormatError, match="cannot be read"):
        read_array(file)
    write_array(file, np.zeros((4, 5), np.float32))
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    with pytest.raises(FormatError, match=r"cut short.*expected 86 bytes, found 85"):
        read_array(file)
    file.write_bytes(b"hello")
    with pytest.raises(FormatError, match="width&height&channels"):
        read_array(file)


def test_pycolmap_reads_our_depth_map(tmp_path: Path) -> None:
    array = np.random.default_rng(0).uniform(1, 2, (5, 7)).astype(np.float32)
    write_array(tmp_path / "a.bin", array)
    theirs = pycolmap.DepthMap()
    theirs.read(tmp_path / "a.bin")
    np.testing.assert_array_equal(np.asarray(theirs.to_array()), array)


def test_pycolmap_sees_our_normals(tmp_path: Path) -> None:
    """Through COLMAP's picture of normals, (1 - x, 1 - y, -2 z) / 2: `NormalMap.to_array` mixes up the channels."""
    normals = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    write_array(tmp_path / "a.bin", normals)
    theirs = pycolmap.NormalMap()
    theirs.read(tmp_path / "a.bin")
    picture = np.asarray(theirs.to_bitmap().to_array(), np.float64) / 255
    expected = np.clip((1 - normals) / 2 * (1, 1, 0) - normals * (0, 0, 1), 0, 1)
    np.testing.assert_allclose(picture, expected, atol=0.6 / 255)  # rounding to 8 bits
