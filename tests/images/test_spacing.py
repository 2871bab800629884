"""The size of a pixel: OME, ImageJ and resolution tags, and what is no measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from ushape.images.source import open_image

PIXELS = np.zeros((6, 5), dtype=np.uint8)


def spacing(path: Path, **options: Any) -> tuple[float, float] | None:
    tifffile.imwrite(path, PIXELS, photometric="minisblack", **options)
    return open_image(path).spacing


@pytest.mark.parametrize(("unit", "micrometres"), [("CENTIMETER", 1e4), ("MILLIMETER", 1e3), ("MICROMETER", 1.0)])
def test_pixels_per_length_become_y_x_micrometres(tmp_path: Path, unit: str, micrometres: float) -> None:
    found = spacing(tmp_path / "a.tif", resolution=(4 * micrometres, 2 * micrometres), resolutionunit=unit)
    assert found == pytest.approx((0.5, 0.25))


@pytest.mark.parametrize("resolution", [(72, 72), (300, 300), (25400, 25400)])
def test_pixels_per_inch_are_a_size_on_paper(tmp_path: Path, resolution: tuple[int, int]) -> None:
    assert spacing(tmp_path / "a.tif", resolution=resolution, resolutionunit="INCH") is None


def test_a_file_that_says_nothing_has_no_spacing(tmp_path: Path) -> None:
    assert spacing(tmp_path / "a.tif") is None
    assert spacing(tmp_path / "b.tif", resolution=(3, 3), resolutionunit="NONE") is None
    assert spacing(tmp_path / "c.tif", resolution=(0, 0), resolutionunit="CENTIMETER") is None


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("um", (0.5, 0.25)),
        ("micron", (0.5, 0.25)),
        ("\\u00B5m", (0.5, 0.25)),
        ("nm", (0.0005, 0.00025)),
        ("mm", (500, 250)),
        ("cm", (5000, 2500)),
        ("pixel", None),
        ("inch", None),
    ],
)
def test_imagejs_unit_counts(tmp_path: Path, unit: str, expected: tuple[float, float] | None) -> None:
    found = spacing(tmp_path / "a.tif", imagej=True, resolution=(4, 2), metadata={"unit": unit})
    assert found == (expected and pytest.approx(expected))


def test_imagej_without_a_resolution_has_no_spacing(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.tif", tiffinfo={270: "ImageJ=1.54f\nunit=um\n"})
    assert open_image(tmp_path / "a.tif").spacing is None


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}, (0.5, 0.25)),
        (
            {"PhysicalSizeX": 250, "PhysicalSizeY": 500, "PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm"},
            (0.5, 0.25),
        ),
        ({"PhysicalSizeX": 250, "PhysicalSizeY": 500, "PhysicalSizeXUnit": "pixel", "PhysicalSizeYUnit": "nm"}, None),
        ({"PhysicalSizeX": 0.25}, None),
        ({}, None),
    ],
)
def test_omes_physical_size_counts(
    tmp_path: Path, metadata: dict[str, Any], expected: tuple[float, float] | None
) -> None:
    found = spacing(tmp_path / "a.ome.tif", metadata=metadata, resolution=(7, 7), resolutionunit="CENTIMETER")
    assert found == (expected and pytest.approx(expected))


@pytest.mark.parametrize(
    "xml",
    [
        '<?xml version="1.0"?><OME><Image></OME>',
        '<?xml version="1.0"?><OME xmlns="a"><BinaryOnly/></OME>',
        '<?xml version="1.0"?><OME xmlns="a"><Image><Pixels PhysicalSizeX="wide" PhysicalSizeY="1"/></Image></OME>',
        '<?xml version="1.0"?><OME xmlns="a"><Image><Pixels PhysicalSizeX="-1" PhysicalSizeY="1"/></Image></OME>',
    ],
)
def test_damaged_ome_metadata_leaves_the_pixels_readable(tmp_path: Path, xml: str) -> None:
    assert spacing(tmp_path / "a.tif", description=xml, metadata=None) is None
    assert open_image(tmp_path / "a.tif").read().shape == (6, 5, 1)
