from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from anyview.errors import FormatError, OptionError, SceneError
from anyview.formats.ply import read_ply, write_ply
from anyview.reconstruction.accuracy import (
    error_colors,
    evaluate_geometry,
    evaluate_geometry_files,
    score_cloud,
    truth_cloud,
)
from anyview.scene.synthetic import SyntheticScene, render_scene

SCORER = Path(__file__).parents[2] / "../shared/tools/score_points.py"


@pytest.fixture(scope="module")
def rendered() -> SyntheticScene:
    return render_scene(6, (96, 72), seed=1, test_views=1)


def test_against_brute_force() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.uniform(size=(300, 3)), rng.uniform(size=(400, 3))
    table = np.linalg.norm(p[:, None] - q[None], axis=2)
    thresholds = [0.05, 0.1, 0.2]
    got = evaluate_geometry(p, q, thresholds)
    for threshold, score in zip(thresholds, got.scores, strict=True):
        precision, recall = (table.min(1) < threshold).mean(), (table.min(0) < threshold).mean()
        assert score.threshold == threshold
        assert (score.precision, score.recall) == (precision, recall)
        assert score.f1 == pytest.approx(2 / (1 / precision + 1 / recall), rel=1e-12)
    assert got.mean_to_truth == pytest.approx(table.min(1).mean(), rel=1e-12)
    assert got.median_to_predicted == pytest.approx(np.median(table.min(0)), rel=1e-12)
    assert np.allclose(got.distances, table.min(1), rtol=1e-12, atol=0)


def test_a_shifted_plane_has_the_scores_of_its_shift() -> None:
    x, y = (a.ravel() for a in np.meshgrid(np.arange(50) / 50, np.arange(50) / 50))
    truth = np.stack([x, y, 0 * x], axis=1)
    predicted = truth[x < 0.5] + [0, 0, 0.003]
    got = evaluate_geometry(predicted, truth, [0.002, 0.004])
    assert [(s.precision, s.recall, s.f1) for s in got.scores] == [(0, 0, 0), (1, 0.5, pytest.approx(2 / 3))]
    assert got.mean_to_truth == pytest.approx(0.003, rel=1e-12)


def test_only_reachable_truth_is_asked_for() -> None:
    truth = np.array([[0.0, 0, 0], [1, 0, 0]])
    got = evaluate_geometry(truth[:1], truth, [0.1], reachable=np.array([True, False]))
    assert got.scores[0].recall == 1
    assert got.true == 1


def test_points_that_are_not_finite_are_counted() -> None:
    cloud = np.array([[0.0, 0, 0], [np.nan, 0, 0], [0, np.inf, 0]])
    got = evaluate_geometry(cloud, np.zeros((1, 3)), [0.1])
    assert (got.predicted, got.dropped) == (1, 2)


@pytest.mark.parametrize("bad", [np.empty((0, 3)), np.full((2, 3), np.nan)])
def test_nothing_to_compare(bad: np.ndarray) -> None:
    with pytest.raises(SceneError, match="no points to compare in the predicted cloud"):
        evaluate_geometry(bad, np.zeros((1, 3)), [0.1])
    with pytest.raises(SceneError, match="the true cloud"):
        evaluate_geometry(np.zeros((1, 3)), bad, [0.1])


@pytest.mark.parametrize("thresholds", [[], [0.0], [0.1, -1.0], [float("nan")], [float("inf")]])
def test_bad_thresholds(thresholds: list[float]) -> None:
    with pytest.raises(OptionError, match="positive"):
        evaluate_geometry(np.zeros((1, 3)), np.zeros((1, 3)), thresholds)


def test_error_colors() -> None:
    colors = error_colors(np.array([0.0, 0.5, 1.0, 7.0]), 1.0).astype(int)
    assert colors[0, 2] > colors[0, 0]  # blue
    assert colors[1, 1] == colors[1].max()  # green
    assert colors[2, 0] == colors[2].max()  # red
    assert np.array_equal(colors[2], colors[3])


