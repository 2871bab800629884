"""Object map, class map → shapes: what the writers for other programs draw, with the class of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.interchange.outlines import Polygon, fault_of, outlines
from ushape.labels import IGNORED, Labels


@dataclass(frozen=True, eq=False)
class Shape:
    """One object, or all pixels of one class: its number in the map, the number of its class, and its pieces."""

    number: int
    class_number: int
    polygons: list[Polygon]


@dataclass(frozen=True, eq=False)
class Shapes:
    """What was found in one image, which other programs know by the name `image`.

    objects: (H, W) object map; each object is a shape. classes: (H, W) class map. With both, an object has the class
    of most of its pixels, which is needed where there are several foreground classes. With `classes` alone, each
    foreground class is one shape.
    """

    image: str
    objects: NDArray[np.integer] | None = None
    classes: NDArray[np.integer] | None = None

    @property
    def single(self) -> bool:
        """Whether each shape is one object."""
        return self.objects is not None

    @property
    def numbers(self) -> NDArray[np.integer]:
        """(H, W), the number of the shape that each pixel belongs to, or 0."""
        if self.objects is not None:
            return self.objects
        assert self.classes is not None, f"{self.image} has neither objects nor classes"
        return np.where(self.classes == IGNORED, 0, self.classes)

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.numbers.shape
        return height, width

    def drawn(self, labels: Labels) -> list[Shape]:
        """Every shape, in the order of the numbers. Raises ImageError, naming the image, where a map cannot be used."""
        if fault := self._fault(labels):
            raise ImageError(f"{self.image}: {fault}")
        found = list(outlines(self.numbers))
        if self.objects is None:
            return [Shape(number, number, polygons) for number, polygons in found]
        if labels.classes == 2 or self.classes is None:
            return [Shape(number, 1, polygons) for number, polygons in found]
        class_of = self._most_frequent(self.objects, self.classes, labels.classes)
        return [Shape(number, class_of[number], polygons) for number, polygons in found]

    def _fault(self, labels: Labels) -> str:
        if labels.classes < 2:
            return f"its only class is {labels.names[0]!r}, the background. Name the class of the objects too."
        if self.objects is not None and (fault := fault_of(self.objects)):
            return fault
        if self.classes is not None:
            return self._class_map_fault(self.classes, labels.classes)
        if labels.classes == 2:
            return ""
        return (
            f"its objects may be {', '.join(labels.names[1:])}, and no class map tells which. "
            "Give the class map beside the object map."
        )

    def _class_map_fault(self, classes: NDArray[np.integer], class_count: int) -> str:
        if classes.ndim != 2 or not np.issubdtype(classes.dtype, np.integer):
            return (
                f"its class map is an array of {classes.dtype} with shape {classes.shape}; a class map holds whole "
                "numbers and has the shape (height, width). Decide between the classes first."
            )
        if self.objects is not None and classes.shape != self.objects.shape:
            return f"its class map has shape {classes.shape}, its object map {self.objects.shape}. Give both alike."
        foreign = sorted(set(np.unique(classes).tolist()) - {*range(class_count), IGNORED})
        if foreign:
            return (
                f"its class map has {', '.join(map(str, foreign[:5]))}; there are {class_count} classes, counted from "
                f"0, and {IGNORED} is ignored. Give class numbers, not the values of a mask file."
            )
        return ""

    def _most_frequent(
        self, objects: NDArray[np.integer], classes: NDArray[np.integer], class_count: int
    ) -> dict[int, int]:
        """Object number → the foreground class that most of its pixels have, the first of equals."""
        inside = objects > 0
        numbers, place = np.unique(objects[inside], return_inverse=True)
        of_pixel = np.where(classes[inside] == IGNORED, 0, classes[inside]).astype(np.int64)
        votes = np.bincount(place * class_count + of_pixel, minlength=len(numbers) * class_count)
        votes = votes.reshape(-1, class_count)[:, 1:]
        without = numbers[votes.sum(axis=1) == 0].tolist()
        if without:
            raise ImageError(
                f"{self.image}: {len(without)} of its objects ({', '.join(map(str, without[:5]))}) have no pixel of a "
                "foreground class. Give the class map that the objects were made from."
            )
        return dict(zip(numbers.tolist(), (votes.argmax(axis=1) + 1).tolist(), strict=True))
