"""The metadata of OME-Zarr: what we write is what the specification asks for, and what we read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.errors import ImageError
from ushape.images.ngff import Multiscale, attributes_of, is_axes, multiscale_of

IMAGE = Multiscale("0", "tzyx", (10.0, 4.0, 0.5, 0.25), ("second", "micrometer", "micrometer", "micrometer"))
PATH = Path("a.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("label", [False, True])
def test_what_is_written_is_read_again(version, label: bool) -> None:
    attributes = attributes_of("a", IMAGE, 3, version=version, label=label, about={"description": "mask"})
    assert multiscale_of(attributes, PATH) == IMAGE
    described = attributes["ome"] if version == "0.5" else attributes
    assert ("image-label" in described) == label
    (image,) = described["multiscales"]
    assert (described if version == "0.5" else image)["version"] == version
    assert [dataset["path"] for dataset in image["datasets"]] == ["0", "1", "2"]
    assert [axis["type"] for axis in image["axes"]] == ["time", "space", "space", "space"]
    assert image["datasets"][2]["coordinateTransformations"] == [
        {"type": "scale", "scale": [10.0, 4.0, 2.0, 1.0]},
        {
            "type": "translation",
            "translation": [0.0, 0.0, 0.75, 0.375],
        },  # 1.5 pixels
    ]


def test_the_size_of_a_pixel_is_in_micrometres() -> None:
    for unit, size in (("nanometer", 0.0005), ("millimeter", 500.0), ("angstrom", 0.00005), ("meter", 5e5)):
        y, x = Multiscale("0", "yx", (0.5, 0.25), (unit, unit)).spacing
        assert (y, x) == pytest.approx((size, size / 2))
    for scale, units in (((0.5, 0.5), (None, None)), ((0.5, 0.0), ("meter",) * 2), ((1.0, 1.0), ("meter", "second"))):
        assert Multiscale("0", "yx", scale, units).spacing is None


def test_axes_stand_in_one_order() -> None:
    assert all(is_axes(list(axes)) for axes in ("yx", "zyx", "cyx", "tcyx", "tczyx"))
    assert not any(is_axes(list(axes)) for axes in ("", "xy", "zy", "yxc", "ctyx", "yyx", "zcyx", "ayx"))


@pytest.mark.parametrize("attributes", [{}, {"ome": None}, {"ome": {"multiscales": []}}, {"multiscales": None}])
def test_a_group_that_describes_no_image_is_refused(attributes) -> None:
    with pytest.raises(ImageError, match="is a Zarr group that says of no image in it"):
        multiscale_of(attributes, PATH)
