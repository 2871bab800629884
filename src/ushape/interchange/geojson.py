"""Shapes → GeoJSON that QuPath opens (File > Import objects from file, or by dropping the file on the image).

QuPath from version 0.4 on reads `objectType` and a class with `color`; 0.3 reads `object_type` and `colorRGB`, which
later versions still take. Both are written. Coordinates are (x, y) in pixels of the full image, as QuPath wants them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from ushape.atomic import check_place, write_whole
from ushape.interchange.outlines import Polygon
from ushape.interchange.shapes import Shape, Shapes
from ushape.labels import Labels

QuPathType = Literal["annotation", "detection"]
"""Annotations can be edited; detections are light, for thousands of them."""

_OPAQUE = 0xFF << 24


def write_geojson(
    path: Path, shapes: Shapes, labels: Labels, *, object_type: QuPathType | None = None, overwrite: bool = False
) -> None:
    """A FeatureCollection of one image: objects as detections, or all pixels of a class as one annotation.

    Raises ImageError for maps that cannot be drawn, OutputError where the file cannot be written or exists.
    """
    check_place(path, overwrite=overwrite)
    write_whole(path, feature_collection(shapes, labels, object_type=object_type))


def feature_collection(shapes: Shapes, labels: Labels, *, object_type: QuPathType | None = None) -> str:
    """The text of that file. Raises ImageError for maps that cannot be drawn."""
    kind = object_type or ("detection" if shapes.single else "annotation")
    features = [
        {
            "type": "Feature",
            "geometry": _geometry(shape.polygons),
            "properties": {
                "objectType": kind,
                "object_type": kind,
                **({"name": str(shape.number)} if shapes.single else {}),
                "classification": _classification(shape, labels),
            },
        }
        for shape in shapes.drawn(labels)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))


def _geometry(polygons: list[Polygon]) -> dict[str, object]:
    coordinates = [[_closed(ring.tolist()) for ring in polygon.rings] for polygon in polygons]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _closed(ring: list[list[int]]) -> list[tuple[int, int]]:
    """(y, x) corners → (x, y), the first again at the end."""
    return [(x, y) for y, x in [*ring, ring[0]]]


def _classification(shape: Shape, labels: Labels) -> dict[str, object]:
    red, green, blue = labels.colour(shape.class_number)
    packed = _OPAQUE | red << 16 | green << 8 | blue
    return {
        "name": labels.names[shape.class_number],
        "color": [red, green, blue],
        "colorRGB": packed - (1 << 32),  # Java's int is signed
    }
