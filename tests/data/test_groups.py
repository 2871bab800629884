"""What belongs together, told from names."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.data.groups import grouped, merged
from ushape.data.pair import MaskFile, Pair
from ushape.images.source import Page


def pairs(*names: str) -> list[Pair]:
    return [Pair(n, Page(Path(f"{n}.png")), (MaskFile(Page(Path(f"{n}m.png"))),), None, "", "values") for n in names]


@pytest.mark.parametrize(
    ("names", "groups", "words"),
    [
        (["SC-HF-I-01-IM-0001-0048", "SC-HF-I-01-IM-0001-0059", "SC-N-02-IM-0001-0040"],
         ["SC-HF-I-01", "SC-HF-I-01", "SC-N-02"], "before the slice or frame"),
        (["patient001_frame01", "patient001_frame12", "patient005_frame01"],
         ["patient001", "patient001", "patient005"], "before the slice or frame"),
        (["a_z3", "a_z4", "b_z3"], ["a", "a", "b"], "before the slice or frame"),
        (["case12_left", "case12_right", "case7_left"], ["case12", "case12", "case7"], "by the patient or case"),
        (["patient1_frame1", "patient1_frame2", "patient1_frame3"], ["patient1"] * 3, "before the slice or frame"),
        (["00", "01", "02", "03"], ["00–03"] * 4, "names count from 00 to 03, an ordered sequence"),
        (["slice_9", "slice_10", "slice_11"], ["slice_9–slice_11"] * 3, "an ordered sequence"),
        (["1", "5", "23"], ["1", "5", "23"], "every image stands alone"),
        (["set1", "set2", "set3"], ["set1", "set2", "set3"], "every image stands alone"),
        (["21_training", "22_training", "23_training"], ["21_training", "22_training", "23_training"], "alone"),
        (["patient1_frame1", "patient2_frame1"], ["patient1_frame1", "patient2_frame1"], "every image stands alone"),
    ],
)  # fmt: skip
def test_names_tell_what_belongs_together(names: list[str], groups: list[str], words: str) -> None:
    done, rule = grouped(pairs(*names))
    assert [pair.group for pair in done] == groups
    assert words in rule
    assert rule.startswith(f"{len(set(groups))} group")


def test_copies_bring_their_groups_together() -> None:
    done, _ = grouped(pairs("a_z1", "a_z2", "b_z1", "b_z2", "c_z1", "c_z2", "d_z1", "d_z2"))
    joined = merged(done, [["a_z1", "b_z2"], ["b_z1", "d_z1"]])
    assert [pair.group for pair in joined] == ["a", "a", "a", "a", "c", "c", "a", "a"]
