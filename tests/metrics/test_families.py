"""Families of scores: figures computed by hand, those of a folder beside means over images, what counts nowhere."""

from __future__ import annotations

import json
import math
from typing import get_args

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from ushape.errors import RecipeError
from ushape.labels import IGNORED
from ushape.metrics.boundary import SurfaceDistances
from ushape.metrics.families import ABOUT, FamilyName, Measures, families_named, family, measured
from ushape.metrics.judged import Judged
from ushape.metrics.table import figure_of
from ushape.regions import Region

TWO = ("background", "cell")
THREE = ("background", "axon", "myelin")
OF_PROBABILITIES = "calibration"
EVERY = tuple(name for name in get_args(FamilyName) if name != OF_PROBABILITIES)


def judged(
    truth: ArrayLike, answer: ArrayLike, foreground: ArrayLike | None = None, spacing: tuple[float, float] | None = None
) -> Judged:
    """An image of classes, whose objects are its classes."""
    true, found = (np.atleast_2d(np.asarray(classes, dtype=np.uint8)) for classes in (truth, answer))
    probability = (found == 1) if foreground is None else np.atleast_2d(np.asarray(foreground))
    true_objects = np.where(true == IGNORED, 0, true).astype(np.int32)
    return Judged(true, found, true_objects, found.astype(np.int32), probability.astype(np.float32), spacing)


def of_objects(truth: ArrayLike, found: ArrayLike) -> Judged:
    """An image of objects, which are of one class."""
    true, answer = (np.atleast_2d(np.asarray(objects, dtype=np.int32)) for objects in (truth, found))
    classes = [(objects > 0).astype(np.uint8) for objects in (true, answer)]
    return Judged(*classes, true, answer, classes[1].astype(np.float32))


def scored(name: FamilyName, *images: Judged, class_names: tuple[str, ...] = TWO, groups: str = "") -> Measures:
    """What a family says of images a, b, …, each its own group where none is given."""
    every = family(name, class_names, (Region("cell", (1,)),))
    for image in images:
        every.add(image)
    names = [chr(ord("a") + k) for k in range(len(images))]
    return measured(name, every, list(zip(names, groups or names, strict=True)))


def square(left: int, side: int = 8, width: int = 48) -> NDArray[np.uint8]:
    mask = np.zeros((20, width), dtype=np.uint8)
    mask[6 : 6 + side, left : left + side] = 1
    return mask


NOTHING = np.zeros((20, 48), dtype=np.uint8)


# Objects

ONE_OF_TWO = of_objects([1, 1, 1, 1, 0, 2, 2, 2, 2, 0], [7, 7, 7, 7, 0, 0, 0, 0, 0, 0])
THREE_AND_A_FALSE_ONE = of_objects([1, 1, 0, 2, 2, 0, 3, 3, 0, 0], [4, 4, 0, 5, 5, 0, 6, 6, 0, 9])


def test_objects_of_an_image_by_hand() -> None:
    first, second = scored("objects", ONE_OF_TWO, THREE_AND_A_FALSE_ONE).images
    assert first == pytest.approx(
        {
            "f1_50": 2 / 3,
            "ap_50": 1 / 2,
            "ap_50_95": 1 / 2,
            "panoptic_quality": 2 / 3,
            "aggregated_jaccard": 4 / 8,
            "seg": 1 / 2,
            "det": 1 - 10 / 20,
        }
    )
    assert second == pytest.approx(
        {
            "f1_50": 6 / 7,
            "ap_50": 3 / 4,
            "ap_50_95": 3 / 4,
            "panoptic_quality": 6 / 7,
            "aggregated_jaccard": 6 / 7,
            "seg": 1,
            "det": 1 - 1 / 30,
        }
    )


