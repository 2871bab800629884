"""The gradients of a batch, whole and in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ushape.data.patches import Batch
from ushape.models import build
from ushape.recipe import TrainingRecipe
from ushape.train import gradients as gradients_module
from ushape.train.gradients import Gradients


def batch(count: int = 4, *, weighted: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(count, 1, 16, 16, generator=generator)
    weights = torch.rand(count, 16, 16, generator=generator) if weighted else None
    return Batch(image, (image[:, 0] > 0).to(torch.uint8), weights)


def gradients(**recipe: Any) -> Gradients:
    torch.manual_seed(0)
    model = build("unet", in_channels=1, classes=2, width=4, depth=1, padding="same", dropout=0.0)
    settings = TrainingRecipe(**({"steps": 1, "loss": "cross-entropy"} | recipe))
    return Gradients(model.placed(torch.device("cpu")), settings, precision="float32")


def found(finder: Gradients) -> list[Tensor]:
    return [weight.grad for weight in finder.model.parameters() if weight.grad is not None]


def memory_for(patches: int) -> Callable[[Tensor], None]:
    """Raises what PyTorch raises where more patches than these are in memory at once."""

    def ask(logits: Tensor) -> None:
        if len(logits) > patches:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    return ask


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("patches", "parts"), [(3, 2), (2, 2), (1, 4)])
def test_a_batch_that_memory_does_not_hold_is_computed_in_parts(monkeypatch, weighted: bool, patches: int, parts: int):
    whole, divided = gradients(), gradients()
    value = whole.find(batch(weighted=weighted))
    ask, loss = memory_for(patches), gradients_module.loss

    def short(outputs: list[Tensor], *arguments: Any, **options: Any) -> Tensor:
        ask(outputs[0])
        return loss(outputs, *arguments, **options)

    monkeypatch.setattr(gradients_module, "loss", short)
    assert divided.find(batch(weighted=weighted)) == pytest.approx(value, rel=1e-5)
    assert (whole.parts, divided.parts) == (1, parts)
    for ours, wanted in zip(found(divided), found(whole), strict=True):
        torch.testing.assert_close(ours, wanted)
    divided.model.zero_grad()
    divided.find(batch(weighted=weighted))
    assert divided.parts == parts  # it does not run out of memory again and again


def test_where_one_patch_is_too_much_that_is_the_end(monkeypatch):
    finder = gradients()
    monkeypatch.setattr(gradients_module, "loss", lambda outputs, *_, **__: memory_for(0)(outputs[0]))
    with pytest.raises(torch.OutOfMemoryError):
        finder.find(batch())
    assert finder.parts == 4


def test_normalisation_that_keeps_its_statistics_computes_as_in_prediction():
    torch.manual_seed(0)
    model = build(
        "unet", in_channels=1, classes=2, width=4, depth=1, padding="same", normalisation="batch", dropout=0.0
    )
    finder = Gradients(model, TrainingRecipe(steps=1, loss="cross-entropy"), precision="float32")
    finder.find(batch())
    gathered = {name: value.clone() for name, value in model.named_buffers()}
    logits: list[Tensor] = []
    with model.head.register_forward_hook(lambda _, __, made: logits.append(made.detach())):
        finder.find(batch(), statistics_kept=True)
    assert all(torch.equal(value, gathered[name]) for name, value in model.named_buffers())
    with torch.no_grad():
        torch.testing.assert_close(logits[0], model.eval()(batch().image))
    finder.find(batch())
    name = "contracting.0.1.running_mean"
    assert not torch.equal(dict(model.named_buffers())[name], gathered[name])
