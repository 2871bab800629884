from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import torch

from ushape.object_rule import ObjectRule
from ushape.predict.conditions import conditions_of, differences, digest_of, fingerprint
from ushape.predict.tiled import Predictor


def test_whatever_decides_an_answer_is_told_apart(make_trained):
    trained = make_trained()
    before = conditions_of(Predictor(trained), probability=False, formats=())
    assert before == json.loads(json.dumps(before)), "plain values"
    for changed, name in [
        (conditions_of(Predictor(trained, flips=True), probability=False, formats=()), "flips"),
        (conditions_of(Predictor(trained, keep_px=32), probability=False, formats=()), "tile"),
        (conditions_of(Predictor(trained, memory_bytes=1 << 30), probability=False, formats=()), "memory"),
        (conditions_of(Predictor(trained), probability=True, formats=()), "probability"),
        (conditions_of(Predictor(make_trained(object_rule=ObjectRule())), probability=False, formats=()), "network"),
    ]:
        (words,) = differences(before, changed)
        assert words == f"{name} was {before[name]!r} and is {changed[name]!r}"
    assert list(differences(before, before)) == []


def test_one_weight_and_one_label_make_another_network(make_trained):
    trained = make_trained()
    same = digest_of(make_trained())
    assert digest_of(trained) == same and digest_of(trained, trained) != same
    other = make_trained()
    with torch.no_grad():
        other.model.head.bias[0] += 1e-3
    assert digest_of(other) != same
    assert digest_of(replace(trained, labels=replace(trained.labels, temperature=2.0))) != same


def test_a_changed_image_is_recognised(tmp_path: Path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"123")
    os.utime(path, ns=(1, 1))
    before = fingerprint(path)
    assert before == fingerprint(path) == [["a.tif", 3, 1]]
    os.utime(path, ns=(1, 2))
    assert fingerprint(path) != before
    assert fingerprint(tmp_path) == [["a.tif", 3, 2]], "of a store, the files in its top folder"
