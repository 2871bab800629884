"""From probability to objects: drawn by hand, against scikit-image, by laws, and on simulated cells that touch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import watershed

from ushape.errors import ImageError, SizeError
from ushape.images.simulated import cells, separated
from ushape.metrics.instances import Matching
from ushape.object_rule import ObjectRule
from ushape.predict.objects import find_objects

SOLID = ObjectRule(fill_holes=True)
OPEN = ObjectRule(fill_holes=False)
DIVIDED = ObjectRule("watershed", 0.5, "probability", 0.8)
BY_DEPTH = ObjectRule("watershed", 0.5, "distance", seed_depth_px=1.0)


def drawn(picture: str) -> NDArray[np.float32]:
    """Rows of digits → probabilities 0, 0.1 … 0.9; a dot is 0."""
    return np.array([[float(c) for c in row] for row in picture.replace(".", "0").split()], dtype=np.float32) / 10


def shown(objects: NDArray[np.integer]) -> str:
    return "\n".join("".join(str(k) if k else "." for k in row) for row in objects)


def found(picture: str, rule: ObjectRule) -> str:
    return "\n" + shown(find_objects(drawn(picture), rule))


# Drawn by hand


def test_the_threshold_itself_is_foreground() -> None:
    assert found("567 4.9", ObjectRule(threshold=0.5)) == "\n111\n..1"


def test_a_diagonal_gap_of_one_pixel_separates() -> None:
    picture = """
    999.
    99.9
    9.99
    .999"""
    assert (
        found(picture, OPEN)
        == """
111.
11.2
1.22
.222"""
    )


def test_objects_are_numbered_by_their_first_pixel_in_reading_order() -> None:
    picture = """
    ....9
    9.9.9
    9.9..
    999.9"""
    assert (
        found(picture, OPEN)
        == """
....1
2.2.1
2.2..
222.3"""
    )


def test_an_object_of_one_pixel_in_each_corner() -> None:
    assert found("9.9 ... 9.9", SOLID) == "\n1.2\n...\n3.4"


@pytest.mark.parametrize("rule", [SOLID, OPEN, DIVIDED, BY_DEPTH])
def test_of_nothing_comes_nothing_and_of_everything_one_object(rule: ObjectRule) -> None:
    np.testing.assert_array_equal(find_objects(np.zeros((5, 7), np.float32), rule), np.zeros((5, 7)))
    np.testing.assert_array_equal(find_objects(np.ones((5, 7), np.float32), rule), np.ones((5, 7)))


def test_a_dip_between_touching_objects_divides_them() -> None:
    picture = """
    .888..888.
    8998668998
    8998678998
    .888..888."""
    assert (
        found(picture, OPEN)
        == """
.111..111.
1111111111
1111111111
.111..111."""
    )
    assert (
        found(picture, DIVIDED)
        == """
.111..222.
1111122222
1111122222
.111..222."""
    )
    assert found("9867789", DIVIDED) == "\n1112222"  # what is higher is flooded first


def test_a_neck_between_round_objects_divides_them_by_distance() -> None:
    picture = """
    .999.....999.
    99999...99999
    9999999999999
    99999...99999
    .999.....999."""
    halves = find_objects(drawn(picture), BY_DEPTH)
    assert halves.max() == 2
    assert (halves[:, :6].max(), halves[:, 7:].min(initial=2, where=halves[:, 7:] > 0)) == (1, 2)
    deep = ObjectRule("watershed", seeds="distance", seed_depth_px=2.5)  # the discs are 3 deep, the neck is 1
    assert find_objects(drawn(picture), deep).max() == 1


def test_a_region_without_a_seed_is_one_object() -> None:
    assert found("66.96669", DIVIDED)[1:3] == "11"
    assert found("7.6 776 6.6", DIVIDED) == "\n1.1\n111\n1.1"
    assert found("99 99", ObjectRule("watershed", seeds="distance", seed_depth_px=4.0)) == "\n11\n11"


def test_a_seed_with_too_few_pixels_is_given_up() -> None:
    """Rather than to leave a hole where its object would have been."""
    picture = "99996699996966"
    assert found(picture, DIVIDED) == "\n11111222222333"
    assert found(picture, ObjectRule("watershed", seed_threshold=0.8, smallest_px=4)) == "\n11111222222222"
    assert found(picture, ObjectRule("watershed", seed_threshold=0.8, smallest_px=15)) == "\n" + "." * 14


RING = """
.99999.
99...99
9..9..9
99...99
.99999."""


def test_a_hole_is_filled_around_what_lies_in_it() -> None:
    assert (
        found(RING, OPEN)
        == """
