from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from ushape.errors import ImageError, SizeError
from ushape.metrics.topology import Mismatch, components, flooded, mismatches, simple_points, warp

Mask = NDArray[np.bool_]

EIGHT = np.ones((3, 3), dtype=np.bool_)
CROSS = np.array([[False, True, False], [True, True, True], [False, True, False]])
sizes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
masks = sizes.flatmap(lambda shape: hnp.arrays(np.bool_, shape))
mask_pairs = sizes.flatmap(lambda shape: hnp.arrays(np.bool_, (2, *shape)))


def drawn(*rows: str) -> Mask:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def adjacent_components(mask: Mask, structure: Mask) -> int:
    """How many components of the 8 neighbours of the centre, connected among themselves, touch the centre."""
    labels = ndimage.label(mask & (np.arange(9).reshape(3, 3) != 4), structure)[0]
    return len(set(labels[structure & (labels > 0)].tolist()))


def topology(mask: Mask) -> tuple[int, int]:
    """The components of the foreground (4) and of the background (8), all that surrounds the image being one."""
    padded = np.pad(mask, 1)
    return int(ndimage.label(padded)[1]), int(ndimage.label(~padded, EIGHT)[1])


def cells_and_proposal(case: str, folder: Path) -> tuple[Mask, NDArray[np.float64]]:
    with np.load(folder / "isbi_metrics" / "cases.npz") as cases:
        proposal = cases[f"{case}__prop"].astype(np.float32) / np.float32(255)
        return cases[f"{case}__label"] == 1, proposal.astype(np.float64)


# --- simple points


def test_a_pattern_is_simple_where_one_component_of_each_kind_touches_the_centre() -> None:
    for pattern in range(512):
        patch = np.array([pattern >> bit & 1 for bit in range(9)], dtype=np.bool_).reshape(3, 3)
        expected = adjacent_components(patch, CROSS) == 1 and adjacent_components(~patch, EIGHT) == 1
        assert simple_points(patch)[1, 1] == expected, patch


def test_the_simple_patterns_are_those_of_the_challenge(shared_fixtures: Path) -> None:
    expected = (shared_fixtures / "isbi_metrics" / "simple_point_lut512.txt").read_text().strip()
    patches = (np.arange(512)[:, None] >> np.arange(9) & 1).astype(np.bool_).reshape(512, 3, 3)
    assert "".join(str(int(simple_points(patch)[1, 1])) for patch in patches) == expected
    assert expected.count("1") == 232


@given(masks)
def test_flipping_a_simple_point_keeps_the_number_of_cells_and_of_holes(mask: Mask) -> None:
    for y, x in np.argwhere(simple_points(mask)):
        flipped = mask.copy()
        flipped[y, x] ^= True
        assert topology(flipped) == topology(mask)


# --- components


@given(masks)
def test_components_are_joined_by_edges_not_by_corners(mask: Mask) -> None:
    labels = components(mask)
    assert ((labels > 0) == mask).all()
    for axis in (0, 1):
        both = np.minimum(*(np.take(labels, range(k, labels.shape[axis] - 1 + k), axis) for k in (0, 1))) > 0
        assert (np.diff(labels, axis=axis)[both] == 0).all()
    assert components(np.eye(4, dtype=np.bool_)).max() == 4


# --- flooding


def test_flooding_is_that_of_the_challenge_pixel_for_pixel(shared_fixtures: Path) -> None:
    _, proposal = cells_and_proposal("voronoi3", shared_fixtures)
    with np.load(shared_fixtures / "isbi_metrics" / "watershed_threshold_0.5.npz") as expected:
        for slice_, labels in zip(proposal, expected["voronoi3"], strict=True):
            assert np.array_equal(flooded(components(slice_ > 0.5)), labels)


def test_a_dam_stands_where_fronts_meet() -> None:
    assert flooded(components(drawn("#...#"))).tolist() == [[1, 1, 0, 2, 2]]
    assert flooded(components(drawn("#..#"))).tolist() == [[1, 1, 0, 2]]  # the left front came first
    assert flooded(components(drawn("#..", "...", "..#"))).tolist() == [[1, 1, 0], [1, 0, 2], [0, 2, 2]]


def test_regions_are_numbered_column_by_column() -> None:
    assert flooded(components(drawn("..#", "#.."))).tolist()[1][0] == 1


