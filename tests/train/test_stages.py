"""Trainings in stages: each begins where the one before ended, in one run folder, resumable in any of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ushape import checkpoint
from ushape.data.augment import Augmentation
from ushape.errors import CheckpointError, OutputError, RecipeError
from ushape.models import MODELS
from ushape.models.unet import UNet
from ushape.predict.tiled import load
from ushape.recipe import ModelRecipe, Recipe, Stage, TrainingRecipe, merged, read
from ushape.train.diary import read as read_log
from ushape.train.loop import Stepped, Validated
from ushape.train.run import Run
from ushape.train.session import resumed
from ushape.train.stages import StageBegun, StagedRun, finished_stages, stage_folder, training

CPU = torch.device("cpu")
Annotated = Callable[..., Path]
FALLING = (Stage("unet", 1e-2, share=2.0), Stage("unet", 1e-3), Stage("unet", 1e-4))


def recipe(stages: tuple[Stage, ...] = FALLING, **changes: Any) -> Recipe:
    tiny = {"steps": 8, "output_size": 16, "batch": 2, "validations": 2, "precision": "float32"} | changes
    model = ModelRecipe("unet", {"width": 4, "depth": 1, "padding": "same"})
    return Recipe(model=model, training=TrainingRecipe(**tiny), stages=stages)


def run(data: Path, out: Path, wanted: Recipe | None = None, **options: Any) -> StagedRun:
    return StagedRun(data, out, wanted or recipe(), device=CPU, **options)


def weights(path: Path) -> dict[str, Tensor]:
    return checkpoint.read_tensors(path)[0]


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_stages_share_the_budget_and_each_has_its_rate():
    alone = [recipe(steps=10).of_stage(n) for n in range(3)]
    assert [each.training.steps for each in alone] == [5, 3, 2]  # 2 : 1 : 1 of 10, none lost
    assert [each.training.learning_rate for each in alone] == [1e-2, 1e-3, 1e-4]
    assert all(each.stages == () for each in alone)
    timed = [recipe(steps=0, minutes=8.0).of_stage(n).training.minutes for n in range(3)]
    assert timed == pytest.approx([4.0, 2.0, 2.0])
    first, second, _ = (recipe(initial_weights="vgg16.safetensors").of_stage(n) for n in range(3))
    assert (first.training.initial_weights, second.training.initial_weights) == ("vgg16.safetensors", "")


def test_a_staged_recipe_comes_back_from_toml(tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_text(recipe().to_toml(), encoding="utf-8")
    assert '{ model = "unet", learning_rate = 0.001, share = 1.0 }' in path.read_text(encoding="utf-8")
    assert merged(Recipe(), read(path)) == recipe()


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((Stage("unett", 0.1),), r"no model 'unett'; did you mean 'unet'\?"),
        ((Stage("unet", 0.0),), "learning_rate of the stage unet is 0.0; it takes more than 0"),
        ((Stage("unet", 0.1, share=-1.0),), r"share of the stage unet is -1.0; it takes more than 0"),
        ((Stage("unet", 0.1),) * 9, "8 steps are too few for 9 stages"),
    ],
)
def test_stages_that_cannot_be_are_refused(stages: tuple[Stage, ...], words: str):
    with pytest.raises(RecipeError, match=words):
        recipe(stages)


def test_the_last_stage_is_the_network_of_the_recipe(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(MODELS, "other", UNet)
    with pytest.raises(RecipeError, match=r"The last stage trains unet, but \[model\] is other; name the same"):
        replace(recipe(), model=ModelRecipe("other"))


def test_events_tell_the_stages_and_the_folder_holds_them_all(annotated: Annotated, tmp_path: Path):
    out = tmp_path / "run"
    running = run(annotated(*"abcde"), out)
    assert running.progress == 0
    events = list(running.events())
    begun = [event for event in events if isinstance(event, StageBegun)]
    assert begun == [StageBegun(n + 1, 3, "unet", rate) for n, rate in enumerate([1e-2, 1e-3, 1e-4])]
    assert [event.step for event in events if isinstance(event, Stepped)] == [1, 2, 3, 4, 1, 2, 1, 2]
    assert running.progress == 1 and running.position.startswith("stage 3 of 3, step 2")
    assert finished_stages(out) == ["unet"] * 3
    folders = [stage_folder(out, n, "unet").name for n in range(3)]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*folders, "best.safetensors", "last.safetensors", "log.csv", "recipe.toml", "stages.json"]
    )
    assert not (out / folders[0] / "state.safetensors").exists()
    assert equal(weights(out / "best.safetensors"), weights(out / folders[2] / "best.safetensors"))


def test_the_logs_of_all_stages_go_on_as_one(annotated: Annotated, tmp_path: Path):
    out = tmp_path / "run"
    list(run(annotated(*"abcde"), out).events())
    rows = read_log(out / "log.csv")
    assert [int(row["step"]) for row in rows if row["loss"]] == list(range(1, 9))
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    about = load(out).trained.provenance
    assert (about["step"], about["stages"]) == (8, ["unet"] * 3)
    assert about["seconds"] == seconds[-1]


def test_each_stage_begins_with_the_best_network_of_the_one_before(annotated: Annotated, tmp_path: Path):
    out = tmp_path / "run"
    running = run(annotated(*"abcde"), out)
    for event in running.events():
        if isinstance(event, StageBegun) and event.number > 1:
            before = weights(stage_folder(out, event.number - 2, "unet") / "best.safetensors")
            assert equal(before, running._run.trainer.model.state_dict())


@pytest.mark.parametrize("after", [2, 6, 7, 9, 10, 13])
def test_a_training_stopped_in_any_stage_ends_with_the_same_weights(annotated: Annotated, tmp_path: Path, after: int):
    data = annotated(*"abcde")
    list(run(data, tmp_path / "whole").events())
    out = tmp_path / "stopped"
    events = run(data, out).events()
    list(islice(events, after))
    events.close()
    list(run(data, out, resumed(out), resume=True).events())
    for name in ("best.safetensors", "last.safetensors"):
        assert equal(weights(out / name), weights(tmp_path / "whole" / name)), name


def test_a_complete_training_has_nothing_left_to_do(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    list(run(data, out).events())
    again = run(data, out, resumed(out), resume=True)
    assert again.progress == 1
    assert list(again.events()) == []


def test_an_earlier_training_is_kept_unless_it_is_to_be_replaced(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    list(run(data, out).events())
    (out / "2-notes").mkdir()
    with pytest.raises(OutputError, match=r"already holds a training .*stages\.json"):
        run(data, out)
    list(islice(run(data, out, recipe(FALLING[:1]), overwrite=True).events(), 3))
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["1-unet", "2-notes"]
    assert finished_stages(out) == []


def test_other_settings_of_any_stage_are_refused(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    events = run(data, out).events()
    list(islice(events, 3))
    events.close()
    with pytest.raises(CheckpointError, match="other settings: stages were unet, unet, unet and are unet, unet"):
        run(data, out, recipe(FALLING[:2]), resume=True)
    slower = (*FALLING[:2], Stage("unet", 1e-9))
    with pytest.raises(CheckpointError, match=r"learning_rate of stage 3 was 0\.0001 and is 1e-09\. Resume"):
        run(data, out, recipe(slower), resume=True)
    with pytest.raises(CheckpointError, match=r"training\.batch was 2 and is 3\. Resume"):
        run(data, out, recipe(batch=3), resume=True)
    list(run(data, out, resume=True).events())


@pytest.mark.parametrize(
    ("content", "reason"),
    [('{"done": 1}', "'finished' is missing"), ("{", "Expecting property name"), ("3", "not sub")],
)
def test_a_damaged_list_of_stages_is_refused(annotated: Annotated, tmp_path: Path, content: str, reason: str):
    out = tmp_path / "run"
    out.mkdir()
    (out / "stages.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"stages\.json is damaged: .*{reason}.*Start the training anew"):
        run(annotated("a"), out, resume=True)


def test_a_stage_that_was_killed_before_its_first_state_begins_anew(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    list(run(data, tmp_path / "whole").events())
    running = run(data, out)
    for event in running.events():
        if isinstance(event, StageBegun) and event.number == 2:
            break
    folder = stage_folder(out, 1, "unet")
    for name in ("state.safetensors", "state-before.safetensors"):
        (folder / name).unlink(missing_ok=True)
    del running
    shutil.copy(out / "recipe.toml", folder / "state.safetensors")  # and the first stage's state was not yet removed
    shutil.copy(folder / "state.safetensors", stage_folder(out, 0, "unet"))
    (folder / "state.safetensors").unlink()
    list(run(data, out, resumed(out), resume=True).events())
    assert equal(weights(out / "best.safetensors"), weights(tmp_path / "whole" / "best.safetensors"))
    assert not (stage_folder(out, 0, "unet") / "state.safetensors").exists()


def test_a_training_that_was_killed_at_its_very_beginning_begins_anew(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    list(run(data, tmp_path / "whole").events())
    out.mkdir()
    shutil.copy(tmp_path / "whole" / "recipe.toml", out)
    list(run(data, out, resumed(out), resume=True).events())
    assert equal(weights(out / "best.safetensors"), weights(tmp_path / "whole" / "best.safetensors"))


def test_a_second_training_in_the_folder_is_refused(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    events = run(data, out).events()
    list(islice(events, 2))
    for how in ("resume", "overwrite"):
        with pytest.raises(OutputError, match=rf"A training is under way in {out}: process \d+ on"):
            run(data, out, **{how: True})
    events.close()
    list(run(data, out, resume=True).events())


def test_a_recipe_without_stages_is_one_training(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde")
    plain = training(data, tmp_path / "plain", recipe(()), device=CPU)
    staged = training(data, tmp_path / "staged", recipe(), device=CPU)
    assert isinstance(plain, Run) and isinstance(staged, StagedRun)
    assert any(isinstance(event, Validated) for event in staged.events())


def test_fcn_is_trained_in_three_stages_that_keep_what_was_learnt(annotated: Annotated, tmp_path: Path):
    strides = [Stage(f"fcn{stride}s", 1e-3) for stride in (32, 16, 8)]
    tiny = TrainingRecipe(steps=3, output_size=32, batch=1, validations=1, precision="float32")
    wanted = Recipe(model=ModelRecipe("fcn8s", {"width": 2}), training=tiny, stages=tuple(strides))
    out = tmp_path / "run"
    running = StagedRun(annotated(*"abcde"), out, wanted, device=CPU)
    for event in running.events():
        if isinstance(event, StageBegun) and event.number > 1:
            before = weights(stage_folder(out, event.number - 2, strides[event.number - 2].model) / "best.safetensors")
            begun = running._run.trainer.model.state_dict()
            assert all(torch.equal(begun[name], weight) for name, weight in before.items())
    assert type(load(out).trained.model).__name__ == "FCN8s"
    assert (out / "3-fcn8s" / "state.safetensors").exists()


@pytest.mark.parametrize("name", ["fcn-2015", "fcn-from-scratch"])
def test_the_recipes_of_fcn_train_32s_then_16s_then_8s_at_falling_rates(name: str):
    shipped = merged(Recipe(), read(name)).changed(training={"steps": 100})
    assert [stage.model for stage in shipped.stages] == ["fcn32s", "fcn16s", "fcn8s"]
    rates = [stage.learning_rate for stage in shipped.stages]
    assert rates == sorted(rates, reverse=True)
    assert [shipped.of_stage(n).training.steps for n in range(3)] == [60, 20, 20]


def test_the_published_rates_are_those_of_a_sum_over_the_pixels_of_a_patch():
    shipped = merged(Recipe(), read("fcn-2015"))
    pixels = shipped.training.output_size**2
    rates = [stage.learning_rate / pixels for stage in shipped.stages]
    assert rates == pytest.approx([1e-10, 1e-12, 1e-14], rel=0.01)
    assert (shipped.training.momentum, shipped.training.bias_rate, shipped.training.weight_decay) == (0.99, 2.0, 5e-4)
    assert shipped.augmentation == Augmentation.none()
