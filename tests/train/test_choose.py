"""How probabilities become objects is chosen on the validation images, once a training is over, and kept with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.data.annotation import read_objects
from ushape.errors import ImageError
from ushape.geometry.axis import Axis
from ushape.geometry.footprint import Footprint
from ushape.images.source import from_array, open_image
from ushape.intensity import Intensity
from ushape.labels import IGNORED, Labels
from ushape.models.segmenter import Segmenter
from ushape.object_rule import ObjectRule
from ushape.predict.object_fit import fit_rule
from ushape.predict.objects import find_objects
from ushape.predict.tiled import Predictor, load
from ushape.recipe import DataRecipe, ModelRecipe, Recipe, TrainingRecipe
from ushape.train import choose
from ushape.train.choose import ObjectsChosen, choose_objects
from ushape.train.loop import Validated
from ushape.train.run import Run
from ushape.train.temperature import Calibrated
from ushape.train.turned import FlipsChosen
from ushape.train.validate import Truth

Annotated = Callable[..., Path]

FIRST = ObjectRule(smallest_px=4)
"""While these are in training: a sixteenth of their 8 x 8 pixels, and nothing smaller, is an object."""


class Grey(Segmenter):
    """The foreground's logit is the grey value: 0 on 128, ±8 on white and black."""

    in_channels, classes = 1, 2

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, 2, 1)
        self.head.weight.data[:] = torch.tensor([0, 1 / 16]).view(2, 1, 1, 1)
        self.head.bias.data[:] = torch.tensor([0.0, -8.0])

    def along_axis(self, x: Axis) -> Axis:
        return x

    @property
    def footprint(self) -> Footprint:
        return Footprint(margin=0, multiple=1, smallest_input=1)

    def outputs(self, x: Tensor) -> list[Tensor]:
        return [self.head(x)]


@pytest.fixture(scope="module")
def grey() -> Predictor:
    labels, intensity = Labels(("background", "object"), (0, 255)), Intensity((0.0,), (1.0,), "uint8")
    return Predictor(Trained(Grey().eval(), labels, intensity, Recipe()), keep_px=7)


def truth(objects: NDArray[np.integer], image: NDArray[np.generic] | None = None) -> Truth:
    """An image to judge by; its objects white on black, where it is left out."""
    pixels = np.where(objects > 0, 255, 0).astype(np.uint8) if image is None else image
    classes = (objects > 0).astype(np.uint8)
    return Truth("a", "a", from_array(pixels, "a"), classes, objects.astype(np.int32))


def squares(height: int = 20, width: int = 20) -> NDArray[np.int32]:
    objects = np.zeros((height, width), np.int32)
    objects[2:8, 2:8], objects[11:17, 3:10] = 5, 2
    return objects


def emptied(image: Truth) -> Truth:
    assert image.objects is not None
    return replace(image, classes=0 * image.classes, objects=0 * image.objects)


def nothing() -> NDArray[np.int32]:
    return np.zeros((20, 20), np.int32)


# The choice


def test_objects_that_lie_apart_are_found_by_the_simplest_rule(grey: Predictor):
    chosen = choose_objects(grey, [truth(squares())])
    assert chosen is not None
    assert (chosen.score, chosen.images) == (1.0, 1)
    assert (chosen.rule.method, chosen.rule.threshold, chosen.rule.grow_px) == ("components", 0.5, 0)


def test_it_is_that_of_the_whole_probabilities_and_the_objects_of_all_images(grey: Predictor):
    rng = np.random.default_rng(0)
    noisy = [rng.normal(np.where(squares(20, width) > 0, 160, 90), 40).clip(0, 255) for width in (20, 31)]
    truths = [truth(squares(*image.shape), image.astype(np.uint8)) for image in noisy]
    truths[1].classes[:5] = IGNORED
    fitted = fit_rule(
        [grey.whole(t.source)[1][1] for t in truths],
        [t.objects for t in truths if t.objects is not None],
        [np.zeros((20, 20), bool), truths[1].classes == IGNORED],
    )
    assert choose_objects(grey, truths) == ObjectsChosen(fitted.rule, fitted.score, 2)
    assert 0 < fitted.score < 1


