"""What is found in a network of random weights on a few small images, and that it comes back from its file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ushape.checkpoint import Trained
from ushape.data.annotation import Annotation, annotate
from ushape.data.folder import survey
from ushape.data.pair import Pair
from ushape.data.patches import Batch
from ushape.errors import CheckpointError
from ushape.intensity import Intensity
from ushape.labels import IGNORED
from ushape.models.unet import UNet
from ushape.predict.tiled import Predictor
from ushape.recipe import ModelRecipe, Recipe
from ushape.study.analysis import Analysis, analysed, asked
from ushape.study.bands import band_errors
from ushape.study.cuts import Place, skips_of
from ushape.train.prepare import truths_of
from ushape.train.validate import Truth

OPTIONS = {"width": 2, "depth": 1, "padding": "same", "residual": True}


@pytest.fixture
def folder(tmp_path: Path) -> tuple[tuple[Pair, ...], Annotation]:
    rng = np.random.default_rng(0)
    for name in "abcde":
        mask = np.zeros((16, 20))
        mask[4:9, 5:12] = 255
        for kind, pixels in (("images", mask / 2 + rng.integers(0, 100, mask.shape)), ("masks", mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / kind / f"{name}.png")
    found = survey(tmp_path, include="*", group_by=None)
    return found.pairs, annotate(found)


def network(seed: int) -> UNet:
    torch.manual_seed(seed)
    return UNet(1, 2, **OPTIONS).eval()


def first_logit(outputs: list[torch.Tensor], _: Batch) -> torch.Tensor:
    return outputs[0].square().mean()


def found_in(pairs: tuple[Pair, ...], annotation: Annotation, *, most_judged: int) -> tuple[Analysis, Trained]:
    trained = Trained(
        network(1), annotation.labels, Intensity((80.0,), (50.0,), "uint8"), Recipe(ModelRecipe("unet", OPTIONS))
    )
    batch = Batch(torch.randn(1, 1, 8, 8), torch.zeros((1, 8, 8), dtype=torch.uint8), None)
    course = analysed(trained, network(0), pairs, annotation, [batch], first_logit, most_judged=most_judged)
    shares = []
    while True:
        try:
            shares.append(next(course))
        except StopIteration as ended:
            assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
            return ended.value, trained


def test_every_image_is_answered_and_a_few_again_without_each_skip(folder):
    pairs, annotation = folder
    found, trained = found_in(pairs, annotation, most_judged=3)
    for number, truth in enumerate(truths_of(pairs, annotation)):
        expected = band_errors(truth.classes, Predictor(trained).whole(truth.source)[0])
        assert (found.bands[number].errors == expected.errors).all()
    assert len(found.dice) == 5
    assert found.judged == (0, 2, 4)
    assert list(found.cuts) == skips_of(trained.model)
    assert all(len(dice) == 3 for dice in found.cuts.values())
    assert any(dice != tuple(found.dice[n] for n in found.judged) for dice in found.cuts.values())


def test_gradients_are_of_the_weights_before_and_after(folder):
    found, _ = found_in(*folder, most_judged=1)
    assert len(found.gradients_before) == len(found.gradients_after) == 2
    assert all(norm > 0 for norm in found.gradients_before)
    assert found.gradients_before != found.gradients_after


def test_it_comes_back_from_its_file(tmp_path):
    bands = (band_errors(np.eye(6, dtype=np.uint8), np.zeros((6, 6), dtype=np.uint8)),)
    cuts = {Place("long", 0): (0.5,), Place("up", 1): (math.nan,)}
    analysis = Analysis(bands, (0.75,), (0,), cuts, (1.5, 2.0), (0.1, 0.2))
    analysis.write(tmp_path / "study.json")
    again = Analysis.read(tmp_path / "study.json")
    assert (again.bands[0].errors == bands[0].errors).all()
    assert (again.bands[0].pixels == bands[0].pixels).all()
    assert again.cuts[Place("long", 0)] == (0.5,)
    assert math.isnan(again.cuts[Place("up", 1)][0])
    assert (again.dice, again.judged) == ((0.75,), (0,))
    assert (again.gradients_before, again.gradients_after) == ((1.5, 2.0), (0.1, 0.2))


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": "ushape result 1"}', '{"format": "ushape study of skips 1"}']
)
def test_a_file_that_is_none_of_ours_is_named_with_what_to_do(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"study\.json is damaged: .*Delete it, and the same command looks into"):
        Analysis.read(tmp_path / "study.json")


def test_where_objects_touch_what_is_asked_sets_them_apart():
    objects = np.zeros((3, 8), dtype=np.int32)
    objects[:, 1:4], objects[:, 4:7] = 1, 2
    classes = (objects > 0).astype(np.uint8)
    classes[0, 0] = IGNORED
    wanted = asked(Truth("a", "a", None, classes, objects))
    assert wanted[1].tolist() in ([0, 1, 1, 0, 1, 1, 1, 0], [0, 1, 1, 1, 0, 1, 1, 0])
    assert wanted[0, 0] == IGNORED
    assert (asked(Truth("a", "a", None, classes)) == classes).all()
