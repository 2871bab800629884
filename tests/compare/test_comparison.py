"""All trainings of a comparison: fair, in their order, refused before they begin, and resumed at any moment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from ushape import checkpoint
from ushape.compare import CellBegun, CellEnded, Comparison, Entrant, InCell
from ushape.compare import comparison as module
from ushape.errors import CheckpointError, DataError, OutputError, RecipeError, TrainingError
from ushape.images.simulated import write_folder
from ushape.train.loop import Stepped
from ushape.train.stages import training

NETWORK = {"width": 2, "depth": 1, "padding": "same"}
TINY = {"output_size": 16, "batch": 1, "validations": 1, "precision": "float32"}


def run(comparison: Comparison) -> list[object]:
    return list(comparison.events())


def scored(comparison: Comparison) -> list[dict[str, object]]:
    """What every training scored, clocks aside."""
    return [cell.outcome().to_dict()["scores"] for cell in comparison.cells]


# What is the same for all


def test_every_entrant_of_a_seed_is_trained_and_scored_on_the_same_images(done):
    test = {pair.name for pair in done.division.test}
    for seed in done.seeds:
        splits = set()
        for entrant in done.entrants:
            cell = done.cell(entrant, seed)
            about = checkpoint.read(cell.folder).provenance
            splits.add((tuple(about["training"]), tuple(about["validation"])))
            assert {image.name for image in cell.outcome().scores.images} == test
            assert not test & {*about["training"], *about["validation"]}
        assert len(splits) == 1


def test_the_order_is_seed_by_seed_and_entrant_by_entrant(done):
    assert [(c.entrant.name, c.seed) for c in done.cells] == [("copy", 0), ("add", 0), ("copy", 1), ("add", 1)]


def test_a_finished_training_keeps_its_network_recipe_and_log_and_nothing_to_go_on_from(done):
    for cell in done.cells:
        kept = {"best.safetensors", "recipe.toml", "log.csv", "result.json"}
        assert {path.name for path in cell.folder.iterdir()} == kept


def test_what_a_training_took_is_measured(done):
    for cell in done.cells:
        outcome = cell.outcome()
        assert outcome.steps == 3 and outcome.seconds > 2 * outcome.step_seconds > 0
        assert outcome.seconds_per_megapixel > 0
        assert [(v.step, v.score) for v in outcome.curve] == [(3, pytest.approx(outcome.curve[0].score))]


# Events


def test_events_tell_where_the_comparison_is(compared, tmp_path):
    events = run(compared(tmp_path / "out", seeds=1))
    progress = [event.progress for event in events]
    assert progress == sorted(progress) and (progress[0], progress[-1]) == (0, 1)
    begun = [(e.entrant, e.number, e.cells) for e in events if isinstance(e, CellBegun)]
    assert begun == [("copy", 1, 2), ("add", 2, 2)]
    assert [e.complete for e in events if isinstance(e, CellEnded)] == [False, True]
    assert sum(isinstance(e, InCell) and isinstance(e.event, Stepped) for e in events) == 6


def test_a_finished_comparison_has_nothing_left_to_do(done, compared):
    assert run(compared(done.out)) == []


@pytest.mark.parametrize("stop_after", [1, 3, 5, 11])
def test_interrupted_anywhere_it_goes_on_to_the_same_scores(done, compared, tmp_path, stop_after):
    events = compared(tmp_path / "out").events()
    for _ in range(stop_after):
        next(events)
    events.close()
    again = compared(tmp_path / "out")
    run(again)
    assert scored(again) == scored(done)


def test_a_lost_training_is_told_and_the_others_go_on(compared, tmp_path, monkeypatch):
    def losing(data, out, recipe, **options):
        if recipe.model.options.get("skip") == "add":
            out.mkdir(parents=True)
            raise TrainingError("The loss became nan at step 2.")
        return training(data, out, recipe, **options)

    monkeypatch.setattr("ushape.train.continuation.training", losing)
    comparison = compared(tmp_path / "out", seeds=1)
    run(comparison)
    copy, add = comparison.results().standings
    assert (len(copy.outcomes), len(add.outcomes), len(add.failures)) == (1, 0, 1)
    assert "The training of add with seed 0 was lost: The loss became nan at step 2." in comparison.results().findings()


# What joins, and what is refused


def test_entrants_and_seeds_join_without_training_the_others_again(compared, tmp_path):
    run(compared(tmp_path / "out", seeds=1))
    deep = Entrant("deep", {"model": {"name": "unet", "options": {**NETWORK, "depth": 2}}})
    first = compared(tmp_path / "out", seeds=1).entrants
    begun = [e for e in run(compared(tmp_path / "out", entrants=(*first, deep), seeds=2)) if isinstance(e, CellBegun)]
    assert [(e.entrant, e.seed) for e in begun] == [("deep", 0), ("copy", 1), ("add", 1), ("deep", 1)]


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"steps": 4}, "training.steps of copy was 3 and is 4"),
        ({"tables": {"training": {**TINY, "batch": 2}}}, "training.batch of add was 1 and is 2"),
        ({"test": "cells_000"}, "of the test images"),
        ({"entrants": (Entrant("copy", {"model": {"name": "unet", "options": NETWORK | {"width": 3}}}),)}, "options"),
    ],
)
def test_other_terms_are_refused_with_the_difference(done, compared, changed, difference):
    with pytest.raises(CheckpointError) as refused:
        compared(done.out, **changed)
    assert difference in str(refused.value)


def test_other_pixels_are_refused(compared, tmp_path):
    write_folder(tmp_path / "data", "cells", count=6, height_width=(48, 48), seed=2)
    run(compared(tmp_path / "out", data=tmp_path / "data", seeds=1))
    image = tmp_path / "data" / "images" / "cells_000.png"
    Image.open(image).rotate(180).save(image)
    with pytest.raises(CheckpointError, match="cells_000 have changed"):
        compared(tmp_path / "out", data=tmp_path / "data", seeds=1)


def test_overwriting_begins_anew(compared, tmp_path):
    run(compared(tmp_path / "out", seeds=1))
    (tmp_path / "out" / "results.json").write_text("{}", encoding="utf-8")
    anew = compared(tmp_path / "out", seeds=1, steps=2, overwrite=True)
    assert (tmp_path / "out" / "results.json").exists(), "nothing is lost before it begins"
    events = run(anew)
    assert sum(isinstance(event, CellBegun) for event in events) == 2
    assert not (tmp_path / "out" / "results.json").exists()
    assert all(cell.outcome().steps == 2 for cell in anew.cells)


def test_every_entrant_that_cannot_be_is_named_before_anything_is_made(compared, tmp_path):
    entrants = (
        Entrant("narrow", {"model": {"name": "unet", "options": {"width": 0}}}),
        Entrant("good", {"model": {"name": "unet", "options": NETWORK}}),
        Entrant("hasty", {"model": {"name": "unet", "options": NETWORK}, "training": {"batch": 0}}),
        Entrant("mistaken", {"model": {"name": "unet", "options": {"widht": 3}}}),
    )
    with pytest.raises(RecipeError) as refused:
        compared(tmp_path / "out", entrants=entrants)
    lines = str(refused.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["narrow", "hasty", "mistaken"]
    assert "did you mean 'width'?" in lines[2]
    assert not (tmp_path / "out").exists()


def test_a_network_too_large_for_the_images_is_named(compared, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DEFAULT_MEMORY_BYTES", 2000)
    with pytest.raises(RecipeError, match=r"copy: .* too little for this network: the narrowest band"):
        compared(tmp_path / "out")


def test_classes_that_training_would_never_see_are_refused(compared, tmp_path):
    write_folder(tmp_path / "data", "cells", count=4, height_width=(48, 48), seed=2)
    mask = tmp_path / "data" / "masks" / "cells_000.png"
    Image.open(mask).point(lambda value: value // 2 if value else 0).save(mask)
    with pytest.raises(DataError, match="Choose test images, with --test, that leave some of every class"):
        compared(tmp_path / "out", data=tmp_path / "data", test="cells_000")


def test_a_folder_of_something_else_is_left_alone(compared, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="holds something else"):
        compared(tmp_path, overwrite=True)


# Objects


def test_objects_are_scored_where_masks_number_them(compared, tmp_path):
    write_folder(tmp_path / "data", "cells", count=5, height_width=(48, 48), seed=2, instances=True)
    told = {"training": TINY, "data": {"task": "instances"}}  # so few objects could be classes
    comparison = compared(tmp_path / "out", data=tmp_path / "data", seeds=1, tables=told)
    run(comparison)
    results = comparison.results()
    assert results.primary == "ap_50_95"
    assert results.shown == ["ap_50_95", "dice", "iou", "f1_50", "panoptic_quality"]
    about = json.loads((tmp_path / "out" / "cells" / "copy-0" / "result.json").read_text())
    assert {"seg", "det", "dice"} <= set(about["scores"]["images"][0]["scores"])


def test_equal_minutes_are_equal_shares_of_the_progress(compared, tmp_path):
    comparison = compared(tmp_path / "out", steps=None, minutes=0.01, seeds=1)
    assert {recipe.training.minutes for recipe in comparison.recipes.values()} == {0.01}
    ended = [event.progress for event in run(comparison) if isinstance(event, CellEnded)]
    assert ended == [0.5, 1]


def test_the_precision_is_measured_once_and_kept(compared, tmp_path, monkeypatch):
    terms = {"tables": {"training": {name: value for name, value in TINY.items() if name != "precision"}}, "seeds": 1}
    measured = iter(["bfloat16"])
    monkeypatch.setattr(module, "faster_precision", lambda device: next(measured))
    began = compared(tmp_path / "out", **terms)
    assert {recipe.training.precision for recipe in began.recipes.values()} == {"bfloat16"}
    next(began.events())
    went_on = compared(tmp_path / "out", **terms)
    assert went_on.recipes == {name: replace(recipe) for name, recipe in began.recipes.items()}


def test_a_folder_that_cannot_be_made_is_told(compared, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    comparison = compared(tmp_path / "file" / "out")
    with pytest.raises(OutputError, match="cannot be written"):
        next(comparison.events())
    assert isinstance(comparison.out, Path)
