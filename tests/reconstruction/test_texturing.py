"""Textures of meshes whose true surface and pictures are known."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.ndimage import binary_erosion

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.errors import FormatError, OptionError, SceneError
from anyview.formats.ply import write_ply
from anyview.reconstruction import texturing
from anyview.reconstruction.meshing import mesh
from anyview.reconstruction.options import MeshOptions
from anyview.reconstruction.texture.zbuffer import fill
from anyview.reconstruction.texturing import texture
from anyview.scene.scene import ArrayPixels, Scene, View
from anyview.scene.synthetic import SyntheticScene, render_scene
from anyview.workspace import Workspace
from textured_render import lookup, psnr, read_glb, render_textured, render_vertex_colors, seam_steps

OPTIONS = MeshOptions(texture=True)


@cache
def box() -> SyntheticScene:
    return render_scene(12, (160, 160), layout="box", test_views=3)


@cache
def ball() -> SyntheticScene:
    return render_scene(12, (128, 128), layout="sphere", test_views=2)


def box_mesh() -> trimesh.Trimesh:
    """The box of `box()`, which stands turned about z by an angle that its sides' true normals tell."""
    points, sides = [], []
    for view in box().scene:
        truth, camera = box().truth[view.name], view.camera
        row, column = np.nonzero(truth.depth > 0)
        ray = np.stack([(column + 0.5 - camera.cx) / camera.fx, (row + 0.5 - camera.cy) / camera.fy, np.ones(len(row))])
        points.append((ray * truth.depth[row, column]).T @ view.world_from_cam[:3, :3].T + view.world_from_cam[:3, 3])
        normal = truth.normal[row, column]
        sides.append(normal[np.abs(normal[:, 2]) < 1e-3])
    seen, (x, y, _) = np.concatenate(points), np.concatenate(sides)[0]
    surface = trimesh.creation.box((1.6, 1.2, 0.9))
    for _ in range(3):
        surface = surface.subdivide()
    for turn in (np.arctan2(y, x), np.arctan2(-x, y)):
        matrix = trimesh.transformations.rotation_matrix(turn, [0, 0, 1])
        local = np.abs(seen @ matrix[:3, :3])
        if np.abs((local - [0.8, 0.6, 0.45]).max(1)).max() < 0.01:
            return surface.apply_transform(matrix)
    raise AssertionError("the box is not where its picture is")


def ball_mesh() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=3)


def workspace(folder: Path, surface: trimesh.Trimesh, colors: np.ndarray) -> Workspace:
    out = Workspace(folder)
    write_ply(out.mesh, np.asarray(surface.vertices, np.float32), rgb=colors, faces=np.asarray(surface.faces, np.int32))
    return out


