"""The mask of a volume lies on the volume, for programs that are not ours, and says nothing of the patient."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from dicom_files import IDENTIFIERS, TURN, series
from ushape.errors import OutputError
from ushape.geometry.tiles import Window
from ushape.images.source import grid_of, open_image, pages, read_mask
from ushape.images.volume_mask import VolumeMask, mask_suffix

RNG = np.random.default_rng(10)
VALUES = RNG.integers(0, 4, (3, 4, 5, 7)).astype(np.uint8)
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN * (0.7, 0.8, 5)
AFFINE[:3, 3] = -90, 26, 72


def volume(path: Path, axes: int) -> Path:
    """A volume of 2 to 4 axes at `path`, with texts that must not be passed on."""
    voxels = np.zeros((7, 5, 4, 3), np.int16)[(slice(None),) * axes + (0,) * (4 - axes)]
    if path.suffix in (".nii", ".gz"):
        image = nibabel.Nifti1Image(voxels, AFFINE)
        image.set_qform(AFFINE, 1)
        image.header.set_xyzt_units("mm", "sec")
        image.header["descrip"], image.header["aux_file"] = IDENTIFIERS[0].encode(), IDENTIFIERS[1].encode()
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", IDENTIFIERS[3].encode()))
        image.to_filename(path)
    else:
        image = SimpleITK.GetImageFromArray(voxels.T, isVector=False)
        image.SetSpacing((0.7, 0.8, 5, 30)[:axes])
        image.SetOrigin((90, -26, 72, 0)[:axes])
        direction = np.eye(axes)
        if axes > 2:
            direction[:3, :3] = TURN
        image.SetDirection(direction.ravel())
        image.SetMetaData("PatientName", IDENTIFIERS[0])
        SimpleITK.WriteImage(image, str(path))
    return path


def write(path: Path, image: Path, values: np.ndarray, indices: list[int] | None = None) -> None:
    indices = list(range(len(values))) if indices is None else indices
    with VolumeMask(path, image, indices) as mask:
        for page in values:
            with mask.page(page.shape, page.dtype) as sink:
                sink.write(Window((1, 0), page.shape), page[1:])
                sink.write(Window((0, 0), (1, page.shape[1])), page[:1])


@pytest.mark.parametrize("axes", [2, 3, 4])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr"])
def test_a_mask_has_the_geometry_of_its_image(tmp_path: Path, suffix: str, axes: int):
    image = volume(tmp_path / f"image{suffix}", axes)
    values = VALUES.reshape(-1, 5, 7)[: len(pages(image))]
    path = tmp_path / f"mask{mask_suffix(image)}"
    write(path, image, values)
    ours, theirs = SimpleITK.ReadImage(str(path)), SimpleITK.ReadImage(str(image))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(ours).reshape(-1, 5, 7), values)
    for part in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(ours, part)() == pytest.approx(getattr(theirs, part)(), rel=1e-14, abs=1e-14)
    np.testing.assert_array_equal([read_mask(p.path, p.index) for p in pages(path)], values)
    assert not any(word.encode() in path.read_bytes() for word in IDENTIFIERS)
    assert [word for word in IDENTIFIERS if any(word in ours.GetMetaData(k) for k in ours.GetMetaDataKeys())] == []


def test_sform_and_qform_are_those_of_the_image_to_the_bit(tmp_path: Path):
    image = volume(tmp_path / "image.nii.gz", 3)
    write(tmp_path / "mask.nii.gz", image, VALUES[0])
    ours, theirs = nibabel.load(tmp_path / "mask.nii.gz").header, nibabel.load(image).header
    for form in ("get_sform", "get_qform"):
        for found, wanted in zip(getattr(ours, form)(coded=True), getattr(theirs, form)(coded=True), strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert (ours.get_zooms(), ours.get_xyzt_units()) == (theirs.get_zooms(), theirs.get_xyzt_units())
    assert (ours["descrip"], ours["aux_file"], len(ours.extensions)) == (b"", b"", 0)


@pytest.mark.parametrize("shape", [(4, 5, 7), (3, 4, 5, 7)])
def test_the_mask_of_a_series_lies_where_gdcm_puts_its_slices(tmp_path: Path, shape: tuple[int, ...]):
    folder = series(tmp_path / "series", np.zeros(shape, np.uint16))
    values = VALUES.reshape(-1, 5, 7)[: len(pages(folder))]
    path = tmp_path / f"mask{mask_suffix(folder)}"
    write(path, folder, values)
    mask, grid = SimpleITK.ReadImage(str(path)), grid_of(path)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(mask).reshape(-1, 5, 7), values)
    if len(shape) == 3:
        image = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
        for voxel in [(0, 0, 0), (6, 0, 3), (2, 4, 1)]:
            there = image.TransformIndexToPhysicalPoint(voxel)
            np.testing.assert_allclose(mask.TransformIndexToPhysicalPoint(voxel), there, atol=1e-3)
    wanted = grid_of(folder)
    assert grid is not None and wanted is not None and grid.difference(wanted) is None
    assert open_image(path).spacing == pytest.approx(open_image(folder).spacing)


def test_pages_that_are_not_predicted_stay_empty(tmp_path: Path):
    image = volume(tmp_path / "image.nii", 3)
    write(tmp_path / "mask.nii", image, VALUES[0, :2] + 1, [3, 1])
    found = [read_mask(p.path, p.index) for p in pages(tmp_path / "mask.nii")]
    np.testing.assert_array_equal(found, [VALUES[0, 0] * 0, VALUES[0, 1] + 1, VALUES[0, 0] * 0, VALUES[0, 0] + 1])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_pages_between_and_after_stay_empty_in_every_kind(tmp_path: Path, suffix: str):
    image = volume(tmp_path / f"image{suffix}", 4)
    write(tmp_path / f"mask{suffix}", image, VALUES.reshape(-1, 5, 7)[:3] + 1, [1, 4, 7])
    found = np.stack([read_mask(p.path, p.index) for p in pages(tmp_path / f"mask{suffix}")])
    expected = np.zeros_like(found)
    expected[[1, 4, 7]] = VALUES.reshape(-1, 5, 7)[:3] + 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("dtype", ["uint16", "uint32", "float32"])
def test_every_type_of_number_is_read_by_itk(tmp_path: Path, suffix: str, dtype: str):
    image = volume(tmp_path / f"image{suffix}", 3)
    values = (RNG.random((4, 5, 7)) * 60000).astype(dtype)
    write(tmp_path / f"mask{suffix}", image, values)
    found = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / f"mask{suffix}")))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_a_page_is_held_and_never_the_volume(tmp_path: Path, suffix: str):
    side, slices = 256, 60
    image = tmp_path / f"image{suffix}"
    if suffix.startswith(".nii"):
        nibabel.save(nibabel.Nifti1Image(np.zeros((side, side, slices), np.uint8), AFFINE), image)
    else:
        SimpleITK.WriteImage(SimpleITK.Image([side, side, slices], SimpleITK.sitkUInt8), str(image))
    assert len(pages(image)) == slices  # what is read of the image is read
    page = RNG.integers(0, 4, (side, side)).astype(np.uint8)
    tracemalloc.start()
    write(tmp_path / f"mask{suffix}", image, np.broadcast_to(page, (slices, side, side)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * page.nbytes < slices * page.nbytes / 4


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha"])
def test_nothing_is_left_of_a_mask_that_breaks_off(tmp_path: Path, suffix: str):
    image = volume(tmp_path / f"image{suffix}", 3)
    before = sorted(tmp_path.iterdir())
    with suppress(KeyboardInterrupt), VolumeMask(tmp_path / f"mask{suffix}", image, [0]) as mask:
        mask.page((5, 7), np.uint8)
        raise KeyboardInterrupt
    assert sorted(tmp_path.iterdir()) == before


def test_a_mask_is_not_replaced_unasked(tmp_path: Path):
    image = volume(tmp_path / "image.nii", 2)
    with pytest.raises(OutputError, match=r"image\.nii exists already"):
        VolumeMask(image, image, [0])


def test_what_has_no_grid_has_no_mask_on_it(tmp_path: Path):
    assert [mask_suffix(Path(name)) for name in ("a.png", "b.tif", "c.npy", "d.dcm")] == [None, None, None, ".nii.gz"]
