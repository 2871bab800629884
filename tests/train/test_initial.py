"""What a training begins with, where weights are not drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ushape import checkpoint
from ushape.errors import CheckpointError
from ushape.models import build
from ushape.models.segmenter import Segmenter
from ushape.recipe import ModelRecipe, Recipe, TrainingRecipe
from ushape.train.initial import take_over, take_over_file
from ushape.train.run import Run

CPU = torch.device("cpu")
Annotated = Callable[..., Path]


def network(seed: int, **options: Any) -> Segmenter:
    torch.manual_seed(seed)
    return build("unet", **{"width": 2, "depth": 1, "padding": "same", **options}).eval()


def run(data: Path, out: Path, **training: Any) -> Run:
    model = ModelRecipe("unet", {"width": 2, "depth": 1, "padding": "same"})
    settings = TrainingRecipe(steps=3, output_size=16, batch=1, precision="float32", **training)
    return Run(data, out, Recipe(model=model, training=settings), device=CPU)


def test_a_network_takes_over_the_weights_of_another():
    model, before = network(0), network(1)
    take_over(model, before)
    x = torch.randn(1, 1, 8, 8)
    assert torch.equal(model(x), before(x))


def test_all_that_differs_between_two_networks_is_told():
    with pytest.raises(CheckpointError) as refused:
        take_over(network(0), network(0, width=3, depth=2))
    message = str(refused.value)
    assert message.startswith("The weights of the UNet trained before do not fit the network: ")
    assert "head.weight is (2, 3, 1, 1), not (2, 2, 1, 1)" in message
    assert "up_convolutions.1.weight is unknown" in message


def test_a_training_begins_with_the_weights_in_a_file(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde")
    list(run(data, tmp_path / "first").events())
    best = checkpoint.read_tensors(tmp_path / "first" / "best.safetensors")[0]
    begun = run(data, tmp_path / "second", initial_weights=str(tmp_path / "first")).trainer.model.state_dict()
    assert all(torch.equal(begun[name], weight) for name, weight in best.items())


def test_a_file_that_is_no_network_is_refused_before_anything_is_written(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde")
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*nowhere"):
        run(data, tmp_path / "out", initial_weights=str(tmp_path / "nowhere"))
    assert not (tmp_path / "out").exists()
    list(run(data, tmp_path / "first").events())
    with pytest.raises(CheckpointError, match=r"The weights in .* do not fit the network: .*head.weight is"):
        take_over_file(network(0, width=5), tmp_path / "first")
