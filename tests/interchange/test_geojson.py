"""GeoJSON for QuPath: geometry by RFC 7946, properties as QuPath's own reader takes them."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import polygon

from ushape.errors import ImageError, OutputError
from ushape.interchange.geojson import write_geojson
from ushape.interchange.shapes import Shapes
from ushape.labels import Labels

CELL = Labels(("background", "cell"), (0, 255))
TISSUE = Labels(("background", "gland", "strömä"), (0x000000, 0xFF0000, 0x102030), coloured=True)
OBJECTS = np.array([[7, 7, 7, 0], [7, 0, 7, 0], [7, 7, 7, 3], [0, 0, 0, 7]], dtype=np.uint32)


def features(path: Path) -> list[dict]:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    return content["features"]


def drawn(geometry: dict, shape: tuple[int, int]) -> NDArray[np.bool_]:
    pieces = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    inside = np.zeros(shape, dtype=bool)
    for ring in (np.array(ring) for piece in pieces for ring in piece):
        inside[polygon(ring[:, 1] - 0.5, ring[:, 0] - 0.5, shape)] ^= True
    return inside


def test_an_object_is_a_detection_with_its_number_and_class(tmp_path: Path):
    path = tmp_path / "a.geojson"
    write_geojson(path, Shapes("a.png", np.array([[0, 0], [0, 5]])), CELL)
    (feature,) = features(path)
    red, green, blue = CELL.colour(1)
    assert feature == {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]]},
        "properties": {
            "objectType": "detection",  # QuPath 0.4 and later
            "object_type": "detection",  # QuPath 0.3
            "name": "5",
            "classification": {
                "name": "cell",
                "color": [red, green, blue],
                "colorRGB": int.from_bytes([255, red, green, blue], signed=True),
            },
        },
    }


def test_coordinates_are_x_y_and_rings_are_closed_and_turn_as_the_rfc_wants(tmp_path: Path):
    path = tmp_path / "a.geojson"
    write_geojson(path, Shapes("a.png", OBJECTS), CELL)
    first, second = features(path)
    assert (first["properties"]["name"], second["properties"]["name"]) == ("3", "7")
    assert (first["geometry"]["type"], second["geometry"]["type"]) == ("Polygon", "MultiPolygon")
    for piece in second["geometry"]["coordinates"]:
        for place, ring in enumerate(np.array(ring) for ring in piece):
            x, y = ring[:-1].T
            assert ring[0].tolist() == ring[-1].tolist()
            assert (x @ np.roll(y, -1) - y @ np.roll(x, -1) > 0) == (place == 0)
    assert np.array_equal(drawn(first["geometry"], OBJECTS.shape), OBJECTS == 3)


def test_polygons_fill_exactly_the_pixels(tmp_path: Path):
    rng = np.random.default_rng(1)
    for case in range(20):
        objects = rng.integers(0, 4, (9, 14)).astype(np.uint16)
        write_geojson(tmp_path / f"{case}.geojson", Shapes("a", objects), CELL)
        for feature in features(tmp_path / f"{case}.geojson"):
            number = int(feature["properties"]["name"])
            assert np.array_equal(drawn(feature["geometry"], objects.shape), objects == number)


def test_without_objects_each_class_is_an_annotation_of_the_users_colour(tmp_path: Path):
    path = tmp_path / "a.geojson"
    classes = np.array([[1, 2], [0, 255]], dtype=np.uint8)
    write_geojson(path, Shapes("a.png", classes=classes), TISSUE)
    gland, stroma = features(path)
    assert gland["properties"]["objectType"] == stroma["properties"]["object_type"] == "annotation"
    assert "name" not in gland["properties"]
    assert gland["properties"]["classification"] == {"name": "gland", "color": [255, 0, 0], "colorRGB": -65536}
    assert stroma["properties"]["classification"]["name"] == "strömä"
    assert path.read_bytes().isascii()  # some versions of QuPath read it in the encoding of the system


def test_objects_may_be_annotations(tmp_path: Path):
    write_geojson(tmp_path / "a.geojson", Shapes("a", OBJECTS), CELL, object_type="annotation")
    assert {f["properties"]["objectType"] for f in features(tmp_path / "a.geojson")} == {"annotation"}


def test_no_object_is_an_empty_collection(tmp_path: Path):
    write_geojson(tmp_path / "a.geojson", Shapes("a", np.zeros((3, 3), dtype=int)), CELL)
    assert features(tmp_path / "a.geojson") == []


def test_an_existing_file_stays_unless_overwriting_is_asked_for(tmp_path: Path):
    path = tmp_path / "a.geojson"
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"a\.geojson exists already\. Choose another place, or ask for it"):
        write_geojson(path, Shapes("a", OBJECTS), CELL)
    with pytest.raises(ImageError, match="a: an array of float64"):
        write_geojson(path, Shapes("a", np.ones((3, 3))), CELL, overwrite=True)
    assert path.read_text() == "mine"
    write_geojson(path, Shapes("a", OBJECTS), CELL, overwrite=True)
    assert len(features(path)) == 2


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    with pytest.raises(OutputError, match="there is no folder"):
        write_geojson(tmp_path / "absent" / "a.geojson", Shapes("a", OBJECTS), CELL)
    with pytest.raises(OutputError, match="is a folder; a file cannot take its place"):
        write_geojson(tmp_path, Shapes("a", OBJECTS), CELL)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", refuse)
        with pytest.raises(OutputError, match=r"no permission in .* Choose another folder"):
            write_geojson(tmp_path / "a.geojson", Shapes("a", OBJECTS), CELL)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OutputError):
            write_geojson(tmp_path / "a.geojson", Shapes("a", OBJECTS), CELL)
    assert list(tmp_path.iterdir()) == []
