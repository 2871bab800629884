"""k trainings, each without a fold: nothing of the fold is looked at, nothing is trained twice, and all is judged."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ushape import checkpoint
from ushape.errors import CheckpointError, DataError, OutputError, RecipeError, TrainingError
from ushape.evaluate import RunEvaluation, Scored
from ushape.images.simulated import write_folder
from ushape.predict.tiled import load
from ushape.repetition import InMember, MemberBegun, MemberEnded
from ushape.repetition.crossvalidation import usual_number
from ushape.train.continuation import train_on


def run(repetition) -> list[object]:
    return list(repetition.events())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(folder).model.state_dict()


def same(first: Path, second: Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


# Each network, and what it saw


def test_every_image_is_judged_once_by_a_network_that_never_saw_it(done):
    judged = [pair.name for member in done.members for pair in member.judged]
    assert sorted(judged) == sorted(pair.name for pair in done.found.pairs)
    for member in done.members:
        about = checkpoint.read(done.out / member.name).provenance
        seen = {*about["training"], *about["validation"]}
        assert len(seen) == 4 and not seen & {pair.name for pair in member.judged}


def test_other_pixels_in_a_fold_leave_its_network_as_it_is_to_the_last_bit(folded, cells, done, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(cells, data)
    for pair in done.members[0].judged:
        for kind in ("images", "masks"):
            path = data / kind / f"{pair.name}.png"
            Image.fromarray(np.asarray(Image.open(path))[::-1].copy()).save(path)
    changed = folded(tmp_path / "out", data=data)
    events = changed.events()
    next(event for event in events if isinstance(event, MemberEnded))
    events.close()
    assert [p.name for p in changed.members[0].judged] == [p.name for p in done.members[0].judged]
    assert same(tmp_path / "out" / "fold-1", done.out / "fold-1")


def test_the_scores_are_those_of_an_evaluation_of_each_network(done):
    results = done.results()
    for member, judged in zip(done.members, results.members, strict=True):
        names = ",".join(pair.name for pair in member.judged)
        alone = RunEvaluation(load(done.out / member.name, device="cpu"), done.data, include=names)
        list(alone.events())
        expected = {row.name: row.confusion.tolist() for row in alone.result().table.rows}
        rows = {row.name: row.confusion.tolist() for row in results.evaluation.table.rows}
        assert expected == {name: rows[name] for name in expected}
        assert judged.means["dice"] == pytest.approx(alone.result().table.summary().foreground.dice.mean)
    assert results.evaluation.trained_on == ()


def test_masks_are_those_of_the_network_that_never_saw_the_image(done):
    for member in done.members:
        predictor = load(done.out / member.name, device="cpu")
        for pair in member.judged:
            mask = np.asarray(Image.open(done.out / "out-of-fold" / f"{pair.name}.png"))
            assert (mask == predictor.segment(np.asarray(Image.open(pair.image.path)))).all()


def test_all_networks_together_answer_as_one(done):
    predictor = load(done.out, device="cpu")
    assert len(predictor.members) == 3
    names = {pair.name for pair in done.found.pairs}
    assert set(predictor.trained.provenance["training"]) <= names
    everything = RunEvaluation(predictor, done.data)
    list(everything.events())
    assert set(everything.result().trained_on) == set(predictor.trained.provenance["training"])


# Going on


def test_events_tell_where_it_is(folded, tmp_path):
    events = run(folded(tmp_path / "out", number=2))
    assert [(e.name, e.number, e.members) for e in events if isinstance(e, MemberBegun)] == [
        ("fold-1", 1, 2),
        ("fold-2", 2, 2),
    ]
    progress = [e.progress for e in events if isinstance(e, MemberBegun | InMember | MemberEnded)]
    assert progress == sorted(progress) and (progress[0], progress[-1]) == (0, 1)
    assert [(e.done, e.total) for e in events if isinstance(e, Scored)] == [(n, 6) for n in range(1, 7)]


@pytest.mark.parametrize("stop_after", [1, 3, 8])
def test_stopped_anywhere_it_ends_with_the_same_networks_and_trains_none_twice(folded, done, tmp_path, stop_after):
    events = folded(tmp_path / "out").events()
    list(islice(events, stop_after))
    events.close()
    again = folded(tmp_path / "out")
    finished = again.finished
    begun = [event.name for event in run(again) if isinstance(event, MemberBegun)]
    assert begun == [m.name for m in again.members if m.name not in finished]
    assert all(same(tmp_path / "out" / m.name, done.out / m.name) for m in again.members)
    assert again.results().to_dict()["scores"] == done.results().to_dict()["scores"]


def test_what_is_not_done_answers_nothing_yet(folded, tmp_path):
    events = folded(tmp_path / "out").events()
    next(event for event in events if isinstance(event, MemberEnded))
    events.close()
    with pytest.raises(CheckpointError, match=r"Of the 3 networks .* 2 are not trained to the end yet: fold-2, fold-3"):
        load(tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"number": 2}, "there were 3 folds and are 2"),
        ({"tables": {"seed": 3}}, "seed of the recipe was 0 and is 3"),
        ({"tables": {"training": {"steps": 4}}}, "training.steps of the recipe was 3 and is 4"),
        ({"tables": {"data": {"group_by": ".*", "include": "cells_00[0-4]"}}}, "of the images cells_005 are gone"),
    ],
)
def test_other_wishes_are_refused_with_the_difference(folded, done, changed, difference):
    with pytest.raises(CheckpointError) as refused:
        folded(done.out, **changed)
    assert difference in str(refused.value) and "begin anew with --overwrite" in str(refused.value)


def test_overwriting_begins_anew_and_takes_away_only_its_own(folded, tmp_path):
    run(folded(tmp_path / "out", number=3))
    (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    anew = folded(tmp_path / "out", number=2, overwrite=True)
    assert (tmp_path / "out" / "fold-3").exists(), "nothing is lost before it begins"
    run(anew)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"ensemble.json", "fold-1", "fold-2", "notes.txt"}


def test_what_was_planned_once_is_kept_whatever_the_machine_says_now(folded, tmp_path, monkeypatch):
    events = folded(tmp_path / "out").events()
    next(events)
    events.close()
    monkeypatch.setattr("ushape.repetition.beginning.plan", None)
    assert folded(tmp_path / "out").plan.recipe.training.steps == 3


def test_a_lost_training_is_told_by_its_fold(folded, tmp_path, monkeypatch):
    def losing(data, out, recipe, **options):
        if out.name == "fold-2":
            raise TrainingError("The loss became nan at step 2.")
        return train_on(data, out, recipe, **options)

    monkeypatch.setattr("ushape.repetition.member.train_on", losing)
    with pytest.raises(TrainingError, match="fold-2: The loss became nan at step 2"):
        run(folded(tmp_path / "out"))


def test_fewer_groups_than_five_are_left_out_one_by_one(folded, tmp_path):
    write_folder(tmp_path / "data", "cells", count=3, height_width=(48, 48), seed=2)
    assert usual_number(folded(tmp_path / "six").found.pairs) == 5
    three = folded(tmp_path / "three", data=tmp_path / "data", number=None)
    assert [len(member.judged) for member in three.members] == [1, 1, 1]


# What cannot be


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"number": 1}, RecipeError, "give --folds 2 or more"),
        ({"number": 7}, DataError, "7 folds cannot be made of 6 groups"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(folded, tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        folded(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_class_that_a_fold_would_take_with_it_is_named(folded, tmp_path):
    write_folder(tmp_path / "data", "cells", count=4, height_width=(48, 48), seed=2)
    mask = tmp_path / "data" / "masks" / "cells_000.png"
    Image.open(mask).point(lambda value: value // 2 if value else 0).save(mask)
    with pytest.raises(DataError, match=r"nothing of a class to learn from: value 127 is only in cells_000"):
        folded(tmp_path / "out", data=tmp_path / "data")


def test_scores_that_the_classes_do_not_have_are_refused(folded, tmp_path):
    write_folder(tmp_path / "data", "cells", count=4, height_width=(48, 48), seed=2)
    for number in (0, 1, 2, 3):
        mask = tmp_path / "data" / "masks" / f"cells_00{number}.png"
        pixels = np.asarray(Image.open(mask)).copy()
        pixels[:4, :4] = 128
        Image.fromarray(pixels).save(mask)
    with pytest.raises(RecipeError, match="scores of isbi2012 are of one class"):
        folded(tmp_path / "out", data=tmp_path / "data", families=["isbi2012"])


def test_a_folder_of_something_else_is_left_alone(folded, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="holds something else"):
        folded(tmp_path, overwrite=True)


def test_masks_of_a_stack_that_several_networks_answer_are_refused(folded, tmp_path):
    rng = np.random.default_rng(0)
    for kind, top in (("images", 255), ("masks", 2)):
        (tmp_path / "data" / kind).mkdir(parents=True)
        pages = rng.integers(0, top, (6, 32, 32), dtype=np.uint8) * (255 if kind == "masks" else 1)
        np.save(tmp_path / "data" / kind / "stack.npy", pages.astype(np.uint8))
    with pytest.raises(OutputError, match=r"The pages of .*stack\.npy lie in several folds"):
        folded(tmp_path / "out", data=tmp_path / "data", masks=True, tables={"data": {}})
    assert folded(tmp_path / "out", data=tmp_path / "data", tables={"data": {}}).rule.endswith("neighbours are alike")
