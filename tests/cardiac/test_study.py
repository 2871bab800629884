"""A folder of drawn hearts: from files to figures, whoever answered."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ushape.cardiac.indices import Indices
from ushape.cardiac.results import PatientFigures, Results
from ushape.cardiac.study import CardiacStudy, Heart
from ushape.cardiac.ventricle import Ventricle
from ushape.errors import DataError, RecipeError

Phantom = Callable[..., Ventricle]
REGIONS = {"endocardium": [3], "epicardium": [2, 3]}
VOXEL = (8.0, 1.5, 1.5)


def save(path: Path, slices: np.ndarray, *, measured: bool = True) -> None:
    """(S, H, W) as NIfTI, with VOXEL or with the header of a file that has lost it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([VOXEL[2], VOXEL[1], VOXEL[0], 1]) if measured else np.eye(4)
    image = nibabel.Nifti1Image(slices.T, affine)
    image.header.set_xyzt_units("mm" if measured else "unknown")
    nibabel.save(image, path)


def classes(ventricle: Ventricle) -> np.ndarray:
    assert ventricle.epicardium is not None
    return ventricle.epicardium * np.uint8(2) + ventricle.endocardium * np.uint8(1)


@pytest.fixture(scope="module")
def hearts(tmp_path_factory: pytest.TempPathFactory, heart: Phantom) -> Path:
    """Two patients at two moments, their bases cut off, and masks by a second reader who draws smaller cavities."""
    root = tmp_path_factory.mktemp("hearts")
    shape = {"voxel_mm": VOXEL, "shape": (14, 48, 48)}
    for number, radii in enumerate(((40, 24, 24), (44, 26, 25)), start=1):
        for frame, share in ((1, 1.0), (9, 0.7)):
            cavity = (radii[0], share * radii[1], share * radii[2])
            whole = classes(heart(cavity, 8, **shape))[5:]
            other = classes(heart((cavity[0], cavity[1] - 2, cavity[2] - 2), 10, **shape))[5:]
            name = f"patient{number:03d}_frame{frame:02d}.nii.gz"
            rng = np.random.default_rng(number)
            save(root / "data" / "images" / name, (60 * whole + rng.integers(0, 9, whole.shape)).astype(np.float32))
            save(root / "data" / "masks" / name, whole)
            save(root / "second" / name, other)
            save(root / "upside down" / "images" / name, 60 * whole[::-1].astype(np.float32), measured=False)
            save(root / "upside down" / "masks" / name, whole[::-1], measured=False)
            save(root / "second upside down" / name, other[::-1], measured=False)
    return root


@pytest.fixture(scope="module")
def read(hearts: Path) -> list[Heart]:
    found = list(CardiacStudy(hearts / "data", hearts / "second", regions=REGIONS).hearts())
    assert all(found)
    return [heart for heart in found if heart]


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


def test_a_study_adds_up_its_patients(read: list[Heart], tmp_path: Path) -> None:
    results = Results(tuple(PatientFigures.of(heart) for heart in read))
    bias = np.mean([heart.predicted.edv - heart.manual.edv for heart in read])
    assert results.agreement("edv").bias == pytest.approx(bias)
    whole, parts = results.contours("endocardium"), [results.contours("endocardium", phase) for phase in ("ED", "ES")]
    assert whole.drawn == sum(part.drawn for part in parts)
    apd = [s.apd for heart in read for _, s in heart.slices if s.region == "endocardium" and s.drawn == "both"]
    assert whole.apd == pytest.approx(np.mean(apd))
    results.write(tmp_path)
    about = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert about["agreement"]["ef"]["pairs"] == 2
    assert about["patients"][0]["manual"]["edv"] == pytest.approx(read[0].manual.edv)
    assert about["patients"][0]["walls"]["manual"][16] is None
    assert "not a medical device" in about["disclaimer"]
    with (tmp_path / "patients.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["predicted ef"]) == pytest.approx(read[1].predicted.ef)
    with (tmp_path / "contours.csv").open(encoding="utf-8") as file:
        contours = list(csv.DictReader(file))
    assert len(contours) == sum(len(heart.slices) for heart in read)
    assert {row["unit"] for row in contours} == {"mm"}


def test_patients_whose_size_is_not_known_stay_out_of_millilitres(read: list[Heart]) -> None:
    known, unknown = (PatientFigures.of(heart) for heart in read)
    unknown = replace(
        unknown,
        voxel_mm=None,
        manual=Indices(9000, 4000, 5000, 55.6, math.nan, False),
        predicted=Indices(8000, 4000, 4000, 50.0, math.nan, False),
    )
    results = Results((known, unknown))
    assert results.agreement("edv").pairs == 1 and results.agreement("ef").pairs == 2
    assert results.unit("edv") == "mL"
    assert results.contours("endocardium").drawn == len([s for _, s in known.slices if s.region == "endocardium"])
    assert Results((unknown,)).unit("edv") == "voxels"


def test_what_cannot_be_studied_is_refused(hearts: Path, tmp_path: Path) -> None:
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


def test_a_patient_without_a_ventricle_has_no_figures(hearts: Path, tmp_path: Path) -> None:
    for path in (hearts / "data" / "images").iterdir():
        mask = np.asarray(nibabel.load(hearts / "data" / "masks" / path.name).dataobj).T
        for place, slices in (("images", 60 * mask.astype(np.float32)), ("masks", mask * (path.name[9] == "2"))):
            save(tmp_path / place / path.name, slices)
    found = list(CardiacStudy(tmp_path, hearts / "second", regions=REGIONS).hearts())
    assert [heart is None for heart in found] == [True, False]


def test_one_class_alone_is_the_cavity(hearts: Path, tmp_path: Path) -> None:
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
