"""Numbered objects: what is odd about them, and what they are mistaken for."""

from __future__ import annotations

import numpy as np
import pytest

from ushape.data.annotation import Annotation, annotate, read_objects
from ushape.data.folder import survey
from ushape.errors import DataError

SHAPE = (40, 40)


def numbered(*numbers: int, dtype: type = np.uint16) -> np.ndarray:
    """0 with a square of 6 x 6 pixels for each number."""
    mask = np.zeros(SHAPE, dtype=dtype)
    for k, number in enumerate(numbers):
        y, x = 8 * (k // 5), 8 * (k % 5)
        mask[y : y + 6, x : x + 6] = number
    return mask


def understood(folder, *masks: np.ndarray, **options) -> Annotation:
    for name, mask in zip("abcdefghij", masks, strict=False):
        folder.image(f"images/{name}.png", shape=mask.shape[:2])
        folder.write(f"masks/{name}.tif", mask)
    return annotate(survey(folder.root), **options)


def test_objects_in_several_pieces_are_named_with_their_files(folder) -> None:
    torn = numbered(*range(1, 12), 3, 7)
    annotation = understood(folder, torn, numbered(*range(1, 10)))
    (fault,) = annotation.faults
    assert fault.severity == "warning" and [path.name for path in fault.files] == ["a.tif"]
    assert fault.message.startswith("2 objects in several pieces: a.tif (3, 7). Each is one object to us;")


def test_objects_of_one_pixel_are_named_with_their_files(folder) -> None:
    dotted = numbered(*range(1, 12))
    dotted[39, 39] = 12
    annotation = understood(folder, dotted, numbered(*range(1, 10)))
    (fault,) = annotation.faults
    assert fault.message == "1 object of a single pixel: a.tif (12). Erase them where they are slips of the pen."


def test_an_object_that_touches_itself_at_a_corner_is_in_one_piece(folder) -> None:
    mask = numbered(*range(1, 12))
    mask[30:33, 30:33], mask[33:36, 33:36] = 12, 12
    assert understood(folder, mask, numbered(*range(1, 10))).faults == ()


def test_a_piece_of_an_ignored_value_is_no_object(folder) -> None:
    mask = numbered(*range(1, 12), 99, 99)
    assert understood(folder, mask, numbered(*range(1, 10)), ignored_values=[99]).faults == ()


def test_large_numbers_with_gaps_are_objects_and_not_classes(folder) -> None:
    masks = [numbered(*range(70_001, 70_001 * n, 70_001), dtype=np.uint32) for n in (10, 11)]
    annotation = understood(folder, *masks)
    assert annotation.task == "instances" and annotation.numbered and annotation.faults == ()
    pair = survey(folder.root).pairs[1]
    assert np.array_equal(read_objects(pair, annotation), masks[1])


def test_small_numbers_with_gaps_are_objects_where_that_is_asked_for(folder) -> None:
    masks = numbered(2, 5, 7), numbered(3, 5)
    assert understood(folder, *masks).task == "semantic"
    assert understood(folder, *masks, task="instances").numbered


def test_colours_number_objects_where_that_is_asked_for(folder) -> None:
    coloured = np.stack([numbered(10, 20, 30), numbered(30, 10, 5), numbered(1, 2, 3)], axis=-1).astype(np.uint8)
    annotation = understood(folder, coloured, coloured, task="instances")
    assert annotation.numbered and annotation.objects == {"a": 3, "b": 3}
    pair = survey(folder.root).pairs[0]
    assert set(np.unique(read_objects(pair, annotation))) == {0, 0x0A1E01, 0x140A02, 0x1E0503}


def test_numbers_beyond_what_we_take_are_refused_with_the_mend(folder) -> None:
    annotation = understood(folder, numbered(1, 2**31, dtype=np.uint32), numbered(1, 2))
    with pytest.raises(DataError, match=r"a.tif has mask values from 0 to 2147483648.*Number objects from 1 up"):
        annotation.require()


def test_many_classes_are_told_to_look_like_objects(folder) -> None:
    annotation = understood(folder, numbered(*range(1, 13)), numbered(*range(1, 13)))
    (fault,) = annotation.faults
    assert annotation.task == "semantic" and fault.severity == "warning"
    assert fault.message.startswith("The 13 mask values up to 12 are taken for classes, but they could number objects.")
    assert "'instances'" in fault.message
