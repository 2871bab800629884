"""A slide with a tile that cannot be decoded: the rest is as if it were sound, and what is not known is marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from ushape.checkpoint import Trained
from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.source import open_image, read_mask
from ushape.labels import Labels
from ushape.object_rule import ObjectRule
from ushape.predict.damage import Readable
from ushape.predict.files import Job, MaskWritten
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor

MakeTrained = Callable[..., Trained]
PIXELS = np.random.default_rng(9).integers(1, 256, (200, 180)).astype(np.uint8)


def slide(path: Path, *places: tuple[int, int]) -> Path:
    """A tiled TIFF with damaged tiles at (row, column)."""
    tifffile.imwrite(path, PIXELS, tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offsets, counts = tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts
    with path.open("r+b") as file:
        for row, column in places:
            number = row * 12 + column
            file.seek(offsets[number])
            file.write(b"\xff" * counts[number])
    return path


def written(predictor: Predictor, path: Path, out: Path, **options: bool) -> MaskWritten:
    (event,) = [
        e for e in Job(predictor, find_images([str(path)]), out, **options).events() if isinstance(e, MaskWritten)
    ]
    return event


def around(margin: int) -> NDArray[np.bool_]:
    unknown = np.zeros(PIXELS.shape, dtype=bool)
    unknown[max(0, 64 - margin) : 80 + margin, max(0, 48 - margin) : 64 + margin] = True
    return unknown


def test_all_but_the_damaged_tiles_is_read(tmp_path: Path) -> None:
    places = [(0, 0), (4, 3), (4, 4), (12, 11)]  # corners, and two side by side
    readable = Readable(open_image(slide(tmp_path / "a.tif", *places)), (0, 0))
    expected = PIXELS.copy()
    for row, column in places:
        expected[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 0
    np.testing.assert_array_equal(readable.source.read()[..., 0], expected)
    assert len(readable.faults) == 4
    for place in ("the tile of rows 0 to 15, columns 0 to 15", "the tile of rows 192 to 199, columns 176 to 179"):
        assert sum(place in fault for fault in readable.faults) == 1
    window = Window((60, 40), (90, 70))
    np.testing.assert_array_equal(readable.source.read(window)[..., 0], expected[window.slices])
    np.testing.assert_array_equal(readable.unknown(window), (expected != PIXELS)[window.slices])
    assert readable.unknown(Window((100, 100), (150, 150))) is None


@pytest.mark.parametrize("keep", [16, 64, 256])
def test_the_rest_of_the_mask_is_that_of_the_sound_image(make_trained: MakeTrained, tmp_path: Path, keep: int) -> None:
    labels = Labels(("background", "axon"), (1, 2), ignored_values=(7,))
    predictor = Predictor(make_trained(labels=labels), keep_px=keep)
    event = written(predictor, slide(tmp_path / "a.tif", (4, 3)), tmp_path / "masks", probability=True)
    unknown = around(predictor.footprints[0].margin)
    assert 16 * 16 < unknown.sum() < PIXELS.size / 2
    np.testing.assert_array_equal(read_mask(event.paths[0]), np.where(unknown, 7, predictor.segment(PIXELS)))
    assert len(event.damage) == 1 and "a.tif: the tile of rows 64 to 79, columns 48 to 63 cannot" in event.damage[0]
    probability = open_image(event.paths[1]).read_stored(Window.whole(PIXELS.shape))[..., 0]
    np.testing.assert_array_equal(np.isnan(probability), unknown)
    assert 0 < event.expected_dice["a"] < 1


def test_no_object_reaches_into_what_is_not_known(make_trained: MakeTrained, tmp_path: Path) -> None:
    rule = ObjectRule(threshold=0.001, grow_px=2)  # one object everywhere, which would fill and grow into holes
    predictor = Predictor(make_trained(object_rule=rule), keep_px=64)
    event = written(predictor, slide(tmp_path / "a.tif", (4, 3)), tmp_path / "masks")
    objects, unknown = read_mask(event.paths[0]), around(predictor.footprints[0].margin)
    assert not objects[unknown].any()
    assert objects[~unknown].astype(bool).mean() > 0.9


def test_strips_are_refused_as_ever(make_trained: MakeTrained, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, compression="zlib", rowsperstrip=10)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        offset = tiff.pages[0].dataoffsets[3]
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 30)
    with pytest.raises(ImageError, match=r"a\.tif cannot be read as a TIFF"):
        written(Predictor(make_trained()), tmp_path / "a.tif", tmp_path / "masks")
    assert list((tmp_path / "masks").iterdir()) == []
