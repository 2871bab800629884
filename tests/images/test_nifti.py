"""NIfTI slices hold what SimpleITK finds in them, windows of any slice, and damage is told in words."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from ushape.errors import ImageError, MissingExtra
from ushape.geometry.tiles import Window
from ushape.images.source import grid_of, open_image, pages, read_mask

RNG = np.random.default_rng(6)
AFFINE = np.eye(4)
AFFINE[:3, :3] = Rotation.from_euler("xyz", (170, 20, 35), degrees=True).as_matrix() * (0.7, 0.8, 5.0)
AFFINE[:3, 3] = 90, 126, -72


def written(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE, unit: str = "mm") -> Path:
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units(unit)
    image.to_filename(path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 1), (7, 5, 4), (7, 5, 4, 3)])
def test_pages_are_the_slices_that_simpleitk_finds(tmp_path: Path, shape: tuple[int, ...], suffix: str):
    path = written(tmp_path / f"heart{suffix}", RNG.integers(-900, 900, shape).astype(np.int16))
    wanted = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)).reshape(-1, 5, 7)
    found = pages(path)
    assert len(found) == len(wanted)
    for page, expected in zip(found, wanted, strict=True):
        source = open_image(page.path, page.index)
        assert (source.shape, source.channels, source.dtype) == ((5, 7), 1, np.float32)
        np.testing.assert_array_equal(source.read()[..., 0], expected)


def test_windows_of_a_compressed_file_come_in_any_order(tmp_path: Path):
    voxels = RNG.random((40, 30, 6)).astype(np.float32)
    path = written(tmp_path / "a.nii.gz", voxels)
    for index in [5, 0, 3, 3, 2, 5]:
        for window in [Window((20, 0), (30, 11)), Window((0, 3), (7, 40))]:
            wanted = voxels[:, :, index].T[window.slices]
            np.testing.assert_array_equal(open_image(path, index).read(window)[..., 0], wanted)


def test_names_have_no_part_of_the_suffix(tmp_path: Path):
    path = written(tmp_path / "heart.v2.nii.gz", np.zeros((4, 4, 3), np.uint8))
    assert [page.name for page in pages(path)] == ["heart.v2_000", "heart.v2_001", "heart.v2_002"]


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1.0), ("micron", 1e-3), ("meter", 1e3)])
def test_the_grid_is_that_of_simpleitk(tmp_path: Path, unit: str, factor: float):
    path = written(tmp_path / "a.nii", np.zeros((9, 8, 4), np.uint8), unit=unit)
    image, grid = SimpleITK.ReadImage(path), grid_of(path)
    assert grid is not None
    np.testing.assert_allclose(grid.voxel_mm, np.array(image.GetSpacing()), rtol=1e-5)
    np.testing.assert_allclose(grid.voxel_mm, np.linalg.norm(AFFINE[:3, :3], axis=0) * factor, rtol=1e-6)
    for voxel in [(0, 0, 0), (8, 0, 3), (3, 7, 1)]:
        ours = (grid.affine @ (*voxel, 1))[:3] * (-1, -1, 1)
        np.testing.assert_allclose(ours, image.TransformIndexToPhysicalPoint(voxel), rtol=1e-4, atol=1e-5)
    y, x = open_image(path).spacing or (0, 0)
    np.testing.assert_allclose((x, y), np.array(grid.voxel_mm[:2]) * 1000)


def test_ones_without_a_unit_are_no_measurement(tmp_path: Path):
    voxels = np.zeros((4, 4, 3), np.uint8)
    assert open_image(written(tmp_path / "a.nii", voxels, np.eye(4), "unknown")).spacing is None
    assert open_image(written(tmp_path / "b.nii", voxels, np.eye(4), "mm")).spacing == (1000, 1000)
    assert open_image(written(tmp_path / "c.nii", voxels, np.diag([2, 3, 1, 1.0]), "unknown")).spacing == (3000, 2000)


def test_slope_and_intercept_are_applied(tmp_path: Path):
    image = nibabel.Nifti1Image(np.arange(24).reshape(4, 3, 2).astype(np.uint8), AFFINE)
    image.header.set_slope_inter(2.5, -100)
    image.to_filename(tmp_path / "a.nii.gz")
    wanted = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(tmp_path / "a.nii.gz"))
    source = open_image(tmp_path / "a.nii.gz", 1)
    assert source.dtype == np.float32
    np.testing.assert_allclose(source.read()[..., 0], wanted[1])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float64"])
def test_masks_are_whole_numbers_of_any_type(tmp_path: Path, dtype: str):
    values = RNG.integers(0, 4, (6, 5, 2)).astype(dtype)
    path = written(tmp_path / "a.nii.gz", values)
    np.testing.assert_array_equal(read_mask(path, 1), values[:, :, 1].T)


def test_numbers_beyond_what_floats_hold_are_refused(tmp_path: Path):
    path = written(tmp_path / "a.nii", np.full((3, 3), 2**24 + 1, np.int32))
    with pytest.raises(ImageError, match="whole numbers up to 16777217"):
        open_image(path).read()


def test_a_file_that_ends_early_is_told(tmp_path: Path):
    plain = written(tmp_path / "a.nii", RNG.integers(0, 99, (64, 64, 9)).astype(np.int16))
    zipped = written(tmp_path / "b.nii.gz", RNG.integers(0, 99, (64, 64, 9)).astype(np.int16))
    for path in (plain, zipped):
        path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ImageError, match="64 x 64 x 9 x 1 voxels, which its 9000 bytes cannot hold"):
        open_image(plain)
    open_image(zipped, 8)
    with pytest.raises(ImageError, match="cut short"):
        open_image(zipped, 8).read()


def test_a_header_that_claims_too_much_is_refused_before_it_is_read(tmp_path: Path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((30_000, 30_000, 30_000))
    header["magic"], header["vox_offset"] = b"n+1", 352
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(400)))
    with pytest.raises(ImageError, match="cannot hold"):
        open_image(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("content", [b"no header", bytes(400), RNG.bytes(600)])
def test_what_is_no_nifti_is_told(tmp_path: Path, content: bytes):
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(ImageError, match="cannot be read as NIfTI"):
        open_image(tmp_path / "a.nii")


def test_colours_and_five_axes_are_refused(tmp_path: Path):
    colours = np.zeros((4, 4, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(ImageError, match="Save one number per voxel"):
        open_image(written(tmp_path / "a.nii", colours))
    with pytest.raises(ImageError, match="4 x 4 x 2 x 1 x 3; we take 2 to 4"):
        open_image(written(tmp_path / "b.nii", np.zeros((4, 4, 2, 1, 3), np.float32)))


def test_orientations_that_contradict_each_other_are_refused(tmp_path: Path):
    image = nibabel.Nifti1Image(np.zeros((20, 20, 5), np.uint8), None)
    image.set_sform(np.diag([1, 1, 5, 1.0]), 1)
    image.set_qform(np.diag([-1, 1, 5, 1.0]), 1)
    image.to_filename(tmp_path / "a.nii")
    with pytest.raises(ImageError, match=r"sform and its qform both have the code 1, .* 38 mm apart"):
        open_image(tmp_path / "a.nii")
    image.set_qform(np.diag([-1, 1, 5, 1.0]), 2)  # another space: no contradiction
    image.to_filename(tmp_path / "b.nii")
    open_image(tmp_path / "b.nii")


def test_an_affine_without_depth_is_refused(tmp_path: Path):
    flat = np.diag([1, 1, 1, 1.0])
    flat[2, 2] = 0
    image = nibabel.Nifti1Image(np.zeros((4, 4, 2), np.uint8), None)
    image.header["sform_code"], image.header["srow_x"], image.header["srow_y"] = 1, flat[0], flat[1]
    image.to_filename(tmp_path / "a.nii")
    with pytest.raises(ImageError, match="places all voxels on a plane"):
        open_image(tmp_path / "a.nii")


def test_slices_too_large_for_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ushape.images.nifti.LARGEST_SLICE_BYTES", 30)
    written(tmp_path / "a.nii", np.zeros((6, 6, 2), np.uint8))
    open_image(tmp_path / "a.nii").read()
    with pytest.raises(ImageError, match=r"can only be read whole; .* Save it uncompressed"):
        open_image(written(tmp_path / "a.nii.gz", np.zeros((6, 6, 2), np.uint8)))


def test_nibabel_is_asked_for_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = written(tmp_path / "a.nii", np.zeros((6, 6, 2), np.uint8))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtra, match=r"nibabel reads: pip install 'ushape\[medical\]'"):
        open_image(path)


@pytest.mark.real_data
def test_hearts_are_read_as_nibabel_reads_them(shared_data: Path):
    for folder in ("images", "masks"):
        path = shared_data / "acdc" / folder / "patient001_frame01.nii.gz"
        wanted = np.asanyarray(nibabel.load(path).dataobj)
        for page in pages(path):
            np.testing.assert_array_equal(open_image(path, page.index).read()[..., 0], wanted[..., page.index].T)