def true_colors(rendered: SyntheticScene, vertices: np.ndarray) -> np.ndarray:
    """A colour per vertex: the median over the training views whose true depth says that they see it; else green."""
    found = np.full((len(rendered.scene), len(vertices), 3), np.nan)
    for number, view in enumerate(rendered.scene):
        if view.split != "train":
            continue
        points = vertices @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
        pixel = (points[:, :2] / points[:, 2:] * view.camera.fx + [view.camera.cx, view.camera.cy]).astype(int)
        depth = rendered.truth[view.name].depth[pixel[:, 1], pixel[:, 0]]
        seen = (depth > 0) & (np.abs(depth - points[:, 2]) < 0.02 * points[:, 2])
        found[number, seen] = view.image()[pixel[seen, 1], pixel[seen, 0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # some vertices are seen by no view
        median = np.nanmedian(found, 0)
    return np.rint(255 * np.where(np.isnan(median), [0.0, 0.5, 0.0], median)).astype(np.uint8)


def scores(folder: Path, rendered: SyntheticScene, surface: trimesh.Trimesh, colors: np.ndarray) -> np.ndarray:
    """PSNR of each test view: textured, and with a colour per vertex."""
    glb = read_glb(folder / "mesh.glb")
    uv, vertices, faces = glb.attribute("TEXCOORD_0").astype(np.float64), glb.vertices, glb.faces
    out = []
    for view in rendered.scene.split("test"):
        image, mask = view.read()
        assert mask is not None
        textured, covered = render_textured(vertices, faces, uv, glb.image, view)
        plain, _ = render_vertex_colors(surface.vertices, np.asarray(surface.faces, np.int32), colors, view)
        where = binary_erosion(mask, iterations=2) & (covered == 1)
        assert where.sum() > 1000
        out.append((psnr(textured, image, where), psnr(plain, image, where)))
    return np.array(out)


@pytest.mark.parametrize(
    ("rendered", "surface", "expected"),
    [
        (box, box_mesh, 26),  # measured 28.1, with vertex colours 14.9
        (ball, ball_mesh, 30),  # measured 32.2, with vertex colours 17.6
    ],
)
def test_a_held_out_view(rendered, surface, expected, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rendered, surface = rendered(), surface()
    colors = true_colors(rendered, surface.vertices)
    work = workspace(tmp_path, surface, colors)
    result = texture(work, rendered.scene.split("train"), OPTIONS)
    assert result.texture_faces == len(surface.faces)
    assert result.texture_scale == 1
    both = scores(tmp_path, rendered, surface, colors).mean(0)
    assert both[0] > expected
    assert both[0] > both[1] + 4


def wall_and_plate(gain: dict[int, float] | None = None) -> tuple[Scene, trimesh.Trimesh, np.ndarray, int]:
    """A green wall, a red plate 0.5 before it, seen by five cameras; faces of the wall come first."""

    def grid(half: float, n: int, z: float) -> trimesh.Trimesh:
        t = np.linspace(-half, half, n + 1)
        x, y = np.meshgrid(t, t)
        i = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
        a, b, c, d = (q.ravel() for q in (i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]))
        faces = np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)])  # towards +z
        return trimesh.Trimesh(np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], 1), faces, process=False)

    wall, plate = grid(1.0, 24, 0.0), grid(0.25, 6, 0.5)
    both = trimesh.util.concatenate([wall, plate])
    colors = np.array([[0, 90, 0]] * len(wall.vertices) + [[200, 0, 0]] * len(plate.vertices), np.uint8)
    camera = Camera.pinhole(160, 160, 180.0, 180.0, 80.0, 80.0)
    views = []
    for n, (x, y) in enumerate([(0, 0), (2.2, 0), (-2.2, 0), (0, 2.2), (0, -2.2)]):
        pose = look_at(np.array([x, y, 3.0]), np.zeros(3), np.array([0, 1.0, 0]))
        back = np.linalg.inv(pose)
        points = np.ascontiguousarray(both.vertices @ back[:3, :3].T + back[:3, 3])
        faces = np.asarray(both.faces, np.int32)
        _, index = fill(points, faces, camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
        image = np.where((index < len(wall.faces))[..., None], [0.0, 0.8, 0.0], [0.9, 0.0, 0.0])
        image = np.where((index < 0)[..., None], 0.0, image) * (gain or {}).get(n, 1.0)
        views.append(View(f"{n}.png", camera, pose, ArrayPixels(image.astype(np.float32), index >= 0)))
    return Scene(tuple(views)), both, colors, len(wall.faces)


def face_colors(folder: Path) -> np.ndarray:
    """Colours of the texture on every face: at its middle, and halfway to its corners, (F, 4, 3)."""
    glb = read_glb(folder / "mesh.glb")
    uv = glb.attribute("TEXCOORD_0").astype(np.float64)[glb.faces]
    middle = uv.mean(1)
    return np.stack([lookup(glb.image, p) for p in (middle, *(0.5 * (middle + uv[:, k]) for k in range(3)))], 1)


def test_what_lies_behind_does_not_get_the_colours_of_what_lies_before(tmp_path: Path) -> None:
    scene, surface, colors, wall = wall_and_plate()
    texture(workspace(tmp_path, surface, colors), scene, OPTIONS)
    found = face_colors(tmp_path)
    assert found[:wall, :, 0].max() < 0.02  # no red on the wall; the plate hides nine hundredths of it from each view
    assert found[:wall, :, 1].min() > 0.7  # and each of its faces is seen from somewhere
    inner = found[wall:]
    assert np.quantile(inner[..., 0], 0.2) > 0.85


def test_what_no_view_sees_has_the_clouds_colours(tmp_path: Path) -> None:
    scene, surface, colors, wall = wall_and_plate()
    result = texture(workspace(tmp_path, surface, colors), Scene(scene.views[:1]), OPTIONS)
    hidden = (0.25 * 3 / 2.5) ** 2 * 4  # of the wall, behind the plate
    assert result.texture_seen == pytest.approx(1 - hidden / (4 + 0.25), abs=0.03)
    found = face_colors(tmp_path)[:wall]
    assert found[..., 0].max() < 0.02
    assert found[..., 1].min() > 0.3  # 90 of 255, or lighter where the seam is levelled; nothing is black


def test_outside_the_mask_nothing_is_taken(tmp_path: Path) -> None:
    """The mask of one view leaves out half of the wall, which is painted blue there."""
    scene, surface, colors, _ = wall_and_plate()
    image, mask = scene.views[0].read()
    assert mask is not None
    image, mask = image.copy(), mask.copy()
    image[:, :80], mask[:, :80] = [0, 0, 1], False
    spoilt = View("0.png", scene.views[0].camera, scene.views[0].world_from_cam, ArrayPixels(image, mask))
    texture(workspace(tmp_path, surface, colors), Scene((spoilt, scene.views[1])), OPTIONS)
    assert face_colors(tmp_path)[..., 2].max() < 0.02


def test_seams_between_bright_and_dark_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered, surface = ball(), trimesh.creation.icosphere(subdivisions=4)
    colors = true_colors(rendered, surface.vertices)
    views = []
    for number, view in enumerate(rendered.scene.split("train")):
        image, mask = view.read()
        gain = np.float32(1.0 if number % 2 else 0.8)
        views.append(View(view.name, view.camera, view.world_from_cam, ArrayPixels(image * gain, mask)))
    scene = Scene(tuple(views))
    texture(workspace(tmp_path / "level", surface, colors), scene, OPTIONS)
    globally = seam_steps_without(monkeypatch, "level_locally", tmp_path / "global", surface, colors, scene)
    before = seam_steps_without(monkeypatch, "corrections", tmp_path / "raw", surface, colors, scene)
    after = np.abs(seam_steps(read_glb(tmp_path / "level" / "mesh.glb"))).mean()
    assert globally < 0.5 * before
    assert after < 0.3 * before  # measured 0.110, after the global step 0.034, after both 0.028


def seam_steps_without(monkeypatch, name, folder, surface, colors, scene) -> float:  # type: ignore[no-untyped-def]
    """The mean step with one part of the levelling (and of what was left out before) taken out."""
    if name == "corrections":
        monkeypatch.setattr(texturing, name, lambda seams, patches: np.zeros((len(patches.vertex), 3), np.float32))
    else:
        monkeypatch.setattr(texturing, name, lambda *a: None)
    texture(workspace(folder, surface, colors), scene, OPTIONS)
    return float(np.abs(seam_steps(read_glb(folder / "mesh.glb"))).mean())


def test_the_file_is_sound(tmp_path: Path) -> None:
    scene, surface, colors, _ = wall_and_plate()
    result = texture(workspace(tmp_path, surface, colors), scene, OPTIONS)
    glb = read_glb(tmp_path / "mesh.glb")
    for one in glb.tree["accessors"]:
        if one["type"] == "VEC3" or "min" in one:
            values = glb.accessor(glb.tree["accessors"].index(one))
            assert np.allclose(np.min(values, 0), one.get("min", np.min(values, 0)))
            assert np.allclose(np.max(values, 0), one.get("max", np.max(values, 0)))
    assert "min" in glb.tree["accessors"][glb.primitive["attributes"]["POSITION"]]
    count = len(glb.vertices)
    assert glb.faces.max() == count - 1
    assert len(glb.faces) == result.texture_faces == len(surface.faces)
    assert np.allclose(np.linalg.norm(glb.attribute("NORMAL"), axis=1), 1, atol=1e-5)
    assert np.allclose(glb.attribute("NORMAL"), [0, 1, 0], atol=1e-6)  # z up has become y up
    uv = glb.attribute("TEXCOORD_0")
    assert uv.min() >= 0
    assert uv.max() <= 1
    assert glb.image.shape == (result.texture_height, result.texture_width, 3)
    material = glb.tree["materials"][0]["pbrMetallicRoughness"]
    assert material["metallicFactor"] == 0
    assert material["roughnessFactor"] == pytest.approx(0.9)
    loaded = trimesh.load(tmp_path / "mesh.glb", force="mesh")
    assert loaded.visual.kind == "texture"
    assert loaded.area == pytest.approx(surface.area, rel=1e-5)


def test_same_bytes_and_made_again_only_for_a_reason(tmp_path: Path) -> None:
    scene, surface, colors, _ = wall_and_plate()
    first, second = (workspace(tmp_path / name, surface, colors) for name in "ab")
    result = texture(first, scene, OPTIONS)
    texture(second, scene, OPTIONS)
    glb = first.root / "mesh.glb"
    assert glb.read_bytes() == (second.root / "mesh.glb").read_bytes()
    before = glb.stat().st_mtime_ns
    assert texture(first, scene, OPTIONS) == result
    assert glb.stat().st_mtime_ns == before
    glb.write_bytes(b"spoilt")
    texture(first, scene, OPTIONS)
    assert glb.read_bytes() == (second.root / "mesh.glb").read_bytes()
    dimmer, *_ = wall_and_plate({0: 0.9})
    texture(first, dimmer, OPTIONS)
    assert glb.read_bytes() != (second.root / "mesh.glb").read_bytes()


def test_fewer_faces_and_a_small_texture(tmp_path: Path) -> None:
    rendered, surface = ball(), trimesh.creation.icosphere(subdivisions=5)
    colors = true_colors(rendered, surface.vertices)
    work = workspace(tmp_path, surface, colors)
    options = MeshOptions(texture=True, texture_faces=2000, texture_size=128)
    result = texture(work, rendered.scene.split("train"), options)
    assert 1000 < result.texture_faces <= 2000
    assert max(result.texture_width, result.texture_height) <= 128
    assert result.texture_scale < 1
    assert scores(tmp_path, rendered, surface, colors)[:, 0].min() > 20


def test_with_and_without_texture_in_turn(tmp_path: Path) -> None:
    """`mesh` and `texture` share mesh.glb; each takes it back from the other, and mesh.ply is not made again."""
    surface, scene = trimesh.creation.icosphere(subdivisions=5), ball().scene.split("train")
    work = Workspace(tmp_path)
    points, normals = surface.vertices.astype(np.float32), surface.vertex_normals.astype(np.float32)
    write_ply(work.fused, points, normals=normals, rgb=true_colors(ball(), surface.vertices))
    mesh(work, MeshOptions())
    plain, stamp = (tmp_path / "mesh.glb").read_bytes(), work.mesh.stat().st_mtime_ns
    mesh(work, OPTIONS)
    texture(work, scene, OPTIONS)
    assert read_glb(tmp_path / "mesh.glb").image.size
    mesh(work, MeshOptions())
    assert (tmp_path / "mesh.glb").read_bytes() == plain
    assert work.mesh.stat().st_mtime_ns == stamp


def test_views_that_see_nothing(tmp_path: Path) -> None:
    scene, surface, colors, _ = wall_and_plate()
    surface.apply_translation([0, 0, 50])
    with pytest.raises(SceneError, match="no view sees the mesh"):
        texture(workspace(tmp_path, surface, colors), scene, OPTIONS)
    assert not (tmp_path / "mesh.glb").exists()


def test_a_mesh_without_faces(tmp_path: Path) -> None:
    scene, *_ = wall_and_plate()
    work = Workspace(tmp_path)
    write_ply(work.mesh, np.zeros((3, 3), np.float32))
    with pytest.raises(FormatError, match="without faces"):
        texture(work, scene, OPTIONS)


@pytest.mark.parametrize("values", [{"texture_faces": 0}, {"texture_size": 10**6}])
def test_options_out_of_range(values: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=f"out of range in mesh.{next(iter(values))}"):
        MeshOptions(**values)
