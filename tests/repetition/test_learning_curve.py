"""Growing parts of a folder, judged on the same images; what twice as many would bring."""

from __future__ import annotations

import math

import pytest

from ushape import checkpoint
from ushape.errors import CheckpointError, DataError
from ushape.images.simulated import write_folder
from ushape.repetition import MemberBegun
from ushape.repetition.curve import with_twice_as_many
from ushape.report.repetition import write_repetition


def test_each_part_is_within_the_next_and_none_learns_from_what_judges(curve, tmp_path):
    begun = curve(tmp_path / "out")
    list(begun.events())
    assert [member.name for member in begun.members] == ["images-1", "images-2", "images-5"]
    judged = {pair.name for pair in begun.members[0].judged}
    learned: set[str] = set()
    for member in begun.members:
        about = checkpoint.read(begun.out / member.name).provenance
        seen = {*about["training"], *about["validation"]}
        assert seen > learned and not seen & judged and {pair.name for pair in member.judged} == judged
        learned = seen

    results = write_repetition(begun, "ushape crossvalidate --learning-curve")
    assert results.curve[0] == [1, 2, 5]
    first, second = results.findings()
    assert "with 1, " in first and "with 5 images to train on" in first
    assert "twice as many, 10, would bring it to about" in second or "nothing that these trainings can tell" in second
    assert results.to_dict()["scores"] == {}
    page = (begun.out / "report.html").read_text(encoding="utf-8")
    assert "What more images brought" in page and "deviation between means" not in page

    again = curve(tmp_path / "out")
    assert not [event for event in again.events() if isinstance(event, MemberBegun)]


def test_of_a_sequence_the_first_images_come_first(curve, tmp_path):
    begun = curve(tmp_path / "out", group_by="^(cells)")
    parts = {member.name: member.recipe.data.include for member in begun.members}
    assert parts["images-1"] == "cells_000" and parts["images-2"] == "cells_000,cells_001"


def test_too_few_images_make_none(curve, tmp_path):
    write_folder(tmp_path / "data", "cells", count=2, height_width=(48, 48), seed=2)
    with pytest.raises(DataError, match="2 annotated images in 2 groups make no learning curve"):
        curve(tmp_path / "out", data=tmp_path / "data")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_folds_is_not_gone_on_with(curve, folded, tmp_path):
    list(curve(tmp_path / "out").events())
    with pytest.raises(CheckpointError, match="it holds a learning curve, not a cross-validation"):
        folded(tmp_path / "out")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.6, 0.8, 0.9], 0.95), ([0.5, 0.5, 0.5], None), ([0.9, 0.8, 0.7], None), ([math.nan, 0.8, 0.9], None)],
)
def test_the_power_law_is_gone_on_with(scores, expected):
    assert with_twice_as_many([4, 8, 16], scores) == (None if expected is None else pytest.approx(expected))
