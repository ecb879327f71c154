"""The page of a segmentation run: its figures, its worst images first, and what cannot be shown."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from anyview.formats.coco import CocoResult
from anyview.formats.coco_masks import RLE, encode_mask
from anyview.report.segmentation_page import write_segmentation_report
from anyview.segmentation.average_precision import average_precision
from anyview.segmentation.data.coco_data import CocoInstances
from anyview.segmentation.evaluate import Scores
from anyview.segmentation.figures_file import EvaluatedImages
from little_coco import instances, write_folder

IMAGES = EvaluatedImages("photos & <co>", "val")


@pytest.fixture
def data(tmp_path: Path) -> CocoInstances:
    content = instances()
    content["categories"][0]["name"] = "brush <b>"
    folder = write_folder(tmp_path / "data", content)
    return CocoInstances(folder / "annotations" / "instances_val2017.json", [folder / "val2017"])


@pytest.fixture
def scores(data: CocoInstances) -> Scores:
    """Everything is found in the first and third images, nothing in the second, and what is not there in the fourth."""
    truth = data.ground_truth()
    results = []
    for a in truth.annotations:
        if a.image_id in (11, 13) and not a.crowd:
            assert a.box is not None
            assert isinstance(a.segmentation, RLE)
            results.append(CocoResult(a.image_id, a.category_id, a.box, 0.9, a.segmentation))
    size = truth.images[3]
    whole = encode_mask(np.ones((size.height, size.width), bool))
    results.append(CocoResult(14, 17, (0, 0, size.width, size.height), 0.8, whole))
    box, mask = average_precision(truth, results, "box"), average_precision(truth, results, "mask")
    return Scores(box, mask, truth, tuple(results))


def test_the_page(tmp_path: Path, data: CocoInstances, scores: Scores) -> None:
    page = write_segmentation_report(tmp_path, scores, data, IMAGES, 1234).read_text()
    assert "Instance segmentation: car, cat, brush &lt;b&gt;. Judged by photos &amp; &lt;co&gt;." in page
    counts = re.findall(r"F (\d\.\d\d): (\d) found, (\d) missed, (\d) false", page)
    assert counts == [
        ("0.00", "0", "1", "0"),
        ("0.00", "0", "0", "1"),
        ("1.00", "2", "0", "0"),
        ("1.00", "1", "0", "0"),
    ]
    assert page.index("1.png, what is there") < page.index("3.png, what is there") < page.index("0.png, what is there")
    assert "1,234" in page
    # car and brush are all found; the cat is not, and another one is there that is none
    rows = dict(re.findall(r"<tr><th>([^<]*)</th><td[^>]*>\d+</td><td[^>]*>([\d.]+)</td>", page))
    assert rows == {"car": "1.000", "cat": "0.000", "brush &lt;b&gt;": "1.000"}
    assert "AP on validation images" not in page  # there is no log


def test_curves_of_the_log(tmp_path: Path, data: CocoInstances, scores: Scores) -> None:
    log = "step,loss,loss_mask,validation/mask_ap\n1,3,0,\n2,2,1,0.25\n3,1,,\n"
    (tmp_path / "log.csv").write_text(log)
    page = write_segmentation_report(tmp_path, scores, data, IMAGES, 3).read_text()
    titles = re.findall(r"<figcaption><h3>([^<]*)</h3>", page)
    assert titles[0] == "AP on validation images"
    assert len(titles) == 3  # two losses, of which one has a row without a value and one of 0


def test_an_image_that_has_gone_is_told(tmp_path: Path, data: CocoInstances, scores: Scores) -> None:
    data.paths[1].unlink()
    page = write_segmentation_report(tmp_path, scores, data, IMAGES, 3).read_text()
    assert "Cannot be shown: image is missing in" in page
    assert "3.png, what is there" in page