def test_the_objects_of_a_folder_weigh_alike_in_whatever_image_they_lie() -> None:
    figures = scored("objects", ONE_OF_TWO, THREE_AND_A_FALSE_ONE).figures()
    pooled = {
        "f1_50": 8 / 10,
        "ap_50": 4 / 6,
        "ap_50_95": 4 / 6,
        "panoptic_quality": 8 / 10,
        "aggregated_jaccard": 10 / 15,
        "seg": 4 / 5,
        "det": 1 - (10 + 1) / 50,
    }
    assert {name: figure.pooled for name, figure in figures.items()} == pytest.approx(pooled)
    assert figures["f1_50"].mean == pytest.approx((2 / 3 + 6 / 7) / 2)
    assert (figures["f1_50"].low, figures["f1_50"].high) == pytest.approx((2 / 3, 6 / 7))


def test_stricter_overlaps_lower_the_mean_precision() -> None:
    """3 of 4 pixels: an IoU of 0.75, which exceeds 5 of the 10 thresholds."""
    (image,) = scored("objects", of_objects([1, 1, 1, 1], [1, 1, 1, 0])).images
    assert (image["ap_50"], image["ap_50_95"]) == pytest.approx((1, 0.5))


def test_an_image_without_objects_is_in_no_mean() -> None:
    figure = scored("objects", ONE_OF_TWO, of_objects([0] * 10, [0] * 10)).figures()["f1_50"]
    assert (figure.mean, figure.pooled) == pytest.approx((2 / 3, 2 / 3))
    assert math.isnan(figure.low), "of one image there is no interval"


# Partitions


def test_partitions_by_hand() -> None:
    merged, halved = of_objects([1, 1, 2, 2], [1, 1, 1, 1]), of_objects([1, 1, 1, 1], [1, 1, 2, 2])
    measures = scored("partitions", merged, halved)
    assert measures.images[0] == pytest.approx({"adapted_rand_error": 1 / 2, "vi_split_bits": 0, "vi_merge_bits": 1})
    assert measures.images[1] == pytest.approx({"adapted_rand_error": 1 / 2, "vi_split_bits": 1, "vi_merge_bits": 0})
    figures = measures.figures()
    assert figures["vi_merge_bits"].mean == pytest.approx(0.5)
    assert all(math.isnan(figure.pooled) for figure in figures.values()), "the field reports means over images"


# Boundaries


def test_boundaries_by_hand() -> None:
    """Squares of 8 pixels: two of their four sides lie 2 pixels from those of a square that is shifted by 2."""
    same, shifted, far = (scored("boundary", judged(square(4), square(left))).images[0] for left in (4, 6, 36))
    assert same == {"hd95_px": 0, "assd_px": 0, "nsd_2px": 1, "one_sided": 0}
    assert (shifted["hd95_px"], shifted["nsd_2px"]) == (2, 1)
    assert 2 / 4 < shifted["assd_px"] < 2 * 3 / 4  # two sides at 2, and ends of the other two at less
    distances = SurfaceDistances.of(square(4) == 1, square(6) == 1, (1, 1))
    assert shifted["assd_px"] == distances.assd()
    assert (far["nsd_2px"], far["one_sided"]) == (0, 0)
    assert 32 - 8 < far["hd95_px"] <= 32


def test_distances_are_in_the_unit_of_the_spacing_and_the_tolerance_stays_two_pixels() -> None:
    for spacing, reach in [((0.5, 0.5), 1.0), ((3.0, 0.5), 1.0), ((0.25, 3.0), 6.0)]:
        (image,) = scored("boundary", judged(square(4), square(6), spacing=spacing)).images
        assert image["hd95_um"] == pytest.approx(reach)
    tolerance = [
        scored("boundary", judged(square(4), square(4 + by), spacing=(0.5, 0.5))).images[0]["nsd_2px"]
        for by in (0, 1, 2, 3)
    ]
    assert tolerance[:3] == [1, 1, 1]
    assert tolerance[3] < 1


