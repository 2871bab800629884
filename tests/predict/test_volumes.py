"""The law of the project on volumes, and their masks on the volumes' own grids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import torch
import zarr

from ushape.checkpoint import Trained
from ushape.errors import ImageError, RecipeError
from ushape.images.source import Page, from_array, volumes
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.object_rule import ObjectRule
from ushape.predict import tiled
from ushape.predict.files import Job
from ushape.predict.proof import prove
from ushape.predict.sources import find_images
from ushape.predict.tile_memory import largest_keep_of_volume, pass_bytes, smallest_tile_bytes
from ushape.predict.tiled import DEFAULT_MEMORY_BYTES, Predictor, default_memory
from ushape.recipe import ModelRecipe, Recipe

LABELS = Labels(("background", "cavity", "wall"), (0, 3, 2))
RNG = np.random.default_rng(5)
VOXELS = RNG.normal(120, 60, (7, 21, 18)).clip(0, 255).astype(np.uint8)


def trained(*, dtype: str = "uint8", object_rule: ObjectRule | None = None, **options: object) -> Trained:
    options = {"width": 2, "depth": 1, "padding": "same", "flat_levels": [1, 0, 0], **options}
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = build("unet3d", in_channels=1, classes=3, **options).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
    recipe = Recipe(model=ModelRecipe("unet3d", options))
    intensity = Intensity((120.0,), (60.0,), dtype)
    return Trained(model.placed(torch.device("cpu")), LABELS, intensity, recipe, object_rule=object_rule)


def nifti(path: Path, voxels: np.ndarray) -> Path:
    affine = np.array([[-0.7, 0, 0, 9], [0, 0.8, 0.1, -3], [0, 0, 5.0, 60], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(voxels.T, affine), path)
    return path


@pytest.mark.parametrize("flips", [False, True], ids=["plain", "flips"])
@pytest.mark.parametrize(
    "options", [{}, {"padding": "valid"}, {"flat_levels": [0, 0, 0]}, {"depth": 2, "flat_levels": [2, 0, 0]}]
)
def test_the_tile_size_never_changes_the_answer(options, flips: bool):
    network = trained(**options)
    source = from_array(VOXELS, axes=3)
    classes, probability = Predictor(network, flips=flips, keep_px=64).whole(source)
    assert probability.shape == (3, *VOXELS.shape) and np.ptp(probability[0]) > 0.05
    for keep_px in (8,) if flips else (4, 8):
        tiled_classes, tiled = Predictor(network, flips=flips, keep_px=keep_px).whole(source)
        assert np.abs(tiled - probability).max() <= 1e-5
        assert (tiled_classes == classes).all()


def test_the_proof_holds_for_a_volume_and_fails_where_a_network_sees_its_tile():
    assert all(compared.holds for compared in prove(Predictor(trained()), from_array(VOXELS, axes=3)))
    seeing = trained()
    for module in seeing.model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None
    assert not all(compared.holds for compared in prove(Predictor(seeing), from_array(VOXELS, axes=3)))


def test_a_network_of_volumes_takes_no_images_and_the_reverse(tmp_path: Path, make_trained: Callable[..., Trained]):
    words = "the image was opened as an image, but the network unet3d takes a volume"
    with pytest.raises(ImageError, match=words):
        next(Predictor(trained()).tiles(from_array(VOXELS[0], "the image")))
    (page,) = volumes(nifti(tmp_path / "a.nii", VOXELS))
    with pytest.raises(ImageError, match=r"a.nii was opened as a volume, but the network unet takes an image"):
        Job(Predictor(make_trained()), [page], tmp_path / "out")


def test_an_array_is_segmented_to_the_values_of_the_masks():
    mask = Predictor(trained()).segment(VOXELS)
    assert mask.shape == VOXELS.shape and set(np.unique(mask)) == {0, 2, 3}


@pytest.mark.parametrize("name", ["heart.nii.gz", "heart.nii"])
def test_the_mask_of_a_volume_lies_on_its_grid(tmp_path: Path, name: str):
    path = nifti(tmp_path / name, VOXELS)
    predictor = Predictor(trained(), keep_px=8)
    *_, written = Job(predictor, find_images([str(path)], axes=3), tmp_path / "out", probability=True).events()
    image, mask = nibabel.load(path), nibabel.load(tmp_path / "out" / name)
    np.testing.assert_allclose(mask.affine, image.affine)
    np.testing.assert_array_equal(np.asarray(mask.dataobj).T, predictor.segment(VOXELS))
    wall = nibabel.load(tmp_path / "out" / name.replace("heart", "heart_probability_wall"))
    np.testing.assert_allclose(wall.get_fdata().T, predictor.whole(from_array(VOXELS, axes=3))[1][2], atol=1e-6)
    assert list(written.expected_dice) == ["heart"]


def test_points_in_time_share_a_mask(tmp_path: Path):
    path = nifti(tmp_path / "beats.nii.gz", np.stack([VOXELS, VOXELS[::-1]]))
    predictor = Predictor(trained(), keep_px=8)
    list(Job(predictor, find_images([str(path)], axes=3), tmp_path / "out").events())
    mask = np.asarray(nibabel.load(tmp_path / "out" / "beats.nii.gz").dataobj).T
    for found, voxels in zip(mask, (VOXELS, VOXELS[::-1]), strict=True):
        np.testing.assert_array_equal(found, predictor.segment(voxels))


def test_a_stack_gives_a_stack_and_a_zarr_a_zarr(tmp_path: Path):
    tifffile.imwrite(tmp_path / "stack.tif", VOXELS, photometric="minisblack")
    zarr.create_array(tmp_path / "store.zarr", data=VOXELS, chunks=(4, 8, 8), dimension_names=("z", "y", "x"))
    predictor = Predictor(trained(), keep_px=8)
    images = find_images([str(tmp_path / "stack.tif"), str(tmp_path / "store.zarr")], axes=3)
    list(Job(predictor, images, tmp_path / "out").events())
    expected = predictor.segment(VOXELS)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "stack.tif"), expected)
    np.testing.assert_array_equal(zarr.open(tmp_path / "out" / "store.zarr", mode="r")["0"][:], expected)


def test_what_is_not_made_of_volumes_is_refused_before_any_work(tmp_path: Path):
    page = Page(nifti(tmp_path / "a.nii", VOXELS), axes=3)
    for options, words in [
        ({"overlay": True}, "no --overlay yet"),
        ({"formats": ("coco",)}, "no --format coco yet"),
    ]:
        with pytest.raises(RecipeError, match=words):
            Job(Predictor(trained()), [page], tmp_path / "out", **options)
    with pytest.raises(RecipeError, match="no objects yet"):
        Job(Predictor(trained(object_rule=ObjectRule())), [page], tmp_path / "out")
    with pytest.raises(RecipeError, match="The engine openvino computes images"):
        Predictor(trained(), engine="openvino")
    with pytest.raises(RecipeError, match="treats rows and columns differently"):
        Predictor(trained(flat_levels=[0, 1, 0]), flips=True)
    assert not (tmp_path / "out").exists()


def test_a_pass_may_take_half_of_what_is_free_and_never_less_than_a_tile(monkeypatch: pytest.MonkeyPatch):
    model = trained().model
    for free, expected in [(10 * 2**30, 5 * 2**30), (2**20, DEFAULT_MEMORY_BYTES), (None, DEFAULT_MEMORY_BYTES)]:
        monkeypatch.setattr(tiled, "free_bytes", lambda _, free=free: free)
        assert default_memory(model) == expected
    monkeypatch.setattr(tiled, "DEFAULT_MEMORY_BYTES", 1)
    assert default_memory(model) == smallest_tile_bytes(model)


def test_tiles_grow_with_the_memory_and_stop_at_the_volume():
    model, shape = trained().model, (7, 100, 300)
    least = smallest_tile_bytes(model)
    assert largest_keep_of_volume(model, least, shape) == (2, 2, 2)
    keeps = [largest_keep_of_volume(model, least * factor, shape) for factor in (2, 8, 64, 10**6)]
    assert keeps == sorted(keeps) and keeps[-1] == (7, 100, 300)
    for keep, factor in zip(keeps, (2, 8, 64, 10**6), strict=True):
        sides = [f.input_for(n) for f, n in zip(model.footprints, keep, strict=True)]
        assert pass_bytes(model, sides) <= least * factor
    with pytest.raises(RecipeError, match="its smallest tile takes about"):
        largest_keep_of_volume(model, least - 1, shape)
