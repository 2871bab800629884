"""A folder of drawn hearts: from files to figures, whoever answered."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ushape.cardiac.study import CardiacStudy, Heart
from ushape.errors import DataError, RecipeError

REGIONS = {"endocardium": [3], "epicardium": [2, 3]}
VOXEL = (8.0, 1.5, 1.5)
Save = Callable[..., None]


def test_figures_are_those_of_the_masks(hearts: Path, read: list[Heart]) -> None:
    assert [heart.patient for heart in read] == ["patient001", "patient002"]
    for heart in read:
        volumes = {}
        for reader, folder in (("manual", hearts / "data" / "masks"), ("predicted", hearts / "second")):
            for frame in (1, 9):
                mask = np.asarray(nibabel.load(folder / f"{heart.patient}_frame{frame:02d}.nii.gz").dataobj)
                volumes[reader, frame] = (mask == 3).sum() * 8 * 1.5 * 1.5 / 1000
                volumes[reader, "wall", frame] = (mask == 2).sum() * 8 * 1.5 * 1.5 / 1000
        for reader, indices in (("manual", heart.manual), ("predicted", heart.predicted)):
            assert indices.edv == pytest.approx(volumes[reader, 1])
            assert indices.esv == pytest.approx(volumes[reader, 9])
            assert indices.mass == pytest.approx(1.05 * volumes[reader, "wall", 1])
        assert heart.manual.ef == pytest.approx(51, abs=1.5)  # 1 - .7 * .7
        assert heart.phases == "the larger and the smaller manual cavity"


def test_slices_have_levels_scores_and_pixels(read: list[Heart]) -> None:
    diastole = read[0].reading("ED")
    assert diastole is not None and diastole.frame == "patient001_frame01"
    assert diastole.levels[0] == "base"
    scores = [s for s in diastole.slices if s.region == "endocardium" and s.level == "mid"]
    assert [s.apd for s in scores] == pytest.approx([2] * len(scores), abs=0.7)  # mm by which the other draws less
    assert all(s.good for s in scores)
    assert len(diastole.pixels) == 9 and diastole.pixels[0].shape == (48, 48, 1)
    assert diastole.oddities == ()
    base = read[0].walls[0][:6]
    assert base == pytest.approx([8] * 6, abs=1)
    assert read[0].walls[1][0] > base[0]


def test_stacks_from_apex_to_base_are_turned_and_need_no_spacing(hearts: Path, read: list[Heart]) -> None:
    study = CardiacStudy(hearts / "upside down", hearts / "second upside down", regions=REGIONS)
    turned = list(study.hearts())
    for ours, theirs in zip(read, turned, strict=True):
        assert theirs is not None
        assert theirs.voxel_mm is None and not theirs.manual.in_ml
        assert theirs.predicted.ef == pytest.approx(ours.predicted.ef)
        assert [s.slice for _, s in theirs.slices] == [s.slice for _, s in ours.slices]
        assert [s.dice for _, s in theirs.slices] == pytest.approx([s.dice for _, s in ours.slices])
        assert (ours.from_base, theirs.from_base) == (True, None)
    told = CardiacStudy(hearts / "upside down", hearts / "second upside down", regions=REGIONS, voxel_mm=VOXEL)
    first = next(told.hearts())
    assert first is not None and first.manual == read[0].manual


def test_what_cannot_be_studied_is_refused(hearts: Path, tmp_path: Path, save: Save) -> None:
    with pytest.raises(RecipeError, match="figures of the heart need one that is called endocardium"):
        CardiacStudy(hearts / "data", hearts / "second", regions={"wall": [2]})
    save(tmp_path / "few" / "patient001_frame01.nii.gz", np.zeros((9, 48, 48), dtype=np.uint8))
    with pytest.raises(DataError, match="has no mask for 27 of 36 images: patient001_frame09_000"):
        CardiacStudy(hearts / "data", tmp_path / "few", regions=REGIONS)
    for path in (hearts / "data" / "masks").iterdir():
        save(tmp_path / "odd" / path.name, np.full((9, 48, 48), 7, dtype=np.uint8))
        save(tmp_path / "small" / path.name, np.zeros((9, 40, 48), dtype=np.uint8))
    with pytest.raises(DataError, match=r"has 40 x 48 pixels, but its image .* has 48 x 48"):
        CardiacStudy(hearts / "data", tmp_path / "small", regions=REGIONS)
    with pytest.raises(DataError, match="has the values 7, which are none of the manual masks' "):
        next(CardiacStudy(hearts / "data", tmp_path / "odd", regions=REGIONS).hearts())


def test_a_patient_without_a_ventricle_has_no_figures(hearts: Path, tmp_path: Path, save: Save) -> None:
    for path in (hearts / "data" / "images").iterdir():
        mask = np.asarray(nibabel.load(hearts / "data" / "masks" / path.name).dataobj).T
        for place, slices in (("images", 60 * mask.astype(np.float32)), ("masks", mask * (path.name[9] == "2"))):
            save(tmp_path / place / path.name, slices)
    found = list(CardiacStudy(tmp_path, hearts / "second", regions=REGIONS).hearts())
    assert [heart is None for heart in found] == [True, False]


def test_one_class_alone_is_the_cavity(hearts: Path, tmp_path: Path, save: Save) -> None:
    for path in (hearts / "data" / "images").iterdir():
        mask = np.asarray(nibabel.load(hearts / "data" / "masks" / path.name).dataobj).T
        for place, slices in (("images", 60 * mask.astype(np.float32)), ("masks", 255 * (mask == 3).astype(np.uint8))):
            save(tmp_path / place / path.name, slices)
    study = CardiacStudy(tmp_path, tmp_path / "masks")
    assert "the one class of the masks is taken for the cavity" in study.notes()[0]
    heart = next(study.hearts())
    assert heart is not None
    assert heart.manual.ef == heart.predicted.ef > 0 and math.isnan(heart.manual.mass)


@pytest.mark.real_data
def test_real_hearts_have_the_ejection_fractions_of_their_groups(shared_data: Path) -> None:
    """ACDC's first patients have a dilated cardiomyopathy, below 40 %; its files have lost their spacing."""
    study = CardiacStudy(
        shared_data / "acdc", shared_data / "acdc" / "masks", regions={**REGIONS, "right ventricle": [1]},
        include="patient001*,patient065*",
    )  # fmt: skip
    dilated, normal = study.hearts()
    assert dilated is not None and normal is not None
    assert dilated.manual.ef < 40 < 50 < normal.manual.ef
    assert dilated.voxel_mm is None and dilated.septum is not None
    assert all(scores.dice == 1 and scores.apd == 0 for _, scores in dilated.slices)