.11111.
11...11
1..2..1
11...11
.11111."""
    )
    assert (
        found(RING, SOLID)
        == """
.11111.
1111111
1112111
1111111
.11111."""
    )


def test_specks_are_removed_and_a_hole_is_filled_where_they_were() -> None:
    assert (
        found(RING, ObjectRule(smallest_px=2))
        == """
.11111.
1111111
1111111
1111111
.11111."""
    )
    assert (
        found(RING, ObjectRule(smallest_px=2, fill_holes=False))
        == """
.11111.
11...11
1.....1
11...11
.11111."""
    )
    assert found(RING, ObjectRule(smallest_px=34)) == found(RING, ObjectRule(threshold=1.0))


def test_the_size_of_an_object_is_that_with_its_holes_filled() -> None:
    ring = "999 9.9 999"
    assert found(ring, ObjectRule(smallest_px=9)) == "\n111\n111\n111"
    assert found(ring, ObjectRule(smallest_px=10)) == "\n...\n...\n..."
    assert found(ring, ObjectRule(smallest_px=9, fill_holes=False)) == "\n...\n...\n..."


def test_a_hole_belongs_to_the_innermost_object_around_it() -> None:
    picture = """
    9999999
    9.....9
    9.999.9
    9.9.9.9
    9.999.9
    9.....9
    9999999"""
    assert (
        found(picture, SOLID)
        == """
1111111
1111111
1122211
1122211
1122211
1111111
1111111"""
    )


def test_a_bay_that_closes_by_a_corner_is_no_hole() -> None:
    open_ring = "9999 9..9 99.. 9999"
    assert found(open_ring, SOLID) == "\n1111\n1..1\n11..\n1111"


def test_what_several_objects_enclose_together_stays_free() -> None:
    picture = """
    999999
    99..99
    669966"""
    rule = ObjectRule("watershed", 0.5, "probability", 0.95)  # no seed: one object, and the bay is open below
    assert found(picture.replace("669966", "999999"), rule) == "\n111111\n111111\n111111"
    divided = found("99699 9...9 99699", ObjectRule("watershed", 0.5, "probability", 0.8))
    assert divided == "\n11122\n1...2\n11122"


def test_objects_grow_without_merging_and_the_upper_and_left_go_first() -> None:
    picture = """
    9.9....
    .......
    9......
    ......."""
    assert (
        found(picture, ObjectRule(grow_px=1))
        == """
