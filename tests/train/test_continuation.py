"""A training in a folder goes on from wherever it stopped, without being told where that is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch

from ushape import checkpoint
from ushape.recipe import ModelRecipe, Recipe, Stage, TrainingRecipe
from ushape.train.continuation import train_on
from ushape.train.loop import Stepped, Validated

CPU = torch.device("cpu")
Annotated = Callable[..., Path]


def recipe(*stages: Stage) -> Recipe:
    tiny = TrainingRecipe(steps=4, output_size=16, batch=1, validations=2, precision="float32")
    return Recipe(ModelRecipe("unet", {"width": 4, "depth": 1, "padding": "same"}), training=tiny, stages=stages)


@pytest.mark.parametrize("stages", [(), (Stage("unet", 1e-2), Stage("unet", 1e-3))], ids=["one", "staged"])
@pytest.mark.parametrize("stop_after", [1, 4])
def test_stopped_anywhere_it_ends_with_the_same_network(
    annotated: Annotated, tmp_path: Path, stages: tuple[Stage, ...], stop_after: int
):
    data, wanted = annotated("a", "b", "c"), recipe(*stages)
    shares = [share for share, _ in train_on(data, tmp_path / "whole", wanted, device=CPU)]
    assert shares == sorted(shares) and shares[-1] == 1
    events = train_on(data, tmp_path / "stopped", wanted, device=CPU)
    list(islice(events, stop_after))
    events.close()
    list(train_on(data, tmp_path / "stopped", wanted, device=CPU))
    whole, stopped = (checkpoint.read(tmp_path / name).model.state_dict() for name in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    again = train_on(data, tmp_path / "whole", wanted, device=CPU)
    assert not any(isinstance(event, Stepped | Validated) for _, event in again)


def test_what_a_training_left_that_had_no_state_yet_makes_way(annotated: Annotated, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text("seed = 3", encoding="utf-8")
    list(train_on(annotated("a", "b"), tmp_path / "run", recipe(), device=CPU, command="ushape train"))
    about = checkpoint.read(tmp_path / "run")
    assert (about.recipe.seed, about.provenance["command"]) == (0, "ushape train")
