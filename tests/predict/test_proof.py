"""The proof that users see: it holds where the law does, and finds out networks that break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ushape.checkpoint import Trained
from ushape.errors import ImageError, SizeError
from ushape.geometry.axis import Axis
from ushape.geometry.footprint import Footprint
from ushape.images.source import from_array
from ushape.labels import Labels
from ushape.models.segmenter import Segmenter
from ushape.predict.proof import LARGEST_DIFFERENCE, Compared, prove
from ushape.predict.row_stream import RowStream
from ushape.predict.tile_memory import bytes_per_pixel
from ushape.predict.tiled import Predictor

MakeTrained = Callable[..., Trained]


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


class Changed(Segmenter):
    """Another network that says, or does, something else."""

    def __init__(self, inner: Segmenter, *, smaller_margin: int = 0, normalising: bool = False) -> None:
        super().__init__()
        self.inner, self.smaller_margin, self.normalising = inner, smaller_margin, normalising
        self.in_channels, self.classes = inner.in_channels, inner.classes

    def along_axis(self, x: Axis) -> Axis:
        return self.inner.along_axis(x)

    @property
    def footprint(self) -> Footprint:
        return replace(self.inner.footprint, margin=self.inner.footprint.margin - self.smaller_margin)

    def outputs(self, x: torch.Tensor) -> list[torch.Tensor]:
        return self.inner.outputs(x - x.mean() if self.normalising else x)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("flips", [False, True])
def test_the_proof_holds_for_u_net(make_trained: MakeTrained, padding: str, flips: bool):
    predictor = Predictor(make_trained(depth=2, padding=padding), flips=flips)
    proof = list(prove(predictor, from_array(noise(60, 37))))
    assert [(c.keep_px, c.tiles) for c in proof] == [(28, 6), (20, 6), (8, 8 * 5)]
    assert all(c.holds for c in proof)
    assert max(c.largest_difference for c in proof) < LARGEST_DIFFERENCE / 5  # no close call


@pytest.mark.parametrize(("shape", "sizes"), [((1, 1), [4]), ((5, 2), [4]), ((9, 9), [4]), ((30, 4), [16, 8, 4])])
def test_small_images_are_proved_in_as_many_sizes_as_there_are(make_trained: MakeTrained, shape, sizes: list[int]):
    proof = list(prove(Predictor(make_trained(depth=2)), from_array(noise(*shape))))
    assert [c.keep_px for c in proof] == sizes
    assert all(c.holds for c in proof)


def test_a_network_that_looks_beyond_its_margin_is_found_out(make_trained: MakeTrained):
    trained = make_trained(depth=3, padding="same")
    honest, lying = Changed(trained.model), Changed(trained.model, smaller_margin=40)
    assert lying.footprint.margin == 8
    source = from_array(noise(100, 57))
    assert all(c.holds for c in prove(Predictor(replace(trained, model=honest)), source))
    for compared in prove(Predictor(replace(trained, model=lying)), source):
        assert compared.largest_difference > 0.01 and compared.flipped_labels > 0
        assert not compared.holds


def test_a_network_that_normalises_over_the_tile_is_found_out(make_trained: MakeTrained):
    trained = make_trained(depth=3)
    predictor = Predictor(replace(trained, model=Changed(trained.model, normalising=True)))
    assert not any(c.holds for c in prove(predictor, from_array(noise(100, 57))))


@pytest.mark.parametrize(
    ("difference", "flipped", "holds"), [(0.0, 0, True), (1e-5, 0, True), (1.1e-5, 0, False), (1e-7, 1, False)]
)
def test_it_holds_where_rounding_alone_differs_and_no_label_does(difference: float, flipped: int, holds: bool):
    assert Compared(16, 4, difference, flipped).holds is holds


def test_what_takes_too_much_memory_is_refused_before_any_work(make_trained: MakeTrained):
    trained, source = make_trained(depth=2), from_array(noise(500, 700))
    needed = int(540 * 740 * bytes_per_pixel(trained.model))
    assert len(list(prove(Predictor(trained, memory_bytes=needed + 1), source))) == 3
    with pytest.raises(
        SizeError, match=r"the image has 500 x 700 pixels; .* one pass .*Allow more with --memory"
    ) as refused:
        next(prove(Predictor(trained, memory_bytes=needed - 1), from_array(source.read(), "the image")))
    assert f"about {needed / 2**30:.1f} GiB" in str(refused.value)


def test_an_image_of_another_kind_is_refused(make_trained: MakeTrained):
    with pytest.raises(ImageError, match="uint16 pixels, but the network was trained on uint8"):
        next(prove(Predictor(make_trained()), from_array(noise(20, 20).astype(np.uint16))))


RIGHT_ROWS = RowStream.push


def shifted_rows(stream: RowStream, rows: torch.Tensor) -> torch.Tensor | None:
    """The rows of an image that is moved by a pixel."""
    return RIGHT_ROWS(stream, rows.roll(1, dims=3))


def test_what_passes_row_by_row_is_proved_too(make_trained: MakeTrained, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ushape.predict.strategy._AT_ONCE", 0)
    trained, source = make_trained(depth=2), from_array(noise(60, 37))
    *tilings, by_rows = prove(Predictor(trained), source)
    assert [c.keep_px for c in tilings] == [28, 20, 8]
    assert (by_rows.keep_px, by_rows.tiles) == (0, 1) and by_rows.holds
    shifted = Predictor(trained)
    monkeypatch.setattr("ushape.predict.row_stream.RowStream.push", lambda stream, rows: shifted_rows(stream, rows))
    *_, wrong = prove(shifted, source)
    assert wrong.keep_px == 0 and not wrong.holds


def test_ties_may_be_decided_either_way_but_nothing_else(make_trained: MakeTrained, monkeypatch: pytest.MonkeyPatch):
    predictor, source = Predictor(make_trained(depth=2)), from_array(noise(60, 37))
    with torch.no_grad():
        predictor.trained.model.head.weight.zero_()
        predictor.trained.model.head.bias.zero_()
    decide = Labels.decide

    def otherwise_in_small_tiles(labels: Labels, p: NDArray[np.float32]) -> NDArray[np.uint8]:
        return 1 - decide(labels, p) if p.shape[1] < 20 else decide(labels, p)

    monkeypatch.setattr(Labels, "decide", otherwise_in_small_tiles)
    assert [(c.ties, c.flipped_labels, c.holds) for c in prove(predictor, source)][-1] == (60 * 37, 0, True)
    with torch.no_grad():
        predictor.trained.model.head.bias[0] = 0.1
    assert [(c.ties, c.flipped_labels, c.holds) for c in prove(predictor, source)][-1] == (0, 60 * 37, False)
