"""Shapes of several images → one JSON file in the format of COCO (cocodataset.org, "Data format", object detection).

    with coco_file(out / "annotations.json", labels) as coco:
        for …:
            coco.add(Shapes(name, objects))

COCO's polygons have no holes. An object without holes is a list of polygons, one for each piece; an object with holes
is written as run lengths, uncompressed. Both have iscrowd 0, which pycocotools reads either way. All pixels of a class,
which is what is known where there are no objects, are run lengths with iscrowd 1: COCO's mark of several objects taken
together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.atomic import check_place, write_whole
from ushape.errors import ImageError
from ushape.interchange.shapes import Shape, Shapes
from ushape.labels import Labels


@contextmanager
def coco_file(path: Path, labels: Labels, *, overwrite: bool = False) -> Iterator[Coco]:
    """A Coco to add images to; the file is written on a clean end.

    Raises OutputError at once where it cannot be written or exists, and at the end ImageError, naming every image that
    could not be added; then nothing is written.
    """
    check_place(path, overwrite=overwrite)
    coco = Coco(labels)
    yield coco
    if coco.faults:
        raise ImageError("\n".join(coco.faults))
    write_whole(path, json.dumps(coco.content(), separators=(",", ":")))


class Coco:
    """Images, annotations and categories, all counted from 1; a category has the number of its class."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.faults: list[str] = []
        self._images: dict[str, dict[str, object]] = {}
        self._annotations: list[dict[str, object]] = []

    def add(self, shapes: Shapes) -> None:
        """One more image. Where its maps cannot be drawn, `faults` gets a line."""
        try:
            drawn = shapes.drawn(self.labels)
        except ImageError as error:
            self.faults.append(str(error))
            return
        if shapes.image in self._images:
            self.faults.append(f"{shapes.image}: two images have this name. Give each a name of its own.")
            return
        height, width = shapes.shape
        image = len(self._images) + 1
        self._images[shapes.image] = {"id": image, "file_name": shapes.image, "height": height, "width": width}
        self._annotations += [
            {"id": count, "image_id": image, **_annotation(shape, shapes)}
            for count, shape in enumerate(drawn, start=len(self._annotations) + 1)
        ]

    def content(self) -> dict[str, object]:
        """What the file holds."""
        categories = [{"id": k, "name": self.labels.names[k]} for k in self.labels.foreground]
        return {"images": [*self._images.values()], "annotations": self._annotations, "categories": categories}


def run_lengths(mask: NDArray[np.bool_], start: tuple[int, int], shape: tuple[int, int]) -> list[int]:
    """(h, w) mask that lies at `start` (y, x) in an image of `shape` → the lengths of runs outside, inside, outside, …

    Down the columns of the image, from left to right, to the last pixel: pycocotools leaves what is not counted as it
    found the memory.

    >>> run_lengths(np.array([[True, True]]), (1, 0), (2, 3))
    [1, 1, 1, 1, 2]
    """
    assert mask.any(), "a shape has pixels"
    padded = np.pad(mask, ((1, 1), (0, 0))).astype(np.int8)
    column, row = np.nonzero(np.diff(padded, axis=0).T)  # every column starts and ends outside
    places = (column + start[1]) * shape[0] + row + start[0]
    begins, ends = places[::2], places[1::2]
    parted = begins[1:] != ends[:-1]  # a run may go on from the foot of a column to the head of the next
    edges = np.stack([begins[np.concatenate([[True], parted])], ends[np.concatenate([parted, [True]])]], axis=1)
    lengths: list[int] = np.diff(edges.ravel(), prepend=0, append=shape[0] * shape[1]).tolist()
    return lengths if lengths[-1] else lengths[:-1]


def _annotation(shape: Shape, shapes: Shapes) -> dict[str, object]:
    corners = np.concatenate([polygon.outer for polygon in shape.polygons])
    (top, left), (bottom, right) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    segmentation: object
    if shapes.single and not any(polygon.holes for polygon in shape.polygons):
        segmentation = [polygon.outer[:, ::-1].ravel().tolist() for polygon in shape.polygons]
    else:
        mask = shapes.numbers[top:bottom, left:right] == shape.number
        segmentation = {"size": list(shapes.shape), "counts": run_lengths(mask, (top, left), shapes.shape)}
    return {
        "category_id": shape.class_number,
        "segmentation": segmentation,
        "area": sum(polygon.area_px for polygon in shape.polygons),
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": 0 if shapes.single else 1,
    }
