"""Zarr in, Zarr out; large images become tiled; what is asked for is had, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from ushape.checkpoint import Trained
from ushape.errors import OutputError, RecipeError
from ushape.images.source import Page, open_image, pages, read_mask
from ushape.object_rule import ObjectRule
from ushape.predict import storage
from ushape.predict.files import Job, MaskWritten
from ushape.predict.sources import find_images
from ushape.predict.storage import form_of, mask_format_named
from ushape.predict.tiled import Predictor

MakeTrained = Callable[..., Trained]
PIXELS = np.random.default_rng(2).integers(0, 256, (3, 40, 30)).astype(np.uint8)


def written(predictor: Predictor, path: Path, out: Path, **options: object) -> list[Path]:
    """All files; each is whole when it is told of."""
    events = list(Job(predictor, find_images([str(path)]), out, **options).events())
    return [file for event in events if isinstance(event, MaskWritten) for file in event.paths]


def ome_zarr(path: Path) -> Path:
    """Three depths, each with its own scale, in NGFF 0.4."""
    group = zarr.create_group(path, zarr_format=2)
    group.create_array("0", data=PIXELS, chunks=(1, 16, 16))
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    scale = {"type": "scale", "scale": [4.0, 0.5, 0.25]}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def test_an_ome_zarr_gives_a_label_image_of_its_axes_and_scale(make_trained: MakeTrained, tmp_path: Path) -> None:
    predictor = Predictor(make_trained(), keep_px=16)
    image = ome_zarr(tmp_path / "images" / "a.ome.zarr")
    files = written(predictor, image.parent, tmp_path / "masks", probability=True)  # the folder is searched
    assert [file.name for file in files] == ["a.ome.zarr", "a.ome_probability.zarr"]
    assert len(pages(files[0])) == 3
    for index in range(3):
        np.testing.assert_array_equal(read_mask(files[0], index), predictor.segment(PIXELS[index]))
        assert open_image(files[0], index).spacing == (0.5, 0.25)
    attributes = dict(zarr.open_group(files[0], mode="r").attrs)
    transformations = attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert transformations == [{"type": "scale", "scale": [4.0, 0.5, 0.25]}]
    assert "image-label" in attributes
    assert "image-label" not in zarr.open_group(files[1], mode="r").attrs
    assert open_image(files[1]).dtype == np.float32
    with pytest.raises(OutputError, match="already holds 2 of these results"):
        Job(predictor, find_images([str(image)]), tmp_path / "masks", probability=True)


def test_object_maps_of_an_ome_zarr_hold_any_number_of_objects(make_trained: MakeTrained, tmp_path: Path) -> None:
    predictor = Predictor(make_trained(object_rule=ObjectRule()), keep_px=16)
    (file,) = written(predictor, ome_zarr(tmp_path / "a.zarr"), tmp_path / "masks")
    assert zarr.open_group(file, mode="r")["0"].dtype == np.uint32
    for index in range(3):
        np.testing.assert_array_equal(read_mask(file, index), predictor.segment(PIXELS[index]))


def test_a_kind_that_is_asked_for(make_trained: MakeTrained, tmp_path: Path) -> None:
    predictor = Predictor(make_trained(), keep_px=16)
    expected = predictor.segment(PIXELS[0])
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0], resolution=(20_000, 10_000), resolutionunit="CENTIMETER")
    for kind, name, tiled in (("tiff", "a.tif", False), ("ome-tiff", "a.tif", True), ("ome-zarr", "a.zarr", None)):
        (file,) = written(predictor, tmp_path / "a.tif", tmp_path / kind, mask_format=kind)
        assert file.name == name
        np.testing.assert_array_equal(read_mask(file), expected)
        assert open_image(file).spacing == (1.0, 0.5)
        if tiled is not None:
            with tifffile.TiffFile(file) as tiff:
                assert tiff.pages[0].is_tiled == tiled


def test_what_suits_an_image_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGEST_PLAIN_PIXELS", 100)
    zarr.save_array(tmp_path / "a.zarr", PIXELS)
    store = Page(tmp_path / "a.zarr", 0, 3)
    assert form_of(store, 3, 5000, "auto", png=True) == "ome-zarr"
    assert form_of(store, 3, 5000, "tiff", png=True) == "stack"
    for name, of_small in (("a.png", "png"), ("a.jpg", "png"), ("a.tif", "tiff"), ("a.svs", "tiff"), ("a.npy", "tiff")):
        page = Page(tmp_path / name)
        assert form_of(page, 1, 100, "auto", png=True) == of_small
        assert form_of(page, 1, 100, "auto", png=False) == "tiff"
        assert form_of(page, 1, 101, "auto", png=True) == "ome-tiff"
        assert form_of(page, 3, 101, "auto", png=True) == "stack"


@pytest.mark.parametrize("kind", ["ome-tiff", "ome-zarr"])
def test_a_stack_stays_a_stack(make_trained: MakeTrained, tmp_path: Path, kind: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="minisblack")
    with pytest.raises(OutputError, match=rf"a\.tif has 3 pages, and {kind} cannot hold their masks"):
        written(Predictor(make_trained()), tmp_path / "a.tif", tmp_path / "masks", mask_format=kind)
    assert not (tmp_path / "masks").exists()


def test_a_name_that_is_none_is_refused() -> None:
    assert mask_format_named("ome-zarr") == "ome-zarr"
    with pytest.raises(RecipeError, match="no mask format 'zarr'; choose auto, tiff, ome-tiff, ome-zarr"):
        mask_format_named("zarr")