def test_a_class_that_one_side_lacks_has_no_distance_but_is_counted() -> None:
    missed, invented = judged(square(4), NOTHING), judged(NOTHING, square(4))
    measures = scored("boundary", missed, invented, judged(NOTHING, NOTHING), judged(square(4), square(6)))
    for image in measures.images[:2]:
        assert math.isnan(image["hd95_px"]) and math.isnan(image["assd_px"])
        assert (image["nsd_2px"], image["one_sided"]) == (0, 1)
    assert all(map(math.isnan, measures.images[2].values()))
    figures = measures.figures()
    assert (figures["hd95_px"].mean, figures["nsd_2px"].mean) == pytest.approx((2, 1 / 3))
    assert figures["one_sided"].mean == pytest.approx(2 / 3)
    assert all(math.isnan(figure.pooled) for figure in figures.values())


def test_each_of_several_classes_has_its_own_boundary() -> None:
    truth, answer = square(4) + 2 * square(24), square(4) + 2 * square(26)
    (image,) = scored("boundary", judged(truth, answer), class_names=THREE).images
    assert list(image) == [
        *("hd95_px axon", "assd_px axon", "nsd_2px axon", "one_sided axon"),
        *("hd95_px myelin", "assd_px myelin", "nsd_2px myelin", "one_sided myelin"),
    ]
    assert (image["hd95_px axon"], image["hd95_px myelin"]) == (0, 2)
    (image,) = scored("boundary", judged(truth, square(4)), class_names=THREE).images
    assert (image["one_sided axon"], image["one_sided myelin"]) == (0, 1)


# The two challenges with thresholds

SURE = judged([1, 0, 1], [1, 1, 1], [0.95, 0.55, 0.85])
FAINT = judged([1, 0, 1], [0, 0, 0], [0.45, 0.15, 0.35])


def test_slices_share_one_threshold() -> None:
    """Each could be without error, above 0.6 and above 0.2; together they are best above 0.2, with a merger in one."""
    alone = [scored("isbi2012", image).figures()["pixel_error"] for image in (SURE, FAINT)]
    assert [(figure.mean, figure.pooled) for figure in alone] == [(0, 0), (0, 0)]
    measures = scored("isbi2012", SURE, FAINT)
    assert [image["pixel_error"] for image in measures.images] == pytest.approx([1 - 4 / 5, 0])
    figure = measures.figures()["pixel_error"]
    assert (figure.mean, figure.pooled) == pytest.approx((0.1, 1 - 8 / 9))
    assert list(measures.images[0]) == [
        *("pixel_error", "rand_error", "warping_error", "v_rand_thinned", "v_info_thinned"),
    ]


def test_a_slice_as_it_should_be() -> None:
    truth = np.ones((9, 9), dtype=np.uint8)
    truth[:, 4] = 0
    (image,) = scored("isbi2012", judged(truth, truth)).images
    assert image == pytest.approx(
        {"pixel_error": 0, "rand_error": 0, "warping_error": 0, "v_rand_thinned": 1, "v_info_thinned": 1}
    )


def test_salient_objects_share_one_threshold() -> None:
    """Each has F = 1 at a threshold of its own. At one for both, mean precision is 3/4 and mean recall 1 at best."""
    measures = scored("saliency", judged([1, 0], [1, 0], [1, 0.5]), judged([1, 0], [0, 0], [0.4, 0]))
    assert [image["max_f"] for image in measures.images] == [1, 1]
    assert [image["mae"] for image in measures.images] == pytest.approx([0.25, 0.3])
    figures = measures.figures()
    assert (figures["max_f"].mean, figures["max_f"].pooled) == pytest.approx((1, 1.3 * 0.75 / (0.3 * 0.75 + 1)))
    assert figures["mae"].mean == pytest.approx(0.275)
    assert [name for name, figure in figures.items() if not math.isnan(figure.pooled)] == ["max_f"]


def test_probabilities_are_not_stretched() -> None:
    (image,) = scored("saliency", judged(square(4), square(4), 0.2 + 0.6 * square(4))).images
    assert image["mae"] == pytest.approx(0.2)
    (image,) = scored("saliency", judged(square(4), square(4))).images
    assert image == pytest.approx({"mae": 0, "max_f": 1, "weighted_f": 1, "s_measure": 1})


