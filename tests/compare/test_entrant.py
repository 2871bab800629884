"""Names → entrants: what they stand for, how they scale, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.compare.entrant import (
    Entrant,
    check_entrants,
    entrants_by_own_recipes,
    entrants_named,
    known,
)
from ushape.errors import RecipeError
from ushape.models import MODELS
from ushape.models.unet import UNet
from ushape.recipe import Recipe, merged, read


def test_every_model_is_an_entrant_and_is_built_as_published():
    of_images = [name for name, model in MODELS.items() if model.axes == 2]
    assert set(of_images) <= set(known())
    for entrant in entrants_named(",".join(of_images)):
        assert entrant.tables["model"] == {"name": entrant.name, "options": {}}


def test_networks_of_volumes_are_refused():
    with pytest.raises(RecipeError, match="unet3d:width=8: networks of volumes cannot be compared yet"):
        entrants_named("unet,unet3d:width=8")
    with pytest.raises(RecipeError, match="hearts: networks of volumes cannot be compared yet"):
        check_entrants([Entrant("hearts", {"model": {"name": "unet3d"}})])


def test_every_name_makes_a_recipe():
    for entrant in entrants_named(",".join(known()), width=8):
        recipe = merged(Recipe().changed(training={"steps": 9}), entrant.tables)
        assert recipe.model.options["width"] in (8, 9)


def test_the_control_of_unetpp_has_the_width_of_the_paper_and_its_parameters():
    (wide,) = entrants_named("wide-unet")
    assert wide.tables["model"]["options"]["width"] == 35
    assert UNet(classes=1, **wide.tables["model"]["options"]).parameter_count == 9_282_246  # the authors' code


def test_the_control_stays_wider_at_any_width():
    for width in (1, 4, 8, 32, 64):
        (wide,) = entrants_named("wide-unet", width=width)
        assert wide.tables["model"]["options"]["width"] >= width + 1


@pytest.mark.skipif("fcn8s" not in MODELS, reason="there is no FCN yet")
def test_fcn8s_is_trained_in_three_stages_and_at_once_in_one():
    staged, at_once = entrants_named("fcn8s,fcn8s-atonce")
    assert [stage["model"] for stage in staged.tables["stages"]] == ["fcn32s", "fcn16s", "fcn8s"]
    assert "stages" not in at_once.tables
    assert at_once.tables["model"]["options"] == {"at_once": True}


def test_options_follow_a_name_and_go_before_the_width_for_all():
    (entrant,) = entrants_named("unet:width=16:skip=none:dropout=0.25", width=8)
    assert entrant.tables["model"]["options"] == {"width": 16, "skip": "none", "dropout": 0.25}
    assert entrant.about == "as published: unpadded, but width 16, skip none, dropout 0.25"
    assert entrant.folder == "unet_width=16_skip=none_dropout=0.25"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unit", "There is no entrant 'unit'; did you mean 'unet'?"),
        ("unet,unit:width=3,wide", "'unit:width=3'; did you mean 'unet'? There is no entrant 'wide'"),
        ("unet:width", "'width' in 'unet:width' is no option; write NAME:option=value"),
        ("unet:=3", "'=3' in 'unet:=3' is no option"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_the_nearest(text, message):
    with pytest.raises(RecipeError) as refused:
        entrants_named(text)
    assert message in str(refused.value)


def test_by_its_own_recipe_a_network_is_trained_as_in_its_paper():
    (entrant,) = entrants_by_own_recipes("unet", width=8)
    published = read("unet-2015")
    assert entrant.tables["training"] == published["training"]
    assert entrant.tables["model"]["options"] == {**published["model"]["options"], "width": 8}
    assert entrant.about == "by the recipe unet-2015"


def test_a_recipe_may_be_named_itself_or_lie_in_a_file(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text('[model]\nname = "unet"\nwidth = 3\n', encoding="utf-8")
    mine, papers = entrants_by_own_recipes(f"{file},unet-2015")
    assert (mine.name, papers.name) == ("mine", "unet-2015")
    assert mine.tables["model"]["options"] == {"width": 3}


def test_without_a_recipe_of_a_paper_there_is_nothing_to_train_by():
    with pytest.raises(
        RecipeError, match=r"no recipe of a paper for unet-same, wide-unet\. There are recipes for .*unet"
    ):
        entrants_by_own_recipes("unet,unet-same,wide-unet")


@pytest.mark.parametrize(
    ("entrants", "message"),
    [
        ((), "There is nothing to compare"),
        ((Entrant("a", {}), Entrant("a", {})), "Several entrants are called a; name each once"),
        ((Entrant("a:b", {}), Entrant("a_b", {})), "Several entrants are called a:b, a_b"),
        ((Entrant("a", {"seed": 1, "data": {}}),), "a has settings of data, seed, but these are the same for all"),
    ],
)
def test_entrants_that_cannot_stand_beside_each_other_are_refused(entrants, message):
    with pytest.raises(RecipeError, match=message):
        check_entrants(entrants)
