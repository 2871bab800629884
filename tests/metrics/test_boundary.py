from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from ushape.errors import ImageError, RecipeError, SizeError
from ushape.metrics.boundary import Convention, SurfaceDistances

CONVENTIONS: tuple[Convention, ...] = get_args(Convention)
CASES = ("2d_ellipses", "3d_aniso", "2d_outlier", "2d_identical")

mask_pairs = st.sampled_from([(2, 7, 8), (2, 4, 4, 5)]).flatmap(lambda shape: hnp.arrays(bool, shape))
"""Truth and prediction on top of each other, in the plane and in space."""


def squares(apart: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two squares of 3 × 3 pixels, the second `apart` columns to the right."""
    truth, predicted = np.zeros((2, 9, 12), dtype=bool)
    truth[2:5, 2:5] = True
    predicted[2:5, 2 + apart : 5 + apart] = True
    return truth, predicted


def spacing_of(mask: NDArray[np.bool_]) -> tuple[float, ...]:
    return (2.5, 1.0, 0.75)[-mask.ndim :]


def symmetric_figures(distances: SurfaceDistances) -> list[float]:
    return [distances.hd(), distances.hd95(), distances.assd(), distances.nsd(1.0)]


def figures(distances: SurfaceDistances) -> list[float]:
    return [*distances.directed_means(), *symmetric_figures(distances)]


# --- the authors' programs


@pytest.fixture(scope="module")
def expected(shared_fixtures: Path) -> Any:  # what JSON holds
    return json.loads((shared_fixtures / "other_metrics" / "expected.json").read_text())["surface"]


def distances_in(folder: Path, case: str, spacing: list[float], convention: Convention) -> SurfaceDistances:
    inputs = np.load(folder / "other_metrics" / "surface_inputs.npz")
    return SurfaceDistances.of(inputs[f"{case}__a"] > 0, inputs[f"{case}__b"] > 0, spacing, convention)


@pytest.mark.real_data
@pytest.mark.parametrize("case", CASES)
def test_the_deepmind_convention_agrees_with_their_program(case: str, expected: Any, shared_fixtures: Path) -> None:
    theirs = expected[case]["deepmind"]
    ours = distances_in(shared_fixtures, case, expected[case]["spacing"], "deepmind")
    assert ours.directed_means() == pytest.approx((theirs["avg_gt_to_pred"], theirs["avg_pred_to_gt"]), abs=1e-9)
    assert (ours.hd(), ours.hd95()) == pytest.approx((theirs["hd100"], theirs["hd95"]), abs=1e-9)
    assert (ours.nsd(1), ours.nsd(2)) == pytest.approx((theirs["nsd_tol1mm"], theirs["nsd_tol2mm"]), abs=1e-9)


@pytest.mark.real_data
@pytest.mark.parametrize("case", CASES)
def test_the_monai_convention_agrees_with_it_to_its_single_precision(
    case: str, expected: Any, shared_fixtures: Path
) -> None:
    theirs = expected[case]["monai"]
    ours = distances_in(shared_fixtures, case, expected[case]["spacing"], "monai")
    assert (ours.hd(), ours.hd95()) == pytest.approx((theirs["hd"], theirs["hd95"]), abs=1e-6)
    assert (ours.directed_means()[0], ours.assd()) == pytest.approx((theirs["asd_a_to_b"], theirs["assd"]), abs=1e-6)
    assert ours.nsd(1) == pytest.approx(theirs["nsd_thr1"], abs=1e-6)


@pytest.mark.real_data
@pytest.mark.parametrize("case", CASES)
def test_the_medpy_convention_agrees_with_it(case: str, expected: Any, shared_fixtures: Path) -> None:
    theirs = expected[case]["medpy_convention"]
    ours = distances_in(shared_fixtures, case, expected[case]["spacing"], "medpy")
    assert (ours.hd(), ours.hd95()) == pytest.approx((theirs["hd"], theirs["hd95"]), abs=1e-9)
    assert ours.directed_means() == pytest.approx((theirs["asd_a_b"], theirs["asd_b_a"]), abs=1e-9)
    assert ours.assd() == pytest.approx(theirs["assd_mean_of_two"], abs=1e-9)
    pooled = distances_in(shared_fixtures, case, expected[case]["spacing"], "monai").assd()
    assert pooled == pytest.approx(theirs["assd_pooled"], abs=1e-9)


# --- facts by hand


@pytest.mark.parametrize("convention", ["monai", "medpy"])
def test_two_squares_two_pixels_apart_by_their_border_pixels(convention: Convention) -> None:
    distances = SurfaceDistances.of(*squares(apart=2), spacing=(1, 0.5), convention=convention)
    # of the 8 border pixels of each, 3 lie on the other's, 2 lie one pixel off, 3 lie two off
    assert sorted(distances.from_truth.tolist()) == [0, 0, 0, 0.5, 0.5, 1, 1, 1]
    assert (distances.hd(), distances.hd95()) == (1, 1)
    assert distances.assd() == pytest.approx((2 * 0.5 + 3 * 1) / 8)
    assert [distances.nsd(tolerance) for tolerance in (0, 0.4, 0.5, 1)] == pytest.approx([3 / 8, 3 / 8, 5 / 8, 1])


def test_two_squares_two_pixels_apart_by_their_contours() -> None:
    distances = SurfaceDistances.of(*squares(apart=2), spacing=(1, 1))
    # the contour has 8 straight pieces of 1 and 4 bevelled ones of √½; the far side is two pixels off
    bevel, length = math.sqrt(1 / 2), 8 + 4 * math.sqrt(1 / 2)
    assert distances.truth_areas.sum() == pytest.approx(length)
    assert (distances.hd(), distances.hd95()) == (2, 2)
    assert distances.assd() == pytest.approx((2 * (2 + 2 * bevel) + 4 * 1) / length)
    assert [distances.nsd(tolerance) for tolerance in (0, 1, 2)] == pytest.approx(
        [(2 + 2 * bevel) / length, 1 - (2 + 2 * bevel) / length, 1]
    )


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_slice_further_along_a_long_voxel_counts_its_length(convention: Convention) -> None:
    truth, predicted = np.zeros((2, 4, 5, 5), dtype=bool)
    truth[1, 1:4, 1:4], predicted[2, 1:4, 1:4] = True, True
    distances = SurfaceDistances.of(truth, predicted, (8, 1, 1), convention)
    assert distances.hd() == 8
    assert distances.nsd(7.9) < 1 == distances.nsd(8)


def test_a_percentile_covers_its_share_of_each_direction_or_of_both_pooled() -> None:
    truth, predicted = np.zeros((2, 1, 40), dtype=bool)
    truth[0, :10], predicted[0, :11], predicted[0, 30] = True, True, True
    # from the truth 10 pixels at 0; from the prediction 10 at 0, one at 1, one at 21
    by = {convention: SurfaceDistances.of(truth, predicted, (1, 1), convention) for convention in CONVENTIONS}
    assert by["monai"].hd(95) == pytest.approx(np.percentile([0] * 10 + [1, 21], 95)) == pytest.approx(10)
    assert by["medpy"].hd(95) == pytest.approx(np.percentile([0] * 20 + [1, 21], 95)) == pytest.approx(0.95)
    # contours: the lone pixel has 4 bevels of √½ at 19 or 20 px from that of the truth; all of it is 20 + 8√½ long
    assert by["deepmind"].hd(100) == 21
    assert by["deepmind"].hd(85) == 1
    assert {convention: distances.hd(0) for convention, distances in by.items()} == dict.fromkeys(CONVENTIONS, 0)


def test_three_pixels_of_a_tenth_are_within_three_tenths() -> None:
    assert 3 * 0.1 > 0.3
    for convention in CONVENTIONS:
        assert SurfaceDistances.of(*squares(apart=3), spacing=(0.1, 0.1), convention=convention).nsd(0.3) == 1


def test_overlap_is_the_share_of_each_surface_alone() -> None:
    truth, predicted = np.zeros((2, 3, 9), dtype=bool)
    truth[1, 1:8], predicted[1, 1] = True, True
    distances = SurfaceDistances.of(truth, predicted, (1, 1), "monai")
    assert distances.overlap(2) == pytest.approx((3 / 7, 1))
    assert distances.nsd(2) == pytest.approx(4 / 8)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_mask_that_fills_the_image_has_a_surface_at_its_border(convention: Convention) -> None:
    full = np.ones((6, 6), dtype=bool)
    inner = np.zeros((6, 6), dtype=bool)
    inner[1:5, 1:5] = True
    assert SurfaceDistances.of(full, inner, (1, 1), convention).hd() == pytest.approx(math.sqrt(2))


# --- against all pairs of points


@given(mask_pairs)
@settings(deadline=None, max_examples=60)
def test_the_distances_are_the_smallest_over_all_pairs_of_border_pixels(pair: NDArray[np.bool_]) -> None:
    truth, predicted = pair
    spacing = spacing_of(truth)
    border = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) * spacing for mask in pair]
    distances = SurfaceDistances.of(truth, predicted, spacing, "monai")
    assert [len(distances.from_truth), len(distances.from_predicted)] == [len(points) for points in border]
    if truth.any() and predicted.any():
        pairs = cdist(*border)
        assert distances.from_truth == pytest.approx(pairs.min(axis=1))
        assert distances.from_predicted == pytest.approx(pairs.min(axis=0))


@given(mask_pairs)
@settings(deadline=None, max_examples=60)
def test_the_distances_are_the_smallest_over_all_pairs_of_corners(pair: NDArray[np.bool_]) -> None:
    spacing = spacing_of(pair[0])
    corners = []
    for mask in pair:
        touched = ndimage.uniform_filter(np.pad(mask, 1).astype(float), size=2, mode="constant")[
            (slice(1, None),) * mask.ndim
        ]
        corners.append(np.argwhere((touched > 1e-9) & (touched < 1 - 1e-9)) * spacing)
    distances = SurfaceDistances.of(*pair, spacing)
    assert [len(distances.from_truth), len(distances.from_predicted)] == [len(points) for points in corners]
    if pair[0].any() and pair[1].any():
        pairs = cdist(*corners)
        assert distances.from_truth == pytest.approx(pairs.min(axis=1))
        assert distances.from_predicted == pytest.approx(pairs.min(axis=0))


# --- properties


@pytest.mark.parametrize("convention", CONVENTIONS)
@given(mask_pairs)
@settings(deadline=None, max_examples=25)
def test_truth_and_prediction_may_change_places(convention: Convention, pair: NDArray[np.bool_]) -> None:
    truth, predicted = pair
    there = SurfaceDistances.of(truth, predicted, spacing_of(truth), convention)
    back = SurfaceDistances.of(predicted, truth, spacing_of(truth), convention)
    assert back.directed_means() == pytest.approx(there.directed_means()[::-1], nan_ok=True)
    assert back.overlap(1) == pytest.approx(there.overlap(1)[::-1], nan_ok=True)
    assert symmetric_figures(back) == pytest.approx(symmetric_figures(there), nan_ok=True)


@pytest.mark.parametrize("convention", CONVENTIONS)
@given(mask_pairs, st.integers(0, 3), st.integers(0, 3))
@settings(deadline=None, max_examples=25)
def test_the_place_in_the_image_does_not_matter(
    convention: Convention, pair: NDArray[np.bool_], before: int, after: int
) -> None:
    moved = [np.pad(mask, (before, after)) for mask in pair]
    spacing = spacing_of(pair[0])
    assert figures(SurfaceDistances.of(*moved, spacing, convention)) == pytest.approx(
        figures(SurfaceDistances.of(*pair, spacing, convention)), nan_ok=True
    )


@pytest.mark.parametrize("convention", CONVENTIONS)
@given(mask_pairs)
@settings(deadline=None, max_examples=25)
def test_another_unit_scales_every_distance_and_leaves_the_shares(
    convention: Convention, pair: NDArray[np.bool_]
) -> None:
    spacing = spacing_of(pair[0])
    in_mm = SurfaceDistances.of(*pair, spacing, convention)
    in_um = SurfaceDistances.of(*pair, [1000 * length for length in spacing], convention)
    assert figures(in_um)[:-1] == pytest.approx([1000 * figure for figure in figures(in_mm)[:-1]], nan_ok=True)
    assert in_um.nsd(1000) == pytest.approx(in_mm.nsd(1), nan_ok=True)


@pytest.mark.parametrize("convention", CONVENTIONS)
@given(mask_pairs)
@settings(deadline=None, max_examples=25)
def test_the_order_of_the_axes_does_not_matter(convention: Convention, pair: NDArray[np.bool_]) -> None:
    spacing = spacing_of(pair[0])
    turned = SurfaceDistances.of(pair[0].T, pair[1].T, spacing[::-1], convention)
    assert figures(turned) == pytest.approx(figures(SurfaceDistances.of(*pair, spacing, convention)), nan_ok=True)


@pytest.mark.parametrize("convention", CONVENTIONS)
@given(mask_pairs)
@settings(deadline=None, max_examples=25)
def test_percentiles_rise_to_the_maximum_and_shares_to_one(convention: Convention, pair: NDArray[np.bool_]) -> None:
    distances = SurfaceDistances.of(*pair, spacing_of(pair[0]), convention)
    if pair[0].any() and pair[1].any():
        rising = [distances.hd(percentile) for percentile in (0, 30, 50, 95, 99, 100)]
        assert rising == sorted(rising)
        assert rising[-1] == max(distances.from_truth.max(), distances.from_predicted.max())
        shares = [distances.nsd(tolerance) for tolerance in (0, 1, 2, rising[-1])]
        assert shares == sorted(shares)
        assert shares[-1] == 1


@pytest.mark.parametrize("convention", ["monai", "medpy"])
def test_counted_pixels_may_have_any_number_of_axes(convention: Convention) -> None:
    truth, predicted = np.zeros((2, 3, 3, 3, 9), dtype=bool)
    truth[1, 1, 1, 2], predicted[1, 1, 1, 6] = True, True
    assert SurfaceDistances.of(truth, predicted, (1, 1, 1, 0.5), convention).hd() == 2


# --- what is ignored


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_no_surface_is_seen_in_or_at_the_edge_of_what_is_ignored(convention: Convention) -> None:
    truth, predicted = squares(apart=0)
    ignored = np.zeros_like(truth)
    ignored[:, 4:] = True  # cuts both squares; their far sides are not known
    predicted[0, 9] = True
    distances = SurfaceDistances.of(truth, predicted, (1, 1), convention, ignored=ignored)
    assert (distances.hd(), distances.nsd(0)) == (0, 1)
    seen = len(distances.from_truth)
    assert seen == {"deepmind": 4 + 2 * 1, "monai": 3 + 2 * 1, "medpy": 3 + 2 * 1}[convention]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_ignoring_nothing_changes_nothing(convention: Convention) -> None:
    truth, predicted = squares(apart=2)
    nothing = np.zeros_like(truth)
    assert figures(SurfaceDistances.of(truth, predicted, (1, 2), convention, ignored=nothing)) == figures(
        SurfaceDistances.of(truth, predicted, (1, 2), convention)
    )


# --- the empty rule


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_without_any_surface_nothing_is_defined(convention: Convention) -> None:
    empty = np.zeros((4, 5), dtype=bool)
    distances = SurfaceDistances.of(empty, empty, (1, 1), convention)
    assert all(math.isnan(figure) for figure in figures(distances))
    assert all(math.isnan(share) for share in distances.overlap(1))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("swap", [False, True])
def test_with_a_surface_in_one_alone_distances_are_infinite_and_nothing_overlaps(
    convention: Convention, swap: bool
) -> None:
    pair = (squares(apart=0)[0], np.zeros((9, 12), dtype=bool))[:: -1 if swap else 1]
    distances = SurfaceDistances.of(*pair, (1, 1), convention)
    assert figures(distances) == [math.inf] * 5 + [0]
    assert distances.overlap(100)[swap] == 0
    assert math.isnan(distances.overlap(100)[not swap])


# --- messages


def test_masks_of_unequal_shapes_are_refused_with_both_shapes() -> None:
    truth, predicted = np.zeros((4, 5), dtype=bool), np.zeros((5, 4), dtype=bool)
    with pytest.raises(SizeError, match=r"truth is \(4, 5\) and the prediction \(5, 4\).*same pixels"):
        SurfaceDistances.of(truth, predicted, (1, 1))
    with pytest.raises(SizeError, match=r"truth is \(4, 5\) and the mask of ignored pixels \(5, 4\)"):
        SurfaceDistances.of(truth, truth, (1, 1), ignored=predicted)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_masks_that_are_not_boolean_are_refused(dtype: type) -> None:
    mask = np.zeros((4, 5), dtype=bool)
    with pytest.raises(ImageError, match=r"truth is (float32|uint8); .* boolean masks. Give `class_map == number`"):
        SurfaceDistances.of(mask.astype(dtype), mask, (1, 1))
    with pytest.raises(ImageError, match=r"prediction is (float32|uint8)"):
        SurfaceDistances.of(mask, mask.astype(dtype), (1, 1))
    with pytest.raises(ImageError, match=r"mask of ignored pixels is (float32|uint8)"):
        SurfaceDistances.of(mask, mask, (1, 1), ignored=mask.astype(dtype))


def test_a_spacing_of_another_number_of_axes_is_refused() -> None:
    mask = np.zeros((4, 5), dtype=bool)
    with pytest.raises(SizeError, match=r"spacing \(8, 1.25, 1.25\) has 3 numbers and the masks have 2 axes; .* order"):
        SurfaceDistances.of(mask, mask, (8, 1.25, 1.25))


@pytest.mark.parametrize("length", [0, -1.0, math.nan, math.inf])
def test_a_spacing_that_is_no_length_is_refused(length: float) -> None:
    mask = np.zeros((4, 5), dtype=bool)
    with pytest.raises(
        SizeError, match=rf"spacing \(1, {length:g}\) is not of positive lengths; give those of a pixel"
    ):
        SurfaceDistances.of(mask, mask, (1, length))


def test_an_unknown_convention_is_refused_with_those_there_are() -> None:
    mask = np.zeros((4, 5), dtype=bool)
    with pytest.raises(RecipeError, match="convention is 'itk'; it takes deepmind, monai, medpy"):
        SurfaceDistances.of(mask, mask, (1, 1), "itk")  # type: ignore[arg-type]


def test_surfaces_in_four_axes_are_refused_with_what_to_do() -> None:
    mask = np.zeros((2, 2, 2, 2), dtype=bool)
    with pytest.raises(RecipeError, match=r"masks have 4 axes; .* at most 3. Take monai or medpy"):
        SurfaceDistances.of(mask, mask, (1, 1, 1, 1))


@pytest.mark.parametrize("percentile", [-1, 100.5, math.nan])
def test_a_percentile_outside_its_range_is_refused(percentile: float) -> None:
    with pytest.raises(RecipeError, match=rf"percentile is {percentile}; it takes 0 to 100, such as 95"):
        SurfaceDistances.of(*squares(apart=1), (1, 1)).hd(percentile)


@pytest.mark.parametrize("tolerance", [-0.1, math.nan])
def test_a_tolerance_below_zero_is_refused(tolerance: float) -> None:
    for share in (SurfaceDistances.nsd, SurfaceDistances.overlap):
        with pytest.raises(RecipeError, match=rf"tolerance is {tolerance}; it takes 0 or more, in the unit"):
            share(SurfaceDistances.of(*squares(apart=1), (1, 1)), tolerance)
