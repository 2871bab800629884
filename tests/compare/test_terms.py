"""One set of terms → a recipe for each entrant, which differ in nothing but the network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ushape.compare.entrant import Entrant, entrants_named
from ushape.compare.terms import Terms, recipe_for
from ushape.errors import RecipeError
from ushape.models import MODELS
from ushape.recipe import DataRecipe, ModelRecipe
from ushape.train.prepare import look

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def looked(cells):
    return look(cells, DataRecipe())


def planned(entrant, terms, looked):
    return recipe_for(entrant, terms, *looked, DataRecipe(include="a,b"))


def test_recipes_differ_in_nothing_but_the_network(looked):
    of_images = [name for name, model in MODELS.items() if model.axes == 2]
    recipes = [planned(e, Terms(steps=9), looked) for e in entrants_named(",".join(of_images))]
    alone = {repr(replace(recipe, model=ModelRecipe(), stages=())) for recipe in recipes}
    assert len(alone) == 1
    assert [recipe.model.name for recipe in recipes] == of_images


def test_the_network_is_as_published_whatever_a_plan_would_choose(looked):
    (entrant,) = entrants_named("unet")
    assert planned(entrant, Terms(steps=9), looked).model == ModelRecipe("unet", {})


def test_what_fits_the_images_is_chosen_as_for_a_single_training(looked):
    (entrant,) = entrants_named("unet")
    recipe = planned(entrant, Terms(minutes=2), looked)
    assert recipe.training.output_size == 64  # of images of 48 px
    assert (recipe.training.minutes, recipe.training.steps) == (2, 0)
    assert recipe.data.include == "a,b"


def test_settings_for_all_count_and_those_of_an_entrant_before_them(looked):
    terms = Terms(steps=9, tables={"training": {"batch": 2, "output_size": 32}, "augmentation": {"flip": False}})
    recipe = planned(Entrant("own", {"training": {"batch": 3}}), terms, looked)
    assert (recipe.training.batch, recipe.training.output_size, recipe.augmentation.flip) == (3, 32, False)


def test_no_entrant_is_scored_with_flips_unless_its_settings_say_so(looked):
    (entrant,) = entrants_named("unet")
    assert planned(entrant, Terms(steps=9), looked).prediction.flips is False
    turned = Terms(steps=9, tables={"prediction": {"flips": True}})
    assert planned(entrant, turned, looked).prediction.flips is True


def test_the_budget_may_stand_in_the_settings(looked):
    (entrant,) = entrants_named("unet")
    assert planned(entrant, Terms(tables={"training": {"steps": 7}}), looked).training.steps == 7
    assert planned(Entrant("own", {"training": {"minutes": 3.0}}), Terms(), looked).training.minutes == 3


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, "There is no budget for unet. Give --minutes or --steps"),
        ({"minutes": 0}, "A training of minutes = 0 does nothing"),
        ({"steps": 0}, "A training of steps = 0 does nothing"),
        ({"steps": -3}, "steps = -3 does nothing"),
        ({"minutes": 1, "steps": 1}, "Both minutes = 1 and steps = 1"),
    ],
)
def test_a_budget_that_is_none_is_refused(looked, terms, message):
    (entrant,) = entrants_named("unet")
    with pytest.raises(RecipeError, match=message):
        planned(entrant, Terms(**terms), looked)


def test_stages_that_would_have_no_step_are_refused(looked):
    stages = [{"model": "unet", "learning_rate": 0.1, "share": share} for share in (3, 1, 1)]
    staged = Entrant("staged", {"model": {"name": "unet"}, "stages": stages})
    with pytest.raises(RecipeError, match=r"3 steps leave none for unet, of 3 stages .*\. Give more steps"):
        planned(staged, Terms(steps=3), looked)
    assert len(planned(staged, Terms(steps=5), looked).stages) == 3


def test_no_training_at_all_is_refused():
    with pytest.raises(RecipeError, match="0 trainings of each entrant are none; give --seeds 1 or more"):
        Terms(steps=1, seeds=0)


def test_a_network_for_all_is_refused():
    with pytest.raises(RecipeError, match="The settings for all have model and stages, which each entrant has"):
        Terms(steps=1, tables={"model": {"name": "unet"}, "stages": []})
