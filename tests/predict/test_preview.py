from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from ushape.errors import OutputError
from ushape.images.source import open_image, pages, read_mask
from ushape.predict.preview import LARGEST_SIDE, Previews, shrunken
from ushape.predict.tiled import Predictor

PIXELS = np.random.default_rng(0).integers(0, 256, (4100, 40)).astype(np.uint8)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS)
    return tmp_path / "a.tif"


def test_a_large_image_has_a_mask_and_a_picture_of_its_smaller_copy(make_trained, image: Path, tmp_path: Path):
    tifffile.imwrite(tmp_path / "small.tif", PIXELS[:50])
    predictor = Predictor(make_trained(), keep_px=1024)
    both = [*pages(image), *pages(tmp_path / "small.tif")]
    (made,) = Previews(predictor, both, tmp_path / "m").events()
    assert [path.name for path in made.paths] == ["a_preview.tif", "a_preview.png"]
    assert made.factor == pytest.approx(3, abs=0.01)
    expected = predictor.segment(PIXELS[::3, ::3])
    np.testing.assert_array_equal(read_mask(made.paths[0]), expected)
    assert open_image(made.paths[1]).shape == expected.shape and open_image(made.paths[1]).channels == 3
    with pytest.raises(OutputError, match=r"a_preview\.tif exists already"):
        Previews(predictor, both, tmp_path / "m")
    Previews(predictor, both, tmp_path / "m", overwrite=True)


def test_a_copy_that_the_file_holds_serves_and_else_every_nth_pixel(image: Path, tmp_path: Path):
    assert (shrunken(open_image(image))[..., 0] == PIXELS[::3, ::3]).all()
    with tifffile.TiffWriter(tmp_path / "p.tif") as writer:
        writer.write(PIXELS, subifds=1)
        writer.write(PIXELS[::4, ::4] // 2, subfiletype=1)
    found = shrunken(open_image(tmp_path / "p.tif"))
    assert max(found.shape) <= LARGEST_SIDE and (found[..., 0] == PIXELS[::4, ::4] // 2).all()