def test_images_without_an_object_judge_nothing(grey: Predictor):
    assert choose_objects(grey, []) is None
    assert choose_objects(grey, [truth(nothing())] * 3) is None
    classes_alone = Truth("a", "a", from_array(np.zeros((20, 20), np.uint8), "a"), np.ones((20, 20), np.uint8))
    assert choose_objects(grey, [classes_alone]) is None
    mixed = choose_objects(grey, [truth(nothing()), truth(squares()), classes_alone])
    assert mixed is not None and (mixed.images, mixed.score) == (1, 1.0)


@pytest.mark.parametrize(
    ("most_images", "read"),
    [(7, [0, 1, 2, 3, 4, 5, 6]), (6, [0, 2, 4, 6]), (4, [0, 2, 4, 6]), (3, [0, 3, 6]), (1, [0])],
)
def test_of_many_images_evenly_chosen_ones_are_looked_at(
    grey: Predictor, monkeypatch: pytest.MonkeyPatch, most_images: int, read: list[int]
):
    monkeypatch.setattr(choose, "_MOST_PIXELS", most_images * 400)
    unreadable = np.zeros((20, 20), np.float32)  # the network was trained on uint8, and says so once it sees this
    truths = [truth(squares(), None if n in read else unreadable) for n in range(7)]
    empty = truth(nothing(), unreadable)  # is left out before any are counted
    chosen = choose_objects(grey, [t for one in truths for t in (empty, one)])
    assert chosen is not None and (chosen.images, chosen.score) == (len(read), 1.0)
    for n in read[-1:]:
        with pytest.raises(ImageError, match="float32 pixels, but the network was trained on uint8"):
            choose_objects(grey, [truth(squares(), unreadable) if n == k else t for k, t in enumerate(truths)])


def test_one_image_is_looked_at_however_large(grey: Predictor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choose, "_MOST_PIXELS", 1)
    chosen = choose_objects(grey, [truth(squares())] * 2)
    assert chosen is not None and chosen.images == 1


# In a training


def recipe(task: str = "instances", **training: Any) -> Recipe:
    tiny = {"steps": 40, "output_size": 16, "batch": 2, "validations": 2, "learning_rate": 3e-2}
    return Recipe(
        model=ModelRecipe("unet", {"width": 4, "depth": 1, "padding": "same"}),
        data=DataRecipe(task=task, validation_fraction=0.4),  # type: ignore[arg-type]
        training=TrainingRecipe(**(tiny | {"precision": "float32"} | training)),
    )


def run(data: Path, out: Path, wanted: Recipe | None = None, **options: bool) -> Run:
    return Run(data, out, wanted or recipe(), device=torch.device("cpu"), **options)


def chosen_by(running: Run) -> list[ObjectsChosen]:
    """What the events tell, of which it is the last."""
    events = list(running.events())
    assert not any(isinstance(event, ObjectsChosen) for event in events[:-1])
    return [event for event in events[-1:] if isinstance(event, ObjectsChosen)]


def both(out: Path) -> Iterator[Trained]:
    for name in ("best", "last"):
        yield checkpoint.read(out / f"{name}.safetensors")


