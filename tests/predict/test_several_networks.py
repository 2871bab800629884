"""A Predictor of several networks: the mean of what each answers alone, tile by tile, and without a seam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ushape.checkpoint import Trained
from ushape.ensemble import Ensemble
from ushape.images.source import from_array
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.object_rule import ObjectRule
from ushape.predict.objects import find_objects
from ushape.predict.proof import prove
from ushape.predict.tiled import Predictor

MakeTrained = Callable[..., Trained]
THREE = Labels(("background", "axon", "myelin"), (0, 255, 128))


@pytest.fixture
def image() -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    y, x = np.ogrid[:61, :47]
    return (120 + 60 * np.sin(y / 9) * np.cos(x / 13) + rng.normal(0, 25, (61, 47))).clip(0, 255).astype(np.uint8)


@pytest.fixture
def three(make_trained: MakeTrained) -> Callable[..., list[Trained]]:
    """Three networks of one kind, of other weights and another intensity each."""

    def make(**options: object) -> list[Trained]:
        members = []
        for number in range(3):
            trained = make_trained(labels=THREE, **options)
            torch.manual_seed(number)
            for weight in trained.model.parameters():
                weight.data += 0.2 * weight.data.std(correction=0) * torch.randn_like(weight)
            members.append(replace(trained, intensity=Intensity((90.0 + 30 * number,), (50.0 + 9 * number,), "uint8")))
        return members

    return make


def together(members: list[Trained]) -> Ensemble:
    return Ensemble.of({f"fold-{number}": member for number, member in enumerate(members)})


@pytest.mark.parametrize("flips", [False, True], ids=["plain", "flips"])
def test_the_answer_is_the_mean_of_their_probabilities(three, image, flips: bool):
    members, source = three(), from_array(image)
    classes, probability = Predictor(together(members), flips=flips).whole(source)
    alone = [Predictor(member, flips=flips).whole(source)[1] for member in members]
    assert np.abs(alone[0] - alone[1]).max() > 0.05, "networks that agree would prove nothing"
    assert np.abs(probability - np.mean(alone, axis=0)).max() < 1e-5
    assert (classes == np.mean(alone, axis=0).argmax(axis=0)).mean() > 0.999


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_the_tile_size_never_changes_it(three, image, padding: str):
    predictor = Predictor(together(three(padding=padding)), memory_bytes=1 << 30)
    proofs = list(prove(predictor, from_array(image)))
    assert len(proofs) == 3 and all(compared.holds for compared in proofs)


def test_one_of_equals_answers_as_each_alone(make_trained: MakeTrained, image):
    trained, source = make_trained(), from_array(image)
    alone, doubled = (Predictor(of).whole(source)[1] for of in (trained, together([trained, trained])))
    assert np.abs(alone - doubled).max() < 1e-6


def test_temperatures_flatten_the_mean_and_change_no_mask(three, image):
    members, source = three(), from_array(image)
    cold = Predictor(together(members)).whole(source)
    tempered = [replace(m, labels=replace(m.labels, temperature=t)) for m, t in zip(members, (2, 4, 8), strict=True)]
    warm = Predictor(together(tempered)).whole(source)
    assert (warm[0] == cold[0]).all()
    powers = cold[1] ** (1 / 4)
    assert np.abs(warm[1] - powers / powers.sum(axis=0)).max() < 1e-5


def test_objects_are_those_of_the_common_rule_on_the_mean(make_trained: MakeTrained, image):
    rules = [ObjectRule(threshold=t) for t in (0.45, 0.5, 0.55)]
    members = [make_trained(object_rule=rule) for rule in rules]
    predictor = Predictor(together(members))
    expected = find_objects(predictor.whole(from_array(image))[1][1], ObjectRule(threshold=0.5))
    assert (predictor.segment(image) == expected).all()


def test_tiles_are_as_large_as_those_of_one_network(three):
    members, memory = three(), 1 << 22
    huge = from_array(np.zeros((900, 900), np.uint8))
    several, one = (
        next(Predictor(of, flips=True, memory_bytes=memory).tiles(huge)) for of in (together(members), members[0])
    )
    assert several.total == one.total > 1, "a pass is over before the next begins, so that memory is that of one"
