"""The whole journey on a scanner's files, through the command line: and nowhere a word of who the patient is."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from typer.testing import CliRunner

from dicom_files import IDENTIFIERS, series
from ushape.cli import app

RECIPE = """
[model]
width = 4
depth = 2

[training]
steps = 8
output_size = 32
batch = 2
validations = 1
"""
RNG = np.random.default_rng(12)


def typed(*words: str | Path) -> str:
    """What a command says, on standard output and error; it must succeed."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def patient(root: Path, name: str) -> None:
    """A series of bright squares, and a NIfTI mask of them on its grid, written by SimpleITK."""
    volume = RNG.integers(0, 300, (2, 40, 44)).astype(np.uint16)
    truth = np.zeros(volume.shape, np.uint8)
    truth[:, 12:26, 10:30] = 1
    volume[truth > 0] += 700
    folder = series(root / "images" / name, volume)
    image = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    mask = SimpleITK.GetImageFromArray(truth)
    mask.CopyInformation(image)
    (root / "masks").mkdir(exist_ok=True)
    SimpleITK.WriteImage(mask, root / "masks" / f"{name}.nii.gz")


def words_in(folder: Path) -> list[str]:
    """Files below a folder, compressed or not, that hold an identifier."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        content += gzip.decompress(content) if content[:2] == b"\x1f\x8b" else b""
        found += [f"{word} in {path}" for word in IDENTIFIERS if word.encode() in content]
    return found


def test_a_scanners_files_from_folder_to_scores_without_an_identifier(tmp_path: Path) -> None:
    data, run, masks = tmp_path / "data", tmp_path / "run", tmp_path / "masks"
    for name in ("case_1", "case_2", "case_3"):
        patient(data, name)
    assert len(words_in(data)) == 3 * 2 * len(IDENTIFIERS)  # what is looked for is there to be found
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    said = typed("check", data)
    assert "6 annotated, pages of 3 files" in said and "700 x 800 µm" in said.replace("800 x 700", "700 x 800")
    said += typed("train", data, "--out", run, "--recipe", tmp_path / "recipe.toml", "--device", "cpu")
    said += typed("predict", run, data / "images", "--out", masks, "--probability", "--overlay")
    said += typed("evaluate", run, data, "--json", tmp_path / "scores.json", "--metrics", "boundary")
    said += typed("evaluate", "--masks", masks, "--truth", data / "masks")
    said += typed("predict", run, data / "images" / "case_1", "--out", tmp_path / "one", "--json")
    (data / "images" / "case_1" / "copy.dcm").write_bytes(next((data / "images" / "case_2").iterdir()).read_bytes())
    broken = CliRunner().invoke(app, ["check", str(data)])
    assert broken.exit_code == 2 and "case_1 has 2 slices at most places" in broken.output
    (data / "images" / "case_1").rename(tmp_path / "gone")

    assert [word for word in IDENTIFIERS if word in said + broken.output] == []
    for folder in (run, masks, tmp_path / "one"):
        assert words_in(folder) == []
    assert not any(word in (tmp_path / "scores.json").read_text() for word in IDENTIFIERS)
    for made in ("case_2.nii.gz", "case_2_probability.nii.gz"):
        there, wanted = (
            SimpleITK.ReadImage(folder / name) for folder, name in ((masks, made), (data / "masks", "case_2.nii.gz"))
        )
        assert there.GetSize() == wanted.GetSize()
        for voxel in [(0, 0, 0), (43, 0, 1), (5, 39, 0)]:
            np.testing.assert_allclose(
                there.TransformIndexToPhysicalPoint(voxel), wanted.TransformIndexToPhysicalPoint(voxel), atol=1e-3
            )


@pytest.mark.real_data
def test_hearts_from_folder_to_masks_on_their_images(shared_data: Path, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for path in sorted((shared_data / "acdc" / kind).glob("patient00[15]_frame01.nii.gz")):
            (tmp_path / "data" / kind / path.name).symlink_to(path)
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    run, masks = tmp_path / "run", tmp_path / "masks"
    assert "2 groups" in typed("check", tmp_path / "data")
    typed("train", tmp_path / "data", "--out", run, "--recipe", tmp_path / "recipe.toml", "--device", "cpu")
    one = "patient001_frame01.nii.gz"
    typed("predict", run, tmp_path / "data" / "images" / one, "--out", masks)
    mask, image = nibabel.load(masks / one), nibabel.load(shared_data / "acdc" / "images" / one)
    assert mask.shape == image.shape and mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, image.affine)
    assert set(np.unique(np.asanyarray(mask.dataobj))) <= {0, 1, 2, 3}
