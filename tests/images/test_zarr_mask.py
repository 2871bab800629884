"""OME-Zarr masks: what the zarr library finds there by the specification; complete or absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from ushape.errors import OutputError
from ushape.geometry.tiles import Window
from ushape.images import zarr_mask
from ushape.images.ngff import Multiscale
from ushape.images.pyramid import halved
from ushape.images.source import open_image, pages
from ushape.images.zarr_mask import Planes, ZarrMask, planes_of_image, planes_of_store

RNG = np.random.default_rng(6)


def planes(axes: str, shape: tuple[int, ...], zarr_format: Any = 2) -> Planes:
    scale, units = tuple(0.5 + n for n in range(len(axes))), tuple(None if a == "t" else "micrometer" for a in axes)
    return Planes(Multiscale("0", axes, scale, units), shape, zarr_format)


def described(path: Path) -> dict[str, Any]:
    attributes = dict(zarr.open_group(path, mode="r").attrs)
    return attributes.get("ome", attributes)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_another_reader_finds_every_page_and_level(tmp_path: Path, zarr_format: int, channels: int) -> None:
    shape = (2, 600, 530)
    mask = RNG.integers(0, 256, shape if channels == 1 else (*shape, 3)).astype(np.uint8)
    path = tmp_path / "a.zarr"
    with ZarrMask(path, planes("tyx", shape, zarr_format), np.uint8, channels=channels) as file:
        for index in range(2):
            with file.page(index) as page:
                for rows in (slice(0, 250), slice(250, 600)):
                    page.write(Window((rows.start, 0), (rows.stop, 530)), mask[index, rows])
    assert list(tmp_path.iterdir()) == [path]
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == zarr_format
    for level, expected in (("0", list(mask)), ("1", [halved(page) for page in mask])):
        stored = np.asarray(group[level])
        for index in range(2):
            found = stored[index] if channels == 1 else np.moveaxis(stored[index], 0, -1)
            np.testing.assert_array_equal(found, expected[index])
    assert len(pages(path)) == 2 and open_image(path).channels == channels
    about = described(path)
    (image,) = about["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == list("tyx" if channels == 1 else "tcyx")
    assert ("image-label" in about) == (channels == 1)  # colours are no label numbers
    scale = [0.5, 1.5, 2.5] if channels == 1 else [0.5, 1.0, 1.5, 2.5]
    assert image["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": scale}]
    coarse, moved = image["datasets"][1]["coordinateTransformations"]
    assert coarse["scale"][-2:] == [3.0, 5.0] and coarse["scale"][0] == 0.5
    assert moved["translation"][-2:] == [0.75, 1.25] and moved["translation"][0] == 0  # the middle of two pixels


def test_axes_and_sizes_are_those_of_the_image_without_channels(tmp_path: Path) -> None:
    path = tmp_path / "image.zarr"
    with ZarrMask(path, planes("tzyx", (2, 3, 20, 30), 3), np.uint8, channels=3, label=False) as file:
        for index in range(6):
            with file.page(index) as page:
                page.write(Window((0, 0), (20, 30)), np.full((20, 30, 3), index, dtype=np.uint8))
    assert planes_of_store(path) == planes("tzyx", (2, 3, 20, 30), 3)
    assert zarr.open_group(path, mode="r")["0"].shape == (2, 3, 3, 20, 30)
    np.testing.assert_array_equal(open_image(path, 5).read(), np.full((20, 30, 3), 5))


def write_one(path: Path, value: int = 1, **options: Any) -> None:
    with ZarrMask(path, planes_of_image((600, 9), None), np.uint8, **options) as file, file.page() as page:
        page.write(Window((0, 0), (600, 9)), np.full((600, 9), value, dtype=np.uint8))


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("existing", [False, True])
def test_nothing_is_left_of_a_mask_that_was_not_finished(tmp_path: Path, monkeypatch, fault, existing: bool) -> None:
    if existing:
        write_one(tmp_path / "a.zarr")

    def failing(*_):
        raise fault

    monkeypatch.setattr(zarr_mask, "halved", failing)
    with pytest.raises(OutputError if isinstance(fault, OSError) else KeyboardInterrupt):
        write_one(tmp_path / "a.zarr", 2, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"] * existing
    assert not existing or open_image(tmp_path / "a.zarr").read().max() == 1


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_is_left_of_a_mask_that_could_not_begin(tmp_path: Path, monkeypatch, fault) -> None:
    def failing(*_):
        raise fault

    monkeypatch.setattr(ZarrMask, "_level", failing)
    with pytest.raises(OutputError if isinstance(fault, OSError) else KeyboardInterrupt):
        write_one(tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_replaced_only_if_asked_and_if_it_is_a_store(tmp_path: Path) -> None:
    write_one(tmp_path / "a.zarr")
    with pytest.raises(OutputError, match=r"a\.zarr exists already"):
        write_one(tmp_path / "a.zarr")
    write_one(tmp_path / "a.zarr", 2, overwrite=True)
    assert open_image(tmp_path / "a.zarr").read().min() == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    (tmp_path / "b.zarr").write_text("mine")
    with pytest.raises(OutputError, match=r"b\.zarr is there and no Zarr store; .* Move it away"):
        write_one(tmp_path / "b.zarr", overwrite=True)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"a\.zarr cannot be written"):
        write_one(tmp_path / "file" / "a.zarr")