1122...
1.2....
33.....
3......"""
    )
    assert found("9..9", ObjectRule(grow_px=1)) == "\n1122"
    assert found("9...9", ObjectRule(grow_px=1)) == "\n11.22"
    assert found("9...9", ObjectRule(grow_px=2)) == "\n11122"


def test_growth_reaches_as_far_as_a_circle() -> None:
    grown = find_objects(np.pad(np.ones((1, 1), np.float32), 4), ObjectRule(grow_px=3))
    y, x = np.mgrid[-4:5, -4:5]
    np.testing.assert_array_equal(grown, y**2 + x**2 <= 9)


def test_numbers_follow_the_objects_as_they_are_in_the_end() -> None:
    assert found("...9 9...", ObjectRule(grow_px=1)) == "\n1.22\n11.2"


# Against scikit-image


@pytest.mark.parametrize("seed", range(8))
def test_division_by_probability_is_the_seeded_watershed(seed: int) -> None:
    p = smooth(seed, (50, 60), sigma_px=1.5)
    rule = ObjectRule("watershed", 0.3, "probability", 0.6, fill_holes=False)
    seeds = label(p >= np.float32(0.6), connectivity=1)
    divided = watershed(-p, seeds, mask=p >= np.float32(0.3))
    regions = label(p >= np.float32(0.3), connectivity=1)
    expected = np.where((divided == 0) & (regions > 0), seeds.max() + regions, divided)
    np.testing.assert_array_equal(find_objects(p, rule), in_reading_order(expected))


@pytest.mark.parametrize("depth_px", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_seeds_by_distance_are_the_tops_that_stay_when_the_ways_between_them_are_levelled(
    seed: int, depth_px: float
) -> None:
    """By definition: a top is a seed with all that connects to it at its height less the depth; if none is higher."""
    inside = np.pad(smooth(seed, (40, 40), sigma_px=2.0) >= 0.5, 1)
    depth = ndimage.distance_transform_edt(inside)
    objects = find_objects(inside.astype(np.float32), ObjectRule("watershed", seeds="distance", seed_depth_px=depth_px))
    regions = label(inside, connectivity=1)
    for region in range(1, regions.max() + 1):
        seeds = set()
        for height in np.unique(depth[regions == region]):
            around = label((regions == region) & (depth >= height - depth_px), connectivity=1)
            for k in np.unique(around[(regions == region) & (depth == height)]):
                if depth[around == k].max() == height:
                    seeds.add(tuple(np.argwhere((around == k) & (depth == height))[0]))
        alone = len(seeds) == 0
        assert len(np.unique(objects[regions == region])) == len(seeds) + alone


# Laws

RULES = st.builds(
    ObjectRule,
    method=st.sampled_from(["components", "watershed"]),
    threshold=st.sampled_from([0.25, 0.5]),
    seeds=st.sampled_from(["probability", "distance"]),
    seed_threshold=st.sampled_from([0.5, 0.75]),
    seed_depth_px=st.sampled_from([0.4, 1.0]),
    fill_holes=st.booleans(),
    smallest_px=st.sampled_from([1, 3]),
    grow_px=st.sampled_from([0, 1, 2]),
)
LEVELS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])  # few of them: ties are where order could matter
FIELDS = arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=LEVELS)


@given(FIELDS, RULES)
def test_numbers_are_those_of_first_pixels(p: NDArray[np.float32], rule: ObjectRule) -> None:
    objects = find_objects(p, rule)
    np.testing.assert_array_equal(objects, in_reading_order(objects))


@given(FIELDS, RULES)
def test_objects_are_the_foreground_divided(p: NDArray[np.float32], rule: ObjectRule) -> None:
    plain = ObjectRule(rule.method, rule.threshold, rule.seeds, rule.seed_threshold, rule.seed_depth_px, False)
    objects = find_objects(p, plain)
    np.testing.assert_array_equal(objects > 0, p >= plain.threshold)
    for k in range(1, objects.max() + 1):
        assert label(objects == k, connectivity=1).max() == 1


@given(FIELDS, FIELDS, RULES, st.booleans())
def test_what_is_beside_changes_nothing(
    left: NDArray[np.float32], right: NDArray[np.float32], rule: ObjectRule, above: bool
) -> None:
    """Two fields, apart by more than they grow, are found in one image as each by itself."""
    gap = 2 * rule.grow_px + 1
    height, width = max(len(left), len(right)), left.shape[1] + gap + right.shape[1]
    both = np.zeros((height, width), np.float32)
    both[: len(left), : left.shape[1]] = left
    both[height - len(right) :, left.shape[1] + gap :] = right
    if above:
        both, left, right = both.T, left.T, right.T
    objects = find_objects(both, rule)
    places = [np.s_[: left.shape[0], : left.shape[1]], np.s_[-right.shape[0] :, -right.shape[1] :]]
    for part, place in zip((left, right), places, strict=True):
        np.testing.assert_array_equal(in_reading_order(objects[place]), find_objects(part, rule))


@given(FIELDS, RULES)
def test_the_image_handed_in_stays_as_it_was(p: NDArray[np.float32], rule: ObjectRule) -> None:
    before = p.copy()
    find_objects(p, rule)
    np.testing.assert_array_equal(p, before)


# Simulated cells


@pytest.mark.parametrize("seed", range(3))
def test_touching_cells_are_told_apart_where_connected_regions_are_not(seed: int) -> None:
    truth = cells(np.random.default_rng(seed), (256, 256), diameter_px=30, cover_fraction=0.6).truth
    p = plausible(truth, seed)
    watershed_score = score(truth, find_objects(p, ObjectRule("watershed", 0.5, "probability", 0.9, smallest_px=40)))
    connected = [find_objects(p, ObjectRule(threshold=t, smallest_px=40)) for t in (0.4, 0.5, 0.6, 0.7)]
    components = max(score(truth, objects) for objects in connected)
    assert watershed_score > 0.95
    assert components < 0.6


def test_growth_gives_the_line_back_that_training_takes_away() -> None:
    """A threshold that parts most cells makes them too small; growth makes up for it."""
    truth = cells(np.random.default_rng(4), (256, 256), diameter_px=30, cover_fraction=0.6).truth
    p = plausible(truth, 4)
    as_cut, grown = (Matching.of(truth, find_objects(p, ObjectRule(threshold=0.8, grow_px=px))) for px in (0, 1))
    assert grown.average_precision(0.8) > as_cut.average_precision(0.8) + 0.2


def test_predictions_are_found_again_exactly() -> None:
    """Where no two cells touch, the truth as its own probability is the truth."""
    truth = cells(np.random.default_rng(5), (256, 256)).truth
    apart = label(separated(truth), connectivity=1)
    np.testing.assert_array_equal(find_objects((apart > 0).astype(np.float32), OPEN), in_reading_order(apart))


# What cannot be


@pytest.mark.parametrize(
    ("probability", "error", "words"),
    [
        (np.zeros((2, 3, 3), np.float32), SizeError, r"has shape \(2, 3, 3\); give \(H, W\).*the foreground alone"),
        (np.zeros((0, 3), np.float32), SizeError, r"has shape \(0, 3\); give \(H, W\) with a pixel at least"),
        (np.zeros((3, 3), np.uint8), ImageError, "has values of type uint8; give the network's probabilities"),
        (np.array([[0.5, np.nan]]), ImageError, "has 1 NaN; probabilities are numbers from 0 to 1"),
        (np.array([[-4.0, 7.0]]), ImageError, "has values from -4 to 7; .* Give those, not logits"),
        (np.array([[0.5, np.inf]]), ImageError, "has values from 0.5 to inf"),
    ],
)
def test_what_is_no_probability_is_refused(
    probability: NDArray[np.generic], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"The foreground probability {words}"):
        find_objects(probability, SOLID)


def test_rounding_beyond_one_is_no_fault() -> None:
    assert find_objects(np.array([[1 + 1e-6, -1e-6]]), SOLID).tolist() == [[1, 0]]


def smooth(seed: int, shape: tuple[int, int], sigma_px: float) -> NDArray[np.float32]:
    """A random field that spans 0 to 1, no two pixels alike."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma_px)
    return ((field - field.min()) / np.ptp(field)).astype(np.float32)


def plausible(truth: NDArray[np.integer], seed: int) -> NDArray[np.float32]:
    """What a network makes of cells that were separated for its training: blurred, and somewhat uneven."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 0.2, truth.shape), 1.5)
    p = ndimage.gaussian_filter((separated(truth) > 0).astype(np.float32), 1.4) + noise
    return np.clip(p, 0, 1).astype(np.float32)


def score(truth: NDArray[np.integer], objects: NDArray[np.integer]) -> float:
    return Matching.of(truth, objects).average_precision(0.5)


def in_reading_order(objects: NDArray[np.integer]) -> NDArray[np.integer]:
    """Ids replaced by 1, 2, … in the order of first pixels."""
    ids, first = np.unique(objects, return_index=True)
    order = np.argsort(np.where(ids == 0, -1, first))
    rank = np.empty(len(ids), dtype=int)
    rank[order] = np.arange(len(ids)) + (0 if (ids == 0).any() else 1)
    return rank[np.searchsorted(ids, objects)]