# What counts nowhere, and what is not defined


@pytest.mark.parametrize("name", EVERY)
def test_what_lies_where_the_truth_counts_nowhere_changes_nothing(name: FamilyName) -> None:
    truth, answer = square(4), square(6)
    truth[:, 30:] = IGNORED
    figures = set()
    for seed in range(3):
        rng = np.random.default_rng(seed)
        classes, numbers = answer.copy(), answer.astype(np.int32)
        chance = 0.2 + 0.6 * answer.astype(np.float32)
        true_numbers = (truth == 1).astype(np.int32)
        classes[:, 30:] = rng.integers(0, 2, (20, 18))
        numbers[:, 30:] = rng.integers(0, 40, (20, 18)) + 2
        true_numbers[:, 30:] = rng.integers(0, 40, (20, 18)) + 2
        chance[:, 30:] = rng.random((20, 18))
        (image,) = scored(name, Judged(truth, classes, true_numbers, numbers, chance)).images
        figures.add(json.dumps(image))
    assert len(figures) == 1
    assert "NaN" not in figures.pop()


@pytest.mark.parametrize("name", EVERY)
def test_an_image_that_counts_nowhere_has_no_score_and_spoils_no_mean(name: FamilyName) -> None:
    void = judged(np.full((20, 48), IGNORED), square(6), np.full((20, 48), 0.7))
    good = judged(square(4), square(6))
    measures = scored(name, void, good)
    assert all(map(math.isnan, measures.images[0].values()))
    assert list(measures.images[0]) == list(measures.images[1])
    alone = scored(name, good).figures()
    for key, figure in measures.figures().items():
        assert (figure.mean, figure.pooled) == pytest.approx((alone[key].mean, alone[key].pooled), nan_ok=True)
    assert all(math.isnan(figure.mean) for figure in scored(name, void).figures().values())


@pytest.mark.parametrize("name", EVERY)
def test_a_family_survives_json_with_none_for_what_is_undefined(name: FamilyName) -> None:
    images = [judged(NOTHING, NOTHING), judged(square(4), NOTHING), judged(NOTHING, square(4))]
    measures = scored(name, *images, groups="ppq")
    about = json.loads(json.dumps(measures.to_dict(), allow_nan=False))
    assert about["family"] == name
    assert [image["name"] for image in about["images"]] == ["a", "b", "c"]
    for key, figure in measures.figures().items():
        assert set(about["figures"][key]) == {"mean", "low", "high", "pooled"}
        wanted = None if math.isnan(figure.mean) else figure.mean
        assert about["figures"][key]["mean"] == wanted
        for row, image in zip(about["images"], measures.images, strict=True):
            assert row[key] == (None if math.isnan(image[key]) else image[key])


# Which family is made for what


@pytest.mark.parametrize("name", ["isbi2012", "saliency"])
@pytest.mark.parametrize("class_names", [THREE, ("background",)])
def test_scores_of_one_class_are_refused_for_others(name: FamilyName, class_names: tuple[str, ...]) -> None:
    words = f"The scores of {name} are of one class .*; here are {len(class_names)}: {', '.join(class_names)}. Leave"
    with pytest.raises(RecipeError, match=words):
        family(name, class_names)


def test_objects_and_partitions_are_for_any_number_of_classes() -> None:
    for name in ("objects", "partitions", "boundary"):
        for class_names in (("background",), TWO, THREE):
            (image,) = scored(name, judged(square(4), square(4)), class_names=class_names).images
            assert all(value in (0, 1) for value in image.values() if not math.isnan(value))


def test_families_come_in_one_order_and_once() -> None:
    assert families_named(" saliency,objects,, objects ") == ("objects", "saliency")
    assert families_named(",".join(reversed(ABOUT))) == (*EVERY, OF_PROBABILITIES) == tuple(ABOUT)