def test_the_rule_is_chosen_with_the_best_network_on_validation_images_alone(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde", numbered=True, contrast=150)
    running = run(data, tmp_path / "run")
    validation = [pair.name for pair in running.prepared.split.validation]
    assert len(validation) == 2
    for kind in ("images", "masks"):
        for path in (data / kind).iterdir():
            if path.stem not in validation:
                path.unlink()  # training images are in memory, and nothing else is looked at
    (chosen,) = chosen_by(running)
    best = checkpoint.read(tmp_path / "run" / "best.safetensors")
    pairs = running.prepared.split.validation
    fitted = fit_rule(
        [Predictor(best).whole(open_image(data / "images" / f"{name}.png"))[1][1] for name in validation],
        [read_objects(pair, running.prepared.annotation) for pair in pairs],
    )
    assert chosen == ObjectsChosen(fitted.rule, fitted.score, 2)
    assert chosen.score > 0


def test_both_checkpoints_have_the_rule_and_its_score_and_are_otherwise_what_they_were(
    annotated: Annotated, tmp_path: Path
):
    before, chosen = {}, None
    for event in run(annotated(*"abcde", numbered=True, contrast=150), tmp_path / "run").events():
        if isinstance(event, Validated):
            before = dict(zip(("best", "last"), both(tmp_path / "run"), strict=True))
        chosen = event
    assert isinstance(chosen, ObjectsChosen)
    for old, new in zip(before.values(), both(tmp_path / "run"), strict=True):
        assert (old.object_rule, new.object_rule) == (FIRST, chosen.rule)
        also = {name: new.provenance[name] for name in ("flips", "calibration")}  # of the same end: test_settle.py
        score = {"object_score": chosen.score, "object_images": chosen.images}
        assert new.provenance == {**old.provenance, **also, **score}
        assert new.recipe == old.recipe.changed(prediction={"flips": False})
        assert new.labels == replace(old.labels, temperature=new.labels.temperature)
        assert new.intensity == old.intensity
        weights = old.model.state_dict()
        assert all(torch.equal(tensor, weights[name]) for name, tensor in new.model.state_dict().items())


def test_what_was_chosen_is_what_segments(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde", numbered=True, contrast=150)
    (chosen,) = chosen_by(run(data, tmp_path / "run"))
    predictor, image = load(tmp_path / "run"), np.asarray(Image.open(data / "images" / "a.png"))
    expected = find_objects(predictor.whole(from_array(image, "a"))[1][1], chosen.rule)
    np.testing.assert_array_equal(predictor.segment(image), expected)


def test_the_default_stands_where_no_validation_image_has_an_object(annotated: Annotated, tmp_path: Path):
    running = run(annotated(*"abcde", numbered=True, contrast=150), tmp_path / "run")
    running.prepared = replace(running.prepared, truths=tuple(map(emptied, running.prepared.truths)))
    assert chosen_by(running) == []
    for trained in both(tmp_path / "run"):
        assert trained.object_rule == FIRST
        assert not {"object_score", "object_images"} & set(trained.provenance)


def test_a_network_that_tells_classes_only_has_no_rule(annotated: Annotated, tmp_path: Path):
    assert chosen_by(run(annotated(*"abcde"), tmp_path / "run", recipe("semantic"))) == []
    assert [trained.object_rule for trained in both(tmp_path / "run")] == [None, None]


def test_until_it_is_over_a_training_has_the_default(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde", numbered=True, contrast=150)
    events = run(data, tmp_path / "run").events()
    assert len(list(islice(events, 42))) == 42  # 40 steps and two validations
    events.close()
    assert [trained.object_rule for trained in both(tmp_path / "run")] == [FIRST] * 2
    (chosen,) = chosen_by(run(data, tmp_path / "run", resume=True))
    assert [trained.object_rule for trained in both(tmp_path / "run")] == [chosen.rule] * 2


def test_a_run_that_is_resumed_after_its_end_chooses_again(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde", numbered=True, contrast=150), tmp_path / "run"
    (first,) = chosen_by(run(data, out))
    for name in ("best", "last"):  # as if the power had failed before it was written
        path = out / f"{name}.safetensors"
        checkpoint.write(path, replace(checkpoint.read(path), object_rule=ObjectRule(), provenance={}))
    events = list(run(data, out, resume=True).events())
    assert [type(event) for event in events] == [FlipsChosen, Calibrated, ObjectsChosen]
    assert events[-1] == first
    assert [trained.object_rule for trained in both(out)] == [first.rule] * 2


def test_a_longer_budget_ends_with_a_choice_too(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde", numbered=True, contrast=150), tmp_path / "run"
    chosen_by(run(data, out))
    running = run(data, out, recipe(steps=42), resume=True)
    (chosen,) = chosen_by(running)
    assert running.trainer.step == 42
    for trained in both(out):
        assert trained.object_rule == chosen.rule and trained.provenance["object_score"] == chosen.score
