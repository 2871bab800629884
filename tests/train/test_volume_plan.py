"""What is chosen for volumes follows from the size of their voxels and from how many there are."""

from __future__ import annotations

import math
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from ushape.errors import RecipeError
from ushape.recipe import DataRecipe, Recipe, merged
from ushape.train.plan import plan
from ushape.train.prepare import look, prepare
from ushape.train.sampling import patch_sampler
from ushape.train.step_memory import network, patch_sides

CPU = torch.device("cpu")
TABLES = {"model": {"name": "unet3d"}, "training": {"steps": 3}}
RNG = np.random.default_rng(3)


def hearts(root: Path, *, spacing: tuple[float, ...] | None, shape=(8, 30, 34), count: int = 2, most: int = 1) -> Path:
    """NIfTI volumes with spacings (z, y, x) in mm, with masks of a box; without spacings, nothing says their size."""
    for number in range(count):
        truth = np.zeros(shape, np.uint8)
        truth[2:6, 10:20, 8:20] = 1
        if most > 1:
            truth[truth > 0] = RNG.integers(1, most + 1, truth.sum())
        volume = (RNG.normal(100, 20, shape) + 60 * truth).astype(np.float32)
        for folder, voxels in (("images", volume), ("masks", truth)):
            image = nibabel.Nifti1Image(voxels.T, np.diag([*(spacing or (1, 1, 1))[::-1], 1.0]))
            image.header.set_xyzt_units("mm" if spacing else "unknown")
            (root / folder).mkdir(parents=True, exist_ok=True)
            image.to_filename(root / folder / f"heart_{number}.nii.gz")
    return root


def planned(root: Path, tables: dict | None = None, device: torch.device = CPU):
    found, annotation = look(root, DataRecipe(), 3)
    return plan(found, annotation, merged_tables(tables), device, pace=lambda *_: 1.0)


def merged_tables(tables: dict | None) -> dict:
    return {**TABLES, **(tables or {})}


def test_a_coarse_axis_is_left_alone_and_the_patch_is_as_deep_as_the_volume(tmp_path: Path):
    found = planned(hearts(tmp_path, spacing=(6.0, 1.2, 1.2)))
    recipe, reasons = found.recipe, dict(found.reasons)
    assert recipe.data.spacing == (6000, 1200, 1200)
    assert recipe.model.options == {"padding": "same", "flat_levels": [2, 0, 0], "width": 16}
    assert recipe.training.output_sizes(3) == (8, 32, 32) and recipe.training.batch == 2
    assert "6000 x 1200 x 1200 µm (z, y, x), the median of what 2 volumes state" in reasons["voxel"]
    assert "no pooling along z (2)" in reasons["network"]
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_of_volumes_that_do_not_state_their_voxels_slices_are_taken_for_coarse(tmp_path: Path):
    found = planned(hearts(tmp_path, spacing=None, shape=(6, 30, 36)))
    assert found.recipe.data.spacing == (5.0, 1.0, 1.0)
    assert "not stated: slices are taken for 5 times as far apart as pixels" in dict(found.reasons)["voxel"]


def test_what_the_user_says_of_voxels_and_levels_goes_before(tmp_path: Path):
    root = hearts(tmp_path, spacing=None, shape=(16, 30, 36))
    assert planned(root, {"data": {"spacing": [1, 1, 1]}}).recipe.model.options["flat_levels"] == [1, 0, 0]
    model = {"name": "unet3d", "options": {"flat_levels": [0, 0, 0], "depth": 2, "width": 4, "padding": "valid"}}
    options = planned(root, {"model": model}).recipe.model.options
    assert options == {**model["options"]}


@pytest.mark.parametrize(
    ("shape", "spacing"), [((64, 64, 64), (1, 1, 1)), ((12, 80, 96), (8, 1.5, 1.5)), ((40, 50, 60), (2, 1, 1))]
)
def test_patches_are_legal_fit_the_budget_and_are_as_deep_as_wide(tmp_path: Path, shape, spacing):
    recipe = planned(hearts(tmp_path, spacing=spacing, shape=shape, count=1)).recipe
    _, annotation = look(tmp_path, DataRecipe(), 3)
    shown, asked = patch_sides(network(recipe, 1, annotation.labels), recipe)
    assert shown == asked == recipe.training.output_sizes(3)
    assert math.prod(asked) <= 2**17
    lengths = [n * s for n, s in zip(asked, spacing, strict=True)]
    whole = [n >= size for n, size in zip(asked, shape, strict=True)]
    assert max(lengths) <= 1.6 * min(lengths) or any(whole)


def test_objects_and_border_weights_of_volumes_are_refused(tmp_path: Path):
    root = hearts(tmp_path, spacing=(2, 1, 1), most=60)
    found, annotation = look(root, DataRecipe(task="instances"), 3)
    with pytest.raises(RecipeError, match="unet3d tells classes of voxels apart, and no objects yet"):
        plan(found, annotation, TABLES, CPU)
    weighed = merged(Recipe(), {**TABLES, "training": {"steps": 3, "border_weights": "unet-2015"}})
    with pytest.raises(RecipeError, match="leave border_weights out"):
        prepare(hearts(tmp_path / "classes", spacing=(2, 1, 1)), weighed)


def test_levels_that_cannot_be_are_refused_before_anything_is_planned(tmp_path: Path):
    model = {"name": "unet3d", "options": {"flat_levels": [1, 0]}}
    with pytest.raises(RecipeError, match="a whole number for each of z, y and x"):
        planned(hearts(tmp_path, spacing=(2, 1, 1)), {"model": model})


@pytest.mark.parametrize("spacing", [[1, 1], [0, 1, 1], [1.0, float("inf"), 1.0]])
def test_lengths_of_voxels_that_cannot_be_are_refused(spacing):
    with pytest.raises(RecipeError, match="the lengths of a voxel along z, y and x, above 0"):
        merged(Recipe(), {"data": {"spacing": spacing}})


def test_a_trainings_patches_are_those_of_its_recipe(tmp_path: Path):
    root = hearts(tmp_path, spacing=(6.0, 1.2, 1.2))
    recipe = planned(root, {"training": {"steps": 3, "output_size": 16, "output_depth": 4}}).recipe
    prepared = prepare(root, recipe)
    assert [example.image.shape for example in prepared.examples] == [(1, 8, 30, 34)] * 2
    model = network(recipe, 1, prepared.annotation.labels)
    batch = patch_sampler(prepared, recipe, model.footprints, CPU).draw()
    assert batch.image.shape == (2, 1, 4, 16, 16) and batch.classes.shape == (2, 4, 16, 16)
