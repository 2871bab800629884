"""A volume is its slices as one array, whatever format holds them, read window by window."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
import zarr

from dicom_files import series
from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images import volume
from ushape.images.source import Page, from_array, mask_of, pages_of, read_mirrored, source_of, volumes

RNG = np.random.default_rng(8)
VOXELS = RNG.integers(0, 250, (6, 5, 7)).astype(np.uint8)  # z, y, x


def nifti(path: Path, voxels: np.ndarray, spacing: tuple[float, ...] = (5.0, 0.8, 0.7)) -> Path:
    """(…, z, y, x) voxels with spacings in mm, z first."""
    image = nibabel.Nifti1Image(voxels.T, np.diag([*spacing[::-1], 1.0]))
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


def itk(path: Path, voxels: np.ndarray) -> Path:
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing((0.7, 0.8, 5.0))
    SimpleITK.WriteImage(image, path)
    return path


def ngff(path: Path, voxels: np.ndarray) -> Path:
    """With an axis of channels, (c, z, y, x)."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=np.stack([voxels, voxels // 2]), chunks=(1, 4, 3, 5))
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1, 5.0, 0.8, 0.7]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def written(path: Path) -> Path:
    """The voxels in the format that the name asks for."""
    if path.name.endswith((".nii", ".nii.gz")):
        return nifti(path, VOXELS)
    if path.suffix == ".npy":
        np.save(path, VOXELS)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, VOXELS, photometric="minisblack", compression="zlib")
    elif path.suffix in (".mha", ".nrrd"):
        return itk(path, VOXELS)
    elif path.suffix == ".zarr":
        return ngff(path, VOXELS)
    else:
        series(path, VOXELS.astype(np.uint16))
    return path


@pytest.mark.parametrize("kept", [512 << 20, 0], ids=["slices kept", "windows only"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.npy", "a.tif", "a.mha", "a.nrrd", "a.zarr", "series"])
def test_windows_of_a_volume_are_those_of_its_array(tmp_path: Path, name: str, kept: int, monkeypatch):
    monkeypatch.setattr(volume, "KEPT_BYTES", kept)
    (page,) = volumes(written(tmp_path / name))
    source = source_of(page)
    assert source.shape == VOXELS.shape and page.name == name.split(".")[0]
    for window in [Window.whole(VOXELS.shape), Window((4, 1, 2), (6, 5, 3)), Window((0, 0, 0), (2, 2, 7))]:
        np.testing.assert_array_equal(source.read(window)[..., 0], VOXELS[window.slices])
    around = read_mirrored(source, Window((-3, -2, -4), (8, 6, 9)))
    np.testing.assert_array_equal(around[..., 0], np.pad(VOXELS, [(3, 2), (2, 1), (4, 2)], mode="reflect"))


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.zarr"])
def test_spacing_is_that_of_all_axes(tmp_path: Path, name: str):
    source = source_of(volumes(written(tmp_path / name))[0])
    np.testing.assert_allclose(source.spacing, (5000, 800, 700))
    assert source.plane_shape == (5, 7)
    np.testing.assert_allclose(source.plane_spacing, (800, 700))


def test_points_in_time_are_volumes_of_their_own(tmp_path: Path):
    voxels = RNG.integers(0, 250, (3, 4, 5, 7)).astype(np.uint8)
    found = volumes(nifti(tmp_path / "beats.nii.gz", voxels))
    assert [page.name for page in found] == ["beats_000", "beats_001", "beats_002"]
    assert str(found[1]).endswith("beats.nii.gz (point in time 1 of 0 to 2)")
    for page, expected in zip(found, voxels, strict=True):
        np.testing.assert_array_equal(mask_of(page), expected)
    with pytest.raises(ImageError, match="has 3 points in time, numbered from 0; there is no 3"):
        source_of(Page(tmp_path / "beats.nii.gz", 3, axes=3))


def test_each_slice_is_read_once_though_many_windows_touch_it(tmp_path: Path):
    path = written(tmp_path / "a.nii.gz")
    opened = []

    def open_slice(number: int):
        opened.append(number)
        return source_of(pages_of(path, 2)[number])

    source = volume.SlicedVolume(path, open_slice, volume.Stack(6))
    opened.clear()
    for y, x in [(0, 0), (0, 3), (2, 0)]:
        source.read(Window((1, y, x), (5, y + 2, x + 3)))
    assert opened == [1, 2, 3, 4]


def test_slices_of_different_sizes_make_no_volume(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(VOXELS[0])
        writer.write(VOXELS[1, :4])
    with pytest.raises(ImageError, match="no volume: slice 1 has 4 x 7 pixels of 1 x uint8, but the first has 5 x 7"):
        source_of(volumes(tmp_path / "a.tif")[0]).read()


def test_a_single_slice_is_no_volume(tmp_path: Path):
    np.save(tmp_path / "a.npy", VOXELS[0])
    with pytest.raises(ImageError, match="is no volume: it has a single slice"):
        volumes(tmp_path / "a.npy")


def test_values_that_are_no_numbers_are_told_with_their_slice(tmp_path: Path):
    voxels = VOXELS.astype(np.float32)
    voxels[2, 3, 4] = np.nan
    with pytest.raises(ImageError, match="the first at slice 2, row 3, column 4"):
        source_of(volumes(nifti(tmp_path / "a.nii", voxels))[0]).read(Window((1, 1, 1), (5, 5, 7)))


def test_arrays_are_volumes_where_asked_for():
    assert from_array(VOXELS, axes=3).shape == VOXELS.shape
    with pytest.raises(ImageError, match=r"we take \(D, H, W\) or \(D, H, W, C\)"):
        from_array(VOXELS[0], axes=3)
