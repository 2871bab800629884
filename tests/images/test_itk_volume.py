"""MetaImage and NRRD: slices and places as SimpleITK wrote them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from ushape.errors import ImageError, MissingExtra
from ushape.geometry.tiles import Window
from ushape.images.source import grid_of, open_image, pages

RNG = np.random.default_rng(8)
DIRECTION = Rotation.from_euler("xyz", (10, 20, 35), degrees=True).as_matrix()


def written(path: Path, pixels: np.ndarray, *, compressed: bool = False) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(pixels, isVector=False)
    axes = image.GetDimension()
    image.SetSpacing((0.7, 0.8, 5.0, 30.0)[:axes])
    image.SetOrigin((-90, 26, 72.5, 0)[:axes])
    direction = np.eye(axes)
    if axes > 2:
        direction[:3, :3] = DIRECTION
    image.SetDirection(direction.ravel())
    SimpleITK.WriteImage(image, str(path), useCompression=compressed)
    return image


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("shape", [(5, 7), (4, 5, 7), (3, 4, 5, 7)])
def test_pages_are_slices(tmp_path: Path, shape: tuple[int, ...], suffix: str, compressed: bool):
    pixels = RNG.integers(-900, 900, shape).astype(np.int16)
    path = tmp_path / f"heart{suffix}"
    written(path, pixels, compressed=compressed)
    wanted = pixels.reshape(-1, 5, 7)
    assert len(pages(path)) == len(wanted)
    for index, expected in enumerate(wanted):
        source = open_image(path, index)
        assert (source.shape, source.channels, source.dtype) == ((5, 7), 1, np.float32)
        np.testing.assert_array_equal(source.read()[..., 0], expected)
        np.testing.assert_array_equal(source.read(Window((1, 2), (4, 6)))[..., 0], expected[1:4, 2:6])
        assert source.spacing == pytest.approx((800, 700))


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_voxels_lie_where_simpleitk_puts_them(tmp_path: Path, suffix: str):
    image = written(tmp_path / f"a{suffix}", np.zeros((4, 8, 9), np.uint8))
    grid = grid_of(tmp_path / f"a{suffix}")
    assert grid is not None and grid.slice_spacing == pytest.approx(5000)
    for voxel in [(0, 0, 0), (8, 0, 3), (3, 7, 1)]:
        right, front, head = (grid.affine @ (*voxel, 1))[:3]
        np.testing.assert_allclose((-right, -front, head), image.TransformIndexToPhysicalPoint(voxel), atol=1e-9)


def test_a_header_without_spacing_measures_nothing(tmp_path: Path):
    written(tmp_path / "a.mha", np.zeros((4, 8, 9), np.uint8))
    kept = [line for line in (tmp_path / "a.mha").read_bytes().split(b"\n", 20) if not line.startswith(b"ElementSpac")]
    (tmp_path / "b.mha").write_bytes(b"\n".join(kept))
    assert open_image(tmp_path / "b.mha").spacing is None


def test_damage_is_told(tmp_path: Path):
    written(tmp_path / "a.mha", RNG.integers(0, 9, (4, 64, 64)).astype(np.uint8), compressed=True)
    content = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "cut.mha").write_bytes(content[:800])
    with pytest.raises(ImageError, match="cannot be read as a volume"):
        open_image(tmp_path / "cut.mha").read()
    (tmp_path / "huge.mha").write_bytes(content.replace(b"DimSize = 64 64 4", b"DimSize = 64000 64000 4"))
    with pytest.raises(ImageError, match=r"64000 x 64000 x 4 voxels, which .* bytes cannot hold"):
        open_image(tmp_path / "huge.mha")
    (tmp_path / "b.nrrd").write_bytes(b"NRRD0004\nnothing\n")
    with pytest.raises(ImageError, match="cannot be read as a volume"):
        open_image(tmp_path / "b.nrrd")


def test_the_voxels_of_a_header_must_be_beside_it(tmp_path: Path):
    written(tmp_path / "a.mhd", np.zeros((4, 8, 9), np.uint8))
    (tmp_path / "a.raw").unlink()
    with pytest.raises(ImageError, match=r"voxels are in a\.raw, which is not beside it"):
        open_image(tmp_path / "a.mhd")


def test_several_numbers_a_voxel_are_refused(tmp_path: Path):
    image = SimpleITK.GetImageFromArray(np.zeros((4, 8, 9, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(image, tmp_path / "a.mha")
    with pytest.raises(ImageError, match="3 numbers a voxel"):
        open_image(tmp_path / "a.mha")


def test_volumes_too_large_to_be_read_whole_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ushape.images.itk_volume.LARGEST_WHOLE_BYTES", 100)
    written(tmp_path / "a.mha", np.zeros((4, 8, 9), np.uint8))
    open_image(tmp_path / "a.mha").read()
    written(tmp_path / "b.mha", np.zeros((4, 8, 9), np.uint8), compressed=True)
    with pytest.raises(ImageError, match=r"can only be read whole; .* Save it as \.nii\.gz"):
        open_image(tmp_path / "b.mha")


def test_simpleitk_is_asked_for_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written(tmp_path / "a.mha", np.zeros((4, 8, 9), np.uint8))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(MissingExtra, match=r"SimpleITK reads: pip install 'ushape\[medical\]'"):
        open_image(tmp_path / "a.mha")


def test_plain_voxels_that_break_off_are_told(tmp_path: Path):
    written(tmp_path / "a.mha", RNG.integers(0, 99, (4, 64, 64)).astype(np.int16))
    (tmp_path / "a.mha").write_bytes((tmp_path / "a.mha").read_bytes()[:20_000])
    with pytest.raises(ImageError, match="64 x 64 x 4 voxels, which 20000 bytes cannot hold"):
        open_image(tmp_path / "a.mha")


def test_voxels_in_several_files_are_refused(tmp_path: Path):
    written(tmp_path / "a.mhd", np.zeros((4, 8, 9), np.uint8))
    header = (tmp_path / "a.mhd").read_bytes().replace(b"a.raw", b"slice%02d.raw 1 4 1")
    (tmp_path / "a.mhd").write_bytes(header)
    with pytest.raises(ImageError, match=r"over several files .* Save it as one file"):
        open_image(tmp_path / "a.mhd")