def test_without_cells_and_without_membrane_the_image_is_one_region() -> None:
    assert flooded(components(np.zeros((3, 4), np.bool_))).tolist() == np.ones((3, 4)).tolist()
    assert flooded(components(np.ones((3, 4), np.bool_))).tolist() == np.ones((3, 4)).tolist()


def test_the_order_of_an_images_bytes_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    truth, proposal = rng.random((2, 12, 9)) < 0.6
    found = components(truth)
    for by_row in (np.ascontiguousarray(found), proposal), (found, np.asfortranarray(proposal)):
        assert np.array_equal(flooded(found), flooded(by_row[0]))
        assert np.array_equal(warp(found, proposal), warp(*by_row))
        assert np.array_equal(mismatches(found, proposal), mismatches(*by_row))


@given(masks)
def test_regions_are_the_components_grown_to_the_whole_image(mask: Mask) -> None:
    regions = flooded(components(mask))
    cells = components(mask)
    if mask.any():
        pairs = set(zip(cells[mask].tolist(), regions[mask].tolist(), strict=True))
        assert len(pairs) == len({region for _, region in pairs}) == cells.max() == regions.max()
        assert (regions[mask] > 0).all()
        assert components(regions == 1).max() == 1
    assert (regions >= 0).all()


# --- warping


def warped(truth: Mask, proposal: Mask, priority: NDArray[np.floating] | None = None) -> Mask:
    return warp(components(truth), proposal, priority) > 0


def test_warping_moves_a_border_but_neither_joins_nor_cuts() -> None:
    truth = drawn("##..##", "##..##", "##..##")
    wider, joined = drawn("###.##", "###.##", "###.##"), np.ones((3, 6), np.bool_)
    assert np.array_equal(warped(truth, wider), wider)
    assert topology(warped(truth, joined)) == topology(truth)
    assert np.count_nonzero(warped(truth, joined) != joined) == 3  # one column of membrane stays


def test_the_mismatch_of_highest_priority_is_flipped_first() -> None:
    truth, proposal = drawn("#..#"), drawn("####")
    assert warped(truth, proposal, np.array([[0, 1.0, 2.0, 0]])).tolist() == drawn("#.##").tolist()
    assert warped(truth, proposal, np.array([[0, 2.0, 1.0, 0]])).tolist() == drawn("##.#").tolist()
    assert warped(truth, proposal).tolist() == drawn("##.#").tolist()  # equals column by column


def test_warping_leaves_its_arguments_alone() -> None:
    truth, proposal, priority = components(drawn("#..#")), drawn("####"), np.array([[0, 1.0, 2.0, 0]])
    warp(truth, proposal, priority)
    assert (truth.tolist(), priority.tolist()) == ([[1, 0, 0, 2]], [[0, 1, 2, 0]])


@given(mask_pairs, st.integers(0, 2**30))
def test_warping_keeps_the_topology_and_leaves_no_simple_mismatch(pair: Mask, seed: int) -> None:
    truth, proposal = pair
    labels = warp(components(truth), proposal, np.random.default_rng(seed).random(truth.shape))
    mask = labels > 0
    assert topology(mask) == topology(truth)
    assert not (simple_points(mask) & (mask != proposal)).any()
    assert ((mask == truth) | (mask == proposal)).all()
    assert np.array_equal(warped(truth, truth), truth)


@given(mask_pairs)
def test_what_was_warped_still_has_a_number_of_its_own_for_each_component(pair: Mask) -> None:
    labels = warp(components(pair[0]), pair[1])
    numbers = set(zip(components(labels > 0).ravel().tolist(), labels.ravel().tolist(), strict=True))
    assert len(numbers) == len({ours for ours, _ in numbers}) == len({theirs for _, theirs in numbers})


def test_the_challenges_mismatches_of_each_kind(shared_fixtures: Path) -> None:
    truth, proposal = cells_and_proposal("voronoi3", shared_fixtures)
    counts = np.zeros(7, dtype=np.int64)
    for cells, probability in zip(truth, proposal, strict=True):
        labels = warp(components(cells), probability > 0.5, np.abs(probability - 0.5).astype(np.float32))
        counts += np.bincount(mismatches(labels, probability > 0.5).ravel(), minlength=7)
    assert counts[1:].tolist() == [51, 193, 271, 0, 133, 0]


# --- the kinds of mismatch, one by one


