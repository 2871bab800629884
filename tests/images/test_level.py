"""Smaller copies that files hold of their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from ushape.images.level import smaller_copy
from ushape.images.source import open_image

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 40, 30)).astype(np.uint8)


def ome_zarr(path: Path) -> Path:
    group = zarr.create_group(path, zarr_format=2)
    for level, step in enumerate((1, 2, 4)):
        group.create_array(str(level), data=PIXELS[:, ::step, ::step], chunks=(1, 16, 16))
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    transformations = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    datasets = [{"path": str(level), "coordinateTransformations": transformations} for level in range(3)]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def test_the_finest_level_that_is_small_enough_of_a_store(tmp_path: Path):
    source = open_image(ome_zarr(tmp_path / "a.zarr"), 1)
    assert source.shape == (40, 30), "the image is its finest level"
    for largest, step in [(39, 2), (20, 2), (19, 4), (10, 4)]:
        found = smaller_copy(source, largest)
        assert found is not None and (found[..., 0] == PIXELS[1, ::step, ::step]).all()
    assert smaller_copy(source, 9) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_sub_resolutions_of_a_tiff(tmp_path: Path, channels: int):
    pixels = np.repeat(PIXELS[0][..., None], channels, axis=-1).squeeze()
    photometric = "rgb" if channels == 3 else "minisblack"
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels, subifds=2, photometric=photometric)
        for step in (2, 4):
            writer.write(pixels[::step, ::step], subfiletype=1, photometric=photometric)
    found = smaller_copy(open_image(tmp_path / "a.tif"), 20)
    assert found is not None and found.shape == (20, 15, channels)
    assert (found == pixels.reshape(40, 30, channels)[::2, ::2]).all()


def test_copies_that_are_not_the_image_are_not_taken(tmp_path: Path):
    tifffile.imwrite(tmp_path / "plain.tif", PIXELS[0])
    assert smaller_copy(open_image(tmp_path / "plain.tif"), 30) is None
    with tifffile.TiffWriter(tmp_path / "other.tif") as writer:
        writer.write(PIXELS[0], subifds=1)
        writer.write(PIXELS[0, ::2, ::2].astype(np.uint16), subfiletype=1)
    assert smaller_copy(open_image(tmp_path / "other.tif"), 30) is None, "another type of pixel"
    tifffile.imwrite(tmp_path / "stack.tif", PIXELS, photometric="minisblack")
    assert smaller_copy(open_image(tmp_path / "stack.tif"), 30) is None
