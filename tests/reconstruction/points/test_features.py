"""Keypoints: masks are respected, places do not depend on the cut, finished images are not done again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap
import pytest
from scipy.ndimage import gaussian_filter

from anyview.cameras.models import Camera
from anyview.reconstruction.options import SparseOptions
from anyview.reconstruction.points import features as module
from anyview.reconstruction.points.features import MASK_CELL, detect, extract_features
from anyview.scene import ArrayPixels, View
from anyview.workspace import Workspace

OPTIONS = SparseOptions()


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grey = sum(gaussian_filter(rng.normal(size=(height, width)), s) * s for s in (1.5, 3, 6))
    return np.repeat((0.5 + 0.4 * np.tanh(grey / grey.std()))[:, :, None], 3, 2).astype(np.float32)


def disc(size: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5
    return np.hypot(x - size / 2, y - size / 2) < radius


def test_no_keypoint_outside_the_mask_and_the_background_changes_nothing() -> None:
    image, mask = texture(200, 200), disc(200, 70)
    inside = detect(image, mask, OPTIONS)
    assert len(inside) > 50
    x, y = inside.keypoints[:, :2].astype(int).T
    assert mask[y, x].all()
    other = np.where(mask[:, :, None], image, texture(200, 200, seed=5))
    again = detect(other, mask, OPTIONS)
    np.testing.assert_array_equal(inside.keypoints, again.keypoints)
    np.testing.assert_array_equal(inside.descriptors, again.descriptors)


def test_a_silhouette_alone_makes_no_keypoint() -> None:
    flat = np.full((200, 200, 3), 0.8, np.float32)
    y, x = np.mgrid[:200, :200] - 100
    star = np.hypot(x, y) < 50 + 25 * np.cos(5 * np.arctan2(y, x))
    flat[~star] = 0
    assert len(detect(flat, None, OPTIONS)) > 0  # without a mask it does
    assert len(detect(flat, star, OPTIONS)) == 0


def test_cutting_out_the_object_moves_no_keypoint() -> None:
    image = np.full((300, 320, 3), 0.5, np.float32)
    image[130:250, 150:290] = texture(120, 140)
    mask = np.zeros((300, 320), bool)
    mask[120:260, 140:300] = True  # grey all around: filling and cutting change no pixel that matters
    whole, cut = detect(image, None, OPTIONS), detect(image, mask, OPTIONS)
    gap = np.linalg.norm(whole.keypoints[:, None, :2] - cut.keypoints[None, :, :2], axis=2).min(1)
    assert len(cut) > 50
    assert (gap < 0.05).mean() > 0.97  # measured 1.0


def test_colors_are_those_under_the_keypoints_in_sRGB() -> None:
    image = texture(120, 120)
    found = detect(image, None, OPTIONS)
    x, y = found.keypoints[:, :2].astype(int).T
    np.testing.assert_allclose(found.colors / 255, image[y, x], atol=0.5 / 255 + 1e-6)


def test_descriptors_are_unit_rootsift_in_bytes() -> None:
    found = detect(texture(150, 150), None, OPTIONS)
    length = np.linalg.norm(found.descriptors.astype(float), axis=1) / 512
    assert np.abs(length - 1).max() < 0.03  # measured 0.006


def test_an_empty_mask_and_a_blank_image_give_nothing() -> None:
    nothing = detect(texture(64, 64), np.zeros((64, 64), bool), OPTIONS)
    assert nothing.descriptors.shape == (0, 128)
    assert nothing.inside is not None
    assert not nothing.inside.any()
    assert len(detect(np.full((64, 64, 3), 0.5, np.float32), None, OPTIONS)) == 0


def test_coarse_mask_covers_the_mask_and_little_more() -> None:
    mask = disc(203, 60)  # a side that is no multiple of the cell
    inside = detect(texture(203, 203), mask, OPTIONS).inside
    assert inside is not None
    fine = inside.repeat(MASK_CELL, 0).repeat(MASK_CELL, 1)[:203, :203]
    assert fine[mask].all()
    assert not fine[~disc(203, 60 + 3 * MASK_CELL)].any()


def test_finished_images_are_read_back_and_damaged_ones_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = Camera.pinhole(100, 100, 100.0, 100.0, 50.0, 50.0)
    views = [View(f"a/{k}.png", camera, np.eye(4), ArrayPixels(texture(100, 100, k))) for k in range(3)]
    first = extract_features(Workspace(tmp_path), views, OPTIONS)
    (tmp_path / ".anyview/features/a/1.png.npz").write_bytes(b"cut short")
    calls: list[int] = []
    monkeypatch.setattr(module, "detect", lambda *a: calls.append(1) or detect(*a))
    second = extract_features(Workspace(tmp_path), views, OPTIONS)
    assert len(calls) == 1
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
        np.testing.assert_array_equal(one.descriptors, other.descriptors)
    extract_features(Workspace(tmp_path), views, SparseOptions(peak_threshold=0.01))
    assert len(calls) == 4


def test_keypoints_are_colmaps() -> None:
    """COLMAP's own extractor as the oracle: same places (half-pixel convention!), scales, directions, descriptors."""
    image = texture(240, 260, seed=3)
    ours = detect(image, None, OPTIONS)
    settings = pycolmap.FeatureExtractionOptions(num_threads=1, use_gpu=False)
    settings.sift.peak_threshold = OPTIONS.peak_threshold
    grey = np.rint(image[..., 0] * 255).astype(np.uint8)
    found, described = pycolmap.FeatureExtractor.create(settings, device=pycolmap.Device.cpu).extract_from_uint8_array(
        grey
    )
    theirs = np.asarray(pycolmap.keypoints_to_matrix(found))
    likeness = ours.descriptors.astype(int) @ np.asarray(described.data).reshape(-1, 128).astype(int).T
    theirs = theirs[likeness.argmax(1)]
    gap = ours.keypoints[:, :2] - theirs[:, :2]
    same = np.hypot(*gap.T) < 1.5
    assert same.sum() > 100
    assert np.abs(gap[same].mean(0)).max() < 0.03, gap[same].mean(
        0
    )  # measured 0.003; OpenCV's default doubling gives 0.25
    assert abs(np.median(ours.keypoints[same, 2] / theirs[same, 2]) - 1) < 0.02
    turn = np.angle(np.exp(1j * (ours.keypoints[same, 3] - theirs[same, 3])))
    assert np.median(np.abs(turn)) < 0.1, np.median(np.abs(turn))