def test_files_with_a_mesh(tmp_path: Path) -> None:
    sphere = trimesh.creation.icosphere(4)
    write_ply(tmp_path / "truth.ply", sphere.vertices, faces=sphere.faces)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2000, 3))
    points *= (1 + np.where(np.arange(2000) < 1000, 0.0, 0.1) / 1)[:, None] / np.linalg.norm(
        points, axis=1, keepdims=True
    )
    write_ply(tmp_path / "cloud.ply", points)
    got = evaluate_geometry_files(tmp_path / "cloud.ply", tmp_path / "truth.ply", [0.01, 0.2], tmp_path / "error.ply")
    # The sphere's facets lie at most 0.0012 inside; a million samples are 0.0018 apart on average.
    assert got.scores[0].precision == 0.5
    assert got.scores[1].f1 == 1
    assert np.abs(got.distances[:1000]).max() < 0.006  # measured 0.0048
    assert np.abs(got.distances[1000:] - 0.1).max() < 0.003  # measured 0.0012
    error = read_ply(tmp_path / "error.ply")
    assert np.array_equal(error.vertices["error"], got.distances.astype(np.float32))
    assert np.array_equal(error.rgb, error_colors(got.distances, 0.2))
    assert not list(tmp_path.glob(".*tmp*"))
    again = evaluate_geometry_files(tmp_path / "cloud.ply", tmp_path / "truth.ply", [0.01, 0.2])
    assert np.array_equal(again.distances, got.distances)


def test_mesh_samples_are_even_by_area(tmp_path: Path) -> None:
    # Two squares of side 1 and 3: nine tenths of the surface is the large one, far from the prediction.
    xy = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    corners = np.concatenate([np.c_[xy, np.zeros(4)], np.c_[3 * xy + 10, np.zeros(4)]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    write_ply(tmp_path / "truth.ply", corners, faces=faces)
    u, v = (a.ravel() for a in np.meshgrid((np.arange(100) + 0.5) / 100, (np.arange(100) + 0.5) / 100))
    write_ply(tmp_path / "cloud.ply", np.stack([u, v, 0 * u], axis=1))
    got = evaluate_geometry_files(tmp_path / "cloud.ply", tmp_path / "truth.ply", [0.0072])
    assert got.scores[0].precision == 1
    assert got.scores[0].recall == pytest.approx(0.1, abs=0.002)  # measured 0.0999; deviation of the draw 0.0003


def test_bad_files(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_text("hello")
    write_ply(tmp_path / "b.ply", np.zeros((3, 3)), faces=np.array([[0, 1, 2]]))
    write_ply(tmp_path / "c.ply", np.zeros((1, 3)))
    with pytest.raises(FormatError, match="not a PLY"):
        evaluate_geometry_files(tmp_path / "a.ply", tmp_path / "c.ply", [1])
    with pytest.raises(FormatError, match="without area"):
        evaluate_geometry_files(tmp_path / "b.ply", tmp_path / "c.ply", [1])
    write_ply(tmp_path / "d.ply", np.empty((0, 3)))
    with pytest.raises(SceneError, match="predicted"):
        evaluate_geometry_files(tmp_path / "d.ply", tmp_path / "c.ply", [1], tmp_path / "out.ply")
    assert not (tmp_path / "out.ply").exists()


def test_truth_cloud_of_a_sphere() -> None:
    made = render_scene(5, (60, 60), layout="sphere")
    truth = truth_cloud(made.scene, made.depths)
    assert np.abs(np.linalg.norm(truth.surface, axis=1) - 1).max() < 1e-6  # measured 3.5e-7, float32 depth
    assert 0.1 < truth.seen.mean() < 1
    distance = np.linalg.norm(made.scene.views[0].center)
    assert truth.footprint == pytest.approx((distance - 0.9) / made.scene.views[0].camera.fx, rel=0.1)


def test_truth_without_depth(rendered: SyntheticScene) -> None:
    with pytest.raises(SceneError, match="no true depth"):
        truth_cloud(rendered.scene, {})


def test_same_scores_as_the_shared_scorer(rendered: SyntheticScene, tmp_path: Path) -> None:
    if not SCORER.exists():
        pytest.skip("the scorer beside the data is missing")
    rendered.write(tmp_path)
    truth = truth_cloud(rendered.scene, rendered.depths)
    rng = np.random.default_rng(3)
    cloud = truth.surface[::2] + rng.normal(0, 0.02, truth.surface[::2].shape)
    write_ply(tmp_path / "cloud.ply", cloud)
    printed = subprocess.run(
        [sys.executable, SCORER, tmp_path, tmp_path / "cloud.ply"], capture_output=True, text=True, check=True
    ).stdout
    theirs = json.loads(printed)
    ours = score_cloud(cloud, truth)
    assert theirs["footprint"] == pytest.approx(truth.footprint, rel=1e-12)
    assert 0.05 < ours.scores[0].f1 < 0.95
    for score, key in zip(ours.scores, ("1px", "2px", "4px"), strict=True):
        for name in ("precision", "recall", "f1"):
            # They keep the cloud in float32: measured difference 0 to 0.00005, which is their rounding.
            assert getattr(score, name) == pytest.approx(theirs[key][name], abs=1.5e-4), (key, name)
