"""Names lose their format, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.images.suffix import stem_of, suffix_of


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [
        ("a.png", "a", ".png"),
        ("a.b.TIF", "a.b", ".tif"),
        ("a.nii", "a", ".nii"),
        ("a.nii.gz", "a", ".nii.gz"),
        ("a.v2.nii.GZ", "a.v2", ".nii.gz"),
        ("a.gz", "a", ".gz"),
        ("1.2.840.113.dcm", "1.2.840.113", ".dcm"),
        ("1.2.840.113", "1.2.840.113", ""),
        ("series", "series", ""),
    ],
)
def test_a_name_falls_into_stem_and_suffix(name: str, stem: str, suffix: str):
    assert (stem_of(Path("x.y") / name), suffix_of(Path("x.y") / name)) == (stem, suffix)
