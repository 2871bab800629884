"""Scores of regions, by hand and against MedPy's and SciPy's own way of finding distances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import directed_hausdorff

from ushape.errors import RecipeError
from ushape.labels import IGNORED
from ushape.metrics.families import Measures, family, measured
from ushape.metrics.judged import Judged
from ushape.regions import Region

ENDO, EPI = Region("endocardium", (2,)), Region("epicardium", (1, 2))
NAMES = ("background", "myocardium", "cavity")


def heart(left: int) -> NDArray[np.uint8]:
    """A wall of 12 x 12 pixels around a cavity of 6 x 6."""
    classes = np.zeros((20, 40), dtype=np.uint8)
    classes[4:16, left : left + 12] = 1
    classes[7:13, left + 3 : left + 9] = 2
    return classes


def scored(
    *images: tuple[NDArray[np.uint8], NDArray[np.uint8]], spacing: tuple[float, float] | None = None
) -> Measures:
    scores = family("regions", NAMES, (ENDO, EPI))
    for truth, answer in images:
        nothing = np.zeros(truth.shape, dtype=np.int32)
        scores.add(Judged(truth, answer, nothing, nothing, (answer > 0).astype(np.float32), spacing))
    names = [str(number) for number in range(len(images))]
    return measured("regions", scores, list(zip(names, names, strict=True)))


def test_a_shift_by_two_pixels_by_hand() -> None:
    (image,) = scored((heart(4), heart(6))).images
    assert image["dice endocardium"] == pytest.approx(4 / 6)
    assert image["dice epicardium"] == pytest.approx(10 / 12)
    for region in ("endocardium", "epicardium"):
        assert image[f"hd_px {region}"] == image[f"hd95_px {region}"] == 2
        assert 0 < image[f"assd_px {region}"] < 2
        assert image[f"one_sided {region}"] == 0


def test_distances_are_those_of_scipy_between_the_outlines_corners() -> None:
    truth, answer = heart(4), np.roll(heart(9), 2, axis=0)
    (image,) = scored((truth, answer), spacing=(1400.0, 2100.0)).images

    def corners(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
        around = np.pad(inside, 1).astype(int)
        four = around[:-1, :-1] + around[1:, :-1] + around[:-1, 1:] + around[1:, 1:]
        return np.argwhere((four > 0) & (four < 4)) * (1.4, 2.1)

    sets = corners(truth > 0), corners(answer > 0)
    expected = max(directed_hausdorff(*sets)[0], directed_hausdorff(*sets[::-1])[0])
    assert image["hd_mm epicardium"] == pytest.approx(expected)


def test_the_unit_is_that_of_the_image() -> None:
    pair = heart(4), heart(6)
    (coarse,), (fine,) = (scored(pair, spacing=(s, s)).images for s in (1500.0, 0.5))
    assert coarse["hd_mm endocardium"] == pytest.approx(3)
    assert fine["hd_um endocardium"] == pytest.approx(1)


def test_a_folders_dice_is_of_all_pixels_and_one_side_alone_is_said() -> None:
    empty = np.zeros_like(heart(4))
    measures = scored((heart(4), heart(4)), (heart(4), empty), (empty, empty))
    assert measures.folder == {"dice endocardium": pytest.approx(2 / 3), "dice epicardium": pytest.approx(2 / 3)}
    same, missed, nothing = measures.images
    assert (same["dice epicardium"], same["hd_px epicardium"], same["one_sided epicardium"]) == (1, 0, 0)
    assert missed["dice epicardium"] == 0 and math.isnan(missed["hd_px epicardium"])
    assert missed["one_sided epicardium"] == 1
    assert all(math.isnan(score) for score in nothing.values())


def test_what_counts_nowhere_is_no_difference() -> None:
    truth = heart(4)
    truth[:, 20:] = IGNORED
    answer = heart(4)
    answer[2:9, 25:31] = 2
    (image,) = scored((truth, answer)).images
    assert (image["dice endocardium"], image["hd_px endocardium"]) == (1, 0)


def test_without_a_region_there_are_no_scores() -> None:
    with pytest.raises(RecipeError, match="No region is declared whose scores could be had"):
        family("regions", NAMES)
