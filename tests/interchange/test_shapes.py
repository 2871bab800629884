"""Which shapes a picture has, and of which class."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.interchange.shapes import Shapes
from ushape.labels import IGNORED, Labels

CELL = Labels(("background", "cell"), (0, 255))
THREE = Labels(("background", "axon", "myelin"), (0, 128, 255))
OBJECTS = np.array([[0, 7, 7, 7], [9, 9, 0, 0]], dtype=np.uint32)


def classes_of(shapes: Shapes, labels: Labels) -> list[tuple[int, int]]:
    return [(shape.number, shape.class_number) for shape in shapes.drawn(labels)]


def test_objects_have_the_only_foreground_class():
    assert classes_of(Shapes("a", OBJECTS), CELL) == [(7, 1), (9, 1)]
    assert classes_of(Shapes("a", OBJECTS, np.zeros((2, 4), dtype=np.uint8)), CELL) == [(7, 1), (9, 1)]


def test_an_object_has_the_class_of_most_of_its_pixels():
    classes = np.array([[2, 1, 2, 2], [1, 1, 2, 2]], dtype=np.uint8)
    assert classes_of(Shapes("a", OBJECTS, classes), THREE) == [(7, 2), (9, 1)]


def test_neither_background_nor_ignored_pixels_choose_the_class_and_the_first_of_equals_wins():
    classes = np.array([[0, 0, IGNORED, 2], [2, 1, 0, 0]], dtype=np.uint8)
    assert classes_of(Shapes("a", OBJECTS, classes), THREE) == [(7, 2), (9, 1)]


def test_without_objects_each_foreground_class_is_one_shape():
    classes = np.array([[2, 0, IGNORED, 2], [2, 1, 1, 2]], dtype=np.uint8)
    shapes = Shapes("a", classes=classes)
    assert classes_of(shapes, THREE) == [(1, 1), (2, 2)]
    assert [sum(piece.area_px for piece in shape.polygons) for shape in shapes.drawn(THREE)] == [2, 4]
    assert not shapes.single and shapes.shape == (2, 4)


@pytest.mark.parametrize(
    ("objects", "classes", "labels", "words"),
    [
        (OBJECTS.astype(np.float32), None, CELL, ["array of float32", "Number the objects first"]),
        (-OBJECTS.astype(int), None, CELL, ["values from -9 to 0"]),
        (OBJECTS, None, THREE, ["axon, myelin", "no class map tells which", "Give the class map"]),
        (OBJECTS, None, Labels(("background",), (0,)), ["only class is 'background'", "Name the class"]),
        (OBJECTS, np.ones((4, 2), int), CELL, ["class map has shape (4, 2)", "object map (2, 4)", "Give both alike"]),
        (OBJECTS, np.ones((2, 4)), THREE, ["class map is an array of float64", "Decide between the classes first"]),
        (None, np.full((2, 4), 128), THREE, ["class map has 128", "3 classes", "not the values of a mask file"]),
        (OBJECTS, np.zeros((2, 4), int), THREE, ["2 of its objects (7, 9)", "no pixel of a foreground class"]),
    ],
)
def test_maps_that_cannot_be_drawn_are_refused_by_the_name_of_the_image(
    objects: NDArray[np.integer] | None, classes: NDArray[np.integer] | None, labels: Labels, words: list[str]
):
    with pytest.raises(ImageError) as refusal:
        Shapes("wing.png", objects, classes).drawn(labels)
    for word in ["wing.png: ", *words]:
        assert word in str(refusal.value)
