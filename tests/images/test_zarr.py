"""Zarr and OME-Zarr: every axis, both formats; only what a window touches is decoded; damage and doubt are named."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from ushape.errors import ImageError, MissingExtra
from ushape.geometry.tiles import Window
from ushape.images import zarr as ours
from ushape.images.damage import DamagedPiece
from ushape.images.source import open_image, pages, read_mask

RNG = np.random.default_rng(8)
WINDOW = Window((3, 5), (40, 37))
TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def noise(*shape: int, dtype: str = "uint8") -> NDArray[np.generic]:
    return RNG.integers(0, 256, shape).astype(dtype)


def axes_of(names: str) -> list[dict[str, str]]:
    return [{"name": n, "type": TYPES[n]} | ({"unit": "nanometer"} if TYPES[n] == "space" else {}) for n in names]


def ome_zarr(path: Path, pixels: NDArray[np.generic], axes: str, zarr_format: Any = 2, /, **changes: Any) -> Path:
    """An OME-Zarr as the specification has it, written by the zarr library; its second level is no copy, but 7s."""
    group = zarr.create_group(path, zarr_format=zarr_format)
    chunks = (1,) * (pixels.ndim - 2) + (16, 16)
    shards = (1,) * (pixels.ndim - 2) + (32, 32) if zarr_format == 3 else None
    for name, values in [("0", pixels), ("1", np.full_like(pixels[..., ::2, ::2], 7))]:
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=chunks, shards=shards)
        array[...] = values
    scales = [[500.0] * len(axes), [1000.0] * len(axes)]
    image = {
        "axes": axes_of(axes),
        "datasets": [
            {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": s}]} for n, s in enumerate(scales)
        ],
        **changes,
    }
    version = "0.4" if zarr_format == 2 else "0.5"
    described = {"multiscales": [{"version": version, **image}]}
    group.attrs.update(described if zarr_format == 2 else {"ome": {"version": version, **described}})
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_times_and_depths_are_pages_and_channels_are_channels(tmp_path: Path, zarr_format: int) -> None:
    pixels = noise(2, 3, 2, 50, 41, dtype="uint16")
    path = ome_zarr(tmp_path / "a.ome.zarr", pixels, "tczyx", zarr_format)
    found = pages(path)
    assert len(found) == 2 * 2
    for page in found:
        source = open_image(path, page.index)
        assert (source.shape, source.channels, source.dtype, source.spacing) == ((50, 41), 3, np.uint16, (0.5, 0.5))
        expected = np.moveaxis(pixels[page.index // 2, :, page.index % 2], 0, -1)
        np.testing.assert_array_equal(source.read(), expected)
        np.testing.assert_array_equal(source.read(WINDOW), expected[WINDOW.slices])


@pytest.mark.parametrize("axes", ["yx", "cyx", "tyx", "czyx"])
def test_every_axis_but_y_and_x_may_be_missing(tmp_path: Path, axes: str) -> None:
    pixels = noise(*(3, 2)[: len(axes) - 2], 50, 41)
    path = ome_zarr(tmp_path / "a.zarr", pixels, axes)
    sizes = dict(zip(axes, pixels.shape, strict=True))
    assert len(pages(path)) == sizes.get("t", 1) * sizes.get("z", 1)
    last = open_image(path, len(pages(path)) - 1)
    assert last.channels == sizes.get("c", 1)
    np.testing.assert_array_equal(last.read()[..., -1], pixels[(-1,) * (len(axes) - 2)])


@pytest.mark.parametrize(
    ("shape", "count", "channels"), [((20, 30), 1, 1), ((20, 30, 3), 1, 3), ((2, 20, 30), 2, 1), ((2, 20, 30, 2), 2, 2)]
)
def test_a_bare_array_is_read_as_a_npy_is(tmp_path: Path, shape: tuple[int, ...], count: int, channels: int) -> None:
    pixels = noise(*shape)
    zarr.save_array(tmp_path / "a.zarr", pixels)
    np.save(tmp_path / "a.npy", pixels)
    assert len(pages(tmp_path / "a.zarr")) == count
    for index in range(count):
        source = open_image(tmp_path / "a.zarr", index)
        assert (source.channels, source.spacing) == (channels, None)
        np.testing.assert_array_equal(source.read(), open_image(tmp_path / "a.npy", index).read())


def test_named_dimensions_say_what_the_shape_does_not(tmp_path: Path) -> None:
    pixels = noise(3, 20, 30)
    array = zarr.create_array(tmp_path / "a.zarr", data=pixels, dimension_names=["c", "y", "x"])
    assert array.shape == (3, 20, 30)
    np.testing.assert_array_equal(open_image(tmp_path / "a.zarr").read(), np.moveaxis(pixels, 0, -1))


def test_a_level_or_an_image_within_a_store_can_be_named(tmp_path: Path) -> None:
    pixels = noise(50, 41)
    path = ome_zarr(tmp_path / "a.zarr", pixels, "yx")
    np.testing.assert_array_equal(open_image(path / "0").read()[..., 0], pixels)


def test_the_one_series_of_bioformats2raw_is_the_image(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "a.zarr", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    pixels = noise(50, 41)
    ome_zarr(tmp_path / "a.zarr" / "0", pixels, "yx")
    np.testing.assert_array_equal(open_image(tmp_path / "a.zarr").read()[..., 0], pixels)
    ome_zarr(tmp_path / "a.zarr" / "1", pixels, "yx")
    with pytest.raises(ImageError, match=r"a\.zarr holds 2 images: 0, 1\. Name one of them, such as .*a\.zarr/0"):
        open_image(tmp_path / "a.zarr")


def test_both_scales_count_and_units_that_are_no_length_do_not(tmp_path: Path) -> None:
    twice = [{"type": "scale", "scale": [2.0, 3.0]}]
    path = ome_zarr(tmp_path / "a.zarr", noise(9, 9), "yx", coordinateTransformations=twice)
    assert open_image(path).spacing == (1.0, 1.5)
    path = ome_zarr(tmp_path / "b.zarr", noise(9, 9), "yx", axes=[{"name": "y"}, {"name": "x", "unit": "pixel"}])
    assert open_image(path).spacing is None


def test_two_levels_of_a_boolean_array_are_0_and_1(tmp_path: Path) -> None:
    pixels = noise(20, 30) > 128
    zarr.save_array(tmp_path / "a.zarr", pixels)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.zarr"), pixels.astype(np.uint8))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_damaged_chunk_is_named_and_the_others_are_read(tmp_path: Path, zarr_format: int) -> None:
    pixels = noise(50, 41)
    path = ome_zarr(tmp_path / "a.zarr", pixels, "yx", zarr_format)
    chunk = path / "0" / ("c/1/0" if zarr_format == 3 else "2.0")  # of 32 and of 16 rows
    chunk.write_bytes(b"\xff" * chunk.stat().st_size)
    source = open_image(path)
    good = Window((0, 0), (32, 41))
    np.testing.assert_array_equal(source.read(good)[..., 0], pixels[good.slices])
    with pytest.raises(DamagedPiece, match=r"a\.zarr: the chunk of rows 32 to 47, columns 0 to 15 cannot be read") as e:
        source.read(Window((10, 3), (45, 40)))
    assert e.value.window == Window((32, 0), (48, 16))


def test_only_the_chunks_of_a_window_are_read(tmp_path: Path) -> None:
    path = ome_zarr(tmp_path / "a.zarr", noise(50, 41), "yx")
    for chunk in (path / "0").glob("[0-9].[0-9]"):
        if chunk.name not in ("1.0", "1.1"):
            chunk.write_bytes(b"no chunk")
    assert open_image(path).read(Window((16, 0), (32, 32))).shape == (16, 32, 1)


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": axes_of("xy")}, "has the axes x, y; we take t, c, z, y and x in this order"),
        ({"axes": [{"name": "y"}, {"name": "wavelength"}]}, "has the axes y, wavelength; we take"),
        (
            {"axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "angle"}]},
            "its axis x one of the type 'angle'",
        ),
        (
            {"axes": axes_of("zyx")},
            r"has OME-Zarr metadata that we cannot read \(ValueError: 2 numbers of a scale for 3",
        ),
        ({"axes": ["y", "x"]}, r"metadata that we cannot read \(TypeError"),
        ({"datasets": []}, r"metadata that we cannot read \(IndexError"),
        ({"datasets": [{"path": "5"}]}, r"cannot be read as Zarr: .*5.*copy it again, whole"),
        ({"datasets": [{"path": "../b.zarr/0"}]}, "cannot be read as Zarr"),
        (
            {"axes": axes_of("zyx"), "datasets": [{"path": "0"}]},
            r"the axes z, y, x, but its array has the shape \(9, 9\)",
        ),
    ],
)
def test_metadata_in_doubt_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = ome_zarr(tmp_path / "a.zarr", noise(9, 9), "yx", **changes)
    with pytest.raises(ImageError, match=message):
        open_image(path)


def test_groups_that_are_no_image_are_refused(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "a.zarr")
    with pytest.raises(ImageError, match=r"a\.zarr is a Zarr group that says of no image in it \('multiscales'\)"):
        open_image(tmp_path / "a.zarr")
    zarr.create_group(tmp_path / "b.zarr").attrs["ome"] = {"version": "0.5", "plate": {}}
    with pytest.raises(ImageError, match=r"It is a plate: name a field .* PLATE\.zarr/A/1/0"):
        open_image(tmp_path / "b.zarr")
    (tmp_path / "c.zarr").mkdir()
    with pytest.raises(ImageError, match=r"c\.zarr cannot be read as Zarr: .* copy it again, whole"):
        open_image(tmp_path / "c.zarr")
    (tmp_path / "d.zarr").write_bytes(b"a file")
    with pytest.raises(ImageError, match=r"d\.zarr cannot be read as Zarr"):
        open_image(tmp_path / "d.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_damaged_metadata_are_an_error_of_ours(tmp_path: Path, zarr_format: int) -> None:
    path = ome_zarr(tmp_path / "a.zarr", noise(20, 20), "yx", zarr_format)
    for file in [f for f in path.rglob("*") if f.name in (".zarray", ".zattrs", ".zgroup", "zarr.json")]:
        sound = file.read_bytes()
        for at in range(0, len(sound), 97):
            file.write_bytes(sound[:at] + b"\x00" + sound[at + 1 :])
            with contextlib.suppress(ImageError):  # anything else would come through
                open_image(path).read()
        file.write_bytes(sound)


def test_codecs_that_we_do_not_know_are_refused(tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "a.zarr", noise(20, 20), zarr_format=2)
    header = tmp_path / "a.zarr" / ".zarray"
    described = json.loads(header.read_text())
    foreign = {"id": "astype", "encode_dtype": "|u1", "decode_dtype": "|u1"}
    header.write_text(json.dumps(described | {"filters": [foreign]}))
    with pytest.raises(ImageError, match=r"is compressed with astype, which we do not read; we take .*blosc.*zstd"):
        open_image(tmp_path / "a.zarr")
    for described["dtype"] in ("|u1", "|O"):
        header.write_text(json.dumps(described | {"filters": [{"id": "pickle"}]}))  # which could run code
        with pytest.raises(ImageError, match=r"pickle|values of type object"):
            open_image(tmp_path / "a.zarr").read()


def test_sizes_are_checked_before_memory_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(1 << 20, 1 << 20), chunks=(1 << 17, 1 << 17), dtype="uint8")
    with pytest.raises(ImageError, match=r"in chunks of 131072 x 131072, each of which takes 16\.0 GiB when decoded"):
        open_image(tmp_path / "a.zarr")
    zarr.create_array(tmp_path / "b.zarr", shape=(0, 9), chunks=(1, 9), dtype="uint8")
    with pytest.raises(ImageError, match=r"b\.zarr has "):
        open_image(tmp_path / "b.zarr")
    zarr.save_array(tmp_path / "c.zarr", np.zeros((9, 9), dtype=np.complex64))
    with pytest.raises(ImageError, match="has values of type complex64; we take integers, floats and booleans"):
        open_image(tmp_path / "c.zarr")


def test_where_zarr_is_missing_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ome_zarr(tmp_path / "a.zarr", noise(9, 9), "yx")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtra, match=r'need the package zarr\. Install it: pip install "ushape\[large\]"'):
        open_image(path)
    assert ours.is_store(path)
