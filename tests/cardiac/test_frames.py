"""Which images are a patient's, and which slice and moment each of them is."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from ushape.cardiac.frames import patients_of
from ushape.data.pair import MaskFile, Pair
from ushape.errors import DataError
from ushape.images.source import Page


def single(name: str, group: str = "p1") -> Pair:
    page = Page(Path(f"{name}.png"))
    return Pair(name, page, (MaskFile(page),), None, group, "values")


def stack(path: Path, group: str, pages: int) -> list[Pair]:
    found = [Page(path, index, pages) for index in range(pages)]
    return [Pair(page.name, page, (MaskFile(page),), None, group, "values") for page in found]


def volume(path: Path, shape: tuple[int, ...], affine: np.ndarray | None = None) -> Path:
    given = np.diag([1.5, 2.0, 8.0, 1.0]) if affine is None else affine
    image = nibabel.Nifti1Image(np.zeros(shape, dtype=np.uint8), given)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path


def test_a_volume_is_one_moment_with_the_size_of_its_voxels(tmp_path: Path) -> None:
    first = volume(tmp_path / "patient001_frame01.nii.gz", (6, 5, 4))
    last = volume(tmp_path / "patient001_frame12.nii.gz", (6, 5, 4), np.diag([1.5, -2.0, 8.0, 1.0]))
    pairs = [*stack(last, "patient001", 4), *reversed(stack(first, "patient001", 4))]
    (patient,) = patients_of(pairs)
    assert patient.name == "patient001"
    assert [(frame.name, frame.number) for frame in patient.frames] == [
        ("patient001_frame01", 1),
        ("patient001_frame12", 12),
    ]
    assert [pair.image.index for pair in patient.frames[0].pairs] == [0, 1, 2, 3]
    assert patient.frames[0].voxel_mm == pytest.approx((8, 2, 1.5))
    assert [frame.along_stack for frame in patient.frames] == [True, False]
    (told,) = patients_of(pairs, voxel_mm=(10, 1, 1))
    assert told.frames[1].voxel_mm == (10, 1, 1)


def test_of_a_patient_of_whom_some_sizes_are_lost_none_counts(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 3), dtype=np.uint8), np.eye(4)), tmp_path / "p_frame2.nii")
    first = volume(tmp_path / "p_frame1.nii", (6, 5, 3))
    pairs = [*stack(first, "p", 3), *stack(tmp_path / "p_frame2.nii", "p", 3)]
    (patient,) = patients_of(pairs)
    assert [frame.voxel_mm for frame in patient.frames] == [None, None]
    (alone,) = patients_of(pairs[:3])
    assert alone.frames[0].voxel_mm == pytest.approx((8, 2, 1.5))


def test_a_volume_with_time_is_a_moment_for_each(tmp_path: Path) -> None:
    path = volume(tmp_path / "patient7.nii", (6, 5, 3, 2))
    (patient,) = patients_of(stack(path, "patient7", 6))
    assert [(frame.name, frame.number, len(frame.pairs)) for frame in patient.frames] == [
        ("patient7, time 1", 1, 3),
        ("patient7, time 2", 2, 3),
    ]
    assert [pair.image.index for pair in patient.frames[1].pairs] == [3, 4, 5]


@pytest.mark.parametrize("name", ["p1_frame03", "p1_ED", "p1-es", "p1 end-diastole", "p1_t2"])
def test_what_names_the_moment_is_no_part_of_the_patient(tmp_path: Path, name: str) -> None:
    pairs = stack(volume(tmp_path / f"{name}.nii", (6, 5, 3)), name, 3)
    assert [patient.name for patient in patients_of(pairs)] == ["p1"]
    assert [patient.name for patient in patients_of(pairs, grouped=True)] == [name]


def test_single_images_say_their_slice_and_frame() -> None:
    names = ["p1_slice2_frame10", "p1_slice10_frame10", "p1_slice1_frame10", "p1_slice1_frame2"]
    (patient,) = patients_of([single(name) for name in names])
    assert [(frame.name, frame.number) for frame in patient.frames] == [("p1, frame 2", 2), ("p1, frame 10", 10)]
    assert [pair.name for pair in patient.frames[1].pairs] == [
        "p1_slice1_frame10",
        "p1_slice2_frame10",
        "p1_slice10_frame10",
    ]


def test_numbers_run_through_the_frames_of_a_slice() -> None:
    numbers = (48, 59, 68, 79, 88, 99)  # of Sunnybrook's SC-HF-I-01, 20 frames a slice
    pairs = [single(f"SC-HF-I-01-IM-0001-{number:04d}", "SC-HF-I-01") for number in numbers]
    (patient,) = patients_of(pairs, frames=20)
    found = {frame.number: [int(pair.name[-4:]) for pair in frame.pairs] for frame in patient.frames}
    assert found == {8: [48, 68, 88], 19: [59, 79, 99]}
    (slices,) = patients_of(pairs, frames=1)
    assert len(slices.frames) == 1 and len(slices.frames[0].pairs) == 6


def test_single_images_without_a_slice_are_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"of\? p1_a, p1_b\. Names may say it"):
        patients_of([single("p1_a"), single("p1_b"), single("p1_slice1")])
