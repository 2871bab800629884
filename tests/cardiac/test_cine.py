"""Hearts that the network alone has drawn: phases by volume, frames that stand apart, figures against the drawing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cine_files import RADII_PX, VOXEL_ML, beating, cine_series
from level_network import HEART, REGIONS
from ushape.cardiac.answers import MaskAnswers
from ushape.cardiac.cine import CineHeart, CineStudy, course_oddities
from ushape.errors import DataError, RecipeError
from ushape.geometry.tiles import Window
from ushape.images.source import pages
from ushape.images.volume_mask import VolumeMask
from ushape.labels import Labels
from ushape.predict.sources import find_images

LABELS = Labels(HEART, (0, 1, 2, 3))


def study(root: Path, classes: np.ndarray, name: str = "heart", **options) -> CineStudy:
    """Of one patient; the answers are the drawing itself."""
    images = cine_series(root / "images" / name, classes)
    (root / "masks").mkdir(exist_ok=True)
    with VolumeMask(root / "masks" / f"{name}.nii.gz", images, range(len(pages(images)))) as mask:
        for page in classes.reshape(-1, *classes.shape[-2:]):
            with mask.page(page.shape, page.dtype) as sink:
                sink.write(Window((0, 0), page.shape), page)
    found = find_images([str(root / "images" / name)])
    return CineStudy(found, MaskAnswers(root / "masks", LABELS), options.pop("regions", REGIONS), **options)


def only(found: CineStudy) -> CineHeart:
    (heart,) = found.hearts()
    assert heart is not None
    return heart


def test_phases_and_figures_are_those_of_the_volumes(tmp_path: Path) -> None:
    classes = beating()
    heart = only(study(tmp_path, classes))
    cavity, wall = ((classes == k).sum(axis=(1, 2, 3)) * VOXEL_ML for k in (3, 2))
    assert [number for number, _ in heart.course] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [volume for _, volume in heart.course] == pytest.approx(cavity)
    assert {moment.phase: moment.frame for moment in heart.moments} == {"ED": "heart, time 2", "ES": "heart, time 6"}
    assert heart.phases == "the larger and the smaller predicted cavity of 8 frames"
    assert heart.indices.edv == pytest.approx(cavity[1]) and heart.indices.esv == pytest.approx(cavity[5])
    assert heart.indices.ef == pytest.approx(100 * (1 - cavity[5] / cavity[1]))
    assert heart.indices.mass == pytest.approx(1.05 * wall[1])
    assert heart.oddities == () and heart.moments[0].oddities == ()
    assert heart.septum == pytest.approx(180, abs=5) and heart.from_base is not None
    assert heart.moments[0].levels == ("base", "base", "mid", "apex")


def test_slices_from_the_apex_are_turned_round(tmp_path: Path) -> None:
    classes = beating()
    heart = only(study(tmp_path, classes[:, ::-1]))
    assert (heart.moments[0].ventricle.endocardium == (classes[1] == 3)).all()
    brightest = [float(pixels.max()) for pixels in heart.moments[0].pixels]
    assert (
        len(brightest) == 4 and heart.moments[0].pixels[0][24, 28 - 10, 0] > 250 > heart.moments[0].pixels[3][24, 18, 0]
    )


def test_a_frame_that_fails_is_told(tmp_path: Path) -> None:
    classes = beating()
    classes[2][classes[2] == 3] = 2
    heart = only(study(tmp_path, classes))
    assert heart.moments[1].frame == "heart, time 3"  # the smallest cavity: nothing is mended
    assert len(heart.oddities) == 1 and heart.oddities[0].startswith("Frame 3: the cavity has 0.0 mL, but ")
    assert heart.indices.ef == 100


def test_few_frames_and_slow_changes_are_not_odd() -> None:
    assert course_oddities([(1, 100.0), (2, 10.0), (3, 100.0)], "mL") == []
    assert course_oddities(list(enumerate((100.0, 80.0, 55.0, 41.0, 60.0, 85.0), 1)), "mL") == []
    assert len(course_oddities(list(enumerate((20.0, 80.0, 55.0, 41.0, 60.0, 85.0), 1)), "mL")) == 1  # the first one
    assert course_oddities([(n, 0.0) for n in range(9)], "mL") == []


def test_nothing_found_is_no_heart_and_missing_answers_are_named(tmp_path: Path) -> None:
    assert list(study(tmp_path, np.zeros_like(beating())).hearts()) == [None]
    found = find_images([str(tmp_path / "images" / "heart")])
    (tmp_path / "masks" / "heart.nii.gz").rename(tmp_path / "masks" / "other.nii.gz")
    with pytest.raises(DataError, match="has no mask for 32 of 32 images: heart_000, heart_001"):
        list(CineStudy(found, MaskAnswers(tmp_path / "masks", LABELS), REGIONS).hearts())


def test_regions_and_groups_are_checked_before_any_answer(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="figures of the heart need one that is called endocardium"):
        study(tmp_path / "a", beating(RADII_PX[:2]), regions={"heart": [3]})
    with pytest.raises(DataError, match="does not match 8 names of 8"):
        study(tmp_path / "b", beating(RADII_PX[:2]), group_by="^patient")
    grouped = study(tmp_path / "c", beating(RADII_PX[:2]), group_by="^he")
    assert [patient.name for patient in grouped.patients] == ["he"]
    assert grouped.notes() == [] and ("region endocardium", "cavity") in grouped.facts()


def test_too_few_slices_for_a_volume_are_told(tmp_path: Path) -> None:
    heart = only(study(tmp_path, beating(slices=1)))
    assert heart.oddities == (
        "The stack has 1 slice: volumes need slices from base to apex. Put all slices of a heart into one folder, or "
        "one file.",
    )