def test_class_maps_alone_have_no_calibration() -> None:
    with pytest.raises(
        RecipeError, match=r"have no probabilities .* Score the network .* --metrics calibration`, or l"
    ):
        family(OF_PROBABILITIES, TWO)


@pytest.mark.parametrize(
    ("text", "words"), [("objects,rand,voi", "rand, voi"), ("", "without a name"), (" , ", "a name")]
)
def test_an_unknown_family_is_named_beside_all_there_are(text: str, words: str) -> None:
    with pytest.raises(RecipeError) as refused:
        families_named(text)
    message = str(refused.value)
    assert message.startswith("There is no family of scores ") and words in message
    assert all(f"{name} ({about})" in message for name, about in ABOUT.items())


# The interval, whose rule table.py has


def test_a_mean_leaves_out_what_is_undefined() -> None:
    figure = figure_of([1.0, math.nan, 0.5], ["a", "b", "c"], pooled=0.7)
    assert (figure.mean, figure.pooled) == (0.75, 0.7)
    assert (figure.low, figure.high) == (0.5, 1.0), "of two images each is drawn twice a quarter of the time"
    nothing = figure_of([math.nan] * 2, ["a", "b"], pooled=0.7)
    assert math.isnan(nothing.mean) and math.isnan(nothing.low) and nothing.pooled == 0.7


def test_groups_are_drawn_whole() -> None:
    values = [0.2] * 10 + [0.8] * 10
    grouped = figure_of(values, ["p"] * 10 + ["q"] * 10, pooled=math.nan)
    single = figure_of(values, [str(number) for number in range(20)], pooled=math.nan)
    assert (grouped.low, grouped.high) == pytest.approx((0.2, 0.8))
    assert single.high - single.low < 0.3
    assert grouped.mean == single.mean == pytest.approx(0.5)


def test_where_one_group_is_left_its_images_are_drawn() -> None:
    figure = figure_of([0.2, 0.8, math.nan], ["p", "p", "q"], pooled=math.nan)
    assert (figure.low, figure.high) == pytest.approx((0.2, 0.8))


def test_one_seed_one_interval() -> None:
    values, groups = [number / 10 for number in range(11)], [str(number) for number in range(11)]
    first, again, other = (figure_of(values, groups, 0.5, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.low != other.low


@pytest.mark.parametrize(("um", "unit"), [((5000.0, 1200.0, 1200.0), "mm"), ((0.5, 0.1, 0.1), "um"), (None, "px")])
def test_surfaces_of_a_volume_are_measured_along_its_own_axes(um, unit: str):
    """A slab shifted by two slices: every point of either surface is two slices off, or nearer round an edge."""
    truth, answer = np.zeros((2, 14, 30, 30), np.uint8)
    truth[3:7, 5:25, 5:25] = 1
    answer[5:9, 5:25, 5:25] = 1
    nothing = np.zeros(truth.shape, np.int32)
    judge = family("boundary", ("background", "slab"))
    judge.add(Judged(truth, answer, nothing, nothing, answer.astype(np.float32), um))
    (scores,) = judge.of_images()
    step = {"mm": 5.0, "um": 0.5, "px": 1.0}[unit]
    assert scores[f"hd95_{unit}"] == pytest.approx(2 * step)
    assert 0 < scores[f"assd_{unit}"] < 2 * step


def test_dice_of_a_volume_is_that_of_all_its_voxels():
    rng = np.random.default_rng(0)
    truth, answer = rng.integers(0, 2, (2, 4, 9, 9)).astype(np.uint8)
    nothing = np.zeros(truth.shape, np.int32)
    judge = family("regions", ("background", "a"), [Region("all", (1,))])
    judge.add(Judged(truth, answer, nothing, nothing, answer.astype(np.float32)))
    both = 2 * (truth & answer).sum() / (truth.sum() + answer.sum())
    assert judge.of_images()[0]["dice all"] == pytest.approx(both)
