from __future__ import annotations

import pytest
import torch

from ushape.engines import choice
from ushape.engines.choice import fastest
from ushape.errors import MissingExtra
from ushape.models.segmenter import Segmenter
from ushape.models.unet import UNet


class Planted:
    """An engine that computes the network, `wrong` too high, after `work` passes more."""

    def __init__(self, name: str, model: Segmenter, *, wrong: float = 0.0, work: int = 0) -> None:
        self.name, self._model, self._wrong, self._work = name, model, wrong, work
        self.passes = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        for _ in range(self._work):
            self._model(x)
        return self._model(x) + self._wrong


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch):
    def planted(**engines: dict[str, float] | Exception) -> UNet:
        net = UNet(depth=1, width=4).eval()

        def build(name: str, model: Segmenter, precision: str, *, filter_bytes: int = 0) -> Planted:
            what = engines.get(name, {})
            if isinstance(what, Exception):
                raise what
            return Planted(name, model, **what)

        monkeypatch.setattr(choice, "build", build)
        return net

    return planted


def test_the_fastest_is_taken(plant):
    found = fastest(plant(torch={"work": 40}, openvino={"work": 40}), 100)
    assert found.engine.name == "onnxruntime"
    assert found.side_px == 100
    assert list(found.seconds) == ["torch", "onnxruntime", "openvino"]
    assert found.seconds["torch"] > found.seconds["onnxruntime"]


def test_one_that_gives_another_answer_is_left_out_however_fast(plant):
    found = fastest(plant(torch={"work": 40}, onnxruntime={"wrong": 0.1}), 100)
    assert found.engine.name == "openvino"
    assert "differs by" in found.left_out["onnxruntime"]
    assert "onnxruntime: differs by" in found.in_words()


def test_one_that_is_not_installed_is_said(plant):
    found = fastest(plant(onnxruntime=MissingExtra("no"), openvino=MissingExtra("no")), 100)
    assert found.engine.name == "torch"
    assert "onnxruntime: not installed; openvino: not installed" in found.in_words()


def test_other_precisions_are_pytorchs_alone(plant):
    found = fastest(plant(torch={"work": 9}), 100, "bfloat16")
    assert (found.engine.name, list(found.seconds), found.left_out) == ("torch", ["torch"], {})


def test_the_measured_tile_is_legal_and_not_large(plant):
    assert fastest(plant(), 2048, "bfloat16").side_px == 528  # the depth's margin of 8 px at each side
    assert fastest(plant(), 37, "bfloat16").side_px == 38