@pytest.mark.parametrize(
    ("kind", "warped", "proposal"),
    [
        (Mismatch.SPLIT, ("...", "###", "..."), ("...", "#.#", "...")),
        (Mismatch.MERGER, ("...", "#.#", "..."), ("...", "###", "...")),
        (Mismatch.OBJECT_ADDITION, ("...", "...", "..."), ("...", ".#.", "...")),
        (Mismatch.OBJECT_DELETION, ("...", ".#.", "..."), ("...", "...", "...")),
        (Mismatch.HOLE_ADDITION, ("###", "###", "###"), ("###", "#.#", "###")),
        (Mismatch.HOLE_DELETION, ("###", "#.#", "###"), ("###", "###", "###")),
    ],
)
def test_what_a_proposal_does_to_the_truth(kind: Mismatch, warped: tuple[str, ...], proposal: tuple[str, ...]) -> None:
    kinds = mismatches(components(drawn(*warped)), drawn(*proposal))
    assert kinds[1, 1] == kind
    assert np.count_nonzero(kinds) == 1


def test_a_pixel_that_joins_a_cell_to_itself_nearby_is_a_hole_and_far_away_a_split() -> None:
    def ring(side: int) -> Mask:
        mask = np.zeros((side + 2, side + 2), dtype=np.bool_)
        mask[1:-1, 1:-1] = True
        mask[2:-2, 2:-2] = False
        return mask

    for side, kind in (20, Mismatch.HOLE_DELETION), (60, Mismatch.SPLIT):
        proposal = ring(side)
        proposal[1, side // 2] = False  # opens the ring, whose other way round is within 20 px or is not
        assert mismatches(components(ring(side)), proposal)[1, side // 2] == kind


def test_an_image_narrower_than_the_radius_is_looked_at_whole() -> None:
    truth = np.zeros((5, 90), dtype=np.bool_)
    truth[1:-1, 1:-1] = True
    truth[2, 2:-2] = False
    proposal = truth.copy()
    proposal[1, 45] = False
    assert mismatches(components(truth), proposal)[1, 45] == Mismatch.HOLE_DELETION


def test_an_image_of_one_pixel_has_objects_only() -> None:
    cell, membrane = drawn("#"), drawn(".")
    assert mismatches(components(cell), membrane).tolist() == [[Mismatch.OBJECT_DELETION]]
    assert mismatches(components(membrane), cell).tolist() == [[Mismatch.OBJECT_ADDITION]]


@given(mask_pairs)
def test_every_mismatch_and_nothing_else_has_a_kind(pair: Mask) -> None:
    assert np.array_equal(mismatches(components(pair[0]), pair[1]) != Mismatch.NONE, pair[0] != pair[1])


# --- messages


@pytest.mark.parametrize("function", [components, simple_points])
def test_images_that_are_not_binary_are_refused(function: Callable[[NDArray[np.generic]], object]) -> None:
    with pytest.raises(ImageError, match=r"is uint8 of shape \(2, 3\); we take \(height, width\) booleans.*threshold"):
        function(np.zeros((2, 3), np.uint8))
    with pytest.raises(ImageError, match=r"is bool of shape \(4, 2, 3\).*Give one slice"):
        function(np.zeros((4, 2, 3), np.bool_))


def test_pairs_that_do_not_fit_are_refused() -> None:
    labels, mask, bytes_ = (np.zeros((2, 3), dtype) for dtype in (np.int32, np.bool_, np.uint8))
    with pytest.raises(SizeError, match=r"truth is \(2, 3\) and the proposal \(3, 2\); give both on the same pixels"):
        warp(labels, mask.T)
    with pytest.raises(SizeError, match=r"truth is \(2, 3\) and the priority \(3, 2\)"):
        warp(labels, mask, np.zeros((3, 2)))
    with pytest.raises(SizeError, match=r"warped truth is \(2, 3\) and the proposal \(3, 2\)"):
        mismatches(labels, mask.T)
    with pytest.raises(ImageError, match="proposal is uint8"):
        warp(labels, bytes_)
    for name, call in [
        ("regions", lambda: flooded(mask)),
        ("truth", lambda: warp(mask, mask)),
        ("warped truth", lambda: mismatches(mask, mask)),
    ]:
        with pytest.raises(ImageError, match=rf"The {name} is bool of shape \(2, 3\); give `components` of one slice"):
            call()
